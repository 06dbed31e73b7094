//! Digits read row by row: at the same training loss (E2, E5, E10), at the edge of stability (E6), with
//! schedules (E7).

use hesse::credit::{Batches, Leak, RateRnn, Scaling, Sequences, Stop};
use hesse::network::{Activation, Dataset, Targets};
use hesse::optimize::Schedule;
use hesse::random::Stream;
use hesse::temporal_tasks::image_rows;

use super::Sizes;
use super::integration::{ordering, scaled};
use super::results::{Group, LEARNERS, Learner, Reference, spread};
use crate::credit::descent::{Descent, Outcome, Reading, Target};
use crate::credit::side_by_side::{self, Job};
use crate::digits::{CLASSES, small_digits};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::{Folder, Output};
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::three;

const UNITS: usize = 32;
const SIDE: usize = 8;
const BATCH: usize = 64;
/// Images that nobody trains on, the last 800 of 1797.
const TEST: std::ops::Range<usize> = 997..1797;
/// Deviation of the noise on them.
const NOISE: f64 = 0.2;

/// Rates at the same loss, of all rules and of BPTT with small steps; the loss.
const RATES: (f64, f64) = (0.2, 0.03);
const TARGET: f64 = 0.3;

/// Rate and weight decay at the edge.
const EDGE: (f64, f64) = (0.1, 0.01);
/// Steps between looks at the curvature of the first network there.
const LOOK: u64 = 250;

/// Large and small rate of the schedules, and the steps with the large one.
const SCHEDULES: (f64, f64, u64) = (0.3, 0.05, 399);

/// The trainings.
pub(super) struct Digits {
    /// By rule.
    matched: Vec<Group>,
    random: Group,
    /// BPTT and three factors.
    edge: [Group; 2],
    /// Small, large, large and then small.
    remedy: [Group; 3],
}

fn network(leak: f64) -> Result<RateRnn, Failure> {
    let leak = Leak::Voltage(vec![leak]);
    let rnn = RateRnn::new(SIDE, UNITS, CLASSES, Activation::Relu, leak)?;
    Ok(rnn.autapses(false).bias(false))
}

/// Images as sequences of rows.
fn rows(images: &Dataset<f64>, pixels: Vec<f64>) -> Result<Sequences<f64>, Failure> {
    let Targets::Classes(labels) = images.targets() else {
        return Err(Failure::input("digits: expected classes, got values"));
    };
    Ok(Sequences::of(&image_rows(pixels, [SIDE, SIDE], labels.clone(), CLASSES)?)?)
}

fn first(images: usize) -> Result<Sequences<f64>, Failure> {
    let images = small_digits(0..images)?;
    rows(&images, images.inputs().to_vec())
}

/// Unseen images with noise, cut to [0, 1].
fn unseen(seed: u64) -> Result<Sequences<f64>, Failure> {
    let images = small_digits::<f64>(TEST)?;
    let mut noise = vec![0.0; images.inputs().len()];
    Stream::new(seed, "credit: noise on images").normals(0, &mut noise);
    let noisy = images.inputs().iter().zip(noise);
    rows(&images, noisy.map(|(x, z)| (x + NOISE * z).clamp(0.0, 1.0)).collect())
}

/// Networks with and without leak, and their data.
struct Setting {
    leaky: RateRnn,
    plain: RateRnn,
    few: Sequences<f64>,
    many: Sequences<f64>,
    test: Sequences<f64>,
}

impl Setting {
    /// On few images until the loss is small.
    fn matched(
        &self,
        learner: Learner,
        rate: f64,
        seed: u64,
        steps: u64,
    ) -> Result<Descent<'_>, Failure> {
        Ok(Descent {
            rnn: &self.leaky,
            train: &self.few,
            test: Some(&self.test),
            rule: learner.rule(UNITS, CLASSES, seed),
            scaling: Scaling::None,
            feedback_decay: None,
            schedule: Schedule::constant(rate)?,
            steps,
            l2: 0.0,
            batches: Batches::Drawn { size: BATCH, seed },
            target: Target::OfAll(TARGET, 100),
            every: None,
            seed,
            memory_budget: usize::MAX,
            largest_only: true,
        })
    }

    /// Without leak, on many images with weight decay, for all steps.
    fn edge(
        &self,
        learner: Learner,
        seed: u64,
        steps: u64,
        every: Option<u64>,
    ) -> Result<Descent<'_>, Failure> {
        let (rate, l2) = EDGE;
        Ok(Descent {
            rnn: &self.plain,
            train: &self.many,
            l2,
            target: Target::None,
            every,
            ..self.matched(learner, rate, seed, steps)?
        })
    }

    /// Three factors on few images for all steps.
    fn remedy(&self, schedule: Schedule, seed: u64, steps: u64) -> Result<Descent<'_>, Failure> {
        let of = self.matched(Learner::ThreeFactor, 1.0, seed, steps)?;
        Ok(Descent { schedule, target: Target::None, ..of })
    }
}

impl Digits {
    pub(super) fn run(
        sizes: &Sizes,
        seed: u64,
        runs: Option<&Folder>,
        output: &Output,
    ) -> Result<Self, Failure> {
        let seed_of = |k: u64| seed.wrapping_mul(1000).wrapping_add(k);
        let setting = Setting {
            leaky: network(0.6)?,
            // A time constant of 0.01 steps, of which exp(−100) stays: nothing.
            plain: network(0.0)?,
            few: first(sizes.images.0)?,
            many: first(sizes.images.1)?,
            test: unseen(seed_of(0))?,
        };
        let mut jobs = Vec::new();
        for learner in LEARNERS.into_iter().chain([Learner::RandomFeedback]) {
            let rate = if learner == Learner::SlowBptt { RATES.1 } else { RATES.0 };
            for k in 1..=sizes.digits {
                let descent = setting.matched(learner, rate, seed_of(k), sizes.steps)?;
                jobs.push(job(format!("digits {} {k}", learner.reference()), descent)?);
            }
        }
        let edge = [Learner::Bptt, Learner::ThreeFactor];
        for learner in edge {
            for k in 1..=sizes.edge {
                let every = (k == 1).then_some(LOOK);
                let descent = setting.edge(learner, seed_of(k), sizes.steps, every)?;
                jobs.push(job(format!("edge {} {k}", learner.reference()), descent)?);
            }
        }
        let (large, small, at) = SCHEDULES;
        let schedules = [
            ("small", Schedule::constant(small)?),
            ("large", Schedule::constant(large)?),
            ("large then small", Schedule::switched(large, small, at)?),
        ];
        for (name, schedule) in schedules {
            for k in 1..=sizes.remedy {
                let descent = setting.remedy(schedule, seed_of(k), sizes.remedy_steps)?;
                jobs.push(job(format!("rate {name} {k}"), descent)?);
            }
        }
        let outcomes = side_by_side::run(&jobs, runs, "credit: digits", output)?;
        let mut outcomes = outcomes.into_iter();
        let mut group = |count: u64| Group(outcomes.by_ref().take(count as usize).collect());
        Ok(Self {
            matched: LEARNERS.iter().map(|_| group(sizes.digits)).collect(),
            random: group(sizes.digits),
            edge: [group(sizes.edge), group(sizes.edge)],
            remedy: [group(sizes.remedy), group(sizes.remedy), group(sizes.remedy)],
        })
    }

    pub(super) fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let [exact, slow, modprop, mdgl, local] = &self.matched[..] else {
            return Err(Failure::input("digits: expected five rules"));
        };
        let all: Vec<&Outcome> = self.matched.iter().flat_map(|group| &group.0).collect();
        let arrived = all.iter().filter(|o| o.stop == Stop::TargetLoss).count();
        let half = 0.5 * EDGE.0;
        let edge = [0, 1].map(|i| half * self.edge[i].curvature());
        let [small, large, both] = &self.remedy;
        let (curvature, accuracy): (Reading, Reading) = (|o| o.largest, |o| o.test_accuracy);
        let rise = slow.curvature() / exact.curvature();
        let beside = slow.curvature() / local.curvature();
        Ok(vec![
            Claim::reported(
                "Digits: networks that reach the training loss at which all are compared",
                "25 of 25 in the reference runs",
                format!("{arrived} of {}", all.len()),
            ),
            ordering("Digits", [exact, modprop, mdgl, local], "6.2 < {20, 22} < 35"),
            scaled("Digits", rise, beside, "6.5 times, 1.15 of it"),
            Claim::with_bar(
                "Digits, 3000 steps with weight decay: BPTT goes to the edge of stability, λ₁η/2 near 1 (E6)",
                "attracted only if λ₁ < 2/η; 0.83 in the reference runs",
                three(edge[0]),
                "0.3 to 1.3",
                (0.3..=1.3).contains(&edge[0]),
            ),
            Claim::with_bar(
                "The three-factor rule goes far beyond it: its step along the gradient is ρη (E6)",
                "attracted up to λ₁ = 2/(ρη); 3.8 in the reference runs",
                three(edge[1]),
                "above 1.5",
                edge[1] > 1.5,
            ),
            Claim::with_bar(
                "Three-factor rule: large steps first and small ones later end less sharp than small ones, \
                 and generalise better than either (E7)",
                "modulated rates are a remedy; λ₁ 77 against 108, test accuracy 0.769 against 0.742 and \
                 0.637 in the reference runs",
                format!(
                    "λ₁ {} against {} (small); accuracy {} against {} (small) and {} (large)",
                    three(both.mean(curvature)),
                    three(small.mean(curvature)),
                    three(both.mean(accuracy)),
                    three(small.mean(accuracy)),
                    three(large.mean(accuracy)),
                ),
                "in the means",
                both.mean(curvature) < small.mean(curvature)
                    && both.mean(accuracy) > small.mean(accuracy)
                    && both.mean(accuracy) > large.mean(accuracy),
            ),
            Claim::reported(
                "E-prop with random feedback on digits ends above BPTT (E10)",
                "85 against 6; 1 of 5 diverged in the reference runs",
                format!(
                    "λ₁ {} against {}; {} of {} diverged",
                    spread(&self.random.values(curvature)),
                    spread(&exact.values(curvature)),
                    self.random.diverged(),
                    self.random.0.len(),
                ),
            ),
        ])
    }

    pub(super) fn tables(&self) -> Result<Vec<(String, Table)>, Failure> {
        let reference = Reference::read()?;
        let mut groups: Vec<_> = LEARNERS.into_iter().zip(&self.matched).collect();
        groups.push((Learner::RandomFeedback, &self.random));
        let matched = reference.table("digits_matched_", &groups)?;
        let edge = [Learner::Bptt, Learner::ThreeFactor].into_iter().zip(&self.edge);
        let edge = reference.table("digits_edge_", &edge.collect::<Vec<_>>())?;
        let mut remedy = Table::new().words("rate").numbers("λ₁").numbers("reference");
        remedy = remedy.numbers("test accuracy").numbers("reference");
        let (large, small, at) = SCHEDULES;
        let rows = [
            (small.to_string(), "const_small"),
            (large.to_string(), "const_large"),
            (format!("{large}, {small} after {at} steps"), "large_then_small"),
        ];
        for ((rate, name), group) in rows.into_iter().zip(&self.remedy) {
            let of = |column| reference.column(&format!("remedy_{name}"), column);
            remedy.row([
                rate,
                group.told(|o| o.largest),
                spread(&of(5)?),
                group.told(|o| o.test_accuracy),
                spread(&of(4)?),
            ]);
        }
        Ok(vec![
            ("Digits at a training loss of 0.3: means ± standard deviations, beside the reference runs".to_owned(), matched),
            ("Digits after 3000 steps with weight decay".to_owned(), edge),
            ("Digits under the three-factor rule with schedules".to_owned(), remedy),
        ])
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut edge = Figure::new("Digits with weight decay", "step", "λ₁ η/2").log_y();
        let mut along = Figure::new("Step along the gradient", "step", "ρ");
        for (learner, group) in [Learner::Bptt, Learner::ThreeFactor].into_iter().zip(&self.edge) {
            let looks = group.0.first().map_or(&[][..], |o| &o.checkpoints);
            let of_edge = looks.iter().map(|l| (l.step as f64, 0.5 * EDGE.0 * l.largest));
            edge = edge.line(learner.name(), of_edge);
            along = along.line(learner.name(), looks.iter().map(|l| (l.step as f64, l.rho)));
        }
        let mut remedy = Figure::new("Three-factor rule with schedules", "λ₁", "test accuracy");
        for (name, group) in ["small", "large", "large, then small"].into_iter().zip(&self.remedy) {
            let points = group.0.iter().map(|o| (o.largest, o.test_accuracy));
            remedy = remedy.points(name, points);
        }
        vec![
            Plate::of(
                "credit-edge",
                "Digits, one network under each rule: λ₁ of the exact loss settles below 2/η under BPTT, and \
                 far above it under the three-factor rule.",
                &edge.horizontal("edge of stability", 1.0),
            ),
            Plate::of(
                "credit-rho",
                "The same trainings: ρ, how far a step of the rule goes along the true gradient of W.",
                &along,
            ),
            Plate::of(
                "credit-remedy",
                "Digits under the three-factor rule: every point is a network. Large steps leave sharp \
                 places, small ones then keep what is not along the gradient small.",
                &remedy,
            ),
        ]
    }
}

/// Trains from a draw of the seed.
fn job(name: String, descent: Descent<'_>) -> Result<Job<'_>, Failure> {
    let start = descent.rnn.initialize::<f64>(descent.seed)?;
    Ok(Job { name, train: Box::new(move || descent.run(&start)) })
}
