//! One step of Adam, in and out of cache, beside the same equations as a plain loop.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse_kernels::Isa;
use hesse_kernels::optimizer_step::{AdamStep, adam};

const STEP: AdamStep<f32> = AdamStep {
    shrink: 1.0,
    decay: 0.0,
    first: 0.1,
    keep_second: 0.999,
    second: 0.001,
    rate: 1e-3,
    correction: 1.0,
    epsilon: 1e-8,
};

fn plain(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        *m += STEP.first * (g - *m);
        *v = STEP.keep_second * *v + STEP.second * (g * g);
        *p -= STEP.rate * (*m / (v.sqrt() * STEP.correction + STEP.epsilon));
    }
}

fn all(c: &mut Criterion) {
    for n in [1 << 12, 1 << 16, 1 << 22] {
        let gradient: Vec<f32> = (0..n).map(|i| (i % 17) as f32 - 8.0).collect();
        let [mut p, mut m, mut v] = [1.0_f32, 0.0, 0.0].map(|x| vec![x; n]);
        let mut group = c.benchmark_group(format!("adam/f32/{n:07}"));
        group.throughput(Throughput::Elements(n as u64));
        for isa in Isa::available() {
            group.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| adam(isa, STEP, black_box(&mut p), &gradient, &mut m, &mut v, None));
            });
        }
        group.bench_function("peer/plain_loop", |b| {
            b.iter(|| plain(black_box(&mut p), &gradient, &mut m, &mut v));
        });
    }
}

criterion_group! {
    name = optimizer_step;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(20);
    targets = all
}
criterion_main!(optimizer_step);
