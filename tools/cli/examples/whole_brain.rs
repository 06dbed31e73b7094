//! The problem in factors at the size of a whole brain: 448,962 × 226,346 voxels, 428 injections, rank 500.
//!
//! Synthetic masks of that many voxels (an ellipsoid on the grid of 100 µm, and half of it), random
//! factors, round injections. Prints the memory plan, then what each kernel takes at that size: both
//! Laplacians on all columns of their factors and on 32 columns side by side, the products of tall
//! matrices, the two-sided product of some rows of W, and the whole gradient. Every figure stands beside
//! its floor: flops over the measured peak, or bytes over the measured copy.
//!
//! ```sh
//! RAYON_NUM_THREADS=2 cargo run --release -p hesse-cli --example whole_brain -- [rank] [experiments] [share]
//! ```
//!
//! At full size it takes 11 GB; `share` = 0.1 takes a tenth of the voxels.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use hesse::connectome::{
    FactorObjective, Observed, PenaltyForm, ProductLaplacian, SmoothingOperator, TracingData,
    VoxelMask,
};
use hesse::faer::Mat;
use hesse::krylov::LinearOperator;
use hesse::random::Stream;
use hesse::sprs::{CsMat, TriMat};
use hesse_kernels::Isa;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::peak;

const GRID: [usize; 3] = [132, 80, 114];

type Failure = Box<dyn std::error::Error>;

fn coordinates(cell: usize) -> [f64; 3] {
    [cell / (GRID[1] * GRID[2]), cell / GRID[2] % GRID[1], cell % GRID[2]].map(|x| x as f64)
}

/// The `count` cells nearest to the centre, measured by the edges of the grid; of one half only if asked.
fn ellipsoid(count: usize, half: bool) -> Vec<usize> {
    let middle = GRID[2] / 2;
    let mut cells: Vec<(f64, usize)> = (0..GRID.iter().product())
        .filter(|cell| !half || cell % GRID[2] >= middle)
        .map(|cell| {
            let place = coordinates(cell);
            let from_centre = place.iter().zip(GRID).map(|(x, edge)| {
                let x = (x - (edge as f64 - 1.0) / 2.0) / edge as f64;
                x * x
            });
            (from_centre.sum(), cell)
        })
        .collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    cells.truncate(count);
    let mut cells: Vec<usize> = cells.into_iter().map(|cell| cell.1).collect();
    cells.sort_unstable();
    cells
}

/// Round injections of radius 5 into sources, targets unobserved near them, projections of random height.
fn tracing(sources: &[usize], targets: &[usize], count: usize) -> hesse::Result<TracingData> {
    let (nx, ny) = (sources.len(), targets.len());
    let draw = Stream::new(1, "centres");
    let centres: Vec<[f64; 3]> = (0..count)
        .map(|e| coordinates(sources[draw.below(e as u64, nx as u64) as usize]))
        .collect();
    let square = |a: [f64; 3], b: [f64; 3]| -> f64 {
        a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum()
    };
    let near = |cell: usize, e: usize| square(coordinates(cell), centres[e]) < 25.0;
    let injected = hesse::parallel::map(count, |e| {
        (0..nx).filter(|&s| near(sources[s], e)).collect::<Vec<_>>()
    });
    let mut x = TriMat::new((nx, count));
    for (e, column) in injected.iter().enumerate() {
        column.iter().for_each(|&s| x.add_triplet(s, e, 0.5));
    }
    let x: CsMat<f64> = x.to_csc();
    let mut heights = vec![0.0; ny];
    Stream::new(1, "projections").uniforms(0, &mut heights);
    let y = Mat::from_fn(ny, count, |t, e| heights[(t + 7919 * e) % ny]);
    TracingData::builder()
        .injections(x.view())
        .projections(y.as_ref())
        .observed(Observed::where_observed(ny, count, |t, e| !near(targets[t], e)))
        .build()
}

/// Prints what something took, and its floors where they apply.
struct Report {
    /// Flops and bytes a second of all threads together.
    flops: f64,
    bytes: f64,
}

impl Report {
    fn line(&self, what: &str, seconds: f64, flops: f64, bytes: f64) {
        let floor = (flops / self.flops).max(bytes / self.bytes);
        println!(
            "{what:<58} {seconds:8.3} s  floor {floor:7.3} s ({:3.0} %)  {:6.1} GFLOP/s  {:5.1} GB/s",
            100.0 * floor / seconds,
            flops / seconds / 1e9,
            bytes / seconds / 1e9
        );
    }
}

fn seconds<R>(f: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = f();
    (start.elapsed().as_secs_f64(), result)
}

/// C ← A B of column-major matrices, panels of rows side by side.
fn tall_product(n: usize, a: &[f64], b: &[f64], c: &mut [f64]) {
    const ROWS: usize = 1024;
    let rank = a.len() / n;
    let isa = Isa::current();
    let mut panels = Vec::new();
    let mut rest = MatrixMut::column_major(c, n, rank);
    while rest.rows() > 0 {
        let rows = ROWS.min(rest.rows());
        let (panel, below) = rest.split_rows(rows);
        panels.push(panel);
        rest = below;
    }
    hesse::parallel::for_each_piece(&mut panels, 1, |i, panel| {
        for c in panel {
            let a = MatrixRef::new(&a[i * ROWS..], c.rows(), rank, 1, n);
            gemm(isa, 1.0, a, MatrixRef::column_major(b, rank, rank), 0.0, c.reborrow());
        }
    });
}

/// The largest resident size of this process so far in bytes, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn plan(ny: usize, nx: usize, rank: usize, experiments: usize) {
    let gb = |numbers: f64, bytes: f64| numbers * bytes / 1e9;
    let (ny, nx, rank, experiments) = (ny as f64, nx as f64, rank as f64, experiments as f64);
    let factors = (ny + nx) * rank;
    let table = [
        ("U and V", gb(factors, 8.0)),
        ("gradient, whose second part first holds L_x V", gb(factors, 8.0)),
        ("L_y U, later L_x V", gb(ny.max(nx) * rank, 8.0)),
        ("residual Ω∘(U VᵀX − Y)", gb(ny * experiments, 8.0)),
        ("projections Y", gb(ny * experiments, 8.0)),
        ("mask Ω", gb(ny * experiments, 1.0)),
    ];
    println!("memory plan of a gradient:");
    for (what, size) in table {
        println!("  {what:<48} {size:7.2} GB");
    }
    println!("  {:<48} {:7.2} GB", "together", table.iter().map(|row| row.1).sum::<f64>());
    println!("  {:<48} {:7.2} GB", "(W itself)", gb(ny * nx, 8.0));
    let steps = gb(3.0 * factors, 8.0);
    println!("  {:<48} {steps:7.2} GB", "(the steps of a fit hold three more points)");
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<f64> =
        std::env::args().skip(1).map(|a| a.parse::<f64>()).collect::<Result<_, _>>()?;
    let argument = |i: usize, default: f64| arguments.get(i).copied().unwrap_or(default);
    let (rank, experiments, share) =
        (argument(0, 500.0) as usize, argument(1, 428.0) as usize, argument(2, 1.0));
    let count = |voxels: f64| (share * voxels).round() as usize;
    let targets = ellipsoid(count(448_962.0), false);
    let sources = ellipsoid(count(226_346.0), true);
    let (ny, nx) = (targets.len(), sources.len());
    let threads = rayon::current_num_threads();
    let peaks = peak::Peaks::measure(Isa::current());
    let report = Report {
        flops: peak::flops::<f64>(Isa::current()) * threads as f64,
        bytes: peaks.memory.copy,
    };
    println!(
        "{ny} targets × {nx} sources, rank {rank}, {experiments} experiments, {threads} threads; peak {:.0} \
         GFLOP/s of all, copy {:.1} GB/s of one",
        report.flops / 1e9,
        report.bytes / 1e9
    );
    plan(ny, nx, rank, experiments);

    let laplacian =
        |cells: &[usize]| SmoothingOperator::of_voxels(&VoxelMask::from_indices(&GRID, cells)?);
    let (ly, lx) = (laplacian(&targets)?, laplacian(&sources)?);
    let data = tracing(&sources, &targets, experiments)?;
    let objective = FactorObjective::new(&data, &lx, &ly, 1.0, rank)?.form(PenaltyForm::Trace);
    let mut z = vec![0.0; objective.len()];
    Stream::new(1, "factors").uniforms(0, &mut z);
    // Filled: what was never written is not there yet.
    let mut gradient = vec![0.5; z.len()];
    {
        let (u, v) = z.split_at(ny * rank);
        let (gu, gv) = gradient.split_at_mut(ny * rank);
        for (name, l, n, x, y) in [("L_y U", &ly, ny, u, &mut *gu), ("L_x V", &lx, nx, v, gv)] {
            let l = l.laplacian().ok_or("expected a Laplacian of voxels")?;
            let (time, ()) = seconds(|| l.apply_block(x, y));
            let elements = (n * rank) as f64;
            report.line(&format!("{name}, all columns"), time, 11.0 * elements, 16.0 * elements);
            if rank >= 32 {
                let (time, done) = seconds(|| l.try_apply_rows(32, &x[..32 * n], &mut y[..32 * n]));
                done?;
                let elements = (n * 32) as f64;
                let what = format!("{name}, 32 columns side by side");
                report.line(&what, time, 11.0 * elements, 16.0 * elements);
            }
        }
        let square = vec![0.25; rank * rank];
        let (time, ()) = seconds(|| tall_product(ny, u, &square, gu));
        let flops = 2.0 * (ny * rank * rank) as f64;
        report.line("product of U with r × r", time, flops, 16.0 * (ny * rank) as f64);
    }
    // Some sources with all targets: the gradient's memory serves as W and S.
    let rows = (objective.len() / 2 / ny).min(512).min(nx);
    let few = laplacian(&sources[..rows])?;
    if let (Some(few), Some(all)) = (few.laplacian(), ly.laplacian()) {
        let product = ProductLaplacian::new(few, all);
        let elements = rows * ny;
        let (w, s) = gradient.split_at_mut(elements);
        w.copy_from_slice(&z[..elements]);
        let s = &mut s[..elements];
        let (time, square) = seconds(|| product.apply(w, ny, s, ny));
        square?;
        let size = elements as f64;
        let what = format!("L_y W + W L_xᵀ and its norm, {rows} sources");
        report.line(&what, time, 27.0 * size, 16.0 * size);
        let (time, done) = seconds(|| product.accumulate(0.5, s, ny, w, ny));
        done?;
        report.line("the same again, added to a gradient", time, 26.0 * size, 24.0 * size);
    }
    let (time, value) = seconds(|| objective.gradient(&z, &mut gradient));
    let value = value?;
    let (side, rank, experiments) = ((ny + nx) as f64, rank as f64, experiments as f64);
    let flops = 10.0 * side * rank * rank + 6.0 * ny as f64 * rank * experiments;
    report.line("gradient of the objective", time, flops, 32.0 * side * rank);
    println!("  objective {:.9e}, penalty {:.9e}", value.objective, value.penalty);
    if let Some(bytes) = peak_memory() {
        println!("peak memory {:.2} GB", bytes / 1e9);
    }
    Ok(())
}
