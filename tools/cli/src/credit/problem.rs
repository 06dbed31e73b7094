//! Which task, which network: what all commands of `hesse credit` are asked.

use std::path::Path;

use hesse::credit::{Batches, Leak, RateRnn, Sequences, Target as Answers};
use hesse::io::{Archive, Array, Dtype};
use hesse::network::{Activation, Targets};
use hesse::optimize::Schedule;
use hesse::temporal_tasks::{
    DelayedComparison, EvidenceAccumulation, Integration, PatternGeneration, Trials, image_rows,
};
use hesse::{Error, Result};

use super::descent::{Descent, Target};
use super::rules::{RuleArguments, RuleName};
use crate::digits::{CLASSES, SMALL_PIXELS, small_digits};
use crate::failure::Failure;

/// The task.
#[derive(Clone, Debug, clap::Args)]
pub struct TaskArguments {
    /// What is learned: integration, delayed-match, delayed-xor, pattern, evidence, digits, or a .npz
    /// (or .safetensors) file with `x`, samples × steps × inputs, and `target`: a whole number a sample,
    /// samples × outputs for values after the last step, or samples × steps × outputs
    #[arg(value_name = "TASK")]
    task: String,
    /// Trials to train on [default: 64, of digits 200, of a file all]
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    /// Trials to test on; of a file its last ones, which are not trained on [default: 1000, of digits
    /// 800, of long tasks 100, of pattern and a file none]
    #[arg(long, value_name = "N")]
    test: Option<usize>,
    /// Seed of the trials
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    task_seed: u64,
}

/// The network.
#[derive(Clone, Debug, clap::Args)]
pub struct NetworkArguments {
    /// Recurrent units
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65536))]
    units: u32,
    /// Activation: relu, tanh, softplus, identity or another one of the library
    #[arg(long, value_name = "NAME", default_value = "relu")]
    activation: Activation,
    /// What one step leaves of the voltage, from 0 to below 1
    #[arg(long, value_name = "A", default_value_t = 0.6, allow_negative_numbers = true)]
    leak: f64,
    /// The rate leaks instead of the voltage
    #[arg(long)]
    rate_leak: bool,
    /// What one step leaves of the filtered rates that are read out, from 0 to below 1
    #[arg(long, value_name = "KAPPA", default_value_t = 0.0, allow_negative_numbers = true)]
    readout_filter: f64,
    /// Units have no synapses with themselves
    #[arg(long)]
    no_autapses: bool,
    /// No bias of the recurrent units
    #[arg(long)]
    no_bias: bool,
    /// Weight decay
    #[arg(long, value_name = "L2", default_value_t = 0.0, allow_negative_numbers = true)]
    pub l2: f64,
    /// Memory for states, in GiB; what does not fit is kept at checkpoints, or not at all, and computed
    /// again, with the same results
    #[arg(long, value_name = "GIB", default_value_t = 4.0, allow_negative_numbers = true)]
    memory: f64,
}

impl NetworkArguments {
    fn memory_budget(&self) -> Result<usize> {
        if !(self.memory > 0.0 && self.memory.is_finite()) {
            return Err(Error::range("--memory", "a positive finite number", self.memory));
        }
        // Saturates beyond what can be addressed.
        Ok((self.memory * f64::from(1 << 30)) as usize)
    }
}

/// How it is trained, beside rule, rate and seed.
#[derive(Clone, Debug, clap::Args)]
pub struct TrainingArguments {
    #[command(flatten)]
    pub rules: RuleArguments,
    /// Multiply the rate by F from step K on: large steps first, small ones later
    #[arg(long, value_name = "F:K", value_parser = later)]
    then: Option<(f64, u64)>,
    /// Steps at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    steps: u64,
    /// Samples in a batch, drawn anew at every step; by default all of them
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Stop when the loss on all samples is at most this; with --batch, looked at every 100 steps
    #[arg(long, value_name = "LOSS", allow_negative_numbers = true)]
    target_loss: Option<f64>,
    /// Steps between looks at curvature, alignment and gap [default: a fiftieth of the steps]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
}

/// Reads `0.2:400`.
fn later(text: &str) -> std::result::Result<(f64, u64), String> {
    let parse = || {
        let (factor, step) = text.split_once(':')?;
        let factor: f64 = factor.trim().parse().ok()?;
        (factor.is_finite() && factor >= 0.0).then_some((factor, step.trim().parse().ok()?))
    };
    parse().ok_or_else(|| format!("expected FACTOR:STEP such as 0.2:400, got {text:?}"))
}

/// Steps between looks at the loss on all samples.
const LOOK: u64 = 100;

/// More numbers than any machine this program meets can hold several times over.
const MOST_NUMBERS: usize = 1 << 31;

/// Images that are not trained on.
const DIGITS: usize = 1797;
const SIDE: usize = 8;

/// A network with what it learns.
#[derive(Debug)]
pub struct Problem {
    /// The network.
    pub rnn: RateRnn,
    /// What it is trained on.
    pub train: Sequences<f64>,
    /// What it is tested on.
    pub test: Option<Sequences<f64>>,
    /// Weight decay.
    pub l2: f64,
    /// Bytes for states.
    pub memory_budget: usize,
}

impl Problem {
    /// Draws or reads the data and builds the network.
    ///
    /// # Errors
    /// An unknown task, files that cannot be read or do not fit, options out of range.
    pub fn new(
        task: &TaskArguments,
        network: &NetworkArguments,
    ) -> std::result::Result<Self, Failure> {
        let memory_budget = network.memory_budget()?;
        let (train, test, outputs) = task.data()?;
        let factors = vec![network.leak];
        let leak = if network.rate_leak { Leak::Rate(factors) } else { Leak::Voltage(factors) };
        let units = network.units as usize;
        let rnn = RateRnn::new(train.features(), units, outputs, network.activation, leak)?
            .readout_filter(network.readout_filter)?
            .autapses(!network.no_autapses)
            .bias(!network.no_bias);
        Ok(Self { rnn, train, test, l2: network.l2, memory_budget })
    }

    /// The training by a rule.
    ///
    /// # Errors
    /// Options out of range.
    pub fn descent(
        &self,
        arguments: &TrainingArguments,
        rule: &RuleName,
        rate: f64,
        seed: u64,
    ) -> Result<Descent<'_>> {
        let learner = rule.learner(&arguments.rules, &self.rnn, seed)?;
        let schedule = match arguments.then {
            Some((factor, at)) => Schedule::switched(rate, factor * rate, at)?,
            None => Schedule::constant(rate)?,
        };
        let (batches, target) = match (arguments.batch, arguments.target_loss) {
            (None, None) => (Batches::All, Target::None),
            (None, Some(loss)) => (Batches::All, Target::OfStep(loss)),
            (Some(size), loss) => {
                let target = loss.map_or(Target::None, |loss| Target::OfAll(loss, LOOK));
                (Batches::Drawn { size, seed }, target)
            }
        };
        if arguments.target_loss.is_some_and(f64::is_nan) {
            return Err(Error::range("--target-loss", "a number", f64::NAN));
        }
        if arguments.batch.is_some_and(|size| size == 0 || size > MOST_NUMBERS) {
            let got = arguments.batch.unwrap_or(0);
            return Err(Error::range("--batch", format!("1 to {MOST_NUMBERS}"), got));
        }
        Ok(Descent {
            rnn: &self.rnn,
            train: &self.train,
            test: self.test.as_ref(),
            rule: learner.rule,
            scaling: learner.scaling,
            feedback_decay: learner.feedback_decay,
            schedule,
            steps: arguments.steps,
            l2: self.l2,
            batches,
            target,
            every: Some(arguments.every.unwrap_or(arguments.steps.div_ceil(50).max(1))),
            seed,
            memory_budget: self.memory_budget,
            largest_only: false,
        })
    }
}

/// What is trained on, what is tested on, and the number of outputs.
type Data = (Sequences<f64>, Option<Sequences<f64>>, usize);

impl TaskArguments {
    fn data(&self) -> std::result::Result<Data, Failure> {
        let path = Path::new(&self.task);
        if path.extension().is_some() {
            return self.file(path);
        }
        if self.task == "digits" {
            return self.digits();
        }
        let trials = self.trials.unwrap_or(64);
        let test = self.test.unwrap_or(match self.task.as_str() {
            "integration" => 1000,
            "pattern" => 0,
            _ => 100,
        });
        let train = Sequences::of(&self.draw(trials, self.task_seed)?)?;
        let outputs = self.draw(1, self.task_seed)?.outputs;
        let test = match test {
            0 => None,
            // Another seed, whatever the first.
            test => Some(Sequences::of(&self.draw(test, !self.task_seed)?)?),
        };
        Ok((train, test, outputs))
    }

    fn draw(&self, trials: usize, seed: u64) -> Result<Trials> {
        let delayed = |exclusive_or| DelayedComparison { exclusive_or, ..Default::default() };
        let evidence = EvidenceAccumulation::default();
        let each = match self.task.as_str() {
            "integration" => 30,
            "delayed-match" | "delayed-xor" => 2 * delayed(true).steps(),
            "evidence" => 40 * evidence.steps(),
            _ => 1,
        };
        if trials > MOST_NUMBERS / each {
            return Err(Error::range("trials", format!("up to {}", MOST_NUMBERS / each), trials));
        }
        match self.task.as_str() {
            "integration" => Integration::default().draw(trials, seed),
            "delayed-match" => delayed(false).draw(trials, seed),
            "delayed-xor" => delayed(true).draw(trials, seed),
            "evidence" => evidence.draw(trials, seed),
            "pattern" if seed == self.task_seed => PatternGeneration::default().draw(seed),
            "pattern" => {
                let expected = "none for pattern, which has one trial";
                Err(Error::range("--test", expected, trials))
            }
            other => {
                let expected = "integration, delayed-match, delayed-xor, pattern, evidence, digits or \
                                a file with an ending";
                Err(Error::range("task", expected, format!("{other:?}")))
            }
        }
    }

    fn digits(&self) -> std::result::Result<Data, Failure> {
        let (trials, test) = (self.trials.unwrap_or(200), self.test.unwrap_or(800));
        if trials == 0 || trials > DIGITS || test > DIGITS - trials {
            let expected = format!("together up to {DIGITS} digits, some to train on");
            let got = format!("{trials} and {test}");
            return Err(Error::range("--trials and --test", expected, got).into());
        }
        let rows = |range: std::ops::Range<usize>| -> std::result::Result<_, Failure> {
            let images = small_digits::<f64>(range)?;
            let Targets::Classes(labels) = images.targets() else {
                return Err(Failure::input("digits: expected classes, got values"));
            };
            debug_assert_eq!(SIDE * SIDE, SMALL_PIXELS);
            let pixels = images.inputs().to_vec();
            Ok(Sequences::of(&image_rows(pixels, [SIDE, SIDE], labels.clone(), CLASSES)?)?)
        };
        let unseen = (test > 0).then(|| rows(DIGITS - test..DIGITS)).transpose()?;
        Ok((rows(0..trials)?, unseen, CLASSES))
    }

    fn file(&self, path: &Path) -> std::result::Result<Data, Failure> {
        let archive = Archive::read(path)?;
        let (x, target) = (archive.get("x")?, archive.get("target")?);
        let &[samples, steps, inputs] = x.shape() else {
            let expected = "samples × steps × inputs";
            return Err(Error::shape(x.label(), expected, x.shape()).into());
        };
        let (answers, outputs) = answers(target, samples, steps)?;
        let all = Sequences::new(x.to_f64()?, [samples, steps, inputs], answers)?;
        let test = self.test.unwrap_or(0);
        let most = samples - test.min(samples);
        let trials = self.trials.unwrap_or(most);
        if most == 0 || trials == 0 || trials > most {
            let expected = format!("together up to {samples} samples, some to train on");
            let got = format!("{trials} and {test}");
            return Err(Error::range("--trials and --test", expected, got).into());
        }
        let part = |range: std::ops::Range<usize>| all.select(&range.collect::<Vec<_>>());
        let unseen = (test > 0).then(|| part(samples - test..samples)).transpose()?;
        Ok((part(0..trials)?, unseen, outputs))
    }
}

/// The targets of a file, and the number of outputs.
fn answers(array: &Array, samples: usize, steps: usize) -> Result<(Answers<f64>, usize)> {
    let wrong = || {
        let expected =
            format!("({samples},), ({samples}, outputs) or ({samples}, {steps}, outputs)");
        Error::shape(array.label(), expected, array.shape())
    };
    match *array.shape() {
        [n] if n == samples && !matches!(array.dtype(), Dtype::F32 | Dtype::F64) => {
            let classes = array.to_indices()?;
            let most = classes.iter().max().map_or(0, |&class| class);
            if most >= 1 << 24 {
                return Err(Error::range(array.label(), "classes below 16777216", most));
            }
            // A readout of one class has nothing to tell.
            Ok((Answers::ClassAtEnd(classes), (most + 1).max(2)))
        }
        [n, outputs] if n == samples && outputs > 0 => {
            Ok((Answers::ValuesAtEnd(array.to_f64()?), outputs))
        }
        [n, t, outputs] if n == samples && t == steps && outputs > 0 => {
            Ok((Answers::ValuesAtEachStep(array.to_f64()?), outputs))
        }
        _ => Err(wrong()),
    }
}
