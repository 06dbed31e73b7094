//! Hessian products through time, and the gradients of learning rules beside that of
//! backpropagation through time.
//!
//! `cargo bench --bench credit`; `RAYON_NUM_THREADS=1` for one thread.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesse::Real;
use hesse::credit::{BackWeights, Leak, RateRnn, Rule, Sequences, States, Target};
use hesse::krylov::LinearOperator;
use hesse::network::Activation;
use hesse::random::Stream;

/// [samples, steps, inputs, units, outputs].
type Sizes = [usize; 5];

fn work<T: Real>(sizes: Sizes) -> (RateRnn, Sequences<T>, Vec<T>) {
    let [samples, steps, inputs, units, outputs] = sizes;
    let leak = Leak::Voltage(vec![0.6]);
    let rnn = RateRnn::new(inputs, units, outputs, Activation::Relu, leak).unwrap();
    let mut x = vec![T::ZERO; samples * steps * inputs];
    Stream::new(1, "bench").normals(0, &mut x);
    let classes = (0..samples).map(|i| i % outputs).collect();
    let shape = [samples, steps, inputs];
    let data = Sequences::new(x, shape, Target::ClassAtEnd(classes)).unwrap();
    let theta = rnn.initialize(2).unwrap();
    (rnn, data, theta)
}

/// Flops of a product with a weight of all samples at all times.
fn product(sizes: Sizes, from: usize) -> u64 {
    2 * (sizes[0] * sizes[1] * sizes[3] * from) as u64
}

fn rules<T: Real>(c: &mut Criterion, sizes: Sizes) {
    let (rnn, data, theta) = work::<T>(sizes);
    let [samples, steps, inputs, units, _] = sizes;
    let name = format!("{}/N={units},D={inputs},T={steps},B={samples}", T::NAME);

    let network = rnn.network(steps, false).unwrap();
    let objective = data.objective(&network).unwrap();
    let point = objective.at(&theta).unwrap();
    let mut x = vec![T::ZERO; theta.len()];
    Stream::new(3, "bench").normals(0, &mut x);
    let mut y = vec![T::ZERO; theta.len()];
    let mut group = c.benchmark_group("credit_hessian_product");
    group.sample_size(10);
    // W: two products forwards, two backwards, two gradients; U: one forwards and one gradient.
    let flops = 6 * product(sizes, units) + 2 * product(sizes, inputs);
    group.throughput(Throughput::Elements(flops));
    let hessian = point.hessian();
    group.bench_function(BenchmarkId::new("hesse", &name), |b| {
        b.iter(|| hessian.apply(&x, &mut y));
    });
    group.finish();

    let mut group = c.benchmark_group("credit_gradient");
    group.sample_size(10);
    group.bench_function(BenchmarkId::new("objective", &name), |b| {
        b.iter(|| objective.gradient(&theta, &mut y).unwrap());
    });
    let rules =
        [Rule::Bptt, Rule::three_factor(), Rule::Mdgl { weights: BackWeights::Exact }, Rule::SnAp1];
    for rule in rules {
        group.bench_function(BenchmarkId::new(rule.name(), &name), |b| {
            b.iter(|| States::new(&rnn, &theta, &data).unwrap().gradient(&rule).unwrap());
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    rules::<f32>(c, [512, 28, 28, 128, 10]);
    rules::<f64>(c, [128, 100, 2, 64, 2]);
}

criterion_group!(benches, all);
criterion_main!(benches);
