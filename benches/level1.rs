//! Vector kernels in the L2 cache and out of every cache, beside the bandwidth of the machine.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse_kernels::peak::Peaks;
use hesse_kernels::{Isa, Real, level1, oracle};

fn vectors<T: Real>(c: &mut Criterion) {
    for n in [16 << 10, 16 << 20] {
        let make =
            |seed| -> Vec<T> { oracle::uniform(seed, n).into_iter().map(T::from_f64).collect() };
        let (x, mut y, z) = (make(1), make(2), make(3));
        let bytes = |arrays: usize| Throughput::Bytes((arrays * n * size_of::<T>()) as u64);
        let name = |what: &str| format!("{what}/{}/{n}", T::NAME);

        let mut g = c.benchmark_group(name("dot"));
        g.throughput(bytes(2));
        let naive = |x: &[T], y: &[T]| -> f64 {
            x.iter().zip(y).map(|(x, y)| x.to_f64() * y.to_f64()).sum()
        };
        for isa in Isa::available() {
            let got = level1::dot(isa, &x, &y);
            assert!((got - naive(&x, &y)).abs() <= 1e-12 * n as f64, "{isa}");
            g.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| level1::dot(isa, black_box(&x), &y));
            });
            g.bench_function(format!("hesse/{isa}, compensated"), |b| {
                b.iter(|| level1::dot_compensated(isa, black_box(&x), &y));
            });
        }
        g.bench_function("peer/loop", |b| b.iter(|| naive(black_box(&x), &y)));
        g.finish();

        let mut g = c.benchmark_group(name("dot_pair"));
        g.throughput(bytes(3));
        for isa in Isa::available() {
            g.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| level1::dot_pair(isa, black_box(&x), &y, &z));
            });
        }
        g.finish();

        let mut g = c.benchmark_group(name("one vector"));
        g.throughput(bytes(1));
        for isa in Isa::available() {
            g.bench_function(format!("nrm2/{isa}"), |b| {
                b.iter(|| level1::nrm2(isa, black_box(&x)));
            });
            g.bench_function(format!("max_abs/{isa}"), |b| {
                b.iter(|| level1::max_abs(isa, black_box(&x)));
            });
            g.bench_function(format!("all_finite/{isa}"), |b| {
                b.iter(|| level1::all_finite(isa, black_box(&x)));
            });
        }
        g.finish();

        let mut g = c.benchmark_group(name("axpy"));
        g.throughput(bytes(3));
        for isa in Isa::available() {
            g.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| level1::axpy(isa, 1e-9, &x, black_box(&mut y)));
            });
        }
        g.bench_function("peer/loop", |b| {
            let alpha = T::from_f64(1e-9);
            b.iter(|| black_box(&mut y).iter_mut().zip(&x).for_each(|(y, &x)| *y += alpha * x));
        });
        g.finish();
    }
}

fn all(c: &mut Criterion) {
    for isa in Isa::available() {
        eprintln!("{}", Peaks::measure(isa));
    }
    vectors::<f32>(c);
    vectors::<f64>(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200));
    targets = all
}
criterion_main!(benches);
