//! Similarity matrices beside one pass per pair of stimuli, ranks beside a comparison sort, resampling
//! beside computing every draw afresh, τ beside all pairs of pairs. Answers are compared before timing.
//!
//! Floors, on one thread:
//!
//! - similarity matrices, n stimuli × p units: n² p flops at the rate of products of `f64`, which "peer/product
//!   of all pairs" measures in the same run at twice the flops; 118 × 10⁶ of `f32` are 472 MB, a tenth of that
//!   time from memory;
//! - a bootstrap draw at 118 stimuli: two passes of 6,903 lanes of scores and one of products, about 30,000
//!   vector operations for 16 draws;
//! - a permutation: 6,903 numbers gathered one by one from a row in the first-level cache, one a cycle;
//!   gathering instructions are not faster;
//! - SVCCA: 4 n² p flops a side.
//!
//! Peers of other languages stand in `tools/peers/similarity.py`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse::faer::linalg::matmul::triangular::{BlockStructure, matmul as matmul_structured};
use hesse::faer::{Accum, Mat, MatRef, Par};
use hesse::random::Stream;
use hesse::similarity::{
    Cca, Cka, Comparator, Cut, GramStream, Multiplicities, Pairwise, RowVariance, Rsm, RsmKind,
    Ssm, multiplicities,
};
use hesse::statistics::{Kendall, SortedSample, average_ranks, pearson, spearman};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::{Isa, gram};

fn one_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread").install(f)
}

fn normals(n: usize, p: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; n * p];
    Stream::new(seed, "bench").normals(0, &mut values);
    values
}

fn matrices(c: &mut Criterion) {
    for (n, p) in [(118, 100_000), (118, 1_000_000), (1180, 100_000)] {
        let values = normals(n, p, 1);
        let x = MatRef::from_row_major_slice(&values, n, p);
        let mut g = c.benchmark_group(format!("rsm/f32/{n}x{p}"));
        g.throughput(Throughput::Elements((n * n * p) as u64));
        let direct = one_thread(|| Rsm::pearson(x)).expect("responses");
        let streamed = one_thread(|| GramStream::of(x)).expect("responses");
        let streamed = streamed.rsm(RsmKind::Pearson, RowVariance::Error).expect("responses");
        let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(direct.upper().iter().zip(streamed.upper()).all(same));
        g.bench_function("hesse/two passes", |b| {
            b.iter(|| one_thread(|| Rsm::pearson(black_box(x))));
        });
        g.bench_function("hesse/stream", |b| {
            b.iter(|| one_thread(|| GramStream::of(black_box(x))));
        });
        if n * p < 20_000_000 {
            let rows: Vec<Vec<f64>> =
                values.chunks(p).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect();
            let plain = |rows: &[Vec<f64>]| -> Vec<f64> {
                let pair =
                    |(i, j): (usize, usize)| pearson(&rows[i], &rows[j]).expect("rows").value;
                (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(pair).collect()
            };
            let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
            assert!(direct.upper().iter().zip(&plain(&rows)).all(same));
            g.bench_function("peer/pair by pair", |b| b.iter(|| plain(black_box(&rows))));
        }
        g.finish();
    }
}

/// G ← G + W Wᵀ for one block of units after the other.
fn products(c: &mut Criterion) {
    let isa = Isa::current();
    for (n, depth) in [(118, 384), (1180, 384), (2000, 384)] {
        let x = Mat::from_fn(n, depth, |i, j| ((i * 7919 + j * 104_729) % 1009) as f64 - 504.0);
        let rows: Vec<f64> = (0..n * depth).map(|k| x[(k / depth, k % depth)]).collect();
        let mut g = c.benchmark_group(format!("products_of_rows/f64/{n}x{depth}"));
        g.throughput(Throughput::Elements((n * n * depth) as u64));
        let mut w = vec![0.0; gram::padded(n) * depth];
        for i in 0..n {
            (0..depth).for_each(|u| w[gram::place(depth, i, u)] = x[(i, u)]);
        }
        let mut whole = vec![0.0; n * n];
        let product = |whole: &mut [f64]| {
            let x = MatrixRef::row_major(&rows, n, depth);
            let out = MatrixMut::column_major(whole, n, n);
            gemm(isa, 1.0, x, x.transposed(), 1.0, out);
        };
        product(&mut whole);
        if n < 512 {
            let mut sums = gram::Sums::new(n, vec![0.0; gram::Sums::length(n)]);
            sums.add_block::<f64>(isa, &w, depth, gram::Ahead(&[]));
            assert_eq!(sums.element(n - 1, 3), whole[3 * n + n - 1]);
            g.bench_function("hesse/tiles of four", |b| {
                b.iter(|| sums.add_block::<f64>(isa, black_box(&w), depth, gram::Ahead(&[])));
            });
        }
        let mut lower = Mat::<f64>::zeros(n, n);
        g.bench_function("peer/faer, lower triangle", |b| {
            b.iter(|| {
                matmul_structured(
                    lower.as_mut(),
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    black_box(x.as_ref()),
                    BlockStructure::Rectangular,
                    x.transpose(),
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
            });
        });
        g.bench_function("peer/product of all pairs", |b| b.iter(|| product(&mut whole)));
        g.finish();
    }
}

fn ranks(c: &mut Criterion) {
    for m in [6_903, 700_000] {
        let mut values = vec![0.0_f64; m];
        Stream::new(2, "bench").normals(0, &mut values);
        let sorted = |values: &[f64]| {
            let mut order: Vec<usize> = (0..values.len()).collect();
            order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
            let mut ranks = vec![0.0; values.len()];
            order.iter().enumerate().for_each(|(r, &i)| ranks[i] = r as f64 + 1.0);
            ranks
        };
        assert_eq!(average_ranks("values", &values).expect("finite"), sorted(&values));
        let mut g = c.benchmark_group(format!("ranks/{m}"));
        g.throughput(Throughput::Elements(m as u64));
        g.bench_function("hesse", |b| b.iter(|| average_ranks("values", black_box(&values))));
        g.bench_function("peer/comparison sort", |b| b.iter(|| sorted(black_box(&values))));
        g.finish();
    }
}

/// Two tables over 118 stimuli that share something.
fn tables() -> (Rsm, Rsm) {
    let (z, a, b) = (normals(118, 96, 3), normals(118, 96, 4), normals(118, 96, 5));
    let mix = |own: &[f32]| {
        let x = Mat::from_fn(118, 96, |i, j| z[i * 96 + j] + own[i * 96 + j]);
        Rsm::pearson(x.as_ref()).expect("responses")
    };
    (mix(&a), mix(&b))
}

fn resampling(c: &mut Criterion) {
    let (n, draws) = (118, 1000);
    let (a, b) = tables();
    let ssm = Ssm::default();
    let stream = Stream::new(6, "bench");
    let orders: Vec<Vec<usize>> = (0..draws).map(|d| stream.child(d).permutation(n)).collect();
    let permuted = |order: &Vec<usize>| {
        let b = b.select(order).expect("a permutation");
        spearman(a.upper(), b.upper()).expect("tables").value
    };
    let same = |(a, b): (&f64, f64)| (a - b).abs() < 1e-12;
    let got = ssm.permuted(&a, &b, &orders).expect("permutations");
    assert!(got.iter().zip(orders.iter().map(permuted)).all(same));
    let mut g = c.benchmark_group("permutations/118x1000");
    g.bench_function("hesse", |bench| {
        bench.iter(|| one_thread(|| ssm.permuted(&a, &b, black_box(&orders))));
    });
    g.bench_function("peer/new ranks", |bench| {
        bench.iter(|| black_box(&orders).iter().map(permuted).collect::<Vec<f64>>());
    });
    g.finish();

    let samples: Vec<Vec<usize>> = (0..draws)
        .map(|d| {
            let mut sample = vec![0; n];
            stream.child(d).indices(0, n, &mut sample);
            sample
        })
        .collect();
    let counted: Vec<Multiplicities> =
        samples.iter().map(|s| multiplicities(n, s).expect("below n")).collect();
    let written_out = |sample: &Vec<usize>| {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (k, &i) in sample.iter().enumerate() {
            for &j in sample[k + 1..].iter().filter(|&&j| j != i) {
                x.push(a.at(i, j));
                y.push(b.at(i, j));
            }
        }
        spearman(&x, &y).expect("pairs").value
    };
    let got = ssm.resampled(&a, &b, &counted).expect("samples");
    assert!(got.iter().zip(samples.iter().map(written_out)).all(same));
    let mut g = c.benchmark_group("stimulus_bootstrap/118x1000");
    g.bench_function("hesse", |bench| {
        bench.iter(|| one_thread(|| ssm.resampled(&a, &b, black_box(&counted))));
    });
    g.bench_function("peer/written out", |bench| {
        bench.iter(|| black_box(&samples).iter().map(written_out).collect::<Vec<f64>>());
    });
    let sorted = SortedSample::new("table", a.upper()).expect("finite");
    let weights = vec![[1.0; 8]; a.upper().len()];
    let mut scores = weights.clone();
    g.bench_function("hesse/ranks of 8 samples", |bench| {
        bench.iter(|| sorted.scores(black_box(&weights), &mut scores));
    });
    g.finish();
}

fn concordance(c: &mut Criterion) {
    let (a, b) = tables();
    let (x, y) = (a.upper(), b.upper());
    let plain = |x: &[f64], y: &[f64]| {
        let sign = |a: f64, b: f64| i64::from(a > b) - i64::from(a < b);
        let mut excess = 0;
        for i in 0..x.len() {
            excess += (0..i).map(|j| sign(x[i], x[j]) * sign(y[i], y[j])).sum::<i64>();
        }
        excess
    };
    assert_eq!(Kendall::of(x, y).expect("tables").excess, plain(x, y));
    let mut g = c.benchmark_group("kendall/6903");
    g.bench_function("hesse", |bench| bench.iter(|| Kendall::of(black_box(x), y)));
    g.bench_function("peer/all pairs", |bench| bench.iter(|| plain(black_box(x), y)));
    g.finish();
}

fn subspaces(c: &mut Criterion) {
    let (n, p) = (118, 100_000);
    let (x, y) = (normals(n, p, 7), normals(n, p, 8));
    let view = |values: &'_ [f32]| MatRef::from_row_major_slice(values, n, p).to_owned();
    let (x, y): (Mat<f32>, Mat<f32>) = (view(&x), view(&y));
    let svcca = Cca::new().cut(Cut::Dim(40));
    let streams = || {
        let directions = |x: &Mat<f32>| GramStream::of(x.as_ref())?.principal_directions();
        svcca.of(&directions(&x)?, &directions(&y)?)
    };
    let exact = svcca.fit(x.as_ref(), y.as_ref()).expect("responses");
    let same = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-9;
    assert!(exact.rho.iter().zip(&streams().expect("responses").rho).all(same));
    let mut g = c.benchmark_group("svcca/f32/118x100000,k=40");
    let wide: [Mat<f64>; 2] = [&x, &y].map(|x| Mat::from_fn(p, n, |u, i| f64::from(x[(i, u)])));
    g.bench_function("peer/SVD of the responses", |bench| {
        bench.iter(|| {
            let svd = |x: &Mat<f64>| {
                let mut x = x.clone();
                for u in 0..p {
                    let mean = x.row(u).iter().sum::<f64>() / n as f64;
                    x.row_mut(u).iter_mut().for_each(|x| *x -= mean);
                }
                x.thin_svd().expect("finite").V().subcols(0, 40).to_owned()
            };
            let (a, b) = (svd(black_box(&wide[0])), svd(&wide[1]));
            (a.transpose() * b).singular_values().expect("finite")
        });
    });
    g.bench_function("hesse/factors", |bench| {
        bench.iter(|| one_thread(|| svcca.fit(black_box(x.as_ref()), y.as_ref())));
    });
    g.bench_function("hesse/inner products", |bench| bench.iter(|| one_thread(streams)));
    g.finish();
    let mut g = c.benchmark_group("cka/f32/118x100000");
    g.bench_function("hesse", |bench| {
        bench.iter(|| one_thread(|| Cka::linear().score(black_box(x.as_ref()), y.as_ref())));
    });
    g.finish();
    let rdm = |x: &Mat<f32>| Rsm::of(x.as_ref(), RsmKind::Pearson, Default::default());
    let (a, b) = (rdm(&x).expect("responses").to_rdm(), rdm(&y).expect("responses").to_rdm());
    let mut g = c.benchmark_group("comparators/118");
    for comparator in [Comparator::Spearman, Comparator::WhitenedCosine, Comparator::Bures] {
        g.bench_function(format!("hesse/{comparator:?}"), |bench| {
            bench.iter(|| comparator.compare(black_box(&a), &b));
        });
    }
    g.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(500));
    targets = matrices, products, ranks, resampling, concordance, subspaces
}
criterion_main!(benches);
