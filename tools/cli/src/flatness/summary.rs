//! What `hesse flatness` prints.

use hesse::flatness::{Bounds, Chain, Condition, Stability};
use hesse::krylov::Estimate;
use hesse::{Error, Result};
use serde::Serialize;

use crate::data::Precision;
use crate::table::Table;
use crate::units::three;

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) dtype: Precision,
    pub(super) parameters: usize,
    pub(super) samples: usize,
    pub(super) loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accuracy: Option<f64>,
    /// S.
    pub(super) trace: f64,
    pub(super) sqrt_trace: f64,
    /// S of the weights of linear layers.
    pub(super) weight_trace: f64,
    pub(super) mls: f64,
    pub(super) nmls: f64,
    /// These three need all singular values.
    pub(super) log_volume: Option<f64>,
    pub(super) log_nvr: Option<f64>,
    pub(super) local_dimension: Option<f64>,
    pub(super) adaptive: f64,
    pub(super) normalized_mls: f64,
    pub(super) iimls_directional: f64,
    pub(super) iimls_elementwise: f64,
    pub(super) layers: Vec<LayerSummary>,
    pub(super) bounds: Vec<BoundSummary>,
    /// Layer and sample, both from 0, of inputs that are zero: their bounds are infinite.
    pub(super) zero_inputs: Vec<(usize, usize)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stability: Option<StabilitySummary>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct LayerSummary {
    pub(super) name: String,
    /// S of its weights and of its biases.
    pub(super) weight_trace: f64,
    pub(super) bias_trace: f64,
    /// ‖W‖₂, of the unrolled map where weights are shared, and ‖W‖_F.
    pub(super) weight_norm: Option<f64>,
    pub(super) weight_frobenius: f64,
    /// Mean ‖J^l‖₂.
    pub(super) sensitivity: f64,
    /// Of the Gauss-Newton matrix of half the squared error.
    pub(super) relative_flatness: f64,
    /// Of the Hessian, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hessian_flatness: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hessian_flatness_standard_error: Option<f64>,
}

/// One chain of inequalities.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BoundSummary {
    pub(super) name: String,
    pub(super) sides: Vec<&'static str>,
    /// Logarithms, which do not overflow.
    pub(super) logs: Vec<f64>,
    /// The last side over the first.
    pub(super) slack: Option<f64>,
    pub(super) holds: Option<bool>,
    /// Whether it is a theorem for this network.
    pub(super) theorem: bool,
    /// Why it does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_applicable: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct StabilitySummary {
    pub(super) learning_rate: f64,
    pub(super) batch: usize,
    /// λ_max of the Hessian and its limit 2/η.
    pub(super) sharpness: f64,
    pub(super) sharpness_limit: f64,
    pub(super) non_uniformity: f64,
    pub(super) non_uniformity_limit: f64,
    pub(super) second_moment: f64,
    pub(super) second_moment_limit: f64,
    pub(super) stable: bool,
    pub(super) converged: bool,
}

impl BoundSummary {
    fn of(name: impl Into<String>, chain: Result<Chain>) -> Result<Self> {
        let name = name.into();
        match chain {
            Ok(chain) => Ok(Self {
                name,
                slack: Some(chain.slack()),
                holds: Some(chain.holds()),
                theorem: chain.theorem,
                sides: chain.sides,
                logs: chain.logs,
                not_applicable: None,
            }),
            Err(error @ Error::NotApplicable { .. }) => Ok(Self {
                name,
                sides: Vec::new(),
                logs: Vec::new(),
                slack: None,
                holds: None,
                theorem: false,
                not_applicable: Some(error.to_string()),
            }),
            Err(error) => Err(error),
        }
    }

    /// Every chain of a network with these layers.
    pub(super) fn all(bounds: &Bounds<'_>, layers: &[LayerSummary]) -> Result<Vec<Self>> {
        let mut all = vec![
            Self::of("MLS", bounds.mls())?,
            Self::of("NMLS", bounds.nmls())?,
            Self::of("volume", bounds.volume())?,
            Self::of("NVR", bounds.nvr())?,
            Self::of("NVR by layers", bounds.nvr_by_layers())?,
            Self::of("IIMLS", bounds.iimls())?,
        ];
        for k in [1, 2, 4] {
            all.push(Self::of(format!("Ma and Ying, k = {k}"), bounds.ma_ying(f64::from(k)))?);
        }
        for (l, layer) in layers.iter().enumerate() {
            let name = format!("relative flatness, {}", layer.name);
            all.push(Self::of(name, bounds.relative_flatness(l))?);
        }
        Ok(all)
    }
}

impl StabilitySummary {
    pub(super) fn of(stability: &Stability, learning_rate: f64, batch: usize) -> Self {
        let conditions = [
            stability.sharpness_condition,
            stability.non_uniformity_condition,
            stability.second_moment_condition,
        ];
        Self {
            learning_rate,
            batch,
            sharpness: stability.sharpness,
            sharpness_limit: conditions[0].limit,
            non_uniformity: stability.non_uniformity,
            non_uniformity_limit: conditions[1].limit,
            second_moment: stability.second_moment,
            second_moment_limit: conditions[2].limit,
            stable: conditions.iter().all(Condition::holds),
            converged: stability.converged,
        }
    }
}

impl LayerSummary {
    pub(super) fn estimated(self, estimate: Option<Estimate>) -> Self {
        Self {
            hessian_flatness: estimate.map(|e| e.value),
            hessian_flatness_standard_error: estimate.map(|e| e.standard_error),
            ..self
        }
    }
}

fn exact(value: f64) -> String {
    format!("{value:.8e}")
}

impl Summary {
    /// For people.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}\n{}{}", self.measures(), self.by_layer(), self.chains(), self.descent())
    }

    fn measures(&self) -> Table {
        let mut table = Table::new().words("flatness").numbers("");
        table.row(["parameters", &self.parameters.to_string()]);
        table.row(["samples", &self.samples.to_string()]);
        table.row(["loss", &exact(self.loss)]);
        if let Some(accuracy) = self.accuracy {
            table.row(["accuracy", &format!("{:.2} %", 100.0 * accuracy)]);
        }
        for (name, value) in [
            ("sharpness S", Some(self.trace)),
            ("√S", Some(self.sqrt_trace)),
            ("S of weights", Some(self.weight_trace)),
            ("MLS", Some(self.mls)),
            ("NMLS", Some(self.nmls)),
            ("log volume", self.log_volume),
            ("log NVR", self.log_nvr),
            ("local dimension", self.local_dimension),
            ("adaptive sharpness", Some(self.adaptive)),
            ("normalised MLS", Some(self.normalized_mls)),
            ("IIMLS, directional", Some(self.iimls_directional)),
            ("IIMLS, by element", Some(self.iimls_elementwise)),
        ] {
            let missing = || "needs --singular-values all".to_owned();
            table.row([name, &value.map_or_else(missing, exact)]);
        }
        table
    }

    fn by_layer(&self) -> Table {
        let mut table = Table::new().words("layer");
        for header in ["S weights", "S biases", "‖W‖₂", "mean ‖J‖₂", "relative flatness"]
        {
            table = table.numbers(header);
        }
        let estimated = self.layers.iter().any(|layer| layer.hessian_flatness.is_some());
        if estimated {
            table = table.numbers("of the Hessian");
        }
        for layer in &self.layers {
            let norm = layer.weight_norm.map_or(String::new(), three);
            let mut row = vec![layer.name.clone()];
            row.extend([three(layer.weight_trace), three(layer.bias_trace), norm]);
            row.extend([three(layer.sensitivity), three(layer.relative_flatness)]);
            let error = layer.hessian_flatness_standard_error;
            if let Some((value, error)) = layer.hessian_flatness.zip(error) {
                row.push(format!("{} ± {}", three(value), three(error)));
            }
            table.row(row);
        }
        table
    }

    fn chains(&self) -> Table {
        let mut table = Table::new().words("bound");
        for header in ["measure", "bound", "slack"] {
            table = table.numbers(header);
        }
        table = table.words("holds").words("");
        for bound in &self.bounds {
            let side = |log: Option<&f64>| log.map_or(String::new(), |log| three(log.exp()));
            let (first, last) = (side(bound.logs.first()), side(bound.logs.last()));
            let slack = bound.slack.map_or(String::new(), three);
            let holds = match bound.holds {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            };
            let note = match &bound.not_applicable {
                Some(reason) => reason.as_str(),
                None if bound.theorem => "",
                None => "no theorem",
            };
            table.row([bound.name.as_str(), &first, &last, &slack, holds, note]);
        }
        table
    }

    fn descent(&self) -> String {
        let mut text = String::new();
        if !self.zero_inputs.is_empty() {
            let count = self.zero_inputs.len();
            text += &format!("{count} inputs of layers are zero: bounds are infinite\n");
        }
        if let Some(s) = &self.stability {
            let mut table =
                Table::new().words("stability").numbers("value").numbers("limit").words("");
            for (name, value, limit) in [
                ("largest eigenvalue", s.sharpness, s.sharpness_limit),
                ("non-uniformity", s.non_uniformity, s.non_uniformity_limit),
                ("second moment", s.second_moment, s.second_moment_limit),
            ] {
                let held = if value <= limit * (1.0 + 1e-9) { "stable" } else { "unstable" };
                table.row([name, &exact(value), &exact(limit), held]);
            }
            let unsure = if s.converged { "" } else { ", eigenvalues not converged" };
            text += &format!("\n{table}η = {}, batch {}{unsure}\n", s.learning_rate, s.batch);
        }
        text
    }
}
