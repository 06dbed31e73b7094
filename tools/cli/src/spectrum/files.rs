//! The arrays and figures of `hesse spectrum`.

use hesse::Real;
use hesse::io::{Archive, Array, Format};
use hesse::krylov::{Density, Eigenpairs, TraceEstimate};

use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::Folder;

/// The results themselves.
pub(super) struct Results<T> {
    pub(super) pairs: Option<Eigenpairs<T>>,
    pub(super) trace: Option<TraceEstimate>,
    pub(super) density: Option<Density>,
}

impl<T: Real> Results<T> {
    /// Arrays and figures.
    pub(super) fn write(&self, folder: &Folder) -> Result<(), Failure> {
        if let Some(pairs) = &self.pairs {
            let mut arrays = Archive::new();
            arrays.insert("values", Array::from_vector(pairs.values.clone()));
            arrays.insert("residuals", Array::from_vector(pairs.residuals.clone()));
            arrays.insert("error_bounds", Array::from_vector(pairs.error_bounds.clone()));
            arrays.insert("vectors", Array::from_mat(pairs.vectors.as_ref())?);
            folder.write("eigenpairs.npz", &arrays.to_bytes(Format::Npz)?)?;
            let points = pairs.values.iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v));
            let figure = Figure::new("Eigenvalues", "rank", "eigenvalue").points("", points);
            folder.write("eigenvalues.svg", figure.to_svg().as_bytes())?;
        }
        if let Some(trace) = &self.trace {
            let mut arrays = Archive::new();
            arrays.insert("terms", Array::from_vector(trace.terms.clone()));
            folder.write("trace.npz", &arrays.to_bytes(Format::Npz)?)?;
        }
        if let Some(density) = &self.density {
            folder.write("density.npz", &density_arrays(density)?.to_bytes(Format::Npz)?)?;
            let curve = |y: &[f64]| -> Vec<(f64, f64)> {
                density.grid.iter().copied().zip(y.iter().copied()).collect()
            };
            let band = |y: &[f64], e: &[f64]| -> Vec<(f64, f64, f64)> {
                let sides = y.iter().zip(e).map(|(y, e)| (y - e, y + e));
                density.grid.iter().zip(sides).map(|(x, (low, high))| (*x, low, high)).collect()
            };
            let top = density.density.iter().fold(0.0, |a: f64, b| if *b > a { *b } else { a });
            let figure = Figure::new("Density of the spectrum", "eigenvalue", "density")
                .log_y()
                .y_from_to(1e-8 * top, 2.0 * top)
                .band(band(&density.density, &density.density_error))
                .line("", curve(&density.density));
            folder.write("density.svg", figure.to_svg().as_bytes())?;
            let figure = Figure::new("Cumulative spectrum", "eigenvalue", "share of eigenvalues")
                .band(band(&density.cumulative, &density.cumulative_error))
                .line("", curve(&density.cumulative));
            folder.write("cumulative.svg", figure.to_svg().as_bytes())?;
        }
        Ok(())
    }
}

/// The density as arrays. Rows of `nodes` and `weights` belong to probes; where a probe ended early,
/// NaN fills its row.
fn density_arrays(density: &Density) -> Result<Archive, Failure> {
    let mut arrays = Archive::new();
    for (name, values) in [
        ("grid", &density.grid),
        ("density", &density.density),
        ("density_error", &density.density_error),
        ("cumulative", &density.cumulative),
        ("cumulative_error", &density.cumulative_error),
        ("smoothed_cumulative", &density.smoothed_cumulative),
        ("smoothed_cumulative_error", &density.smoothed_cumulative_error),
    ] {
        arrays.insert(name, Array::from_vector(values.clone()));
    }
    let rules = &density.quadratures;
    let steps = rules.iter().map(|rule| rule.nodes.len()).max().unwrap_or(0);
    let rows = |row: fn(&hesse::krylov::Quadrature) -> &[f64]| -> Vec<f64> {
        let padded =
            |rule| row(rule).iter().copied().chain(std::iter::repeat(f64::NAN)).take(steps);
        rules.iter().flat_map(padded).collect()
    };
    arrays.insert("nodes", Array::new([rules.len(), steps], rows(|rule| &rule.nodes))?);
    arrays.insert("weights", Array::new([rules.len(), steps], rows(|rule| &rule.weights))?);
    arrays.insert("sigma", Array::from_vector(vec![density.sigma]));
    Ok(arrays)
}
