//! Gradient and Hessian product of a small vision transformer beside the matrix products that they
//! consist of.
//!
//! `cargo bench --bench attention`; `RAYON_NUM_THREADS=1` for one thread.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hesse::Isa;
use hesse::krylov::LinearOperator;
use hesse::network::{Dataset, Loss, Objective, Parameters, Targets, VisionTransformer};
use hesse::random::Stream;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

const SAMPLES: usize = 64;
const TOKENS: usize = 65;
const WIDTH: usize = 192;
const HIDDEN: usize = 768;
const DEPTH: usize = 6;
const HEADS: usize = 3;

/// Inputs and outputs of the linear maps of one block.
const MAPS: [(usize, usize); 4] =
    [(WIDTH, 3 * WIDTH), (WIDTH, WIDTH), (WIDTH, HIDDEN), (HIDDEN, WIDTH)];
/// Samples that go through the network together, as the objective cuts them.
const SHARD: usize = 8;

fn filled(n: usize) -> Vec<f32> {
    let mut values = vec![0.0; n];
    Stream::new(5, "bench").normals(0, &mut values);
    values
}

/// The matrix products of one pass and nothing else, but for those of patches and readout, which are
/// a hundredth: `pairs` tells how many times the three products of each weight are done (one for a
/// gradient, two for a Hessian product), `attention` how many of each head.
struct Floor {
    pairs: usize,
    attention: usize,
    weights: Vec<f32>,
    features: Vec<f32>,
    errors: Vec<f32>,
    gradient: Vec<f32>,
    heads: Vec<f32>,
    scores: Vec<f32>,
}

impl Floor {
    fn new(pairs: usize, attention: usize) -> Self {
        let rows = SHARD * TOKENS;
        Self {
            pairs,
            attention,
            weights: filled(WIDTH * HIDDEN),
            features: filled(rows * HIDDEN),
            errors: filled(rows * HIDDEN),
            gradient: filled(WIDTH * HIDDEN),
            heads: filled(TOKENS * 3 * WIDTH),
            scores: filled(TOKENS * TOKENS),
        }
    }

    fn flops(&self) -> u64 {
        let maps: usize = MAPS.iter().map(|(d, h)| d * h).sum();
        let map = 2 * 3 * self.pairs * SAMPLES * TOKENS * maps;
        let head = 2 * TOKENS * TOKENS * (WIDTH / HEADS);
        (DEPTH * (map + SAMPLES * HEADS * self.attention * head)) as u64
    }

    fn run(&mut self) {
        let isa = Isa::current();
        let rows = SHARD * TOKENS;
        for _ in 0..SAMPLES / SHARD * DEPTH {
            for (d, h) in MAPS {
                for _ in 0..self.pairs {
                    let x = MatrixRef::row_major(&self.features[..rows * d], rows, d);
                    let w = MatrixRef::row_major(&self.weights[..h * d], h, d);
                    let u = MatrixMut::row_major(&mut self.errors[..rows * h], rows, h);
                    gemm(isa, 1e-3, x, w.transposed(), 0.0, u);
                    let u = MatrixRef::row_major(&self.errors[..rows * h], rows, h);
                    let g = MatrixMut::row_major(&mut self.gradient[..h * d], h, d);
                    gemm(isa, 1e-3, u.transposed(), x, 1.0, g);
                    let x = MatrixMut::row_major(&mut self.features[..rows * d], rows, d);
                    gemm(isa, 1e-3, u, w, 0.0, x);
                }
            }
            for _ in 0..SHARD * HEADS * self.attention {
                let d = WIDTH / HEADS;
                let q = MatrixRef::new(&self.heads, TOKENS, d, 3 * WIDTH, 1);
                let k = MatrixRef::new(&self.heads[WIDTH..], TOKENS, d, 3 * WIDTH, 1);
                let s = MatrixMut::row_major(&mut self.scores, TOKENS, TOKENS);
                gemm(isa, 1e-3, q, k.transposed(), 0.0, s);
            }
        }
    }
}

fn benches(c: &mut Criterion) {
    let network = VisionTransformer::tiny().architecture().build::<f32>().unwrap();
    let classes = (0..SAMPLES).map(|i| i % network.outputs()).collect();
    let inputs = filled(SAMPLES * network.inputs());
    let data = Dataset::from_rows(inputs, network.inputs(), Targets::Classes(classes)).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let theta = Parameters::initialize(&network, 2).into_values();
    let point = objective.at(&theta).unwrap();
    let x = filled(theta.len());
    let mut y = vec![0.0; theta.len()];
    let name = "f32/vit_tiny,B=64";

    // Two products of each head for the values, four for the errors; four and eight.
    for (group, mut floor) in
        [("gradient", Floor::new(1, 6)), ("hessian_product", Floor::new(2, 12))]
    {
        let product = group == "hessian_product";
        let mut group = c.benchmark_group(group);
        group.sample_size(10);
        group.throughput(Throughput::Elements(floor.flops()));
        group.bench_function(BenchmarkId::new("hesse", name), |b| {
            if product {
                let hessian = point.hessian();
                b.iter(|| hessian.apply(&x, &mut y));
            } else {
                b.iter(|| objective.gradient(&theta, &mut y).unwrap());
            }
        });
        group.bench_function(BenchmarkId::new("products_alone", name), |b| b.iter(|| floor.run()));
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
