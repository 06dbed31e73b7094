//! What a random estimate says: a value and how far it may be off.

/// A mean of independent samples, and the standard error of that mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// Sample standard deviation over √samples; infinite for one sample, which says nothing of
    /// its spread.
    pub standard_error: f64,
}

impl Estimate {
    /// Mean and standard error, in two passes. NaN for no samples.
    #[must_use]
    pub fn of(samples: &[f64]) -> Self {
        let m = samples.len() as f64;
        let value = samples.iter().sum::<f64>() / m;
        let squares: f64 = samples.iter().map(|x| (x - value) * (x - value)).sum();
        let standard_error =
            if samples.len() == 1 { f64::INFINITY } else { (squares / (m - 1.0) / m).sqrt() };
        Self { value, standard_error }
    }
}

/// How a random estimate ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EstimateStatus {
    /// Every product of a basis was formed: the value is exact but for rounding.
    Exact,
    /// The standard error met the tolerance before the budget was spent.
    Converged,
    /// The budget was spent.
    BudgetSpent,
    /// The callback asked to stop; the result is what was known then.
    Interrupted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_standard_error() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 6.0]);
        assert_eq!(estimate.value, 3.0);
        assert!((estimate.standard_error - (14.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        let one = Estimate::of(&[2.0]);
        assert_eq!(one, Estimate { value: 2.0, standard_error: f64::INFINITY });
        assert!(Estimate::of(&[]).value.is_nan());
    }
}
