//! The objective of full matrices against automatic differentiation, and its identities.

use hesse::connectome::{FactorObjective, SmoothingOperator, SplineObjective};
use hesse::faer::{Mat, MatRef};
use hesse::sprs::CsMat;
use proptest::prelude::*;

use crate::golden::{Golden, all_close, close, columns, path, problem};
use crate::identities::{drawn, normals};

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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn values_gradients_and_hessians_belong_to_one_quadratic(seed in 0_u64..1000) {
        let (nx, ny, r) = (9, 11, 2);
        let (lx, ly) = (path(nx), grid_laplacian(&[3, 4], &[1., 1., 1., 1., 1., 1., 0., 1., 1., 1., 1., 1.]));
        let f = |hidden: f64| drawn(seed, 1.0, 1.0, hidden);
        let (data, other) = (f(0.0), f(1e9));
        let objective = SplineObjective::new(&data, &lx, &ly, 0.3).unwrap();
        let [w, d, b] = ["w", "d", "b"].map(|purpose| normals(seed, purpose, nx * ny));
        let (mut g, mut h) = (vec![f64::NAN; w.len()], vec![f64::NAN; w.len()]);
        let value = objective.gradient(&w, &mut g).unwrap();
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        // What was not observed has no say, to the bit.
        let mut hidden = vec![f64::NAN; w.len()];
        let blind = SplineObjective::new(&other, &lx, &ly, 0.3).unwrap();
        prop_assert_eq!(blind.gradient(&w, &mut hidden).unwrap(), value);
        prop_assert_eq!(&hidden, &g);
        // f(W + D) − f(W) = ⟨g, D⟩ + ½⟨D, H D⟩ for any D; central differences are the slope.
        objective.hessian_product(&d, &mut h).unwrap();
        let moved = |c: f64| -> Vec<f64> { w.iter().zip(&d).map(|(w, d)| w + c * d).collect() };
        let at = |c: f64| objective.value(&moved(c)).unwrap().objective;
        let bound = 1e-12 * (at(1.0) + at(-1.0));
        let exact = objective.difference(&g, &d).unwrap();
        prop_assert!((exact - dot(&g, &d) - 0.5 * dot(&d, &h)).abs() <= bound);
        prop_assert!((at(1.0) - value.objective - exact).abs() <= bound);
        prop_assert!((0.5 * (at(1.0) - at(-1.0)) - dot(&g, &d)).abs() <= bound);
        // H is linear, and the gradient moves by it.
        let mut there = vec![f64::NAN; w.len()];
        objective.gradient(&moved(1.0), &mut there).unwrap();
        let (mut hb, mut sum) = (vec![f64::NAN; w.len()], vec![f64::NAN; w.len()]);
        objective.hessian_product(&b, &mut hb).unwrap();
        let both: Vec<f64> = d.iter().zip(&b).map(|(d, b)| 2.0 * d - 3.0 * b).collect();
        objective.hessian_product(&both, &mut sum).unwrap();
        let size = 1e-12 * (1.0 + dot(&h, &h).sqrt() + dot(&hb, &hb).sqrt() + dot(&g, &g).sqrt());
        for i in 0..w.len() {
            prop_assert!((there[i] - g[i] - h[i]).abs() <= size);
            prop_assert!((sum[i] - 2.0 * h[i] + 3.0 * hb[i]).abs() <= 4.0 * size);
        }
        // The same of factors: hidden entries, slopes, and the Hessian along a line.
        let (f, blind) = (
            FactorObjective::new(&data, &lx, &ly, 0.3, r).unwrap(),
            FactorObjective::new(&other, &lx, &ly, 0.3, r).unwrap(),
        );
        let (z, e) = (normals(seed, "z", f.len()), normals(seed, "e", f.len()));
        let (mut g, mut h) = (vec![f64::NAN; z.len()], vec![f64::NAN; z.len()]);
        let value = f.gradient(&z, &mut g).unwrap();
        let mut hidden = vec![f64::NAN; z.len()];
        prop_assert_eq!(blind.gradient(&z, &mut hidden).unwrap(), value);
        prop_assert_eq!(&hidden, &g);
        prop_assert_eq!(f.value(&z).unwrap(), value);
        f.hessian_product(&z, &e, &mut h).unwrap();
        let step = 1e-3;
        let mut ends = Vec::new();
        for c in [step, -step] {
            let there: Vec<f64> = z.iter().zip(&e).map(|(z, e)| z + c * e).collect();
            let mut g = vec![f64::NAN; z.len()];
            ends.push((f.gradient(&there, &mut g).unwrap().objective, g));
        }
        // f is a polynomial of degree 4 on the line, so that differences are off by step²/6 of a third
        // derivative; the one at hand is bounded by what h step changes.
        let slope = (ends[0].0 - ends[1].0) / (2.0 * step);
        let size = dot(&g, &g).sqrt() * dot(&e, &e).sqrt() + value.objective;
        prop_assert!((slope - dot(&g, &e)).abs() <= 1e-4 * size, "{} {}", slope, dot(&g, &e));
        let norm = dot(&h, &h).sqrt() + dot(&g, &g).sqrt();
        for i in 0..z.len() {
            let change = (ends[0].1[i] - ends[1].1[i]) / (2.0 * step);
            prop_assert!((change - h[i]).abs() <= 1e-4 * norm, "{} {}", change, h[i]);
        }
    }
}
