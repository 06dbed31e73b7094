//! `hesse flatness`: sharpness of a network, the sensitivity of its outputs, and the bounds between
//! them.

mod arguments;
mod files;
mod summary;

use hesse::flatness::{Geometry, LayerGeometry, OverLayers, RelativeFlatness, Stability};
use hesse::network::{Objective, Parameters};
use hesse::{Error, Real};

use crate::data::{Precision, accuracy};
use crate::failure::{Failure, Verdict};
use crate::network_file;
use crate::output::{Output, to_json};
use crate::progress::Progress;
pub use arguments::{Arguments, ConvBoundName};
use summary::{BoundSummary, LayerSummary, StabilitySummary, Summary};

/// Runs `hesse flatness`.
///
/// # Errors
/// Files that cannot be read or do not fit each other, options out of range, results that cannot be
/// written.
pub fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    match arguments.data.dtype {
        Precision::F32 => flatness::<f32>(arguments, output),
        Precision::F64 => flatness::<f64>(arguments, output),
    }
}

fn flatness<T: Real>(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let network = network_file::read::<T>(&arguments.network)?;
    let parameters = Parameters::load(&network, &arguments.parameters)?;
    let data = arguments.data.read::<T>()?;
    let theta = parameters.values();
    let loss = arguments.data.loss();
    let objective = Objective::new(&network, &data, loss)?;
    let outputs = objective.outputs(theta)?;
    let mut geometry = Geometry::of_rows(&network, theta, data.inputs())?.weight_norms();
    if let Some(name) = arguments.singular_values {
        geometry = geometry.singular_values(name.which());
    }
    let report = geometry.run()?;
    let volume = arguments.log_volume.0;
    let log_volume = where_applicable(report.log_volume(volume))?;
    let bounds = report.bounds_with_epsilon(arguments.conv_bound.bound(), arguments.epsilon)?;

    let mut layers: Vec<LayerSummary> = report.layers.iter().map(layer).collect();
    if let Some(probes) = arguments.probes {
        let bar = Progress::new(output, "relative flatness", layers.len() as u64);
        let point = objective.at(theta)?;
        let hessian = point.hessian();
        let mut estimated = Vec::new();
        for (summary, layer) in layers.into_iter().zip(&report.layers) {
            let of = RelativeFlatness::new(&hessian, theta, layer)?;
            estimated.push(summary.estimated(Some(of.hutchinson(probes, arguments.seed)?)));
            bar.step();
        }
        layers = estimated;
    }
    let stability = match arguments.learning_rate {
        None => None,
        Some(rate) => {
            let batch = arguments.batch.unwrap_or(data.len());
            let stability = Stability::check(&objective, theta, rate, batch)?;
            Some(StabilitySummary::of(&stability, rate, batch))
        }
    };
    let summary = Summary {
        dtype: arguments.data.dtype,
        parameters: theta.len(),
        samples: data.len(),
        loss: objective.value(theta)?,
        accuracy: accuracy(&outputs, network.outputs(), data.targets(), loss),
        trace: report.trace(),
        sqrt_trace: report.sqrt_trace(),
        weight_trace: report.weight_trace(),
        mls: report.mls(),
        nmls: report.nmls(OverLayers::Sum)?,
        log_volume,
        log_nvr: where_applicable(report.log_nvr())?,
        local_dimension: where_applicable(report.local_dimension())?,
        adaptive: report.adaptive_sharpness()?,
        normalized_mls: report.normalized_mls(),
        iimls_directional: report.iimls_directional(),
        iimls_elementwise: report.iimls_elementwise(),
        bounds: BoundSummary::all(&bounds, &layers)?,
        zero_inputs: bounds.zero_input_rows(),
        layers,
        stability,
    };
    if let Some(folder) = output.folder() {
        folder.write("flatness.json", (to_json(&summary)? + "\n").as_bytes())?;
        files::write(folder, &summary, &report, volume)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

/// The value, unless it cannot be had for this network or from these singular values.
fn where_applicable<V>(value: hesse::Result<V>) -> hesse::Result<Option<V>> {
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotApplicable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn layer(layer: &LayerGeometry) -> LayerSummary {
    let norms = layer.jacobian.spectral_norms();
    LayerSummary {
        name: layer.name.clone(),
        weight_trace: layer.weight_trace(),
        bias_trace: layer.bias_trace(),
        weight_norm: layer.weight_norm,
        weight_frobenius: layer.weight_frobenius,
        sensitivity: norms.iter().sum::<f64>() / norms.len() as f64,
        relative_flatness: layer.gauss_newton_flatness(),
        hessian_flatness: None,
        hessian_flatness_standard_error: None,
    }
}
