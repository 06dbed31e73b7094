//! The dimension from how often points can be separated linearly.

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::cloud::PointCloud;
use super::estimate::{Estimate, not_estimable};
use super::estimator::Estimator;
use super::flags::Flag;
use crate::krylov::symmetric_eigen;
use crate::numerics::parallel;
use crate::numerics::special::lambert_w;
use crate::statistics::{Centred, Side, map_tiles};
use crate::{Error, Isa, Result};

/// Rows and columns of a tile of inner products.
const TILE: usize = 256;
/// Values that are compared with the smallest threshold at once.
const LANES: usize = 16;

/// Fisher separability: points are centred, projected onto the principal components with
/// λ > λ₁/condition, whitened and brought to the unit sphere. Of uniform points of a sphere a share
///
/// p(α) = mean over i of #{j ≠ i: xᵢ·xⱼ ≥ α}/(n − 1)
///
/// is not separable, from which d(α) = W(w/(2π p² α² (1 − α²)))/w, w = −ln(1 − α²), W Lambert's
/// function. Reported is d at the α nearest to 0.9 of the largest with p > 0.
///
/// Needs coordinates, no neighbours. n d m + 2 n² c flops for c components, m = min(n, d); n² products
/// are compared and not stored.
///
/// Source: Albergante, Bac, Zinovyev, IJCNN 2019. Where all points can be separated there is no
/// dimension to report: an error, while the reference returns NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct FisherSeparability {
    condition: f64,
    alphas: Vec<f64>,
}

/// What [`FisherSeparability`] counted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FisherReport {
    /// Thresholds, ascending.
    pub alphas: Vec<f64>,
    /// p(α).
    pub inseparable: Vec<f64>,
    /// d(α); none where p = 0.
    pub dimensions: Vec<Option<f64>>,
    /// The share of points that can be separated from all others.
    pub separable_points: Vec<f64>,
    /// Principal components that were kept.
    pub components: usize,
    /// Which threshold the estimate is taken at; none where all points can be separated.
    pub chosen: Option<usize>,
    /// Points.
    pub points: usize,
}

impl FisherReport {
    /// The dimension at the chosen threshold. Flagged `at_limit` where even the largest threshold
    /// leaves inseparable points.
    ///
    /// # Errors
    /// All points can be separated at all thresholds.
    pub fn estimate(&self) -> Result<Estimate> {
        let value = self.chosen.and_then(|chosen| self.dimensions[chosen]);
        let Some(value) = value else {
            let got = format!("{} points that can all be separated", self.points);
            return Err(not_estimable(got));
        };
        let last = self.dimensions.last().is_some_and(Option::is_some);
        Ok(Estimate::new(value, None, self.points, self.points)?.flag(Flag::AtLimit, last))
    }
}

impl Default for FisherSeparability {
    /// Condition 10, α = 0.60, 0.62, …, 0.98.
    fn default() -> Self {
        Self { condition: 10.0, alphas: (0..20).map(|i| 0.6 + 0.02 * f64::from(i)).collect() }
    }
}

impl FisherSeparability {
    /// Components with a share of more than 1/condition of the largest variance are kept.
    #[must_use]
    pub fn condition(self, condition: f64) -> Self {
        Self { condition, ..self }
    }

    /// The thresholds, ascending between 0 and 1.
    #[must_use]
    pub fn alphas(self, alphas: Vec<f64>) -> Self {
        Self { alphas, ..self }
    }

    /// Shares and dimensions at all thresholds.
    ///
    /// # Errors
    /// A condition below 1, thresholds that are none, not ascending or outside (0, 1), a cloud
    /// without coordinates, points that are all the same.
    pub fn fit(&self, cloud: &PointCloud) -> Result<FisherReport> {
        let ascending = self.alphas.windows(2).all(|w| w[0] < w[1]);
        if self.alphas.is_empty()
            || !ascending
            || self.alphas.iter().any(|a| !(*a > 0.0 && *a < 1.0))
        {
            let got = format!("{:?}", self.alphas);
            return Err(Error::range("thresholds", "ascending between 0 and 1", got));
        }
        if self.condition.is_nan() || self.condition < 1.0 {
            return Err(Error::range("condition", "1 or more", self.condition));
        }
        let points = cloud.points(Estimator::name(self))?;
        let x = MatRef::from_row_major_slice(&points.rows, points.n, points.d);
        let (sphere, components) = self.sphere(x)?;
        let n = points.n;
        let counts = counts(&sphere, components, &self.alphas);
        let m = self.alphas.len();
        let (mut totals, mut separable) = (vec![0_u64; m], vec![0_u64; m]);
        for own in counts.chunks_exact(m) {
            for (a, count) in own.iter().enumerate() {
                totals[a] += u64::from(*count);
                separable[a] += u64::from(*count == 0);
            }
        }
        let pairs = n as f64 * (n - 1) as f64;
        let inseparable: Vec<f64> = totals.iter().map(|t| *t as f64 / pairs).collect();
        let of = |(alpha, p): (&f64, &f64)| (*p > 0.0).then(|| dimension(*alpha, *p));
        let dimensions: Vec<Option<f64>> = self.alphas.iter().zip(&inseparable).map(of).collect();
        let chosen = dimensions.iter().rposition(Option::is_some).map(|last| {
            let wanted = 0.9 * self.alphas[last];
            let off = |i: usize| (self.alphas[i] - wanted).abs();
            // The first of equally near ones.
            (0..=last).reduce(|best, i| if off(i) < off(best) { i } else { best }).unwrap_or(last)
        });
        Ok(FisherReport {
            alphas: self.alphas.clone(),
            inseparable,
            dimensions,
            separable_points: separable.iter().map(|s| *s as f64 / n as f64).collect(),
            components,
            chosen,
            points: n,
        })
    }

    /// Whitened points on the unit sphere, n × components, and the number of these.
    fn sphere(&self, x: MatRef<'_, f64>) -> Result<(Vec<f64>, usize)> {
        let y = Centred::new(x)?;
        if y.is_constant() {
            return Err(not_estimable("points that are all the same"));
        }
        let side = Side::smaller(y.n, y.d);
        let size = side.size(&y);
        let mut gram = Mat::zeros(size, size);
        for (rows, columns, tile) in map_tiles(&y, side, |r, c, tile| (r, c, tile.to_vec())) {
            for (i, r) in rows.enumerate() {
                for (j, c) in columns.clone().enumerate() {
                    gram[(r, c)] = tile[i * columns.len() + j];
                    gram[(c, r)] = tile[i * columns.len() + j];
                }
            }
        }
        let eigen = symmetric_eigen(gram.as_ref()).ok_or_else(|| {
            Error::range("principal components", "convergence of the QR algorithm", "none")
        })?;
        let limit = eigen.values[size - 1] / self.condition;
        let first = eigen.values.partition_point(|v| *v <= limit);
        let components = size - first;
        let mut out = vec![0.0; y.n * components];
        match side {
            // Eigenvectors of the Gram matrix are the whitened components.
            Side::Samples => {
                for (i, row) in out.chunks_exact_mut(components).enumerate() {
                    let values = (first..size).map(|c| eigen.vectors[(i, c)]);
                    row.iter_mut().zip(values).for_each(|(to, v)| *to = v);
                }
            }
            Side::Features => {
                let scaled: Vec<f64> = (0..size * components)
                    .map(|e| {
                        let (f, c) = (e / components, first + e % components);
                        eigen.vectors[(f, c)] / eigen.values[c].sqrt()
                    })
                    .collect();
                let directions = MatrixRef::row_major(&scaled, size, components);
                parallel::for_each_piece(&mut out, TILE * components, |s, piece| {
                    let rows = piece.len() / components;
                    let from = &y.data[s * TILE * y.d..(s * TILE + rows) * y.d];
                    let from = MatrixRef::row_major(from, rows, y.d);
                    let to = MatrixMut::row_major(piece, rows, components);
                    gemm(Isa::current(), 1.0, from, directions, 0.0, to);
                });
            }
        }
        parallel::for_each_piece(&mut out, TILE * components, |_, piece| {
            for row in piece.chunks_exact_mut(components) {
                let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
                // The centre has no direction: its products are 0.
                if length > 0.0 {
                    row.iter_mut().for_each(|v| *v /= length);
                }
            }
        });
        Ok((out, components))
    }
}

/// For each point and each threshold, how many others have an inner product of at least it.
fn counts(sphere: &[f64], components: usize, alphas: &[f64]) -> Vec<u32> {
    let (n, m) = (sphere.len() / components, alphas.len());
    let mut counts = vec![0; n * m];
    parallel::for_each_piece(&mut counts, TILE * m, |s, counts| {
        let (rows, start) = (counts.len() / m, s * TILE);
        let own = &sphere[start * components..(start + rows) * components];
        let own = MatrixRef::row_major(own, rows, components);
        let mut tile = vec![0.0; rows * TILE];
        for columns in parallel::shards(n, TILE) {
            let width = columns.len();
            let tile = &mut tile[..rows * width];
            let others = &sphere[columns.start * components..columns.end * components];
            let others = MatrixRef::row_major(others, width, components).transposed();
            let out = MatrixMut::row_major(tile, rows, width);
            gemm(Isa::current(), 1.0, own, others, 0.0, out);
            for (r, row) in tile.chunks_exact_mut(width).enumerate() {
                if columns.contains(&(start + r)) {
                    row[start + r - columns.start] = 0.0;
                }
                let own = &mut counts[r * m..(r + 1) * m];
                for values in row.chunks(LANES) {
                    let any = values.iter().fold(false, |any, v| any | (*v >= alphas[0]));
                    if any {
                        for v in values.iter().filter(|v| **v >= alphas[0]) {
                            own[alphas.partition_point(|alpha| alpha <= v) - 1] += 1;
                        }
                    }
                }
            }
        }
        // From the number between two thresholds to the number above each.
        for own in counts.chunks_exact_mut(m) {
            for a in (0..m - 1).rev() {
                own[a] += own[a + 1];
            }
        }
    });
    counts
}

/// The dimension of a uniform sphere whose points are inseparable with probability p at α.
fn dimension(alpha: f64, p: f64) -> f64 {
    let square = alpha * alpha;
    let w = -(-square).ln_1p();
    lambert_w(w / (2.0 * std::f64::consts::PI * p * p * square * (1.0 - square))) / w
}

impl Estimator for FisherSeparability {
    fn name(&self) -> &'static str {
        "fisher_s"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let ends = self.alphas.first().zip(self.alphas.last());
        let alphas = ends.map_or_else(String::new, |(a, b)| {
            format!("{} from {a:.2} to {b:.2}", self.alphas.len())
        });
        vec![("condition", self.condition.to_string()), ("alphas", alphas)]
    }

    fn neighbours(&self) -> usize {
        1
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud)?.estimate()
    }
}
