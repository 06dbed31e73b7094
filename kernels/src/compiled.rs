//! Kernels compiled once, in this crate.
//!
//! A generic function is compiled again in each crate that calls it, and a kernel that is generic
//! over [`Real`](crate::Real) is vector code for every instruction set and both types: without this,
//! each test, bench and program spends most of its build on kernels. So the public functions are
//! generic only up to [`dispatch!`], whose two functions for `f32` and `f64` are not generic: callers
//! link them, and pay one call that is not inlined.

use crate::missing::cast;

/// Runs an operation for a type `T: Real`: `dispatch!(isa, Op<'a, T> = value)`, where `Op` is its
/// [`WithSimd`](pulp::WithSimd) type. The names `'a` and `T` are fixed.
macro_rules! dispatch {
    ($isa:expr, $op:ty = $value:expr) => {{
        type Op<'a, T> = $op;
        type Output<'a, T> = <Op<'a, T> as pulp::WithSimd>::Output;
        type Run<T> = for<'a> fn($crate::Isa, Op<'a, T>) -> Output<'a, T>;

        #[inline(never)]
        fn single<'a>(isa: $crate::Isa, op: Op<'a, f32>) -> Output<'a, f32> {
            isa.dispatch(op)
        }
        #[inline(never)]
        fn double<'a>(isa: $crate::Isa, op: Op<'a, f64>) -> Output<'a, f64> {
            isa.dispatch(op)
        }

        let run: Run<T> = $crate::compiled::choose(single as Run<f32>, double as Run<f64>);
        run($isa, $value)
    }};
}
pub(crate) use dispatch;

/// The one of the two that has the type asked for; decided at compile time.
#[inline(always)]
pub(crate) fn choose<A, B, C>(single: A, double: B) -> C
where
    A: Copy + 'static,
    B: Copy + 'static,
    C: Copy + 'static,
{
    match cast(single).or_else(|| cast(double)) {
        Some(run) => run,
        None => unreachable!("`Real` is sealed: f32 or f64"),
    }
}

/// The closure itself. An attribute on a closure is only allowed on an argument, and a closure over
/// vectors needs `#[inline(always)]`: left on its own it is compiled for the baseline instruction
/// set, and every vector operation in it becomes a call.
#[inline(always)]
pub(crate) fn inlined<F>(closure: F) -> F {
    closure
}
