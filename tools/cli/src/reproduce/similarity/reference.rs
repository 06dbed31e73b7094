//! Depths of another network's layers and of six simulated areas along the ladder that is compiled in
//! (E1, E6), and the ceiling of a population's trials (E5).

use hesse::faer::{Mat, MatRef};
use hesse::io::Archive;
use hesse::similarity::{
    DepthReport, PseudoDepth, Rsm, RsmKind, SplitHalf, SplitHalfCeiling, Trials, multiplicities,
};
use hesse::statistics::quantile;
use hesse::{Error, Result};

use super::Sizes;
use crate::failure::Failure;
use crate::figure::{Figure, heatmap};
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::three;

const BYTES: &[u8] = include_bytes!("../../../data/similarity.npz");

const AREAS: [&str; 6] = ["VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl"];
/// Trials over which the counts of the areas are summed.
const AREA_TRIALS: f64 = 50.0;
/// The depths that the reference finds.
const PROBE_DEPTHS: [usize; 12] = [0, 0, 0, 0, 0, 4, 6, 6, 7, 7, 10, 10];
const AREA_DEPTHS: [usize; 6] = [6, 8, 7, 9, 9, 7];
const CONFIDENCE: f64 = 0.95;

pub(super) struct Reference {
    /// Layers of the other network.
    probe: DepthReport,
    areas: DepthReport,
    /// Of 40 neurons, 25 trials a half.
    ceiling: SplitHalfCeiling,
    /// P(VISp lower) against each of the others, over the samples of the reference and over ours.
    lower: [Vec<f64>; 2],
    /// Standard deviation of the depth of each area over samples of the stimuli.
    sd: Vec<f64>,
}

impl Reference {
    pub(super) fn run(sizes: &Sizes, seed: u64) -> Result<Self, Failure> {
        let archive = Archive::from_bytes(BYTES, "similarity.npz")?;
        let ladder = ranked(&archive, "ladder_ranks")?;
        let probe = PseudoDepth::new().run(&ladder, &ranked(&archive, "probe_ranks")?)?;
        let counts = archive.get("area_counts")?;
        let ([_, n, p], mut values) = three_axes(counts)?;
        values.iter_mut().for_each(|count| *count /= AREA_TRIALS);
        let areas = values
            .chunks_exact(n * p)
            .map(|area| Rsm::pearson(MatRef::from_row_major_slice(area, n, p)))
            .collect::<Result<Vec<_>>>()?;
        let given = archive.get("area_samples")?.to_indices()?;
        let given = given.chunks_exact(n).map(|sample| multiplicities(n, sample));
        let given = given.collect::<Result<Vec<_>>>()?;
        let depth = PseudoDepth::new();
        let given = depth.run_with(&ladder, &areas, &given)?;
        let areas = depth.bootstrap(sizes.bootstrap, seed).run(&ladder, &areas)?;
        let lower = |report: &DepthReport| {
            let draws = report.draws.as_ref().ok_or_else(|| Error::empty("draws"))?;
            (1..AREAS.len())
                .map(|area| draws.probability_lower(0, area))
                .collect::<Result<Vec<f64>>>()
        };
        let lower = [lower(&given)?, lower(&areas)?];
        let draws = areas.draws.as_ref().ok_or_else(|| Error::empty("draws"))?;
        let sd = (0..AREAS.len()).map(|area| draws.standard_deviation(area));
        let sd = sd.collect::<Result<Vec<f64>>>()?;
        let (shape, values) = three_axes(archive.get("trial_counts")?)?;
        let trials = Trials::from_array(shape, &values)?;
        let ceiling = SplitHalf::new(20).seed(seed).run(&trials)?;
        Ok(Self { probe, areas, ceiling, lower, sd })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let SplitHalfCeiling { mean, sd, spearman_brown, model_ceiling, ref scores, .. } =
            self.ceiling;
        // Two means over as many draws.
        let apart = 4.0 * sd * (2.0 / scores.len() as f64).sqrt();
        let least = self.lower[0].iter().copied().fold(f64::INFINITY, f64::min);
        let draws = self.areas.draws.as_ref().map_or(0, |draws| draws.depth.len());
        let depth = &self.areas.argmax;
        let against = |lower: &[f64]| {
            let each = lower.iter().zip(&AREAS[1..]);
            each.map(|(p, area)| format!("{area} {p:.3}")).collect::<Vec<_>>().join(", ")
        };
        vec![
            Claim::with_bar(
                "Depths of the layers of an independently trained network do not decrease (E1)",
                list(&PROBE_DEPTHS),
                list(&self.probe.argmax),
                "the same, exactly",
                self.probe.argmax == PROBE_DEPTHS,
            ),
            Claim::with_bar(
                "Split halves of 50 trials of 40 neurons: similarity of the halves (E5)",
                "0.865",
                format!("{mean:.3} ± {sd:.3}"),
                format!("0.865 within {}", three(apart)),
                (mean - 0.865).abs() <= apart,
            ),
            Claim::reported(
                "What a model without noise could reach with these trials",
                "",
                format!("{model_ceiling:.3}, reliability {spearman_brown:.3}"),
            ),
            Claim::with_bar(
                "Depths of six simulated areas (E6)",
                list(&AREA_DEPTHS),
                list(depth),
                "the same, exactly",
                *depth == AREA_DEPTHS,
            ),
            Claim::with_bar(
                "VISp is lower than every other area (E6)",
                "VISp lower order than the other areas",
                format!("{} against at least {}", depth[0], depth[1..].iter().min().unwrap_or(&0)),
                "strictly",
                depth[1..].iter().all(|other| depth[0] < *other),
            ),
            Claim::with_bar(
                "VISp is lower than each other area with other images, too (E6)",
                "0.75 or more",
                against(&self.lower[0]),
                "at least 0.75 of the reference's 40 samples of the images, against each",
                least >= 0.75,
            ),
            Claim::reported(
                format!("The same over {draws} samples of our own"),
                "",
                against(&self.lower[1]),
            ),
            Claim::reported(
                "Standard deviation of the depth of VISp, whose curve is flat",
                "1.5",
                three(self.sd[0]),
            ),
        ]
    }

    pub(super) fn tables(&self) -> Result<Vec<(String, Table)>, Failure> {
        let mut table = Table::new()
            .words("area")
            .numbers("depth")
            .numbers("sd")
            .numbers("interval")
            .words("layers not below the best");
        let draws = self.areas.draws.as_ref().ok_or_else(|| Error::empty("draws"))?;
        for (area, name) in AREAS.iter().enumerate() {
            let interval = draws.interval(area, CONFIDENCE)?;
            table.row([
                (*name).to_owned(),
                self.areas.argmax[area].to_string(),
                three(self.sd[area]),
                format!("{} to {}", three(interval.low), three(interval.high)),
                list(&draws.not_below_best(area, CONFIDENCE)?),
            ]);
        }
        let caption = "Depths of simulated areas with 95 % intervals over samples of the stimuli";
        Ok(vec![(caption.to_owned(), table)])
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let rows: Vec<Vec<f64>> = (0..self.probe.curves.nrows())
            .map(|probe| self.probe.curves.row(probe).iter().copied().collect())
            .collect();
        let mut curves =
            Figure::new("Simulated areas along the yardstick", "layer", "similarity (Spearman)");
        for (area, name) in AREAS.iter().enumerate() {
            let points = self.areas.curves.row(area).iter().copied().enumerate();
            let points: Vec<(f64, f64)> = points.map(|(l, s)| (l as f64, s)).collect();
            if area == 0 {
                curves = curves.band(self.band(area));
            }
            curves = curves.line(name, points);
        }
        vec![
            Plate {
                name: "similarity-networks".to_owned(),
                caption:
                    "Similarity of the layers of one network (rows) with those of another one: the \
                          best match moves along the diagonal."
                        .to_owned(),
                svg: heatmap(
                    "Layers of two networks",
                    "layer of the yardstick",
                    "layer of the other network",
                    &rows,
                ),
            },
            Plate::of(
                "similarity-areas",
                "VISp is most similar to a lower layer than the other areas, but its curve is flat. Shaded: \
                 95 % of the samples of the stimuli for VISp.",
                &curves,
            ),
        ]
    }

    /// Between the 2.5 % and 97.5 % quantiles of the similarities of an area over draws.
    fn band(&self, area: usize) -> Vec<(f64, f64, f64)> {
        let Some(draws) = &self.areas.draws else { return Vec::new() };
        let ends = |l: usize| {
            let scores: Vec<f64> =
                draws.curves.iter().map(|curves: &Mat<f64>| curves[(area, l)]).collect();
            let low = quantile(&scores, 0.5 * (1.0 - CONFIDENCE)).ok()?;
            let high = quantile(&scores, 0.5 * (1.0 + CONFIDENCE)).ok()?;
            Some((l as f64, low, high))
        };
        (0..self.areas.curves.ncols()).filter_map(ends).collect()
    }
}

fn list(depths: &[usize]) -> String {
    depths.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// Similarity matrices by the ranks of their entries, which are all that Spearman's coefficient reads.
fn ranked(archive: &Archive, name: &str) -> Result<Vec<Rsm>, Failure> {
    let array = archive.get(name)?;
    let [_, pairs] = *array.shape() else {
        return Err(Error::shape(array.label(), "2 axes", array.shape().len()).into());
    };
    let values = array.to_f64()?;
    let rsms =
        values.chunks_exact(pairs).map(|row| Rsm::from_upper(RsmKind::Pearson, row.to_vec()));
    Ok(rsms.collect::<Result<Vec<_>>>()?)
}

fn three_axes(array: &hesse::io::Array) -> Result<([usize; 3], Vec<f64>), Failure> {
    let [a, b, c] = *array.shape() else {
        return Err(Error::shape(array.label(), "3 axes", array.shape().len()).into());
    };
    Ok(([a, b, c], array.to_f64()?))
}
