//! Elementary functions, activations with derivatives and softmax, in values a second: in cache
//! against plain loops over `std`, out of cache against a copy of as many bytes.
//!
//! `cargo bench -p hesse-kernels --bench activation -- --warm-up-time 0.3 --measurement-time 1`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse_kernels::activation::{Activation, bias_activation, bias_activation_derivatives};
use hesse_kernels::loss::{Targets, softmax_cross_entropy, softmax_curvature_product};
use hesse_kernels::{Isa, Real, elementary};

/// In the first-level cache with two outputs.
const SMALL: usize = 2048;
/// 64 MiB of `f32`: far beyond any cache.
const LARGE: usize = 1 << 24;

/// Spread over −8 to 8, where no function is trivial.
fn filled<T: Real>(n: usize) -> Vec<T> {
    (0..n).map(|i| T::from_f64((i * 7919 % 1601) as f64 * 0.01 - 8.0)).collect()
}

/// A function of `std` under its name.
type Plain<T> = (&'static str, fn(T) -> T);

fn functions<T: Real>(c: &mut Criterion, plain: [Plain<T>; 2]) {
    type Function<T> = fn(Isa, &[T], &mut [T]);
    let list: [(&str, Function<T>); 5] = [
        ("exp", elementary::exp),
        ("tanh", elementary::tanh),
        ("sigmoid", elementary::sigmoid),
        ("erf", elementary::erf),
        ("erfc", elementary::erfc),
    ];
    let x = filled::<T>(SMALL);
    let mut out = vec![T::ONE; SMALL];
    for (name, f) in list {
        let mut group = c.benchmark_group(format!("{name}/{}/{SMALL}", T::NAME));
        group.throughput(Throughput::Elements(SMALL as u64));
        for isa in Isa::available() {
            group.bench_function(format!("hesse/{isa}"), |b| {
                b.iter(|| f(isa, black_box(&x), black_box(&mut out)));
            });
        }
        if let Some((_, plain)) = plain.iter().find(|p| p.0 == name) {
            let mut expected = vec![T::ONE; SMALL];
            for (out, &x) in expected.iter_mut().zip(&x) {
                *out = plain(x);
            }
            let same = |(a, b): (&T, &T)| {
                (a.to_f64() - b.to_f64()).abs() <= 2.0 * T::EPSILON.to_f64() * b.to_f64().abs()
            };
            assert!(out.iter().zip(&expected).all(same), "{name} is wrong");
            group.bench_function("plain/std", |b| {
                b.iter(|| {
                    for (out, &x) in black_box(&mut out).iter_mut().zip(black_box(&x)) {
                        *out = plain(x);
                    }
                });
            });
        }
    }
}

fn activations<T: Real>(c: &mut Criterion) {
    let source = filled::<T>(SMALL);
    let (mut z, mut d1, mut d2) = (source.clone(), source.clone(), source.clone());
    let kinds = [Activation::Relu, Activation::Tanh, Activation::Gelu, Activation::Softplus];
    for activation in kinds {
        let mut group = c.benchmark_group(format!("{activation}/{}/{SMALL}", T::NAME));
        group.throughput(Throughput::Elements(SMALL as u64));
        for isa in Isa::available() {
            let bias = &source[..64];
            group.bench_function(format!("value/{isa}"), |b| {
                b.iter(|| {
                    z.copy_from_slice(&source);
                    bias_activation(isa, activation, Some(bias), black_box(&mut z));
                });
            });
            group.bench_function(format!("value_and_two_derivatives/{isa}"), |b| {
                b.iter(|| {
                    z.copy_from_slice(&source);
                    bias_activation_derivatives(
                        isa,
                        activation,
                        Some(bias),
                        black_box(&mut z),
                        black_box(&mut d1),
                        Some(black_box(&mut d2)),
                    );
                });
            });
        }
    }
}

fn out_of_cache(c: &mut Criterion) {
    let x = filled::<f32>(LARGE);
    let mut out = x.clone();
    let mut group = c.benchmark_group(format!("memory/f32/{LARGE}"));
    group.sample_size(10);
    group.throughput(Throughput::Elements(LARGE as u64));
    group.bench_function("ceiling/copy", |b| {
        b.iter(|| black_box(&mut out).copy_from_slice(black_box(&x)));
    });
    for isa in Isa::available() {
        group.bench_function(format!("tanh/{isa}"), |b| {
            b.iter(|| elementary::tanh(isa, black_box(&x), black_box(&mut out)));
        });
    }
}

fn softmax<T: Real>(c: &mut Criterion) {
    for classes in [10, 1000] {
        let rows = (SMALL * 2 / classes).max(1);
        let logits = filled::<T>(rows * classes);
        let y = vec![3; rows];
        let (mut g, mut p) = (logits.clone(), logits.clone());
        let mut group = c.benchmark_group(format!("softmax/{}/{rows}x{classes}", T::NAME));
        group.throughput(Throughput::Elements((rows * classes) as u64));
        for isa in Isa::available() {
            group.bench_function(format!("gradient/{isa}"), |b| {
                b.iter(|| {
                    softmax_cross_entropy(
                        isa,
                        classes,
                        black_box(&logits),
                        Targets::Classes(&y),
                        None,
                        1.0,
                        Some(black_box(&mut g)),
                        Some(black_box(&mut p)),
                    )
                });
            });
            let mut v = logits.clone();
            group.bench_function(format!("curvature/{isa}"), |b| {
                b.iter(|| {
                    v.copy_from_slice(&logits);
                    softmax_curvature_product(isa, classes, 1, &p, None, 1.0, black_box(&mut v));
                });
            });
        }
    }
}

fn all(c: &mut Criterion) {
    functions::<f32>(c, [("exp", f32::exp), ("tanh", f32::tanh)]);
    functions::<f64>(c, [("exp", f64::exp), ("tanh", f64::tanh)]);
    activations::<f32>(c);
    activations::<f64>(c);
    softmax::<f32>(c);
    softmax::<f64>(c);
    out_of_cache(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
