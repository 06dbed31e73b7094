//! What the experiments have in common: rules, groups of outcomes, and the reference runs beside them.

use hesse::credit::{BackWeights, Propagation, Rule, Stop};
use hesse::io::Archive;
use hesse::krylov::Estimate;
use hesse::statistics::{quantile, standard_deviation};

use crate::credit::descent::{Outcome, Reading};
use crate::failure::Failure;
use crate::table::Table;
use crate::units::three;

/// The same experiments in NumPy and JAX: a row a seed.
const REFERENCE: &[u8] = include_bytes!("../../../../../tests/golden/credit/K_experiments.npz");

/// A rule as it is trained, with its factor of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learner {
    Bptt,
    /// BPTT with small steps.
    SlowBptt,
    ModProp,
    Mdgl,
    ThreeFactor,
    /// E-prop with random feedback.
    RandomFeedback,
}

/// Those that the reference runs have, in the order of the tables.
pub(super) const LEARNERS: [Learner; 5] =
    [Learner::Bptt, Learner::SlowBptt, Learner::ModProp, Learner::Mdgl, Learner::ThreeFactor];

impl Learner {
    pub(super) fn name(self) -> &'static str {
        match self {
            Learner::Bptt => "BPTT",
            Learner::SlowBptt => "BPTT, small steps",
            Learner::ModProp => "ModProp",
            Learner::Mdgl => "MDGL",
            Learner::ThreeFactor => "three-factor",
            Learner::RandomFeedback => "e-prop, random feedback",
        }
    }

    /// Its name in the reference runs.
    pub(super) fn reference(self) -> &'static str {
        match self {
            Learner::Bptt => "bptt",
            Learner::SlowBptt => "bptt_slow",
            Learner::ModProp => "modprop",
            Learner::Mdgl => "mdgl",
            Learner::ThreeFactor => "three_factor",
            Learner::RandomFeedback => "eprop_random",
        }
    }

    /// The rule, with random feedback for `units` and `outputs` from this seed.
    pub(super) fn rule(self, units: usize, outputs: usize, seed: u64) -> Rule<f64> {
        match self {
            Learner::Bptt | Learner::SlowBptt => Rule::Bptt,
            Learner::ModProp => Rule::ModProp {
                mu: 0.25,
                weights: BackWeights::Exact,
                propagation: Propagation::Code,
            },
            Learner::Mdgl => Rule::Mdgl { weights: BackWeights::Exact },
            Learner::ThreeFactor => Rule::three_factor(),
            Learner::RandomFeedback => {
                let feedback = hesse::credit::Feedback::random(units, outputs, seed);
                Rule::ThreeFactor { feedback }
            }
        }
    }
}

/// The outcomes of one rule, one a seed.
#[derive(Clone, Debug)]
pub(super) struct Group(pub(super) Vec<Outcome>);

impl Group {
    /// Of those that did not diverge.
    pub(super) fn values(&self, of: Reading) -> Vec<f64> {
        self.0.iter().filter(|outcome| outcome.stop != Stop::Diverged).map(of).collect()
    }

    pub(super) fn mean(&self, of: Reading) -> f64 {
        mean(&self.values(of))
    }

    pub(super) fn curvature(&self) -> f64 {
        self.mean(|o| o.largest)
    }

    pub(super) fn diverged(&self) -> usize {
        self.0.iter().filter(|outcome| outcome.stop == Stop::Diverged).count()
    }

    /// Mean ± standard deviation.
    pub(super) fn told(&self, of: Reading) -> String {
        spread(&self.values(of))
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn median(values: &[f64]) -> Result<f64, Failure> {
    Ok(quantile(values, 0.5)?)
}

pub(super) fn spread(values: &[f64]) -> String {
    format!("{} ± {}", three(mean(values)), three(standard_deviation(values)))
}

/// Mean and its standard error of the differences of two groups, seed by seed.
pub(super) fn paired(a: &Group, b: &Group, of: Reading) -> Estimate {
    let both = a.0.iter().zip(&b.0);
    let both = both.filter(|(a, b)| a.stop != Stop::Diverged && b.stop != Stop::Diverged);
    Estimate::of(&both.map(|(a, b)| of(a) - of(b)).collect::<Vec<_>>())
}

/// Columns of the reference: iterations, train_loss, train_acc, test_loss, test_acc, lambda1.
pub(super) struct Reference(Archive);

impl Reference {
    pub(super) fn read() -> Result<Self, Failure> {
        Ok(Self(Archive::from_bytes(REFERENCE, "reference_experiments.npz")?))
    }

    /// A column of an experiment; empty where there is none.
    pub(super) fn column(&self, experiment: &str, column: usize) -> Result<Vec<f64>, Failure> {
        if !self.0.contains(experiment) {
            return Ok(Vec::new());
        }
        let values = self.0.get(experiment)?.to_f64()?;
        Ok(values.chunks_exact(6).map(|row| row[column]).collect())
    }

    /// Means and deviations of rules beside those of the reference runs.
    pub(super) fn table(
        &self,
        prefix: &str,
        groups: &[(Learner, &Group)],
    ) -> Result<Table, Failure> {
        let mut table = Table::new().words("rule");
        for name in ["steps", "λ₁", "training loss", "test loss", "test accuracy"] {
            table = table.numbers(name).numbers("reference");
        }
        table = table.numbers("diverged");
        for &(learner, group) in groups {
            let columns: [(Reading, usize); 5] = [
                (|o| o.steps as f64, 0),
                (|o| o.largest, 5),
                (|o| o.train_loss, 1),
                (|o| o.test_loss, 3),
                (|o| o.test_accuracy, 4),
            ];
            let mut row = vec![learner.name().to_owned()];
            for (of, column) in columns {
                let experiment = format!("{prefix}{}", learner.reference());
                let reference = self.column(&experiment, column)?;
                row.push(group.told(of));
                row.push(if reference.is_empty() { String::new() } else { spread(&reference) });
            }
            row.push(group.diverged().to_string());
            table.row(row);
        }
        Ok(table)
    }
}
