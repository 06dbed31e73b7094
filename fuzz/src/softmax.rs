//! Cross entropy of softmax against double-double arithmetic.

use arbitrary::{Result, Unstructured};
use hesse_kernels::loss::{Targets, softmax_cross_entropy, softmax_curvature_product};
use hesse_kernels::oracle_functions::{self as oracle, DoubleDouble};
use hesse_kernels::{Isa, Real};

use crate::numbers::{Numbers, prolonged};

fn dd(x: f64) -> DoubleDouble {
    DoubleDouble::new(x, 0.0)
}

/// Loss, gradient, probabilities and curvature keep their digits for any logits.
///
/// # Panics
/// If they do not.
pub fn softmax(bytes: &[u8]) {
    let bytes = prolonged(bytes);
    let mut u = Unstructured::new(&bytes);
    let _ = match u.arbitrary() {
        Ok(true) => check::<f32>(&mut u),
        _ => check::<f64>(&mut u),
    };
}

/// One sample: values and how far from them results may be, but for underflow.
struct Row {
    loss: (f64, f64),
    gradient: Vec<(f64, f64)>,
    probabilities: Vec<(f64, f64)>,
}

/// The row in double-double arithmetic, if its logits are numbers with a finite largest one.
fn exact<T: Real>(f: &[f64], y: usize) -> Option<Row> {
    let m = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if f.iter().any(|f| f.is_nan()) || !m.is_finite() {
        return None;
    }
    let epsilon = T::EPSILON.to_f64();
    let top = f.iter().position(|&f| f == m)?;
    let e: Vec<_> = f.iter().map(|&f| oracle::exp(f - m)).collect();
    let sum_without =
        |skip| (0..f.len()).filter(|&k| k != skip).fold(dd(0.0), |sum: DoubleDouble, k| sum + e[k]);
    let (others, rest) = (sum_without(top), sum_without(y));
    let normalizer = others + dd(1.0);
    // eₖ with the rounding of fₖ − m and its own, twice what they can be.
    let error = |k: usize| match e[k].hi {
        0.0 => 0.0,
        e => e * (m - f[k] + 4.0) * epsilon,
    };
    let errors = (0..f.len()).filter(|&k| k != top).map(error).sum::<f64>()
        + f.len() as f64 * f64::EPSILON * others.hi;
    let log = oracle::log1p(others.hi).hi;
    let value = |e: DoubleDouble, error: f64| {
        let value = (e / normalizer).hi;
        (value, (error + value.abs() * errors) / normalizer.hi + 4.0 * epsilon * value.abs())
    };
    let probabilities: Vec<_> = (0..f.len()).map(|k| value(e[k], error(k))).collect();
    let mut gradient = probabilities.clone();
    // Minus the sum of the others, or the difference of the normaliser and its own exponential.
    gradient[y] = value(-rest, errors + if y == top { 0.0 } else { error(y) });
    Some(Row {
        loss: (
            (m - f[y]) + log,
            errors / normalizer.hi + 4.0 * epsilon * log + 2.0 * f64::EPSILON * (m - f[y]),
        ),
        gradient,
        probabilities,
    })
}

fn check<T: Real>(u: &mut Unstructured<'_>) -> Result<()> {
    let (rows, classes) = (u.int_in_range(1..=3)?, u.int_in_range(1..=40)?);
    let mut numbers = [Numbers::read(u)?, Numbers::read(u)?];
    // So that exponentials of moderate numbers are neither all alike nor all 0.
    let stretch = T::from_f64([1.0, 1.0, 8.0, 32.0][u.int_in_range(0..=3)?]);
    let logits: Vec<T> =
        numbers[0].take(rows * classes).into_iter().map(|f: T| f * stretch).collect();
    let wide: Vec<f64> = logits.iter().map(|f| f.to_f64()).collect();
    let row = |b: usize| &wide[b * classes..][..classes];
    // Half of the samples are classified as they should be.
    let best = |b: usize| (0..classes).fold(0, |y, k| if row(b)[k] > row(b)[y] { k } else { y });
    let y: Vec<u32> = (0..rows)
        .map(|b| if numbers[1].below(2) == 0 { best(b) } else { numbers[1].below(classes) } as u32)
        .collect();
    let weights: Vec<T> =
        (0..rows).map(|_| T::from_f64(0.5 + numbers[1].below(16) as f64 / 8.0)).collect();
    let weights = u.arbitrary::<bool>()?.then_some(&weights[..]);
    let scale = 1.0 / rows as f64;
    let weight = |b: usize| weights.map_or(1.0, |w| w[b].to_f64());
    let want: Vec<_> = (0..rows).map(|b| exact::<T>(row(b), y[b] as usize)).collect();
    for isa in Isa::available() {
        let (mut g, mut p) = (vec![T::NAN; wide.len()], vec![T::NAN; wide.len()]);
        let targets = Targets::Classes(&y);
        let loss = softmax_cross_entropy(
            isa,
            classes,
            &logits,
            targets,
            weights,
            scale,
            Some(&mut g),
            Some(&mut p),
        );
        let alone =
            softmax_cross_entropy(isa, classes, &logits, targets, weights, scale, None, None);
        let label = format!("{isa} {}, rows of {classes}: {logits:?}, classes {y:?}", T::NAME);
        assert!(loss.to_bits() == alone.to_bits() || loss.is_nan() && alone.is_nan(), "{label}");
        let (mut total, mut bound) = (0.0, 0.0);
        for (b, want) in want.iter().enumerate() {
            let place = b * classes..(b + 1) * classes;
            let (g, p) = (&g[place.clone()], &p[place]);
            let Some(want) = want else {
                // What is no number is never hidden.
                let shown = |x: &[T]| x.iter().any(|x| x.to_f64().is_nan());
                assert!(
                    loss.is_nan() && shown(g) && shown(p),
                    "loss {loss}, {g:?}, {p:?}, {label}"
                );
                total = f64::NAN;
                continue;
            };
            // Exponentials and products that underflow, one by one.
            let tiny = 4.0 * classes as f64 * T::MIN_POSITIVE.to_f64() * T::EPSILON.to_f64();
            let factor = scale * weight(b);
            for k in 0..classes {
                let close = |name: &str, got: T, factor: f64, (want, bound): (f64, f64)| {
                    let (want, bound) = (factor * want, factor * bound + tiny);
                    let what = format!("{name} {k} of row {b}: {got:e}, not {want:e}; {label}");
                    assert!((got.to_f64() - want).abs() <= bound, "{what}");
                };
                close("probability", p[k], 1.0, want.probabilities[k]);
                close("gradient", g[k], factor, want.gradient[k]);
            }
            total += weight(b) * want.loss.0;
            bound += weight(b) * (want.loss.1 + tiny);
        }
        if total.is_nan() {
            continue;
        }
        let close = loss == scale * total || (loss - scale * total).abs() <= scale * bound;
        assert!(close, "loss {loss:e}, not {:e}; {label}", scale * total);
        curvature(isa, classes, &p, weights, scale, &mut numbers[1]);
    }
    Ok(())
}

/// factor·p ∘ (v − p·v), with v relative to the entry at the most probable class.
fn curvature<T: Real>(
    isa: Isa,
    classes: usize,
    p: &[T],
    weights: Option<&[T]>,
    scale: f64,
    numbers: &mut Numbers,
) {
    let (rows, repeat) = (p.len() / classes, 1 + numbers.below(3));
    let v: Vec<T> = numbers.take_moderate(repeat * p.len());
    let mut got = v.clone();
    softmax_curvature_product(isa, classes, repeat, p, weights, scale, &mut got);
    for b in 0..rows {
        let p: Vec<f64> = p[b * classes..][..classes].iter().map(|p| p.to_f64()).collect();
        let r = (0..classes).fold(0, |r, k| if p[k] > p[r] { k } else { r });
        let factor = scale * weights.map_or(1.0, |w| w[b].to_f64());
        for copy in b * repeat..(b + 1) * repeat {
            let place = copy * classes..(copy + 1) * classes;
            let v: Vec<f64> = v[place.clone()].iter().map(|v| v.to_f64()).collect();
            let terms = || (0..classes).map(|k| (dd(p[k]), dd(v[k]) - dd(v[r])));
            let mean = terms().fold(dd(0.0), |sum, (p, d)| sum + p * d);
            let size = terms().fold(0.0, |sum, (p, d)| sum + (p * d).hi.abs());
            // Six roundings in `T` and the sum in `f64`.
            let unit = T::EPSILON.to_f64() / 2.0;
            let gamma = 8.0 * unit + classes as f64 * f64::EPSILON;
            for (k, got) in got[place].iter().enumerate() {
                let d = dd(v[k]) - dd(v[r]);
                let want = (dd(p[k]) * (d - mean) * dd(factor)).hi;
                let error = (got.to_f64() - want).abs();
                let bound = gamma * (p[k] * (d.hi.abs() + size) * factor);
                let tiny = 4.0 * T::MIN_POSITIVE.to_f64() * T::EPSILON.to_f64();
                let tiny = tiny * (1.0 + factor + factor * p[k] * classes as f64);
                assert!(
                    error <= bound + tiny,
                    "curvature {isa} {}: {got:e}, not {want:e}, at {k} of {classes} with {p:?} \
                     and {v:?}",
                    T::NAME
                );
            }
        }
    }
}
