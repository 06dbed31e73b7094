//! What files hold of feature space: Jacobians of the outputs in the inputs of every layer.

use hesse::Error;
use hesse::flatness::{GeometryReport, LayerGeometry, LogVolume, OverLayers};

use crate::validate::{Checks, Numbers, Rule};

/// Log volumes are sums of logarithms of singular values, off by their relative errors.
const LOG_VOLUME: Rule = Rule::Absolute(1e-8);

/// Singular values in the log volume of the reference code.
const TOP: usize = 3;

/// n × L from a vector of every layer.
fn by_sample(report: &GeometryReport, of: impl Fn(&LayerGeometry) -> Vec<f64>) -> Numbers {
    let columns: Vec<Vec<f64>> = report.layers.iter().map(of).collect();
    let rows = (0..report.samples).flat_map(|i| columns.iter().map(move |column| column[i]));
    Numbers::matrix(report.samples, columns.len(), rows.collect())
}

/// A number of every layer.
pub(super) fn by_layer(report: &GeometryReport, of: impl Fn(&LayerGeometry) -> f64) -> Numbers {
    Numbers::vector(report.layers.iter().map(of).collect())
}

/// Compares the measures that `report` holds; `tolerance` is relative to the largest entry.
pub(super) fn measures(
    checks: &mut Checks<'_>,
    report: &GeometryReport,
    tolerance: f64,
) -> Result<(), Error> {
    let relative = Rule::Relative(tolerance);
    let mut scalar = |name: &str, rule: Rule, value: f64| {
        checks.compare(name, rule, &Numbers::scalar(value));
    };
    scalar("S", relative, report.trace());
    scalar("mls", relative, report.mls());
    scalar("nmls", relative, report.nmls(OverLayers::Sum)?);
    scalar("J_fro2_mean", relative, report.mean_squared_frobenius());
    scalar("local_dim_mean", relative, report.local_dimension()?);
    scalar("logvol_mean", LOG_VOLUME, report.log_volume(LogVolume::All)?);
    let top = LogVolume::Top(TOP.min(report.input.rank()));
    scalar("logvol3_mean", LOG_VOLUME, report.log_volume(top)?);
    // A relative error of e^x is an absolute error of x.
    scalar("nvr", Rule::Relative(1e-8), report.log_nvr()?.exp());
    scalar("norm_mls", relative, report.normalized_mls());
    scalar("iimls_elem", relative, report.iimls_elementwise());
    scalar("iimls_dir", relative, report.iimls_directional());
    scalar("adapt_G", relative, report.adaptive_sharpness()?);
    if let Some(&first) = report.adaptive_sharpness_of_weights()?.first() {
        scalar("adapt_G_W1", relative, first);
    }

    let input = &report.input;
    let singular = Numbers::matrix(report.samples, input.rank(), input.singular_values.clone());
    checks.compare("J_sv", relative, &singular);
    checks.compare("local_dim", relative, &Numbers::vector(input.local_dimensions()?));

    checks.compare("in_norm", relative, &by_sample(report, |l| l.jacobian.norms.clone()));
    checks.compare("J_smax", relative, &by_sample(report, |l| l.jacobian.spectral_norms()));
    checks.compare("J_fro", relative, &by_sample(report, |l| l.jacobian.frobenius.clone()));
    checks.compare("gradW_fro2", relative, &by_sample(report, |l| l.weight_squares.clone()));
    checks.compare("gradb_fro2", relative, &by_sample(report, |l| l.bias_squares.clone()));
    if checks.wants(&["J_logvol"]) {
        let mut volumes = Vec::new();
        for layer in &report.layers {
            volumes.push(layer.jacobian.log_volumes(LogVolume::All)?);
        }
        let rows = (0..report.samples).flat_map(|i| volumes.iter().map(move |column| column[i]));
        let volumes = Numbers::matrix(report.samples, report.layers.len(), rows.collect());
        checks.compare("J_logvol", LOG_VOLUME, &volumes);
    }

    checks.compare("S_W", relative, &by_layer(report, LayerGeometry::weight_trace));
    checks.compare("S_b", relative, &by_layer(report, LayerGeometry::bias_trace));
    checks.compare("vol_rank", Rule::Exact, &by_layer(report, |l| l.jacobian.rank() as f64));
    let flatness = by_layer(report, LayerGeometry::gauss_newton_flatness);
    checks.compare("relflat_G", relative, &flatness);
    Ok(())
}
