use super::*;
use crate::oracle::uniform;

fn typed<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|&x| T::from_f64(x)).collect()
}

/// Numbers that both types hold.
fn inputs(seed: u64, n: usize, size: f64) -> Vec<f64> {
    uniform(seed, n).iter().map(|&x| f64::from((size * x) as f32)).collect()
}

/// softmax of one row by the formula, 0 where the mask forbids.
fn softmax(scores: &[f64], mask: &[bool]) -> Vec<f64> {
    let allowed = || scores.iter().zip(mask).filter(|(_, m)| **m).map(|(s, _)| *s);
    let top = allowed().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = allowed().map(|s| (s - top).exp()).sum();
    let entry = |(s, m): (&f64, &bool)| if *m { (s - top).exp() / sum } else { 0.0 };
    scores.iter().zip(mask).map(entry).collect()
}

/// C x = x − A·x, as Σⱼ Aⱼ (xᵢ − xⱼ): no digit is lost where one A is nearly 1.
fn centred(p: &[f64], x: &[f64]) -> Vec<f64> {
    x.iter().map(|a| p.iter().zip(x).map(|(p, b)| p * (a - b)).sum()).collect()
}

fn close<T: Real>(what: &str, got: &[T], want: &[f64], bound: f64) {
    let size = want.iter().fold(1e-300_f64, |m, x| m.max(x.abs()));
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (got.to_f64() - want).abs();
        assert!(error <= bound * size, "{what} {i}: {got:e}, not {want:e}, of {size:e}");
    }
}

fn check<T: Real>(isa: Isa, keys: usize, spread: f64) {
    let rows = 4;
    let n = rows * keys;
    let eps = T::EPSILON.to_f64();
    let name = |what: &str| format!("{} {isa} {keys} keys ±{spread}: {what}", T::NAME);
    let scores = inputs(keys as u64, n, spread);
    // The first row is whole, the last one has no key, the others lose every third.
    let mask: Vec<bool> =
        (0..n).map(|i| i < keys || (i < 3 * keys && (i % keys) % 3 != 1)).collect();
    let mut a = typed::<T>(&scores);
    let mut reference = vec![T::NAN; rows];
    masked_softmax(isa, keys, Some(&mask), &mut a, &mut reference);

    let (v, e, d) = (inputs(7, n, 1.0), inputs(8, n, 1.0), inputs(9, n, 1.0));
    let (mut x, mut product) = (typed::<T>(&v), vec![T::NAN; n]);
    softmax_derivative(isa, keys, &a, &reference, &mut x, &mut product);
    let (mut w, mut p_tangent, mut score_error) =
        (typed::<T>(&v), vec![T::NAN; n], vec![T::NAN; n]);
    softmax_adjoint_tangent(
        isa,
        keys,
        &a,
        &reference,
        &typed::<T>(&e),
        &typed::<T>(&d),
        &mut w,
        &mut p_tangent,
        &mut score_error,
    );
    for row in 0..rows {
        let place = row * keys..(row + 1) * keys;
        let p = softmax(&scores[place.clone()], &mask[place.clone()]);
        // s − max s is rounded to eps·2 spread, and e to the power of it changes by as much.
        let relative = (8.0 + 4.0 * spread) * eps;
        for (got, want) in a[place.clone()].iter().zip(&p) {
            let error = (got.to_f64() - want).abs();
            assert!(
                error <= relative * want + T::MIN_POSITIVE.to_f64(),
                "{}: {got:e}, not {want:e}",
                name("A")
            );
        }
        let c = centred(&p, &v[place.clone()]);
        let masked = p.iter().all(|p| *p == 0.0);
        let times = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>();
        if !masked {
            close(&name("C x"), &x[place.clone()], &c, 2.0 * relative);
        }
        close(&name("A C x"), &product[place.clone()], &times(&p, &c), 2.0 * relative);
        let (e, d) = (&e[place.clone()], &d[place.clone()]);
        let sum: Vec<f64> = (0..keys).map(|k| v[place.start + k] + e[k] * d[k]).collect();
        let want = times(&p, &centred(&p, &sum));
        close(&name("A C (x + E D)"), &w[place.clone()], &want, 4.0 * relative);
        close(&name("A E"), &p_tangent[place.clone()], &times(&p, e), 2.0 * relative);
        close(&name("A D"), &score_error[place.clone()], &times(&p, d), 2.0 * relative);
    }
}

#[test]
fn softmax_and_derivatives_agree_with_the_textbook() {
    for isa in Isa::available() {
        for keys in [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 65, 100] {
            for spread in [0.5, 5.0, 30.0] {
                check::<f32>(isa, keys, spread);
                check::<f64>(isa, keys, spread);
            }
        }
    }
}

#[test]
fn scores_of_any_size_and_rows_without_numbers() {
    for isa in Isa::available() {
        let soft = |row: &[f64]| {
            let mut a = row.to_vec();
            masked_softmax(isa, row.len(), None, &mut a, &mut [f64::NAN]);
            a
        };
        assert_eq!(soft(&[1e300, -1e300, 0.0]), [1.0, 0.0, 0.0]);
        assert_eq!(soft(&[-1e300, -1e300]), [0.5, 0.5]);
        assert_eq!(soft(&[f64::NEG_INFINITY; 3]), [0.0; 3]);
        assert_eq!(soft(&[f64::NEG_INFINITY, 2.0]), [0.0, 1.0]);
        for bad in [f64::NAN, f64::INFINITY] {
            for at in 0..3 {
                let mut row = [0.5; 3];
                row[at] = bad;
                assert!(soft(&row).iter().all(|a| a.is_nan()), "{isa} {bad} at {at}");
            }
        }
    }
}

#[test]
fn a_key_that_takes_all_keeps_the_digits_of_its_derivative() {
    for isa in Isa::available() {
        let mut a = [60.0_f64, 0.0];
        let mut reference = [f64::NAN];
        masked_softmax(isa, 2, None, &mut a, &mut reference);
        let q = (-60.0_f64).exp();
        let (mut x, mut product) = ([3.0, 1.0], [f64::NAN; 2]);
        softmax_derivative(isa, 2, &a, &reference, &mut x, &mut product);
        // Ȧ = ±A₁A₂(ẋ₁ − ẋ₂).
        for (got, want) in product.iter().zip([2.0 * q, -2.0 * q]) {
            assert!((got - want).abs() <= 1e-14 * q, "{isa}: {got:e}, not {want:e}");
        }
    }
}
