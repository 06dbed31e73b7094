//! Quantities for people: three figures and a unit.

/// A time: `1.23 ms`.
#[must_use]
pub fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-6 => format!("{} ns", three(s * 1e9)),
        s if s < 1e-3 => format!("{} µs", three(s * 1e6)),
        s if s < 1.0 => format!("{} ms", three(s * 1e3)),
        s if s < 120.0 => format!("{} s", three(s)),
        s => format!("{} min", three(s / 60.0)),
    }
}

/// A count or a rate without unit, about three figures: `12.3`, `0.0457`, `1.20e-15`.
#[must_use]
pub fn three(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 {
        "0".to_owned()
    } else if !x.is_finite() {
        x.to_string()
    } else if (0.001..0.9995).contains(&size) {
        let digits = if size < 0.009_995 {
            5
        } else if size < 0.099_95 {
            4
        } else {
            3
        };
        format!("{x:.digits$}")
    } else if (0.9995..9999.5).contains(&size) {
        let digits = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
        format!("{x:.digits$}")
    } else {
        format!("{x:.2e}")
    }
}

/// A share of a whole: `83 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_figures_and_a_unit() {
        let cases = [
            (seconds(1.234e-7), "123 ns"),
            (seconds(1.234e-4), "123 µs"),
            (seconds(0.01234), "12.3 ms"),
            (seconds(1.0), "1.00 s"),
            (seconds(600.0), "10.0 min"),
            (three(0.0), "0"),
            (three(-0.04567), "-0.0457"),
            (three(0.001234), "0.00123"),
            (three(9.999), "10.0"),
            (three(99.99), "100"),
            (three(1234.4), "1234"),
            (three(1.2e-15), "1.20e-15"),
            (three(f64::NAN), "NaN"),
            (three(f64::NEG_INFINITY), "-inf"),
            (percent(0.834), "83 %"),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
