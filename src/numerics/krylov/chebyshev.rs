//! Chebyshev filters: polynomials of the operator that spread out one end of its spectrum.

use super::LinearOperator;
use super::counted_products::CountedProducts;
use super::long_vectors::PIECE;
use crate::{Real, Result, parallel};

/// B = T_d((A − c)/e), T_d the Chebyshev polynomial.
///
/// On the unwanted interval [c − |e|, c + |e|] its eigenvalues lie in [−1, 1]; beyond, on the side
/// to which e points, they grow like cosh(d·arcosh x). As T_s(T_d) = T_sd, s steps of Lanczos with B
/// are as good as s·d steps with A where all the unwanted eigenvalues lie in that interval, for s
/// orthogonalisations. An unwanted one outside costs some of that: with T_d = cosh y at it, the
/// gap seen by Lanczos is d²·2·tanh(y/2)/y times that of A.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChebyshevFilter {
    centre: f64,
    half_width: f64,
    pub degree: usize,
}

/// arcosh of the filter's largest value, cosh(3) = 10. More would flatten the gaps between the
/// wanted values (see above), less orthogonalises more often: on the grid of the benchmark 2, 3 and
/// 4 take 2294, 2410 and 2530 products in spaces of 42 columns.
const LARGEST: f64 = 3.0;

/// Higher degrees save nothing more, orthogonalisation is a small part by then, and the filter that
/// replaces another one starts from mixtures of the best vectors alone, so the last step up must
/// come early.
const MOST: f64 = 16.0;

/// Vectors that a filter works in, kept from one use to the next.
#[derive(Debug, Default)]
pub(super) struct FilterScratch<T> {
    now: Vec<T>,
    next: Vec<T>,
}

impl ChebyshevFilter {
    /// The filter for an unwanted interval that ends at `cut` towards the wanted values, whose last
    /// one is `extreme`, and at `far` on the other side. `None` if its degree would be below 3.
    pub fn new(far: f64, cut: f64, extreme: f64) -> Option<Self> {
        let (centre, half_width) = (0.5 * (far + cut), 0.5 * (cut - far));
        let reach = (extreme - centre) / half_width;
        if reach.is_nan() || reach <= 1.0 {
            return None;
        }
        let degree = (LARGEST / libm::acosh(reach)).min(MOST);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most MOST
        let degree = degree as usize;
        (degree >= 3).then_some(Self { centre, half_width, degree })
    }

    /// The end of the unwanted interval towards the wanted values.
    pub fn cut(&self) -> f64 {
        self.centre + self.half_width
    }

    /// The other end of the unwanted interval.
    pub fn far(&self) -> f64 {
        self.centre - self.half_width
    }

    /// Whether `value` lies beyond the cut.
    pub fn is_beyond(&self, value: f64) -> bool {
        (value - self.centre) / self.half_width > 1.0
    }

    /// The eigenvalue of A that has the eigenvalue `theta` of B; the cut where that is no more
    /// than 1.
    pub fn inverse(&self, theta: f64) -> f64 {
        let x = if theta > 1.0 { libm::cosh(libm::acosh(theta) / self.degree as f64) } else { 1.0 };
        self.centre + self.half_width * x
    }

    /// A residual of A from one of B at `theta`. Components at other wanted values shrink by the
    /// slope of T_d, components at unwanted ones by the width of the interval over T_d − 1.
    pub fn residual(&self, theta: f64, residual: f64) -> f64 {
        if residual == 0.0 {
            return 0.0;
        }
        if theta <= 1.0 {
            return (self.inverse(theta + residual) - self.cut()).abs();
        }
        let angle = libm::acosh(theta);
        let d = self.degree as f64;
        let slope = d * libm::sinh(angle) / libm::sinh(angle / d);
        residual * self.half_width.abs() * (1.0 / slope).max(2.0 / (theta - 1.0))
    }

    /// Y ← B X: degree × (columns of X) products.
    pub fn apply<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        products: &mut CountedProducts<'_, T, A>,
        scratch: &mut FilterScratch<T>,
        x: &[T],
        y: &mut [T],
    ) -> Result<()> {
        let n = products.dimension();
        let k = x.len() / n;
        let (c, e) = (self.centre, self.half_width);
        // T₁ = (A − c)/e, T_{j+1} = 2 (A − c)/e T_j − T_{j−1}.
        let mut steps = vec![[2.0 / e, -2.0 * c / e, -1.0]; self.degree];
        steps[0] = [1.0 / e, -c / e, 0.0];
        let FilterScratch { now, next } = scratch;
        interleave(x, n, now);
        // Read once with the factor 0, so it must hold numbers.
        next.clear();
        next.extend_from_slice(now);
        products.recur(k, &steps, now, next)?;
        for (c, y) in y.chunks_exact_mut(n).enumerate() {
            parallel::for_each_piece(y, PIECE, |i, y| {
                for (y, row) in y.iter_mut().zip(next[i * PIECE * k..].chunks_exact(k)) {
                    *y = row[c];
                }
            });
        }
        Ok(())
    }
}

/// `rows` ← vectors of length n, one after the other in `x`, side by side.
fn interleave<T: Real>(x: &[T], n: usize, rows: &mut Vec<T>) {
    let k = x.len() / n;
    rows.resize(x.len(), T::ZERO);
    parallel::for_each_piece(rows, PIECE * k, |i, rows| {
        for (c, x) in x.chunks_exact(n).enumerate() {
            for (row, &x) in rows.chunks_exact_mut(k).zip(&x[i * PIECE..]) {
                row[c] = x;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::Diagonal;

    #[test]
    fn filters_are_chebyshev_polynomials_and_are_inverted() {
        let values: Vec<f64> = (0..=40).map(|i| 0.25 * f64::from(i)).collect();
        let a = Diagonal::new(values.clone()).unwrap();
        for (far, cut, extreme) in [(0.0, 9.5, 10.0), (10.0, 0.2, 0.0)] {
            let filter = ChebyshevFilter::new(far, cut, extreme).unwrap();
            let mut products = CountedProducts::new(&a, 1000);
            let mut y = vec![f64::NAN; values.len()];
            let ones = vec![1.0; values.len()];
            filter.apply(&mut products, &mut FilterScratch::default(), &ones, &mut y).unwrap();
            assert_eq!(products.count(), filter.degree);
            let d = filter.degree as f64;
            for (&value, &theta) in values.iter().zip(&y) {
                let x = (value - 0.5 * (far + cut)) / (0.5 * (cut - far));
                let want = if x > 1.0 { (d * x.acosh()).cosh() } else { (d * x.acos()).cos() };
                assert!((theta - want).abs() < 1e-11 * want.abs().max(1.0), "{value}");
                assert_eq!(filter.is_beyond(value), theta > 1.0 + 1e-9);
                if filter.is_beyond(value) {
                    assert!((filter.inverse(theta) - value).abs() < 1e-12);
                }
            }
            assert!(y.iter().all(|&y| y < 10.1));
        }
        assert!(ChebyshevFilter::new(0.0, 1.0, 10.0).is_none());
        assert!(ChebyshevFilter::new(0.0, 1.0, 1.0).is_none());
    }
}
