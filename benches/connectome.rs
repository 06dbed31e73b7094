//! The toy to its certificate, by an exact factor and by cosines alone (SciPy's L-BFGS-B needs 37 s for
//! 2.546058, one thread; `tools/peers/compare.py toy1d_minimum_200` runs both sides); a slab in three
//! dimensions to a proven gap, beside the same by residuals; and the gradient over factors beside the
//! products of matrices that it consists of.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hesse::connectome::{
    FactorObjective, Observed, PenaltyForm, Preconditioner, SmoothingOperator, Solver,
    SplineRegression, Status, TracingData,
};
use hesse::faer::Mat;
use hesse::random::Stream;
use hesse::tracing_toys::TracingToyTask;
use hesse_kernels::Isa;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::panel::{self, Panel};

fn toy(c: &mut Criterion) {
    let toy = TracingToyTask::default().draw(3).expect("a toy");
    let data = TracingData::builder()
        .injections_dense(toy.injections.as_ref())
        .projections(toy.projections.as_ref())
        .observed(Observed::from_ones(toy.observed.as_ref()).expect("zeros and ones"))
        .build()
        .expect("data");
    let l = SmoothingOperator::of_box(&[200]).expect("a path");
    let run = |preconditioner| {
        let regression = SplineRegression::new().lambda(100.0).preconditioner(preconditioner);
        regression.fit(&data, &l, &l).expect("a fit")
    };
    let mut group = c.benchmark_group("connectome/full/200x200, certificate 1e-8");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    for (name, preconditioner) in
        [("exact", Preconditioner::Exact), ("cosine", Preconditioner::Cosine { rho: None })]
    {
        let fit = run(preconditioner);
        assert_eq!(fit.status, Status::Converged);
        let (steps, rounds) = (fit.iterations, fit.rounds);
        eprintln!("{name}: {steps} iterations, {rounds} rounds, KKT {:e}", fit.kkt_relative);
        group.bench_function(name, |b| b.iter(|| run(preconditioner)));
    }
    group.finish();
}

/// 1,100 voxels a side in a slab five voxels thick, 12 injections, most of them seen in part.
fn slab(c: &mut Criterion) {
    let edges = [5, 10, 22];
    let l = SmoothingOperator::of_box(&edges).expect("a box");
    let n: usize = edges.iter().product();
    let place = |i: usize| [i / 220, i / 22 % 10, i % 22].map(|x| x as f64);
    let square = |a: [f64; 3], b: [f64; 3]| -> f64 {
        a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let x = Mat::from_fn(n, 12, |s, e| {
        (1.0 - square(place(s), place((331 * e + 97) % n)) / 9.0).clamp(0.0, 0.9)
    });
    let mut noise = vec![0.0; n * 12];
    Stream::new(1, "noise").normals(0, &mut noise);
    let y = Mat::from_fn(n, 12, |t, e| {
        let signal = 0.8 * (-square(place(t), place((331 * e + 97) % n)) / 40.0).exp();
        (signal + 0.05 * noise[t + e * n]).max(0.0)
    });
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .build()
        .expect("data");
    let new = || {
        SplineRegression::new()
            .lambda(1e3)
            .preconditioner(Preconditioner::LowModes { modes: 150, rho: None })
    };
    let mut group = c.benchmark_group("connectome/full/1100x1100");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let fit = new().tol_gap(1e-4).fit(&data, &l, &l).expect("a fit");
    assert!(fit.status == Status::Converged && fit.gap <= 1e-4);
    eprintln!("gap: {} iterations, {} rounds, {:e}", fit.iterations, fit.rounds, fit.gap);
    group.bench_function("gap 1e-4", |b| b.iter(|| new().tol_gap(1e-4).fit(&data, &l, &l)));
    let by_residual = || new().solver(Solver::ActiveSetPcg { tolerance: Some(1e-4) }).tol_kkt(1.0);
    let other = by_residual().fit(&data, &l, &l).expect("a fit");
    eprintln!(
        "residual: {} iterations, {} rounds, {:e} from there",
        other.iterations,
        other.rounds,
        (fit.objective - other.objective) / other.objective
    );
    group.bench_function("residual 1e-4", |b| b.iter(|| by_residual().fit(&data, &l, &l)));
    group.finish();
}

fn factors(c: &mut Criterion) {
    let (edges, rank, experiments) = ([25, 20, 40], 100, 30);
    let n: usize = edges.iter().product();
    let l = SmoothingOperator::of_box(&edges).expect("a box");
    let x = Mat::from_fn(n, experiments, |s, e| if s / 600 == e { 0.5 } else { 0.0 });
    let y = Mat::from_fn(n, experiments, |t, e| ((t * 7 + e) % 11) as f64 / 11.0);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .build()
        .expect("data");
    let f = FactorObjective::new(&data, &l, &l, 1.0, rank)
        .expect("an objective")
        .form(PenaltyForm::Trace);
    let mut z = vec![0.0; f.len()];
    Stream::new(1, "factors").uniforms(0, &mut z);
    let mut g = vec![0.5; z.len()];
    let mut group = c.benchmark_group("connectome/factors/20000x100");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    group.bench_function("gradient", |b| {
        b.iter(|| pool.install(|| f.gradient(black_box(&z), &mut g)));
    });
    // The products alone: 20 n r² flops, and 6 n r experiments.
    let held = [vec![0.5; n * rank], vec![0.25; n * rank]];
    let mut square = vec![0.5; rank * rank];
    let mut tall = vec![0.5; n * rank];
    let mut p = vec![0.5; n * experiments];
    let isa = Isa::current();
    group.bench_function("its products", |b| {
        b.iter(|| {
            let [image, factor] = [0, 1].map(|i: usize| MatrixRef::column_major(&held[i], n, rank));
            for _ in 0..2 {
                let c = MatrixMut::column_major(&mut square, rank, rank);
                gemm(isa, 1.0, image.transposed(), factor, 0.0, c);
                panel::gram(isa, Panel::new(&held[0], n, rank, n), &mut square);
                panel::gram(isa, Panel::new(&held[1], n, rank, n), &mut square);
                let small = MatrixRef::column_major(&square, rank, rank);
                for (left, beta) in [(image, 0.0), (image, 1.0), (factor, 1.0)] {
                    let c = MatrixMut::column_major(&mut tall, n, rank);
                    gemm(isa, 1.0, left, small, beta, c);
                }
            }
            let small = MatrixRef::new(&square, rank, experiments, 1, rank);
            gemm(isa, 1.0, factor, small, 0.0, MatrixMut::column_major(&mut p, n, experiments));
            let residual = MatrixRef::column_major(&p, n, experiments);
            let c = MatrixMut::column_major(&mut tall, n, rank);
            gemm(isa, 1.0, residual, small.transposed(), 1.0, c);
            let c = MatrixMut::new(&mut square, experiments, rank, 1, experiments);
            gemm(isa, 1.0, residual.transposed(), factor, 0.0, c);
        });
    });
    group.finish();
}

criterion_group!(connectome, toy, slab, factors);
criterion_main!(connectome);
