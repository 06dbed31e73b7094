//! What DANCo measures of a sample, and of uniform balls to compare it with.

use std::collections::HashMap;
use std::f64::consts::PI;
use std::sync::{Mutex, OnceLock, PoisonError};

use faer::Mat;

use super::cloud::PointCloud;
use super::estimate::not_estimable;
use super::mind::Mind;
use super::neighbourhood::map_neighbourhoods;
use crate::numerics::parallel;
use crate::numerics::special::{bessel_ratio, digamma, ln_bessel_i0};
use crate::random::Stream;
use crate::{Error, Result};

/// Neighbours up to which the alternating sum of ψ keeps 12 digits.
const FEW: usize = 12;
/// Above this resultant length all angles of a neighbourhood are the same up to rounding: its points
/// lie on a line and on one side, where a concentration means nothing.
const PARALLEL: f64 = 1.0 - 1e-9;

/// The statistics of a sample that DANCo compares.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DancoStatistics {
    /// The dimension by [`Mind`].
    pub dimension: f64,
    /// The mean direction ν of the angles between neighbours, averaged over points.
    pub direction: f64,
    /// Their concentration τ (von Mises), averaged over points.
    pub concentration: f64,
}

impl DancoStatistics {
    /// Statistics that were computed elsewhere.
    #[must_use]
    pub fn new(dimension: f64, direction: f64, concentration: f64) -> Self {
        Self { dimension, direction, concentration }
    }

    /// Of a cloud, with k neighbours; the dimension at most `largest`.
    ///
    /// For each point the angles θ between its k neighbours: ν = atan(Σ sin θ/Σ cos θ), and τ from
    /// the resultant length η by the usual approximation of the inverse of I₁/I₀. Of one feature τ
    /// is 1. 2 n k² d flops.
    ///
    /// # Errors
    /// k < 2, a largest dimension of 0, a cloud without coordinates or with fewer than k + 1
    /// neighbours, copies, distances that determine no dimension.
    pub fn of(cloud: &PointCloud, k: usize, largest: usize) -> Result<Self> {
        if k < 2 {
            return Err(Error::range("neighbours k", "2 or more", k));
        }
        let dimension = Mind::new(k).largest(largest).fit(cloud.table())?.value;
        let angles = map_neighbourhoods(cloud, "danco", k, |at| {
            at.multiply();
            Ok(von_mises(&at.gram, k))
        })?;
        if cloud.features() == Some(1) {
            let direction = angles.iter().map(|a| a.0).sum::<f64>() / angles.len() as f64;
            return Ok(Self { dimension, direction, concentration: 1.0 });
        }
        let (mut sums, mut used) = ((0.0, 0.0), 0_usize);
        for (direction, length) in angles.iter().filter(|a| a.1 < PARALLEL) {
            sums.0 += direction;
            sums.1 += concentration(*length);
            used += 1;
        }
        if used == 0 {
            return Err(not_estimable("neighbours that all lie in one direction"));
        }
        let n = used as f64;
        Ok(Self { dimension, direction: sums.0 / n, concentration: sums.1 / n })
    }

    /// Of n uniform points of the unit ball in d dimensions, drawn from the stream of `seed`.
    ///
    /// # Errors
    /// k < 2, d = 0, or not more than k + 1 points.
    pub fn of_ball(n: usize, k: usize, d: usize, seed: u64) -> Result<Self> {
        if d == 0 {
            return Err(Error::empty("dimensions of the ball"));
        }
        let stream = Stream::new(seed, "danco calibration").child(d as u64);
        let (mut z, mut u) = (vec![0.0_f64; n * d], vec![0.0_f64; n]);
        stream.normals(0, &mut z);
        stream.child(1).uniforms(0, &mut u);
        for (row, u) in z.chunks_exact_mut(d).zip(&u) {
            let length = row.iter().map(|z| z * z).sum::<f64>().sqrt();
            let factor = u.powf(1.0 / d as f64) / length;
            row.iter_mut().for_each(|z| *z *= factor);
        }
        let ball = Mat::from_fn(n, d, |i, j| z[i * d + j]);
        Self::of(&PointCloud::new(ball.as_ref(), k + 1)?, k, 2 * d + 5)
    }

    /// The Kullback-Leibler divergence from these statistics to those of a calibration:
    ///
    /// H_k c − ln c − (k − 1) Σᵢ (−1)ⁱ C(k, i) ψ(1 + i/c) + ln(I₀(τ_c)/I₀(τ))
    /// + (I₁/I₀)(τ) (τ − τ_c cos(ν − ν_c)),
    ///
    /// c the ratio of the dimensions, H_k = 1 + 1/2 + … + 1/k.
    #[must_use]
    pub fn divergence(&self, calibration: &Self, k: usize) -> f64 {
        let c = calibration.dimension / self.dimension;
        let harmonic: f64 = (1..=k).map(|i| 1.0 / i as f64).sum();
        let norms = harmonic * c - c.ln() - (k as f64 - 1.0) * alternating(k, c);
        let turned = (self.direction - calibration.direction).cos();
        let (own, other) = (self.concentration, calibration.concentration);
        let angles =
            ln_bessel_i0(other) - ln_bessel_i0(own) + bessel_ratio(own) * (own - other * turned);
        norms + angles
    }
}

/// Σᵢ₌₀ᵏ (−1)ⁱ C(k, i) ψ(1 + i/c). For more than a few terms, which would cancel, the same as
/// −Σ_{m≥1} c B(c m, k + 1), all of one sign.
fn alternating(k: usize, c: f64) -> f64 {
    if k <= FEW {
        let (mut binomial, mut sum) = (1.0, 0.0);
        for i in 0..=k {
            sum += binomial * digamma(1.0 + i as f64 / c);
            binomial *= -((k - i) as f64) / (i + 1) as f64;
        }
        return sum;
    }
    let (k, mut sum, mut m) = (k as f64, 0.0, 1.0);
    loop {
        let x = c * m;
        let log = libm::lgamma(x) + libm::lgamma(k + 1.0) - libm::lgamma(x + k + 1.0);
        let term = c * log.exp();
        sum += term;
        m += 1.0;
        // Terms fall faster than m^(−12), so that what is left is below m times the last one.
        if term * m <= 1e-16 * sum || !term.is_finite() {
            return -sum;
        }
    }
}

/// Mean direction and resultant length of the angles between neighbours, from their inner products.
fn von_mises(gram: &[f64], k: usize) -> (f64, f64) {
    let lengths: Vec<f64> = (0..k).map(|i| gram[i * k + i].sqrt()).collect();
    let (mut cosines, mut sines) = (0.0, 0.0);
    for i in 0..k {
        for j in 0..i {
            let cosine = (gram[i * k + j] / (lengths[i] * lengths[j])).clamp(-1.0, 1.0);
            cosines += cosine;
            // Angles between 0 and π.
            sines += ((1.0 - cosine) * (1.0 + cosine)).sqrt();
        }
    }
    let pairs = (k * (k - 1) / 2) as f64;
    let direction = match (sines == 0.0, cosines == 0.0) {
        (true, _) => 0.0,
        (_, true) => 0.5 * PI,
        _ => (sines / cosines).atan(),
    };
    (direction, (cosines / pairs).hypot(sines / pairs))
}

/// The τ whose von Mises distribution has this resultant length, approximately.
fn concentration(length: f64) -> f64 {
    let eta = length;
    if eta < 0.53 {
        2.0 * eta + eta.powi(3) + 5.0 * eta.powi(5) / 6.0
    } else if eta < 0.85 {
        -0.4 + 1.39 * eta + 0.43 / (1.0 - eta)
    } else {
        // η³ − 4η² + 3η, in factors.
        1.0 / (eta * (eta - 1.0) * (eta - 3.0))
    }
}

type Key = (usize, usize, usize, u64);

/// Statistics of balls that have been computed, by (n, k, d, seed).
fn cache() -> &'static Mutex<HashMap<Key, DancoStatistics>> {
    static CACHE: OnceLock<Mutex<HashMap<Key, DancoStatistics>>> = OnceLock::new();
    CACHE.get_or_init(Mutex::default)
}

/// Statistics of balls of 1 to `largest` dimensions; what was computed before is not computed again.
pub(super) fn calibration(
    n: usize,
    k: usize,
    largest: usize,
    seed: u64,
) -> Result<Vec<DancoStatistics>> {
    let known = |d: usize| {
        let cache = cache().lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&(n, k, d, seed)).copied()
    };
    // The largest first, which take longest.
    let each = parallel::map(largest, |i| {
        let d = largest - i;
        match known(d) {
            Some(found) => Ok(found),
            None => parallel::alone(|| DancoStatistics::of_ball(n, k, d, seed)),
        }
    });
    let mut all = each.into_iter().collect::<Result<Vec<_>>>()?;
    all.reverse();
    let mut cache = cache().lock().unwrap_or_else(PoisonError::into_inner);
    for (d, statistics) in all.iter().enumerate() {
        cache.insert((n, k, d + 1, seed), *statistics);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_alternating_sum_agree() {
        // c = 1: Σ (−1)ⁱ C(k, i) ψ(1 + i) = −1/k.
        for k in [1, 2, 5, 12, 13, 30, 60] {
            assert!((alternating(k, 1.0) * k as f64 + 1.0).abs() < 1e-11, "{k}");
        }
        for c in [0.3, 0.9, 1.7, 4.0] {
            let (mut binomial, mut direct) = (1.0, 0.0);
            for i in 0..=13 {
                direct += binomial * digamma(1.0 + f64::from(i) / c);
                binomial *= -f64::from(13 - i) / f64::from(i + 1);
            }
            assert!((alternating(13, c) - direct).abs() < 1e-11, "{c}");
        }
    }

    #[test]
    fn a_sample_is_nearest_to_itself() {
        let own = DancoStatistics::new(5.0, 1.2, 6.0);
        let least = own.divergence(&own, 10);
        for other in [(5.0, 1.2, 6.5), (5.0, 1.25, 6.0), (5.2, 1.2, 6.0), (4.8, 1.2, 6.0)] {
            let other = DancoStatistics::new(other.0, other.1, other.2);
            assert!(own.divergence(&other, 10) > least - 0.1, "{other:?}");
        }
        let turned = DancoStatistics::new(5.0, 1.3, 6.0);
        assert!(own.divergence(&turned, 10) > least);
    }
}
