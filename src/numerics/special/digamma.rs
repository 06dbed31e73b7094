//! Derivatives of the logarithm of the gamma function.

/// From here on the asymptotic series below have terms under 10⁻¹⁷.
const LARGE: f64 = 12.0;

/// ψ(x) = d ln Γ(x)/dx for x > 0: ψ(x) = ψ(x + 1) − 1/x up to 12, then
/// ln x − 1/2x − Σ B_2m/(2m x^2m). Absolute error a few 2⁻⁵³ (1 + |ψ|).
pub(crate) fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32760.0,
        1.0 / 12.0,
    ];
    x.ln() - 0.5 / x - y * horner(&series, y) - below
}

/// ψ′(x) for x > 0, by the same steps.
pub(crate) fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < LARGE {
        below += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series =
        [1.0 / 6.0, -1.0 / 30.0, 1.0 / 42.0, -1.0 / 30.0, 5.0 / 66.0, -691.0 / 2730.0, 7.0 / 6.0];
    1.0 / x + 0.5 * y + y / x * horner(&series, y) + below
}

fn horner(coefficients: &[f64], y: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * y + c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let squared = std::f64::consts::PI * std::f64::consts::PI;
        for (x, psi, psi1) in [
            (1.0, -EULER, squared / 6.0),
            (0.5, -EULER - 2.0 * std::f64::consts::LN_2, squared / 2.0),
            (2.0, 1.0 - EULER, squared / 6.0 - 1.0),
        ] {
            assert!((digamma(x) - psi).abs() <= 4e-15, "{x}");
            assert!((trigamma(x) - psi1).abs() <= 8e-15, "{x}");
        }
        // ψ(x + 1) − ψ(x) = 1/x across the place where the series begins.
        for x in [11.5, 11.999, 12.0, 40.0, 1e6] {
            assert!((digamma(x + 1.0) - digamma(x) - 1.0 / x).abs() <= 2e-15 * digamma(x), "{x}");
            let step = trigamma(x) - trigamma(x + 1.0);
            assert!((step - 1.0 / (x * x)).abs() <= 4e-16, "{x}");
        }
    }
}
