//! One name for the vector operations of `f32` and `f64`, so that a kernel is written once for both.

use pulp::{MemMask, Simd, bytemuck};

use crate::missing;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Vectors of `Self` on the instruction set `S`: thin names over `pulp`, plus what it lacks.
///
/// `mul_add` is fused where the instruction set fuses, and two roundings on the scalar path.
#[allow(missing_docs)]
pub trait Lanes: sealed::Sealed + Sized + Copy + 'static {
    type Vector<S: Simd>: Copy + core::fmt::Debug + 'static;
    type Mask<S: Simd>: Copy + core::fmt::Debug;
    /// Unsigned integers of the same width, lane by lane.
    type Bits<S: Simd>: Copy + core::fmt::Debug;

    fn lanes<S: Simd>() -> usize;
    /// Number of `f64` vectors that hold one vector of `Self`: 1 or 2.
    fn wide<S: Simd>() -> usize;

    fn as_simd<S: Simd>(x: &[Self]) -> (&[Self::Vector<S>], &[Self]);
    fn as_mut_simd<S: Simd>(x: &mut [Self]) -> (&mut [Self::Vector<S>], &mut [Self]);
    /// The lanes in order.
    fn as_lanes<S: Simd>(v: &Self::Vector<S>) -> &[Self];
    /// Loads up to one vector, zeros behind the end of `x`.
    fn partial_load<S: Simd>(simd: S, x: &[Self]) -> Self::Vector<S>;
    /// Stores the first `x.len()` lanes.
    fn partial_store<S: Simd>(simd: S, x: &mut [Self], v: Self::Vector<S>);

    fn splat<S: Simd>(simd: S, a: Self) -> Self::Vector<S>;
    fn add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn sub<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn mul<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn div<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn sqrt<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
    fn neg<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
    fn abs<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Vector<S>;
    /// a·b + c.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// c − a·b.
    fn neg_mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// a < b, false where either is NaN.
    fn less_than<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;
    /// a ≤ b, false where either is NaN.
    fn less_equal<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;
    /// a = b, false where either is NaN.
    fn equal<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Mask<S>;
    /// Lane by lane `a` where the mask holds, else `b`. Never `min` or `max`: their NaN differs
    /// between instruction sets.
    fn select<S: Simd>(
        simd: S,
        mask: Self::Mask<S>,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// The mask that holds in lane i where bit i is set.
    fn mask_of_bits<S: Simd>(simd: S, bits: u64) -> Self::Mask<S>;
    /// Loads the lanes where the mask holds, zeros elsewhere.
    ///
    /// # Safety
    /// These lanes are readable at `p`; nothing is said of the others.
    unsafe fn masked_load<S: Simd>(simd: S, mask: Self::Mask<S>, p: *const Self)
    -> Self::Vector<S>;
    /// Stores the lanes where the mask holds.
    ///
    /// # Safety
    /// These lanes are writable at `p`.
    unsafe fn masked_store<S: Simd>(simd: S, mask: Self::Mask<S>, p: *mut Self, v: Self::Vector<S>);
    /// Whether the mask holds in any lane.
    fn any<S: Simd>(simd: S, mask: Self::Mask<S>) -> bool;
    /// Bit i says whether the mask holds in lane i.
    fn mask_bits<S: Simd>(simd: S, mask: Self::Mask<S>) -> u32;

    fn to_bits_v<S: Simd>(simd: S, a: Self::Vector<S>) -> Self::Bits<S>;
    fn from_bits_v<S: Simd>(simd: S, a: Self::Bits<S>) -> Self::Vector<S>;
    fn splat_bits<S: Simd>(simd: S, a: u64) -> Self::Bits<S>;
    fn add_bits<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S>;
    fn sub_bits<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S>;
    fn and_bits<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S>;
    fn or_bits<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S>;
    fn xor_bits<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S>;
    /// Logical shift to the left by `N` bits.
    fn shl_bits<S: Simd, const N: u32>(simd: S, a: Self::Bits<S>) -> Self::Bits<S>;
    /// Logical shift to the right by `N` bits.
    fn shr_bits<S: Simd, const N: u32>(simd: S, a: Self::Bits<S>) -> Self::Bits<S>;

    fn reduce_sum<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;

    /// The lanes in order as `f64`; where [`Lanes::wide`] is 1 the second vector is zero.
    fn widen<S: Simd>(simd: S, a: Self::Vector<S>) -> [S::f64s; 2];
    /// Inverse of [`Lanes::widen`], rounded to nearest.
    fn narrow<S: Simd>(simd: S, a: [S::f64s; 2]) -> Self::Vector<S>;
}

macro_rules! forward {
    ($($name:ident => $pulp:ident ( $($arg:ident),* ) -> $out:ident;)*) => {$(
        #[inline(always)]
        fn $name<S: Simd>(simd: S, $($arg: Self::Vector<S>),*) -> Self::$out<S> {
            simd.$pulp($($arg),*)
        }
    )*};
}

// `neg`, `abs` and `select` of `pulp` call each other's defaults, which are not always inlined and then
// run on the baseline instruction set; these are bits.
macro_rules! by_bits {
    ($Mask:ident, $Vector:ident, $select:ident, $sign:expr) => {
        #[inline(always)]
        fn neg<S: Simd>(simd: S, a: S::$Vector) -> S::$Vector {
            let flipped =
                Self::xor_bits(simd, Self::to_bits_v(simd, a), Self::splat_bits(simd, $sign));
            Self::from_bits_v::<S>(simd, flipped)
        }
        #[inline(always)]
        fn abs<S: Simd>(simd: S, a: S::$Vector) -> S::$Vector {
            let cleared =
                Self::and_bits(simd, Self::to_bits_v(simd, a), Self::splat_bits(simd, $sign - 1));
            Self::from_bits_v::<S>(simd, cleared)
        }
        #[inline(always)]
        fn select<S: Simd>(simd: S, mask: S::$Mask, a: S::$Vector, b: S::$Vector) -> S::$Vector {
            let (a, b) = (Self::to_bits_v(simd, a), Self::to_bits_v(simd, b));
            Self::from_bits_v::<S>(simd, simd.$select(mask, a, b))
        }
    };
}

macro_rules! forward_bits {
    ($($name:ident => $pulp:ident;)*) => {$(
        #[inline(always)]
        fn $name<S: Simd>(simd: S, a: Self::Bits<S>, b: Self::Bits<S>) -> Self::Bits<S> {
            simd.$pulp(a, b)
        }
    )*};
}

impl Lanes for f32 {
    type Vector<S: Simd> = S::f32s;
    type Mask<S: Simd> = S::m32s;
    type Bits<S: Simd> = S::u32s;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::F32_LANES
    }
    #[inline(always)]
    fn wide<S: Simd>() -> usize {
        S::F32_LANES / S::F64_LANES
    }
    #[inline(always)]
    fn as_simd<S: Simd>(x: &[Self]) -> (&[S::f32s], &[Self]) {
        S::as_simd_f32s(x)
    }
    #[inline(always)]
    fn as_mut_simd<S: Simd>(x: &mut [Self]) -> (&mut [S::f32s], &mut [Self]) {
        S::as_mut_simd_f32s(x)
    }
    #[inline(always)]
    fn as_lanes<S: Simd>(v: &S::f32s) -> &[Self] {
        bytemuck::cast_slice(core::slice::from_ref(v))
    }
    #[inline(always)]
    fn partial_load<S: Simd>(simd: S, x: &[Self]) -> S::f32s {
        simd.partial_load_f32s(x)
    }
    #[inline(always)]
    fn partial_store<S: Simd>(simd: S, x: &mut [Self], v: S::f32s) {
        simd.partial_store_f32s(x, v);
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, a: Self) -> S::f32s {
        simd.splat_f32s(a)
    }
    forward! {
        add => add_f32s(a, b) -> Vector;
        sub => sub_f32s(a, b) -> Vector;
        mul => mul_f32s(a, b) -> Vector;
        div => div_f32s(a, b) -> Vector;
        sqrt => sqrt_f32s(a) -> Vector;
        mul_add => mul_add_e_f32s(a, b, c) -> Vector;
        neg_mul_add => negate_mul_add_e_f32s(a, b, c) -> Vector;
        less_than => less_than_f32s(a, b) -> Mask;
        less_equal => less_than_or_equal_f32s(a, b) -> Mask;
        equal => equal_f32s(a, b) -> Mask;
    }
    by_bits! { m32s, f32s, select_u32s, 1 << 31 }
    #[inline(always)]
    fn mask_of_bits<S: Simd>(simd: S, bits: u64) -> S::m32s {
        missing::mask_of_bits_m32s(simd, bits)
    }
    #[inline(always)]
    unsafe fn masked_load<S: Simd>(simd: S, mask: S::m32s, p: *const Self) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { simd.mask_load_ptr_f32s(MemMask::new(mask), p) }
    }
    #[inline(always)]
    unsafe fn masked_store<S: Simd>(simd: S, mask: S::m32s, p: *mut Self, v: S::f32s) {
        // SAFETY: the caller's.
        unsafe { simd.mask_store_ptr_f32s(MemMask::new(mask), p, v) };
    }
    #[inline(always)]
    fn any<S: Simd>(simd: S, mask: S::m32s) -> bool {
        simd.first_true_m32s(mask) < S::F32_LANES
    }
    #[inline(always)]
    fn mask_bits<S: Simd>(simd: S, mask: S::m32s) -> u32 {
        missing::bits_of_m32s(simd, mask)
    }
    #[inline(always)]
    fn to_bits_v<S: Simd>(simd: S, a: S::f32s) -> S::u32s {
        simd.transmute_u32s_f32s(a)
    }
    #[inline(always)]
    fn from_bits_v<S: Simd>(simd: S, a: S::u32s) -> S::f32s {
        simd.transmute_f32s_u32s(a)
    }
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn splat_bits<S: Simd>(simd: S, a: u64) -> S::u32s {
        simd.splat_u32s(a as u32)
    }
    forward_bits! {
        add_bits => add_u32s;
        sub_bits => sub_u32s;
        and_bits => and_u32s;
        or_bits => or_u32s;
        xor_bits => xor_u32s;
    }
    #[inline(always)]
    fn shl_bits<S: Simd, const N: u32>(simd: S, a: S::u32s) -> S::u32s {
        missing::shl_u32s::<S, N>(simd, a)
    }
    #[inline(always)]
    fn shr_bits<S: Simd, const N: u32>(simd: S, a: S::u32s) -> S::u32s {
        missing::shr_u32s::<S, N>(simd, a)
    }
    #[inline(always)]
    fn reduce_sum<S: Simd>(simd: S, a: S::f32s) -> Self {
        simd.reduce_sum_f32s(a)
    }
    #[inline(always)]
    fn widen<S: Simd>(simd: S, a: S::f32s) -> [S::f64s; 2] {
        missing::widen(simd, a)
    }
    #[inline(always)]
    fn narrow<S: Simd>(simd: S, a: [S::f64s; 2]) -> S::f32s {
        missing::narrow(simd, a)
    }
}

impl Lanes for f64 {
    type Vector<S: Simd> = S::f64s;
    type Mask<S: Simd> = S::m64s;
    type Bits<S: Simd> = S::u64s;

    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        S::F64_LANES
    }
    #[inline(always)]
    fn wide<S: Simd>() -> usize {
        1
    }
    #[inline(always)]
    fn as_simd<S: Simd>(x: &[Self]) -> (&[S::f64s], &[Self]) {
        S::as_simd_f64s(x)
    }
    #[inline(always)]
    fn as_mut_simd<S: Simd>(x: &mut [Self]) -> (&mut [S::f64s], &mut [Self]) {
        S::as_mut_simd_f64s(x)
    }
    #[inline(always)]
    fn as_lanes<S: Simd>(v: &S::f64s) -> &[Self] {
        bytemuck::cast_slice(core::slice::from_ref(v))
    }
    #[inline(always)]
    fn partial_load<S: Simd>(simd: S, x: &[Self]) -> S::f64s {
        simd.partial_load_f64s(x)
    }
    #[inline(always)]
    fn partial_store<S: Simd>(simd: S, x: &mut [Self], v: S::f64s) {
        simd.partial_store_f64s(x, v);
    }
    #[inline(always)]
    fn splat<S: Simd>(simd: S, a: Self) -> S::f64s {
        simd.splat_f64s(a)
    }
    forward! {
        add => add_f64s(a, b) -> Vector;
        sub => sub_f64s(a, b) -> Vector;
        mul => mul_f64s(a, b) -> Vector;
        div => div_f64s(a, b) -> Vector;
        sqrt => sqrt_f64s(a) -> Vector;
        mul_add => mul_add_e_f64s(a, b, c) -> Vector;
        neg_mul_add => negate_mul_add_e_f64s(a, b, c) -> Vector;
        less_than => less_than_f64s(a, b) -> Mask;
        less_equal => less_than_or_equal_f64s(a, b) -> Mask;
        equal => equal_f64s(a, b) -> Mask;
    }
    by_bits! { m64s, f64s, select_u64s, 1 << 63 }
    #[inline(always)]
    fn mask_of_bits<S: Simd>(simd: S, bits: u64) -> S::m64s {
        missing::mask_of_bits_m64s(simd, bits)
    }
    #[inline(always)]
    unsafe fn masked_load<S: Simd>(simd: S, mask: S::m64s, p: *const Self) -> S::f64s {
        // SAFETY: the caller's.
        unsafe { simd.mask_load_ptr_f64s(MemMask::new(mask), p) }
    }
    #[inline(always)]
    unsafe fn masked_store<S: Simd>(simd: S, mask: S::m64s, p: *mut Self, v: S::f64s) {
        // SAFETY: the caller's.
        unsafe { simd.mask_store_ptr_f64s(MemMask::new(mask), p, v) };
    }
    #[inline(always)]
    fn any<S: Simd>(simd: S, mask: S::m64s) -> bool {
        simd.first_true_m64s(mask) < S::F64_LANES
    }
    #[inline(always)]
    fn mask_bits<S: Simd>(simd: S, mask: S::m64s) -> u32 {
        missing::bits_of_m64s(simd, mask)
    }
    #[inline(always)]
    fn to_bits_v<S: Simd>(simd: S, a: S::f64s) -> S::u64s {
        simd.transmute_u64s_f64s(a)
    }
    #[inline(always)]
    fn from_bits_v<S: Simd>(simd: S, a: S::u64s) -> S::f64s {
        simd.transmute_f64s_u64s(a)
    }
    #[inline(always)]
    fn splat_bits<S: Simd>(simd: S, a: u64) -> S::u64s {
        simd.splat_u64s(a)
    }
    forward_bits! {
        add_bits => add_u64s;
        sub_bits => sub_u64s;
        and_bits => and_u64s;
        or_bits => or_u64s;
        xor_bits => xor_u64s;
    }
    #[inline(always)]
    fn shl_bits<S: Simd, const N: u32>(simd: S, a: S::u64s) -> S::u64s {
        missing::shl_u64s::<S, N>(simd, a)
    }
    #[inline(always)]
    fn shr_bits<S: Simd, const N: u32>(simd: S, a: S::u64s) -> S::u64s {
        missing::shr_u64s::<S, N>(simd, a)
    }
    #[inline(always)]
    fn reduce_sum<S: Simd>(simd: S, a: S::f64s) -> Self {
        simd.reduce_sum_f64s(a)
    }
    #[inline(always)]
    fn widen<S: Simd>(simd: S, a: S::f64s) -> [S::f64s; 2] {
        [a, simd.splat_f64s(0.0)]
    }
    #[inline(always)]
    fn narrow<S: Simd>(_: S, a: [S::f64s; 2]) -> S::f64s {
        a[0]
    }
}
