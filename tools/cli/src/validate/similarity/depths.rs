//! Depths along a ladder of layers: `09_pseudo_depth`, `11_areas`.

use hesse::faer::Mat;
use hesse::similarity::{
    ClusterDepth, Comparator, LayerClusters, PseudoDepth, Rdm, Refine, Rsm, RsmKind,
};
use hesse::{Error, Result};

use super::resampling::samples;
use super::{Golden, TABLE, elements};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `09_pseudo_depth`.
pub(super) struct Ladders;

/// `11_areas`: populations along the ladder of `09_pseudo_depth`.
pub(super) struct Areas;

/// Of a vertex: a quotient of differences of scores, whose smallest bend is a thousandth.
const VERTEX: f64 = 1e-9;

impl Layout for Ladders {
    fn name(&self) -> &'static str {
        "09_pseudo_depth"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["ladder_rsm_upper", "probe_rsm_upper"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            // Told, but nothing follows from them.
            file.checks.inputs(&["n", "units"]);
            let ladder = rsms(file, "ladder_rsm_upper")?;
            let probe = rsms(file, "probe_rsm_upper")?;
            let depth = PseudoDepth::new().refine(Refine::Parabolic);
            let report = depth.run(&ladder, &probe)?;
            file.check("ssm_spearman", &elements(&report.curves), TABLE);
            let argmax: Vec<f64> = report.argmax.iter().map(|&l| l as f64).collect();
            file.exact("argmax", &argmax);
            file.check("parabolic", &report.depth, VERTEX);
            let last = ladder.len() as f64 - 1.0;
            let normalised: Vec<f64> = report.depth.iter().map(|d| d / last).collect();
            file.check("normalised", &normalised, VERTEX);
            let pearson = depth.comparator(Comparator::Pearson).curves(&ladder, &probe)?;
            file.check("ssm_pearson", &elements(&pearson), TABLE);
            let own = depth.curves(&ladder, &ladder)?;
            file.check("ssm_self", &elements(&own), TABLE);
            clusters(file, &own, &report.curves)
        })
    }
}

/// Ward's clusters of the ladder, and depths among them.
fn clusters(file: &mut Golden<'_, '_>, own: &Mat<f64>, curves: &Mat<f64>) -> Result<()> {
    let Some(means) = file.output("cluster_mean_ssm") else {
        file.checks.not_recomputed(&["ward_labels", "cluster_depth", "cluster_selectivity"]);
        return Ok(());
    };
    let count = means.shape.get(1).copied().unwrap_or(0);
    let layers = own.nrows();
    let mut distances = Mat::from_fn(layers, layers, |i, j| 1.0 - own[(i, j)]);
    (0..layers).for_each(|i| distances[(i, i)] = 0.0);
    let clusters = LayerClusters::ward(&Rdm::from_matrix(distances.as_ref())?, count)?;
    if let Some(labels) = file.output("ward_labels") {
        // SciPy numbers clusters by its tree, ours are in the order of the ladder.
        let mut seen: Vec<f64> = Vec::new();
        let mut place = |label: f64| match seen.iter().position(|&l| l == label) {
            Some(place) => place,
            None => {
                seen.push(label);
                seen.len() - 1
            }
        };
        let want: Vec<usize> = labels.values.iter().map(|&label| place(label)).collect();
        if want.len() != layers {
            return Err(Error::shape("ward_labels: layers", layers, want.len()));
        }
        let broken = want.iter().zip(clusters.labels()).filter(|(a, b)| a != b).count();
        file.checks.inputs(&["ward_labels"]);
        file.checks.law("ward_labels", "the same groups of layers", broken);
    }
    let depths = (0..curves.nrows()).map(|area| {
        let curve: Vec<f64> = curves.row(area).iter().copied().collect();
        clusters.depth(&curve, None)
    });
    let depths = depths.collect::<Result<Vec<ClusterDepth>>>()?;
    let means: Vec<f64> = depths.iter().flat_map(|d| d.means.iter().copied()).collect();
    file.check("cluster_mean_ssm", &means, TABLE);
    let of = |f: fn(&ClusterDepth) -> f64| depths.iter().map(f).collect::<Vec<f64>>();
    file.check("cluster_depth", &of(|d| d.depth), TABLE);
    file.check("cluster_selectivity", &of(|d| d.selectivity), TABLE);
    Ok(())
}

fn rsms(file: &mut Golden<'_, '_>, name: &str) -> Result<Vec<Rsm>> {
    file.rows(name)?.into_iter().map(|row| Rsm::from_upper(RsmKind::Pearson, row)).collect()
}

/// In the order of the outputs.
const AREAS: [&str; 6] = ["VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl"];

impl Layout for Areas {
    fn name(&self) -> &'static str {
        "11_areas"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["boot_idx", "count_sum_VISp", "trials"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, Some("09_pseudo_depth.npz"), |file| {
            file.checks.inputs(&["true_layer"]);
            let ladder = rsms(file, "ladder_rsm_upper")?;
            let trials = file.scalar("trials")?;
            let mut areas = Vec::new();
            for area in AREAS {
                let name = format!("count_sum_{area}");
                let sums = file.mat(&name)?;
                let mean = Mat::from_fn(sums.nrows(), sums.ncols(), |i, j| sums[(i, j)] / trials);
                areas.push(Rsm::pearson(mean.as_ref())?);
            }
            let n = file.mat("count_sum_VISp")?.nrows();
            let samples = samples(file, "boot_idx", n)?;
            let report = PseudoDepth::new().run_with(&ladder, &areas, &samples)?;
            file.check("ssm_curves", &elements(&report.curves), TABLE);
            file.exact("depth_argmax", &report.depth);
            let parabolic = PseudoDepth::new().refine(Refine::Parabolic).run(&ladder, &areas)?;
            file.check("depth_parabolic", &parabolic.depth, VERTEX);
            let Some(draws) = report.draws else { return Ok(()) };
            let all = (0..areas.len()).map(|area| draws.of(area)).collect::<Result<Vec<_>>>()?;
            file.exact("boot_depth_argmax", &all.concat());
            let sd = (0..areas.len()).map(|area| draws.standard_deviation(area));
            file.check("boot_depth_sd", &sd.collect::<Result<Vec<_>>>()?, TABLE);
            let lower = (1..areas.len()).map(|area| draws.probability_lower(0, area));
            file.check("prob_visp_lower", &lower.collect::<Result<Vec<_>>>()?, TABLE);
            Ok(())
        })
    }
}
