//! Random numbers in cache, on one thread: elements a second for every instruction set, beside
//! `rand`'s generator and a polar method over it.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse_kernels::{Isa, Real, philox};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const N: usize = 4096;

/// Marsaglia's polar method, two normals a turn.
fn polar(rng: &mut StdRng, out: &mut [f64]) {
    for pair in out.chunks_exact_mut(2) {
        loop {
            let (u, v): (f64, f64) = (rng.random(), rng.random());
            let (u, v) = (2.0 * u - 1.0, 2.0 * v - 1.0);
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let scale = (-2.0 * s.ln() / s).sqrt();
                pair.copy_from_slice(&[u * scale, v * scale]);
                break;
            }
        }
    }
}

/// A rival's name and what it does.
type Peer<'a, E> = (&'a str, &'a mut dyn FnMut(&mut [E]));

fn group<E: Copy>(
    c: &mut Criterion,
    name: &str,
    zero: E,
    fill: impl Fn(Isa, u64, &mut [E]),
    peer: Option<Peer<'_, E>>,
) {
    let mut group = c.benchmark_group(format!("random/{name}/{N}"));
    group.throughput(Throughput::Elements(N as u64));
    let mut out = vec![zero; N];
    for isa in Isa::available() {
        let mut offset = 0;
        group.bench_function(format!("hesse/{isa}"), |b| {
            b.iter(|| {
                fill(isa, offset, black_box(&mut out));
                offset += N as u64;
            });
        });
    }
    if let Some((name, peer)) = peer {
        group.bench_function(name, |b| b.iter(|| peer(black_box(&mut out))));
    }
}

fn real<T: Real>(c: &mut Criterion) {
    let name = |kind: &str| format!("{kind}/{}", T::NAME);
    group(
        c,
        &name("uniform"),
        T::ZERO,
        |isa, offset, out: &mut [T]| philox::fill_uniform(isa, 1, 2, offset, out),
        None,
    );
    group(
        c,
        &name("normal"),
        T::ZERO,
        |isa, offset, out: &mut [T]| philox::fill_normal(isa, 1, 2, offset, out),
        None,
    );
    group(
        c,
        &name("rademacher"),
        T::ZERO,
        |isa, offset, out: &mut [T]| philox::fill_rademacher(isa, 1, 2, offset, out),
        None,
    );
}

fn all(c: &mut Criterion) {
    let mut rng = StdRng::seed_from_u64(1);
    group(
        c,
        "bits/u32",
        0_u32,
        |isa, offset, out| philox::fill_bits(isa, 1, 2, offset, out),
        Some(("peer/rand_std", &mut |out| rng.fill(out))),
    );
    let mut rng = StdRng::seed_from_u64(1);
    group(
        c,
        "polar/f64",
        0.0_f64,
        |isa, offset, out| philox::fill_normal(isa, 1, 2, offset, out),
        Some(("peer/rand_std", &mut |out| polar(&mut rng, out))),
    );
    real::<f32>(c);
    real::<f64>(c);
}

criterion_group! {
    name = random;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(700))
        .sample_size(20);
    targets = all
}
criterion_main!(random);
