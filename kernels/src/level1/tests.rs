use proptest::prelude::*;

use super::*;
use crate::oracle;

/// 2⁻⁵³.
const UNIT: f64 = f64::EPSILON / 2.0;

/// Every length up to a few vectors with all unrolls, and some longer ones.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=70).chain([127, 128, 129, 255, 257, 1003])
}

fn wide<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

/// For every path, length and offset: whole numbers (exact) and real ones.
fn all<T: Real>(check: impl Fn(Isa, &[T], &[T], &[T], bool)) {
    let most = 1003 + 4;
    for exact in [false, true] {
        let make = |seed| -> Vec<T> {
            let numbers = oracle::uniform(seed, most).into_iter();
            numbers.map(|x| T::from_f64(if exact { (8.0 * x).round() } else { x })).collect()
        };
        let (x, y, z) = (make(1), make(2), make(3));
        for isa in Isa::available() {
            for n in lengths() {
                for offset in 0..4 {
                    let y = &y[offset / 2..][..n];
                    check(isa, &x[offset..][..n], y, &z[3 - offset..][..n], exact);
                }
            }
        }
    }
}

fn assert_close(got: f64, (want, abs): (f64, f64), n: usize, exact: bool) {
    let bound = if exact { 0.0 } else { 2.0 * (n + 2) as f64 * UNIT * abs };
    assert!((got - want).abs() <= bound, "{got} for {want}, {n} terms");
}

fn sums_are_the_oracles<T: Real>() {
    all::<T>(|isa, x, y, z, exact| {
        let n = x.len();
        let (wx, wy, wz) = (wide(x), wide(y), wide(z));
        let (xy, xz, xx) = (oracle::dot(&wx, &wy), oracle::dot(&wx, &wz), oracle::dot(&wx, &wx));
        assert_close(dot(isa, x, y), xy, n, exact);
        let pair = dot_pair(isa, x, y, z);
        assert_close(pair.0, xy, n, exact);
        assert_close(pair.1, xz, n, exact);
        let own = dot_self(isa, x, y);
        assert_close(own.0, xx, n, exact);
        assert_close(own.1, xy, n, exact);
        assert_close(dot_compensated(isa, x, y), xy, n, exact);
        let ones = vec![1.0; n];
        let sums = oracle::dot(&wx, &ones);
        assert_close(sum(isa, x), sums, n, exact);
        assert_close(sum_compensated(isa, x), sums, n, exact);
        let norm = xx.0.sqrt();
        let relative = 2.0 * (n + 4) as f64 * UNIT;
        assert!((nrm2(isa, x) - norm).abs() <= relative * norm, "{isa} {n}");
        let largest = wx.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert_eq!(max_abs(isa, x), largest);
        assert!(all_finite(isa, x));
    });
}

fn updates_are_the_oracles<T: Real>() {
    let (alpha, beta) = (-0.75, 1.0 / 3.0);
    all::<T>(|isa, x, y, _, exact| {
        let close = |got: &[T], want: &dyn Fn(usize) -> (f64, f64)| {
            for (i, got) in got.iter().enumerate() {
                let (want, abs) = want(i);
                let bound = T::EPSILON.to_f64() / 2.0 * want.abs() + 4.0 * UNIT * abs;
                assert!((got.to_f64() - want).abs() <= bound, "{isa}: {got} for {want} at {i}");
            }
        };
        let (wx, wy) = (wide(x), wide(y));
        let mut out = y.to_vec();
        axpy(isa, alpha, x, &mut out);
        close(&out, &|i| (wy[i] + alpha * wx[i], wy[i].abs() + wx[i].abs()));
        if exact {
            assert!((0..x.len()).all(|i| out[i].to_f64() == wy[i] + alpha * wx[i]));
        }
        let mut out = y.to_vec();
        axpby(isa, alpha, x, beta, &mut out);
        close(&out, &|i| (alpha * wx[i] + beta * wy[i], wy[i].abs() + wx[i].abs()));
        let mut out = x.to_vec();
        scal(isa, beta, &mut out);
        close(&out, &|i| (beta * wx[i], 0.0));
        let mut sums: Vec<f64> = wy.iter().map(|y| y / 3.0).collect();
        add_widened(isa, x, &mut sums);
        assert!((0..x.len()).all(|i| sums[i] == wy[i] / 3.0 + wx[i]), "{isa} {}", x.len());
    });
}

#[test]
fn sums_on_every_path() {
    sums_are_the_oracles::<f32>();
    sums_are_the_oracles::<f64>();
}

#[test]
fn updates_on_every_path() {
    updates_are_the_oracles::<f32>();
    updates_are_the_oracles::<f64>();
}

#[test]
fn elements_behind_the_slice_are_left_alone() {
    for isa in Isa::available() {
        for n in 0..40 {
            let x = vec![2.0_f32; n];
            let mut y = vec![1.0_f32; n + 1];
            y[n] = 7.0;
            axpy(isa, 1.0, &x, &mut y[..n]);
            axpby(isa, 1.0, &x, 1.0, &mut y[..n]);
            scal(isa, 2.0, &mut y[..n]);
            let mut sums = vec![1.0; n + 1];
            add_widened(isa, &x, &mut sums[..n]);
            assert!(sums[..n].iter().all(|&y| y == 3.0) && sums[n] == 1.0, "{isa} {n}");
            assert!(y[..n].iter().all(|&y| y == 10.0) && y[n] == 7.0, "{isa} {n}");
        }
    }
}

/// NaN and infinities at every position of every length.
fn special_values<T: Real>() {
    let (nan, inf) = (T::NAN, T::INFINITY);
    for isa in Isa::available() {
        for n in 1..70 {
            for at in 0..n {
                let mut x = vec![T::ONE; n];
                for special in [nan, inf, -inf] {
                    x[at] = special;
                    assert!(!all_finite(isa, &x), "{isa} {n} {at}");
                    let norm = nrm2(isa, &x);
                    let largest = max_abs(isa, &x);
                    if special.to_f64().is_nan() {
                        assert!(norm.is_nan() && largest.is_nan(), "{isa} {n} {at}");
                        assert!(dot(isa, &x, &x).is_nan() && dot_compensated(isa, &x, &x).is_nan());
                        assert!(sum(isa, &x).is_nan() && sum_compensated(isa, &x).is_nan());
                    } else {
                        assert_eq!((norm, largest), (f64::INFINITY, f64::INFINITY));
                        assert_eq!(dot_compensated(isa, &x, &x), f64::INFINITY);
                        assert_eq!(sum_compensated(isa, &x), special.to_f64());
                        assert_eq!(sum(isa, &x), special.to_f64());
                        // Both: NaN wins, whichever comes first.
                        x[(at + 1) % n] = nan;
                        assert!(n == 1 || max_abs(isa, &x).is_nan(), "{isa} {n} {at}");
                        assert!(n == 1 || nrm2(isa, &x).is_nan(), "{isa} {n} {at}");
                        x[(at + 1) % n] = T::ONE;
                    }
                }
            }
        }
        let mut y = vec![nan; 37];
        axpby(isa, 2.0, &[T::ONE; 37], 0.0, &mut y);
        assert!(y.iter().all(|y| y.to_f64() == 2.0), "beta = 0 does not read");
        scal(isa, 0.0, &mut y);
        assert!(y.iter().all(|y| y.to_f64() == 0.0));
        let mut y = vec![inf; 3];
        scal(isa, 0.0, &mut y);
        assert!(y.iter().all(|y| y.to_f64().is_nan()));
        assert_eq!(max_abs::<T>(isa, &[]), 0.0);
        assert_eq!(nrm2::<T>(isa, &[]), 0.0);
        assert_eq!(sum::<T>(isa, &[]), 0.0);
    }
}

#[test]
fn nan_and_infinities_on_every_path() {
    special_values::<f32>();
    special_values::<f64>();
}

#[test]
fn norms_neither_overflow_nor_underflow() {
    for isa in Isa::available() {
        for n in [1, 2, 9, 100] {
            for exponent in [-1074, -1060, -600, -540, -480, -479, 0, 500, 511, 512, 1000, 1020] {
                let unit = libm::scalbn(1.0, exponent);
                // 3, 4 and zeros: the norm is 5 units, exactly.
                let mut x = vec![0.0; n + 1];
                x[0] = 3.0 * unit;
                x[n] = 4.0 * unit;
                assert_eq!(nrm2(isa, &x), 5.0 * unit, "{isa} {n} {exponent}");
            }
        }
        assert_eq!(nrm2(isa, &[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(nrm2(isa, &[-f64::MAX]), f64::MAX);
        let tiny = f32::from_bits(1);
        assert_eq!(nrm2(isa, &[tiny; 4]), 2.0 * f64::from(tiny));
        assert_eq!(max_abs(isa, &[0.0, -tiny, 0.0]), f64::from(tiny));
        let want = 2.0 * f64::from(f32::MAX);
        assert_eq!(nrm2(isa, &[f32::MAX; 4]), want);
    }
}

#[test]
fn compensated_sums_survive_cancellation() {
    for isa in Isa::available() {
        for n in [3, 40, 1001] {
            // Huge pairs that cancel around a small rest; both products and sums round.
            let mut x = vec![0.0; n];
            let mut y = vec![1.0; n];
            (x[0], x[n / 2], x[n - 1]) = (1e16, 1.0, -1e16);
            assert_eq!(sum_compensated(isa, &x), 1.0, "{isa} {n}");
            assert_eq!(dot_compensated(isa, &x, &y), 1.0, "{isa} {n}");
            // (1 + 2⁻³⁰)² − (1 + 2⁻²⁹) = 2⁻⁶⁰: lost without the error of the product.
            let e = libm::scalbn(1.0, -30);
            x.fill(0.0);
            (x[0], y[0]) = (1.0 + e, 1.0 + e);
            (x[n - 1], y[n - 1]) = (-(1.0 + 2.0 * e), 1.0);
            assert_eq!(dot_compensated(isa, &x, &y), e * e, "{isa} {n}");
        }
        let x = [1e30_f32, 1.0, -1e30];
        assert_eq!(dot_compensated(isa, &x, &[1.0_f32; 3]), 1.0);
        assert_eq!(sum_compensated(isa, &x), 1.0);
    }
}

proptest! {
    /// Cancelling sums against exact integers: Dot2's bound, which the plain sum breaks.
    #[test]
    fn compensated_dot_keeps_its_bound(
        terms in prop::collection::vec((-(1_i64 << 52)..1 << 52, -(1_i64 << 52)..1 << 52), 0..80),
        last in -1000_i64..1000,
    ) {
        // x·y with x = (a, a, 1), y = (b, −b + small, last) is known exactly in i128.
        let mut x: Vec<i64> = Vec::new();
        let mut y: Vec<i64> = Vec::new();
        for &(a, b) in &terms {
            x.extend([a, a]);
            y.extend([b, -b + (a % 3)]);
        }
        x.push(1);
        y.push(last);
        let exact: i128 = x.iter().zip(&y).map(|(&a, &b)| i128::from(a) * i128::from(b)).sum();
        let fx: Vec<f64> = x.iter().map(|&a| a as f64).collect();
        let fy: Vec<f64> = y.iter().map(|&a| a as f64).collect();
        let (_, abs) = oracle::dot(&fx, &fy);
        let gamma = (fx.len() + 8) as f64 * UNIT;
        for isa in Isa::available() {
            let got = dot_compensated(isa, &fx, &fy);
            let error = (got - exact as f64).abs();
            let bound = 2.0 * UNIT * (exact as f64).abs() + 2.0 * gamma * gamma * abs;
            prop_assert!(error <= bound, "{isa}: {got} for {exact}, bound {bound:e}");
        }
    }
}
