//! Eigensolvers and linear solvers against dense algebra.

mod conjugate_gradient;
mod golub_kahan;
mod lanczos;
mod lobpcg;
mod operators;

use faer::Mat;
use hesse::Real;
use hesse::krylov::{Eigenpairs, FnOperator, LinearOperator, Status, Which};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn random(rng: &mut StdRng) -> f64 {
    rng.random::<f64>() * 2.0 - 1.0
}

/// A random orthogonal matrix: Gram-Schmidt, twice.
fn orthogonal(n: usize, seed: u64) -> Mat<f64> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut q = Mat::from_fn(n, n, |_, _| random(&mut rng));
    for j in 0..n {
        for _ in 0..2 {
            for i in 0..j {
                let dot: f64 = (0..n).map(|r| q[(r, i)] * q[(r, j)]).sum();
                for r in 0..n {
                    q[(r, j)] -= dot * q[(r, i)];
                }
            }
        }
        let norm = (0..n).map(|r| q[(r, j)] * q[(r, j)]).sum::<f64>().sqrt();
        for r in 0..n {
            q[(r, j)] /= norm;
        }
    }
    q
}

/// Q diag(λ) Qᵀ, exactly symmetric.
fn with_spectrum(values: &[f64], seed: u64) -> Mat<f64> {
    let n = values.len();
    let q = orthogonal(n, seed);
    let half = Mat::from_fn(n, n, |i, j| q[(i, j)] * values[j]);
    let full = &half * q.transpose();
    Mat::from_fn(n, n, |i, j| 0.5 * full[(i, j)] + 0.5 * full[(j, i)])
}

fn cast<T: Real>(a: &Mat<f64>) -> Mat<T> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| T::from_f64(a[(i, j)]))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The wanted values of a known spectrum in the order of results.
fn expected(spectrum: &[f64], which: Which, k: usize) -> Vec<f64> {
    let ascending = sorted(spectrum.to_vec());
    let descending: Vec<f64> = ascending.iter().rev().copied().collect();
    match which {
        Which::Largest => descending[..k].to_vec(),
        Which::Smallest => ascending[..k].to_vec(),
        Which::LargestMagnitude => {
            let mut order = descending;
            order.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
            order[..k].to_vec()
        }
        Which::BothEnds => {
            let (top, n) = (k.div_ceil(2), descending.len());
            descending[..top].iter().chain(&descending[n - (k - top)..]).copied().collect()
        }
    }
}

/// Values, honest residuals, orthonormal vectors.
fn check<T: Real, A: LinearOperator<T>>(
    a: &A,
    pairs: &Eigenpairs<T>,
    want: &[f64],
    norm: f64,
    case: &str,
) {
    let magnitudes = case.contains("Magnitude");
    let n = a.dimension();
    let eps = T::EPSILON.to_f64();
    assert_eq!(pairs.status, Status::Converged, "{case}: {:?} {:?}", pairs.values, pairs.residuals);
    assert_eq!(pairs.values.len(), want.len(), "{case}");
    for (i, want) in want.iter().enumerate() {
        let (value, bound) = (pairs.values[i], pairs.error_bounds[i]);
        assert!(bound <= pairs.residuals[i], "{case}");
        // The dense reference, products and the Rayleigh quotient round by a few √n ε‖A‖.
        let allowed = bound + 20.0 * (n as f64).sqrt() * eps * norm;
        // Of ±λ either may come first.
        let (got, want) = if magnitudes { (value.abs(), want.abs()) } else { (value, *want) };
        assert!((got - want).abs() <= allowed, "{case}: value {i}: {value} for {want}, {bound:e}");
    }
    let k = want.len();
    let columns: Vec<Vec<T>> =
        (0..k).map(|j| (0..n).map(|i| pairs.vectors[(i, j)]).collect()).collect();
    let scale = if norm > 0.0 { norm } else { 1.0 };
    for (j, v) in columns.iter().enumerate() {
        let mut w = vec![T::NAN; n];
        a.apply(v, &mut w);
        let difference = |(w, v): (&T, &T)| (w.to_f64() - pairs.values[j] * v.to_f64()) / scale;
        let residual = w.iter().zip(v).map(difference).map(|d| d * d).sum::<f64>().sqrt() * scale;
        let slack = 10.0 * (n as f64).sqrt() * eps * norm;
        assert!(
            (residual - pairs.residuals[j]).abs() <= slack,
            "{case}: residual {j}: {residual:e}, reported {:e}",
            pairs.residuals[j]
        );
        for (i, u) in columns.iter().enumerate() {
            let dot: f64 = u.iter().zip(v).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
            let want = if i == j { 1.0 } else { 0.0 };
            // 1e-13·m in f64 for a space of m ≤ 60 columns, the same number of ε in f32.
            assert!((dot - want).abs() <= 450.0 * 60.0 * eps, "{case}: ({i}, {j}): {dot:e}");
        }
    }
}

fn spectra() -> Vec<(&'static str, Vec<f64>)> {
    let mut rng = StdRng::seed_from_u64(11);
    let n = 90;
    let mut repeated = vec![1.0; n];
    repeated[..12].fill(50.0);
    repeated[12..17].fill(-7.0);
    let mut rank = vec![0.0; n];
    rank[..4].copy_from_slice(&[3.0, -2.0, 1.0, 1.0]);
    vec![
        ("random", (0..n).map(|_| random(&mut rng)).collect()),
        ("clustered", (0..n).map(|i| 1.0 + 1e-4 * i as f64 / n as f64).collect()),
        ("repeated", repeated),
        ("indefinite", (0..n).map(|i| (i as f64 - 44.5).powi(3)).collect()),
        ("rank deficient", rank),
        ("geometric", (0..n).map(|i| 0.5_f64.powi(i as i32)).collect()),
        ("zero", vec![0.0; n]),
        ("identity", vec![1.0; n]),
        ("one", vec![-3.0]),
        ("two", vec![-3.0, 2.0]),
        ("three", vec![1.0, 1.0, 1.0]),
    ]
}

/// Second difference with free ends.
fn path(n: usize) -> FnOperator<impl Fn(&[f64], &mut [f64]) + Sync> {
    FnOperator::new(n, move |x: &[f64], y: &mut [f64]| {
        for i in 0..n {
            let left = if i > 0 { x[i] - x[i - 1] } else { 0.0 };
            let right = if i + 1 < n { x[i] - x[i + 1] } else { 0.0 };
            y[i] = left + right;
        }
    })
    .unwrap()
}
