//! Products with an operator: counted, checked, brought to a size whose square is a number.

use std::fmt;
use std::ops::ControlFlow;

use crate::error::check_finite;
use crate::{Error, Real, Result};

use super::LinearOperator;

/// How far a long run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EstimateProgress {
    /// Products done.
    pub products: usize,
    /// Products that the run may need.
    pub budget: usize,
}

/// What a run tells after each block of products; `Break` ends it with the result so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Callback<'a>(
    pub Option<&'a (dyn Fn(EstimateProgress) -> ControlFlow<()> + Sync)>,
);

impl fmt::Debug for Callback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

/// Products with 2^−e A, where e is 0 unless the first product is so large or so small that its
/// square might leave the range of `f64`. Scaling by a power of two is exact.
pub(super) struct Products<'a, A: ?Sized> {
    operator: &'a A,
    pub dimension: usize,
    pub count: usize,
    pub budget: usize,
    exponent: Option<i32>,
    progress: Callback<'a>,
}

impl<'a, A: ?Sized> Products<'a, A> {
    pub fn new<T: Real>(operator: &'a A, budget: usize, progress: Callback<'a>) -> Result<Self>
    where
        A: LinearOperator<T>,
    {
        let dimension = operator.dimension();
        if dimension == 0 {
            return Err(Error::empty("rows of the operator"));
        }
        Ok(Self { operator, dimension, count: 0, budget, exponent: None, progress })
    }

    /// Y ← 2^−e A X for the vectors in `x`, one after the other.
    pub fn apply<T: Real>(&mut self, x: &[T], y: &mut [T]) -> Result<ControlFlow<()>>
    where
        A: LinearOperator<T>,
    {
        let n = self.dimension;
        if x.len() == n {
            self.operator.apply(x, y);
        } else {
            self.operator.apply_block(x, y);
        }
        if !all_finite(y) {
            for (j, column) in y.chunks_exact(n).enumerate() {
                check_finite(&format!("product {}", self.count + j + 1), column)?;
            }
        }
        self.count += x.len() / n;
        let exponent = match self.exponent {
            Some(exponent) => exponent,
            None => {
                let largest = y.iter().fold(0.0, |a: f64, v| {
                    let v = v.to_f64().abs();
                    if v > a { v } else { a }
                });
                let exponent = if largest > 0.0 { libm::ilogb(largest) } else { 0 };
                // 2^±64 leaves room for fourth powers; 2^±1000 is still a normal number.
                let exponent = if exponent.abs() <= 64 { 0 } else { exponent.clamp(-1000, 1000) };
                if largest > 0.0 {
                    self.exponent = Some(exponent);
                }
                exponent
            }
        };
        if exponent != 0 {
            super::tall::scale(y, power_of_two(-exponent));
        }
        let Callback(Some(progress)) = self.progress else {
            return Ok(ControlFlow::Continue(()));
        };
        Ok(progress(EstimateProgress { products: self.count, budget: self.budget }))
    }

    /// The value for A of a quantity that was computed for 2^−e A and is linear in it.
    pub fn unscaled(&self, value: f64) -> f64 {
        value * power_of_two(self.exponent.unwrap_or(0))
    }
}

/// 2^e, exact for |e| ≤ 1022.
fn power_of_two(exponent: i32) -> f64 {
    libm::scalbn(1.0, exponent)
}

/// Branch-free, so that the compiler makes vector code of it.
fn all_finite<T: Real>(values: &[T]) -> bool {
    values.chunks(1024).all(|chunk| chunk.iter().fold(true, |all, v| all & v.is_finite()))
}
