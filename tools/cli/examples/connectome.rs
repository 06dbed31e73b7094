//! The full problem at the size of the paper: 7,497 × 7,497 voxels, 28 injections.
//!
//! Synthetic data on a curved slab of voxels, as thick and as many as ten areas of the mouse's visual
//! cortex at 100 µm. Fits P1 until a relative gap is proven, and prints wall time, memory and what came
//! out.
//!
//! ```sh
//! cargo run --release -p hesse-cli --example connectome -- [gap] [modes] [voxels] [--reference]
//! ```
//!
//! With `--reference` the fit goes on from there to a gap 1,000 times smaller, and the relative gap of
//! the first objective to the second is printed: at most the one that was proven.
#![allow(clippy::print_stdout)]

use std::ops::ControlFlow;
use std::time::Instant;

use hesse::connectome::{
    Preconditioner, SmoothingOperator, SplineRegression, TracingData, VoxelMask, Weights,
    identifiability,
};
use hesse::faer::Mat;
use hesse::random::Stream;

/// The voxels of a spherical shell nearest to its top, and their coordinates.
fn slab(count: usize) -> hesse::Result<(VoxelMask, Vec<[f64; 3]>)> {
    let shape = [48, 80, 80];
    let mut cells: Vec<(f64, usize, [f64; 3])> = Vec::new();
    for i in 0..shape[0] * shape[1] * shape[2] {
        let at = [i / 6400, i / 80 % 80, i % 80].map(|x| x as f64);
        let from_centre: [f64; 3] = [at[0] + 22.0, at[1] - 40.0, at[2] - 40.0];
        let radius = from_centre.iter().map(|x: &f64| x * x).sum::<f64>().sqrt();
        if (54.0..63.0).contains(&radius) {
            let aside = (1.3 * from_centre[1]).hypot(from_centre[2]);
            cells.push((aside, i, at));
        }
    }
    cells.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    cells.truncate(count);
    cells.sort_by_key(|cell| cell.1);
    let indices: Vec<usize> = cells.iter().map(|cell| cell.1).collect();
    Ok((VoxelMask::from_indices(&shape, &indices)?, cells.iter().map(|cell| cell.2).collect()))
}

fn square(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// 28 round injections of radius 3 to 5 voxels; local and reflected long-range projections with noise.
fn experiments(places: &[[f64; 3]], count: usize) -> hesse::Result<TracingData> {
    let n = places.len();
    let centres = Stream::new(1, "centres");
    let mut radii = vec![0.0; count];
    Stream::new(1, "radii").uniforms(0, &mut radii);
    let mut noise = vec![0.0; n * count];
    Stream::new(1, "noise").normals(0, &mut noise);
    let x = Mat::from_fn(n, count, |s, e| {
        let centre = &places[centres.below(e as u64, n as u64) as usize];
        let inside: f64 = 1.0 - square(&places[s], centre) / (3.0 + 2.0_f64 * radii[e]).powi(2);
        inside.clamp(0.0, 0.9)
    });
    let kernel = |t: &[f64; 3], s: &[f64; 3]| -> f64 {
        let reflected = [s[0], 80.0 - s[1], 0.7 * s[2] + 12.0];
        0.02 * (-square(t, s) / 50.0).exp() + 0.005 * (-square(t, &reflected) / 32.0).exp()
    };
    let signals = hesse::parallel::map(count, |e| {
        let injected: Vec<usize> = (0..n).filter(|&s| x[(s, e)] > 0.0).collect();
        let signal = |t: &[f64; 3]| -> f64 {
            injected.iter().map(|&s| kernel(t, &places[s]) * x[(s, e)]).sum()
        };
        places.iter().map(signal).collect::<Vec<_>>()
    });
    let y =
        Mat::from_fn(n, count, |t, e| (signals[e][t] + 0.02 * noise[t + e * n]).clamp(0.0, 1.0));
    TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref()).build()
}

/// The largest resident size of this process so far in bytes, where the system tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: f64| -> f64 {
        arguments.get(i).and_then(|a| a.parse().ok()).unwrap_or(default)
    };
    let (gap, modes): (f64, usize) = (number(0, 1e-4), number(1, 400.0) as usize);
    let (mask, places) = slab(number(2, 7497.0) as usize)?;
    let data = experiments(&places, 28)?;
    let l = SmoothingOperator::of_voxels(&mask)?;
    println!(
        "{} voxels, {} experiments, {} injected voxels, identifiable: {}",
        mask.len(),
        data.experiments(),
        data.injections().nnz(),
        identifiability(&data, &l, &l)?.is_identifiable()
    );
    let start = Instant::now();
    let mut round = usize::MAX;
    let regression = SplineRegression::new()
        .lambda(1e5)
        .preconditioner(Preconditioner::LowModes { modes, rho: None })
        .tol_gap(gap);
    println!("estimate: {:.2} GB", regression.memory_estimate(&data) as f64 / 1e9);
    let fit = regression
        .callback(|progress| {
            if progress.rounds != round || progress.iterations % 20 == 0 {
                round = progress.rounds;
                println!(
                    "{:7.1} s  round {:2}  iteration {:4}  held {:8}  objective {:.6e}  gap {:.2e}",
                    start.elapsed().as_secs_f64(),
                    progress.rounds,
                    progress.iterations,
                    progress.active,
                    progress.objective.unwrap_or(f64::NAN),
                    progress.gap.unwrap_or(f64::NAN)
                );
            }
            ControlFlow::Continue(())
        })
        .fit(&data, &l, &l)?;
    println!(
        "{:?} after {:.1} s, gap {:.2e}: {} iterations in {} rounds, {} zeros",
        fit.status,
        start.elapsed().as_secs_f64(),
        fit.gap,
        fit.iterations,
        fit.rounds,
        fit.n_active
    );
    println!(
        "objective {:.9e}, loss {:.6e}, penalty {:.6e}, KKT residual {:.2e} (relative {:.2e})",
        fit.objective, fit.loss, fit.penalty, fit.kkt, fit.kkt_relative
    );
    if let Some(bytes) = peak_memory() {
        println!("peak memory {:.2} GB", bytes / 1e9);
    }
    if arguments.iter().any(|a| a == "--reference") {
        let Weights::Full(w) = fit.weights else { return Err("expected a full matrix".into()) };
        let reference = SplineRegression::new()
            .lambda(1e5)
            .preconditioner(Preconditioner::LowModes { modes, rho: None })
            .tol_gap(gap / 1000.0)
            .warm_start(w)
            .fit(&data, &l, &l)?;
        println!(
            "reference {:.9e} (gap {:.2e}) after {:.1} s: relative gap {:.2e}",
            reference.objective,
            reference.gap,
            start.elapsed().as_secs_f64(),
            (fit.objective - reference.objective) / reference.objective
        );
    }
    Ok(())
}
