//! Ten largest eigenvalues of a masked voxel Laplacian (229,423 voxels), and what they are made of.
//!
//! SciPy's `eigsh(k=10, which="LA", tol=1e-8)` is the peer; it finds 11.98596 and 11.97692 twice or
//! less, which the spectrum holds three times.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use hesse::krylov::{Lanczos, LinearOperator, SparseOperator, Status};

/// Graph Laplacian of the voxels with squared distance below `radius`² from the centre of a cube of
/// edge `edge`, six neighbours, row sums zero.
fn ball(edge: usize, radius: usize) -> SparseOperator<f64> {
    let centre = edge / 2;
    let inside = |p: [usize; 3]| {
        p.iter().all(|&x| x < edge)
            && p.iter().map(|x| x.abs_diff(centre).pow(2)).sum::<usize>() < radius * radius
    };
    let mut index = vec![usize::MAX; edge * edge * edge];
    let mut voxels = Vec::new();
    for i in 0..edge * edge * edge {
        let p = [i / (edge * edge), i / edge % edge, i % edge];
        if inside(p) {
            index[i] = voxels.len();
            voxels.push(p);
        }
    }
    let n = voxels.len();
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for p in &voxels {
        let mut row = Vec::new();
        for axis in 0..3 {
            for step in [-1_isize, 1] {
                let mut q = *p;
                q[axis] = q[axis].wrapping_add_signed(step);
                if inside(q) {
                    row.push(index[(q[0] * edge + q[1]) * edge + q[2]]);
                }
            }
        }
        let degree = row.len() as f64;
        row.push(index[(p[0] * edge + p[1]) * edge + p[2]]);
        row.sort_unstable();
        let own = index[(p[0] * edge + p[1]) * edge + p[2]];
        columns.extend_from_slice(&row);
        values.extend(row.iter().map(|&c| if c == own { degree } else { -1.0 }));
        starts.push(columns.len());
    }
    let matrix = sprs::CsMat::new((n, n), starts, columns, values);
    SparseOperator::new(matrix.view()).expect("a symmetric matrix")
}

use hesse::sprs;

fn benches(c: &mut Criterion) {
    let a = ball(80, 38);
    let n = a.dimension();
    assert_eq!(n, 229_423);
    let mut group = c.benchmark_group("laplacian/f64/229423");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for k in [1, 4, 8] {
        let x: Vec<f64> = (0..n * k).map(|i| (i % 977) as f64 / 977.0).collect();
        let mut y = vec![0.0; n * k];
        group.bench_function(format!("products/{k}"), |b| {
            b.iter(|| a.apply_block(black_box(&x), black_box(&mut y)));
        });
    }
    let get = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(get("THREADS", 1)).build().unwrap();
    let run = || {
        pool.install(|| {
            let mut l = Lanczos::new(&a).largest(10).tolerance(1e-8).max_products(20_000);
            if let Ok(b) = std::env::var("BLOCK") {
                l = l.block(b.parse().unwrap());
            }
            if std::env::var("PLAIN").is_ok() {
                l = l.filter(false);
            }
            if let Ok(b) = std::env::var("SUBSPACE") {
                l = l.subspace(b.parse().unwrap());
            }
            l.run().expect("finite products")
        })
    };
    let cpu = || -> f64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let f: Vec<&str> = stat.split_whitespace().collect();
        (f[13].parse::<f64>().unwrap() + f[14].parse::<f64>().unwrap()) / 100.0
    };
    let clock = std::time::Instant::now();
    let before = cpu();
    let top = run();
    eprintln!("cpu {:.2}", cpu() - before);
    eprintln!(
        "{:.2} s, {:?} {} products {} restarts {:?}\n{:?}\n{:?}",
        clock.elapsed().as_secs_f64(),
        top.status,
        top.products,
        top.restarts,
        top.stats,
        top.values,
        top.residuals
    );
    assert_eq!(top.status, Status::Converged);
    if std::env::var("QUICK").is_err() {
        group.bench_function("lanczos/10", |b| b.iter(run));
    }
    group.finish();
}

criterion_group!(lanczos, benches);
criterion_main!(lanczos);
