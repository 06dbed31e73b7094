//! One step of mini-batch gradient descent on a small network, as sweeps do it by the million: the
//! whole step of a training, its gradient alone, and its matrix products alone.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse::network::{
    Activation, Architecture, Dataset, Loss, Network, Objective, Parameters, Targets, Trainer,
};
use hesse::optimize::{Optimizer, Schedule, Sgd, SgdOptions};
use hesse::random::Stream;
use hesse::{Isa, Real};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

const WIDTHS: [usize; 4] = [64, 64, 64, 10];
const SAMPLES: usize = 500;
const LOSS: Loss = Loss::MeanSquaredError;

fn setting<T: Real>() -> (Network<T>, Dataset<T>) {
    let network = Architecture::perceptron(&WIDTHS, Activation::Tanh).build::<T>().unwrap();
    let mut inputs = vec![T::ZERO; SAMPLES * WIDTHS[0]];
    Stream::new(1, "bench").normals(0, &mut inputs);
    let classes = (0..SAMPLES).map(|i| i * i % 10).collect();
    let data = Dataset::from_rows(inputs, WIDTHS[0], Targets::Classes(classes)).unwrap();
    (network, data)
}

/// Seconds of `steps` steps of a training, without its beginning.
fn training<T: Real>(
    network: &Network<T>,
    data: &Dataset<T>,
    batch: usize,
    steps: u64,
) -> Duration {
    let start = Parameters::initialize(network, 1);
    let mut sgd = Sgd::new(start.values().len(), SgdOptions::default()).unwrap();
    let rate = Schedule::constant(0.1).unwrap();
    let mut began = None;
    let mut took = Duration::ZERO;
    let trainer = Trainer::new(network, data, LOSS, rate).unwrap().batch(batch).unwrap();
    let run = trainer.steps(steps + 10).callback(|progress| {
        match progress.step {
            10 => began = Some(Instant::now()),
            step if step == steps + 10 => took = began.map_or(took, |began| began.elapsed()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    black_box(run.run(start, &mut sgd).unwrap());
    took
}

/// The matrix products of a step, in the layouts in which layers ask for them.
struct Products<T> {
    batch: usize,
    weights: Vec<T>,
    activity: Vec<T>,
    error: Vec<T>,
}

impl<T: Real> Products<T> {
    fn run(&mut self) {
        let isa = Isa::current();
        let last = WIDTHS.len() - 2;
        for (l, pair) in WIDTHS.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            let w = MatrixRef::row_major(&self.weights, outputs, inputs).transposed();
            let x = MatrixRef::row_major(&self.activity, self.batch, inputs);
            gemm(
                isa,
                T::ONE,
                x,
                w,
                T::ZERO,
                MatrixMut::row_major(&mut self.error, self.batch, outputs),
            );
            let error = MatrixRef::row_major(&self.error, self.batch, outputs);
            let gradient = MatrixMut::row_major(&mut self.weights, outputs, inputs);
            gemm(isa, T::from_f64(1e-30), error.transposed(), x, T::ONE, gradient);
            if l < last {
                let w = MatrixRef::row_major(&self.weights, WIDTHS[l + 2], outputs);
                let e = MatrixRef::row_major(&self.activity, self.batch, WIDTHS[l + 2]);
                let to = MatrixMut::row_major(&mut self.error, self.batch, outputs);
                gemm(isa, T::ONE, e, w, T::ZERO, to);
            }
        }
    }
}

fn step<T: Real>(c: &mut Criterion, batch: usize) {
    let (network, data) = setting::<T>();
    let theta = Parameters::initialize(&network, 1).into_values();
    let name = WIDTHS.map(|width| width.to_string()).join("-");
    let mut group = c.benchmark_group(format!("training_step/{}/{name}/B{batch:03}", T::NAME));
    let weights: usize = WIDTHS.windows(2).map(|w| w[0] * w[1]).sum();
    // Forward and gradient for all weights, errors for all but the first layer's.
    let flops = 2 * batch * (3 * weights - WIDTHS[0] * WIDTHS[1]);
    group.throughput(Throughput::Elements(flops as u64));
    group.bench_function("hesse/trainer", |b| {
        b.iter_custom(|steps| training(&network, &data, batch, steps));
    });

    let objective = Objective::new(&network, &data, LOSS).unwrap();
    let indices: Vec<usize> = (0..batch).map(|i| 37 * i % SAMPLES).collect();
    let mut gradient = vec![T::ZERO; theta.len()];
    group.bench_function("hesse/gradient", |b| {
        b.iter(|| objective.batch_gradient(black_box(&theta), &indices, &mut gradient).unwrap());
    });
    let mut sgd = Sgd::new(theta.len(), SgdOptions::default()).unwrap();
    let mut moving = theta.clone();
    group.bench_function("hesse/sgd", |b| {
        b.iter(|| sgd.step(black_box(&mut moving), &gradient, 1e-9).unwrap());
    });

    let widest = 64;
    let of = |n: usize| (0..n).map(|i| T::from_f64(((i * 7) % 13) as f64 / 13.0)).collect();
    let mut products = Products {
        batch,
        weights: of(widest * widest),
        activity: of(batch * widest),
        error: of(batch * widest),
    };
    group.bench_function("hesse/products", |b| b.iter(|| products.run()));
    group.finish();
}

fn all(c: &mut Criterion) {
    for batch in [8, 20, 32, 128] {
        step::<f64>(c, batch);
    }
    step::<f32>(c, 20);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500));
    targets = all
}
criterion_main!(benches);
