//! A compensated sum.

/// Σ of what it was given, as if added in twice the precision (Neumaier 1974).
#[derive(Clone, Copy, Default)]
pub(super) struct CompensatedSum {
    sum: f64,
    lost: f64,
}

impl CompensatedSum {
    #[inline(always)]
    pub(super) fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        self.lost +=
            if self.sum.abs() >= x.abs() { (self.sum - sum) + x } else { (x - sum) + self.sum };
        self.sum = sum;
    }

    #[inline(always)]
    pub(super) fn value(self) -> f64 {
        // An infinite sum has lost NaN, and is still infinite.
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }
}
