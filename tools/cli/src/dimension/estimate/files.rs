//! The arrays and figures of `hesse dimension estimate`.

use hesse::dimension::DistanceLaw;
use hesse::io::{Archive, Array, Format};
use hesse::statistics::Spectrum;

use super::summary::Summary;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::Folder;

/// What came out, with what is too long to print.
pub(super) struct Results {
    pub(super) summary: Summary,
    /// Maximum likelihood at each point.
    pub(super) pointwise: Option<Vec<f64>>,
    pub(super) spectrum: Option<Spectrum>,
    /// Distances along the graph.
    pub(super) law: Option<DistanceLaw>,
}

pub(super) fn write(folder: &Folder, results: &Results) -> Result<(), Failure> {
    let mut arrays = Archive::new();
    let scales = &results.summary.scales;
    let column = |of: fn(&super::summary::Scale) -> f64| {
        Array::from_vector(scales.iter().map(of).collect::<Vec<_>>())
    };
    arrays.insert("scale_radius", column(|s| s.radius));
    arrays.insert("scale_dimension", column(|s| s.value.unwrap_or(f64::NAN)));
    arrays.insert("scale_error", column(|s| s.standard_error.unwrap_or(f64::NAN)));
    if let Some(pointwise) = &results.pointwise {
        arrays.insert("pointwise", Array::from_vector(pointwise.clone()));
    }
    if let Some(spectrum) = &results.spectrum {
        arrays.insert("eigenvalues", Array::from_vector(spectrum.values().to_vec()));
        let values = spectrum.values().iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v));
        let figure = Figure::new("Spectrum of the covariance", "rank", "eigenvalue")
            .log_y()
            .line("", values)
            .vertical("participation ratio", spectrum.participation_ratio());
        folder.write("spectrum.svg", figure.to_svg().as_bytes())?;
    }
    if let Some(law) = &results.law {
        let counts: Vec<f64> = law.counts.iter().map(|&c| c as f64).collect();
        let figure = Figure::new("Distances along the graph", "distance", "pairs")
            .bars("", &law.edges(), &counts)
            .vertical("mode", law.mode());
        folder.write("distances.svg", figure.to_svg().as_bytes())?;
        arrays.insert("distance_edges", Array::from_vector(law.edges()));
        arrays.insert("distance_counts", Array::from_vector(counts));
    }
    let points: Vec<_> = scales
        .iter()
        .filter_map(|s| Some((s.radius, s.value?, s.standard_error.unwrap_or(0.0))))
        .collect();
    let figure =
        Figure::new("Dimension against scale", "mean distance of the neighbours", "dimension")
            .log_x()
            .band(points.iter().map(|&(r, d, e)| (r, d - 2.0 * e, d + 2.0 * e)))
            .line("Gride; shaded: two standard errors", points.iter().map(|&(r, d, _)| (r, d)));
    folder.write("scales.svg", figure.to_svg().as_bytes())?;
    folder.write("estimate.npz", &arrays.to_bytes(Format::Npz)?)?;
    Ok(())
}
