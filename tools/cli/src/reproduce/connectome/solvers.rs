//! The solvers themselves: preconditioning, the published solver's own test, voxels of a plane.

use hesse::Result;
use hesse::connectome::{
    Connectome, Preconditioner, SmoothingOperator, SplineRegression, Status, TracingData, VoxelMask,
};
use hesse::faer::Mat;
use hesse::random::Stream;

use super::Sizes;
use super::references::{LAMBDA, self_test};
use super::toys::{Toy, drawn};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;
use crate::validate::connectome::dirichlet;

/// The objective that the published solver prints for its own test.
const PUBLISHED: f64 = 48.487_958_12;
/// The optimum of that test, to a residual of 5·10⁻⁶.
const OPTIMUM: f64 = 48.483_638;
/// The relative gap to which conjugate gradients are counted.
const GAP: f64 = 1e-6;

pub(super) struct Solvers {
    /// Iterations to the gap, with and without the preconditioner; `None` where the limit comes first.
    iterations: [Option<usize>; 2],
    /// ‖residual‖/‖right-hand side‖ by iteration, with and without.
    courses: [Vec<(f64, f64)>; 2],
    voxels: usize,
    published: Option<Connectome>,
    patch: Connectome,
    patch_voxels: usize,
}

/// Iterations at most without preconditioner.
const LIMIT: usize = 2000;

impl Solvers {
    pub(super) fn of(sizes: &Sizes, seed: u64) -> Result<Self, Failure> {
        let toy = drawn(sizes.preconditioned, 5, seed)?;
        let choices = [Preconditioner::UnmaskedSpectral { rho: None }, Preconditioner::None];
        let optimum = run(&toy, choices[0], None)?;
        let mut iterations = [None; 2];
        let mut courses = [Vec::new(), Vec::new()];
        for (k, choice) in choices.into_iter().enumerate() {
            iterations[k] = to_gap(&toy, choice, optimum.objective)?;
            let shown = run(&toy, choice, Some(LIMIT))?;
            let points = shown.trace.iter().map(|point| (point.iteration as f64, point.value));
            // As many points as a figure can show.
            let stride = shown.trace.len().div_ceil(1000).max(1);
            courses[k] = points.step_by(stride).collect();
        }
        let published = match sizes.references {
            true => {
                let data = self_test()?;
                let (lx, ly) = (dirichlet(data.sources())?, dirichlet(data.targets())?);
                let regression = SplineRegression::new().lambda(1.0).tol_kkt(1e-6);
                Some(regression.fit(&data, &lx, &ly)?)
            }
            false => None,
        };
        let (data, l) = disc(sizes.patch, seed)?;
        let patch = SplineRegression::new().lambda(10.0).fit(&data, &l, &l)?;
        Ok(Self {
            iterations,
            courses,
            voxels: sizes.preconditioned,
            published,
            patch,
            patch_voxels: l.voxels(),
        })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let count = |iterations: Option<usize>| match iterations {
            Some(n) => n.to_string(),
            None => format!("more than {LIMIT}"),
        };
        let mut claims = vec![Claim::with_bar(
            format!("Preconditioned conjugate gradients on {} voxels, without signs", self.voxels),
            "73 iterations to a relative gap of 1e-6, more than 1,500 to 1e-4 without, in reference runs",
            format!(
                "{} iterations to 1e-6, {} without preconditioner",
                count(self.iterations[0]),
                count(self.iterations[1])
            ),
            "at most 100",
            self.iterations[0].is_some_and(|n| n <= 100),
        )];
        if let Some(fit) = &self.published {
            let f = fit.objective;
            claims.push(Claim::with_bar(
                "The published solver's own test, 120,000 weights, ends lower than published",
                format!("{PUBLISHED:.5} (README of the code); optimum {OPTIMUM:.6}"),
                format!("{f:.6}, {} zeros, KKT residual {}", fit.n_active, three(fit.kkt_relative)),
                "within 1e-6 of the optimum, below the published one",
                (f - OPTIMUM).abs() <= 1e-6 * OPTIMUM && f < PUBLISHED,
            ));
        }
        claims.push(Claim::with_bar(
            format!(
                "A disc of {} voxels with a notch is solved to its certificate",
                self.patch_voxels
            ),
            "real voxels of the cortex: hesse validate connectome cortex_patch.npz",
            format!(
                "KKT residual {} in {} rounds, {} zeros",
                three(self.patch.kkt_relative),
                self.patch.rounds,
                self.patch.n_active
            ),
            "certified to 1e-8",
            self.patch.status == Status::Converged && self.patch.kkt_relative <= 1e-8,
        ));
        claims
    }

    pub(super) fn plate(&self) -> Plate {
        let figure =
            Figure::new("Conjugate gradients", "iteration", "‖residual‖ / ‖right-hand side‖")
                .log_y()
                .line("preconditioned", self.courses[0].iter().copied())
                .line("not", self.courses[1].iter().copied());
        let caption = "The course of the linear system of the problem without signs.";
        Plate::of("connectome-conjugate-gradients", caption, &figure)
    }
}

fn run(toy: &Toy, choice: Preconditioner, limit: Option<usize>) -> Result<Connectome> {
    let l = toy.line()?;
    let mut regression = SplineRegression::new()
        .lambda(LAMBDA)
        .nonnegative(false)
        .preconditioner(choice)
        .trace(true);
    if let Some(limit) = limit {
        regression = regression.max_iterations(limit);
    }
    regression.fit(&toy.data, &l, &l)
}

/// The least number of iterations after which the objective is within [`GAP`] of the optimum, by
/// bisection: conjugate gradients lower it at every step.
fn to_gap(toy: &Toy, choice: Preconditioner, optimum: f64) -> Result<Option<usize>> {
    let near = |limit: usize| -> Result<bool> {
        Ok(run(toy, choice, Some(limit))?.objective <= optimum * (1.0 + GAP))
    };
    let mut most = 1;
    while !near(most)? {
        if most == LIMIT {
            return Ok(None);
        }
        most = (2 * most).min(LIMIT);
    }
    let mut least = most / 2;
    while most - least > 1 {
        let middle = least + (most - least) / 2;
        if near(middle)? { most = middle } else { least = middle }
    }
    Ok(Some(most))
}

/// Round injections into a disc of `size` voxels across with a notch, and local projections with noise.
fn disc(size: usize, seed: u64) -> Result<(TracingData, SmoothingOperator)> {
    let radius = 0.5 * size as f64;
    let middle = radius - 0.5;
    let inside: Vec<bool> = (0..size * size)
        .map(|cell| {
            let (r, c) = ((cell / size) as f64 - middle, (cell % size) as f64 - middle);
            r * r + c * c < radius * radius && !(r.abs() < 1.0 && c > 0.4 * radius)
        })
        .collect();
    let mask = VoxelMask::from_bool_grid(&[size, size], &inside)?;
    let n = mask.len();
    let places: Vec<[f64; 2]> =
        mask.indices().iter().map(|cell| [(cell / size) as f64, (cell % size) as f64]).collect();
    let square =
        |a: usize, b: usize| (0..2).map(|k| (places[a][k] - places[b][k]).powi(2)).sum::<f64>();
    let centres = Stream::new(seed, "centres of a disc");
    let experiments = 6;
    let x = Mat::from_fn(n, experiments, |s, e| {
        // Below n, which fits.
        let centre = centres.below(e as u64, n as u64) as usize;
        f64::from(u8::from(square(s, centre) <= 3.0))
    });
    let mut noise = vec![0.0; experiments * n];
    Stream::new(seed, "noise of a disc").normals(0, &mut noise);
    let y = Mat::from_fn(n, experiments, |t, e| {
        let signal: f64 = (0..n).map(|s| x[(s, e)] * (-square(t, s) / 8.0).exp()).sum();
        let value = signal + 0.3 * noise[t + e * n];
        if value > 0.0 { value } else { 0.0 }
    });
    let data =
        TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref()).build()?;
    Ok((data, SmoothingOperator::of_voxels(&mask)?))
}
