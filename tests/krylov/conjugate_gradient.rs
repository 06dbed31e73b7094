//! Conjugate gradients.

use hesse::krylov::{
    ConjugateGradient, DenseOperator, Diagonal, Identity, LinearOperator, Scaled, Shifted,
    SolveStatus, Sum,
};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{path, random, with_spectrum};

#[test]
fn conjugate_gradients_solve_positive_definite_systems() {
    for (n, condition) in [(1, 1.0), (2, 10.0), (60, 1.0), (60, 1e3), (60, 1e6)] {
        let spectrum: Vec<f64> =
            (0..n).map(|i| f64::powf(condition, -(i as f64) / n as f64)).collect();
        let a = with_spectrum(&spectrum, 7);
        let op = DenseOperator::new(a.as_ref()).unwrap();
        let mut rng = StdRng::seed_from_u64(3);
        let x: Vec<f64> = (0..n).map(|_| random(&mut rng)).collect();
        for exponent in [-150.0, 0.0, 150.0] {
            let scale = 10f64.powf(exponent);
            let b: Vec<f64> =
                (0..n).map(|i| (0..n).map(|j| a[(i, j)] * x[j]).sum::<f64>() * scale).collect();
            let solution = ConjugateGradient::new(&op).tolerance(1e-10).solve(&b).unwrap();
            assert_eq!(solution.status, SolveStatus::Converged, "{n} {condition} {exponent}");
            let norm = |v: &[f64]| v.iter().map(|v| (v / scale).powi(2)).sum::<f64>().sqrt();
            assert!(solution.residual / scale <= 1e-10 * norm(&b));
            let error: Vec<f64> = solution.x.iter().zip(&x).map(|(a, b)| a - b * scale).collect();
            // ‖x − x*‖ ≤ ‖A⁻¹‖ ‖r‖, plus the rounding of b in the test itself.
            assert!(norm(&error) <= 1.1 * condition * (1e-10 + 1e-14) * norm(&b), "{condition}");
        }
        let b: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[(i, j)] * x[j]).sum()).collect();
        let cold = ConjugateGradient::new(&op).solve(&b).unwrap();
        let near: Vec<f64> = cold.x.iter().map(|x| x * (1.0 + 1e-7)).collect();
        let warm = ConjugateGradient::new(&op).start(&near).solve(&b).unwrap();
        assert!(warm.iterations <= cold.iterations && warm.status == SolveStatus::Converged);
        let exact = ConjugateGradient::new(&op).start(&x).solve(&b).unwrap();
        assert_eq!(exact.iterations, 0);
    }
}

#[test]
fn conjugate_gradients_name_what_they_cannot_solve() {
    let a = Diagonal::new(vec![1.0, -2.0, 3.0]).unwrap();
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 1.0, 1.0]).unwrap();
    assert_eq!(solution.status, SolveStatus::Indefinite);
    let p = solution.direction.unwrap();
    let curvature = p[0] * p[0] - 2.0 * p[1] * p[1] + 3.0 * p[2] * p[2];
    assert!(curvature < 0.0 && (curvature - solution.curvature.unwrap()).abs() < 1e-14);
    // Singular, b outside the range; and inside.
    let a = Diagonal::new(vec![1.0, 0.0]).unwrap();
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 1.0]).unwrap();
    assert_eq!(solution.status, SolveStatus::Singular);
    let solution = ConjugateGradient::new(&a).solve(&[1.0, 0.0]).unwrap();
    assert_eq!((solution.status, solution.x), (SolveStatus::Converged, vec![1.0, 0.0]));
    let zero = ConjugateGradient::new(&a).solve(&[0.0, 0.0]).unwrap();
    assert_eq!((zero.status, zero.x, zero.products), (SolveStatus::Converged, vec![0.0; 2], 0));
    // The limit returns the best iterate with its residual; below rounding, stagnation.
    let op = Shifted::new(path(500), 1e-3).unwrap();
    let b: Vec<f64> = (0..500).map(|i| f64::from(i % 5)).collect();
    let solution = ConjugateGradient::new(&op).max_iterations(20).solve(&b).unwrap();
    assert_eq!((solution.status, solution.iterations), (SolveStatus::IterationLimit, 20));
    let mut y = vec![0.0; 500];
    op.apply(&solution.x, &mut y);
    let true_residual = y.iter().zip(&b).map(|(y, b)| (b - y).powi(2)).sum::<f64>().sqrt();
    assert!((true_residual - solution.residual).abs() < 1e-10 * true_residual);
    let solution = ConjugateGradient::new(&op).tolerance(1e-18).solve(&b).unwrap();
    assert_eq!(solution.status, SolveStatus::Stagnated);
    assert!(solution.residual < 1e-9);
    let text =
        |r: hesse::Result<_>| r.map(|_: hesse::krylov::Solution<f64>| ()).unwrap_err().to_string();
    assert_eq!(
        text(ConjugateGradient::new(&op).solve(&[1.0])),
        "right-hand side: expected 500, got 1"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).start(&[1.0]).solve(&b)),
        "start vector: expected 500, got 1"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).tolerance(0.0).solve(&b)),
        "tolerance: expected a positive finite number, got 0"
    );
    assert_eq!(
        text(ConjugateGradient::new(&op).max_iterations(0).solve(&b)),
        "max_iterations: expected at least 1, got 0"
    );
    let negative = Scaled::new(Identity::new(500).unwrap(), -1.0).unwrap();
    let error = text(ConjugateGradient::new(&op).preconditioner(&negative).solve(&b));
    assert!(error.starts_with("preconditioner: expected positive definite"), "{error}");
}

#[test]
fn a_preconditioner_saves_steps() {
    let n = 300;
    let c: Vec<f64> = (0..n).map(|i| 1.0 + f64::from(i * i) / 10.0).collect();
    let op = Sum::new::<f64>(path(n as usize), Diagonal::new(c.clone()).unwrap()).unwrap();
    let inverse = Diagonal::new(c.iter().map(|c| 1.0 / (c + 2.0)).collect()).unwrap();
    let b: Vec<f64> = (0..n).map(|i| f64::from(i % 3)).collect();
    let plain = ConjugateGradient::new(&op).solve(&b).unwrap();
    let better = ConjugateGradient::new(&op).preconditioner(&inverse).solve(&b).unwrap();
    assert_eq!(better.status, SolveStatus::Converged);
    assert!(2 * better.iterations < plain.iterations);
}
