//! The standard error of a mean of estimates that share their samples.

use crate::parallel;

use super::Estimate;

/// Standard error of T = mean of eᵢ, where eᵢ is an unbiased estimate for given samples other than
/// i, and `without(i, j)` is eᵢ computed without sample j.
///
/// Var T = E[s²]/k + c with s² the sample variance of the eᵢ and c = E[(eᵢ − t)(eⱼ − t)] the
/// covariance of two of them. Let eᵢ₍ⱼ₎ be eᵢ without sample j. Given everything but sample i, eⱼ₍ᵢ₎
/// is fixed and the mean of eᵢ and of eᵢ₍ⱼ₎ is t: so eⱼ₍ᵢ₎ is uncorrelated with both, and
///
/// c = E[(eᵢ − eᵢ₍ⱼ₎)(eⱼ − eⱼ₍ᵢ₎)],
///
/// whose mean over all pairs estimates it without bias. A negative mean counts as 0. The usual
/// s/√k lacks c, and is 1.1 to 1.5 times too small for XTrace, 1.1 to 4 times for XNysTrace.
///
/// Infinite for one estimate. Cost: k(k − 1) calls of `without`.
pub(super) fn standard_error(
    estimates: &[f64],
    without: impl Fn(usize, usize) -> f64 + Sync + Send,
) -> f64 {
    let k = estimates.len();
    let alone = Estimate::of(estimates).standard_error;
    if k < 2 {
        return alone;
    }
    let rows = parallel::map(k, |i| {
        (0..i).map(|j| (estimates[i] - without(i, j)) * (estimates[j] - without(j, i))).sum::<f64>()
    });
    let covariance = rows.iter().sum::<f64>() / (k * (k - 1) / 2) as f64;
    if covariance > 0.0 { alone.hypot(covariance.sqrt()) } else { alone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_estimates_have_the_error_of_their_mean() {
        let x = [1.0, 2.0, 4.0, 9.0];
        let error = standard_error(&x, |i, _| x[i]);
        assert!((error - (38.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!(standard_error(&x[..1], |i, _| x[i]), f64::INFINITY);
    }

    /// eᵢ = xᵢ·Σⱼ≠ᵢ xⱼ with independent signs x: mean 0, variance k − 1, covariance 1, and
    /// T = ((Σx)² − k)/k of variance 2(k − 1)/k.
    #[test]
    fn the_squared_error_is_unbiased_where_estimates_share_samples() {
        let k = 8;
        let mut mean = 0.0;
        for bits in 0..1_u32 << k {
            let x: Vec<f64> = (0..k).map(|i| if bits >> i & 1 == 0 { 1.0 } else { -1.0 }).collect();
            let sum: f64 = x.iter().sum();
            let estimates: Vec<f64> = x.iter().map(|x| x * (sum - x)).collect();
            let error = standard_error(&estimates, |i, j| x[i] * (sum - x[i] - x[j]));
            mean += error * error / f64::from(1_u32 << k);
        }
        assert!((mean - 2.0 * (k - 1) as f64 / k as f64).abs() < 1e-12, "{mean}");
    }
}
