//! Profiles of networks before and after training on digits (E1 to E4).

use std::ops::ControlFlow;

use hesse::dimension::{LayerDimensions, LayerProfile};
use hesse::network::{
    Activation, Architecture, Dataset, Initializer, Loss, Network, Objective, Parameters, Trainer,
};
use hesse::optimize::{Schedule, Sgd, SgdOptions};

use super::Sizes;
use crate::data::accuracy;
use crate::digits::{CLASSES, SMALL_PIXELS, small_digits};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::three;

/// Images that nobody trains on.
const TEST: std::ops::Range<usize> = 1200..1400;
const HIDDEN: usize = 5;

/// Rate, batch, and whether it runs for the larger number of epochs.
const SETTINGS: [(f64, usize, bool); 3] = [(0.1, 10, false), (0.02, 10, false), (0.1, 100, true)];

/// Layers of one network.
struct Profile {
    local: Vec<f64>,
    local_error: Vec<f64>,
    linear: Vec<f64>,
    global: Vec<f64>,
}

impl Profile {
    fn of(layers: &[LayerDimensions]) -> Self {
        let number = |of: fn(&LayerDimensions) -> Option<f64>| {
            layers.iter().map(|l| of(l).unwrap_or(f64::NAN)).collect::<Vec<_>>()
        };
        Self {
            local: number(|l| l.likelihood.as_ref().ok().map(|e| e.value)),
            local_error: number(|l| l.likelihood.as_ref().ok().and_then(|e| e.standard_error)),
            linear: number(|l| l.participation.as_ref().ok().map(|e| e.value)),
            global: number(|l| {
                l.geodesic.as_ref().ok().and_then(|r| r.estimate().ok()).map(|e| e.value)
            }),
        }
    }
}

/// One training.
struct Run {
    profile: Profile,
    accuracy: f64,
}

/// All trainings.
pub(super) struct Trainings {
    untrained: Vec<Profile>,
    /// By setting, then by seed.
    trained: Vec<Vec<Run>>,
}

impl Trainings {
    pub(super) fn run(sizes: &Sizes, seed: u64, output: &Output) -> Result<Self, Failure> {
        let train = small_digits::<f64>(0..sizes.train)?;
        let test = small_digits::<f64>(TEST)?;
        let widths = [vec![SMALL_PIXELS], vec![sizes.width; HIDDEN], vec![CLASSES]].concat();
        let network = Architecture::perceptron(&widths, Activation::Relu).build::<f64>()?;
        let profile = LayerProfile::new().without_spread();
        let measured = |parameters: &Parameters<f64>| {
            profile.of_network(&network, parameters.values(), test.inputs())
        };
        let mut untrained = Vec::new();
        let mut trained: Vec<Vec<Run>> = SETTINGS.iter().map(|_| Vec::new()).collect();
        let bar = Progress::new(output, "dimension: trainings", 3 * sizes.seeds);
        for k in 0..sizes.seeds {
            let seed = seed.wrapping_mul(1000).wrapping_add(k + 1);
            let start =
                Parameters::draw(&network, seed, |spec| match spec.name.ends_with("bias") {
                    true => Initializer::Constant { value: 0.0 },
                    false => Initializer::HeNormal,
                });
            untrained.push(Profile::of(&measured(&start)?));
            for (runs, &(rate, batch, long)) in trained.iter_mut().zip(&SETTINGS) {
                let epochs = if long { sizes.epochs.1 } else { sizes.epochs.0 };
                let steps = epochs * (train.len() / batch) as u64;
                let end = descend(&network, &train, start.clone(), (rate, batch, steps, seed))?;
                let objective = Objective::new(&network, &test, Loss::CrossEntropy)?;
                let outputs = objective.outputs(end.values())?;
                let share = accuracy(&outputs, CLASSES, test.targets(), Loss::CrossEntropy);
                let profile = Profile::of(&measured(&end)?);
                runs.push(Run { profile, accuracy: share.unwrap_or(0.0) });
                bar.step();
            }
        }
        Ok(Self { untrained, trained })
    }

    /// Of the last hidden layer.
    fn last(&self, setting: usize, of: fn(&Profile) -> &Vec<f64>) -> Vec<f64> {
        self.trained[setting].iter().map(|run| of(&run.profile)[HIDDEN]).collect()
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let untrained: Vec<f64> = self.untrained.iter().map(|p| p.local[HIDDEN]).collect();
        let [large, small, wide] = [0, 1, 2].map(|s| self.last(s, |p| &p.local));
        let [large_pr, small_pr, wide_pr] = [0, 1, 2].map(|s| self.last(s, |p| &p.linear));
        let decreasing = |p: &Profile| p.local[..=HIDDEN].windows(2).all(|w| w[1] < w[0]);
        let falling = self.trained[0].iter().filter(|run| decreasing(&run.profile)).count();
        let of = |runs: &[Run]| runs.iter().map(|run| run.accuracy).collect::<Vec<_>>();
        let accuracies = of(&self.trained[0]);
        let others = self.trained[1..].iter().flat_map(|runs| of(runs)).collect::<Vec<_>>();
        let factors: Vec<f64> = self
            .untrained
            .iter()
            .flat_map(|p| p.local[..=HIDDEN].windows(2).map(|w| w[1] / w[0]).collect::<Vec<_>>())
            .collect();
        let seeds = self.untrained.len();
        vec![
            Claim::with_bar(
                "Networks trained at rate 0.1 with batch 10 classify digits that they have not seen",
                "",
                format!("{} right (others {})", range(&accuracies), range(&others)),
                "all above 0.95",
                accuracies.iter().all(|a| *a > 0.95),
            ),
            Claim::with_bar(
                "Before training: local dimension at the last hidden layer",
                "5.2 to 6.1",
                range(&untrained),
                "4.4 to 7.0",
                within(&untrained, 4.4, 7.0),
            ),
            Claim::with_bar(
                "After training (rate 0.1, batch 10): local dimension at the last hidden layer",
                "final layers compress; 1.2 to 1.6",
                range(&large),
                "1.0 to 2.0",
                within(&large, 1.0, 2.0),
            ),
            Claim::with_bar(
                "After training the local dimension falls at every hidden layer",
                "falls at every layer",
                format!("{falling} of {seeds} networks"),
                "all",
                falling == seeds,
            ),
            Claim::with_bar(
                "The smaller rate (0.02) compresses less",
                "2.1 to 2.4 against 1.3 to 1.5",
                format!("{} against {}", range(&small), range(&large)),
                "each of it above each of rate 0.1",
                least(&small) > most(&large),
            ),
            Claim::with_bar(
                "The larger batch (100) compresses less",
                "1.9 to 2.3 against 1.3 to 1.5",
                format!("{} against {}", range(&wide), range(&large)),
                "each of it above each of batch 10",
                least(&wide) > most(&large),
            ),
            Claim::with_bar(
                "The linear dimension does not follow: with the smaller rate it is the lower one",
                "4.4 to 5.0 (0.02) against 6.1 to 7.1 (0.1)",
                format!("{} against {}", range(&small_pr), range(&large_pr)),
                "lower in the mean",
                mean(&small_pr) < mean(&large_pr),
            ),
            Claim::reported(
                "Linear dimension at the last hidden layer with batch 100",
                "",
                range(&wide_pr),
            ),
            Claim::with_bar(
                "Before training no rectifier layer changes the local dimension by much",
                "a factor of 0.9 to 1.25",
                range(&factors),
                "0.8 to 1.4",
                within(&factors, 0.8, 1.4),
            ),
        ]
    }

    pub(super) fn tables(&self) -> Vec<(String, Table)> {
        let mut table = Table::new()
            .words("network")
            .words("dimension")
            .numbers("input")
            .numbers("1")
            .numbers("2")
            .numbers("3")
            .numbers("4")
            .numbers("5")
            .numbers("outputs");
        let mut row =
            |network: &str, what: &str, profiles: &[&Profile], of: fn(&Profile) -> &Vec<f64>| {
                let mut cells = vec![network.to_owned(), what.to_owned()];
                cells.extend(means(profiles, of).into_iter().map(three));
                table.row(cells);
            };
        let mut networks: Vec<(String, Vec<&Profile>)> =
            vec![("untrained".to_owned(), self.untrained.iter().collect())];
        for (runs, (rate, batch, _)) in self.trained.iter().zip(SETTINGS) {
            let profiles = runs.iter().map(|run| &run.profile).collect();
            networks.push((format!("rate {rate}, batch {batch}"), profiles));
        }
        for (name, profiles) in &networks {
            row(name, "local", profiles, |p| &p.local);
            row(name, "global", profiles, |p| &p.global);
            row(name, "linear", profiles, |p| &p.linear);
        }
        vec![("Dimensions behind every layer, means over seeds".to_owned(), table)]
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut local = Figure::new("Local dimension", "layer", "maximum likelihood, k = 20");
        let mut linear = Figure::new("Linear dimension", "layer", "participation ratio");
        let untrained: Vec<&Profile> = self.untrained.iter().collect();
        let mut networks = vec![("untrained".to_owned(), untrained)];
        for (runs, (rate, batch, _)) in self.trained.iter().zip(SETTINGS) {
            let profiles = runs.iter().map(|run| &run.profile).collect();
            networks.push((format!("rate {rate}, batch {batch}"), profiles));
        }
        let points = |values: Vec<f64>| {
            values.into_iter().enumerate().map(|(l, v)| (l as f64, v)).collect::<Vec<_>>()
        };
        for (name, profiles) in &networks {
            let middle = means(profiles, |p| &p.local);
            let error = means(profiles, |p| &p.local_error);
            let band = middle.iter().zip(error).enumerate().filter(|(_, (_, e))| e.is_finite());
            local = local
                .band(
                    band.map(|(l, (m, e))| (l as f64, m - 2.0 * e, m + 2.0 * e))
                        .collect::<Vec<_>>(),
                )
                .line(name, points(middle));
            linear = linear.line(name, points(means(profiles, |p| &p.linear)));
        }
        vec![
            Plate::of(
                "dimension-local",
                "Training lowers the local dimension layer by layer, the more the larger the rate and the \
                 smaller the batch. Shaded: two standard errors.",
                &local,
            ),
            Plate::of(
                "dimension-linear",
                "The participation ratio does not follow the local dimension.",
                &linear,
            ),
        ]
    }
}

/// Plain gradient steps: rate, batch, steps, seed.
fn descend(
    network: &Network<f64>,
    data: &Dataset<f64>,
    start: Parameters<f64>,
    (rate, batch, steps, seed): (f64, usize, u64, u64),
) -> Result<Parameters<f64>, Failure> {
    let mut sgd = Sgd::new(network.parameter_count(), SgdOptions::default())?;
    let schedule = Schedule::constant(rate)?;
    let trainer = Trainer::new(network, data, Loss::CrossEntropy, schedule)?
        .batch(batch)?
        .steps(steps)
        .seed(seed)
        .callback(|_| ControlFlow::Continue(()));
    Ok(trainer.run(start, &mut sgd)?.parameters)
}

fn means(profiles: &[&Profile], of: fn(&Profile) -> &Vec<f64>) -> Vec<f64> {
    let layers = profiles.first().map_or(0, |p| of(p).len());
    (0..layers).map(|l| mean(&profiles.iter().map(|p| of(p)[l]).collect::<Vec<_>>())).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The smallest; NaN where one is.
pub(super) fn least(values: &[f64]) -> f64 {
    values.iter().fold(f64::INFINITY, |m, &v| if v < m || v.is_nan() { v } else { m })
}

/// The largest; NaN where one is.
pub(super) fn most(values: &[f64]) -> f64 {
    values.iter().fold(f64::NEG_INFINITY, |m, &v| if v > m || v.is_nan() { v } else { m })
}

pub(super) fn within(values: &[f64], low: f64, high: f64) -> bool {
    values.iter().all(|v| (low..=high).contains(v))
}

pub(super) fn range(values: &[f64]) -> String {
    format!("{} to {}", three(least(values)), three(most(values)))
}
