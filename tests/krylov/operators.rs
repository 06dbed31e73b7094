//! Operators against their matrices.

use faer::Mat;
use hesse::krylov::{
    Deflated, DenseOperator, Diagonal, FnOperator, Identity, LinearOperator, Scaled, Shifted,
    SparseOperator, Sum,
};
use hesse::{Error, sprs};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{orthogonal, random};

#[test]
fn operators_check_their_shapes() {
    let text = |error: Error| error.to_string();
    let wide = Mat::<f64>::zeros(2, 3);
    assert_eq!(
        text(DenseOperator::new(wide.as_ref()).unwrap_err()),
        "dense operator: expected (2, 2), got (2, 3)"
    );
    let mut a = Mat::<f64>::identity(3, 3);
    a[(2, 0)] = 0.5;
    assert!(
        matches!(DenseOperator::new(a.as_ref()), Err(Error::NotSymmetric { defect }) if defect == 0.5)
    );
    a[(2, 0)] = f64::INFINITY;
    assert_eq!(
        text(DenseOperator::new(a.as_ref()).unwrap_err()),
        "dense operator (column-major): expected finite numbers, got inf at index 2"
    );
    assert_eq!(
        text(Sum::new::<f64>(Identity::new(3).unwrap(), Identity::new(4).unwrap()).unwrap_err()),
        "second operator of a sum: expected (3, 3), got (4, 4)"
    );
    assert_eq!(
        text(FnOperator::new(0, |_: &[f64], _: &mut [f64]| ()).err().unwrap()),
        "dimension of the operator: expected at least one, got none"
    );
    assert_eq!(
        text(Scaled::new(Identity::new(3).unwrap(), f64::NAN).unwrap_err()),
        "factor of a scaled operator: expected a finite number, got NaN"
    );
    assert_eq!(
        text(Deflated::new(Diagonal::new(vec![1.0; 3]).unwrap(), &[1.0; 4]).unwrap_err()),
        "deflated vectors: expected (3, 2), got (4, 1)"
    );
}

/// A random sparse symmetric matrix with a full diagonal.
fn sparse(n: usize, seed: u64) -> (sprs::CsMat<f64>, Mat<f64>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut triplets = sprs::TriMat::new((n, n));
    let mut dense = Mat::zeros(n, n);
    for i in 0..n {
        for j in i..n {
            if i == j || rng.random::<f64>() < 0.1 {
                let value = random(&mut rng);
                triplets.add_triplet(i, j, value);
                dense[(i, j)] = value;
                if i != j {
                    triplets.add_triplet(j, i, value);
                    dense[(j, i)] = value;
                }
            }
        }
    }
    (triplets.to_csr(), dense)
}

#[test]
fn operators_multiply_like_their_matrices() {
    let n = 57;
    let (matrix, dense) = sparse(n, 4);
    let sparse_operator = SparseOperator::new(matrix.view()).unwrap();
    let transposed = SparseOperator::new(matrix.to_csc().view()).unwrap();
    let dense_operator = DenseOperator::new(dense.as_ref()).unwrap();
    let reversed = dense.as_ref().reverse_rows_and_cols();
    let reversed_operator = DenseOperator::new(reversed).unwrap();
    let q = orthogonal(n, 8);
    let known: Vec<f64> = (0..2).flat_map(|c| (0..n).map(move |r| (r, c))).map(|i| q[i]).collect();
    let identity = Identity::new(n).unwrap();
    let sum = Sum::new::<f64>(&sparse_operator, Scaled::new(&identity, 2.0).unwrap()).unwrap();
    let shifted = Shifted::new(&dense_operator, 2.0).unwrap();
    let deflated = Deflated::new(&sparse_operator, &known).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    for k in 1..=17 {
        let x: Vec<f64> = (0..n * k).map(|_| random(&mut rng)).collect();
        let by = |a: &dyn LinearOperator<f64>| {
            let mut y = vec![f64::NAN; n * k];
            a.apply_block(&x, &mut y);
            let mut single = vec![f64::NAN; n];
            a.apply(&x[n * (k - 1)..], &mut single);
            for (a, b) in single.iter().zip(&y[n * (k - 1)..]) {
                assert!((a - b).abs() < 1e-13);
            }
            y
        };
        let product = |v: &[f64]| -> Vec<f64> {
            let rows = 0..n * (v.len() / n);
            rows.map(|i| (0..n).map(|j| dense[(i % n, j)] * v[i / n * n + j]).sum()).collect()
        };
        let close = |got: &[f64], want: &[f64], case: &str| {
            for (a, b) in got.iter().zip(want) {
                assert!((a - b).abs() < 1e-13, "{case} k {k}: {a} {b}");
            }
        };
        let want = product(&x);
        close(&by(&sparse_operator), &want, "csr");
        close(&by(&transposed), &want, "csc");
        close(&by(&dense_operator), &want, "dense");
        let plus: Vec<f64> = want.iter().zip(&x).map(|(y, x)| y + 2.0 * x).collect();
        close(&by(&sum), &plus, "sum");
        close(&by(&shifted), &plus, "shifted");
        let backward: Vec<f64> = x.chunks(n).flat_map(|x| x.iter().rev().copied()).collect();
        let want: Vec<f64> = product(&backward)
            .chunks(n)
            .flat_map(|y| y.iter().rev().copied().collect::<Vec<_>>())
            .collect();
        close(&by(&reversed_operator), &want, "reversed");
        let project = |v: &[f64]| -> Vec<f64> {
            let mut out = v.to_vec();
            for v in out.chunks_mut(n) {
                for q in known.chunks(n) {
                    let dot: f64 = q.iter().zip(&*v).map(|(a, b)| a * b).sum();
                    v.iter_mut().zip(q).for_each(|(v, q)| *v -= dot * q);
                }
            }
            out
        };
        close(&by(&deflated), &project(&product(&project(&x))), "deflated");
    }
}

#[test]
fn sparse_matrices_must_be_square_finite_and_symmetric() {
    let from = |shape: (usize, usize), entries: &[(usize, usize, f64)]| {
        let mut t = sprs::TriMat::new(shape);
        entries.iter().for_each(|&(i, j, v)| t.add_triplet(i, j, v));
        SparseOperator::new(t.to_csr::<usize>().view()).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(from((2, 3), &[]).unwrap_err(), "sparse operator: expected (2, 2), got (2, 3)");
    assert!(from((3, 3), &[(0, 2, 1.0), (2, 0, f64::NAN)]).unwrap_err().contains("got NaN"));
    for entries in [
        &[(0, 2, 1.0), (2, 0, 1.5)][..],
        &[(0, 2, 1.0)],
        &[(2, 0, 1.0)],
        &[(2, 0, 1.0), (1, 1, 3.0), (1, 0, 1.0), (0, 1, 1.0)],
        &[(0, 1, 1.0), (1, 0, 1.0), (1, 2, 1.0)],
    ] {
        assert!(from((3, 3), entries).unwrap_err().contains("symmetric"), "{entries:?}");
    }
    assert!(from((3, 3), &[(0, 2, 1.0), (2, 0, 1.0), (1, 1, 2.0)]).is_ok());
    assert!(from((3, 3), &[]).is_ok());
}
