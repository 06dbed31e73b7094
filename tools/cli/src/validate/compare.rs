//! When two arrays are the same.

use serde::Serialize;

use super::Numbers;

/// How far an output may be from the reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "rule", content = "tolerance")]
pub enum Rule {
    /// max |got − want| ≤ tolerance · max |want| over the finite entries.
    Relative(f64),
    /// max |got − want| ≤ tolerance.
    Absolute(f64),
    /// Equal.
    Exact,
}

/// The comparison of one output with the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The array.
    pub array: String,
    /// In the units of the tolerance; infinite where nothing can be compared.
    pub error: f64,
    /// How it was compared.
    #[serde(flatten)]
    pub rule: Rule,
    /// Whether the error is within the tolerance.
    pub pass: bool,
    /// What stands in the way of a comparison, or what there is to say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Rule {
    /// The largest error that passes.
    #[must_use]
    pub fn tolerance(self) -> f64 {
        match self {
            Rule::Relative(tolerance) | Rule::Absolute(tolerance) => tolerance,
            Rule::Exact => 0.0,
        }
    }

    /// Compares `got` with `want`.
    ///
    /// NaN equals NaN and an infinity equals itself; either against anything else is an infinite
    /// error. Against a reference of zeros, [`Rule::Relative`] passes zeros only.
    #[must_use]
    pub fn check(self, array: &str, got: &Numbers, want: &Numbers) -> Check {
        let (error, detail) = if got.shape == want.shape {
            self.error(&got.values, &want.values)
        } else {
            let detail = format!("expected shape {:?}, got {:?}", want.shape, got.shape);
            (f64::INFINITY, Some(detail))
        };
        // An error that is NaN fails.
        let pass = error <= self.tolerance();
        Check { array: array.to_owned(), error, rule: self, pass, detail }
    }

    fn error(self, got: &[f64], want: &[f64]) -> (f64, Option<String>) {
        let mut largest = 0.0;
        let mut error = 0.0;
        for (index, (&got, &want)) in got.iter().zip(want).enumerate() {
            if got == want || (got.is_nan() && want.is_nan()) {
                largest = max(largest, if want.is_finite() { want.abs() } else { 0.0 });
            } else if got.is_finite() && want.is_finite() {
                largest = max(largest, want.abs());
                error = max(error, (got - want).abs());
            } else {
                let detail = format!("expected {want} at index {index}, got {got}");
                return (f64::INFINITY, Some(detail));
            }
        }
        match self {
            Rule::Relative(_) if error > 0.0 => (error / largest, None),
            _ => (error, None),
        }
    }
}

/// The larger of two numbers that are not NaN.
fn max(a: f64, b: f64) -> f64 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, got: &[f64], want: &[f64]) -> Check {
        rule.check("x", &Numbers::vector(got.to_vec()), &Numbers::vector(want.to_vec()))
    }

    #[test]
    fn relative_is_to_the_largest_entry_of_the_reference() {
        let near = check(Rule::Relative(1e-3), &[100.0, 0.1], &[100.0, 0.0]);
        assert_eq!((near.error, near.pass), (1e-3, true));
        assert!(!check(Rule::Relative(0.9e-3), &[100.0, 0.1], &[100.0, 0.0]).pass);
        assert!(!check(Rule::Absolute(0.09), &[100.0, 0.1], &[100.0, 0.0]).pass);
        assert!(check(Rule::Absolute(0.1), &[100.0, 0.1], &[100.0, 0.0]).pass);
        assert!(!check(Rule::Exact, &[1.0 + f64::EPSILON], &[1.0]).pass);
        assert!(check(Rule::Exact, &[0.0], &[-0.0]).pass);
    }

    #[test]
    fn against_zeros_only_zeros_pass() {
        assert!(check(Rule::Relative(0.5), &[0.0, 0.0], &[0.0, 0.0]).pass);
        let off = check(Rule::Relative(0.5), &[0.0, 1e-300], &[0.0, 0.0]);
        assert_eq!((off.error, off.pass), (f64::INFINITY, false));
    }

    #[test]
    fn nan_and_infinities_must_be_where_the_reference_has_them() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert!(check(Rule::Relative(1e-9), &[nan, inf, 1.0], &[nan, inf, 1.0]).pass);
        for (got, want) in [(nan, 1.0), (1.0, nan), (inf, -inf), (1.0, inf), (inf, nan)] {
            let check = check(Rule::Relative(1e300), &[got, 5.0], &[want, 5.0]);
            assert!(!check.pass && check.detail.is_some(), "{got} against {want}");
        }
        // An infinite reference entry does not hide an error elsewhere.
        assert!(!check(Rule::Relative(1e-9), &[inf, 1.1], &[inf, 1.0]).pass);
    }

    #[test]
    fn shapes_must_agree_even_where_the_elements_do() {
        let got = Numbers::matrix(1, 2, vec![1.0, 2.0]);
        let check = Rule::Exact.check("x", &got, &Numbers::vector(vec![1.0, 2.0]));
        assert!(!check.pass);
        assert_eq!(check.detail.unwrap(), "expected shape [2], got [1, 2]");
    }
}
