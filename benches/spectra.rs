//! Participation ratios and spectra beside the matrix product that they cannot do without.
//!
//! Throughput is n d min(n, d) flops, half of a full product: compare with `floor`, the products of
//! the tiles alone, and with the peaks that are printed first. Everything on one thread.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use faer::Mat;
use hesse::statistics::{MomentStream, ParticipationRatio, Spectrum};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::peak::Peaks;
use hesse_kernels::{Isa, Real, oracle};

fn one_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread").install(f)
}

fn ratios<T: Real>(c: &mut Criterion) {
    for (n, d) in [(8_000, 1_024), (1_024, 8_000)] {
        let values: Vec<T> = oracle::uniform(1, n * d).into_iter().map(T::from_f64).collect();
        let x = Mat::from_fn(n, d, |i, j| values[i * d + j]);
        let mut g = c.benchmark_group(format!("participation_ratio/{}/{n}x{d}", T::NAME));
        g.throughput(Throughput::Elements((n * d * n.min(d)) as u64));
        let pr = one_thread(|| ParticipationRatio::of(x.as_ref())).expect("finite");
        assert!(pr.naive > 100.0 && pr.naive < n.min(d) as f64);
        g.bench_function("hesse/in memory", |b| {
            b.iter(|| one_thread(|| ParticipationRatio::of(black_box(x.as_ref()))));
        });
        if n > d {
            g.bench_function("hesse/stream", |b| {
                b.iter(|| one_thread(|| MomentStream::from_first(black_box(x.as_ref()))));
            });
            let (tile, depth) = (256, 512);
            let mut out = vec![T::ZERO; tile * tile];
            g.bench_function("floor", |b| {
                b.iter(|| {
                    for i in (0..d).step_by(tile) {
                        for j in (i..d).step_by(tile) {
                            for s in (0..n).step_by(depth) {
                                let rows = depth.min(n - s);
                                let part = |j: usize| {
                                    MatrixRef::new(&values[s * d + j..], rows, tile, d, 1)
                                };
                                let out = MatrixMut::row_major(black_box(&mut out), tile, tile);
                                let a = part(i).transposed();
                                gemm(Isa::current(), T::ONE, a, part(j), T::ZERO, out);
                            }
                        }
                    }
                });
            });
        }
        g.finish();
    }
}

fn spectra(c: &mut Criterion) {
    for (n, d) in [(4_000, 500), (500, 4_000)] {
        let values = oracle::uniform(1, n * d);
        let x = Mat::from_fn(n, d, |i, j| values[i * d + j]);
        let mut g = c.benchmark_group(format!("spectrum/f64/{n}x{d}"));
        g.bench_function("hesse", |b| {
            b.iter(|| one_thread(|| Spectrum::of(black_box(x.as_ref()))));
        });
        g.finish();
    }
}

fn all(c: &mut Criterion) {
    eprintln!("{}", Peaks::measure(Isa::current()));
    ratios::<f32>(c);
    ratios::<f64>(c);
    spectra(c);
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
