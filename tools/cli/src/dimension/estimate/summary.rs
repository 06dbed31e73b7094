//! What `hesse dimension estimate` prints.

use hesse::dimension::{Estimate, Estimator, PointCloud};
use serde::Serialize;

use crate::table::Table;
use crate::units::three;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) points: usize,
    pub(super) distinct: usize,
    pub(super) features: usize,
    pub(super) estimates: Vec<Line>,
    /// Gride at growing scales.
    pub(super) scales: Vec<Scale>,
    /// Rules for the number of eigenvalues that count.
    pub(super) ranks: Vec<Rank>,
}

/// One estimate, or why there is none.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Line {
    pub(super) estimator: &'static str,
    /// `local`, `global` or `linear`.
    pub(super) kind: &'static str,
    pub(super) setting: String,
    pub(super) value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standard_error: Option<f64>,
    /// 95 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interval: Option<[f64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) used: Option<usize>,
    pub(super) flags: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Scale {
    pub(super) n1: usize,
    pub(super) n2: usize,
    /// Mean over points of the mean distance of the two neighbours.
    pub(super) radius: f64,
    pub(super) value: Option<f64>,
    pub(super) standard_error: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rank {
    pub(super) rule: &'static str,
    pub(super) rank: usize,
}

impl Line {
    /// What an estimator says of a cloud, with its settings.
    pub(super) fn by(estimator: &dyn Estimator, cloud: &PointCloud) -> Self {
        let settings = estimator.settings().into_iter();
        let setting = settings.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>();
        let (name, setting) = (estimator.name(), setting.join(", "));
        // The others look at the neighbours of each point.
        let global = ["geodesic", "correlation_integral", "fisher_s", "mst"];
        let kind = if global.contains(&name) { "global" } else { "local" };
        match estimator.run(cloud) {
            Ok(e) => Self {
                standard_error: e.standard_error,
                interval: e.interval.map(|(low, high)| [low, high]),
                flags: e.flags.iter().map(|flag| flag.name()).collect(),
                ..Self::number(name, kind, setting, e.value, e.used)
            },
            Err(error) => Self::none(name, kind, setting, error.to_string()),
        }
    }

    pub(super) fn number(
        estimator: &'static str,
        kind: &'static str,
        setting: impl Into<String>,
        value: f64,
        used: usize,
    ) -> Self {
        let (setting, value, used) = (setting.into(), Some(value), Some(used));
        Self { estimator, kind, setting, value, used, ..Self::default() }
    }

    pub(super) fn none(
        estimator: &'static str,
        kind: &'static str,
        setting: impl Into<String>,
        reason: String,
    ) -> Self {
        let (setting, reason) = (setting.into(), Some(reason));
        Self { estimator, kind, setting, reason, ..Self::default() }
    }
}

impl Scale {
    pub(super) fn of(n1: usize, radius: f64, found: Option<&Estimate>) -> Self {
        Self {
            n1,
            n2: 2 * n1,
            radius,
            value: found.map(|e| e.value),
            standard_error: found.and_then(|e| e.standard_error),
        }
    }
}

impl Summary {
    pub(super) fn text(&self) -> String {
        let mut table = Table::new()
            .words("estimator")
            .words("kind")
            .words("setting")
            .numbers("dimension")
            .numbers("error")
            .numbers("95 %")
            .numbers("points")
            .words("");
        for line in &self.estimates {
            let notes = line.reason.clone().unwrap_or_else(|| line.flags.join(", "));
            table.row([
                line.estimator.to_owned(),
                line.kind.to_owned(),
                line.setting.clone(),
                line.value.map_or_else(|| "none".to_owned(), three),
                line.standard_error.map_or(String::new(), three),
                line.interval.map_or(String::new(), |[a, b]| format!("{}–{}", three(a), three(b))),
                line.used.map_or(String::new(), |used| used.to_string()),
                notes,
            ]);
        }
        let mut ranks = Table::new().words("rule for the rank").numbers("rank");
        for rank in &self.ranks {
            ranks.row([rank.rule.to_owned(), rank.rank.to_string()]);
        }
        let Self { points, distinct, features, .. } = self;
        let ranks = if self.ranks.is_empty() { String::new() } else { format!("\n{ranks}") };
        format!("{points} points, {distinct} in neighbours, {features} features\n\n{table}{ranks}")
    }
}
