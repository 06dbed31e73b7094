//! Modified Bessel functions of the first kind without overflow.

/// Beyond this the asymptotic series has a term below 10⁻¹⁷.
const LARGE: f64 = 25.0;

/// e^(−x) I_ν(x) for ν = 0 or 1, x ≥ 0: the power series, all terms positive, or the asymptotic one.
fn scaled(order: u32, x: f64) -> f64 {
    let order = f64::from(order);
    if x < LARGE {
        let quarter = 0.25 * x * x;
        let mut term = if order == 0.0 { 1.0 } else { 0.5 * x };
        let (mut sum, mut m) = (term, 1.0);
        while term > 1e-18 * sum {
            term *= quarter / (m * (m + order));
            sum += term;
            m += 1.0;
        }
        return sum * (-x).exp();
    }
    let (mut term, mut sum, mut m) = (1.0_f64, 1.0, 1.0);
    loop {
        let odd = 2.0 * m - 1.0;
        let next = -term * (4.0 * order * order - odd * odd) / (8.0 * m * x);
        // The series is asymptotic: its terms fall before they rise.
        if next.abs() < 1e-18 || next.abs() >= term.abs() {
            return sum / (2.0 * std::f64::consts::PI * x).sqrt();
        }
        term = next;
        sum += term;
        m += 1.0;
    }
}

/// ln I₀(x), x ≥ 0.
pub(crate) fn ln_bessel_i0(x: f64) -> f64 {
    x + scaled(0, x).ln()
}

/// I₁(x)/I₀(x), x ≥ 0: the mean resultant length of a von Mises distribution.
pub(crate) fn bessel_ratio(x: f64) -> f64 {
    if x.is_infinite() { 1.0 } else { scaled(1, x) / scaled(0, x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_on_both_sides_of_the_change_of_series() {
        // Abramowitz and Stegun, tables 9.8 and 9.11: I₀(1), I₁(1), e⁻¹⁰ I₀(10), e⁻¹⁰ I₁(10).
        assert!((ln_bessel_i0(1.0) - 1.266_065_877_752_008_4_f64.ln()).abs() < 1e-15);
        assert!(
            (bessel_ratio(1.0) - 0.565_159_103_992_485 / 1.266_065_877_752_008_4).abs() < 1e-15
        );
        assert!((scaled(0, 10.0) - 0.127_833_337_163_428).abs() < 1e-14);
        assert!((scaled(1, 10.0) - 0.121_262_681_384_455_5).abs() < 1e-14);
        assert_eq!((ln_bessel_i0(0.0), bessel_ratio(0.0)), (0.0, 0.0));
        let below = LARGE * (1.0 - f64::EPSILON);
        for order in [0, 1] {
            let step = scaled(order, LARGE) / scaled(order, below) - 1.0;
            assert!(step.abs() < 1e-14, "{order}: {step:e}");
        }
        assert!(ln_bessel_i0(1e6).is_finite() && bessel_ratio(1e9) < 1.0);
    }
}
