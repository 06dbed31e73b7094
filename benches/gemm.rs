//! The engines for matrix products on the shapes of networks: what the plan is derived from.
//!
//! `HESSE_ISA` reaches the panel engine only. Compare with the peaks that are printed first.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse_kernels::gemm::{Engine, MatrixMut, MatrixRef, gemm, gemm_with};
use hesse_kernels::peak::Peaks;
use hesse_kernels::{Isa, Real, oracle};

/// C = A B with C row-major, and A and B row-major or column-major.
fn product<T: Real>(
    c: &mut Criterion,
    name: &str,
    (m, n, k): (usize, usize, usize),
    (a_columns, b_columns): (bool, bool),
) {
    let isa = Isa::current();
    let make =
        |seed, n| -> Vec<T> { oracle::uniform(seed, n).into_iter().map(T::from_f64).collect() };
    let (x, y) = (make(1, m * k), make(2, k * n));
    let mut z = vec![T::ZERO; m * n];
    let view = |x, rows, columns, by_columns| match by_columns {
        true => MatrixRef::column_major(x, rows, columns),
        false => MatrixRef::row_major(x, rows, columns),
    };
    let (a, b) = (view(&x, m, k, a_columns), view(&y, k, n, b_columns));
    gemm(isa, T::ONE, a, b, T::ZERO, MatrixMut::row_major(&mut z, m, n));
    let want: f64 = (0..k).map(|p| a.at(m - 1, p).to_f64() * b.at(p, n - 1).to_f64()).sum();
    let error = (z[m * n - 1].to_f64() - want).abs();
    assert!(error <= (k + 2) as f64 * T::EPSILON.to_f64() * k as f64);

    let mut g = c.benchmark_group(format!("gemm/{}/{name}/{m:04}x{n:04}x{k:04}", T::NAME));
    g.throughput(Throughput::Elements((2 * m * n * k) as u64));
    g.bench_function("hesse/plan", |bench| {
        bench.iter(|| {
            let c = MatrixMut::row_major(black_box(&mut z), m, n);
            gemm(isa, T::ONE, a, b, T::ZERO, c);
        });
    });
    for engine in [Engine::Faer, Engine::MatrixMultiply, Engine::Panel, Engine::Loop] {
        let slow = match engine {
            Engine::Panel => m.min(n) > 8,
            Engine::Loop => m * n * k > 50_000,
            _ => false,
        };
        if slow {
            continue;
        }
        g.bench_function(format!("engine/{engine:?}"), |bench| {
            bench.iter(|| {
                let c = MatrixMut::row_major(black_box(&mut z), m, n);
                gemm_with(isa, engine, T::ONE, a, b, T::ZERO, c);
            });
        });
    }
    g.finish();
}

fn shapes<T: Real>(c: &mut Criterion) {
    for s in [2, 4, 16, 64, 256, 1024] {
        product::<T>(c, "square", (s, s, s), (false, false));
    }
    for batch in [20, 512, 2048] {
        for (inputs, outputs) in [(784, 512), (512, 10), (100, 100), (64, 32)] {
            product::<T>(c, "forward", (batch, outputs, inputs), (false, true));
            product::<T>(c, "backward", (batch, inputs, outputs), (false, false));
            product::<T>(c, "weights", (outputs, inputs, batch), (true, false));
        }
    }
    for n in [1, 2, 4, 8] {
        product::<T>(c, "thin", (512, n, 784), (false, true));
        product::<T>(c, "thin, columns", (512, n, 784), (true, false));
        product::<T>(c, "thin, medium", (128, n, 128), (false, true));
        product::<T>(c, "thin, small", (32, n, 32), (false, true));
    }
    for k in [2, 8, 16] {
        product::<T>(c, "shallow", (512, 512, k), (false, false));
    }
}

fn all(c: &mut Criterion) {
    eprintln!("{}", Peaks::measure(Isa::current()));
    shapes::<f32>(c);
    shapes::<f64>(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(30))
        .measurement_time(Duration::from_millis(150));
    targets = all
}
criterion_main!(benches);
