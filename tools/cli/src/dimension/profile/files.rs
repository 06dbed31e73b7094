//! The arrays and the figure of `hesse dimension profile`.

use hesse::io::{Archive, Array, Format};

use super::summary::{Layer, Summary, Value};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::Folder;

/// A column of the table.
type Column = (&'static str, &'static str, fn(&Layer) -> &Value);

const COLUMNS: [Column; 5] = [
    ("maximum_likelihood", "local: maximum likelihood", |l| &l.maximum_likelihood),
    ("two_nn", "local: TwoNN", |l| &l.two_nn),
    ("graph_distances", "global: graph distances", |l| &l.graph_distances),
    ("participation_ratio", "linear: participation ratio", |l| &l.participation_ratio),
    ("participation_ratio_corrected", "linear, corrected", |l| &l.participation_ratio_corrected),
];

/// Writes the values and standard errors of every layer, NaN where there is none, and the profile.
pub(super) fn write(folder: &Folder, summary: &Summary) -> Result<(), Failure> {
    let layers = &summary.layers;
    let mut arrays = Archive::new();
    let mut figure = Figure::new("Dimensions behind the layers", "layer", "dimension").log_y();
    for (name, label, column) in COLUMNS {
        let values = |of: fn(&Value) -> Option<f64>| -> Vec<f64> {
            layers.iter().map(|layer| of(column(layer)).unwrap_or(f64::NAN)).collect()
        };
        let (value, error) = (values(|v| v.value), values(|v| v.standard_error));
        // Two standard errors; for the graph the range over its settings.
        let band = layers.iter().enumerate().filter_map(|(l, layer)| match name {
            "graph_distances" => layer.graph_range.map(|[low, high]| (l as f64, low, high)),
            _ => {
                let (value, error) = (value[l], 2.0 * error[l]);
                error.is_finite().then_some((l as f64, value - error, value + error))
            }
        });
        figure = figure.band(band.collect::<Vec<_>>());
        figure = figure.line(label, value.iter().enumerate().map(|(l, v)| (l as f64, *v)));
        arrays.insert(name, Array::from_vector(value));
        arrays.insert(format!("{name}_error"), Array::from_vector(error));
    }
    let counts = |of: fn(&Layer) -> usize| {
        Array::from_vector(layers.iter().map(|layer| of(layer) as i64).collect::<Vec<_>>())
    };
    arrays.insert("units", counts(|layer| layer.features));
    arrays.insert("distinct", counts(|layer| layer.distinct));
    folder.write("profile.npz", &arrays.to_bytes(Format::Npz)?)?;
    folder.write("profile.svg", figure.to_svg().as_bytes())?;
    Ok(())
}
