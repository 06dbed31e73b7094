//! The likelihood of a dimension given ratios of two distances.

/// The derivative in d of the logarithm of the likelihood of ratios μ = T_n₂/T_n₁,
///
/// count/d + between Σ ln μ/(1 − μ^(−d)) − outer Σ ln μ, between = n₂ − n₁ − 1, outer = n₂ − 1,
///
/// which falls with d.
pub(super) struct RatioScore<'a> {
    /// ln μ ≥ 0 of each point.
    pub logs: &'a [f64],
    pub count: f64,
    pub between: f64,
    pub outer: f64,
}

impl RatioScore<'_> {
    /// The part of one ratio. The two terms nearly cancel for large d: they are taken together. Of
    /// μ = 1 it is the limit.
    pub fn of_ratio(&self, d: f64, log: f64) -> f64 {
        if log == 0.0 {
            return self.between / d;
        }
        log * (self.between / -(-d * log).exp_m1() - self.outer)
    }

    /// The score.
    pub fn at(&self, d: f64) -> f64 {
        self.count / d + self.logs.iter().map(|log| self.of_ratio(d, *log)).sum::<f64>()
    }

    /// Its derivative, with `count` in the first term: minus the information.
    pub fn slope(&self, d: f64, count: f64) -> f64 {
        let square = |log: &f64| match *log == 0.0 {
            true => 1.0 / (d * d),
            false => (log / (2.0 * (0.5 * d * log).sinh())).powi(2),
        };
        -count / (d * d) - self.between * self.logs.iter().map(square).sum::<f64>()
    }

    /// Where the score is 0: Newton's method in a bracket that always shrinks. NaN without a root.
    pub fn root(&self) -> f64 {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        while self.at(high) > 0.0 {
            (low, high) = (high, 2.0 * high);
            if high > 1e300 {
                return f64::NAN;
            }
        }
        let mut d = 0.5 * (low + high);
        for _ in 0..200 {
            let score = self.at(d);
            if score > 0.0 {
                low = d
            } else {
                high = d
            }
            let step = d - score / self.slope(d, self.count);
            let next = if step > low && step < high { step } else { 0.5 * (low + high) };
            if (next - d).abs() <= 1e-15 * d {
                return next;
            }
            d = next;
        }
        d
    }
}
