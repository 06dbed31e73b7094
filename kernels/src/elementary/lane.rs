//! A vector with operators, so that a formula reads like one.

use core::any::TypeId;
use core::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Sub};

use pulp::Simd;

use crate::Real;

/// One vector of `T` on the instruction set `S`.
#[derive(Debug)]
pub(crate) struct Lane<T: Real, S: Simd> {
    simd: S,
    value: T::Vector<S>,
}

impl<T: Real, S: Simd> Clone for Lane<T, S> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Real, S: Simd> Copy for Lane<T, S> {}

/// A comparison of two [`Lane`]s.
pub(crate) struct LaneMask<T: Real, S: Simd> {
    simd: S,
    mask: T::Mask<S>,
}

/// The constant of the type at hand.
#[inline(always)]
pub(crate) fn choose<T: Real, C>(single: C, double: C) -> C {
    if is_single::<T>() { single } else { double }
}

#[inline(always)]
pub(crate) fn is_single<T: Real>() -> bool {
    size_of::<T>() == 4
}

impl<T: Real, S: Simd> Lane<T, S> {
    #[inline(always)]
    pub(crate) fn new(simd: S, value: T::Vector<S>) -> Self {
        Self { simd, value }
    }

    #[inline(always)]
    pub(crate) fn get(self) -> T::Vector<S> {
        self.value
    }

    #[inline(always)]
    pub(crate) fn simd(self) -> S {
        self.simd
    }

    /// A constant, rounded to `T`, in every lane.
    #[inline(always)]
    pub(crate) fn splat(self, constant: f64) -> Self {
        Self::new(self.simd, T::splat(self.simd, T::from_f64(constant)))
    }

    /// self·b + c.
    #[inline(always)]
    pub(crate) fn mul_add(self, b: Self, c: Self) -> Self {
        Self::new(self.simd, T::mul_add(self.simd, self.value, b.value, c.value))
    }

    /// self − a·b.
    #[inline(always)]
    pub(crate) fn minus_product(self, a: Self, b: Self) -> Self {
        Self::new(self.simd, T::neg_mul_add(self.simd, a.value, b.value, self.value))
    }

    /// self − a·b for a·b close to self, with one rounding, fused or not.
    #[inline(always)]
    pub(crate) fn minus_exact_product(self, a: Self, b: Self) -> Self {
        if TypeId::of::<S>() != TypeId::of::<pulp::Scalar>() {
            return self.minus_product(a, b);
        }
        let (a1, b1) = (a.upper_half(), b.upper_half());
        let (a2, b2) = (a - a1, b - b1);
        // The four partial products are exact, and so is each difference but the last.
        (((self - a1 * b1) - a1 * b2) - a2 * b1) - a2 * b2
    }

    #[inline(always)]
    pub(crate) fn abs(self) -> Self {
        Self::new(self.simd, T::abs(self.simd, self.value))
    }

    #[inline(always)]
    pub(crate) fn less_than(self, other: Self) -> LaneMask<T, S> {
        LaneMask { simd: self.simd, mask: T::less_than(self.simd, self.value, other.value) }
    }

    #[inline(always)]
    pub(crate) fn less_equal(self, other: Self) -> LaneMask<T, S> {
        LaneMask { simd: self.simd, mask: T::less_equal(self.simd, self.value, other.value) }
    }

    #[inline(always)]
    pub(crate) fn equal(self, other: Self) -> LaneMask<T, S> {
        LaneMask { simd: self.simd, mask: T::equal(self.simd, self.value, other.value) }
    }

    /// self where it is at most `limit` or NaN, else `limit`.
    #[inline(always)]
    pub(crate) fn at_most(self, limit: f64) -> Self {
        let limit = self.splat(limit);
        limit.less_than(self).select(limit, self)
    }

    /// self where it is at least `limit` or NaN, else `limit`.
    #[inline(always)]
    pub(crate) fn at_least(self, limit: f64) -> Self {
        let limit = self.splat(limit);
        self.less_than(limit).select(limit, self)
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> T::Bits<S> {
        T::to_bits_v(self.simd, self.value)
    }

    #[inline(always)]
    pub(crate) fn from_bits(simd: S, bits: T::Bits<S>) -> Self {
        Self::new(simd, T::from_bits_v(simd, bits))
    }

    /// The sign bit of self and nothing else.
    #[inline(always)]
    pub(crate) fn sign(self) -> Self {
        self & self.splat(-0.0)
    }

    /// self with its low bits cleared, so that its square is exact.
    #[inline(always)]
    pub(crate) fn upper_half(self) -> Self {
        let mask = choose::<T, u64>(0xffff_f000, 0xffff_ffff_f800_0000);
        let mask = T::splat_bits(self.simd, mask);
        Self::from_bits(self.simd, T::and_bits(self.simd, self.bits(), mask))
    }

    /// Σ cᵢ selfⁱ, by Horner's rule, with the coefficients of the type at hand.
    #[inline(always)]
    pub(crate) fn polynomial<const N: usize, const M: usize>(
        self,
        single: &[f64; N],
        double: &[f64; M],
    ) -> Self {
        if is_single::<T>() { self.horner(single) } else { self.horner(double) }
    }

    #[inline(always)]
    fn horner<const N: usize>(self, coefficients: &[f64; N]) -> Self {
        let mut sum = self.splat(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = sum.mul_add(self, self.splat(coefficients[i]));
        }
        sum
    }
}

impl<T: Real, S: Simd> LaneMask<T, S> {
    /// Lane by lane `a` where the comparison holds, else `b`.
    #[inline(always)]
    pub(crate) fn select(self, a: Lane<T, S>, b: Lane<T, S>) -> Lane<T, S> {
        Lane::new(self.simd, T::select(self.simd, self.mask, a.value, b.value))
    }
}

macro_rules! operator {
    ($($trait:ident $name:ident),*) => {$(
        impl<T: Real, S: Simd> $trait for Lane<T, S> {
            type Output = Self;
            #[inline(always)]
            fn $name(self, other: Self) -> Self {
                Self::new(self.simd, <T as crate::lanes::Lanes>::$name(
                    self.simd, self.value, other.value,
                ))
            }
        }
    )*};
}
operator!(Add add, Sub sub, Mul mul, Div div);

impl<T: Real, S: Simd> Neg for Lane<T, S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self::new(self.simd, <T as crate::lanes::Lanes>::neg(self.simd, self.value))
    }
}

impl<T: Real, S: Simd> BitAnd for Lane<T, S> {
    type Output = Self;
    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        Self::from_bits(self.simd, T::and_bits(self.simd, self.bits(), other.bits()))
    }
}

impl<T: Real, S: Simd> BitOr for Lane<T, S> {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self::from_bits(self.simd, T::or_bits(self.simd, self.bits(), other.bits()))
    }
}
