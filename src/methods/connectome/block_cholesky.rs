//! ½H factored exactly, by blocks of targets.
//!
//! With the sources of one target next to each other, ½H = λ'(I ⊗ L_x + L_y ⊗ I)² + data is a block band
//! matrix: the blocks (t, u) of n_x × n_x are λ'((L_y²)_tu I + 2(L_y)_tu L_x) and, for t = u, λ'L_x² +
//! X diag(Ω_t) Xᵀ besides. On a path of targets the half band is two blocks.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{MatMut, MatRef, Par, Spec};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::panel::{self, Panel, PanelMut};
use sprs::CsMat;

use super::entries;
use super::objective::SplineObjective;
use super::smoothing_operator::SmoothingOperator;
use crate::{Error, Isa, Result, parallel};

/// Columns of one task in updates of a panel.
const COLUMNS: usize = 64;

/// Columns of L that a solve takes together: enough for the panel kernels to fetch some while others are
/// at work, few enough for the triangle between them.
const TOGETHER: usize = 40;

/// Smallest pivot relative to its diagonal element that is more than rounding.
const LEAST_PIVOT: f64 = 1e-13;

/// L with ½H = L Lᵀ.
pub(super) struct BlockCholesky {
    targets: usize,
    sources: usize,
    /// Blocks under the diagonal in a column of blocks.
    band: usize,
    /// Elements under the diagonal in a column: the outermost block of L_y² ⊗ I is diagonal, so that of
    /// L is upper triangular.
    reach: usize,
    /// One column of blocks after the other, each (band + 1) n_x × n_x, column-major.
    panels: Vec<f64>,
}

/// How far from the diagonal L² has elements.
pub(super) fn half_band(l: &SmoothingOperator) -> usize {
    2 * l.matrix().iter().map(|(_, (i, j))| i.abs_diff(j)).max().unwrap_or(0)
}

/// Numbers that a factor holds, and flops to find it.
pub(super) fn size(ly: &SmoothingOperator, sources: usize) -> (f64, f64) {
    let (n, band, block) = (ly.voxels() as f64, half_band(ly) as f64, sources as f64);
    let numbers = n * (band + 1.0) * block * block;
    (numbers, numbers * block * (band + 1.0))
}

impl BlockCholesky {
    /// Factors ½H of symmetric operators.
    ///
    /// # Errors
    /// [`Error::Range`] unless it is positive definite in `f64`, or where there is no memory.
    pub fn new(objective: &SplineObjective<'_>) -> Result<Self> {
        let (data, lx, ly) = (objective.data, objective.lx, objective.ly);
        let (targets, sources) = (data.targets(), data.sources());
        let half = half_band(ly);
        let band = half.min(targets - 1);
        let triangular = band == half && band > 1;
        let height = (band + 1) * sources;
        let panel = height * sources;
        let mut panels = entries::zeros("factor of the Hessian", targets * panel)?;
        let square = |l: &SmoothingOperator| -> CsMat<f64> {
            &l.matrix().to_owned() * &l.matrix().to_owned()
        };
        let (square_x, square_y) = (square(lx), square(ly));
        let lambda = objective.lambda_eff;
        let mut dense = vec![0.0; sources * data.experiments()];
        for (x, (s, e)) in data.injections().iter() {
            dense[s + e * sources] = *x;
        }
        for t in 0..targets {
            let (before, own) = panels.split_at_mut(t * panel);
            let own = &mut own[..panel];
            // The blocks of ½H.
            for (u, square) in square_y.outer_view(t).iter().flat_map(|row| row.iter()) {
                if u >= t && u - t <= band {
                    for s in 0..sources {
                        own[(u - t) * sources + s + s * height] += lambda * square;
                    }
                }
            }
            for (u, linear) in ly.matrix().outer_view(t).iter().flat_map(|row| row.iter()) {
                if u >= t {
                    for (value, (i, j)) in lx.matrix().iter() {
                        own[(u - t) * sources + i + j * height] += 2.0 * lambda * linear * value;
                    }
                }
            }
            for (value, (i, j)) in square_x.iter() {
                own[i + j * height] += lambda * value;
            }
            for e in 0..data.experiments() {
                if data.observed().at(t, e) {
                    let x = &dense[e * sources..(e + 1) * sources];
                    for (j, xj) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                        for (a, xi) in own[j * height..][..sources].iter_mut().zip(x) {
                            *a += xi * xj;
                        }
                    }
                }
            }
            let diagonal: Vec<f64> = (0..sources).map(|s| own[s + s * height]).collect();
            // Less what columns before have eliminated.
            let isa = Isa::current();
            parallel::for_each_piece(own, COLUMNS * height, |task, own| {
                let columns = own.len() / height;
                // Rows above the first of these columns are not read again.
                let top = task * COLUMNS;
                for distance in 1..=band.min(t) {
                    let other = &before[(t - distance) * panel..][..panel];
                    let below = (band + 1 - distance) * sources - top;
                    // Row i of the outermost block begins at column i.
                    let skip = if triangular && distance == band { top } else { 0 };
                    let other = &other[skip * height + distance * sources + top..];
                    let inner = sources - skip;
                    let left = MatrixRef::new(other, below, inner, 1, height);
                    let right = MatrixRef::new(other, columns, inner, 1, height);
                    let out = MatrixMut::new(&mut own[top..], below, columns, 1, height);
                    gemm(isa, -1.0, left, right.transposed(), 1.0, out);
                }
            });
            factor_panel(own, sources, height)?;
            let mut pivots = diagonal.iter().enumerate().map(|(s, d)| (own[s + s * height], d));
            if !pivots.all(|(root, d)| root * root > LEAST_PIVOT * d) {
                return Err(not_positive_definite());
            }
        }
        let reach = if triangular { band * sources } else { height };
        Ok(Self { targets, sources, band, reach, panels })
    }

    /// X ← L⁻¹ X for columns with the sources of one target next to each other, all of them 0 before
    /// target `first`.
    pub fn forward(&self, first: usize, x: &mut [f64]) {
        let (targets, sources, n) = (self.targets, self.sources, self.targets * self.sources);
        let (columns, height) = (x.len() / n, (self.band + 1) * self.sources);
        let isa = Isa::current();
        for t in first..targets {
            let own = &self.panels[t * height * sources..][..height * sources];
            // Blocks beyond the last target are zero, and not there in x.
            let below = self.band.min(targets - 1 - t) * sources;
            let block = MatMut::from_column_major_slice_with_stride_mut(
                &mut x[t * sources..],
                sources,
                columns,
                n,
            );
            let l = MatRef::from_column_major_slice_with_stride(own, sources, sources, height);
            solve_lower_triangular_in_place(l, block, Par::Seq);
            if below > 0 {
                let solved = copy(&x[t * sources..], sources, columns, n);
                let l = MatrixRef::new(&own[sources..], below, sources, 1, height);
                let z = MatrixRef::column_major(&solved, sources, columns);
                let out = MatrixMut::new(&mut x[(t + 1) * sources..], below, columns, 1, n);
                gemm(isa, -1.0, l, z, 1.0, out);
            }
        }
    }

    /// Columns of L that belong to one target, from column i on, at most [`TOGETHER`] of them.
    fn columns(&self, i: usize) -> Columns<'_> {
        let (sources, height) = (self.sources, (self.band + 1) * self.sources);
        let (t, s) = (i / sources, i % sources);
        let count = TOGETHER.min(sources - s);
        let rows = (self.band.min(self.targets - 1 - t) + 1) * sources;
        // Elements beyond the reach of a column are zeros.
        let below = (rows - s - count).min(self.reach);
        let own = &self.panels[t * height * sources + s * height..];
        Columns { count, below, height, values: &own[s..] }
    }

    /// x ← L⁻¹ x for one column, of which some elements at a time meet their columns of L: 2 n (band + 1)
    /// n_x flops, the factor read once.
    pub fn forward_one(&self, x: &mut [f64]) {
        let isa = Isa::current();
        let mut i = 0;
        while i < x.len() {
            let l = self.columns(i);
            let (own, rest) = x[i..].split_at_mut(l.count);
            for k in 0..l.count {
                let (pivot, column) = l.inside(k);
                own[k] /= pivot;
                let factor = own[k];
                own[k + 1..].iter_mut().zip(column).for_each(|(x, l)| *x -= factor * l);
            }
            if l.below > 0 {
                let mut rest = PanelMut::new(&mut rest[..l.below], l.below, 1, l.below);
                panel::subtract_product(isa, &mut rest, l.below(), own);
            }
            i += l.count;
        }
    }

    /// x ← L⁻ᵀ x, at the same cost.
    pub fn backward_one(&self, x: &mut [f64]) {
        let isa = Isa::current();
        for t in (0..self.targets).rev() {
            for s in (0..self.sources).step_by(TOGETHER).rev() {
                let i = t * self.sources + s;
                let l = self.columns(i);
                let (own, rest) = x[i..].split_at_mut(l.count);
                let mut products = [0.0; TOGETHER];
                if l.below > 0 {
                    let rest = Panel::new(&rest[..l.below], l.below, 1, l.below);
                    panel::transpose_product(isa, l.below(), rest, &mut products[..l.count]);
                }
                for k in (0..l.count).rev() {
                    let (pivot, column) = l.inside(k);
                    let terms = own[k + 1..].iter().zip(column);
                    let inside: f64 = terms.map(|(x, l)| x * l).sum();
                    own[k] = (own[k] - products[k] - inside) / pivot;
                }
            }
        }
    }
}

/// Some columns of L, from the row of the first pivot on.
struct Columns<'l> {
    count: usize,
    /// Rows below the last pivot.
    below: usize,
    height: usize,
    values: &'l [f64],
}

impl<'l> Columns<'l> {
    /// The pivot of column `k`, and what is between it and the last pivot's row.
    fn inside(&self, k: usize) -> (f64, &'l [f64]) {
        let column = &self.values[k * self.height..][..self.count];
        (column[k], &column[k + 1..])
    }

    /// What is below the pivots.
    fn below(&self) -> Panel<'l, f64> {
        Panel::new(&self.values[self.count..], self.below, self.count, self.height)
    }
}

/// The first rows of columns `stride` apart.
fn copy(x: &[f64], rows: usize, columns: usize, stride: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| x[c * stride..][..rows].iter().copied()).collect()
}

fn not_positive_definite() -> Error {
    let expected = "a positive definite Hessian: data that determine W";
    Error::range("factor of the Hessian", expected, "a pivot of 0 to rounding")
}

/// [A; B] ← [L; B L⁻ᵀ] with A = L Lᵀ, the first rows of the panel.
fn factor_panel(panel: &mut [f64], block: usize, height: usize) -> Result<()> {
    let whole = MatMut::from_column_major_slice_mut(panel, height, block);
    let (mut diagonal, below) = whole.split_at_row_mut(block);
    let scratch = cholesky_in_place_scratch::<f64>(block, Par::Seq, Spec::default());
    cholesky_in_place(
        diagonal.as_mut(),
        Default::default(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Spec::default(),
    )
    .map_err(|_| not_positive_definite())?;
    solve_lower_triangular_in_place(diagonal.as_ref(), below.transpose_mut(), Par::Seq);
    Ok(())
}
