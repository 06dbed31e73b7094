//! Products that are counted, timed, checked and brought to a scale where squares neither overflow
//! nor underflow.

use std::time::Instant;

use super::LinearOperator;
use super::long_vectors::{all_finite, largest, scale};
use crate::{Error, Isa, Real, Result};

/// The operator 2ˢA, s = 0 unless the elements of the first products are extreme.
pub(super) struct CountedProducts<'a, T, A: ?Sized> {
    operator: &'a A,
    count: usize,
    limit: usize,
    scale: Option<f64>,
    pub seconds: f64,
    element: std::marker::PhantomData<T>,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> CountedProducts<'a, T, A> {
    pub fn new(operator: &'a A, limit: usize) -> Self {
        let element = std::marker::PhantomData;
        Self { operator, count: 0, limit, scale: None, seconds: 0.0, element }
    }

    pub fn dimension(&self) -> usize {
        self.operator.dimension()
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// How many more are allowed.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.count)
    }

    /// A number of the scaled operator in the units of the given one. May overflow to infinity
    /// where the true number does.
    pub fn unscaled(&self, value: f64) -> f64 {
        value / self.scale.unwrap_or(1.0)
    }

    /// Y ← 2ˢ A X.
    ///
    /// # Errors
    /// [`Error::NonFinite`] with the number of the product, from 1.
    pub fn multiply(&mut self, x: &[T], y: &mut [T]) -> Result<()> {
        let clock = Instant::now();
        self.operator.apply_block(x, y);
        let n = self.dimension();
        let isa = Isa::current();
        if !all_finite(isa, y) {
            let index = y.iter().position(|y| !y.is_finite()).unwrap_or(0);
            let what = format!("product {} of the operator", self.count + index / n + 1);
            return Err(Error::NonFinite { what, index: index % n, value: y[index].to_f64() });
        }
        let factor = self.scale.unwrap_or_else(|| {
            let largest = largest(isa, y);
            if largest == 0.0 {
                return 1.0;
            }
            *self.scale.insert(comfortable_scale::<T>(largest))
        });
        if factor != 1.0 {
            scale(isa, factor, y);
        }
        self.count += x.len() / n;
        self.seconds += clock.elapsed().as_secs_f64();
        Ok(())
    }
}

impl<T: Real, A: LinearOperator<T> + ?Sized> CountedProducts<'_, T, A> {
    /// X ← Y₁ of Y₁ = αAX + βX + γY₀ and so on for all `steps` (factors α, β, γ), the places of X and
    /// Y taking turns; vectors side by side. The last result is in `y`.
    ///
    /// # Errors
    /// [`Error::NonFinite`] naming the range of products, if the last result is not finite.
    pub fn recur(
        &mut self,
        k: usize,
        steps: &[[f64; 3]],
        x: &mut Vec<T>,
        y: &mut Vec<T>,
    ) -> Result<()> {
        let clock = Instant::now();
        let first = self.count + 1;
        let factor = self.scale.unwrap_or(1.0);
        for (i, &[alpha, beta, gamma]) in steps.iter().enumerate() {
            if i > 0 {
                std::mem::swap(x, y);
            }
            let factors = [alpha * factor, beta, gamma].map(T::from_f64);
            self.operator.recurrence(k, factors, x, y);
            self.count += k;
        }
        self.seconds += clock.elapsed().as_secs_f64();
        // A NaN or an infinity stays one, or becomes NaN, in every later step.
        if !all_finite(Isa::current(), y) {
            let index = y.iter().position(|y| !y.is_finite()).unwrap_or(0);
            let what = format!("products {first} to {} of the operator", self.count);
            return Err(Error::NonFinite { what, index: index / k, value: y[index].to_f64() });
        }
        Ok(())
    }
}

/// 1 for ordinary sizes, else the power of two that brings `largest` to about 1.
fn comfortable_scale<T: Real>(largest: f64) -> f64 {
    let limit = if size_of::<T>() == 4 { 20.0 } else { 100.0 };
    let exponent = libm::floor(libm::log2(largest));
    if exponent.abs() <= limit { 1.0 } else { libm::exp2(-exponent.clamp(-1000.0, 1000.0)) }
}
