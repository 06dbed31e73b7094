//! What `hesse dimension profile` prints.

use hesse::Result;
use hesse::dimension::{ClassDimensions, ClassMean, Estimate, LayerDimensions, LinearDimension};
use serde::Serialize;

use crate::table::Table;
use crate::units::three;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) layers: Vec<Layer>,
    /// Means over classes, each alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) classes: Vec<ClassLayer>,
}

/// The dimensions of the classes behind one layer, averaged.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClassLayer {
    name: String,
    classes: usize,
    maximum_likelihood: Value,
    two_nn: Value,
    participation_ratio: Value,
    participation_ratio_corrected: Value,
}

/// The dimensions behind one layer.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Layer {
    pub(super) name: String,
    pub(super) samples: usize,
    pub(super) distinct: usize,
    pub(super) features: usize,
    pub(super) maximum_likelihood: Value,
    pub(super) two_nn: Value,
    pub(super) graph_distances: Value,
    /// Smallest and largest over other graphs and bins.
    pub(super) graph_range: Option<[f64; 2]>,
    /// Nearest whole dimension by graph distances.
    pub(super) graph_nearest: Option<usize>,
    pub(super) participation_ratio: Value,
    pub(super) participation_ratio_corrected: Value,
    /// Participation ratio over the local estimate by maximum likelihood.
    pub(super) gain: Option<f64>,
    pub(super) flags: Vec<&'static str>,
}

/// A number, its standard error where one is known, or why there is none.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Value {
    pub(super) value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) standard_error: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

impl Value {
    fn local(found: &Result<Estimate>) -> Self {
        match found {
            Ok(e) => Self { value: Some(e.value), standard_error: e.standard_error, reason: None },
            Err(error) => Self { reason: Some(error.to_string()), ..Self::default() },
        }
    }

    fn mean(found: Option<ClassMean>) -> Self {
        Self {
            value: found.map(|mean| mean.value),
            standard_error: found.and_then(|mean| mean.standard_error),
            reason: found.is_none().then(|| "no class has an answer".to_owned()),
        }
    }

    fn linear(found: &Result<LinearDimension>) -> Self {
        match found {
            Ok(e) => Self { value: Some(e.value), standard_error: e.standard_error, reason: None },
            Err(error) => Self { reason: Some(error.to_string()), ..Self::default() },
        }
    }

    fn text(&self) -> String {
        match (self.value, self.standard_error) {
            (Some(value), Some(error)) => format!("{} ± {}", three(value), three(error)),
            (Some(value), None) => three(value),
            (None, _) => "none".to_owned(),
        }
    }
}

impl Summary {
    pub(super) fn of(layers: &[LayerDimensions], classes: &[ClassDimensions]) -> Self {
        let class = |layer: &ClassDimensions| ClassLayer {
            name: layer.name.clone(),
            classes: layer.classes,
            maximum_likelihood: Value::mean(layer.likelihood),
            two_nn: Value::mean(layer.two_nn),
            participation_ratio: Value::mean(layer.participation),
            participation_ratio_corrected: Value::mean(layer.corrected),
        };
        Self {
            layers: layers.iter().map(Layer::of).collect(),
            classes: classes.iter().map(class).collect(),
        }
    }

    /// The means over classes, where there are any.
    fn classes_text(&self) -> String {
        let Some(first) = self.classes.first() else { return String::new() };
        let mut table = Table::new()
            .words("layer")
            .numbers("likelihood")
            .numbers("TwoNN")
            .numbers("PR")
            .numbers("PR corrected");
        for layer in &self.classes {
            table.row([
                layer.name.clone(),
                layer.maximum_likelihood.text(),
                layer.two_nn.text(),
                layer.participation_ratio.text(),
                layer.participation_ratio_corrected.text(),
            ]);
        }
        format!("\nmeans over {} classes, each alone\n\n{table}", first.classes)
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new()
            .words("layer")
            .numbers("units")
            .numbers("likelihood")
            .numbers("TwoNN")
            .numbers("graph")
            .numbers("range")
            .numbers("PR")
            .numbers("PR corrected")
            .numbers("PR / local")
            .words("doubts");
        for layer in &self.layers {
            table.row([
                layer.name.clone(),
                layer.features.to_string(),
                layer.maximum_likelihood.text(),
                layer.two_nn.text(),
                layer.graph_distances.text(),
                layer
                    .graph_range
                    .map_or(String::new(), |[a, b]| format!("{}–{}", three(a), three(b))),
                layer.participation_ratio.text(),
                layer.participation_ratio_corrected.text(),
                layer.gain.map_or(String::new(), three),
                layer.flags.join(", "),
            ]);
        }
        let samples = self.layers.first().map_or(0, |layer| layer.samples);
        let mut text = format!("{samples} samples\n\n{table}");
        for layer in &self.layers {
            for (what, value) in [
                ("likelihood", &layer.maximum_likelihood),
                ("TwoNN", &layer.two_nn),
                ("graph", &layer.graph_distances),
                ("PR", &layer.participation_ratio),
            ] {
                if let Some(reason) = &value.reason {
                    text += &format!("\n{}, {what}: {reason}", layer.name);
                }
            }
        }
        text.trim_end().to_owned() + "\n" + &self.classes_text()
    }
}

impl Layer {
    fn of(layer: &LayerDimensions) -> Self {
        let graph_distances = match &layer.geodesic {
            Ok(report) => Value::local(&report.estimate()),
            Err(error) => Value { reason: Some(error.to_string()), ..Value::default() },
        };
        let fit = layer.geodesic.as_ref().ok().and_then(|report| report.fit.as_ref().ok());
        let mut flags: Vec<&'static str> = layer.flags.iter().map(|flag| flag.name()).collect();
        if let Ok(report) = &layer.geodesic {
            flags.extend(report.flags().into_iter().map(|flag| flag.name()));
        }
        Self {
            name: layer.name.clone(),
            samples: layer.samples,
            distinct: layer.distinct,
            features: layer.features,
            maximum_likelihood: Value::local(&layer.likelihood),
            two_nn: Value::local(&layer.two_nn),
            graph_distances,
            graph_range: layer.spread.as_ref().and_then(|s| s.range()).map(|(a, b)| [a, b]),
            graph_nearest: fit.map(|fit| fit.nearest),
            participation_ratio: Value::linear(&layer.participation),
            participation_ratio_corrected: Value::linear(&layer.corrected),
            gain: layer.gain(),
            flags,
        }
    }
}
