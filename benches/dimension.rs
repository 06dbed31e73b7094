//! Estimators of the dimension beside the obvious implementation of the same formula: every distance
//! by a loop, one pair at a time. One thread; the answers are compared before they are timed.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use faer::Mat;
use hesse::dimension::{
    Danco, FisherSeparability, MaximumLikelihood, PointCloud, SimplexSkewness, Skewness, Tight,
    TwoNn,
};
use hesse::neighbors::Knn;
use hesse::random::Stream;

fn one_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread").install(f)
}

fn gaussian(n: usize, d: usize) -> Mat<f64> {
    let mut z = vec![0.0_f64; n * d];
    Stream::new(1, "cloud").normals(0, &mut z);
    Mat::from_fn(n, d, |i, j| z[i * d + j])
}

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-8 * want.abs(), "{got} {want}");
}

/// The obvious implementations.
mod plain {
    pub type Rows = Vec<Vec<f64>>;

    pub fn rows(x: &faer::Mat<f64>) -> Rows {
        (0..x.nrows()).map(|i| x.row(i).iter().copied().collect()).collect()
    }

    fn dot(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(x, y)| x * y).sum()
    }

    fn distance(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>().sqrt()
    }

    /// The k nearest of every point, by sorting all distances.
    pub fn nearest(x: &Rows, k: usize) -> Vec<Vec<(f64, usize)>> {
        let of = |i: usize| {
            let others = (0..x.len()).filter(|j| *j != i);
            let mut all: Vec<(f64, usize)> = others.map(|j| (distance(&x[i], &x[j]), j)).collect();
            all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            all.truncate(k);
            all
        };
        (0..x.len()).map(of).collect()
    }

    pub fn two_nn(x: &Rows) -> f64 {
        let logs = nearest(x, 2).iter().map(|t| (t[1].0 / t[0].0).ln()).sum::<f64>();
        (x.len() - 1) as f64 / logs
    }

    pub fn mle(x: &Rows, k: usize) -> f64 {
        let at = |t: &Vec<(f64, usize)>| {
            t[..k - 1].iter().map(|s| (t[k - 1].0 / s.0).ln()).sum::<f64>() / (k - 1) as f64
        };
        x.len() as f64 / nearest(x, k).iter().map(at).sum::<f64>()
    }

    /// Mean of the skewness of neighbourhoods, version a, from explicit 2 × 2 determinants.
    pub fn skewness(x: &Rows, k: usize) -> f64 {
        let at = |t: &Vec<(f64, usize)>| {
            let d = x[0].len();
            let mean: Vec<f64> =
                (0..d).map(|c| t.iter().map(|n| x[n.1][c]).sum::<f64>() / k as f64).collect();
            let w: Rows =
                t.iter().map(|n| x[n.1].iter().zip(&mean).map(|(x, m)| x - m).collect()).collect();
            let (mut volume, mut weight) = (0.0, 0.0);
            for i in 0..k {
                for j in 0..i {
                    let (ii, ij) = (dot(&w[i], &w[i]), dot(&w[i], &w[j]));
                    let jj = dot(&w[j], &w[j]);
                    volume += (ii * jj - ij * ij).abs().sqrt();
                    weight += ii.sqrt() * jj.sqrt();
                }
            }
            volume / weight
        };
        let all = nearest(x, k);
        all.iter().map(at).sum::<f64>() / all.len() as f64
    }

    pub fn tight(x: &Rows, k: usize) -> f64 {
        let at = |t: &Vec<(f64, usize)>| {
            let r = t[k - 1].0;
            let mut sum = 0.0;
            for i in 0..k {
                for j in (0..k).filter(|j| *j != i) {
                    let (u, v) = (t[i].0, t[j].0);
                    let w = distance(&x[t[i].1], &x[t[j].1]).powi(2);
                    for w in [w, 2.0 * u * u + 2.0 * v * v - w] {
                        let c = u * u + w - v * v;
                        let room = r * r - u * u;
                        let s = if i + 1 == k {
                            r * w / (r * r + w - v * v)
                        } else {
                            r * ((c * c + 4.0 * w * room).sqrt() - c) / (2.0 * room)
                        };
                        sum += (s / r).ln();
                    }
                }
                sum += 2.0 * (t[i].0 / r).ln();
            }
            -2.0 * (k * k) as f64 / sum
        };
        let all = nearest(x, k);
        all.iter().map(at).sum::<f64>() / all.len() as f64
    }

    /// Inseparable shares at all thresholds, of points that are white already.
    pub fn inseparable(x: &Rows, alphas: &[f64]) -> Vec<f64> {
        let n = x.len();
        let lengths: Vec<f64> = x.iter().map(|x| dot(x, x).sqrt()).collect();
        let mut counts = vec![0_u64; alphas.len()];
        for i in 0..n {
            for j in (0..n).filter(|j| *j != i) {
                let product = dot(&x[i], &x[j]) / (lengths[i] * lengths[j]);
                for (count, alpha) in counts.iter_mut().zip(alphas) {
                    *count += u64::from(product >= *alpha);
                }
            }
        }
        counts.iter().map(|c| *c as f64 / (n * (n - 1)) as f64).collect()
    }

    /// Mean direction of the angles between k neighbours, by trigonometric functions.
    pub fn direction(x: &Rows, k: usize) -> f64 {
        let all = nearest(x, k + 1);
        let at = |i: usize| {
            let w: Rows = all[i][..k]
                .iter()
                .map(|n| x[n.1].iter().zip(&x[i]).map(|(a, b)| a - b).collect())
                .collect();
            let (mut sin, mut cos) = (0.0, 0.0);
            for i in 0..k {
                for j in 0..i {
                    let lengths = dot(&w[i], &w[i]).sqrt() * dot(&w[j], &w[j]).sqrt();
                    let theta = (dot(&w[i], &w[j]) / lengths).acos();
                    sin += theta.sin();
                    cos += theta.cos();
                }
            }
            (sin / cos).atan()
        };
        (0..x.len()).map(at).sum::<f64>() / x.len() as f64
    }
}

/// n = 2,000 Gaussian points in 50 dimensions, table included.
fn estimators(c: &mut Criterion) {
    let (n, d) = (2_000, 50);
    let x = gaussian(n, d);
    let rows = plain::rows(&x);
    let cloud = |k: usize| PointCloud::new(black_box(x.as_ref()), k).expect("finite");

    let mut g = c.benchmark_group(format!("mle/f64/{n}x{d},k=20"));
    let mle = |k: usize| MaximumLikelihood::new(k).fit(cloud(k).table()).expect("distinct").value;
    assert_close(mle(20), plain::mle(&rows, 20));
    g.bench_function("hesse", |b| b.iter(|| one_thread(|| mle(20))));
    g.bench_function("obvious", |b| b.iter(|| plain::mle(black_box(&rows), 20)));
    g.finish();

    let mut g = c.benchmark_group(format!("tle/f64/{n}x{d},k=20"));
    let tle = || Tight::new(20).fit(&cloud(20)).expect("distinct").value;
    assert_close(tle(), plain::tight(&rows, 20));
    g.bench_function("hesse", |b| b.iter(|| one_thread(tle)));
    g.bench_function("obvious", |b| b.iter(|| plain::tight(black_box(&rows), 20)));
    g.finish();

    let mut g = c.benchmark_group(format!("ess/f64/{n}x{d},k=100"));
    let ess = SimplexSkewness::new(100, Skewness::Area);
    let mean = |v: Vec<f64>| v.iter().sum::<f64>() / v.len() as f64;
    assert_close(mean(ess.values(&cloud(100)).expect("distinct")), plain::skewness(&rows, 100));
    g.bench_function("hesse", |b| b.iter(|| one_thread(|| ess.fit(&cloud(100)))));
    g.bench_function("obvious", |b| b.iter(|| plain::skewness(black_box(&rows), 100)));
    g.finish();

    let mut g = c.benchmark_group(format!("fisher_s/f64/{n}x{d}"));
    let fisher = FisherSeparability::default();
    g.bench_function("hesse", |b| b.iter(|| one_thread(|| fisher.fit(&cloud(1)))));
    // The obvious one begins after the principal components.
    let alphas = fisher.fit(&cloud(1)).expect("finite").alphas;
    g.bench_function("obvious/products", |b| {
        b.iter(|| plain::inseparable(black_box(&rows), &alphas));
    });
    g.finish();

    // Each time with another seed, so that nothing comes from the cache.
    let mut g = c.benchmark_group(format!("danco/f64/{n}x{d},k=10"));
    let seed = AtomicU64::new(1);
    let fit =
        |cloud: &PointCloud| Danco::new(10).seed(seed.fetch_add(1, Ordering::Relaxed)).fit(cloud);
    let report = fit(&cloud(11)).expect("distinct");
    assert_close(report.statistics.direction, plain::direction(&rows, 10));
    g.bench_function("hesse/with_calibration", |b| b.iter(|| one_thread(|| fit(&cloud(11)))));
    // One of the fifty-one samples.
    g.bench_function("obvious/angles_of_one", |b| {
        b.iter(|| plain::direction(black_box(&rows), 10));
    });
    g.finish();
}

/// Two neighbours of each of many points; the obvious implementation on a fifth of them.
fn two_nn(c: &mut Criterion) {
    for (n, d) in [(20_000, 100), (10_000, 500)] {
        let x = gaussian(n, d);
        let few = Mat::from_fn(n / 5, d, |i, j| x[(i, j)]);
        let rows = plain::rows(&few);
        let run = |x: &Mat<f64>| {
            let table = Knn::new(2).build(black_box(x.as_ref())).expect("finite");
            TwoNn::maximum_likelihood().fit(&table).expect("distinct").value
        };
        assert_close(run(&few), plain::two_nn(&rows));
        let mut g = c.benchmark_group(format!("two_nn/f64/{n}x{d}"));
        g.bench_function("hesse", |b| b.iter(|| one_thread(|| run(&x))));
        g.bench_function("hesse/fifth", |b| b.iter(|| one_thread(|| run(&few))));
        g.bench_function("obvious/fifth", |b| b.iter(|| plain::two_nn(black_box(&rows))));
        g.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = estimators, two_nn
}
criterion_main!(benches);
