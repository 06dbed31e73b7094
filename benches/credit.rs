//! Hessian products through time, the gradients of learning rules beside that of backpropagation
//! through time, and eligibility traces against the bandwidth of the level where they lie.
//!
//! Beside each is the obvious implementation: a difference of two gradients, one sample after the
//! other in plain loops, traces in passes of their own. `cargo bench --bench credit`;
//! `RAYON_NUM_THREADS=1` for one thread.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesse::Real;
use hesse::credit::{BackWeights, Leak, RateRnn, Rule, Sequences, States, Target};
use hesse::krylov::LinearOperator;
use hesse::network::Activation;
use hesse::random::Stream;
use hesse_kernels::Isa;
use hesse_kernels::eligibility::{Learning, update_traces};

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
    // What has no Hessian products: (∇L(θ + εx) − ∇L(θ − εx))/2ε.
    let mut gradients = [y.clone(), y.clone()];
    group.bench_function(BenchmarkId::new("difference", &name), |b| {
        b.iter(|| {
            for (gradient, sign) in gradients.iter_mut().zip([1.0, -1.0]) {
                let step = T::from_f64(1e-3 * sign);
                let at: Vec<T> = theta.iter().zip(&x).map(|(&t, &x)| t + step * x).collect();
                objective.gradient(&at, gradient).unwrap();
            }
        });
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
            let mut states = States::new(&rnn, &theta, &data).unwrap();
            b.iter(|| {
                states.renew(&theta, &data).unwrap();
                states.gradient(&rule).unwrap()
            });
        });
    }
    // In half the memory: one more forward pass.
    let budget = States::memory_estimate(&rnn, &data) / 2;
    let mut states = States::within(&rnn, &theta, &data, budget).unwrap();
    group.bench_function(BenchmarkId::new("bptt_at_checkpoints", &name), |b| {
        b.iter(|| {
            states.renew(&theta, &data).unwrap();
            states.gradient(&Rule::Bptt).unwrap()
        });
    });
    group.bench_function(BenchmarkId::new("plain_loops", &name), |b| {
        b.iter(|| plain_bptt(sizes, &theta, data.inputs()));
    });
    group.finish();
}

/// Backpropagation through time of Σ y_T, one sample after the other.
fn plain_bptt<T: Real>(sizes: Sizes, theta: &[T], x: &[T]) -> Vec<T> {
    let [samples, steps, inputs, n, outputs] = sizes;
    let (w, rest) = theta.split_at(n * n);
    let (u, rest) = rest.split_at(n * inputs);
    let (bias, rest) = rest.split_at(n);
    let readout = &rest[..outputs * n];
    let (a, gain) = (T::from_f64(0.6), T::from_f64(0.4));
    let mut gradient = vec![T::ZERO; theta.len()];
    let mut h = vec![T::ZERO; (steps + 1) * n];
    let mut v = vec![T::ZERO; (steps + 1) * n];
    for x in x.chunks_exact(steps * inputs).take(samples) {
        for t in 0..steps {
            for i in 0..n {
                let mut sum = bias[i];
                (0..n).for_each(|j| sum += w[i * n + j] * h[t * n + j]);
                (0..inputs).for_each(|j| sum += u[i * inputs + j] * x[t * inputs + j]);
                let now = a * v[t * n + i] + gain * sum;
                v[(t + 1) * n + i] = now;
                h[(t + 1) * n + i] = if now > T::ZERO { now } else { T::ZERO };
            }
        }
        let mut error: Vec<T> =
            (0..n).map(|i| (0..outputs).map(|k| readout[k * n + i]).sum()).collect();
        let mut carry = vec![T::ZERO; n];
        for t in (0..steps).rev() {
            let mut next = vec![T::ZERO; n];
            for i in 0..n {
                let inner = if v[(t + 1) * n + i] > T::ZERO { error[i] } else { T::ZERO };
                carry[i] = inner + a * carry[i];
                let d = gain * carry[i];
                for j in 0..n {
                    gradient[i * n + j] += d * h[t * n + j];
                    next[j] += d * w[i * n + j];
                }
                (0..inputs).for_each(|j| gradient[n * n + i * inputs + j] += d * x[t * inputs + j]);
            }
            error = next;
        }
    }
    gradient
}

/// ε ← a ε + z and G += f ε for traces that lie in each level, beside y ← y + αx over the same bytes,
/// unit by unit (the bandwidth of reading and writing traces while z is read), and two passes of plain
/// loops.
fn traces<T: Real>(c: &mut Criterion) {
    let isa = Isa::current();
    let mut group = c.benchmark_group("credit_traces");
    group.sample_size(20);
    let width = 80;
    // 15 KiB, 320 KiB, 8 MiB, 128 MiB.
    for (level, units, samples) in
        [("L1", 3, 8), ("L2", 16, 32), ("L3", 128, 100), ("memory", 1024, 200)]
    {
        let samples = samples * size_of::<f64>() / size_of::<T>();
        let rows = units * samples;
        let mut e = vec![T::from_f64(0.1); rows * width];
        let mut random = vec![T::ZERO; rows + samples * width];
        Stream::new(5, "bench").normals(0, &mut random);
        let (factors, z) = random.split_at(rows);
        let keep = vec![T::from_f64(0.9); units];
        let mut sums = vec![0.0; units * width];
        // One read and one write.
        let bytes = 2 * size_of_val(&*e);
        group.throughput(Throughput::Bytes(bytes as u64));
        let id = |what: &str| BenchmarkId::new(format!("{what}/{}", T::NAME), level);
        group.bench_function(id("hesse"), |b| {
            b.iter(|| {
                let learning = Learning { factors, sums: &mut sums };
                update_traces(isa, samples, &keep, None, z, &mut e, None, Some(learning));
            });
        });
        // As `f64`, in which nothing is converted.
        let numbers = size_of_val(&*e) / 8;
        let (x, mut y) = (vec![0.5_f64; size_of_val(z) / 8], vec![0.1_f64; numbers]);
        group.bench_function(id("bandwidth"), |b| {
            b.iter(|| {
                for y in y.chunks_exact_mut(x.len()) {
                    hesse_kernels::level1::axpy(isa, black_box(-1.0), &x, y);
                }
            });
        });
        group.bench_function(id("two_passes"), |b| {
            let keep = T::from_f64(0.9);
            b.iter(|| {
                for (row, e) in e.chunks_exact_mut(width).enumerate() {
                    let z = &z[row % samples * width..][..width];
                    e.iter_mut().zip(z).for_each(|(e, &z)| *e = keep * *e + z);
                }
                for (row, e) in e.chunks_exact(width).enumerate() {
                    let sums = &mut sums[row / samples * width..][..width];
                    let factor = factors[row].to_f64();
                    sums.iter_mut().zip(e).for_each(|(sum, &e)| *sum += factor * e.to_f64());
                }
            });
        });
    }
    group.finish();
}

fn all(c: &mut Criterion) {
    rules::<f32>(c, [512, 28, 28, 128, 10]);
    rules::<f64>(c, [128, 100, 2, 64, 2]);
    traces::<f32>(c);
    traces::<f64>(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
