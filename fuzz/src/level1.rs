//! Vectors against exact sums and plain loops.

use arbitrary::{Result, Unstructured};
use hesse_kernels::level1::{
    add_widened, all_finite, axpby, axpy, dot, dot_compensated, dot_pair, dot_self, max_abs, nrm2,
    scal, sum, sum_compensated,
};
use hesse_kernels::{Isa, Real};

use crate::exact::{Bound, Exact, Terms};
use crate::numbers::{Numbers, prolonged, same};

/// 2⁻⁵³.
const UNIT: f64 = f64::EPSILON / 2.0;
/// The smallest subnormal number.
const TINY: f64 = f64::from_bits(1);
/// Sums up to here do not overflow on the way.
const OVERFLOW: i32 = 1022;

/// Inner products, norms, sums and updates keep their documented bounds, for any numbers, lengths
/// and alignments.
///
/// # Panics
/// If they do not.
pub fn level1(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check::<f32>(&mut u),
        _ => check::<f64>(&mut u),
    };
}

fn check<T: Real>(u: &mut Unstructured<'_>) -> Result<()> {
    let n = u.int_in_range(0..=300)?;
    let offsets: [usize; 3] = core::array::from_fn(|_| u.int_in_range(0..=15).unwrap_or(0));
    let mut numbers = [Numbers::read(u)?, Numbers::read(u)?, Numbers::read(u)?];
    let data: [Vec<T>; 3] = core::array::from_fn(|i| numbers[i].take(offsets[i] + n));
    let [x, y, z] = core::array::from_fn(|i| &data[i][offsets[i]..]);
    let (alpha, beta) = (numbers[0].next::<f64>(), numbers[1].next::<f64>());
    for isa in Isa::available() {
        sums(isa, x, y, z);
        updates(isa, alpha, x, beta, &data[1], offsets[1]);
    }
    Ok(())
}

fn gamma(n: usize) -> f64 {
    n as f64 * UNIT / (1.0 - n as f64 * UNIT)
}

fn sums<T: Real>(isa: Isa, x: &[T], y: &[T], z: &[T]) {
    let n = x.len();
    let wide = |x: &[T]| x.iter().map(|x| x.to_f64()).collect::<Vec<_>>();
    let (x64, y64, z64) = (wide(x), wide(y), wide(z));
    let products = |a: &[f64], b: &[f64]| Terms::of(a.iter().copied().zip(b.iter().copied()));
    let (xy, xz, xx) = (products(&x64, &y64), products(&x64, &z64), products(&x64, &x64));
    let total = Terms::of(x64.iter().map(|&x| (x, 1.0)));
    // Products of f32 are exact.
    let underflow = if size_of::<T>() == 4 { 0.0 } else { n as f64 * TINY };
    let plain = Bound { gamma: gamma(n), relative: 0.0, underflow, overflow: OVERFLOW };
    let twice = Bound { gamma: gamma(n).powi(2), relative: UNIT, ..plain };
    let label = |name: &str| format!("{name} {isa} {}, {n} elements", T::NAME);
    let accept = |name: &str, got: f64, terms: &Terms, bound: Bound| {
        if let Err(e) = terms.finish(bound).accept(got) {
            panic!("{}: {e}\nx {x:?}\ny {y:?}\nz {z:?}", label(name));
        }
    };
    accept("dot", dot(isa, x, y), &xy, plain);
    let pair = dot_pair(isa, x, y, z);
    accept("dot_pair", pair.0, &xy, plain);
    accept("dot_pair", pair.1, &xz, plain);
    let own = dot_self(isa, x, y);
    accept("dot_self", own.0, &xx, plain);
    accept("dot_self", own.1, &xy, plain);
    accept("dot_compensated", dot_compensated(isa, x, y), &xy, twice);
    accept("sum", sum(isa, x), &total, Bound { underflow: 0.0, ..plain });
    let twice = Bound { underflow: 0.0, ..twice };
    accept("sum_compensated", sum_compensated(isa, x), &total, twice);

    let finite = x64.iter().all(|x| x.is_finite());
    assert_eq!(all_finite(isa, x), finite, "{}: {x:?}", label("all_finite"));
    let largest = if x64.iter().any(|x| x.is_nan()) {
        f64::NAN
    } else {
        x64.iter().fold(0.0, |a: f64, b| a.max(b.abs()))
    };
    assert!(same(max_abs(isa, x), largest), "{}: {x:?}", label("max_abs"));

    let norm = nrm2(isa, x);
    let squares = xx.sum();
    if finite && norm.is_finite() {
        // |r² − x·x| for r = ‖x‖ (1 + δ) + τ, where τ = 2⁻¹⁰⁷⁵ rounds a subnormal root.
        let delta = gamma(n) / 2.0 + UNIT;
        let mut difference = squares.clone();
        difference.add(norm, -norm);
        let mut rounding = Exact::new();
        if norm < 2.0 * f64::MIN_POSITIVE {
            rounding.add(norm, TINY);
            rounding.add(TINY, TINY);
        }
        let s = squares.exponent();
        let bound = (2.0 * delta + delta * delta) * squares.scaled(s) + rounding.scaled(s);
        let error = difference.scaled(s).abs();
        assert!(error <= bound * (1.0 + 1e-14), "{}: {norm:e} of {x:?}", label("nrm2"));
    } else if finite {
        // Only where the root itself overflows, by its error bound at most.
        let overflows = squares.scaled(2046).sqrt() >= 2.0 * (1.0 - 1e-12);
        assert!(norm == f64::INFINITY && overflows, "{}: {norm:e} of {x:?}", label("nrm2"));
    } else {
        assert!(same(norm, largest), "{}: {norm} of {x:?}", label("nrm2"));
    }
}

/// The formula of the documentation, to the last bit.
fn updates<T: Real>(isa: Isa, alpha: f64, x: &[T], beta: f64, y: &[T], offset: usize) {
    let multiply_add = |a: f64, x: f64, y: f64| {
        if isa.has_fma() { a.mul_add(x, y) } else { a * x + y }
    };
    let check = |name: &str, run: &dyn Fn(&mut [T]), want: &dyn Fn(f64, f64) -> f64| {
        let mut out = y.to_vec();
        run(&mut out[offset..]);
        for (i, (&got, &old)) in out.iter().zip(y).enumerate() {
            let want = match i.checked_sub(offset) {
                Some(i) => T::from_f64(want(x[i].to_f64(), old.to_f64())),
                None => old,
            };
            assert!(
                same(got, want),
                "{name} {isa} {}: {got:e}, not {want:e}, at {i} of {offset} + {}; α {alpha:e}, \
                 β {beta:e}, x {x:?}, y {y:?}",
                T::NAME,
                x.len()
            );
        }
    };
    let two = |x: f64, y: f64| multiply_add(alpha, x, y);
    check("axpy", &|y| axpy(isa, alpha, x, y), &two);
    let both = |x: f64, y: f64| {
        if beta == 0.0 { alpha * x } else { multiply_add(alpha, x, beta * y) }
    };
    check("axpby", &|y| axpby(isa, alpha, x, beta, y), &both);
    check("axpby, β = 0", &|y| axpby(isa, alpha, x, 0.0, y), &|x, _| alpha * x);
    check("scal", &|y| scal(isa, alpha, y), &|_, y| alpha * y);
    let mut sums = vec![beta; x.len()];
    add_widened(isa, x, &mut sums);
    for (sum, x) in sums.iter().zip(x) {
        assert!(same(*sum, beta + x.to_f64()), "add_widened {isa} {}: {sum:e} of {x:?}", T::NAME);
    }
}
