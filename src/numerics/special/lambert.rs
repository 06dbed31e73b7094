//! Lambert's function.

/// W(x) for x ≥ 0, the w with w eʷ = x: Halley's method on w + ln w = ln x, which does not overflow.
pub(crate) fn lambert_w(x: f64) -> f64 {
    if x == 0.0 || x.is_infinite() || x.is_nan() {
        return x;
    }
    // Above e the logarithms are a good start; below, the first terms of the series are.
    let logarithm = x.ln();
    let mut w = if x > std::f64::consts::E { logarithm - logarithm.ln() } else { x / (1.0 + x) };
    for _ in 0..20 {
        let f = w + w.ln() - logarithm;
        let (first, second) = (1.0 + 1.0 / w, -1.0 / (w * w));
        let step = 2.0 * f * first / (2.0 * first * first - f * second);
        w -= step;
        if step.abs() <= 1e-16 * w {
            break;
        }
    }
    w
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_inverse() {
        assert_eq!(lambert_w(0.0), 0.0);
        assert!((lambert_w(std::f64::consts::E) - 1.0).abs() < 1e-15);
        assert!((lambert_w(1.0) - 0.567_143_290_409_783_8).abs() < 1e-15);
        for w in [1e-12_f64, 1e-3, 0.3, 2.0, 17.0, 300.0] {
            let got = lambert_w(w * w.exp());
            assert!((got - w).abs() <= 4e-15 * w * (1.0 + w), "{w}: {got}");
        }
    }
}
