//! What points are screened in.

use core::fmt::Debug;

use pulp::{Simd, bytemuck};

use super::Screen;
use super::candidates::Cut;
use crate::lanes::Lanes;
use crate::{Isa, missing};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i32 {}
}

/// `f32`, `f64`, or `i32`: a pair of 16-bit integers as a coordinate, an integer as a value.
///
/// Squared norms must stay below 2²⁹ for integers and of the order of 1 for the others.
#[allow(missing_docs)]
pub trait Screened:
    sealed::Sealed + bytemuck::Pod + Default + PartialOrd + Debug + Send + Sync + 'static
{
    type Vector<S: Simd>: Copy + Debug + bytemuck::Pod;
    /// A limit that nothing exceeds.
    const UNLIMITED: Self;
    /// A limit that nothing lies below.
    const NEVER: Self;
    /// Half the square of a point that is no point: near to none.
    const BEHIND: Self;

    /// Whether products are at least as fast as in the next wider type.
    fn fast(isa: Isa) -> bool;
    fn lanes<S: Simd>() -> usize;
    /// Whole vectors; what is left over is ignored.
    fn as_simd<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];
    fn splat<S: Simd>(simd: S, a: Self) -> Self::Vector<S>;
    /// ab + c.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn min<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Bit l is set where lane l of a is above that of b.
    fn above<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> u32;
    /// self − b.
    fn minus(self, b: Self) -> Self;
    /// (a + b)/2, rounded down for integers.
    fn middle(a: Self, b: Self) -> Self;
    /// The value as `f64`, exactly.
    fn exact(self) -> f64;

    fn screen(isa: Isa, op: Screen<'_, Self>);
    fn cut(isa: Isa, op: Cut<'_, '_, Self>);
}

// Compiled here, once: neither is generic.
macro_rules! compiled {
    () => {
        #[inline(never)]
        fn screen(isa: Isa, op: Screen<'_, Self>) {
            isa.dispatch(op);
        }
        #[inline(never)]
        fn cut(isa: Isa, op: Cut<'_, '_, Self>) {
            isa.dispatch(op);
        }
    };
}

macro_rules! floats {
    ($t:ident, $Vector:ident, $min:ident) => {
        impl Screened for $t {
            type Vector<S: Simd> = S::$Vector;
            const UNLIMITED: Self = 1e30;
            const NEVER: Self = -1e30;
            const BEHIND: Self = 1e35;

            fn fast(_: Isa) -> bool {
                true
            }
            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                <Self as Lanes>::lanes::<S>()
            }
            #[inline(always)]
            fn as_simd<S: Simd>(x: &[Self]) -> &[S::$Vector] {
                <Self as Lanes>::as_simd::<S>(x).0
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, a: Self) -> S::$Vector {
                <Self as Lanes>::splat(simd, a)
            }
            #[inline(always)]
            fn multiply_add<S: Simd>(
                simd: S,
                a: S::$Vector,
                b: S::$Vector,
                c: S::$Vector,
            ) -> S::$Vector {
                <Self as Lanes>::mul_add(simd, a, b, c)
            }
            #[inline(always)]
            fn sub<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> S::$Vector {
                <Self as Lanes>::sub(simd, a, b)
            }
            #[inline(always)]
            fn min<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> S::$Vector {
                simd.$min(a, b)
            }
            #[inline(always)]
            fn above<S: Simd>(simd: S, a: S::$Vector, b: S::$Vector) -> u32 {
                Self::mask_bits(simd, Self::less_than(simd, b, a))
            }
            #[inline(always)]
            fn minus(self, b: Self) -> Self {
                self - b
            }
            #[inline(always)]
            fn middle(a: Self, b: Self) -> Self {
                0.5 * a + 0.5 * b
            }
            fn exact(self) -> f64 {
                self.into()
            }
            compiled!();
        }
    };
}

floats!(f32, f32s, min_f32s);
floats!(f64, f64s, min_f64s);

impl Screened for i32 {
    type Vector<S: Simd> = S::i32s;
    const UNLIMITED: Self = 1 << 30;
    const NEVER: Self = -(1 << 30);
    const BEHIND: Self = 3 << 29;

    fn fast(isa: Isa) -> bool {
        matches!(isa.name(), "v3" | "v4")
    }
    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::I32_LANES
    }
    #[inline(always)]
    fn as_simd<S: Simd>(x: &[Self]) -> &[S::i32s] {
        S::as_simd_i32s(x).0
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, a: Self) -> S::i32s {
        simd.splat_i32s(a)
    }
    #[inline(always)]
    fn multiply_add<S: Simd>(simd: S, a: S::i32s, b: S::i32s, c: S::i32s) -> S::i32s {
        missing::multiply_add_pairs(simd, a, b, c)
    }
    #[inline(always)]
    fn sub<S: Simd>(simd: S, a: S::i32s, b: S::i32s) -> S::i32s {
        simd.sub_i32s(a, b)
    }
    #[inline(always)]
    fn min<S: Simd>(simd: S, a: S::i32s, b: S::i32s) -> S::i32s {
        simd.min_i32s(a, b)
    }
    #[inline(always)]
    fn above<S: Simd>(simd: S, a: S::i32s, b: S::i32s) -> u32 {
        missing::bits_of_m32s(simd, simd.greater_than_i32s(a, b))
    }
    #[inline(always)]
    fn minus(self, b: Self) -> Self {
        self.wrapping_sub(b)
    }
    #[inline(always)]
    fn middle(a: Self, b: Self) -> Self {
        (a >> 1) + (b >> 1) + (a & b & 1)
    }
    fn exact(self) -> f64 {
        self.into()
    }
    compiled!();
}
