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
        bound: (1.0, 1.0),
        odd: false,
    },
    Function {
        name: "expm1",
        single: expm1,
        double: expm1,
        exact: oracle::expm1,
        range: (-50.0, 720.0),
        bound: (1.0, 1.0),
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
        bound: (1.0, 1.0),
        odd: true,
    },
    Function {
        name: "sigmoid",
        single: sigmoid,
        double: sigmoid,
        exact: oracle::sigmoid,
        range: (-760.0, 50.0),
        bound: (1.0, 1.0),
        odd: false,
    },
    Function {
        name: "erf",
        single: erf,
        double: erf,
        exact: oracle::erf,
        range: (-7.0, 7.0),
        bound: (1.0, 1.0),
        odd: true,
    },
    Function {
        name: "erfc",
        single: erfc,
        double: erfc,
        exact: oracle::erfc,
        range: (-7.0, 28.0),
        bound: (1.0, 1.0),
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
        0.7071067811865476,
        1.4142135623730951,
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
    for f in &FUNCTIONS {
        check_errors::<f32>(f, f.single, f.bound.0, 20_000);
        check_errors::<f64>(f, f.double, f.bound.1, 20_000);
    }
}
