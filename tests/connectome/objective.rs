//! The objective of full matrices against automatic differentiation, and its identities.

use hesse::connectome::{SmoothingOperator, SplineObjective};
use hesse::faer::{Mat, MatRef};
use hesse::sprs::CsMat;

use crate::golden::{Golden, all_close, close, columns, path, problem};

/// From a dense matrix.
pub fn dense_operator(a: MatRef<f64>) -> SmoothingOperator {
    let rows: Vec<Vec<f64>> =
        (0..a.nrows()).map(|i| (0..a.ncols()).map(|j| a[(i, j)]).collect()).collect();
    let n = rows.len();
    let (mut starts, mut at, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in rows {
        for (j, v) in row.into_iter().enumerate() {
            if v != 0.0 {
                at.push(j);
                values.push(v);
            }
        }
        starts.push(at.len());
    }
    SmoothingOperator::from_sparse(CsMat::new((n, n), starts, at, values).view()).unwrap()
}

/// The graph Laplacian of a boolean grid in C order, from explicit lists of neighbours.
pub fn grid_laplacian(shape: &[usize], inside: &[f64]) -> SmoothingOperator {
    let voxels: Vec<usize> = (0..inside.len()).filter(|&i| inside[i] != 0.0).collect();
    let coordinates = |mut i: usize| {
        let mut at = vec![0_isize; shape.len()];
        for axis in (0..shape.len()).rev() {
            at[axis] = (i % shape[axis]) as isize;
            i /= shape[axis];
        }
        at
    };
    let all: Vec<Vec<isize>> = voxels.iter().map(|&i| coordinates(i)).collect();
    let near =
        |a: &[isize], b: &[isize]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<isize>() == 1;
    let dense = Mat::from_fn(voxels.len(), voxels.len(), |i, j| {
        if i == j {
            -(all.iter().filter(|other| near(&all[i], other)).count() as f64)
        } else {
            f64::from(u8::from(near(&all[i], &all[j])))
        }
    });
    dense_operator(dense.as_ref())
}

#[test]
fn values_gradients_and_hessian_products_are_those_of_automatic_differentiation() {
    let golden = Golden::read("objective");
    let (shape, mask) = golden.array("mask");
    let ly = grid_laplacian(&shape, &mask);
    let (x, y, omega) = (golden.mat("X"), golden.mat("Y"), golden.mat("Omega"));
    let ones = Mat::from_fn(omega.nrows(), omega.ncols(), |_, _| 1.0);
    let smooth = path(x.nrows());
    let skewed = dense_operator(golden.mat("Lx_nonsym").as_ref());
    assert!(smooth.is_symmetric() && !skewed.is_symmetric());
    let (w, d) = (columns(golden.mat("W").as_ref()), columns(golden.mat("D").as_ref()));
    for (name, lx, omega) in
        [("masked", &smooth, &omega), ("full", &smooth, &ones), ("nonsym", &skewed, &omega)]
    {
        let data = problem(x.as_ref(), y.as_ref(), omega.as_ref());
        let lambda_eff = hesse::connectome::effective_lambda(&data, golden.scalar("lam"));
        close(name, lambda_eff, golden.scalar("lam_eff"), 1e-15);
        let f = SplineObjective::new(&data, lx, &ly, lambda_eff).unwrap();
        let mut g = vec![f64::NAN; w.len()];
        let value = f.gradient(&w, &mut g).unwrap();
        let of = |what: &str| format!("{name}_{what}");
        assert_eq!(f.value(&w).unwrap(), value);
        close(name, value.loss, golden.scalar(&of("loss")), 1e-12);
        close(name, value.penalty, golden.scalar(&of("penalty_raw")), 1e-12);
        close(name, value.objective, golden.scalar(&of("f")), 1e-12);
        all_close(name, &g, &columns(golden.mat(&of("grad")).as_ref()), 1e-12);
        let mut h = vec![f64::NAN; w.len()];
        f.hessian_product(&d, &mut h).unwrap();
        all_close(name, &h, &columns(golden.mat(&of("hvp")).as_ref()), 1e-12);
        // The exact difference of a quadratic function.
        let moved: Vec<f64> = w.iter().zip(&d).map(|(w, d)| w + 1e-3 * d).collect();
        let step: Vec<f64> = d.iter().map(|d| 1e-3 * d).collect();
        let exact = f.difference(&g, &step).unwrap();
        let subtracted = f.value(&moved).unwrap().objective - value.objective;
        assert!((exact - subtracted).abs() <= 1e-12 * value.objective, "{exact} {subtracted}");
    }
}
