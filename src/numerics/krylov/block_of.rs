//! A block on the diagonal of an operator.

use std::ops::Range;

use super::LinearOperator;
use crate::{Error, Real, Result};

/// PᵀAP with P the embedding of some coordinates, consecutive in the whole: the rows and columns of
/// a named array of parameters in a Hessian, say.
///
/// A product costs one of A, and a copy into and out of vectors of its dimension.
///
/// ```
/// use hesse::krylov::{BlockOf, Diagonal, LinearOperator};
/// let block = BlockOf::new(Diagonal::new(vec![1.0, 2.0, 3.0, 4.0])?, 1..3)?;
/// let mut y = [0.0; 2];
/// block.apply(&[1.0, 1.0], &mut y);
/// assert_eq!(y, [2.0, 3.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BlockOf<A> {
    inner: A,
    whole: usize,
    range: Range<usize>,
}

impl<A> BlockOf<A> {
    /// The coordinates `range` of `inner`.
    ///
    /// # Errors
    /// An empty range, or one that leaves the operator's dimension.
    pub fn new<T: Real>(inner: A, range: Range<usize>) -> Result<Self>
    where
        A: LinearOperator<T>,
    {
        if range.is_empty() {
            return Err(Error::empty("block: coordinates"));
        }
        let whole = inner.dimension();
        if range.end > whole {
            return Err(Error::range("block: end", format!("at most {whole}"), range.end));
        }
        Ok(Self { inner, whole, range })
    }

    /// The coordinates.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

impl<T: Real, A: LinearOperator<T>> LinearOperator<T> for BlockOf<A> {
    fn dimension(&self) -> usize {
        self.range.len()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let (n, m) = (self.whole, self.range.len());
        let count = x.len() / m;
        let mut from = vec![T::ZERO; count * n];
        for (from, x) in from.chunks_exact_mut(n).zip(x.chunks_exact(m)) {
            from[self.range.clone()].copy_from_slice(x);
        }
        let mut to = vec![T::ZERO; count * n];
        self.inner.apply_block(&from, &mut to);
        for (to, y) in to.chunks_exact(n).zip(y.chunks_exact_mut(m)) {
            y.copy_from_slice(&to[self.range.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::Diagonal;

    #[test]
    fn bad_ranges_are_refused() {
        let of = |range| {
            let inner = Diagonal::new(vec![1.0, 2.0]).unwrap();
            BlockOf::new(inner, range).unwrap_err().to_string()
        };
        assert_eq!(of(1..1), "block: coordinates: expected at least one, got none");
        assert_eq!(of(1..3), "block: end: expected at most 2, got 3");
    }
}
