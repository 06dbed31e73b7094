//! Distances along graphs of neighbours and the dimension that they give: `<cloud>__geo<k>_rows`,
//! `__geo<k>_condensed`, `__gc<k>_*`.

use std::collections::BTreeSet;

use hesse::dimension::{GeodesicDimension, Rejected};
use hesse::neighbors::{Geodesics, Graph, Knn, Sources};
use hesse::{Error, Result};

use super::{Clouds, about, compare, compare_exactly, elements, prefixes};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `geodesic`.
pub(super) struct Distances;

impl Layout for Distances {
    fn name(&self) -> &'static str {
        "geodesic"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["swiss__geo5_rows", "swiss__gc5_counts"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let run = |checks: &mut Checks<'_>| -> Result<()> {
            let clouds = Clouds::of(arrays)?;
            for name in prefixes(arrays, "__") {
                let x = clouds.get(checks, &name)?;
                let numbers: BTreeSet<usize> = arrays
                    .numbers
                    .keys()
                    .filter_map(|array| array.strip_prefix(&format!("{name}__")))
                    .filter_map(|what| what.strip_prefix("geo").or(what.strip_prefix("gc")))
                    .filter_map(|what| what.split('_').next()?.parse().ok())
                    .collect();
                let Some(&most) = numbers.last() else { continue };
                let table = Knn::new(most).build(x.as_ref())?;
                for k in numbers {
                    let of = |what: &str| format!("{name}__{what}");
                    let graph = Graph::union(&table, k)?;
                    let rows = of(&format!("geo{k}_rows"));
                    if let Some(array) = arrays.numbers.get(&rows) {
                        let count = array.shape.first().copied().unwrap_or(0).min(x.nrows());
                        let sources = Sources::Vertices((0..count).collect());
                        let found = Geodesics::new(&graph).sources(sources).matrix()?;
                        compare(checks, &rows, 1e-12, elements(&found));
                    }
                    let condensed = of(&format!("geo{k}_condensed"));
                    if checks.wants(&[&condensed]) {
                        let all = Geodesics::new(&graph).matrix()?;
                        let n = all.nrows();
                        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
                        compare(checks, &condensed, 1e-12, pairs.map(|at| all[at]).collect());
                    }
                    dimension(checks, &of(&format!("gc{k}_")), k, &table)?;
                }
            }
            Ok(())
        };
        run(checks).map_err(|error| about(arrays, error))
    }
}

fn dimension(
    checks: &mut Checks<'_>,
    start: &str,
    k: usize,
    table: &hesse::neighbors::Neighbors,
) -> Result<()> {
    let of = |what: &str| format!("{start}{what}");
    let arrays = checks.inputs(&[]);
    if !arrays.numbers.keys().any(|name| name.starts_with(start)) {
        return Ok(());
    }
    let bins = arrays.numbers.get(&of("counts")).map_or(50, |counts| counts.values.len());
    if !(1..=1_000_000).contains(&bins) {
        return Err(Error::range(of("counts"), "1 to 1000000 bins", bins));
    }
    let report = GeodesicDimension::new(k).bins(bins).fit(table)?;
    let law = &report.law;
    compare_exactly(checks, &of("n_used"), vec![report.used as f64]);
    compare_exactly(checks, &of("counts"), law.counts.iter().map(|&c| c as f64).collect());
    for (what, value) in [
        ("r_nn", report.longest_edge),
        ("edge_lo", law.smallest),
        ("edge_hi", law.largest),
        ("mean", law.mean),
        ("sd", law.deviation),
        ("mode", law.mode()),
    ] {
        compare(checks, &of(what), 1e-12, vec![value]);
    }
    let status = match &report.fit {
        Ok(_) => 0.0,
        Err(Rejected::ModeOffMean { .. } | Rejected::ModeOfEdges { .. }) => 1.0,
        Err(_) => 2.0,
    };
    compare_exactly(checks, &of("status"), vec![status]);
    let fit = report.fit.as_ref().ok();
    let number = |value: Option<f64>| vec![value.unwrap_or(f64::NAN)];
    for (what, value) in [
        ("r_max", fit.map(|f| f.r_max)),
        ("sigma", fit.map(|f| f.sigma)),
        ("r_min", fit.map(|f| f.r_min)),
        ("ratio", fit.and_then(|f| f.ratio)),
        ("d_fit", fit.map(|f| f.dimension)),
    ] {
        compare(checks, &of(what), 1e-8, number(value));
    }
    compare_exactly(checks, &of("d_min"), number(fit.map(|f| f.nearest as f64)));
    let residuals = fit.map_or(Vec::new(), |f| f.residuals.clone());
    compare(checks, &of("rmsd"), 1e-8, residuals);
    Ok(())
}
