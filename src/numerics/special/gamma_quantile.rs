//! Quantiles of the gamma distribution.

use crate::statistics::normal_quantile;
use crate::{Error, Result};

/// From here on Stirling's series is exact enough.
const LARGE: f64 = 10.0;

/// x with P(a, x) = p: the quantile of the gamma distribution with shape a and rate 1, a ≥ 1.
///
/// Newton's method from the cube of Wilson and Hilferty; P by its series or its continued fraction,
/// of O(√a) terms. Relative error about 10⁻¹².
pub(crate) fn gamma_quantile(a: f64, p: f64) -> Result<f64> {
    if !(a >= 1.0 && a.is_finite()) {
        return Err(Error::range("shape", "1 or more", a));
    }
    let z = normal_quantile(p)?;
    let start = 1.0 - 1.0 / (9.0 * a) + z / (3.0 * a.sqrt());
    let mut x = a * start.max(0.05).powi(3);
    for _ in 0..60 {
        let step = (lower(a, x) - p) / density(a, x);
        // At most a halving, for starts in the lower tail.
        let next = if step < 0.5 * x { x - step } else { 0.5 * x };
        let done = (next - x).abs() <= 1e-14 * x;
        x = next;
        if done {
            break;
        }
    }
    Ok(x)
}

/// xᵃ⁻¹ e⁻ˣ/Γ(a).
fn density(a: f64, x: f64) -> f64 {
    if a < LARGE {
        return ((a - 1.0) * x.ln() - x - libm::lgamma(a)).exp();
    }
    // Γ(a) by Stirling, so that the large parts of the exponent cancel by hand:
    // a ln(x/a) − (x − a) = −a (δ − ln(1 + δ)), δ = x/a − 1.
    let delta = (x - a) / a;
    let y = 1.0 / (a * a);
    let correction = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y / 1680.0))) / a;
    let exponent = -a * (delta - delta.ln_1p()) - correction;
    exponent.exp() * (a / (2.0 * std::f64::consts::PI)).sqrt() / x
}

/// P(a, x).
fn lower(a: f64, x: f64) -> f64 {
    let front = x * density(a, x);
    if x < a + 1.0 {
        let (mut term, mut sum, mut m) = (1.0 / a, 1.0 / a, a);
        while term > 1e-17 * sum {
            m += 1.0;
            term *= x / m;
            sum += term;
        }
        return front * sum;
    }
    // 1/(x + 1 − a − 1(1 − a)/(x + 3 − a − …)), by Lentz's method.
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut fraction = d;
    for i in 1..1_000_000 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        fraction *= c * d;
        if (c * d - 1.0).abs() <= 1e-16 {
            break;
        }
    }
    1.0 - front * fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_shapes_are_sums_of_exponentials() {
        // P(n, x) = 1 − e⁻ˣ Σ_{i<n} xⁱ/i!.
        for (n, p) in [(1, 0.025), (1, 0.975), (2, 0.5), (9, 0.025), (11, 0.975), (40, 0.3)] {
            let x = gamma_quantile(f64::from(n), p).unwrap();
            let (mut term, mut sum) = (1.0, 1.0);
            for i in 1..n {
                term *= x / f64::from(i);
                sum += term;
            }
            assert!((1.0 - (-x).exp() * sum - p).abs() < 1e-12, "{n} {p}: {x}");
        }
        // Nearly normal, with the third moment: a + √a z + (z² − 1)/3.
        let (a, z) = (1e6_f64, 1.959_963_984_540_054_f64);
        let x = gamma_quantile(a, 0.975).unwrap();
        assert!((x - (a + a.sqrt() * z + (z * z - 1.0) / 3.0)).abs() < 2e-3, "{x}");
        assert!(gamma_quantile(0.5, 0.5).is_err() && gamma_quantile(2.0, 1.0).is_err());
    }
}
