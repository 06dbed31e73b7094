//! Integration at the same training loss for every rule (E1 to E5).

use hesse::credit::{Batches, Leak, RateRnn, Scaling, Sequences};
use hesse::network::Activation;
use hesse::optimize::Schedule;
use hesse::random::Stream;
use hesse::statistics::{spearman, standard_deviation};
use hesse::temporal_tasks::Integration;

use super::Sizes;
use super::results::{Group, LEARNERS, Learner, Reference, median, paired};
use crate::credit::descent::{Descent, Outcome, Target};
use crate::credit::side_by_side::{self, Job};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::output::{Folder, Output};
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::three;

const UNITS: usize = 24;
const TRIALS: usize = 64;
const TARGET: f64 = 0.05;

/// Rates of all rules, and of BPTT with small steps.
const RATES: (f64, f64) = (0.2, 0.04);

/// The trainings, by rule.
pub(super) struct Integrations {
    groups: Vec<Group>,
}

/// The network.
fn network() -> Result<RateRnn, Failure> {
    Ok(RateRnn::new(2, UNITS, 2, Activation::Relu, Leak::Voltage(vec![0.6]))?)
}

/// θ of a seed: W normal with deviation 1.2/√N, U with 1, O with 1/√N, biases zero.
fn start(rnn: &RateRnn, seed: u64) -> Vec<f64> {
    use hesse::credit::Block::{Input, Readout, Recurrent};
    let mut theta = vec![0.0; rnn.parameter_count()];
    let root = (UNITS as f64).sqrt();
    let stream = Stream::new(seed, "credit: integration");
    for (i, (block, deviation)) in
        [(Recurrent, 1.2 / root), (Input, 1.0), (Readout, 1.0 / root)].into_iter().enumerate()
    {
        let block = &mut theta[rnn.block(block)];
        stream.child(i as u64).normals(0, block);
        block.iter_mut().for_each(|x| *x *= deviation);
    }
    theta
}

impl Integrations {
    pub(super) fn run(
        sizes: &Sizes,
        seed: u64,
        runs: Option<&Folder>,
        output: &Output,
    ) -> Result<Self, Failure> {
        let rnn = network()?;
        // Seeds of one run of this program are not those of another; 0 is that of the test.
        let seed_of = |k: u64| seed.wrapping_mul(1000).wrapping_add(k);
        let data = |trials: usize, seed: u64| -> Result<Sequences<f64>, Failure> {
            Ok(Sequences::of(&Integration::default().draw(trials, seed)?)?)
        };
        let test = data(sizes.test, seed_of(0))?;
        let train = (1..=sizes.integration)
            .map(|k| Ok((seed_of(k), data(TRIALS, seed_of(k))?)))
            .collect::<Result<Vec<_>, Failure>>()?;
        let mut jobs = Vec::new();
        for learner in LEARNERS {
            let rate = if learner == Learner::SlowBptt { RATES.1 } else { RATES.0 };
            for (seed, train) in &train {
                let descent = Descent {
                    rnn: &rnn,
                    train,
                    test: Some(&test),
                    rule: learner.rule(UNITS, 2, *seed),
                    scaling: Scaling::None,
                    feedback_decay: None,
                    schedule: Schedule::constant(rate)?,
                    steps: sizes.steps,
                    l2: 0.0,
                    batches: Batches::All,
                    target: Target::OfStep(TARGET),
                    every: None,
                    seed: *seed,
                    memory_budget: usize::MAX,
                    largest_only: true,
                };
                let rnn = &rnn;
                jobs.push(Job {
                    name: format!("integration {} {seed}", learner.reference()),
                    train: Box::new(move || descent.run(&start(rnn, *seed))),
                });
            }
        }
        let outcomes = side_by_side::run(&jobs, runs, "credit: integration", output)?;
        let groups = outcomes.chunks(train.len()).map(|chunk| Group(chunk.to_vec())).collect();
        Ok(Self { groups })
    }

    fn of(&self, learner: Learner) -> &Group {
        let at = LEARNERS.iter().position(|&l| l == learner).unwrap_or(0);
        &self.groups[at]
    }

    pub(super) fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let [exact, slow, modprop, mdgl, local] = LEARNERS.map(|learner| self.of(learner));
        let seeds = exact.0.len();
        let ratios: Vec<f64> =
            local.0.iter().zip(&exact.0).map(|(a, b)| a.largest / b.largest).collect();
        let above = ratios.iter().filter(|&&r| r > 1.0).count();
        // 19 of 20.
        let enough = above * 20 >= seeds * 19;
        let middle = median(&ratios)?;
        let deviation = |group: &Group| standard_deviation(&group.values(|o| o.largest));
        let variability = deviation(local) / deviation(exact);
        let of: fn(&Outcome) -> f64 = Outcome::accuracy_gap;
        let gap = paired(local, exact, of);
        let all: Vec<&Outcome> = self.groups.iter().flat_map(|group| &group.0).collect();
        let column = |of: fn(&Outcome) -> f64| all.iter().map(|o| of(o)).collect::<Vec<_>>();
        let correlation = spearman(&column(|o| o.largest), &column(of))?;
        let interval = correlation.interval(0.95)?;
        let losses = spearman(&column(|o| o.largest), &column(Outcome::loss_gap))?;
        let arrived = all.iter().filter(|o| o.train_loss <= TARGET).count();
        let (rise, beside) =
            (slow.curvature() / exact.curvature(), slow.curvature() / local.curvature());
        Ok(vec![
            Claim::reported(
                "Integration: networks that reach the training loss at which all are compared",
                "100 of 100 in the reference runs",
                format!("{arrived} of {}", all.len()),
            ),
            Claim::with_bar(
                "Integration: the three-factor rule ends at a higher curvature than BPTT (E1)",
                "truncated rules reach higher λ₁; 20 of 20 seeds, median ratio 6.2 in the reference runs",
                format!("{above} of {seeds} seeds, median ratio {}", three(middle)),
                "19 of 20 seeds, median ratio at least 3",
                enough && middle >= 3.0,
            ),
            ordering("Integration", [exact, modprop, mdgl, local], "7.5 < {29, 34} < 46"),
            Claim::with_bar(
                "Integration: its curvature varies more from network to network (E3)",
                "more variable; 7.5 times the deviation of λ₁ in the reference runs",
                format!("{} times", three(variability)),
                "at least 3 times",
                variability >= 3.0,
            ),
            Claim::reported(
                "Integration: accuracy gap of the three-factor rule above that of BPTT, seed by seed (E4)",
                "larger gaps; +0.016, p = 0.04 in the reference runs",
                format!("{} ± {} (standard error)", three(gap.value), three(gap.standard_error)),
            ),
            Claim::reported(
                "Integration: rank correlation of λ₁ with the accuracy gap over all networks (E4)",
                "significant; 0.26, p = 0.009 in the reference runs",
                format!(
                    "{:.2} ({:.2} to {:.2}); with the loss gap {:.2}",
                    correlation.value, interval.low, interval.high, losses.value
                ),
            ),
            scaled("Integration", rise, beside, "4.6 times, 0.74 of it"),
        ])
    }

    pub(super) fn tables(&self) -> Result<Vec<(String, Table)>, Failure> {
        let groups: Vec<_> = LEARNERS.into_iter().zip(&self.groups).collect();
        let caption =
            "Integration: means ± standard deviations over networks, beside the reference runs";
        Ok(vec![(caption.to_owned(), Reference::read()?.table("integration_", &groups)?)])
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut gap =
            Figure::new("Curvature and generalisation", "λ₁", "training − test accuracy").log_x();
        let mut speed = Figure::new("Integration", "step", "training loss").log_y();
        for (learner, group) in LEARNERS.into_iter().zip(&self.groups) {
            let points = group.0.iter().map(|o| (o.largest, o.accuracy_gap()));
            gap = gap.points(learner.name(), points);
            if let Some(first) = group.0.first() {
                let curve = first.losses.iter().enumerate().map(|(k, &l)| (k as f64, l));
                speed = speed.line(learner.name(), curve);
            }
        }
        vec![
            Plate::of(
                "credit-gap",
                "Integration: every point is a network, all at the same training loss. Truncated rules, \
                 and BPTT with small steps, end where the loss curves more; the gap grows little with it.",
                &gap,
            ),
            Plate::of(
                "credit-integration",
                "Integration: losses of the first network under each rule.",
                &speed,
            ),
        ]
    }
}

/// E2 of BPTT, ModProp, MDGL and the three-factor rule.
pub(super) fn ordering(task: &str, groups: [&Group; 4], reference: &str) -> Claim {
    let [exact, modprop, mdgl, local] = groups.map(Group::curvature);
    let between = |x: f64| exact < x && x < local;
    Claim::with_bar(
        format!("{task}: mean λ₁ is ordered by how much a rule leaves out (E2)"),
        format!("{reference} in the reference runs (BPTT, ModProp, MDGL, three-factor)"),
        format!("{} < {{{}, {}}} < {}", three(exact), three(modprop), three(mdgl), three(local)),
        "BPTT < ModProp and MDGL < three-factor",
        between(modprop) && between(mdgl),
    )
}

/// E5: how λ₁ of BPTT with small steps stands to that of BPTT and of three factors.
pub(super) fn scaled(task: &str, rise: f64, beside: f64, reference: &str) -> Claim {
    Claim::with_bar(
        format!("{task}: BPTT with small steps ends as sharply (E5)"),
        format!("scaled BPTT reaches equally high curvature; {reference} in the reference runs"),
        format!("{} times λ₁ of BPTT, {} of the three-factor rule's", three(rise), three(beside)),
        "at least 3 times, within a factor 2 of the three-factor rule's",
        rise >= 3.0 && (0.5..=2.0).contains(&beside),
    )
}
