//! What `hesse connectome fit` prints.

use hesse::connectome::{Denominator, IdentifiabilityReport, Status, mse_rel};
use hesse::faer::MatRef;
use hesse::{Error, Result};
use serde::Serialize;

use super::fit_arguments::{FitArguments, ModelName, name};
use super::memory;
use super::models::Fitted;
use super::voxels::Problem;
use crate::table::Table;
use crate::units::three;

/// What there is to say before a fit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) model: ModelName,
    pub(super) targets: usize,
    pub(super) sources: usize,
    pub(super) experiments: usize,
    /// Voxels that were injected in some experiment, counted for each.
    pub(super) injected: usize,
    /// Projections that were seen.
    pub(super) observed: usize,
    /// How that is known.
    pub(super) observed_by: &'static str,
    /// Bytes that the fit holds, and the data.
    pub(super) memory_estimate: usize,
    pub(super) data_memory: usize,
    /// Whether the data determine W for λ > 0; nothing where the operators are not Laplacians.
    pub(super) identifiable: bool,
    /// Pairs of (target component, source component) between which they do not.
    pub(super) undetermined: Vec<(usize, usize)>,
    /// Arrays of the file that nobody asked for.
    pub(super) unused_arrays: Vec<String>,
}

impl Plan {
    pub(super) fn of(
        problem: &Problem,
        arguments: &FitArguments,
        memory_estimate: usize,
        report: &IdentifiabilityReport,
    ) -> Self {
        let data = &problem.data;
        let pairs = report.undetermined.iter().map(|pair| (pair.target, pair.source));
        Self {
            model: arguments.model,
            targets: data.targets(),
            sources: data.sources(),
            experiments: data.experiments(),
            injected: data.injections().nnz(),
            observed: data.observed().count(),
            observed_by: problem.seen.name(),
            memory_estimate,
            data_memory: memory::of_data(data),
            identifiable: report.is_identifiable(),
            undetermined: pairs.collect(),
            unused_arrays: problem.unused.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new().words("connectome").numbers("");
        let all = self.targets * self.experiments;
        let share = format!("{} of {all}, {}", self.observed, self.observed_by);
        table.row(["model", &name(self.model)]);
        table.row(["target voxels", &self.targets.to_string()]);
        table.row(["source voxels", &self.sources.to_string()]);
        table.row(["experiments", &self.experiments.to_string()]);
        table.row(["injected voxels", &self.injected.to_string()]);
        table.row(["projections seen", &share]);
        table.row(["memory of the data", &memory::text(self.data_memory)]);
        table.row(["memory of the fit", &format!("about {}", memory::text(self.memory_estimate))]);
        if self.model != ModelName::Regional && self.model != ModelName::Kernel {
            table.row(["the data determine W", if self.identifiable { "yes" } else { "NO" }]);
        }
        let mut text = table.to_string();
        if !self.identifiable
            && self.model != ModelName::Regional
            && self.model != ModelName::Kernel
        {
            let pairs = self.undetermined.len();
            text += &format!(
                "constants of W between {pairs} pairs of components are open: hesse connectome identify\n"
            );
        }
        if !self.unused_arrays.is_empty() {
            text += &format!("arrays not used: {}\n", self.unused_arrays.join(", "));
        }
        text
    }
}

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    pub(super) plan: Plan,
    pub(super) status: &'static str,
    /// Whether the fit ended as its rule says.
    pub(super) ended: bool,
    pub(super) rank: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lambda: Option<f64>,
    pub(super) lambda_eff: f64,
    pub(super) objective: f64,
    pub(super) loss: f64,
    pub(super) penalty: f64,
    /// Residuals of the conditions of optimality, and what the relative one was to reach.
    pub(super) kkt: f64,
    pub(super) kkt_relative: f64,
    pub(super) tolerance: Option<f64>,
    /// The relative gap to the minimum that is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gap: Option<f64>,
    pub(super) zeros: usize,
    pub(super) iterations: usize,
    pub(super) rounds: usize,
    /// Relative squared error on these data.
    pub(super) mse_rel: f64,
    pub(super) mse_rel_full_denominator: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) equation_residual: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gamma: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<f64>,
}

impl Summary {
    pub(super) fn of(
        plan: Plan,
        problem: &Problem,
        arguments: &FitArguments,
        fitted: &Fitted,
        prediction: MatRef<'_, f64>,
    ) -> Result<Self> {
        let connectome = &fitted.connectome;
        let smooth = !matches!(arguments.model, ModelName::Regional | ModelName::Kernel);
        let scaled = arguments.strength.lambda_eff.is_none() && smooth;
        // Both are 0/0 where nothing was seen and nothing is predicted.
        let error = |denominator| mse_rel(prediction, &problem.data, denominator);
        Ok(Self {
            plan,
            status: status(connectome.status),
            ended: fitted.ended,
            rank: connectome.rank(),
            lambda: scaled.then_some(arguments.strength.lambda),
            lambda_eff: connectome.lambda_eff,
            objective: connectome.objective,
            loss: loss(problem, prediction)?,
            penalty: connectome.penalty,
            kkt: connectome.kkt,
            kkt_relative: connectome.kkt_relative,
            tolerance: fitted.tolerance,
            gap: Some(connectome.gap).filter(|gap| gap.is_finite()),
            zeros: connectome.n_active,
            iterations: connectome.iterations,
            rounds: connectome.rounds,
            mse_rel: error(Denominator::Masked)?,
            mse_rel_full_denominator: error(Denominator::Full)?,
            equation_residual: fitted.equation_residual,
            gamma: fitted.gamma,
            condition: fitted.condition,
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new().words("fit").numbers("");
        let exact = |value: f64| format!("{value:.8e}");
        table.row(["status", self.status]);
        if let Some(rank) = self.rank {
            table.row(["rank", &rank.to_string()]);
        }
        for (name, value) in [
            ("λ", self.lambda.unwrap_or(f64::NAN)),
            ("λ'", self.lambda_eff),
            ("objective", self.objective),
            ("loss", self.loss),
            ("penalty, without λ'", self.penalty),
        ] {
            if value.is_finite() {
                table.row([name, &exact(value)]);
            }
        }
        if let Some(tolerance) = self.tolerance {
            let within = if self.kkt_relative <= tolerance { "within" } else { "ABOVE" };
            let residual = three(self.kkt_relative);
            table.row(["KKT residual", &three(self.kkt)]);
            table.row([
                "KKT residual, relative",
                &format!("{residual}, {within} {}", three(tolerance)),
            ]);
        }
        for (name, value) in [
            ("gap to the minimum, relative", self.gap),
            ("residual of the equation", self.equation_residual),
            ("γ of the kernel", self.gamma),
            ("condition number", self.condition),
        ] {
            if let Some(value) = value {
                table.row([name, &three(value)]);
            }
        }
        table.row(["zeros", &self.zeros.to_string()]);
        if self.iterations > 0 {
            table.row(["iterations", &format!("{} in {} rounds", self.iterations, self.rounds)]);
        }
        table.row(["MSE_rel on these data", &exact(self.mse_rel)]);
        table.row(["the same, full denominator", &exact(self.mse_rel_full_denominator)]);
        table.to_string()
    }
}

/// ‖Ω∘(W X − Y)‖² of predicted projections.
fn loss(problem: &Problem, prediction: MatRef<'_, f64>) -> Result<f64> {
    let data = &problem.data;
    let expected = (data.targets(), data.experiments());
    if prediction.shape() != expected {
        return Err(Error::shape("prediction", expected, prediction.shape()));
    }
    let mut sum = 0.0;
    for e in 0..data.experiments() {
        let y = data.projection(e);
        for t in (0..data.targets()).filter(|&t| data.observed().at(t, e)) {
            sum += (prediction[(t, e)] - y[t]).powi(2);
        }
    }
    Ok(sum)
}

/// How a fit ended, in words.
pub(super) fn status(status: Status) -> &'static str {
    match status {
        Status::Converged => "converged",
        Status::IterationLimit => "iteration limit",
        Status::Stalled => "stalled",
        Status::SmallDecrease => "small decrease",
        Status::Interrupted => "interrupted",
        _ => "unknown",
    }
}
