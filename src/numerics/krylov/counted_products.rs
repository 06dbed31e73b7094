//! Products that are counted, timed, checked and brought to a scale where squares neither overflow
//! nor underflow.

use std::time::Instant;

use super::LinearOperator;
use crate::{Error, Real, Result, parallel};

/// Elements of one task of a check.
const PIECE: usize = 1 << 14;

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
        // A piece with a NaN or an infinity has no largest element below infinity.
        let largest = parallel::reduce(
            y.len().div_ceil(PIECE),
            |piece| {
                let y = &y[piece * PIECE..y.len().min((piece + 1) * PIECE)];
                // NaN must not get lost in a maximum: select it, and keep it once there.
                y.iter().fold(T::ZERO, |largest, &y| {
                    let y = if y < T::ZERO { -y } else { y };
                    if y <= largest { largest } else { y }
                })
            },
            |a, b| *a = if b <= *a { *a } else { b },
        )
        .unwrap_or(T::ZERO);
        let finite = y.iter().all(|y| y.is_finite());
        if !finite {
            let index = y.iter().position(|y| !y.is_finite()).unwrap_or(0);
            let what = format!("product {} of the operator", self.count + index / n + 1);
            return Err(Error::NonFinite { what, index: index % n, value: y[index].to_f64() });
        }
        let largest = largest.to_f64();
        let scale = match self.scale {
            Some(scale) => scale,
            None if largest > 0.0 => {
                let scale = comfortable_scale::<T>(largest);
                self.scale = Some(scale);
                scale
            }
            None => 1.0,
        };
        if scale != 1.0 {
            parallel::for_each_piece(y, PIECE, |_, y| {
                for y in y {
                    *y = T::from_f64(y.to_f64() * scale);
                }
            });
        }
        self.count += x.len() / n;
        self.seconds += clock.elapsed().as_secs_f64();
        Ok(())
    }
}

/// 1 for ordinary sizes, else the power of two that brings `largest` to about 1.
fn comfortable_scale<T: Real>(largest: f64) -> f64 {
    let limit = if size_of::<T>() == 4 { 20.0 } else { 100.0 };
    let exponent = libm::floor(libm::log2(largest));
    if exponent.abs() <= limit { 1.0 } else { libm::exp2(-exponent.clamp(-1000.0, 1000.0)) }
}
