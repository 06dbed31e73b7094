//! Traces and densities against the obvious implementation: one probe after the other, plain loops,
//! one pass of Gram-Schmidt.
//!
//! The operator is V diag(λ) Vᵀ of rank 64 plus a diagonal on 20,000 rows: a product costs 5 Mflop,
//! and a block of products reads V once.

use criterion::{Criterion, criterion_group, criterion_main};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use hesse::krylov::{LinearOperator, SpectralDensity, Trace};

const N: usize = 20_000;
const RANK: usize = 64;

struct LowRankPlusDiagonal {
    v: Mat<f64>,
    diagonal: Vec<f64>,
}

impl LowRankPlusDiagonal {
    fn new() -> Self {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let size = |j: usize| (14.0 * 12.0 * 0.8_f64.powi(j as i32) / N as f64).sqrt();
        let v = Mat::from_fn(N, RANK, |_, j| size(j) * uniform());
        let diagonal = (0..N).map(|i| 0.1 * (-(i as f64) / 2000.0).exp()).collect();
        Self { v, diagonal }
    }

    fn trace(&self) -> f64 {
        let square = |j: usize| self.v.col(j).iter().map(|x| x * x).sum::<f64>();
        self.diagonal.iter().sum::<f64>() + (0..RANK).map(square).sum::<f64>()
    }
}

impl LinearOperator<f64> for LowRankPlusDiagonal {
    fn dimension(&self) -> usize {
        N
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.apply_block(x, y);
    }
    fn apply_block(&self, x: &[f64], y: &mut [f64]) {
        let k = x.len() / N;
        for (x, y) in x.chunks_exact(N).zip(y.chunks_exact_mut(N)) {
            for ((y, x), d) in y.iter_mut().zip(x).zip(&self.diagonal) {
                *y = d * x;
            }
        }
        let mut small = Mat::<f64>::zeros(RANK, k);
        let x = MatRef::from_column_major_slice(x, N, k);
        let y = MatMut::from_column_major_slice_mut(y, N, k);
        matmul(small.as_mut(), Accum::Replace, self.v.transpose(), x, 1.0, Par::Seq);
        matmul(y, Accum::Add, self.v.as_ref(), small.as_ref(), 1.0, Par::Seq);
    }
}

fn plain_dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn sign_vector(probe: usize) -> Vec<f64> {
    let sign = |i: usize| {
        let mut z = ((probe * N + i) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        if z >> 63 == 0 { 1.0 } else { -1.0 }
    };
    (0..N).map(sign).collect()
}

fn plain_hutchinson(a: &LowRankPlusDiagonal, m: usize) -> f64 {
    let mut y = vec![0.0; N];
    let term = |probe| {
        let x = sign_vector(probe);
        a.apply(&x, &mut y);
        plain_dot(&x, &y)
    };
    (0..m).map(term).sum::<f64>() / m as f64
}

/// Orthonormal basis of A Ω by one pass of classical Gram-Schmidt, then as Hutchinson.
fn plain_hutchpp(a: &LowRankPlusDiagonal, m: usize) -> f64 {
    let mut q: Vec<Vec<f64>> = Vec::new();
    let mut y = vec![0.0; N];
    let project = |x: &mut Vec<f64>, q: &[Vec<f64>]| {
        for q in q {
            let h = plain_dot(q, x);
            x.iter_mut().zip(q).for_each(|(x, q)| *x -= h * q);
        }
    };
    for probe in 0..m / 3 {
        a.apply(&sign_vector(probe), &mut y);
        let mut w = y.clone();
        project(&mut w, &q);
        let norm = plain_dot(&w, &w).sqrt();
        q.push(w.iter().map(|w| w / norm).collect());
    }
    let mut trace = 0.0;
    for q in &q {
        a.apply(q, &mut y);
        trace += plain_dot(q, &y);
    }
    for probe in m / 3..2 * (m / 3) {
        let mut g = sign_vector(probe);
        project(&mut g, &q);
        a.apply(&g, &mut y);
        trace += plain_dot(&g, &y) / (m / 3) as f64;
    }
    trace
}

/// The diagonal of T after `steps` of Lanczos with two passes over the basis, in plain loops.
fn plain_lanczos(a: &LowRankPlusDiagonal, probe: usize, steps: usize) -> Vec<f64> {
    let scale = 1.0 / (N as f64).sqrt();
    let mut basis = vec![sign_vector(probe).iter().map(|x| x * scale).collect::<Vec<f64>>()];
    let mut alpha = Vec::new();
    let mut w = vec![0.0; N];
    for j in 0..steps {
        a.apply(&basis[j], &mut w);
        alpha.push(plain_dot(&basis[j], &w));
        for _ in 0..2 {
            for q in &basis {
                let h = plain_dot(q, &w);
                w.iter_mut().zip(q).for_each(|(w, q)| *w -= h * q);
            }
        }
        let norm = plain_dot(&w, &w).sqrt();
        basis.push(w.iter().map(|w| w / norm).collect());
    }
    alpha
}

fn traces(c: &mut Criterion) {
    let a = LowRankPlusDiagonal::new();
    let truth = a.trace();
    let m = 48;
    let check = |name: &str, value: f64, tolerance: f64| {
        let error = (value - truth).abs() / truth;
        assert!(error < tolerance, "{name}: {error}");
    };
    check("hesse hutchinson", Trace::hutchinson(m).run(&a).unwrap().value, 0.2);
    check("hesse hutchpp", Trace::hutchpp(m).run(&a).unwrap().value, 0.05);
    check("hesse xtrace", Trace::xtrace(m).run(&a).unwrap().value, 0.05);
    check("hesse xnystrace", Trace::xnystrace(m).run(&a).unwrap().value, 0.05);
    check("peer hutchinson", plain_hutchinson(&a, m), 0.2);
    check("peer hutchpp", plain_hutchpp(&a, m), 0.05);

    let mut g = c.benchmark_group(format!("trace/f64/{N},m={m}"));
    g.sample_size(10);
    g.bench_function("hesse/hutchinson", |b| b.iter(|| Trace::hutchinson(m).run(&a)));
    g.bench_function("hesse/hutchinson,block=1", |b| {
        b.iter(|| Trace::hutchinson(m).block(1).run(&a));
    });
    g.bench_function("hesse/hutchpp", |b| b.iter(|| Trace::hutchpp(m).run(&a)));
    g.bench_function("hesse/xtrace", |b| b.iter(|| Trace::xtrace(m).run(&a)));
    g.bench_function("hesse/xnystrace", |b| b.iter(|| Trace::xnystrace(m).run(&a)));
    g.bench_function("peer/one_probe_at_a_time_hutchinson", |b| b.iter(|| plain_hutchinson(&a, m)));
    g.bench_function("peer/one_probe_at_a_time_hutchpp", |b| b.iter(|| plain_hutchpp(&a, m)));
    g.finish();
}

fn densities(c: &mut Criterion) {
    let a = LowRankPlusDiagonal::new();
    let density = SpectralDensity::new().steps(40).samples(4);
    let got = density.run(&a).unwrap().integral(|x| x);
    assert!((got.value - a.trace()).abs() <= 5.0 * got.standard_error);
    // θ weighted is α₁ = vᵀAv for each probe: the rival's traces agree within their spread.
    let plain = (0..4).map(|p| N as f64 * plain_lanczos(&a, p, 1)[0]).sum::<f64>() / 4.0;
    assert!((plain - got.value).abs() <= 8.0 * got.standard_error);
    let mut g = c.benchmark_group(format!("density/f64/{N},m=40,probes=4"));
    g.sample_size(10);
    g.bench_function("hesse/four_together", |b| b.iter(|| density.run(&a)));
    g.bench_function("hesse/one_at_a_time", |b| b.iter(|| density.clone().block(1).run(&a)));
    g.bench_function("peer/plain_lanczos", |b| {
        b.iter(|| (0..4).map(|probe| plain_lanczos(&a, probe, 40)).collect::<Vec<_>>());
    });
    g.finish();
}

criterion_group!(benches, traces, densities);
criterion_main!(benches);
