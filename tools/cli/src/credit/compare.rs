//! `hesse credit compare`: rules, rates and seeds side by side.

use hesse::credit::{Sequences, Stop, Target};
use hesse::io::{Archive, Array, Format};
use hesse::statistics::{spearman, standard_deviation};
use serde::Serialize;

use super::descent::{Outcome, Reading};
use super::pictures::{self, Shown};
use super::problem::{NetworkArguments, Problem, TaskArguments, TrainingArguments};
use super::rules::RuleName;
use super::side_by_side::{self, Job};
use super::{some, stop_name};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Folder, Output, to_json};
use crate::runs::prepare;
use crate::table::Table;
use crate::train::{Seeds, seeds};
use crate::units::three;

/// Train networks by several rules, at several rates and seeds, side by side
///
/// Prints for each rule and rate the means and standard deviations over seeds of steps, curvature and
/// gap, and the rank correlation of curvature and gap over all networks. Compare rules at equal training
/// loss: give --target-loss. With --out, every training is kept in DIR/runs when it ends, so that
/// --resume goes on with a comparison that was stopped; writes compare.json, compare.npz, loss.svg,
/// alignment.svg, edge.svg and gap.svg of the first seed, and curvature.svg. A training that diverges is
/// a line, not a failure.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    task: TaskArguments,
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    training: TrainingArguments,
    /// Rules, such as bptt,bptt@0.2,three-factor
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    #[arg(default_value = "bptt,three-factor")]
    rules: Vec<RuleName>,
    /// Learning rates
    #[arg(long, value_name = "ETAS", default_value = "0.1", allow_negative_numbers = true)]
    #[arg(value_delimiter = ',')]
    learning_rate: Vec<f64>,
    /// Seeds of first weights, batches, feedback and noise: 1..8 is eight of them, 1,3,7 is three
    #[arg(long, value_name = "SEEDS", value_parser = seeds, default_value = "1..5")]
    seeds: Seeds,
    /// Go on with the trainings in the folder
    #[arg(long)]
    resume: bool,
}

/// What is printed and written.
#[derive(Debug, Serialize)]
struct Summary {
    parameters: usize,
    samples: usize,
    groups: Vec<Group>,
    /// Of λ₁ with the accuracy gap, or the loss gap where there are no classes.
    rank_correlation: Option<f64>,
    runs: Vec<Run>,
}

/// One rule at one rate.
#[derive(Debug, Serialize)]
struct Group {
    rule: String,
    learning_rate: f64,
    diverged: usize,
    steps: Spread,
    train_loss: Spread,
    largest_eigenvalue: Spread,
    edge: Spread,
    loss_gap: Spread,
    accuracy_gap: Spread,
}

/// Over the seeds that did not diverge.
#[derive(Clone, Copy, Debug, Serialize)]
struct Spread {
    mean: Option<f64>,
    standard_deviation: Option<f64>,
}

/// One training.
#[derive(Debug, Serialize)]
struct Run {
    name: String,
    rule: String,
    learning_rate: f64,
    seed: u64,
    stop: &'static str,
    steps: u64,
    train_loss: Option<f64>,
    train_accuracy: Option<f64>,
    test_loss: Option<f64>,
    test_accuracy: Option<f64>,
    largest_eigenvalue: Option<f64>,
    smallest_eigenvalue: Option<f64>,
}

/// What all trainings share, so that only the same comparison is gone on with.
#[derive(Debug, Serialize)]
struct Shared {
    network: String,
    training: String,
    data: String,
}

/// One training to do.
struct Setting<'a> {
    rule: &'a RuleName,
    rate: f64,
    seed: u64,
}

impl Setting<'_> {
    fn name(&self) -> String {
        let Self { rule, rate, seed } = self;
        if (1e-4..1e6).contains(rate) {
            format!("{rule}-rate{rate}-seed{seed}")
        } else {
            format!("{rule}-rate{rate:e}-seed{seed}")
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let problem = Problem::new(&arguments.task, &arguments.network)?;
    let folder = output.folder();
    if folder.is_none() && arguments.resume {
        return Err(Failure::input("--resume: expected --out, got none"));
    }
    let Seeds(seeds) = &arguments.seeds;
    let rates = &arguments.learning_rate;
    let settings: Vec<Setting<'_>> = arguments
        .rules
        .iter()
        .flat_map(|rule| rates.iter().map(move |&rate| (rule, rate)))
        .flat_map(|(rule, rate)| seeds.iter().map(move |&seed| Setting { rule, rate, seed }))
        .collect();
    let mut names: Vec<String> = settings.iter().map(Setting::name).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        let message = format!("trainings: expected each once, got {} twice", twice[0]);
        return Err(Failure::input(message));
    }
    let mut jobs = Vec::new();
    for setting in &settings {
        let Setting { rule, rate, seed } = *setting;
        let descent = problem.descent(&arguments.training, rule, rate, seed)?;
        // Options out of range are named before anything is written.
        descent.check()?;
        let start = problem.rnn.initialize::<f64>(seed)?;
        jobs.push(Job { name: setting.name(), train: Box::new(move || descent.run(&start)) });
    }
    let runs = match folder {
        None => None,
        Some(folder) => {
            let path = folder.path().join("runs");
            let file = |setting: &Setting<'_>| path.join(format!("{}.npz", setting.name()));
            let earlier = settings.iter().map(file).find(|file| file.exists());
            Some(prepare(&path, earlier, &shared(arguments, &problem), arguments.resume)?)
        }
    };
    let outcomes = side_by_side::run(&jobs, runs.as_ref(), "credit: trainings", output)?;
    let summary = Summary::of(&problem, &settings, &outcomes, seeds.len())?;
    if let Some(folder) = folder {
        folder.write("compare.json", (to_json(&summary)? + "\n").as_bytes())?;
        write(folder, &settings, &outcomes, seeds.len())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

fn shared(arguments: &Arguments, problem: &Problem) -> Shared {
    Shared {
        network: format!("{:?}", arguments.network),
        training: format!("{:?}", arguments.training),
        data: digest([Some(&problem.train), problem.test.as_ref()]),
    }
}

/// FNV-1a over the bits of inputs and targets.
fn digest(data: [Option<&Sequences<f64>>; 2]) -> String {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u64| {
        for byte in bits.to_le_bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for data in data.into_iter().flatten() {
        data.inputs().iter().for_each(|x| add(x.to_bits()));
        match data.target() {
            Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes) => {
                classes.iter().for_each(|&class| add(class as u64));
            }
            Target::ValuesAtEnd(values) | Target::ValuesAtEachStep(values) => {
                values.iter().for_each(|x| add(x.to_bits()));
            }
        }
    }
    format!("{digest:016x}")
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let several = values.len() > 1;
        let standard_deviation = several.then(|| standard_deviation(values)).and_then(some);
        Self { mean: some(mean), standard_deviation }
    }

    fn text(self) -> String {
        let of = |x: Option<f64>| x.map(three);
        match (of(self.mean), of(self.standard_deviation)) {
            (Some(mean), Some(deviation)) => format!("{mean} ± {deviation}"),
            (Some(mean), None) => mean,
            _ => String::new(),
        }
    }
}

impl Summary {
    fn of(
        problem: &Problem,
        settings: &[Setting<'_>],
        outcomes: &[Outcome],
        seeds: usize,
    ) -> Result<Self, Failure> {
        let groups = settings.chunks(seeds).zip(outcomes.chunks(seeds));
        let group = |(settings, outcomes): (&[Setting<'_>], &[Outcome])| {
            let Setting { rule, rate, .. } = settings[0];
            let ended: Vec<_> = outcomes.iter().filter(|o| o.stop != Stop::Diverged).collect();
            let spread = |of: &dyn Fn(&Outcome) -> f64| {
                Spread::of(&ended.iter().map(|o| of(o)).collect::<Vec<_>>())
            };
            Group {
                rule: rule.to_string(),
                learning_rate: rate,
                diverged: outcomes.len() - ended.len(),
                steps: spread(&|o| o.steps as f64),
                train_loss: spread(&|o| o.train_loss),
                largest_eigenvalue: spread(&|o| o.largest),
                edge: spread(&|o| 0.5 * rate * o.largest),
                loss_gap: spread(&Outcome::loss_gap),
                accuracy_gap: spread(&Outcome::accuracy_gap),
            }
        };
        let groups: Vec<Group> = groups.map(group).collect();
        let run = |(setting, o): (&Setting<'_>, &Outcome)| Run {
            name: setting.name(),
            rule: setting.rule.to_string(),
            learning_rate: setting.rate,
            seed: setting.seed,
            stop: stop_name(o.stop),
            steps: o.steps,
            train_loss: some(o.train_loss),
            train_accuracy: some(o.train_accuracy),
            test_loss: some(o.test_loss),
            test_accuracy: some(o.test_accuracy),
            largest_eigenvalue: some(o.largest),
            smallest_eigenvalue: some(o.smallest),
        };
        let gaps: [Reading; 2] = [Outcome::accuracy_gap, Outcome::loss_gap];
        let pairs = gaps.map(|gap| {
            let both = outcomes.iter().map(|o| (o.largest, gap(o)));
            both.filter(|(x, y)| x.is_finite() && y.is_finite()).unzip::<f64, f64, Vec<_>, Vec<_>>()
        });
        let rank_correlation = match pairs.iter().find(|(x, _)| x.len() > 2) {
            Some((x, y)) => some(spearman(x, y)?.value),
            None => None,
        };
        Ok(Self {
            parameters: problem.rnn.parameter_count(),
            samples: problem.train.samples(),
            groups,
            rank_correlation,
            runs: settings.iter().zip(outcomes).map(run).collect(),
        })
    }

    fn text(&self) -> String {
        let mut table = Table::new().words("rule").numbers("rate");
        for name in ["steps", "loss", "λ₁", "λ₁ η/2", "loss gap", "accuracy gap", "diverged"]
        {
            table = table.numbers(name);
        }
        for group in &self.groups {
            table.row([
                group.rule.clone(),
                group.learning_rate.to_string(),
                group.steps.text(),
                group.train_loss.text(),
                group.largest_eigenvalue.text(),
                group.edge.text(),
                group.loss_gap.text(),
                group.accuracy_gap.text(),
                group.diverged.to_string(),
            ]);
        }
        let mut text = table.to_string();
        if let Some(r) = self.rank_correlation {
            text +=
                &format!("\nrank correlation of λ₁ with the gap over all networks: {}\n", three(r));
        }
        text
    }
}

fn write(
    folder: &Folder,
    settings: &[Setting<'_>],
    outcomes: &[Outcome],
    seeds: usize,
) -> Result<(), Failure> {
    let mut arrays = Archive::new();
    let columns: [(&str, Reading); 7] = [
        ("train_loss", |o| o.train_loss),
        ("train_accuracy", |o| o.train_accuracy),
        ("test_loss", |o| o.test_loss),
        ("test_accuracy", |o| o.test_accuracy),
        ("largest_eigenvalue", |o| o.largest),
        ("smallest_eigenvalue", |o| o.smallest),
        ("residual", |o| o.residual),
    ];
    for (name, of) in columns {
        arrays.insert(name, Array::from_vector(outcomes.iter().map(of).collect::<Vec<f64>>()));
    }
    let rates = settings.iter().map(|setting| setting.rate).collect::<Vec<f64>>();
    let rules = settings.iter().map(|setting| setting.rule.to_string()).collect::<Vec<_>>();
    arrays.insert("learning_rate", Array::from_vector(rates));
    arrays.insert("rule", Array::from_vector(rules));
    arrays
        .insert("seed", Array::from_vector(settings.iter().map(|s| s.seed).collect::<Vec<u64>>()));
    arrays.insert(
        "steps",
        Array::from_vector(outcomes.iter().map(|o| o.steps).collect::<Vec<u64>>()),
    );
    folder.write("compare.npz", &arrays.to_bytes(Format::Npz)?)?;
    let label = |setting: &Setting<'_>| format!("{}, rate {}", setting.rule, setting.rate);
    let firsts = settings.iter().zip(outcomes).step_by(seeds);
    let shown: Vec<Shown<'_>> = firsts
        .map(|(setting, outcome)| Shown { name: label(setting), rate: setting.rate, outcome })
        .collect();
    for (file, figure) in pictures::of(&shown) {
        folder.write(file, figure.to_svg().as_bytes())?;
    }
    let tested = outcomes.iter().any(|o| o.test_loss.is_finite());
    let y = if tested { "test − training loss" } else { "training loss" };
    let mut curvature = Figure::new("Where the rules end", "λ₁", y).log_x();
    for (settings, outcomes) in settings.chunks(seeds).zip(outcomes.chunks(seeds)) {
        let height = |o: &Outcome| if tested { o.loss_gap() } else { o.train_loss };
        let points = outcomes.iter().map(|o| (o.largest, height(o)));
        curvature = curvature.points(&label(&settings[0]), points);
    }
    folder.write("curvature.svg", curvature.to_svg().as_bytes())?;
    Ok(())
}
