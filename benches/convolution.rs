//! Gradient and Hessian product of a convolutional network beside the matrix products that they
//! consist of.
//!
//! `cargo bench --bench convolution`; `RAYON_NUM_THREADS=1` for one thread.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesse::krylov::LinearOperator;
use hesse::network::{Activation, Architecture, Dataset, Loss, Objective, Parameters, Targets};
use hesse::random::Stream;
use hesse::{Isa, Real};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

const CHANNELS: [usize; 4] = [3, 32, 64, 128];
const SIDE: usize = 32;
const SAMPLES: usize = 128;

/// 3 × 3, padding 1, ReLU and maxima over 2 × 2 after each, then ten units.
fn architecture() -> Architecture {
    let mut architecture = Architecture::new([CHANNELS[0], SIDE, SIDE]);
    for &outputs in &CHANNELS[1..] {
        architecture = architecture.convolution(outputs, 3, 1, Activation::Relu).max_pool(2);
    }
    architecture.flatten().dense(10, Activation::Identity)
}

/// Channels, numbers of a patch and places of each convolution.
fn shapes() -> impl Iterator<Item = [usize; 3]> {
    CHANNELS.windows(2).enumerate().map(|(l, c)| [c[1], 9 * c[0], (SIDE >> l).pow(2)])
}

/// Flops of the products of the convolutions: `first` for the first layer, `other` for the others.
fn flops(first: usize, other: usize) -> u64 {
    let products = shapes().enumerate().map(|(l, [units, patch, places])| {
        2 * SAMPLES * units * patch * places * if l == 0 { first } else { other }
    });
    products.sum::<usize>() as u64
}

fn filled<T: Real>(n: usize) -> Vec<T> {
    let mut values = vec![T::ZERO; n];
    Stream::new(5, "bench").normals(0, &mut values);
    values
}

/// The products of the convolutions and nothing else, a sample at a time: outputs, gradients of
/// weights, and errors of patches, each `times` over.
struct Floor<T> {
    weight: Vec<T>,
    gradient: Vec<T>,
    patches: Vec<T>,
    errors: Vec<T>,
}

impl<T: Real> Floor<T> {
    fn new() -> Self {
        let most = |f: &dyn Fn([usize; 3]) -> usize| shapes().map(f).max().unwrap();
        Self {
            weight: filled(most(&|[u, p, _]| u * p)),
            gradient: filled(most(&|[u, p, _]| u * p)),
            patches: filled(most(&|[_, p, n]| p * n)),
            errors: filled(most(&|[u, _, n]| u * n)),
        }
    }

    fn run(&mut self, times: usize) {
        let isa = Isa::current();
        for (l, [units, patch, places]) in shapes().enumerate() {
            let w = MatrixRef::row_major(&self.weight[..units * patch], units, patch);
            for i in 0..SAMPLES * if l == 0 { 1 } else { times } {
                let beta = if i % times == 0 { T::ZERO } else { T::ONE };
                let p = MatrixRef::row_major(&self.patches[..patch * places], patch, places);
                let z = &mut self.errors[..units * places];
                gemm(isa, T::ONE, w, p, beta, MatrixMut::row_major(z, units, places));
                let z = MatrixRef::row_major(&self.errors[..units * places], units, places);
                let g = &mut self.gradient[..units * patch];
                let g = MatrixMut::column_major(g, units, patch);
                gemm(isa, T::ONE, z, p.transposed(), T::ZERO, g);
                if l > 0 {
                    let p = &mut self.patches[..patch * places];
                    let p = MatrixMut::row_major(p, patch, places);
                    gemm(isa, T::from_f64(1e-3), w.transposed(), z, T::ZERO, p);
                }
            }
        }
    }
}

fn convolution<T: Real>(c: &mut Criterion) {
    let name = format!("{}/3-32-64-128,B={SAMPLES}", T::NAME);
    let network = architecture().build::<T>().unwrap();
    let classes = (0..SAMPLES).map(|i| i % 10).collect();
    let inputs = filled(SAMPLES * network.inputs());
    let data = Dataset::from_rows(inputs, network.inputs(), Targets::Classes(classes)).unwrap();
    let theta = Parameters::initialize(&network, 2).into_values();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let point = objective.at(&theta).unwrap();
    let p = theta.len();
    let x = filled::<T>(4 * p);
    let mut y = vec![T::ZERO; 4 * p];
    let hessian = point.hessian();
    let mut floor = Floor::<T>::new();

    let mut group = c.benchmark_group("convolution_hessian_product");
    group.sample_size(10);
    group.throughput(Throughput::Elements(flops(2, 6)));
    group.bench_function(BenchmarkId::new("hesse", &name), |b| {
        b.iter(|| hessian.apply(&x[..p], &mut y[..p]));
    });
    group.bench_function(BenchmarkId::new("products_alone", &name), |b| b.iter(|| floor.run(2)));
    group.throughput(Throughput::Elements(4 * flops(2, 6)));
    group.bench_function(BenchmarkId::new("hesse_block_of_4", &name), |b| {
        b.iter(|| hessian.apply_block(&x, &mut y));
    });
    group.finish();

    let mut group = c.benchmark_group("convolution_gradient");
    group.sample_size(10);
    group.throughput(Throughput::Elements(flops(2, 3)));
    group.bench_function(BenchmarkId::new("hesse", &name), |b| {
        b.iter(|| objective.gradient(&theta, &mut y[..p]).unwrap());
    });
    group.bench_function(BenchmarkId::new("products_alone", &name), |b| b.iter(|| floor.run(1)));
    group.finish();
}

fn benches(c: &mut Criterion) {
    convolution::<f32>(c);
    convolution::<f64>(c);
}

criterion_group!(all, benches);
criterion_main!(all);
