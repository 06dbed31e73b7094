//! One, two and three threads give the same bits: eigensolvers, linear solvers, training.
//!
//! Traces, densities, random numbers and the operators of a network are checked beside their other
//! properties, in the files of those names.

use hesse::krylov::{
    ConjugateGradient, DenseOperator, Eigenpairs, Lanczos, LinearOperator, Lobpcg, PowerIteration,
    SparseOperator, Status,
};
use hesse::network::{
    Activation, Architecture, Dataset, Loss, Objective, Parameters, Targets, Trainer,
};
use hesse::optimize::{Adam, AdamOptions, Schedule};
use hesse::random::Stream;
use hesse::sprs::TriMat;

#[path = "operators/mod.rs"]
mod operators;
use operators::on_threads;

/// Asserts that `f` gives the same numbers, bit for bit, on pools of 1, 2 and 3 threads.
fn same_bits(name: &str, f: impl Fn() -> Vec<f64> + Sync) {
    let on = |threads| on_threads(threads, || f().into_iter().map(f64::to_bits).collect());
    let one: Vec<u64> = on(1);
    assert!(one.iter().any(|&bits| bits != 0), "{name}: nothing was computed");
    for threads in [2, 3] {
        assert!(on(threads) == one, "{name}: {threads} threads give other bits");
    }
}

fn numbers(pairs: &Eigenpairs<f64>) -> Vec<f64> {
    let mut numbers = [pairs.values.clone(), pairs.residuals.clone()].concat();
    for c in 0..pairs.vectors.ncols() {
        numbers.extend(pairs.vectors.col(c).iter());
    }
    numbers
}

fn normals(seed: u64, length: usize) -> Vec<f64> {
    let mut x = vec![0.0; length];
    Stream::new(seed, "threads").normals(0, &mut x);
    x
}

/// Graph Laplacian of a grid plus `shift`: several tasks a product, cheap enough to be filtered.
fn grid(side: usize, shift: f64) -> SparseOperator<f64> {
    let n = side * side;
    let mut matrix = TriMat::new((n, n));
    let mut degree = vec![shift; n];
    for i in 0..n {
        let right = (i % side + 1 < side).then_some(i + 1);
        let below = (i + side < n).then_some(i + side);
        for j in right.into_iter().chain(below) {
            matrix.add_triplet(i, j, -1.0);
            matrix.add_triplet(j, i, -1.0);
            degree[i] += 1.0;
            degree[j] += 1.0;
        }
    }
    for (i, degree) in degree.into_iter().enumerate() {
        matrix.add_triplet(i, i, degree);
    }
    SparseOperator::new(matrix.to_csr::<usize>().view()).unwrap()
}

/// A dense symmetric matrix of normal numbers, the same for every call.
fn dense(n: usize) -> faer::Mat<f64> {
    let x = normals(1, n * n);
    faer::Mat::from_fn(n, n, |i, j| x[i.min(j) * n + i.max(j)])
}

#[test]
fn lanczos_with_and_without_filter() {
    let laplacian = grid(150, 0.0);
    let a = dense(300);
    let a = DenseOperator::new(a.as_ref()).unwrap();
    let plain = || Lanczos::new(&laplacian).largest(3).block(2).filter(false).max_products(300);
    same_bits("plain", || numbers(&plain().run().unwrap()));
    let filtered = || Lanczos::new(&laplacian).largest(3).tolerance(1e-6).run().unwrap();
    let degree = filtered().stats.filter_degree;
    assert!(degree > 1, "the filter was to be tried, its degree is {degree}");
    same_bits("filtered", || numbers(&filtered()));
    same_bits("dense", || numbers(&Lanczos::new(&a).smallest(3).block(4).run().unwrap()));
}

#[test]
fn lobpcg_and_power_iteration() {
    let a = dense(300);
    let a = DenseOperator::new(a.as_ref()).unwrap();
    let laplacian = grid(100, 0.0);
    same_bits("dense", || numbers(&Lobpcg::new(&a).largest(2).run().unwrap()));
    let limited = || Lobpcg::new(&laplacian).smallest(3).max_products(200).run().unwrap();
    same_bits("sparse", || numbers(&limited()));
    same_bits("power", || {
        numbers(&PowerIteration::new(&laplacian).max_products(50).run().unwrap())
    });
}

#[test]
fn conjugate_gradients() {
    let a = grid(150, 0.01);
    let b = normals(2, a.dimension());
    same_bits("CG", || {
        let solution = ConjugateGradient::new(&a).solve(&b).unwrap();
        [solution.x, vec![solution.residual]].concat()
    });
}

#[test]
fn training_and_the_spectrum_where_it_ends() {
    let network = Architecture::perceptron(&[20, 30, 5], Activation::Gelu).build::<f64>().unwrap();
    let samples = 1500;
    let classes = (0..samples).map(|i| i * i % 5).collect();
    let data = Dataset::from_rows(normals(3, 20 * samples), 20, Targets::Classes(classes)).unwrap();
    same_bits("training", || {
        let start = Parameters::initialize(&network, 4);
        let mut adam = Adam::new(start.values().len(), AdamOptions::default()).unwrap();
        let rate = Schedule::constant(1e-2).unwrap();
        let trainer = Trainer::new(&network, &data, Loss::CrossEntropy, rate).unwrap();
        let run = trainer.batch(700).unwrap().steps(7).seed(5).run(start, &mut adam).unwrap();
        let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
        let point = objective.at(run.parameters.values()).unwrap();
        let top = Lanczos::new(&point.hessian()).largest(2).run().unwrap();
        assert_eq!(top.status, Status::Converged);
        [run.parameters.values().to_vec(), vec![run.batch_loss], numbers(&top)].concat()
    });
}
