use super::*;
use crate::oracle_functions::{self as oracle, DoubleDouble};

/// Random bits by a counter, the same on every machine.
pub(crate) fn random_bits(i: u64) -> u64 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Uniform in [low, high).
fn uniform(i: u64, low: f64, high: f64) -> f64 {
    let unit = (random_bits(i) >> 11) as f64 * f64::EPSILON * 0.5;
    low + (high - low) * unit
}

pub(crate) trait Checked: Real {
    const DIGITS: i32;
    const TINY: f64;
    fn from_random(bits: u64) -> Self;
    fn same_bits(self, other: Self) -> bool;
    fn next(self, steps: i64) -> Self;
}

impl Checked for f32 {
    const DIGITS: i32 = 24;
    const TINY: f64 = 1.401_298_464_324_817e-45;
    fn from_random(bits: u64) -> f32 {
        f32::from_bits((bits >> 32) as u32)
    }
    fn same_bits(self, other: f32) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }
    fn next(self, steps: i64) -> f32 {
        f32::from_bits((i64::from(self.to_bits()) + steps) as u32)
    }
}

impl Checked for f64 {
    const DIGITS: i32 = 53;
    const TINY: f64 = 5e-324;
    fn from_random(bits: u64) -> f64 {
        f64::from_bits(bits)
    }
    fn same_bits(self, other: f64) -> bool {
        self.to_bits() == other.to_bits() || (self.is_nan() && other.is_nan())
    }
    fn next(self, steps: i64) -> f64 {
        f64::from_bits(self.to_bits().wrapping_add_signed(steps))
    }
}

type Vectorized<T> = fn(Isa, &[T], &mut [T]);

struct Function {
    name: &'static str,
    single: Vectorized<f32>,
    double: Vectorized<f64>,
    exact: fn(f64) -> DoubleDouble,
    /// Where it has neither overflowed nor saturated.
    range: (f64, f64),
    /// Largest error in ulp, `f32` and `f64`, on any instruction set.
    bound: (f64, f64),
    odd: bool,
}

const FUNCTIONS: [Function; 8] = [
    Function {
        name: "exp",
        single: exp,
        double: exp,
        exact: oracle::exp,
        range: (-760.0, 720.0),
        bound: (0.94, 1.4),
        odd: false,
    },
    Function {
        name: "expm1",
        single: expm1,
        double: expm1,
        exact: oracle::expm1,
        range: (-50.0, 720.0),
        bound: (2.0, 2.0),
        odd: false,
    },
    Function {
        name: "ln",
        single: ln,
        double: ln,
        exact: oracle::ln,
        range: (0.0, 1e9),
        bound: (1.0, 1.0),
        odd: false,
    },
    Function {
        name: "log1p",
        single: log1p,
        double: log1p,
        exact: oracle::log1p,
        range: (-1.0, 1e9),
        bound: (1.0, 1.0),
        odd: false,
    },
    Function {
        name: "tanh",
        single: tanh,
        double: tanh,
        exact: oracle::tanh,
        range: (-25.0, 25.0),
        bound: (1.5, 1.5),
        odd: true,
    },
    Function {
        name: "sigmoid",
        single: sigmoid,
        double: sigmoid,
        exact: oracle::sigmoid,
        range: (-760.0, 50.0),
        bound: (2.5, 2.5),
        odd: false,
    },
    Function {
        name: "erf",
        single: erf,
        double: erf,
        exact: oracle::erf,
        range: (-7.0, 7.0),
        bound: (1.5, 1.5),
        odd: true,
    },
    Function {
        name: "erfc",
        single: erfc,
        double: erfc,
        exact: oracle::erfc,
        range: (-7.0, 28.0),
        bound: (4.5, 5.0),
        odd: false,
    },
];

/// Arguments of all sizes: random bits, dense where the functions live, around their thresholds.
fn arguments<T: Checked>(range: (f64, f64), count: u64) -> Vec<T> {
    let mut x = Vec::new();
    for i in 0..count {
        x.push(T::from_random(random_bits(i)));
        x.push(T::from_f64(uniform(3 * count + i, range.0, range.1)));
        x.push(T::from_f64(uniform(4 * count + i, range.0.max(-100.0), range.1.min(100.0))));
        x.push(T::from_f64(uniform(5 * count + i, range.0.max(-2.0), range.1.min(2.0))));
        let scale = libm::exp2(uniform(6 * count + i, -60.0, 8.0));
        x.push(T::from_f64(if i % 2 == 0 { scale } else { -scale }));
    }
    let seams = [
        0.55,
        1.0,
        0.476,
        0.5,
        2.0,
        core::f64::consts::FRAC_1_SQRT_2,
        core::f64::consts::SQRT_2,
        0.34657359027997264,
        1.0397207708399179,
        9.01,
        19.06,
        88.72284,
        709.782712893384,
        103.97,
        745.1332191019412,
        87.33655,
        708.3964185322641,
        10.05,
        27.2,
        26.54,
        9.19,
        5.86,
        3.92,
        104.0,
        746.0,
        89.0,
        710.0,
        16.635532,
        36.7368,
        1.1754943508222875e-38,
        2.2250738585072014e-308,
    ];
    for seam in seams {
        for sign in [1.0, -1.0] {
            let middle = T::from_f64(sign * seam);
            x.extend((-40..=40).map(|steps| middle.next(steps)));
        }
    }
    let specials = [0.0, f64::INFINITY, f64::NAN, f64::MAX, f64::from(f32::MAX), T::TINY, 1e300];
    x.extend(specials.iter().flat_map(|&s| [T::from_f64(s), T::from_f64(-s)]));
    x
}

/// Largest error in ulp, and where.
fn worst<T: Checked>(
    isa: Isa,
    f: Vectorized<T>,
    exact: fn(f64) -> DoubleDouble,
    x: &[T],
) -> (f64, T) {
    let mut out = vec![T::NAN; x.len()];
    f(isa, x, &mut out);
    let mut worst = (0.0, T::ZERO);
    for (&x, &got) in x.iter().zip(&out) {
        let want = exact(x.to_f64());
        let ulps = want.ulps(got.to_f64(), T::DIGITS, T::TINY, T::MAX.to_f64());
        if ulps > worst.0 || ulps.is_nan() {
            worst = (ulps, x);
        }
    }
    worst
}

fn check_errors<T: Checked>(f: &Function, vectorized: Vectorized<T>, bound: f64, count: u64) {
    for isa in Isa::available() {
        let (ulps, x) = worst(isa, vectorized, f.exact, &arguments::<T>(f.range, count));
        let name = f.name;
        if std::env::var_os("HESSE_PRINT_ERRORS").is_some() {
            eprintln!("{name} {} {isa}: {ulps:.3} ulp at {x:e}", T::NAME);
            continue;
        }
        assert!(ulps <= bound, "{name} {} {isa}: {ulps:.3} ulp at {x:e}, bound {bound}", T::NAME);
    }
}

#[test]
fn errors_are_within_the_stated_bounds() {
    // HESSE_ERROR_SAMPLES=20000 with --release is the run behind `errors.md`.
    let count = std::env::var("HESSE_ERROR_SAMPLES").ok().and_then(|n| n.parse().ok());
    for f in &FUNCTIONS {
        check_errors::<f32>(f, f.single, f.bound.0, count.unwrap_or(1_000));
        check_errors::<f64>(f, f.double, f.bound.1, count.unwrap_or(1_000));
    }
}

/// All 2³² arguments against `std` in `f64`, which errs by less than 1e-8 ulp of `f32`. Minutes in
/// release: `cargo test --release -p hesse-kernels --lib every_f32 -- --ignored --nocapture`.
#[test]
#[ignore = "all 2^32 arguments"]
fn every_f32() {
    type Case = (&'static str, Vectorized<f32>, fn(f64) -> f64, f64);
    const CASES: [Case; 2] = [("exp", exp, f64::exp, 0.94), ("tanh", tanh, f64::tanh, 1.5)];
    const BLOCK: u64 = 1 << 14;
    let paths = Isa::available();
    for (name, f, exact, bound) in CASES {
        let half = |first: u64| {
            let mut worst = vec![(0.0, 0.0); paths.len()];
            let mut out = vec![0.0; BLOCK as usize];
            for block in first..first + (1 << 31) / BLOCK {
                let x: Vec<f32> = (block * BLOCK..(block + 1) * BLOCK)
                    .map(|bits| f32::from_bits(bits as u32))
                    .collect();
                let want: Vec<f64> = x.iter().map(|&x| exact(f64::from(x))).collect();
                for (isa, worst) in paths.iter().zip(&mut worst) {
                    f(*isa, &x, &mut out);
                    for i in 0..x.len() {
                        // Rounded to the same f32: at most half an ulp, and no new record.
                        if out[i] == want[i] as f32 {
                            continue;
                        }
                        let want = DoubleDouble { hi: want[i], lo: 0.0 };
                        let got = f64::from(out[i]);
                        let ulps = want.ulps(got, 24, f32::TINY, f64::from(f32::MAX));
                        if ulps > worst.0 || ulps.is_nan() {
                            *worst = (ulps, x[i]);
                        }
                    }
                }
            }
            worst
        };
        let halves = std::thread::scope(|scope| {
            let left = scope.spawn(|| half(0));
            (half((1 << 31) / BLOCK), left.join().unwrap())
        });
        for (i, isa) in paths.iter().enumerate() {
            let (a, b) = (halves.0[i], halves.1[i]);
            let worst = if a.0 > b.0 { a } else { b };
            eprintln!("{name} f32 {isa}: {:.4} ulp at {:e}", worst.0, worst.1);
            assert!(worst.0 <= bound, "{name} {isa}: {worst:?}");
        }
    }
}

#[test]
fn odd_functions_are_odd_to_the_last_bit_and_zeros_keep_their_sign() {
    fn check<T: Checked>(name: &str, f: Vectorized<T>, range: (f64, f64)) {
        for isa in Isa::available() {
            let x = arguments::<T>(range, 1_000);
            let minus: Vec<T> = x.iter().map(|&x| -x).collect();
            let (mut out, mut mirrored) = (vec![T::NAN; x.len()], vec![T::NAN; x.len()]);
            f(isa, &x, &mut out);
            f(isa, &minus, &mut mirrored);
            for i in 0..x.len() {
                assert!(out[i].same_bits(-mirrored[i]), "{name} {isa} at {:e}", x[i]);
            }
        }
    }
    for f in FUNCTIONS.iter().filter(|f| f.odd) {
        check::<f32>(f.name, f.single, f.range);
        check::<f64>(f.name, f.double, f.range);
    }
    for isa in Isa::available() {
        for f in [tanh::<f64>, erf, expm1, log1p] {
            let mut out = [1.0; 2];
            f(isa, &[0.0, -0.0], &mut out);
            assert_eq!(out.map(f64::to_bits), [0.0, -0.0f64].map(f64::to_bits));
        }
    }
}

#[test]
fn special_values() {
    const INF: f64 = f64::INFINITY;
    type Case = (Vectorized<f64>, Vectorized<f32>, &'static [(f64, f64)]);
    let cases: [Case; 8] = [
        (exp, exp, &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e30, INF)]),
        (expm1, expm1, &[(INF, INF), (-INF, -1.0), (-1e30, -1.0)]),
        (ln, ln, &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, f64::NAN)]),
        (log1p, log1p, &[(-1.0, -INF), (INF, INF), (-2.0, f64::NAN), (-INF, f64::NAN)]),
        (tanh, tanh, &[(INF, 1.0), (-INF, -1.0), (1e30, 1.0), (20.0, 1.0), (-22.0, -1.0)]),
        (sigmoid, sigmoid, &[(0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e30, 1.0)]),
        (erf, erf, &[(INF, 1.0), (-INF, -1.0), (7.0, 1.0), (-1e30, -1.0)]),
        (erfc, erfc, &[(0.0, 1.0), (INF, 0.0), (-INF, 2.0), (30.0, 0.0), (-9.0, 2.0)]),
    ];
    for isa in Isa::available() {
        for (double, single, pairs) in cases {
            for &(x, want) in pairs {
                let (mut a, mut b) = ([7.0; 3], [7.0; 3]);
                double(isa, &[x; 3], &mut a);
                single(isa, &[x as f32; 3], &mut b);
                assert!(a.iter().all(|a| a.same_bits(want)), "{isa} at {x}: {a:?}, not {want}");
                assert!(b.iter().all(|b| b.same_bits(want as f32)), "{isa} at {x}: {b:?}");
            }
            // Quiet NaNs with payloads that an integer addition could turn into numbers.
            for bits in [0x7fc0_0000u32, 0xffff_ffff, 0x7fc0_0001, 0x7fe0_0180] {
                let mut b = [0.0];
                single(isa, &[f32::from_bits(bits)], &mut b);
                assert!(b[0].is_nan(), "{isa}: NaN {bits:x} became {}", b[0]);
                let mut a = [0.0];
                let wide = (u64::from(bits) << 32) | 0x7ff8_0fff_0000_0123;
                double(isa, &[f64::from_bits(wide)], &mut a);
                assert!(a[0].is_nan(), "{isa}: NaN {wide:x} became {}", a[0]);
            }
        }
    }
}

#[test]
fn every_length_and_offset_gives_the_same_bits() {
    fn check<T: Checked>(f: Vectorized<T>) {
        let x: Vec<T> = (0..80).map(|i| T::from_f64(uniform(i, 0.1, 3.0))).collect();
        for isa in Isa::available() {
            let mut whole = vec![T::NAN; x.len()];
            f(isa, &x, &mut whole);
            for length in 0..40 {
                for offset in 0..4 {
                    let mut out = vec![T::NAN; length + 1];
                    f(isa, &x[offset..offset + length], &mut out[..length]);
                    for i in 0..length {
                        assert!(out[i].same_bits(whole[offset + i]), "{isa} {length} {offset} {i}");
                    }
                    assert!(out[length].to_f64().is_nan(), "written behind the end");
                }
            }
        }
    }
    for f in &FUNCTIONS {
        check::<f32>(f.single);
        check::<f64>(f.double);
    }
}

#[test]
fn monotone_over_the_seams() {
    fn check<T: Checked>(name: &str, f: Vectorized<T>, seam: f64, slack: f64) {
        for isa in Isa::available() {
            let middle = T::from_f64(seam);
            let x: Vec<T> = (-300..300).map(|steps| middle.next(steps)).collect();
            let mut out = vec![T::NAN; x.len()];
            f(isa, &x, &mut out);
            for pair in out.windows(2) {
                let drop = (pair[0].to_f64() - pair[1].to_f64()) / pair[0].to_f64();
                assert!(drop <= slack * T::EPSILON.to_f64(), "{name} {isa} near {seam}: {drop:e}");
            }
        }
    }
    // Neighbours may fall back by their errors, not by more.
    check::<f32>("tanh", tanh, 0.55, 2.0);
    check::<f64>("tanh", tanh, 0.55, 2.0);
    check::<f32>("erf", erf, 1.0, 2.0);
    check::<f64>("erf", erf, 1.0, 2.0);
    check::<f32>("exp", exp, core::f64::consts::LN_2 / 2.0, 2.0);
    check::<f64>("exp", exp, core::f64::consts::LN_2 / 2.0, 2.0);
}
