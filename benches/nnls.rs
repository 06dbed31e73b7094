//! Nonnegative least squares: one large problem, and one matrix with many right-hand sides.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hesse::faer::Mat;
use hesse::optimize::{Nnls, NnlsMethod};
use hesse::random::Stream;

fn normals(seed: u64, rows: usize, columns: usize) -> Mat<f64> {
    let mut values = vec![0.0; rows * columns];
    Stream::new(seed, "bench").normals(0, &mut values);
    Mat::from_fn(rows, columns, |i, j| values[i + j * rows])
}

fn benches(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    for (m, n, k) in [(2000, 500, 1), (500, 100, 200)] {
        let (a, b) = (normals(1, m, n), normals(2, m, k));
        let mut group = c.benchmark_group(format!("nnls/f64/{m}x{n},{k}"));
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        let first = Nnls::new().solve_many(a.as_ref(), b.as_ref()).expect("finite");
        for method in
            [NnlsMethod::BlockPivot, NnlsMethod::LawsonHanson, NnlsMethod::CoordinateDescent]
        {
            let solver = Nnls::new().method(method);
            let fit = solver.solve_many(a.as_ref(), b.as_ref()).expect("finite");
            assert!(fit.converged() && (&fit.x - &first.x).norm_l2() < 1e-7 * first.x.norm_l2());
            group.bench_function(format!("hesse/{method:?}"), |bench| {
                pool.install(|| {
                    bench.iter(|| solver.solve_many(black_box(a.as_ref()), b.as_ref()))
                });
            });
        }
        group.finish();
    }
}

criterion_group!(nnls, benches);
criterion_main!(nnls);
