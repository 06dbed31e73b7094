//! The one instruction that multiplies by a power of two without an intermediate overflow.

use core::any::Any;

use pulp::Simd;

use crate::Real;

/// p·2ⁿ with one rounding, on instruction sets that have it; decided at compile time.
#[inline(always)]
pub(super) fn scalef<T: Real, S: Simd>(
    simd: S,
    p: T::Vector<S>,
    n: T::Vector<S>,
) -> Option<T::Vector<S>> {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::{f32x16, f64x8, x86::V4};
        let simd = (&simd as &dyn Any).downcast_ref::<V4>();
        let (p, n) = (&p as &dyn Any, &n as &dyn Any);
        if let (Some(s), Some(p), Some(n)) = (simd, p.downcast_ref(), n.downcast_ref()) {
            let (p, n): (&f32x16, &f32x16) = (p, n);
            let out: f32x16 =
                pulp::cast(s.avx512f._mm512_scalef_ps(pulp::cast(*p), pulp::cast(*n)));
            return (&out as &dyn Any).downcast_ref().copied();
        }
        if let (Some(s), Some(p), Some(n)) = (simd, p.downcast_ref(), n.downcast_ref()) {
            let (p, n): (&f64x8, &f64x8) = (p, n);
            let out: f64x8 = pulp::cast(s.avx512f._mm512_scalef_pd(pulp::cast(*p), pulp::cast(*n)));
            return (&out as &dyn Any).downcast_ref().copied();
        }
    }
    let _ = (simd, p, n);
    None
}
