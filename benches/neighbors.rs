//! Exact neighbours beside the matrix products that they cannot do without, and the searches beside
//! each other: what the plan is derived from.
//!
//! `floor` is the products of the same tiles and nothing else; the bar is 75% of its rate. Everything
//! on one thread. `HESSE_ISA` does not reach the products.

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use faer::Mat;
use hesse::neighbors::{Geodesics, Graph, Knn, Precision, Search, Sources};
use hesse_kernels::distance::squared_distances;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::peak::Peaks;
use hesse_kernels::screen::{BLOCK, Candidates, Screened, Side, between};
use hesse_kernels::smallest::{Entry, Lists, offer_columns, offer_rows};
use hesse_kernels::{Isa, Real, oracle};

fn one_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread").install(f)
}

fn points(n: usize, d: usize) -> Mat<f64> {
    let x = oracle::uniform(1, n * d);
    Mat::from_fn(n, d, |i, j| x[i * d + j])
}

/// The products of all tiles on and above the diagonal.
fn floor<T: Real>(g: &mut BenchmarkGroup<'_, WallTime>, x: &Mat<f64>) {
    const TILE: usize = 256;
    let (n, d) = x.shape();
    let rows: Vec<T> = (0..n * d).map(|e| T::from_f64(x[(e / d, e % d)])).collect();
    let mut tile = vec![T::ZERO; TILE * TILE];
    let block = |a: usize| &rows[a * d..(a + TILE).min(n) * d];
    g.bench_function(format!("floor/{}", T::NAME), |b| {
        b.iter(|| {
            for a in (0..n).step_by(TILE) {
                for c in (a..n).step_by(TILE) {
                    let (p, q) = (block(a), block(c));
                    let (m, w) = (p.len() / d, q.len() / d);
                    let p = MatrixRef::row_major(p, m, d);
                    let q = MatrixRef::row_major(q, w, d).transposed();
                    let out = MatrixMut::row_major(black_box(&mut tile), m, w);
                    gemm(Isa::current(), T::ONE, p, q, T::ZERO, out);
                }
            }
        });
    });
}

fn neighbours(c: &mut Criterion) {
    for (n, d, k) in [(20_000, 100, 20), (10_000, 500, 20), (5_000, 30, 10)] {
        let x = points(n, d);
        let knn = Knn::new(k).search(Search::Tiles);
        let few = Mat::from_fn(500, d, |i, j| x[(i, j)]);
        let want = Knn::new(k).search(Search::Direct).build(few.as_ref()).expect("finite");
        assert_eq!(knn.build(few.as_ref()).expect("finite").all_indices(), want.all_indices());
        let mut g = c.benchmark_group(format!("knn/f64/{n}x{d},k={k}"));
        g.throughput(Throughput::Elements((n * n * d) as u64));
        floor::<f64>(&mut g, &x);
        floor::<f32>(&mut g, &x);
        for precision in [Precision::Double, Precision::MixedCertified] {
            g.bench_function(format!("hesse/{precision:?}"), |b| {
                b.iter(|| one_thread(|| knn.precision(precision).build(black_box(x.as_ref()))));
            });
        }
        g.finish();
    }
}

type Stored<T> = (Vec<T>, Vec<u32>, Vec<u32>, Vec<T>);

fn side<'a, T: Screened>(
    panels: &'a [T],
    halves: &'a [T],
    first: u32,
    (values, indices, counts, limits): &'a mut Stored<T>,
) -> Side<'a, T> {
    let candidates = Candidates::new(values, indices, counts, limits);
    Side { panels, halves, count: BLOCK, first, candidates }
}

/// Two blocks of points of which hardly a pair is near, as nearly all are: screened in registers, and
/// beside it the product alone, and the product with both selections from the stored tile. The bar is
/// 75% of the rate of the product.
fn screening<T: Screened>(
    c: &mut Criterion,
    name: &str,
    together: usize,
    number: impl Fn(f64) -> T,
) {
    for d in [50, 100, 500] {
        let depth = d / together;
        let x = oracle::uniform(1, 2 * BLOCK * depth);
        let panels: Vec<T> = x.iter().map(|x| number(*x)).collect();
        let (left, right) = panels.split_at(BLOCK * depth);
        // Far from everything.
        let halves = vec![number(1e6); BLOCK];
        let room = 96 * BLOCK;
        let lists = || -> Stored<T> {
            let limits = vec![number(1.0); BLOCK];
            (vec![T::default(); room], vec![0; room], vec![0; BLOCK], limits)
        };
        let (mut a, mut b) = (lists(), lists());
        let mut g = c.benchmark_group(format!("screen/{name}/{BLOCK}x{BLOCK}x{d}"));
        g.throughput(Throughput::Elements((2 * BLOCK * BLOCK * d) as u64));
        for isa in Isa::available() {
            g.bench_function(format!("hesse/{isa}"), |bench| {
                bench.iter(|| {
                    let rows = side(black_box(left), &halves, 0, &mut a);
                    between(isa, depth, rows, side(right, &halves, 1_000, &mut b));
                });
            });
        }
        g.finish();
    }
}

/// The same products by `gemm`, without and with selection.
fn stored<T: Real>(c: &mut Criterion) {
    for d in [50, 100, 500] {
        let x: Vec<T> = oracle::uniform(1, 2 * BLOCK * d).into_iter().map(T::from_f64).collect();
        let (left, right) = x.split_at(BLOCK * d);
        let (mut tile, shift) = (vec![T::ZERO; BLOCK * BLOCK], vec![T::from_f64(1e6); BLOCK]);
        let mut entries = vec![Entry::<T>::default(); BLOCK * 64];
        let product = |tile: &mut Vec<T>| {
            let left = MatrixRef::row_major(black_box(left), BLOCK, d);
            let right = MatrixRef::row_major(right, BLOCK, d).transposed();
            gemm(
                Isa::current(),
                T::ONE,
                left,
                right,
                T::ZERO,
                MatrixMut::row_major(tile, BLOCK, BLOCK),
            );
        };
        let mut g = c.benchmark_group(format!("screen/{}/{BLOCK}x{BLOCK}x{d}", T::NAME));
        g.throughput(Throughput::Elements((2 * BLOCK * BLOCK * d) as u64));
        g.bench_function("gemm", |b| b.iter(|| product(&mut tile)));
        g.bench_function("gemm and selection", |b| {
            b.iter(|| {
                product(&mut tile);
                let (mut counts, mut limits) = (vec![0; BLOCK], vec![T::ONE; BLOCK]);
                let mut lists = Lists::new(&mut entries, &mut counts, &mut limits, 32);
                offer_rows(Isa::current(), &mut lists, &tile, &shift, 0);
                offer_columns(Isa::current(), &mut lists, &tile, &shift, 0);
            });
        });
        g.finish();
    }
}

/// Where a tree begins to win.
fn searches(c: &mut Criterion) {
    for (n, d) in [
        (256, 2),
        (1_000, 3),
        (2_000, 5),
        (20_000, 3),
        (20_000, 5),
        (20_000, 7),
        (20_000, 9),
        (60_000, 9),
    ] {
        let x = points(n, d);
        let mut g = c.benchmark_group(format!("search/{n:05}x{d},k=10"));
        g.throughput(Throughput::Elements(n as u64));
        for search in [Search::Tree, Search::Tiles, Search::Direct] {
            if search == Search::Direct && n > 2_000 {
                continue;
            }
            let knn = Knn::new(10).search(search);
            g.bench_function(format!("hesse/{search:?}"), |b| {
                b.iter(|| one_thread(|| knn.build(black_box(x.as_ref()))));
            });
        }
        g.finish();
    }
}

fn kernels<T: Real>(c: &mut Criterion) {
    let (n, d) = (2_000, 128);
    let rows: Vec<T> = oracle::uniform(1, n * d).into_iter().map(T::from_f64).collect();
    let mut squares = vec![0.0; n];
    let mut g = c.benchmark_group(format!("squared_distances/{}/{n}x{d}", T::NAME));
    g.throughput(Throughput::Bytes((n * d * size_of::<T>()) as u64));
    for isa in Isa::available() {
        g.bench_function(format!("hesse/{isa}"), |b| {
            b.iter(|| squared_distances(isa, &rows[..d], &rows, black_box(&mut squares)));
        });
    }
    g.finish();

    // A tile that hardly any value of passes: what nearly all tiles are.
    let (m, keep) = (256, 32);
    let tile: Vec<T> = oracle::uniform(2, m * m).into_iter().map(T::from_f64).collect();
    let shift = vec![T::ONE; m];
    let mut entries = vec![Entry::<T>::default(); m * 2 * keep];
    let mut g = c.benchmark_group(format!("smallest/{}/{m}x{m},keep={keep}", T::NAME));
    g.throughput(Throughput::Bytes((m * m * size_of::<T>()) as u64));
    for isa in Isa::available() {
        for (name, rows) in [("rows", true), ("columns", false)] {
            g.bench_function(format!("hesse/{isa}, {name}"), |b| {
                b.iter(|| {
                    let (mut counts, mut limits) = (vec![0; m], vec![T::from_f64(1e-4); m]);
                    let mut lists = Lists::new(&mut entries, &mut counts, &mut limits, keep);
                    match rows {
                        true => offer_rows(isa, &mut lists, black_box(&tile), &shift, 0),
                        false => offer_columns(isa, &mut lists, black_box(&tile), &shift, 0),
                    }
                });
            });
        }
    }
    g.finish();
}

fn geodesics(c: &mut Criterion) {
    let (n, k) = (5_000, 10);
    let table = Knn::new(k).build(points(n, 3).as_ref()).expect("finite");
    let graph = Graph::union(&table, k).expect("k of the table");
    let mut g = c.benchmark_group(format!("geodesics/{n}, k={k}"));
    for count in [100, 1_000] {
        g.throughput(Throughput::Elements((count * graph.edges()) as u64));
        let landmarks = Geodesics::new(&graph).sources(Sources::Sample { count, seed: 1 });
        g.bench_function(format!("hesse/{count} landmarks"), |b| {
            b.iter(|| {
                one_thread(|| {
                    let add = |sum: &mut f64, _: usize, row: &[f64]| *sum += row[0];
                    landmarks.fold(|| 0.0, add, |a, b| *a += b)
                })
            });
        });
    }
    g.finish();
}

fn all(c: &mut Criterion) {
    eprintln!("{}", Peaks::measure(Isa::current()));
    kernels::<f32>(c);
    kernels::<f64>(c);
    screening::<f32>(c, "f32", 1, |x| x as f32);
    screening::<f64>(c, "f64", 1, |x| x);
    screening::<i32>(c, "integers", 2, |x| x as i32);
    stored::<f32>(c);
    stored::<f64>(c);
    searches(c);
    geodesics(c);
    neighbours(c);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300));
    targets = all
}
criterion_main!(benches);
