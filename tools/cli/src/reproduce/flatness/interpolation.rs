//! Where the network fits exactly (experiment E8): the trace of the Hessian is S, and relative flatness
//! is input-normalised sensitivity, layer by layer.

use crate::failure::Failure;
use crate::report::Claim;
use hesse::flatness::Geometry;
use hesse::network::{Loss, Objective};

use super::references::{Reference, interpolated};

/// Both identities, on the fitted reference network.
///
/// # Errors
/// Those of the library.
pub fn claims() -> Result<Vec<Claim>, Failure> {
    let Reference { network, data, parameters, .. } = interpolated()?;
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError)?;
    let point = objective.at(&parameters)?;
    let hessian = point.hessian().to_matrix()?;
    let trace: f64 = (0..parameters.len()).map(|i| hessian[(i, i)]).sum();
    let report = Geometry::of_rows(&network, &parameters, data.inputs())?.run()?;
    let apart = (trace - report.trace()).abs() / report.trace();
    let mut flatness = Vec::new();
    for layer in &report.layers {
        let d = layer.jacobian.features;
        let start = layer.weight.start;
        // κ_l = Σ ⟨w_s, w_s'⟩ tr ∂²L/∂w_s∂w_s' from the Hessian itself.
        let w = |s: usize| &parameters[start + s * d..][..d];
        let block = |s: usize, t: usize| -> f64 {
            (0..d).map(|k| hessian[(start + s * d + k, start + t * d + k)]).sum()
        };
        let dot = |s, t| w(s).iter().zip(w(t)).map(|(a, b)| a * b).sum::<f64>();
        let rows = 0..layer.outputs;
        let kappa: f64 = rows
            .clone()
            .flat_map(|s| rows.clone().map(move |t| (s, t)))
            .map(|(s, t)| dot(s, t) * block(s, t))
            .sum();
        flatness.push((kappa - layer.gauss_newton_flatness()).abs() / kappa);
    }
    let worst = flatness.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Claim::with_bar(
            "At interpolation the trace of the Hessian is S",
            "equal",
            format!("{trace:.8} and {:.8}, {apart:.1e} apart", report.trace()),
            "at most 1e-10·S apart",
            apart <= 1e-10,
        ),
        Claim::with_bar(
            "At interpolation relative flatness is the mean of ‖x‖²‖J‖² at every layer",
            "invariant sharpness is sensitivity to internal activations",
            format!("{} layers, at most {worst:.1e} apart", flatness.len()),
            "at most 1e-9 apart",
            worst <= 1e-9,
        ),
    ])
}
