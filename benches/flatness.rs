//! All measures of Jacobians beside one backward pass for every sample and output.
//!
//! `cargo bench --bench flatness`; `RAYON_NUM_THREADS=1` for one thread. The bar is 50 times.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use hesse::Real;
use hesse::flatness::{Geometry, LogVolume, OverLayers};
use hesse::network::{
    Activation, Architecture, Dataset, Loss, Network, Objective, Parameters, Targets,
};
use hesse::random::Stream;

const SIZES: [usize; 5] = [784, 500, 500, 500, 10];
const SAMPLES: usize = 20;

/// S, MLS, NMLS, log volume, local dimension and, with `adaptive`, adaptive sharpness.
fn stacked<T: Real>(network: &Network<T>, theta: &[T], x: &[T], adaptive: bool) -> [f64; 6] {
    let r = Geometry::of_rows(network, theta, x).unwrap().adaptive(adaptive).run().unwrap();
    [
        r.trace(),
        r.mls(),
        r.nmls(OverLayers::Sum).unwrap(),
        r.log_volume(LogVolume::All).unwrap(),
        r.local_dimension().unwrap(),
        r.adaptive_sharpness().unwrap_or(0.0),
    ]
}

/// S alone, from n·N gradients of one sample and output.
fn one_by_one<T: Real>(network: &Network<T>, theta: &[T], x: &[T]) -> f64 {
    let outputs = network.outputs();
    let mut sum = 0.0;
    for x in x.chunks(network.inputs()) {
        let targets = Targets::Rows { values: vec![T::ZERO; outputs], width: outputs };
        let data = Dataset::from_rows(x.to_vec(), x.len(), targets).unwrap();
        let objective = Objective::new(network, &data, Loss::HalfSquaredError).unwrap();
        let point = objective.at(theta).unwrap();
        for j in 0..outputs {
            let mut unit = vec![T::ZERO; outputs];
            unit[j] = T::ONE;
            let gradient = point.transposed_jacobian_product(&unit).unwrap();
            sum += hesse_kernels::level1::dot(hesse::Isa::current(), &gradient, &gradient);
        }
    }
    sum / SAMPLES as f64
}

fn measures<T: Real>(c: &mut Criterion) {
    let network = Architecture::perceptron(&SIZES, Activation::Tanh).build::<T>().unwrap();
    let theta = Parameters::initialize(&network, 2).into_values();
    let mut x = vec![T::ZERO; SAMPLES * SIZES[0]];
    Stream::new(1, "bench").normals(0, &mut x);
    let (got, want) = (stacked(&network, &theta, &x, true)[0], one_by_one(&network, &theta, &x));
    assert!((got - want).abs() <= 1e3 * T::EPSILON.to_f64() * want, "{got} {want}");

    let name = format!("{}/784-500-500-500-10,n={SAMPLES}", T::NAME);
    let mut group = c.benchmark_group("jacobian_measures");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("hesse", &name), |b| {
        b.iter(|| stacked(&network, &theta, &x, false));
    });
    group.bench_function(BenchmarkId::new("hesse/adaptive", &name), |b| {
        b.iter(|| stacked(&network, &theta, &x, true));
    });
    group.bench_function(BenchmarkId::new("one_by_one/S_only", &name), |b| {
        b.iter(|| one_by_one(&network, &theta, &x));
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    measures::<f64>(c);
    measures::<f32>(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
