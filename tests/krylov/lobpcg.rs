//! LOBPCG and power iteration.

use faer::Mat;
use hesse::Real;
use hesse::krylov::{DenseOperator, Diagonal, Lobpcg, PowerIteration, Status, Sum, Which};

use super::{cast, check, expected, path, spectra, with_spectrum};

fn lobpcg_spectra<T: Real>() {
    for (name, spectrum) in spectra() {
        // One-sided ends that forty products per wanted pair can separate without a basis.
        if ["geometric", "clustered", "rank deficient"].contains(&name) {
            continue;
        }
        let n = spectrum.len();
        let a = cast::<T>(&with_spectrum(&spectrum, 5));
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let stored = Mat::from_fn(n, n, |i, j| a[(i, j)].to_f64());
        let values = stored.self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let norm = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        for (which, k) in [(Which::Largest, 1), (Which::Largest, 4), (Which::Smallest, 3)] {
            if k > n {
                continue;
            }
            let solver = Lobpcg::new(&op).max_products(20_000).block((k + 6).min(n));
            let solver =
                if which == Which::Largest { solver.largest(k) } else { solver.smallest(k) };
            let case = format!("lobpcg {} {name} {which:?} {k}", T::NAME);
            check(&op, &solver.run().unwrap(), &expected(&values, which, k), norm, &case);
        }
    }
}

#[test]
fn lobpcg_agrees_with_dense_algebra() {
    lobpcg_spectra::<f64>();
    lobpcg_spectra::<f32>();
}

#[test]
fn lobpcg_gains_from_a_preconditioner_and_obeys_its_cap() {
    // −u″ + c(x) u: the diagonal is far from constant.
    let n = 400;
    let c: Vec<f64> = (0..n).map(|i| 1.0 + (i % 7) as f64 * 30.0).collect();
    let second = path(n);
    let op = Sum::new::<f64>(&second, Diagonal::new(c.clone()).unwrap()).unwrap();
    let inverse = Diagonal::new(c.iter().map(|c| 1.0 / (c + 2.0)).collect()).unwrap();
    let plain = Lobpcg::new(&op).smallest(2).max_products(20_000).run().unwrap();
    let better = Lobpcg::new(&op).smallest(2).preconditioner(&inverse).max_products(20_000);
    let better = better.run().unwrap();
    assert_eq!((plain.status, better.status), (Status::Converged, Status::Converged));
    assert!(better.products < plain.products, "{} {}", better.products, plain.products);
    assert!((better.values[0] - plain.values[0]).abs() < 1e-9);
    for limit in [4, 5, 8, 20, 50] {
        let pairs = Lobpcg::new(&second).largest(2).max_products(limit).run().unwrap();
        assert_eq!(pairs.status, Status::IterationLimit);
        assert!(pairs.products <= limit && pairs.values.len() == 2, "{limit}");
    }
    let text = |s: Lobpcg<'_, f64, _>| s.run().unwrap_err().to_string();
    assert_eq!(text(Lobpcg::new(&second).largest(0)), "k: expected 1 to 400, got 0");
    assert_eq!(
        text(Lobpcg::new(&second).largest(3).max_products(5)),
        "max_products: expected at least 6, got 5"
    );
    assert_eq!(text(Lobpcg::new(&second).largest(3).block(2)), "block: expected 3 to 400, got 2");
}

#[test]
fn power_iteration_finds_the_largest_magnitude() {
    let a = Diagonal::new(vec![1.0, 5.0, -10.0, 3.0]).unwrap();
    let pair = PowerIteration::new(&a).run::<f64>().unwrap();
    assert_eq!(pair.status, Status::Converged);
    assert!((pair.values[0] + 10.0).abs() < 1e-12 && pair.residuals[0] <= 1e-7);
    let a = Diagonal::new(vec![1.0, -1.0]).unwrap();
    let pair = PowerIteration::new(&a).max_products(50).run::<f64>().unwrap();
    assert_eq!((pair.status, pair.products), (Status::IterationLimit, 50));
}
