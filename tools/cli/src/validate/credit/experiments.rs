//! `K`: the small experiments, a row a seed: trainings at equal loss, at the edge of stability, with
//! schedules.
//!
//! The file holds no inputs: they are NumPy's random numbers of known seeds, and the digits.

use hesse::credit::{
    BackWeights, Batches, Block, Decay, Leak, Propagation, RateRnn, Rule, Score, Sequences, Target,
    Training,
};
use hesse::krylov::{BlockOf, LinearOperator, Sum};
use hesse::network::{Activation, Dataset, Targets};
use hesse::optimize::Schedule;
use hesse::statistics::spearman;
use hesse::{Result, parallel};

use super::network::about;
use super::numpy::{Generator, Tables};
use crate::digits::{CLASSES, small_digits};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule as Close};

/// The layout.
pub(super) struct Experiments;

/// Steps, training loss and accuracy, test loss and accuracy, λ₁.
type Row = [f64; COLUMNS];
const COLUMNS: usize = 6;

/// Of losses and of eigenvalues, relative to the largest of a column.
const TOLERANCES: Row = [0.0, 1e-7, 0.0, 1e-7, 0.0, 1e-6];

/// A relative change of all first weights by one unit in the last place must leave this share of the
/// tolerance: a training that makes more of it has no figure to compare.
const SHARE: f64 = 0.1;

/// Steps of the power iteration.
const POWER: usize = 80;

const TABLES: [&str; 15] = [
    "integration_bptt",
    "integration_bptt_slow",
    "integration_modprop",
    "integration_mdgl",
    "integration_three_factor",
    "digits_matched_bptt",
    "digits_matched_bptt_slow",
    "digits_matched_modprop",
    "digits_matched_mdgl",
    "digits_matched_three_factor",
    "digits_edge_bptt",
    "digits_edge_three_factor",
    "remedy_const_small",
    "remedy_const_large",
    "remedy_large_then_small",
];

impl Layout for Experiments {
    fn name(&self) -> &'static str {
        "experiments"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["K"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["integration_bptt", "digits_matched_bptt", "digits_edge_bptt", "remedy_const_small"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&["columns"]);
        let setting = Setting::new()?;
        compute(checks, arrays, &setting).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays, setting: &Setting) -> Result<()> {
    let mut jobs = Vec::new();
    for table in TABLES.into_iter().filter(|table| arrays.numbers.contains_key(*table)) {
        let ([seeds, columns], _) = arrays.with_axes::<2>(table)?;
        if columns != COLUMNS || seeds > 1000 {
            let message =
                format!("expected up to 1000 rows of {COLUMNS}, got {seeds} of {columns}");
            return Err(arrays.wrong(table, message));
        }
        // Below 1000.
        jobs.extend((0..seeds as u32).flat_map(|seed| [(table, seed, false), (table, seed, true)]));
    }
    let rows = parallel::map(jobs.len(), |i| {
        let (table, seed, changed) = jobs[i];
        parallel::alone(|| setting.run(table, seed, changed))
    });
    let rows = rows.into_iter().collect::<Result<Vec<Row>>>()?;
    let mut integrations = Vec::new();
    let mut all = true;
    for table in TABLES {
        let of_table = |changed: bool| {
            let chosen =
                jobs.iter().zip(&rows).filter(move |(job, _)| job.0 == table && job.2 == changed);
            chosen.map(|(_, row)| *row).collect::<Vec<Row>>()
        };
        let (got, other) = (of_table(false), of_table(true));
        if got.is_empty() {
            continue;
        }
        let largest = |column: usize| got.iter().map(|row| row[column].abs()).fold(0.0, f64::max);
        let sizes: Vec<f64> =
            (0..COLUMNS).map(largest).map(|size| if size > 0.0 { size } else { 1.0 }).collect();
        let steady = |(a, b): (&Row, &Row)| {
            (0..COLUMNS).all(|c| (a[c] - b[c]).abs() <= SHARE * TOLERANCES[c] * sizes[c])
        };
        let comparable: Vec<bool> = got.iter().zip(&other).map(steady).collect();
        if table.starts_with("integration") {
            all &= comparable.iter().all(|yes| *yes);
            integrations.extend_from_slice(&got);
        }
        compare(checks, arrays, table, &got, &comparable, &sizes);
    }
    correlations(checks, &integrations, all)
}

/// Compares the rows of a table that rounding leaves alone, in units of the tolerance of a column.
fn compare(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    table: &str,
    got: &[Row],
    comparable: &[bool],
    sizes: &[f64],
) {
    let Some(want) = arrays.numbers.get(table) else { return };
    // Steps and accuracies are counts: 10⁻⁹ of them is none.
    let unit = |c: usize| sizes[c] * if TOLERANCES[c] > 0.0 { TOLERANCES[c] } else { 1e-9 };
    let scale = |values: &[f64]| -> Vec<f64> {
        values.iter().enumerate().map(|(i, x)| x / unit(i % COLUMNS)).collect()
    };
    let numbers = |values: &[f64]| Numbers::matrix(got.len(), COLUMNS, scale(values));
    let flat: Vec<f64> = got.iter().flatten().copied().collect();
    let comparable: Vec<bool> = comparable.iter().flat_map(|&yes| [yes; COLUMNS]).collect();
    let reason = "their training makes more of a change of its start by one unit in the last place \
                  than a tenth of the tolerance";
    checks.compare_in_units(table, &numbers(&flat), &numbers(&want.values), &comparable, reason);
}

/// Spearman's correlation of λ₁ with both gaps over all integrations, and its two-sided p-value.
fn correlations(checks: &mut Checks<'_>, rows: &[Row], all: bool) -> Result<()> {
    type Gap = fn(&Row) -> f64;
    let gaps: [(&str, Gap); 2] = [
        ("integration_spearman_acc", |row| row[2] - row[4]),
        ("integration_spearman_loss", |row| row[3] - row[1]),
    ];
    for (name, gap) in gaps {
        if !all || rows.len() < 3 {
            checks.not_recomputed(&[name]);
            continue;
        }
        let of = |f: &dyn Fn(&Row) -> f64| rows.iter().map(f).collect::<Vec<_>>();
        let r = spearman(&of(&|row| row[5]), &of(&gap))?.value;
        let freedom = rows.len() - 2;
        let t = r * (freedom as f64 / (1.0 - r * r)).sqrt();
        let got = Numbers::vector(vec![r, beyond(t.abs(), freedom)]);
        checks.compare(name, Close::Relative(1e-10), &got);
    }
    Ok(())
}

/// P(|T| > t) of Student's distribution with `freedom` degrees, by its finite series.
///
/// Source: Abramowitz and Stegun, 26.7.3 and 26.7.4.
fn beyond(t: f64, freedom: usize) -> f64 {
    let root = (freedom as f64).sqrt();
    let angle = (t / root).atan();
    let (sine, cosine) = (angle.sin(), angle.cos());
    let odd = freedom % 2 == 1;
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = if odd && freedom == 1 { 0.0 } else { term };
    let mut k = if odd { 2 } else { 1 };
    while k + 2 < freedom + usize::from(!odd) {
        term *= cosine * cosine * k as f64 / (k + 1) as f64;
        sum += term;
        k += 2;
    }
    let within = if odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum };
    1.0 - within
}

/// Everything that does not depend on the seed.
struct Setting {
    tables: Tables,
    integration_test: Sequences<f64>,
    digits: Sequences<f64>,
    digits_test: Sequences<f64>,
}

const TRIALS: usize = 64;
const SIDE: usize = 8;
const BATCH: usize = 64;

impl Setting {
    fn new() -> std::result::Result<Self, Failure> {
        let tables = Tables::read()?;
        let integration_test = integration(&mut Generator::new(&tables, 999), 1000)?;
        let rows = |images: &Dataset<f64>, pixels: Vec<f64>| {
            let Targets::Classes(labels) = images.targets() else {
                return Err(Failure::input("digits: expected classes, got values"));
            };
            let shape = [images.len(), SIDE, SIDE];
            Ok(Sequences::new(pixels, shape, Target::ClassAtEnd(labels.clone()))?)
        };
        let images = small_digits::<f64>(0..1797)?;
        let digits = rows(&images, images.inputs().to_vec())?;
        let images = small_digits::<f64>(997..1797)?;
        let noise = Generator::new(&tables, 1).normals(images.inputs().len());
        let noisy = images.inputs().iter().zip(noise).map(|(x, z)| (x + 0.2 * z).clamp(0.0, 1.0));
        let digits_test = rows(&images, noisy.collect())?;
        Ok(Self { tables, integration_test, digits, digits_test })
    }

    /// One row, or the same from weights that are changed by one unit in the last place.
    fn run(&self, table: &str, seed: u32, changed: bool) -> Result<Row> {
        if let Some(rule) = table.strip_prefix("integration_") {
            return self.integrate(rule, seed, changed);
        }
        let few = || self.digits.select(&(0..200).collect::<Vec<_>>());
        let fixed = |rate: f64| Schedule::constant(rate);
        let plain = Plan { leak: 0.6, l2: 0.0, steps: 3000, target: Some(0.3) };
        let edge = Plan { leak: 0.0, l2: 0.01, steps: 3000, target: None };
        let remedy = Plan { steps: 2500, target: None, ..plain };
        if let Some(rule) = table.strip_prefix("digits_matched_") {
            let rate = if rule == "bptt_slow" { 0.03 } else { 0.2 };
            return self.read(&few()?, &plain, named(rule), fixed(rate)?, seed, changed);
        }
        if let Some(rule) = table.strip_prefix("digits_edge_") {
            let many = self.digits.select(&(0..600).collect::<Vec<_>>())?;
            return self.read(&many, &edge, named(rule), fixed(0.1)?, seed, changed);
        }
        let schedule = match table {
            "remedy_const_small" => fixed(0.05)?,
            "remedy_const_large" => fixed(0.3)?,
            _ => Schedule::switched(0.3, 0.05, 399)?,
        };
        self.read(&few()?, &remedy, Rule::three_factor(), schedule, seed, changed)
    }

    fn integrate(&self, rule: &str, seed: u32, changed: bool) -> Result<Row> {
        const UNITS: usize = 24;
        let rnn = RateRnn::new(2, UNITS, 2, Activation::Relu, Leak::Voltage(vec![0.6]))?;
        let mut generator = Generator::new(&self.tables, seed);
        let train = integration(&mut generator, TRIALS)?;
        let root = (UNITS as f64).sqrt();
        let w = generator.normals(UNITS * UNITS).into_iter().map(|x| 1.2 * x / root);
        let mut theta: Vec<f64> = w.collect();
        theta.extend(generator.normals(UNITS * 2));
        theta.resize(theta.len() + UNITS, 0.0);
        theta.extend(generator.normals(2 * UNITS).into_iter().map(|x| x / root));
        theta.resize(theta.len() + 2, 0.0);
        let rate = Schedule::constant(if rule == "bptt_slow" { 0.04 } else { 0.2 })?;
        let training = Training::new(&rnn, &train, named(rule), rate, 3000)?.target_loss(0.05);
        let decay = Decay::new(&rnn, 0.0)?;
        self.row(&rnn, [&train, &self.integration_test], training, &decay, theta, changed)
    }

    fn read(
        &self,
        train: &Sequences<f64>,
        plan: &Plan,
        rule: Rule<f64>,
        rate: Schedule,
        seed: u32,
        changed: bool,
    ) -> Result<Row> {
        const UNITS: usize = 32;
        let leak = Leak::Voltage(vec![plan.leak]);
        let rnn = RateRnn::new(SIDE, UNITS, CLASSES, Activation::Relu, leak)?;
        let rnn = rnn.autapses(false).bias(false);
        let mut generator = Generator::new(&self.tables, seed);
        let root = (UNITS as f64 / 2.0).sqrt();
        let mut theta: Vec<f64> =
            generator.normals(UNITS * UNITS).into_iter().map(|x| x / root).collect();
        (0..UNITS).for_each(|i| theta[i * (UNITS + 1)] = 0.0);
        theta.extend(generator.normals(UNITS * SIDE).into_iter().map(|x| x / 2.0));
        let limit = (6.0 / (UNITS + CLASSES) as f64).sqrt();
        theta.extend(generator.uniforms(-1.0, 1.0, CLASSES * UNITS).into_iter().map(|x| x * limit));
        theta.resize(theta.len() + CLASSES, 0.0);
        let mut order = Generator::new(&self.tables, 100 + seed);
        // Below 600.
        let samples = train.samples() as u32;
        let batches = (0..plan.steps).map(|_| order.indices(samples, BATCH)).collect();
        let decay = Decay::new(&rnn, plan.l2)?;
        let mut training = Training::new(&rnn, train, rule, rate, plan.steps)?
            .decay(decay.clone())
            .batches(Batches::Given(batches))?;
        if let Some(target) = plan.target {
            training = training.target_loss_on_all(target, 100)?;
        }
        self.row(&rnn, [train, &self.digits_test], training, &decay, theta, changed)
    }

    fn row(
        &self,
        rnn: &RateRnn,
        [train, test]: [&Sequences<f64>; 2],
        training: Training<'_, f64>,
        decay: &Decay<f64>,
        mut theta: Vec<f64>,
        changed: bool,
    ) -> Result<Row> {
        if changed {
            let factors = [1.0 + f64::EPSILON, 1.0 - f64::EPSILON];
            theta.iter_mut().zip(factors.iter().cycle()).for_each(|(x, f)| *x *= f);
        }
        let history = training.run(&theta)?;
        let theta = &history.parameters;
        let (seen, unseen) = (Score::of(rnn, theta, train)?, Score::of(rnn, theta, test)?);
        let accuracy = |score: Score| score.accuracy.unwrap_or(f64::NAN);
        Ok([
            (history.losses.len() - 1) as f64,
            seen.loss,
            accuracy(seen),
            unseen.loss,
            accuracy(unseen),
            self.largest(rnn, theta, train, decay)?,
        ])
    }

    /// The Rayleigh quotient of W's Hessian at the last of [`POWER`] power steps, which need not have
    /// converged, from the reference's own start.
    fn largest(
        &self,
        rnn: &RateRnn,
        theta: &[f64],
        train: &Sequences<f64>,
        decay: &Decay<f64>,
    ) -> Result<f64> {
        let network = rnn.network(train.steps(), false)?;
        let objective = train.objective(&network)?;
        let point = objective.at(theta)?;
        let hessian = Sum::new::<f64>(point.hessian(), decay.hessian()?)?;
        let hessian = BlockOf::new::<f64>(hessian, rnn.block(Block::Recurrent))?;
        let units = rnn.units();
        let Some(mut v) = self.tables.start(units) else { return Ok(f64::NAN) };
        if !rnn.has_autapses() {
            v.iter_mut().step_by(units + 1).for_each(|x| *x = 0.0);
        }
        let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let length = norm(&v);
        v.iter_mut().for_each(|x| *x /= length);
        let mut image = vec![0.0; v.len()];
        let mut quotient = 0.0;
        for _ in 0..POWER {
            hessian.apply(&v, &mut image);
            quotient = v.iter().zip(&image).map(|(a, b)| a * b).sum();
            let length = norm(&image);
            v.iter_mut().zip(&image).for_each(|(v, x)| *v = x / length);
        }
        Ok(quotient)
    }
}

/// A training on digits.
#[derive(Clone, Copy)]
struct Plan {
    leak: f64,
    l2: f64,
    steps: u64,
    target: Option<f64>,
}

fn named(rule: &str) -> Rule<f64> {
    match rule {
        "modprop" => {
            Rule::ModProp { mu: 0.25, weights: BackWeights::Exact, propagation: Propagation::Code }
        }
        "mdgl" => Rule::Mdgl { weights: BackWeights::Exact },
        "three_factor" => Rule::three_factor(),
        _ => Rule::Bptt,
    }
}

/// Trials of 15 steps of two normal inputs, with the sign of the first one's sum.
fn integration(generator: &mut Generator<'_>, trials: usize) -> Result<Sequences<f64>> {
    const STEPS: usize = 15;
    let x = generator.normals(trials * STEPS * 2);
    let positive = |x: &[f64]| usize::from(x.iter().step_by(2).sum::<f64>() > 0.0);
    let classes = x.chunks_exact(STEPS * 2).map(positive).collect();
    Sequences::new(x, [trials, STEPS, 2], Target::ClassAtEnd(classes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.t.sf, twice.
    #[test]
    fn students_tails() {
        for (t, freedom, want) in [
            (1.0, 1, 0.5),
            (2.0, 2, 0.183_503_419_072_273_97),
            (2.0, 3, 0.139_325_968_558_843_05),
            (2.654_897_3, 98, 0.009_259_374_558_537_934),
            (1.5, 7, 0.177_298_486_989_97),
        ] {
            let got = beyond(t, freedom);
            assert!((got - want).abs() < 1e-13, "{t} {freedom}: {got}");
        }
    }
}
