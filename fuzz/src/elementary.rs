//! Elementary functions against double-double arithmetic.

use arbitrary::{Result, Unstructured};
use hesse_kernels::oracle_functions::{self as oracle, DoubleDouble};
use hesse_kernels::{Isa, Real, elementary};

use crate::numbers::{Numbers, prolonged, same};

struct Function {
    name: &'static str,
    single: fn(Isa, &[f32], &mut [f32]),
    double: fn(Isa, &[f64], &mut [f64]),
    exact: fn(f64) -> DoubleDouble,
    /// Documented errors in ulp, `f32` and `f64`.
    bounds: (f64, f64),
}

macro_rules! functions {
    ($($name:ident $bounds:expr;)*) => {
        [$(Function {
            name: stringify!($name),
            single: elementary::$name,
            double: elementary::$name,
            exact: oracle::$name,
            bounds: $bounds,
        }),*]
    };
}

const FUNCTIONS: [Function; 8] = functions! {
    exp (0.94, 1.4);
    expm1 (2.0, 2.0);
    ln (1.0, 1.0);
    log1p (1.0, 1.0);
    tanh (1.5, 1.5);
    sigmoid (2.5, 2.5);
    erf (1.5, 1.5);
    erfc (4.5, 5.0);
};

/// Elementary functions keep their documented bounds at any numbers, whatever stands around them.
///
/// # Panics
/// If they do not.
pub fn elementary(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check(&mut u, |f| (f.single, f.bounds.0), (24, f32::from_bits(1).into())),
        _ => check(&mut u, |f| (f.double, f.bounds.1), (53, f64::from_bits(1))),
    };
}

fn check<T: Real>(
    u: &mut Unstructured<'_>,
    typed: impl Fn(&Function) -> (fn(Isa, &[T], &mut [T]), f64),
    (digits, tiny): (i32, f64),
) -> Result<()> {
    let f = &FUNCTIONS[u.int_in_range(0..=FUNCTIONS.len() - 1)?];
    let (run, bound) = typed(f);
    let mut numbers = Numbers::read(u)?;
    let offset = u.int_in_range(0..=9)?;
    // Numbers of the input itself, so that it can be steered, and made-up ones.
    let mut x: Vec<T> = numbers.take(offset + u.int_in_range(0..=40)?);
    while !u.is_empty() {
        x.push(T::from_f64(f64::from_bits(u.arbitrary()?)));
        x.push(T::from_f64(f32::from_bits(u.arbitrary()?).into()));
    }
    let x = &x[offset..];
    let want: Vec<_> = x.iter().map(|x| (f.exact)(x.to_f64())).collect();
    for isa in Isa::available() {
        let mut out = vec![T::NAN; offset + x.len() + 1];
        run(isa, x, &mut out[offset..offset + x.len()]);
        let outside = out[..offset].iter().chain(out.last());
        assert!(outside.into_iter().all(|x| x.to_f64().is_nan()), "{} {isa}", f.name);
        for ((&x, &got), want) in x.iter().zip(&out[offset..]).zip(&want) {
            let ulps = want.ulps(got.to_f64(), digits, tiny, T::MAX.to_f64());
            assert!(ulps <= bound, "{} {} {isa}: {ulps} ulp at {x:e}: {got:e}", f.name, T::NAME);
            let mut alone = [T::ZERO];
            run(isa, &[x], &mut alone);
            assert!(same(alone[0], got), "{} {} {isa} at {x:e}: neighbours", f.name, T::NAME);
        }
    }
    Ok(())
}
