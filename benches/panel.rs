//! Panel products out of cache and in it, beside the bandwidth and the arithmetic of the machine.
//!
//! Throughput is printed in bytes for few columns (compare with `read` of 64 MiB) and in flops for
//! many (compare with the `f64` peak: `f32` panels are accumulated in `f64`, too).

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use hesse_kernels::panel::{
    Panel, PanelMut, gram, multiply_in_place, subtract_product, subtract_then_transpose_product,
    transpose_product,
};
use hesse_kernels::peak::Peaks;
use hesse_kernels::{Isa, Real, oracle};

fn panels<T: Real>(c: &mut Criterion) {
    for (n, k, m) in
        [(400_000, 20, 1), (400_000, 20, 4), (400_000, 20, 8), (20_000, 100, 50), (4096, 20, 1)]
    {
        let make =
            |seed, n| -> Vec<T> { oracle::uniform(seed, n).into_iter().map(T::from_f64).collect() };
        let (x, mut y) = (make(1, n * k), make(2, n * m));
        let mut h = vec![0.0; k * m];
        let v = Panel::new(&x, n, k, n);
        transpose_product(Isa::SCALAR, v, Panel::new(&y, n, m, n), &mut h);
        let want = h.clone();

        let shape = format!("{}/{n}x{k},m={m}", T::NAME);
        let flops = (2 * n * k * m) as u64;
        let bytes = |columns: usize| {
            if m <= 4 {
                Throughput::Bytes((n * columns * size_of::<T>()) as u64)
            } else {
                Throughput::Elements(flops)
            }
        };
        let mut g = c.benchmark_group(format!("transpose_product/{shape}"));
        g.throughput(bytes(k + m));
        for isa in Isa::available() {
            transpose_product(isa, v, Panel::new(&y, n, m, n), &mut h);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-12 * n as f64;
            assert!(h.iter().zip(&want).all(close), "{isa}");
            g.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| transpose_product(isa, v, Panel::new(&y, n, m, n), black_box(&mut h)));
            });
        }
        let mut out = vec![T::ZERO; k * m];
        g.bench_function("peer/faer, summed in its own type", |b| {
            b.iter(|| {
                let v = MatRef::from_column_major_slice(&x, n, k);
                let w = MatRef::from_column_major_slice(&y, n, m);
                let h = MatMut::from_column_major_slice_mut(black_box(&mut out), k, m);
                matmul(h, Accum::Replace, v.transpose(), w, T::ONE, Par::Seq);
            });
        });
        g.finish();

        // Small coefficients: repeated updates must stay finite and normal.
        h.fill(1e-9);
        let mut g = c.benchmark_group(format!("subtract_product/{shape}"));
        g.throughput(bytes(k + 2 * m));
        for isa in Isa::available() {
            g.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| subtract_product(isa, &mut PanelMut::new(&mut y, n, m, n), v, &h));
            });
            let mut next = h.clone();
            g.bench_function(format!("hesse/{isa}, with the next transpose_product"), |b| {
                b.iter(|| {
                    let w = &mut PanelMut::new(&mut y, n, m, n);
                    subtract_then_transpose_product(isa, w, v, &h, black_box(&mut next));
                });
            });
        }
        let coefficients: Vec<T> = h.iter().map(|&h| T::from_f64(h)).collect();
        g.bench_function("peer/faer, summed in its own type", |b| {
            b.iter(|| {
                let v = MatRef::from_column_major_slice(&x, n, k);
                let h = MatRef::from_column_major_slice(&coefficients, k, m);
                let w = MatMut::from_column_major_slice_mut(black_box(&mut y), n, m);
                matmul(w, Accum::Add, v, h, -T::ONE, Par::Seq);
            });
        });
        g.finish();
    }

    let (n, k) = (20_000, 100);
    let mut x: Vec<T> = oracle::uniform(1, n * k).into_iter().map(|x| T::from_f64(x)).collect();
    let mut g = c.benchmark_group(format!("gram/{}/{n}x{k}", T::NAME));
    g.throughput(Throughput::Elements((n * k * k) as u64));
    let mut h = vec![0.0; k * k];
    for isa in Isa::available() {
        g.bench_function(format!("hesse/{isa}"), |b| {
            b.iter(|| gram(isa, Panel::new(&x, n, k, n), black_box(&mut h)));
        });
    }
    g.finish();

    // A rotation of the first two columns: repeated products keep their size.
    let m = k / 2;
    let mut rotation = vec![0.0; k * m];
    (0..m).for_each(|j| rotation[j + j * k] = 1.0);
    (rotation[0], rotation[1], rotation[k], rotation[k + 1]) = (0.6, 0.8, -0.8, 0.6);
    let mut g = c.benchmark_group(format!("multiply_in_place/{}/{n}x{k},m={m}", T::NAME));
    g.throughput(Throughput::Elements((2 * n * k * m) as u64));
    for isa in Isa::available() {
        g.bench_function(format!("hesse/{isa}"), |b| {
            b.iter(|| multiply_in_place(isa, &mut PanelMut::new(&mut x, n, k, n), &rotation));
        });
    }
    g.finish();
}

fn all(c: &mut Criterion) {
    for isa in Isa::available() {
        eprintln!("{}", Peaks::measure(isa));
    }
    panels::<f32>(c);
    panels::<f64>(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300));
    targets = all
}
criterion_main!(benches);
