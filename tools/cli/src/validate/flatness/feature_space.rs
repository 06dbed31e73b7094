//! What files hold of feature space: Jacobians of the outputs in the inputs of every layer.

use hesse::Error;
use hesse::flatness::{
    AdaptiveCurvature, ConvBound, GeometryReport, LayerGeometry, LogVolume, OverLayers,
    RelativeFlatness, Stability,
};
use hesse::krylov::Trace;
use hesse::network::Objective;

use super::curvature::Case;
use crate::validate::{Checks, Numbers, Rule};

/// Log volumes are sums of logarithms of singular values, off by their relative errors.
const LOG_VOLUME: Rule = Rule::Absolute(1e-8);

/// Singular values below this share of the largest have no digit that two codes share.
const LEAST: f64 = 1e-8;

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
    log_volumes(checks, report)?;

    checks.compare("S_W", relative, &by_layer(report, LayerGeometry::weight_trace));
    checks.compare("S_b", relative, &by_layer(report, LayerGeometry::bias_trace));
    checks.compare("vol_rank", Rule::Exact, &by_layer(report, |l| l.jacobian.rank() as f64));
    let flatness = by_layer(report, LayerGeometry::gauss_newton_flatness);
    checks.compare("relflat_G", relative, &flatness);
    Ok(())
}

/// Log volumes, where all singular values are above rounding: elsewhere both sides are the logarithm of
/// rounding errors.
fn log_volumes(checks: &mut Checks<'_>, report: &GeometryReport) -> Result<(), Error> {
    const REASON: &str = "Jacobians without full rank";
    let above = |values: &[f64], k: usize| values[k - 1] > LEAST * values[0];
    let mut volumes = Vec::new();
    for layer in &report.layers {
        volumes.push(layer.jacobian.log_volumes(LogVolume::All)?);
    }
    let (mut values, mut full) = (Vec::new(), Vec::new());
    for i in 0..report.samples {
        for (layer, volumes) in report.layers.iter().zip(&volumes) {
            values.push(volumes[i]);
            full.push(above(layer.jacobian.singular_values_of(i), layer.jacobian.rank()));
        }
    }
    let values = Numbers::matrix(report.samples, report.layers.len(), values);
    checks.compare_where("J_logvol", LOG_VOLUME, &values, &full, REASON);
    let rank = report.input.rank();
    let top = TOP.min(rank);
    for (name, which, k) in
        [("logvol_mean", LogVolume::All, rank), ("logvol3_mean", LogVolume::Top(top), top)]
    {
        let full = (0..report.samples).all(|i| above(report.input.singular_values_of(i), k));
        let mean = Numbers::scalar(report.log_volume(which)?);
        checks.compare_where(name, LOG_VOLUME, &mean, &[full], REASON);
    }
    Ok(())
}

/// What the reference code adds to every ‖x‖².
pub(super) const EPSILON: f64 = 1e-4;

/// Compares both sides of the bounds, of a pass that was asked for norms of weights.
pub(super) fn bounds(
    checks: &mut Checks<'_>,
    report: &GeometryReport,
    tolerance: f64,
) -> Result<(), Error> {
    let relative = Rule::Relative(tolerance);
    let bounds = report.bounds(ConvBound::Untied)?;
    let norm = |l: &LayerGeometry| l.weight_norm.unwrap_or(f64::NAN);
    checks.compare("W_spec", relative, &by_layer(report, norm));
    checks.compare("W_fro", relative, &by_layer(report, |l| l.weight_frobenius));
    let sharpness = |l: &LayerGeometry| l.normalized_sharpness().unwrap_or(f64::NAN);
    checks.compare("lnorm_sharp", relative, &by_layer(report, sharpness));
    checks.compare("chain", relative, &Numbers::vector(bounds.mls()?.values()));
    checks.compare("quad", relative, &Numbers::scalar(report.input.inverse_norm()));
    let nmls = bounds.nmls()?.values();
    for (name, value) in ["nmls", "nmls_bound_weights", "nmls_bound"].into_iter().zip(nmls) {
        checks.compare(name, relative, &Numbers::scalar(value));
    }
    let factor = bounds.mean_square_amplifier();
    checks.compare("harm", relative, &Numbers::scalar(factor));
    let code = report.bounds_with_epsilon(ConvBound::Untied, EPSILON)?;
    checks.compare("harm_eps", relative, &Numbers::scalar(code.mean_square_amplifier()));
    checks.compare("nmls_bound_eps", relative, &Numbers::scalar(code.nmls()?.rhs()));
    // Sides that are orders of magnitude apart: each relative to itself.
    each(checks, "vol_chain", tolerance, &Numbers::vector(bounds.volume()?.values()));
    let mut rows = Vec::new();
    for k in [1.0, 2.0, 4.0] {
        rows.extend(bounds.ma_ying(k)?.values());
    }
    each(checks, "ma_ying", tolerance, &Numbers::matrix(3, 3, rows));
    let by_layers = bounds.nvr_by_layers()?.rhs();
    checks.compare("nvr_bound_layers", relative, &Numbers::scalar(by_layers));
    let joint = match bounds.nvr() {
        Ok(chain) => chain.rhs(),
        // The reference writes NaN.
        Err(Error::NotApplicable { .. }) => f64::NAN,
        Err(error) => return Err(error),
    };
    checks.compare("nvr_bound", relative, &Numbers::scalar(joint));
    checks.compare("iimls_bound", relative, &Numbers::scalar(bounds.iimls()?.rhs()));
    Ok(())
}

/// Compares every element relative to itself.
fn each(checks: &mut Checks<'_>, name: &str, tolerance: f64, got: &Numbers) {
    let scales = checks.magnitudes(name);
    checks.compare_scaled(name, Rule::Absolute(tolerance), got, &scales);
}

/// Compares sharpness that does not change when weights are rescaled, from the Hessian itself.
pub(super) fn invariants(
    case: &Case<f64>,
    checks: &mut Checks<'_>,
    report: &GeometryReport,
    tolerance: f64,
) -> Result<(), Error> {
    let objective = Objective::new(&case.network, &case.data, case.loss)?;
    let point = objective.at(&case.theta)?;
    let hessian = point.hessian();
    if checks.wants(&["adapt_H"]) {
        let adaptive = AdaptiveCurvature::new(&hessian, &case.theta)?;
        let trace = Trace::exact().run(&adaptive)?.value;
        checks.compare("adapt_H", Rule::Relative(tolerance), &Numbers::scalar(trace));
    }
    let (mut flatness, mut largest) = (Vec::new(), Vec::new());
    for layer in &report.layers {
        let of = RelativeFlatness::new(&hessian, &case.theta, layer)?;
        if checks.wants(&["relflat_H"]) {
            flatness.push(of.exact()?);
        }
        if checks.wants(&["relflat_maxeig"]) {
            let found = of.largest_eigenvalues()?;
            largest.push(if found.converged { found.value } else { f64::NAN });
        }
    }
    checks.compare("relflat_H", Rule::Relative(tolerance), &Numbers::vector(flatness));
    checks.compare("relflat_maxeig", Rule::Relative(1e-10), &Numbers::vector(largest));
    if checks.wants(&["nonuniformity"]) {
        // Neither learning rate nor batch is in it.
        let stability = Stability::check(&objective, &case.theta, 1.0, 1)?;
        let value = if stability.converged { stability.non_uniformity } else { f64::NAN };
        checks.compare("nonuniformity", Rule::Relative(1e-10), &Numbers::scalar(value));
    }
    Ok(())
}
