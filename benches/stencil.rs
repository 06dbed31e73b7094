//! Products with the Laplacian of a ball of 229,423 voxels, beside CSR and a copy.
//!
//! Every product reads x and writes y; a copy of the same arrays moves the same bytes, so that its
//! throughput is the roofline. Of 16 and 32 columns y is written past the caches, which a copy by
//! `memcpy` need not do: there the copy reads y as well. Answers are compared before anything is timed.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse::connectome::{ProductLaplacian, Smoothing, VoxelLaplacian, VoxelMask};
use hesse::krylov::LinearOperator;
use rayon::prelude::*;

/// The voxels closer than 38 to voxel (40, 40, 40) of an 80³ grid.
fn ball() -> VoxelLaplacian {
    let square = |i: usize| i.abs_diff(40).pow(2);
    let inside: Vec<bool> = (0..80 * 80 * 80)
        .map(|c| square(c / 6400) + square(c / 80 % 80) + square(c % 80) < 38 * 38)
        .collect();
    let mask = VoxelMask::from_bool_grid(&[80, 80, 80], &inside).expect("a mask");
    mask.laplacian(Smoothing::free()).expect("no labels")
}

fn benches(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let laplacian = ball();
    let n = laplacian.voxels();
    assert_eq!(n, 229_423);
    let csr = laplacian.to_csr();
    eprintln!("{} runs", laplacian.runs());
    for columns in [1, 8, 16, 32] {
        let x: Vec<f64> = (0..n * columns).map(|i| (i % 977) as f64 / 977.0).collect();
        let (mut y, mut z) = (vec![0.5; n * columns], vec![0.5; n * columns]);
        laplacian.try_apply_rows(columns, &x, &mut y).expect("shapes");
        let sparse = |z: &mut [f64]| {
            for (row, z) in csr.outer_iterator().zip(z.chunks_exact_mut(columns)) {
                z.fill(0.0);
                for (j, value) in row.iter() {
                    let x = &x[j * columns..][..columns];
                    z.iter_mut().zip(x).for_each(|(z, x)| *z += value * x);
                }
            }
        };
        sparse(&mut z);
        assert!(y.iter().zip(&z).all(|(y, z)| (y - z).abs() < 1e-14));
        let mut group = c.benchmark_group(format!("laplacian/f64/229423x{columns}"));
        group.sample_size(20).measurement_time(Duration::from_secs(2));
        group.throughput(Throughput::Bytes(2 * size_of_val(&x[..]) as u64));
        group.bench_function("copy", |b| b.iter(|| black_box(&mut z).copy_from_slice(&x)));
        group.bench_function("hesse", |b| {
            pool.install(|| {
                b.iter(|| laplacian.try_apply_rows(columns, black_box(&x), black_box(&mut y)));
            });
        });
        group.bench_function("hesse/recurrence", |b| {
            pool.install(|| {
                b.iter(|| laplacian.recurrence(columns, [1e-3, 1e-3, 0.5], &x, black_box(&mut y)));
            });
        });
        group.bench_function("sprs", |b| b.iter(|| sparse(black_box(&mut z))));
        // What the default is: every thread, beside a copy on as many.
        let share = x.len().div_ceil(rayon::current_num_threads());
        group.bench_function("copy/all threads", |b| {
            b.iter(|| {
                let parts = black_box(&mut z).par_chunks_mut(share).zip(x.par_chunks(share));
                parts.for_each(|(z, x)| z.copy_from_slice(x));
            });
        });
        group.bench_function("hesse/all threads", |b| {
            b.iter(|| laplacian.try_apply_rows(columns, black_box(&x), black_box(&mut y)));
        });
        group.finish();
    }
    // A connectivity of 3,000 top-view voxels: 72 MB.
    let mask = VoxelMask::full(&[50, 60]).expect("a box");
    let side = mask.laplacian(Smoothing::free()).expect("no labels");
    let product = ProductLaplacian::new(&side, &side);
    let w: Vec<f64> = (0..9_000_000).map(|i| (i % 977) as f64 / 977.0).collect();
    let (mut s, mut g) = (vec![0.5; w.len()], vec![0.5; w.len()]);
    let mut group = c.benchmark_group("product_laplacian/f64/3000x3000");
    group.sample_size(10).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(2 * size_of_val(&w[..]) as u64));
    group.bench_function("copy", |b| b.iter(|| black_box(&mut s).copy_from_slice(&w)));
    group.bench_function("hesse/apply", |b| {
        pool.install(|| b.iter(|| product.apply(black_box(&w), 3000, &mut s, 3000)));
    });
    group.bench_function("hesse/accumulate", |b| {
        pool.install(|| b.iter(|| product.accumulate(1e-9, black_box(&w), 3000, &mut g, 3000)));
    });
    group.finish();
}

criterion_group!(stencil, benches);
criterion_main!(stencil);
