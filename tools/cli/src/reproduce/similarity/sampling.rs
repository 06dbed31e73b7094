//! What few neurons, few images and few trials make of depths (E2 to E5).

use hesse::faer::Mat;
use hesse::random::Stream;
use hesse::similarity::{
    Comparator, Pairwise, PseudoDepth, RowVariance, Rsm, RsmKind, multiplicities,
};
use hesse::statistics::{average_ranks, standard_deviation};
use hesse::{Error, Result};

use super::networks::{Networks, STIMULI, Tap};
use super::{Sizes, mean};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;

const UNITS: [usize; 7] = [10, 25, 50, 100, 250, 500, 1000];
const EXACT: &str = "0.29, 0.56, 0.72, 0.79, 0.94, 0.99, 1.00";
const ACROSS: [usize; 5] = [25, 50, 100, 200, 400];
const IMAGES: [usize; 5] = [20, 40, 60, 118, 300];
const TRIALS: [usize; 4] = [1, 5, 25, 50];
/// The layer of the experiments with one layer: the last convolution.
const TAP: usize = 8;
const NEURONS: usize = 60;
/// A stimulus to which none of the drawn units responds is like no other.
const SILENT: RowVariance = RowVariance::Floor(1e-7);

pub(super) struct Sampling {
    accuracy: [f64; 2],
    /// Depths of the probe's layers.
    depths: Vec<usize>,
    /// For each number of units: the share of draws that find their own layer, in either network.
    exact: Vec<f64>,
    /// For each number of units: similarity with the best layer, as a share of that of all units, and
    /// the standard deviation of its depth.
    share: Vec<(f64, f64)>,
    /// For each number of images: standard deviation of depth and of similarity, means over layers.
    images: Vec<(f64, f64)>,
    /// For each number of trials: similarity with the layer that gives the rates.
    trials: Vec<f64>,
}

impl Sampling {
    pub(super) fn run(sizes: &Sizes, seed: u64, networks: &Networks) -> Result<Self, Failure> {
        let stimuli: Vec<usize> = (0..STIMULI).collect();
        let selected = |taps: &[Tap]| {
            taps.iter().map(|tap| tap.rsm.select(&stimuli)).collect::<Result<Vec<Rsm>>>()
        };
        let (ladder, probe) = (selected(&networks.ladder)?, selected(&networks.probe)?);
        let depths = PseudoDepth::new().run(&ladder, &probe)?.argmax;
        let ladder = ladder.iter().map(ranks).collect::<Result<Vec<Rsm>>>()?;
        let probe = probe.iter().map(ranks).collect::<Result<Vec<Rsm>>>()?;
        let stream = Stream::new(seed, "reproduce similarity");
        let own = [(&networks.ladder[..], &ladder[..]), (&networks.probe, &probe)];
        Ok(Self {
            accuracy: networks.accuracy,
            depths,
            exact: exact(sizes, &stream.child(0), own)?,
            share: share(sizes, &stream.child(1), &networks.probe[TAP], &ladder)?,
            images: images(sizes, &stream.child(2), networks)?,
            trials: trials(sizes, &stream.child(3), &networks.ladder[TAP], &ladder[TAP])?,
        })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let [.., at_118, _] = &self.images[..] else { return Vec::new() };
        let few = self.images[0];
        let rises = |values: &[f64], slack: f64| values.windows(2).all(|w| w[1] > w[0] - slack);
        // Two shares of some four hundred draws, and the ceiling of 1. What so few as 10 or 100 units
        // reach depends on the pair of networks, with the reference's own training as well.
        let exact = rises(&self.exact, 0.02) && self.exact[4] >= 0.9;
        let shares: Vec<f64> = self.share.iter().map(|(share, _)| *share).collect();
        let depths: Vec<f64> = self.share.iter().map(|(_, depth)| *depth).collect();
        let share = rises(&shares, 0.0) && shares[4] >= 0.98;
        vec![
            Claim::with_bar(
                "Two networks trained here classify digits that they have not seen",
                "0.91",
                numbers(&self.accuracy),
                "0.85 or more",
                self.accuracy.iter().all(|share| *share >= 0.85),
            ),
            Claim::reported(
                "Depths of the layers of one along the other",
                "",
                self.depths.iter().map(usize::to_string).collect::<Vec<_>>().join(" "),
            ),
            Claim::with_bar(
                format!("Units that find their own layer, of {} of them (E2)", whole(&UNITS)),
                EXACT,
                numbers(&self.exact),
                "rising, at least 0.9 of the draws of 250",
                exact,
            ),
            Claim::reported(
                "Units that find their own layer, of 10",
                "at most 0.4; 0.35 to 0.46 of four other pairs",
                format!("{:.3}", self.exact[0]),
            ),
            Claim::with_bar(
                format!(
                    "Similarity of {} units of another network, as a share of that of all (E3)",
                    whole(&ACROSS)
                ),
                "0.80, 0.88, 0.96, 0.98, 1.00",
                numbers(&shares),
                "rising, at least 0.98 at 400",
                share,
            ),
            Claim::reported(
                "Similarity of 100 units of another network, as a share of that of all",
                "at least 0.93; 0.91 to 0.94 of four other pairs",
                format!("{:.3}", shares[2]),
            ),
            Claim::reported(
                format!("Standard deviation of their depth, of {} units", whole(&ACROSS)),
                "0.47 to 0",
                numbers(&depths),
            ),
            Claim::with_bar(
                format!("Standard deviation of depth over sets of {} images (E4)", whole(&IMAGES)),
                "1.54, 0.96, 0.89, 0.68, 0.47",
                numbers(&self.images.iter().map(|(depth, _)| *depth).collect::<Vec<_>>()),
                "at most 1.0 at 118; at 20 at least 1.5 times that",
                at_118.0 <= 1.0 && few.0 >= 1.5 * at_118.0,
            ),
            Claim::with_bar(
                format!("Standard deviation of similarity over sets of {} images", whole(&IMAGES)),
                "0.035 to 0.007",
                numbers(&self.images.iter().map(|(_, score)| *score).collect::<Vec<_>>()),
                "falling",
                self.images.windows(2).all(|w| w[1].1 < w[0].1),
            ),
            Claim::with_bar(
                format!(
                    "Similarity of {NEURONS} noisy neurons after {} trials (E5)",
                    whole(&TRIALS)
                ),
                "rises",
                numbers(&self.trials),
                "rising",
                rises(&self.trials, 0.0),
            ),
        ]
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let units = Figure::new("Few units", "units", "share")
            .log_x()
            .line("draws that find their own layer", points(&UNITS, &self.exact))
            .line(
                "similarity of another network, of that of all units",
                points(&ACROSS, &self.share.iter().map(|(share, _)| *share).collect::<Vec<_>>()),
            );
        let of = |f: fn(&(f64, f64)) -> f64| self.images.iter().map(f).collect::<Vec<_>>();
        let images = Figure::new("Few images", "images", "standard deviation over sets")
            .log_x()
            .log_y()
            .line("depth, in layers", points(&IMAGES, &of(|(depth, _)| *depth)))
            .line("similarity", points(&IMAGES, &of(|(_, score)| *score)));
        vec![
            Plate::of(
                "similarity-units",
                "A few hundred units find the layer that they come from; across networks, a hundred have \
                 nearly the similarity of all.",
                &units,
            ),
            Plate::of(
                "similarity-images",
                "Depth is known to less than a layer from some hundred images.",
                &images,
            ),
        ]
    }
}

fn points(x: &[usize], y: &[f64]) -> Vec<(f64, f64)> {
    x.iter().zip(y).map(|(&x, &y)| (x as f64, y)).collect()
}

fn numbers(values: &[f64]) -> String {
    values.iter().map(|v| three(*v)).collect::<Vec<_>>().join(", ")
}

fn whole(values: &[usize]) -> String {
    values.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// The matrix of average ranks, whose Pearson correlations are Spearman's of the matrix: one sort a
/// matrix instead of one a comparison.
fn ranks(rsm: &Rsm) -> Result<Rsm> {
    Rsm::from_upper(RsmKind::Pearson, average_ranks("similarities", rsm.upper())?)
}

/// The layer of the largest Pearson correlation of a matrix of ranks, and that correlation.
fn deepest(ladder: &[Rsm], area: &Rsm) -> Result<(usize, f64)> {
    let mut best = (0, f64::NEG_INFINITY);
    for (l, layer) in ladder.iter().enumerate() {
        let score = Comparator::Pearson.compare(area, layer)?;
        if score > best.1 {
            best = (l, score);
        }
    }
    Ok(best)
}

/// Units of a tap that respond to some of the stimuli, and differently to two of them.
fn alive(tap: &Tap) -> Vec<usize> {
    let x = &tap.responses;
    (0..x.ncols()).filter(|&u| (1..STIMULI).any(|s| x[(s, u)] != x[(0, u)])).collect()
}

/// Ranks of the similarity matrix of `count` of the live units.
fn drawn(tap: &Tap, alive: &[usize], count: usize, stream: &Stream) -> Result<Rsm> {
    let units: Vec<usize> =
        stream.permutation(alive.len())[..count].iter().map(|&u| alive[u]).collect();
    let x = tap.responses.subrows(0, STIMULI);
    ranks(&Rsm::of_units(x, &units, RsmKind::Pearson, SILENT)?)
}

/// E2: over all layers with more live units, since all units of a layer are no sample of it.
fn exact(sizes: &Sizes, stream: &Stream, networks: [(&[Tap], &[Rsm]); 2]) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for (k, &count) in UNITS.iter().enumerate() {
        let (mut right, mut all) = (0.0, 0.0);
        let layers = networks.iter().flat_map(|(taps, ladder)| {
            taps.iter().enumerate().map(move |(l, tap)| (l, tap, ladder))
        });
        for (index, (l, tap, ladder)) in layers.enumerate() {
            let alive = alive(tap);
            if alive.len() <= count {
                continue;
            }
            let stream = stream.child(k as u64).child(index as u64);
            for draw in 0..sizes.units {
                let area = drawn(tap, &alive, count, &stream.child(draw))?;
                right += if deepest(ladder, &area)?.0 == l { 1.0 } else { 0.0 };
                all += 1.0;
            }
        }
        if all == 0.0 {
            return Err(Error::range(
                "live units of a layer",
                format!("more than {count}"),
                "fewer",
            ));
        }
        rates.push(right / all);
    }
    Ok(rates)
}

/// E3: each draw with the layer that is best for it.
fn share(sizes: &Sizes, stream: &Stream, probe: &Tap, ladder: &[Rsm]) -> Result<Vec<(f64, f64)>> {
    let alive = alive(probe);
    let full = deepest(ladder, &drawn(probe, &alive, alive.len(), stream)?)?.1;
    let share = |(k, &count): (usize, &usize)| {
        // A layer may have fewer that live.
        let count = count.min(alive.len());
        let stream = stream.child(k as u64);
        let best = |draw| deepest(ladder, &drawn(probe, &alive, count, &stream.child(draw))?);
        let best = (0..sizes.units).map(best).collect::<Result<Vec<_>>>()?;
        let scores: Vec<f64> = best.iter().map(|(_, score)| score / full).collect();
        let depths: Vec<f64> = best.iter().map(|(depth, _)| *depth as f64).collect();
        Ok((mean(&scores), standard_deviation(&depths)))
    };
    ACROSS.iter().enumerate().map(share).collect()
}

/// E4: similarity does not depend on the other images, so sets are parts of one matrix.
fn images(sizes: &Sizes, stream: &Stream, networks: &Networks) -> Result<Vec<(f64, f64)>> {
    let tables = |taps: &[Tap]| taps.iter().map(|tap| tap.rsm.clone()).collect::<Vec<Rsm>>();
    let (ladder, probe) = (tables(&networks.ladder), tables(&networks.probe));
    let n = ladder[0].stimuli();
    let mut samples = Vec::new();
    for (k, &count) in IMAGES.iter().enumerate() {
        let stream = stream.child(k as u64);
        for set in 0..sizes.images {
            samples.push(multiplicities(n, &stream.child(set).permutation(n)[..count])?);
        }
    }
    let report = PseudoDepth::new().run_with(&ladder, &probe, &samples)?;
    let draws = report.draws.ok_or_else(|| Error::empty("draws"))?;
    let mut spreads = Vec::new();
    for k in 0..IMAGES.len() {
        let sets = k * sizes.images as usize..(k + 1) * sizes.images as usize;
        let spread = |of: &dyn Fn(usize) -> f64| {
            standard_deviation(&sets.clone().map(of).collect::<Vec<f64>>())
        };
        let depths: Vec<f64> =
            (0..probe.len()).map(|area| spread(&|d| draws.depth[d][area])).collect();
        let scores: Vec<f64> = (0..probe.len())
            .map(|area| spread(&|d| draws.curves[d][(area, report.argmax[area])]))
            .collect();
        spreads.push((mean(&depths), mean(&scores)));
    }
    Ok(spreads)
}

/// E5: rates 0.1 + 0.3 a/mean(a) a trial of activations a.
fn trials(sizes: &Sizes, stream: &Stream, tap: &Tap, layer: &Rsm) -> Result<Vec<f64>> {
    let x = &tap.responses;
    let mean_of = |u: usize| (0..STIMULI).map(|s| x[(s, u)]).sum::<f64>() / STIMULI as f64;
    let alive: Vec<usize> = (0..x.ncols()).filter(|&u| mean_of(u) > 0.0).collect();
    if alive.len() < NEURONS {
        return Err(Error::range("live units of a layer", format!("{NEURONS}"), alive.len()));
    }
    let score = |k: usize, count: usize, population: u64| {
        // The same neurons for any number of trials.
        let stream = stream.child(population);
        let units: Vec<usize> = stream.permutation(alive.len())[..NEURONS].to_vec();
        let mut uniforms = vec![0.0; STIMULI * NEURONS];
        stream.child(k as u64).uniforms(0, &mut uniforms);
        // Counts of independent trials add up to a Poisson count of their summed rate.
        let counts = Mat::from_fn(STIMULI, NEURONS, |s, u| {
            let unit = alive[units[u]];
            let rate = 0.1 + 0.3 * x[(s, unit)] / mean_of(unit);
            poisson(count as f64 * rate, uniforms[s * NEURONS + u])
        });
        let rsm = Rsm::of(counts.as_ref(), RsmKind::Pearson, SILENT)?;
        Comparator::Pearson.compare(&ranks(&rsm)?, layer)
    };
    let mean_score = |(k, &count): (usize, &usize)| {
        let scores = (0..sizes.trials).map(|population| score(k, count, population));
        Ok(mean(&scores.collect::<Result<Vec<f64>>>()?))
    };
    TRIALS.iter().enumerate().map(mean_score).collect()
}

/// The count whose distribution function first exceeds u, for rates below 700.
fn poisson(rate: f64, u: f64) -> f64 {
    let (mut count, mut mass) = (0.0, (-rate).exp());
    let mut below = mass;
    // Rounding may leave the sum short of a u next to 1: then masses that no longer count end it.
    while below <= u && (count < rate || mass > f64::EPSILON * below) {
        count += 1.0;
        mass *= rate / count;
        below += mass;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_mean_and_variance_of_their_rate() {
        let mut uniforms = vec![0.0; 20_000];
        Stream::new(1, "test").uniforms(0, &mut uniforms);
        for rate in [0.1, 3.0, 200.0] {
            let counts: Vec<f64> = uniforms.iter().map(|&u| poisson(rate, u)).collect();
            let n = counts.len() as f64;
            assert!((mean(&counts) - rate).abs() < 4.0 * (rate / n).sqrt(), "{rate}");
            // Variance of the variance: (μ₄ − σ⁴)/n = (rate + 2 rate²)/n.
            let variance = standard_deviation(&counts).powi(2);
            let error = ((rate + 2.0 * rate * rate) / n).sqrt();
            assert!((variance - rate).abs() < 4.0 * error, "{rate}: {variance}");
        }
        assert_eq!(poisson(2.0, 0.0), 0.0);
        assert!(poisson(2.0, 1.0 - f64::EPSILON) < 40.0);
    }
}
