//! Gradients and Hessian products of perceptrons beside the matrix products that they consist of.
//!
//! `cargo bench --bench curvature`; `RAYON_NUM_THREADS=1` for one thread.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesse::krylov::LinearOperator;
use hesse::network::{
    Activation, Architecture, Dataset, Loss, Network, Objective, Parameters, Targets,
};
use hesse::random::Stream;
use hesse::{Isa, Real};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

struct Work<T: Real> {
    name: String,
    sizes: Vec<usize>,
    network: Network<T>,
    data: Dataset<T>,
    theta: Vec<T>,
}

impl<T: Real> Work<T> {
    fn new(sizes: &[usize], samples: usize) -> Self {
        let network = Architecture::perceptron(sizes, Activation::Tanh).build().unwrap();
        let mut inputs = vec![T::ZERO; samples * sizes[0]];
        Stream::new(1, "bench").normals(0, &mut inputs);
        let outputs = sizes[sizes.len() - 1];
        let classes = (0..samples).map(|i| i % outputs).collect();
        let data = Dataset::from_rows(inputs, sizes[0], Targets::Classes(classes)).unwrap();
        let theta = Parameters::initialize(&network, 2).into_values();
        let widths: Vec<String> = sizes.iter().map(ToString::to_string).collect();
        let name = format!("{}/{},B={samples}", T::NAME, widths.join("-"));
        Self { name, sizes: sizes.to_vec(), network, data, theta }
    }

    /// Flops of one product: two weight gradients and two pulls and pushes a layer, without those
    /// that the first layer does not need.
    fn product_flops(&self) -> u64 {
        let weights = |i: usize| (self.sizes[i] * self.sizes[i + 1]) as u64;
        let all: u64 = (0..self.sizes.len() - 1).map(weights).sum();
        2 * self.data.len() as u64 * (6 * all - 4 * weights(0))
    }
}

fn curvature<T: Real>(c: &mut Criterion, sizes: &[usize], samples: usize) {
    let work = Work::<T>::new(sizes, samples);
    let objective = Objective::new(&work.network, &work.data, Loss::CrossEntropy).unwrap();
    let point = objective.at(&work.theta).unwrap();
    let p = work.theta.len();
    let mut x = vec![T::ZERO; 8 * p];
    Stream::new(3, "bench").normals(0, &mut x);
    let mut y = vec![T::ZERO; 8 * p];

    let mut group = c.benchmark_group("hessian_product");
    group.sample_size(10);
    group.throughput(Throughput::Elements(work.product_flops()));
    let hessian = point.hessian();
    group.bench_function(BenchmarkId::new("hesse", &work.name), |b| {
        b.iter(|| hessian.apply(&x[..p], &mut y[..p]));
    });
    group.bench_function(BenchmarkId::new("products_alone", &work.name), |b| {
        let mut floor = Floor::<T>::new(sizes, samples);
        b.iter(|| floor.run());
    });
    let generalised = point.gauss_newton();
    group.bench_function(BenchmarkId::new("gauss_newton", &work.name), |b| {
        b.iter(|| generalised.apply(&x[..p], &mut y[..p]));
    });
    group.throughput(Throughput::Elements(8 * work.product_flops()));
    group.bench_function(BenchmarkId::new("hesse_block_of_8", &work.name), |b| {
        b.iter(|| hessian.apply_block(&x, &mut y));
    });
    group.finish();

    let mut group = c.benchmark_group("gradient");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("hesse", &work.name), |b| {
        b.iter(|| objective.gradient(&work.theta, &mut y[..p]).unwrap());
    });
    group.finish();
}

/// The matrix products of one Hessian product and nothing else, over the whole batch.
struct Floor<T> {
    sizes: Vec<usize>,
    samples: usize,
    weight: Vec<T>,
    features: Vec<T>,
    errors: Vec<T>,
    gradient: Vec<T>,
}

impl<T: Real> Floor<T> {
    fn new(sizes: &[usize], samples: usize) -> Self {
        let widest = sizes.iter().max().unwrap();
        let filled = |n: usize| {
            let mut values = vec![T::ZERO; n];
            Stream::new(5, "bench").normals(0, &mut values);
            values
        };
        Self {
            sizes: sizes.to_vec(),
            samples,
            weight: filled(widest * widest),
            features: filled(samples * widest),
            errors: filled(samples * widest),
            gradient: filled(widest * widest),
        }
    }

    fn run(&mut self) {
        let isa = Isa::current();
        for (layer, pair) in self.sizes.windows(2).enumerate() {
            let (d, h, n) = (pair[0], pair[1], self.samples);
            let times = if layer == 0 { 1 } else { 2 };
            for i in 0..times {
                let beta = if i == 0 { T::ZERO } else { T::ONE };
                let (x, w) = (&self.features[..n * d], &self.weight[..h * d]);
                let (x, w) = (MatrixRef::row_major(x, n, d), MatrixRef::row_major(w, h, d));
                let u = &mut self.errors[..n * h];
                gemm(isa, T::ONE, x, w.transposed(), beta, MatrixMut::row_major(u, n, h));
                let u = MatrixRef::row_major(&self.errors[..n * h], n, h);
                let g = MatrixMut::row_major(&mut self.gradient[..h * d], h, d);
                gemm(isa, T::ONE, u.transposed(), x, beta, g);
                if layer > 0 {
                    let x = MatrixMut::row_major(&mut self.features[..n * d], n, d);
                    gemm(isa, T::from_f64(1e-3), u, w, T::ZERO, x);
                }
            }
        }
    }
}

fn benches(c: &mut Criterion) {
    curvature::<f32>(c, &[784, 512, 512, 10], 2048);
    curvature::<f64>(c, &[784, 512, 512, 10], 2048);
    curvature::<f64>(c, &[64, 100, 100, 10], 1797);
}

criterion_group!(all, benches);
criterion_main!(all);
