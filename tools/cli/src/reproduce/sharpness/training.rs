//! A training whose sharpness is followed: what `hesse reproduce` looks at.

use std::ops::ControlFlow;

use hesse::krylov::{Density, Lanczos, SpectralDensity, Trace, TraceEstimate};
use hesse::network::{Dataset, Loss, Network, Objective, Parameters, Trainer, TrainingProgress};
use hesse::optimize::{Schedule, Sgd, SgdOptions};

use crate::failure::Failure;

/// Half the squared distance to the one-hot vector, averaged over samples.
pub const LOSS: Loss = Loss::HalfSquaredError;

/// Relative residual of the eigenvalues that are followed: their error is its square over the gap.
const FOLLOWED: f64 = 1e-3;

/// What is trained, and how finely it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Experiment<'a> {
    /// The network.
    pub network: &'a Network<f64>,
    /// The samples.
    pub data: &'a Dataset<f64>,
    /// The seed of everything.
    pub seed: u64,
    /// A run ends when the loss on all data is at most this.
    pub target: f64,
    /// Largest eigenvalues at the end.
    pub eigenvalues: usize,
    /// Products for a trace.
    pub trace: usize,
    /// Probes of a density, and steps from each.
    pub density: (usize, usize),
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its name.
    pub name: &'static str,
    /// η.
    pub rate: f64,
    /// Samples in a batch.
    pub batch: usize,
    /// No more steps than this.
    pub steps: u64,
    /// Steps between looks at the spectrum.
    pub every: u64,
}

/// What was seen at one step.
#[derive(Clone, Debug)]
pub struct Look {
    /// Steps done.
    pub step: u64,
    /// Loss on all data.
    pub loss: f64,
    /// The two largest eigenvalues of the Hessian.
    pub top: [f64; 2],
}

/// The curvature at one point.
#[derive(Clone, Debug)]
pub struct Curvature {
    /// Largest eigenvalues of the Hessian, descending.
    pub values: Vec<f64>,
    /// Their residuals.
    pub residuals: Vec<f64>,
    /// Trace of the Hessian.
    pub trace: TraceEstimate,
    /// Trace of the Gauss-Newton matrix.
    pub gauss_newton: TraceEstimate,
    /// Density of the Hessian's spectrum.
    pub density: Density,
}

/// A training that was done.
#[derive(Clone, Debug)]
pub struct Run {
    /// As it was planned.
    pub plan: Plan,
    /// Loss of the batch before each step.
    pub losses: Vec<f64>,
    /// The spectrum on the way, the start and the end included.
    pub looks: Vec<Look>,
    /// Where it ended.
    pub end: Curvature,
}

impl Run {
    /// What was seen at the end.
    ///
    /// # Errors
    /// Nothing was seen.
    pub fn last(&self) -> Result<&Look, Failure> {
        self.looks.last().ok_or_else(|| Failure::input(format!("{}: no step", self.plan.name)))
    }

    /// 2/η.
    #[must_use]
    pub fn edge(&self) -> f64 {
        2.0 / self.plan.rate
    }

    /// The largest eigenvalue over 2/η at every look.
    pub fn over_edge(&self) -> impl Iterator<Item = f64> {
        self.looks.iter().map(|look| look.top[0] / self.edge())
    }
}

impl Experiment<'_> {
    /// Where every run starts.
    #[must_use]
    pub fn start(&self) -> Parameters<f64> {
        Parameters::initialize(self.network, self.seed)
    }

    /// Trains by plain gradient steps and follows the two largest eigenvalues, each time from the
    /// eigenvectors of the last; `step` is told of every step.
    ///
    /// # Errors
    /// Those of the library.
    pub fn train(&self, plan: Plan, step: impl Fn(u64, f64)) -> Result<Run, Failure> {
        let objective = Objective::new(self.network, self.data, LOSS)?;
        let start = self.start();
        let mut warm = Vec::new();
        let mut looks = vec![self.look(&objective, 0, start.values(), &mut warm)?];
        let mut losses = Vec::new();
        let mut failure = None;
        let watch = |now: &TrainingProgress<'_, f64>| {
            losses.push(now.batch_loss);
            step(now.step, now.batch_loss);
            if now.step.is_multiple_of(plan.every) {
                match self.look(&objective, now.step, now.parameters, &mut warm) {
                    // Batches are noisy: the target is the loss on all data.
                    Ok(look) => {
                        let done = look.loss <= self.target;
                        looks.push(look);
                        if done {
                            return ControlFlow::Break(());
                        }
                    }
                    Err(error) => {
                        failure = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        };
        let mut sgd = Sgd::new(self.network.parameter_count(), SgdOptions::default())?;
        let run = Trainer::new(self.network, self.data, LOSS, Schedule::constant(plan.rate)?)?
            .batch(plan.batch)?
            .steps(plan.steps)
            .seed(self.seed)
            .callback(watch)
            .run(start, &mut sgd)?;
        if let Some(error) = failure {
            return Err(error);
        }
        let end = self.curvature(&objective, run.parameters.values())?;
        if looks.last().is_none_or(|look| look.step < run.steps) {
            looks.push(self.look(&objective, run.steps, run.parameters.values(), &mut warm)?);
        }
        Ok(Run { plan, losses, looks, end })
    }

    /// The curvature where every run starts.
    ///
    /// # Errors
    /// Those of the library.
    pub fn curvature_at_start(&self) -> Result<Curvature, Failure> {
        let objective = Objective::new(self.network, self.data, LOSS)?;
        self.curvature(&objective, self.start().values())
    }

    fn look(
        &self,
        objective: &Objective<'_, f64>,
        step: u64,
        parameters: &[f64],
        warm: &mut Vec<f64>,
    ) -> Result<Look, Failure> {
        let point = objective.at(parameters)?;
        let hessian = point.hessian();
        // Two of them, so that the second one is at hand when it overtakes the first.
        let pairs = Lanczos::new(&hessian)
            .largest(2)
            .tolerance(FOLLOWED)
            .verify(false)
            .seed(self.seed)
            .start(warm)
            .run()?;
        let top = [pairs.values[0], pairs.values[1]];
        *warm = pairs.vectors.col_iter().flat_map(|v| v.iter().copied()).collect();
        Ok(Look { step, loss: point.value(), top })
    }

    fn curvature(
        &self,
        objective: &Objective<'_, f64>,
        parameters: &[f64],
    ) -> Result<Curvature, Failure> {
        let point = objective.at(parameters)?;
        let hessian = point.hessian();
        let pairs = Lanczos::new(&hessian).largest(self.eigenvalues).seed(self.seed).run()?;
        let (samples, steps) = self.density;
        Ok(Curvature {
            values: pairs.values,
            residuals: pairs.residuals,
            trace: Trace::xtrace(self.trace).seed(self.seed).run(&hessian)?,
            gauss_newton: Trace::xnystrace(self.trace / 2)
                .seed(self.seed)
                .run(&point.gauss_newton())?,
            density: SpectralDensity::new()
                .samples(samples)
                .steps(steps)
                .seed(self.seed)
                .run(&hessian)?,
        })
    }
}
