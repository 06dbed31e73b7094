//! What `hesse spectrum` prints.

use hesse::krylov::{Density, Eigenpairs, EstimateStatus, Status};
use serde::Serialize;

use super::MatrixName;
use crate::data::Precision;
use crate::table::Table;
use crate::units::three;

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) matrix: MatrixName,
    pub(super) dtype: Precision,
    pub(super) parameters: usize,
    pub(super) samples: usize,
    pub(super) loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<f64>,
    pub(super) gradient_norm: f64,
    pub(super) memory: Memory,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) eigenvalues: Option<Eigenvalues>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<TraceSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) density: Option<DensitySummary>,
}

/// Bytes, estimated.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Memory {
    /// The forward and backward passes of all samples.
    pub(super) passes: usize,
    /// Shards of samples whose passes are kept, and of all.
    pub(super) kept_shards: usize,
    pub(super) shards: usize,
    /// Bases of the largest computation asked for.
    pub(super) bases: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Eigenvalues {
    pub(super) values: Vec<f64>,
    pub(super) residuals: Vec<f64>,
    pub(super) error_bounds: Vec<f64>,
    pub(super) status: &'static str,
    pub(super) verified: bool,
    pub(super) products: usize,
    pub(super) restarts: usize,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct TraceSummary {
    pub(super) method: &'static str,
    pub(super) value: f64,
    pub(super) standard_error: f64,
    pub(super) products: usize,
    pub(super) status: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct DensitySummary {
    pub(super) probes: usize,
    pub(super) sigma: f64,
    /// n times the first moment.
    pub(super) trace: f64,
    pub(super) trace_standard_error: f64,
    /// Share of eigenvalues at most 0.
    pub(super) share_not_positive: f64,
    pub(super) share_not_positive_standard_error: f64,
    pub(super) products: usize,
    pub(super) status: &'static str,
}

impl Eigenvalues {
    pub(super) fn of<T>(pairs: &Eigenpairs<T>) -> Self {
        Self {
            values: pairs.values.clone(),
            residuals: pairs.residuals.clone(),
            error_bounds: pairs.error_bounds.clone(),
            status: match pairs.status {
                Status::Converged => "converged",
                Status::IterationLimit => "iteration limit",
                Status::Stagnated => "stagnated",
                Status::Interrupted => "interrupted",
                _ => "other",
            },
            verified: pairs.verified,
            products: pairs.products,
            restarts: pairs.restarts,
        }
    }
}

pub(super) fn estimate_status(status: EstimateStatus) -> &'static str {
    match status {
        EstimateStatus::Exact => "exact",
        EstimateStatus::Converged => "converged",
        EstimateStatus::BudgetSpent => "budget spent",
        EstimateStatus::Interrupted => "interrupted",
        _ => "other",
    }
}

impl DensitySummary {
    pub(super) fn of(density: &Density) -> Self {
        let trace = density.integral(|x| x);
        let share = density.cumulative_at(0.0);
        Self {
            probes: density.quadratures.len(),
            sigma: density.sigma,
            trace: trace.value,
            trace_standard_error: trace.standard_error,
            share_not_positive: share.value,
            share_not_positive_standard_error: share.standard_error,
            products: density.products,
            status: estimate_status(density.status),
        }
    }
}

impl Summary {
    /// What is known before the long computations.
    pub(super) fn preface(&self) -> Table {
        let mut table = Table::new().words("spectrum").words("");
        let matrix = match self.matrix {
            MatrixName::Hessian => "Hessian",
            MatrixName::GaussNewton => "Gauss-Newton",
        };
        table.row(["matrix", &format!("{matrix}, {0} × {0}", self.parameters)]);
        table.row(["samples", &self.samples.to_string()]);
        table.row(["loss", &format!("{:.6e}", self.loss)]);
        if let Some(accuracy) = self.accuracy {
            table.row(["accuracy", &format!("{:.2} %", 100.0 * accuracy)]);
        }
        table.row(["gradient norm", &format!("{:.3e}", self.gradient_norm)]);
        let Memory { passes, kept_shards, shards, bases } = self.memory;
        table.row([
            "memory",
            &format!(
                "{} MB for passes ({kept_shards} of {shards} shards kept), {} MB for vectors",
                three(passes as f64 / 1e6),
                three(bases as f64 / 1e6),
            ),
        ]);
        table
    }

    pub(super) fn results(&self) -> String {
        let mut text = String::new();
        if let Some(e) = &self.eigenvalues {
            let mut table = Table::new()
                .numbers("")
                .numbers("eigenvalue")
                .numbers("residual")
                .numbers("error ≤");
            for (i, value) in e.values.iter().enumerate() {
                let number = (i + 1).to_string();
                let value = format!("{value:.10e}");
                let (residual, bound) = (three(e.residuals[i]), three(e.error_bounds[i]));
                table.row([number, value, residual, bound]);
            }
            let verified = if e.verified { "" } else { ", copies not searched for" };
            text += &format!(
                "\n{table}{}: {} products, {} restarts{verified}\n",
                e.status, e.products, e.restarts
            );
        }
        if let Some(t) = &self.trace {
            text += &format!(
                "\ntrace {} ± {} ({}, {} products, {})\n",
                exact(t.value),
                three(t.standard_error),
                t.method,
                t.products,
                t.status
            );
        }
        if let Some(d) = &self.density {
            text += &format!(
                "\ndensity from {} probes, {} products, σ = {} ({}): trace {} ± {}, share not positive \
                 {} ± {}\n",
                d.probes,
                d.products,
                three(d.sigma),
                d.status,
                exact(d.trace),
                three(d.trace_standard_error),
                three(d.share_not_positive),
                three(d.share_not_positive_standard_error),
            );
        }
        text
    }
}

fn exact(value: f64) -> String {
    format!("{value:.8e}")
}
