//! The dimension from all distances within a neighbourhood.

use hesse_kernels::distance::squared_distances;

use super::cloud::PointCloud;
use super::combine::Combine;
use super::estimate::Estimate;
use super::estimator::Estimator;
use super::neighbourhood::{Neighbourhood, map_neighbourhoods};
use crate::{Error, Isa, Result};

/// Below which sum of logarithms all distances count as the same.
const SAME: f64 = 1e-4;

/// What is too short to be measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Shortest {
    /// A share of T_k.
    Share(f64),
    /// A distance in the unit of the data, 10⁻⁴ in the reference: estimates depend on the unit.
    Distance(f64),
}

/// Tight local dimension (TLE): every neighbour also measures the others, and their reflections, each
/// distance brought to the ball around the point.
///
/// With uᵢ = Tᵢ, r = T_k, vᵢⱼ the distance of two neighbours, zᵢⱼ² = 2uᵢ² + 2uⱼ² − vᵢⱼ² and, for w = v
/// and z, c = uᵢ² + w² − uⱼ²,
///
/// s = r (√(c² + 4w²(r² − uᵢ²)) − c)/(2(r² − uᵢ²)),
///
/// d = −2 (k² − dropped)/(Σ_{i≠j} ln(s_v s_z/r²) + 2 Σ ln(uᵢ/r)). Copies (v = 0) and what is shorter
/// than [`Shortest`] is dropped, both measurements of a pair at once. The mean over points; 0 at
/// points all of whose distances are the same.
///
/// Needs coordinates and k neighbours a point. (3/2) n k² d + 20 n k² flops.
///
/// Source: Amsaleg, Chelly, Houle, Kawarabayashi, Radovanović, Treeratanajaru, SDM 2019, with
/// reflections. Departure: the shortest distance is by default a share of T_k, 10⁻⁴.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tight {
    k: usize,
    shortest: Shortest,
    combine: Combine,
}

impl Tight {
    /// From the first k neighbours, k ≥ 2; combined by the arithmetic mean.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, shortest: Shortest::Share(1e-4), combine: Combine::Arithmetic }
    }

    /// What is too short to be measured.
    #[must_use]
    pub fn shortest(self, shortest: Shortest) -> Self {
        Self { shortest, ..self }
    }

    /// How the estimates of all points become one.
    #[must_use]
    pub fn combine(self, combine: Combine) -> Self {
        Self { combine, ..self }
    }

    /// The dimension.
    ///
    /// # Errors
    /// As [`Tight::pointwise`].
    pub fn fit(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.combine.estimate(cloud.table(), self.k, &self.pointwise(cloud)?)
    }

    /// The dimension at each point.
    ///
    /// # Errors
    /// k < 2, a shortest distance that is negative or not finite, a cloud without coordinates or with
    /// fewer neighbours, copies at distance T_k.
    pub fn pointwise(&self, cloud: &PointCloud) -> Result<Vec<f64>> {
        if self.k < 2 {
            return Err(Error::range("neighbours k", "2 or more", self.k));
        }
        let (Shortest::Share(least) | Shortest::Distance(least)) = self.shortest;
        if !(least >= 0.0 && least.is_finite()) {
            return Err(Error::range("shortest distance", "0 or more", least));
        }
        map_neighbourhoods(cloud, "tle", self.k, |at| {
            let least = match self.shortest {
                Shortest::Share(share) => share * at.distances[self.k - 1],
                Shortest::Distance(distance) => libm::ldexp(distance, -at.exponent),
            };
            Ok(tight(at, least))
        })
    }
}

/// The dimension of one neighbourhood.
fn tight(at: &mut Neighbourhood<'_>, least: f64) -> f64 {
    let (k, d) = (at.k, at.d);
    let isa = Isa::current();
    for i in 0..k.saturating_sub(1) {
        let (row, rest) = at.rows[i * d..].split_at(d);
        squared_distances(isa, row, rest, &mut at.gram[i * k + i + 1..(i + 1) * k]);
        for j in i + 1..k {
            at.gram[j * k + i] = at.gram[i * k + j];
        }
    }
    let u = &at.distances;
    let r = u[k - 1];
    let (mut pairs, mut dropped) = (Logarithms::default(), 0_usize);
    let squares: Vec<f64> = u.iter().map(|u| u * u).collect();
    let mut measured = vec![(0.0, 0.0); k];
    for i in 0..k {
        let row = &at.gram[i * k..(i + 1) * k];
        let (ui, room) = (squares[i], (r - u[i]) * (r + u[i]));
        for ((to, &v2), &uj) in measured.iter_mut().zip(row).zip(&squares) {
            let z2 = 2.0 * ui + 2.0 * uj - v2;
            *to = (brought(r, room, v2, ui - uj), brought(r, room, z2, ui - uj));
        }
        if u[0] == 0.0 {
            // Copies of the point measure, and are measured, from its place.
            for ((to, v2), &uj) in measured.iter_mut().zip(row).zip(u) {
                let v = v2.sqrt();
                if u[i] == 0.0 {
                    *to = (uj, uj);
                } else if uj == 0.0 {
                    *to = (r * v / (r + v), r * v / (r + v));
                }
            }
        }
        for (j, (&(s, t), v2)) in measured.iter().zip(row).enumerate() {
            if j == i {
                continue;
            }
            // NaN, of two copies, is dropped too.
            if *v2 > 0.0 && s >= least && t >= least {
                pairs.add(s * t / (r * r));
            } else {
                dropped += 1;
            }
        }
    }
    let mut singles = Logarithms::default();
    for &ui in u {
        if ui >= least {
            singles.add(ui / r);
        } else {
            dropped += 1;
        }
    }
    let pairs = pairs.sum();
    if pairs > -SAME {
        return 0.0;
    }
    -2.0 * (k * k - dropped) as f64 / (pairs + 2.0 * singles.sum())
}

/// s for the square of w, `room` = r² − uᵢ² and `lead` = uᵢ² − uⱼ². Written so that nothing cancels
/// for c > 0, where it also holds for uᵢ = r. Without branches.
#[inline(always)]
fn brought(r: f64, room: f64, w2: f64, lead: f64) -> f64 {
    let c = lead + w2;
    let root = (c * c + 4.0 * w2 * room).sqrt();
    let ahead = c > 0.0;
    let above = if ahead { 2.0 * w2 } else { root - c };
    let below = if ahead { root + c } else { 2.0 * room };
    r * above / below
}

/// Σ ln of numbers in (0, 2), by their product.
struct Logarithms {
    product: f64,
    sum: f64,
}

impl Default for Logarithms {
    fn default() -> Self {
        Self { product: 1.0, sum: 0.0 }
    }
}

impl Logarithms {
    fn add(&mut self, x: f64) {
        // Neither underflows unless x does, and then its logarithm is taken as it is.
        if x < 1e-150 {
            self.sum += x.ln();
            return;
        }
        self.product *= x;
        if self.product < 1e-150 {
            self.sum += self.product.ln();
            self.product = 1.0;
        }
    }

    fn sum(self) -> f64 {
        self.sum + self.product.ln()
    }
}

impl Estimator for Tight {
    fn name(&self) -> &'static str {
        "tle"
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let shortest = match self.shortest {
            Shortest::Share(share) => format!("{share} T_k"),
            Shortest::Distance(distance) => distance.to_string(),
        };
        vec![
            ("k", self.k.to_string()),
            ("shortest", shortest),
            ("combine", self.combine.name().to_owned()),
        ]
    }

    fn neighbours(&self) -> usize {
        self.k
    }

    fn needs_coordinates(&self) -> bool {
        true
    }

    fn estimate(&self, cloud: &PointCloud) -> Result<Estimate> {
        self.fit(cloud)
    }

    fn at_points(&self, cloud: &PointCloud) -> Result<Option<Vec<f64>>> {
        self.pointwise(cloud).map(Some)
    }
}
