//! Profiles of layers: activations `init_<layer>`, `trained_<layer>`, and `profile_<stage>`.

use hesse::Result;
use hesse::dimension::LayerProfile;
use hesse::faer::Mat;

use super::{about, compare, matrix};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

/// `layers`.
pub(super) struct Layers;

/// Columns of a profile: maximum likelihood, TwoNN, graph distances (NaN where there is no fit),
/// participation ratio, the corrected one, distinct samples.
const COLUMNS: usize = 6;

impl Layout for Layers {
    fn name(&self) -> &'static str {
        "layers"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["trained_0", "profile_trained"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        // How the network was trained is told, but nothing here follows from it.
        let arrays = checks.inputs(&["labels", "accuracy", "lr", "batch", "epochs"]);
        let run = |checks: &mut Checks<'_>| -> Result<()> {
            for stage in ["init", "trained"] {
                let profile = format!("profile_{stage}");
                if !checks.wants(&[&profile]) {
                    continue;
                }
                let ([count, _], _) = arrays.with_axes::<2>(&profile)?;
                let layers = layers(arrays, checks, stage, count)?;
                let views: Vec<_> =
                    layers.iter().map(|(name, x)| (name.as_str(), x.as_ref())).collect();
                let found = LayerProfile::new().without_spread().run(&views)?;
                let mut rows = Vec::with_capacity(count * COLUMNS);
                for layer in &found {
                    let fit = layer.geodesic.as_ref().ok().and_then(|r| r.fit.as_ref().ok());
                    let estimate = |e: &Result<hesse::dimension::Estimate>| {
                        e.as_ref().map_or(f64::NAN, |e| e.value)
                    };
                    rows.extend([
                        estimate(&layer.likelihood),
                        estimate(&layer.two_nn),
                        fit.map_or(f64::NAN, |f| f.dimension),
                        layer.participation.as_ref().map_or(f64::NAN, |e| e.value),
                        layer.corrected.as_ref().map_or(f64::NAN, |e| e.value),
                        layer.distinct as f64,
                    ]);
                }
                compare(checks, &profile, 1e-8, rows);
            }
            Ok(())
        };
        run(checks).map_err(|error| about(arrays, error))
    }
}

/// Layer 0, the input, serves both stages.
fn layers(
    arrays: &Arrays,
    checks: &mut Checks<'_>,
    stage: &str,
    count: usize,
) -> Result<Vec<(String, Mat<f64>)>> {
    let layer = |l: usize| {
        let own = format!("{stage}_{l}");
        let shared = format!("trained_{l}");
        let name = if l == 0 && !arrays.numbers.contains_key(&own) { shared } else { own };
        let x = matrix(arrays, &name)?;
        Ok((name, x))
    };
    let layers: Vec<(String, Mat<f64>)> = (0..count).map(layer).collect::<Result<_>>()?;
    for (name, _) in &layers {
        checks.inputs(&[name]);
    }
    Ok(layers)
}
