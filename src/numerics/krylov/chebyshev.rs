//! Chebyshev filters: polynomials of the operator that spread out one end of its spectrum.

use hesse_kernels::pulp::{Simd, WithSimd};

use super::LinearOperator;
use super::counted_products::CountedProducts;
use super::long_vectors::PIECE;
use crate::{Isa, Real, Result, parallel};

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

/// Largest value of the filter on the wanted side: arcosh of it. More would flatten the gaps
/// between the wanted values (see above) and lose digits, cosh(5) = 74 loses two.
const LARGEST: f64 = 5.0;

/// Degrees beyond this save nothing more: orthogonalisation is a small part already.
const MOST: f64 = 60.0;

impl ChebyshevFilter {
    /// The filter for an unwanted interval that ends at `cut` towards the wanted values, whose last
    /// one is `extreme`, and at `far` on the other side. `None` if its degree would be below 3.
    pub fn new(far: f64, cut: f64, extreme: f64) -> Option<Self> {
        let (centre, half_width) = (0.5 * (far + cut), 0.5 * (cut - far));
        let reach = (extreme - centre) / half_width;
        if !(reach > 1.0) {
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
        x: &[T],
        y: &mut [T],
    ) -> Result<()> {
        let isa = Isa::current();
        let (c, e) = (self.centre, self.half_width);
        let mut previous = x.to_vec();
        let mut current = vec![T::ZERO; x.len()];
        products.multiply(x, &mut current)?;
        // T₁ = (A − c)/e, T_{j+1} = 2 (A − c)/e T_j − T_{j−1}.
        recurrence(isa, [1.0 / e, -c / e, 0.0], &mut current, x, x);
        for _ in 1..self.degree {
            products.multiply(&current, y)?;
            recurrence(isa, [2.0 / e, -2.0 * c / e, -1.0], y, &current, &previous);
            previous.copy_from_slice(&current);
            current.copy_from_slice(y);
        }
        y.copy_from_slice(&current);
        Ok(())
    }
}

/// w ← a w + b u + c v.
fn recurrence<T: Real>(isa: Isa, factors: [f64; 3], w: &mut [T], u: &[T], v: &[T]) {
    let factors = factors.map(T::from_f64);
    parallel::for_each_piece(w, PIECE, |i, w| {
        let range = i * PIECE..i * PIECE + w.len();
        isa.dispatch(Combine { factors, w, u: &u[range.clone()], v: &v[range] });
    });
}

struct Combine<'a, T> {
    factors: [T; 3],
    w: &'a mut [T],
    u: &'a [T],
    v: &'a [T],
}

impl<T: Real> WithSimd for Combine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let [a, b, c] = self.factors;
        for ((w, &u), &v) in self.w.iter_mut().zip(self.u).zip(self.v) {
            *w = a * *w + b * u + c * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::krylov::Diagonal;

    #[test]
    fn filters_are_chebyshev_polynomials_and_are_inverted() {
        let values: Vec<f64> = (0..=40).map(|i| 0.25 * f64::from(i)).collect();
        let a = Diagonal::new(values.clone()).unwrap();
        for (far, cut, extreme) in [(0.0, 9.0, 10.0), (10.0, 0.5, 0.0)] {
            let filter = ChebyshevFilter::new(far, cut, extreme).unwrap();
            let mut products = CountedProducts::new(&a, 1000);
            let mut y = vec![f64::NAN; values.len()];
            filter.apply(&mut products, &vec![1.0; values.len()], &mut y).unwrap();
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
            assert!(y.iter().all(|&y| y < 75.0 + 1e-6));
        }
        assert!(ChebyshevFilter::new(0.0, 1.0, 10.0).is_none());
        assert!(ChebyshevFilter::new(0.0, 1.0, 1.0).is_none());
    }
}
