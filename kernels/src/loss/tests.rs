use super::*;
use crate::elementary::random_bits;
use crate::oracle_functions::DoubleDouble;
use crate::{Isa, Real};

fn uniform(i: u64, low: f64, high: f64) -> f64 {
    low + (high - low) * ((random_bits(i) >> 11) as f64 * f64::EPSILON * 0.5)
}

fn close(got: f64, want: f64, bound: f64, what: &str) {
    let error = (got - want).abs();
    assert!(error <= bound * want.abs() + 1e-300, "{what}: {got:e}, not {want:e}");
}

/// Cross entropy of one row in double-double: loss, gradient and probabilities. Entry `y` of the
/// gradient (the largest target) as minus the sum of the others, which is exact enough there.
fn exact_row(f: &[f64], t: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
    let dd = |x| DoubleDouble::new(x, 0.0);
    let m = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<DoubleDouble> = f.iter().map(|&f| crate::oracle_functions::exp(f - m)).collect();
    let sum = e.iter().fold(dd(0.0), |s, &e| s + e);
    let top = f.iter().position(|&f| f == m).unwrap();
    let others = (0..f.len()).filter(|&k| k != top).fold(dd(0.0), |s, k| s + e[k]);
    let log = crate::oracle_functions::log1p(others.hi);
    let mass = t.iter().fold(dd(0.0), |s, &t| s + dd(t));
    let loss = (0..f.len())
        .filter(|&k| t[k] != 0.0)
        .fold(mass * log, |s, k| s + dd(t[k]) * (dd(m) - dd(f[k])));
    let y = (0..f.len()).fold(0, |y, k| if t[k] > t[y] { k } else { y });
    let mut g: Vec<DoubleDouble> = (0..f.len()).map(|k| mass * e[k] / sum - dd(t[k])).collect();
    g[y] = -(0..f.len()).filter(|&k| k != y).fold(dd(0.0), |s, k| s + g[k]);
    let p = e.iter().map(|&e| (e / sum).hi).collect();
    (loss.hi, g.iter().map(|g| g.hi).collect(), p)
}

struct Run<T> {
    loss: f64,
    gradient: Vec<T>,
    probabilities: Vec<T>,
}

fn run<T: Real>(
    isa: Isa,
    classes: usize,
    logits: &[T],
    targets: Targets<'_, T>,
    weights: Option<&[T]>,
    scale: f64,
) -> Run<T> {
    let mut gradient = vec![T::NAN; logits.len()];
    let mut probabilities = vec![T::NAN; logits.len()];
    let loss = softmax_cross_entropy(
        isa,
        classes,
        logits,
        targets,
        weights,
        scale,
        Some(&mut gradient),
        Some(&mut probabilities),
    );
    // Whatever is asked for, the numbers are the same.
    let alone = softmax_cross_entropy(isa, classes, logits, targets, weights, scale, None, None);
    assert_eq!(loss.to_bits(), alone.to_bits());
    let (mut g, mut p) = (vec![T::NAN; logits.len()], vec![T::NAN; logits.len()]);
    softmax_cross_entropy(isa, classes, logits, targets, weights, scale, Some(&mut g), None);
    softmax_cross_entropy(isa, classes, logits, targets, weights, scale, None, Some(&mut p));
    let same = |a: &[T], b: &[T]| a.iter().zip(b).all(|(a, b)| a == b || a.to_f64().is_nan());
    assert!(same(&gradient, &g) && same(&probabilities, &p));
    Run { loss, gradient, probabilities }
}

#[test]
fn cross_entropy_agrees_with_double_double_confident_or_not() {
    fn check<T: Real>(isa: Isa, classes: usize, spread: f64) {
        let rows = 5;
        let eps = T::EPSILON.to_f64();
        let seed = (classes * 100) as u64 + spread as u64;
        let logits: Vec<T> = (0..(rows * classes) as u64)
            .map(|i| T::from_f64(uniform(seed + i, -spread, spread)))
            .collect();
        let weights: Vec<T> =
            (0..rows as u64).map(|i| T::from_f64(uniform(i + 7, 0.5, 2.0))).collect();
        let scale = 0.25;
        let best = |b: usize| {
            let f = &logits[b * classes..][..classes];
            (0..classes).fold(0, |y, k| if f[k] > f[y] { k } else { y })
        };
        // Half of the rows have their most probable class as target, half any class.
        let y: Vec<u32> = (0..rows)
            .map(|b| {
                if b % 2 == 0 {
                    best(b) as u32
                } else {
                    (random_bits(b as u64) % classes as u64) as u32
                }
            })
            .collect();
        let got = run(isa, classes, &logits, Targets::Classes(&y), Some(&weights), scale);
        let mut one_hot = vec![T::ZERO; logits.len()];
        for b in 0..rows {
            one_hot[b * classes + y[b] as usize] = T::ONE;
        }
        let soft =
            run(isa, classes, &logits, Targets::Probabilities(&one_hot), Some(&weights), scale);
        let mut loss = 0.0;
        // The rounding of fₖ − m moves e^(fₖ − m) by eps·spread relative.
        let bound = (8.0 + 2.0 * spread) * eps;
        for b in 0..rows {
            let place = b * classes..(b + 1) * classes;
            let f: Vec<f64> = logits[place.clone()].iter().map(|f| f.to_f64()).collect();
            let t: Vec<f64> = one_hot[place.clone()].iter().map(|t| t.to_f64()).collect();
            let (one, g, p) = exact_row(&f, &t);
            let w = weights[b].to_f64();
            loss += w * one;
            let tiny = T::MIN_POSITIVE.to_f64();
            for k in 0..classes {
                let i = b * classes + k;
                let what =
                    format!("{} {isa} {classes} classes ±{spread} row {b} class {k}", T::NAME);
                if p[k] > tiny {
                    close(got.probabilities[i].to_f64(), p[k], bound, &what);
                }
                if g[k].abs() > 100.0 * tiny {
                    close(got.gradient[i].to_f64(), scale * w * g[k], bound, &what);
                }
                // Soft targets lead to the same gradient; where another class than the target is the
                // most probable one its entries are differences of p and 1.
                let size = if y[b] as usize == best(b) { g[k].abs() } else { 1.0 };
                if size < 100.0 * tiny {
                    continue;
                }
                let error = (soft.gradient[i].to_f64() - scale * w * g[k]).abs();
                assert!(
                    error <= 2.0 * bound * scale * w * size,
                    "soft {what}: {error:e} of {size:e}"
                );
            }
        }
        if loss > 1e-30 {
            close(got.loss, scale * loss, bound, T::NAME);
            close(soft.loss, scale * loss, bound, T::NAME);
        }
    }
    for isa in Isa::available() {
        for classes in (1..20).chain([31, 33, 100]) {
            for spread in [0.5, 5.0, 20.0, 80.0] {
                check::<f32>(isa, classes, spread);
                check::<f64>(isa, classes, spread);
            }
        }
    }
}

#[test]
fn a_confident_sample_keeps_all_digits_of_its_gradient() {
    for isa in Isa::available() {
        let f = [60.0f64, 0.0, 1.0];
        let got = run(isa, 3, &f, Targets::Classes(&[0]), None, 1.0);
        let small = (-60.0f64).exp() + (-59.0f64).exp();
        close(got.gradient[0], -small, 1e-14, "gradient of the target");
        close(got.loss, small, 1e-14, "loss");
        let hot = [1.0, 0.0, 0.0];
        let got = run(isa, 3, &f, Targets::Probabilities(&hot), None, 1.0);
        close(got.gradient[0], -small, 1e-14, "soft gradient of the target");
        close(got.loss, small, 1e-14, "soft loss");
    }
}

#[test]
fn logits_of_any_size() {
    for isa in Isa::available() {
        // The reference table's rows at ±1000, to its own 11 digits and better.
        let f = [1000.0, -1000.0, 0.0, -1000.0, 1000.0, 999.0];
        let got = run(isa, 3, &f, Targets::Classes(&[1, 2]), None, 0.5);
        close(got.loss, 1000.6566308437591, 1e-15, "loss");
        let e = 1.0 / (1.0 + (-1.0f64).exp());
        let want = [0.5, -0.5, 0.0, 0.0, 0.5 * e, -0.5 * e];
        for (got, want) in got.gradient.iter().zip(want) {
            close(*got, want, 1e-15, "gradient");
        }
        let f = [1e300, -1e300];
        assert_eq!(run(isa, 2, &f, Targets::Classes(&[0]), None, 1.0).loss, 0.0);
        let far = run(isa, 2, &f, Targets::Classes(&[1]), None, 1.0);
        assert_eq!((far.loss, far.gradient), (2e300, vec![1.0, -1.0]));
        // A class that is ruled out.
        let f = [0.0f32, f32::NEG_INFINITY, 0.0];
        for targets in [Targets::Classes(&[0]), Targets::Probabilities(&[1.0, 0.0, 0.0])] {
            let got = run(isa, 3, &f, targets, None, 1.0);
            close(got.loss, core::f64::consts::LN_2, 1e-7, "loss");
            assert_eq!(got.gradient, [-0.5, 0.0, 0.5]);
            assert_eq!(got.probabilities, [0.5, 0.0, 0.5]);
        }
        assert_eq!(run(isa, 3, &f, Targets::Classes(&[1]), None, 1.0).loss, f64::INFINITY);
    }
}

#[test]
fn what_is_no_number_is_never_hidden() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for isa in Isa::available() {
        for f in [[nan, 0.0, 1.0], [0.0, nan, 1.0], [0.0, 1.0, nan], [-inf; 3], [0.0, inf, 1.0]] {
            for targets in [Targets::Classes(&[2]), Targets::Probabilities(&[0.0, 0.0, 1.0])] {
                let got = run(isa, 3, &f, targets, None, 1.0);
                assert!(got.loss.is_nan(), "{isa} {f:?}: {}", got.loss);
                assert!(got.gradient.iter().any(|g| g.is_nan()), "{isa} {f:?}: {:?}", got.gradient);
                assert!(got.probabilities.iter().any(|p| p.is_nan()), "{isa} {f:?}");
            }
        }
        assert_eq!(run::<f32>(isa, 0, &[], Targets::Classes(&[]), None, 1.0).loss, 0.0);
        assert_eq!(run::<f32>(isa, 3, &[], Targets::Classes(&[]), None, 1.0).loss, 0.0);
    }
}

#[test]
fn soft_targets_whatever_they_sum_to() {
    for isa in Isa::available() {
        let f = [0.3f64, -1.2, 2.0, 0.1, 0.1];
        let t = [0.1, 0.2, 0.5, 0.4, 0.0];
        let got = run(isa, 5, &f, Targets::Probabilities(&t), None, 2.0);
        let (loss, g, _) = exact_row(&f, &t);
        close(got.loss, 2.0 * loss, 1e-15 * 8.0, "loss");
        for k in 0..5 {
            assert!((got.gradient[k] - 2.0 * g[k]).abs() < 4e-15, "{isa} {k}");
        }
    }
}

#[test]
fn curvature_is_the_derivative_of_the_gradient() {
    for isa in Isa::available() {
        for classes in [1, 2, 3, 8, 10, 17, 40] {
            let (rows, repeat, scale) = (3, 2, 0.5);
            let f: Vec<f64> = (0..(rows * classes) as u64).map(|i| uniform(i, -3.0, 3.0)).collect();
            let w: Vec<f64> = (0..rows as u64).map(|i| uniform(i, 0.5, 1.5)).collect();
            let y = vec![0; rows];
            let p = run(isa, classes, &f, Targets::Classes(&y), Some(&w), scale).probabilities;
            let v: Vec<f64> = (0..(rows * repeat * classes) as u64)
                .map(|i| uniform(i + 999, -1.0, 1.0))
                .collect();
            let mut product = v.clone();
            softmax_curvature_product(isa, classes, repeat, &p, Some(&w), scale, &mut product);
            let h = 1e-3;
            for k in 0..repeat {
                let gradient = |step: f64| {
                    let moved: Vec<f64> = (0..f.len())
                        .map(|i| {
                            let (b, c) = (i / classes, i % classes);
                            f[i] + step * v[(b * repeat + k) * classes + c]
                        })
                        .collect();
                    run(isa, classes, &moved, Targets::Classes(&y), Some(&w), scale).gradient
                };
                let [a, b, c, d] = [-2.0 * h, -h, h, 2.0 * h].map(gradient);
                for i in 0..f.len() {
                    let difference = (8.0 * (c[i] - b[i]) - (d[i] - a[i])) / (12.0 * h);
                    let (row, class) = (i / classes, i % classes);
                    let got = product[(row * repeat + k) * classes + class];
                    assert!(
                        (got - difference).abs() < 1e-11,
                        "{isa} {classes}: {got} {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn curvature_of_a_confident_sample_keeps_its_digits() {
    for isa in Isa::available() {
        let f = [0.0, 50.0, 1.0];
        let p = run(isa, 3, &f, Targets::Classes(&[1]), None, 1.0).probabilities;
        let mut v = [1.0, 1.0 + f64::EPSILON, -2.0];
        softmax_curvature_product(isa, 3, 1, &p, None, 1.0, &mut v);
        // p₁ s with s = p₀ (v₀ − v₁) + p₂ (v₂ − v₁), where p₁ = 1 to 49 binary digits less.
        let (a, b) = ((-50.0f64).exp(), (-49.0f64).exp());
        let s = -a * f64::EPSILON - b * (3.0 + f64::EPSILON);
        close(v[1], -s, 1e-14, "the sure class");
        close(v[2], b * (-3.0 - f64::EPSILON - s), 1e-14, "another class");
        // A constant shift of all logits changes nothing, exactly.
        let mut v = [0.7; 3];
        softmax_curvature_product(isa, 3, 1, &p, None, 1.0, &mut v);
        assert_eq!(v, [0.0; 3]);
    }
}

#[test]
fn squared_error_agrees_with_plain_sums() {
    fn check<T: Real>(isa: Isa, columns: usize) {
        let rows = 4;
        // Whole numbers: exact in every order of summation.
        let value = |i: u64| T::from_f64((random_bits(i) % 9) as f64 - 4.0);
        let f: Vec<T> = (0..(rows * columns) as u64).map(value).collect();
        let y: Vec<T> = (0..(rows * columns) as u64).map(|i| value(i + 500)).collect();
        let w: Vec<T> = (0..rows as u64).map(|i| value(i + 900)).collect();
        let mut gradient = vec![T::NAN; f.len()];
        let loss = squared_error(isa, columns, &f, &y, Some(&w), 0.25, Some(&mut gradient));
        let alone = squared_error(isa, columns, &f, &y, Some(&w), 0.25, None);
        let mut want = 0.0;
        for i in 0..f.len() {
            let (d, w) = ((f[i] - y[i]).to_f64(), w[i / columns].to_f64());
            want += 0.125 * w * d * d;
            assert_eq!(gradient[i].to_f64(), 0.25 * w * d);
        }
        assert_eq!((loss, alone), (want, want), "{isa} {columns}");
        let mut v: Vec<T> = [&f[..], &y[..]].concat();
        let tangents = v.clone();
        squared_curvature_product(isa, columns, 2, Some(&w), 0.25, &mut v);
        for i in 0..v.len() {
            let w = w[i / (2 * columns)].to_f64();
            assert_eq!(v[i].to_f64(), 0.25 * w * tangents[i].to_f64());
        }
    }
    for isa in Isa::available() {
        for columns in (1..20).chain([33, 64]) {
            check::<f32>(isa, columns);
            check::<f64>(isa, columns);
        }
        assert_eq!(squared_error::<f32>(isa, 0, &[], &[], None, 1.0, None), 0.0);
        let loss = squared_error(isa, 2, &[f64::NAN, 0.0], &[0.0, 0.0], None, 1.0, None);
        assert!(loss.is_nan());
        let loss = squared_error(isa, 1, &[1e200, 0.0], &[0.0, 0.0], None, 1.0, None);
        assert_eq!(loss, f64::INFINITY);
    }
}

#[test]
fn sums_over_samples_are_compensated() {
    for isa in Isa::available() {
        let n = 10_001;
        let mut f = vec![1.0f64; n];
        f[0] = 1e8;
        // ½·1e16 + ½·10⁴: a plain sum stays at ½·1e16 or drifts.
        let loss = squared_error(isa, 1, &f, &vec![0.0; n], None, 1.0, None);
        assert_eq!(loss, 5_000_000_000_005_000.0);
    }
}

#[test]
#[should_panic(expected = "a class is out of range")]
fn a_class_out_of_range_is_refused() {
    let isa = Isa::SCALAR;
    softmax_cross_entropy(isa, 2, &[0.0f32; 2], Targets::Classes(&[2]), None, 1.0, None, None);
}
