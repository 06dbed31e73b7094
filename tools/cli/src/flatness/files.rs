//! The arrays and figures of `hesse flatness`.

use hesse::flatness::{GeometryReport, LayerGeometry, LogVolume};
use hesse::io::{Archive, Array, Format};

use super::summary::Summary;
use super::where_applicable;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::Folder;

/// Writes the values of every sample and layer, and figures of them.
pub(super) fn write(
    folder: &Folder,
    summary: &Summary,
    report: &GeometryReport,
    volume: LogVolume,
) -> Result<(), Failure> {
    folder.write("flatness.npz", &arrays(report, volume)?.to_bytes(Format::Npz)?)?;
    folder.write("bounds.svg", bounds(summary).to_svg().as_bytes())?;
    folder.write("singular_values.svg", spectra(report).to_svg().as_bytes())?;
    folder.write("samples.svg", samples(report).to_svg().as_bytes())?;
    Ok(())
}

/// Arrays of samples, and of samples × layers.
fn arrays(report: &GeometryReport, volume: LogVolume) -> Result<Archive, Failure> {
    let mut arrays = Archive::new();
    let n = report.samples;
    let input = &report.input;
    arrays.insert("S", Array::from_vector(report.parameter_squares()));
    if let Some(dimensions) = where_applicable(input.local_dimensions())? {
        arrays.insert("local_dimension", Array::from_vector(dimensions));
    }
    if let Some(volumes) = where_applicable(input.log_volumes(volume))? {
        arrays.insert("log_volume", Array::from_vector(volumes));
    }
    let singular = Array::new([n, input.kept], input.singular_values.clone())?;
    arrays.insert("singular_values", singular);
    let by_layer = |of: &dyn Fn(&LayerGeometry) -> Vec<f64>| {
        let columns: Vec<Vec<f64>> = report.layers.iter().map(of).collect();
        let rows = (0..n).flat_map(|i| columns.iter().map(move |column| column[i])).collect();
        Array::new([n, columns.len()], rows)
    };
    arrays.insert("input_norm", by_layer(&|l| l.jacobian.norms.clone())?);
    arrays.insert("jacobian_norm", by_layer(&|l| l.jacobian.spectral_norms())?);
    arrays.insert("jacobian_frobenius", by_layer(&|l| l.jacobian.frobenius.clone())?);
    arrays.insert("weight_gradient_squares", by_layer(&|l| l.weight_squares.clone())?);
    arrays.insert("bias_gradient_squares", by_layer(&|l| l.bias_squares.clone())?);
    let per_layer = |of: &dyn Fn(&LayerGeometry) -> f64| {
        Array::from_vector(report.layers.iter().map(of).collect())
    };
    arrays.insert("weight_trace", per_layer(&|l| l.weight_trace()));
    arrays.insert("bias_trace", per_layer(&|l| l.bias_trace()));
    arrays.insert("weight_norm", per_layer(&|l| l.weight_norm.unwrap_or(f64::NAN)));
    arrays.insert("relative_flatness", per_layer(&|l| l.gauss_newton_flatness()));
    Ok(arrays)
}

/// log₁₀ of bound over measure, of every chain.
fn bounds(summary: &Summary) -> Figure {
    let mut figure = Figure::new("What the bounds leave", "bound", "bound / measure").log_y();
    let chains = summary.bounds.iter().filter_map(|b| Some((b, b.slack?)));
    for (k, (bound, slack)) in chains.enumerate() {
        figure = figure.points(&bound.name, [((k + 1) as f64, slack)]);
    }
    figure.horizontal("equality", 1.0)
}

/// The singular values of the Jacobian in the inputs, the mean over samples with its range.
fn spectra(report: &GeometryReport) -> Figure {
    let kept = report.input.kept;
    let of = |k: usize| report.input.singular_values.iter().skip(k).step_by(kept).copied();
    let band = (0..kept).map(|k| {
        let (mut low, mut high) = (f64::INFINITY, 0.0);
        of(k).for_each(|s| {
            low = if s < low { s } else { low };
            high = if s > high { s } else { high };
        });
        ((k + 1) as f64, low, high)
    });
    let mean = (0..kept).map(|k| ((k + 1) as f64, of(k).sum::<f64>() / report.samples as f64));
    Figure::new("Singular values of ∂f/∂x", "rank", "singular value")
        .log_y()
        .band(band)
        .line("mean; shaded: all samples", mean)
}

/// Sensitivity of every sample against its sharpness.
fn samples(report: &GeometryReport) -> Figure {
    let sharpness = report.parameter_squares();
    let points = sharpness.iter().map(|s| s.sqrt()).zip(report.input.spectral_norms());
    Figure::new("Samples", "‖∂f/∂θ‖", "‖∂f/∂x‖₂").points("", points)
}
