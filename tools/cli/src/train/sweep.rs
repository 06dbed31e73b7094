//! A sweep: one training for every learning rate, batch size and seed.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Mutex;

use hesse::Real;
use hesse::io::{Archive, Array, Format};
use hesse::network::{
    Architecture, Dataset, Network, Objective, Sweep, SweepRun, SweepSetting, Targets,
    TrainingStatus,
};
use serde::Serialize;

use super::{
    Arguments, CURVE_POINTS, OptimizerName, optimizer, percent, samples, score, status_name,
};
use crate::data::Precision;
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::network_file;
use crate::output::{Folder, Output, to_json};
use crate::progress::Progress;
use crate::runs::prepare;
use crate::table::Table;
use crate::units::three;

/// The seeds of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(pub(crate) Vec<u64>);

/// More seeds than anybody means.
const MOST_SEEDS: u64 = 100_000;

/// Reads `1..8` (eight seeds) and `1,3,7`.
pub(crate) fn seeds(text: &str) -> Result<Seeds, String> {
    let wrong = || format!("expected FIRST..LAST or seeds with commas between them, got {text:?}");
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
        match part.split_once("..") {
            None => seeds.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first || last - first >= MOST_SEEDS {
                    return Err(wrong());
                }
                seeds.extend(first..=last);
            }
        }
    }
    Ok(Seeds(seeds))
}

/// Reads `0.5:20`, a learning rate and a batch size.
pub(super) fn pair(text: &str) -> Result<(f64, usize), String> {
    let parse = || {
        let (rate, batch) = text.split_once(':')?;
        Some((rate.trim().parse().ok()?, batch.trim().parse().ok()?))
    };
    parse().ok_or_else(|| format!("expected RATE:BATCH such as 0.5:20, got {text:?}"))
}

/// Steps from one checkpoint to the next, unless --every says.
const CHECKPOINT_EVERY: u64 = 5000;
/// Steps from one report of a training to the next.
const REPORT_EVERY: u64 = 500;

/// What is printed and written.
#[derive(Clone, Debug, Serialize)]
struct Summary {
    parameters: usize,
    samples: usize,
    dtype: Precision,
    runs: Vec<Row>,
}

/// One training.
#[derive(Clone, Debug, Serialize)]
struct Row {
    name: String,
    learning_rate: f64,
    batch: usize,
    seed: u64,
    status: &'static str,
    steps: u64,
    loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    test_accuracy: Option<f64>,
}

/// What all trainings of a sweep share, so that only the same sweep is resumed.
#[derive(Clone, Debug, Serialize)]
struct Shared {
    network: Architecture,
    samples: usize,
    features: usize,
    data: String,
    loss: hesse::network::Loss,
    dtype: Precision,
    optimizer: OptimizerName,
    momentum: f64,
    weight_decay: f64,
}

/// Runs the sweep that `arguments` describe.
pub(super) fn train<T: Real>(arguments: &Arguments, output: &Output) -> Result<Verdict, Failure> {
    let architecture = network_file::architecture(&arguments.network)?;
    let network = network_file::read::<T>(&arguments.network)?;
    let (data, test) = samples::<T>(arguments)?;
    let settings = settings(arguments, data.len());
    let folder = output.folder();
    if folder.is_none() && (arguments.resume || arguments.every.is_some()) {
        let option = if arguments.resume { "--resume" } else { "--every" };
        return Err(Failure::input(format!("{option}: expected --out with --sweep, got none")));
    }
    let steps = arguments.steps.unwrap_or(1000);
    let length = network.parameter_count();
    // Options out of range are named before anything is written.
    drop(optimizer::<T>(arguments, length)?);
    let new = || match optimizer::<T>(arguments, length) {
        Ok(optimizer) => Ok(optimizer),
        Err(Failure::Library(error)) => Err(error),
        Err(other) => Err(hesse::Error::range("optimizer", "options that fit", other.line())),
    };
    let mut sweep = Sweep::new(&network, &data, arguments.data.loss())
        .settings(settings.iter().copied())
        .steps(steps)
        .record(steps.div_ceil(CURVE_POINTS).max(1))
        .optimizer(new)
        .resume(arguments.resume);
    if let Some(target) = arguments.target_loss {
        if target.is_nan() {
            return Err(hesse::Error::range("--target-loss", "a number", target).into());
        }
        sweep = sweep.target_loss(target, 100);
    }
    sweep.check()?;
    if let Some(folder) = folder {
        let runs = runs_folder(folder);
        let shared = shared(arguments, architecture, &data);
        let checkpoint = |setting| Sweep::<f64>::checkpoint(&runs, setting);
        let earlier = settings.iter().map(checkpoint).find(|checkpoint| checkpoint.exists());
        prepare(&runs, earlier, &shared, arguments.resume)?;
        sweep = sweep.folder(&runs, arguments.every.unwrap_or(CHECKPOINT_EVERY));
    }

    let bar = Progress::new(output, "sweep", steps.saturating_mul(settings.len() as u64));
    let done = Mutex::new((vec![0; settings.len()], 0));
    let sweep = sweep.callback(REPORT_EVERY, |progress| {
        let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let ended = progress.status.is_some();
        done.0[progress.run] = if ended { steps } else { progress.step };
        done.1 += usize::from(ended);
        bar.set(done.0.iter().sum());
        bar.say(format!("{} of {} done", done.1, done.0.len()));
        ControlFlow::Continue(())
    });
    let runs = sweep.run()?;
    drop(bar);

    let rows = rows(arguments, &network, &data, test.as_ref(), &runs)?;
    let dtype = arguments.data.dtype;
    let summary = Summary { parameters: length, samples: data.len(), dtype, runs: rows };
    if let Some(folder) = folder {
        write(folder, &summary, &runs)?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&table(&summary).to_string())?;
    }
    Ok(Verdict::Holds)
}

fn settings(arguments: &Arguments, samples: usize) -> Vec<SweepSetting> {
    let alone = vec![arguments.seed];
    let seeds = arguments.seeds.as_ref().map_or(&alone, |Seeds(seeds)| seeds);
    let batches = if arguments.batch.is_empty() { vec![samples] } else { arguments.batch.clone() };
    let pairs = if arguments.setting.is_empty() {
        let rates = arguments.learning_rate.iter();
        rates.flat_map(|&rate| batches.iter().map(move |&batch| (rate, batch))).collect()
    } else {
        arguments.setting.clone()
    };
    let each = pairs.into_iter().flat_map(|(learning_rate, batch)| {
        seeds.iter().map(move |&seed| SweepSetting { learning_rate, batch, seed })
    });
    each.collect()
}

fn runs_folder(folder: &Folder) -> PathBuf {
    folder.path().join("runs")
}

fn shared<T: Real>(arguments: &Arguments, network: Architecture, data: &Dataset<T>) -> Shared {
    // FNV-1a over the bits of inputs and targets.
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bits: u64| {
        for byte in bits.to_le_bytes() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    data.inputs().iter().for_each(|x| add(x.to_f64().to_bits()));
    match data.targets() {
        Targets::Classes(classes) => classes.iter().for_each(|&class| add(class as u64)),
        Targets::Rows { values, .. } => values.iter().for_each(|x| add(x.to_f64().to_bits())),
        _ => {}
    }
    Shared {
        network,
        samples: data.len(),
        features: data.features(),
        data: format!("{digest:016x}"),
        loss: arguments.data.loss(),
        dtype: arguments.data.dtype,
        optimizer: arguments.optimizer,
        momentum: arguments.momentum,
        weight_decay: arguments.weight_decay,
    }
}

fn rows<T: Real>(
    arguments: &Arguments,
    network: &Network<T>,
    data: &Dataset<T>,
    test: Option<&Dataset<T>>,
    runs: &[SweepRun<T>],
) -> Result<Vec<Row>, Failure> {
    let loss = arguments.data.loss();
    let train = Objective::new(network, data, loss)?;
    let test = test.map(|test| Objective::new(network, test, loss)).transpose()?;
    let row = |run: &SweepRun<T>| {
        let SweepSetting { learning_rate, batch, seed } = run.setting;
        let mut row = Row {
            name: run.setting.to_string(),
            learning_rate,
            batch,
            seed,
            status: "not begun",
            steps: 0,
            loss: f64::NAN,
            accuracy: None,
            test_loss: None,
            test_accuracy: None,
        };
        if let Some(training) = &run.training {
            let theta = training.parameters.values();
            (row.status, row.steps) = (status_name(training.status), training.steps);
            (row.loss, row.accuracy) = score(&train, theta, arguments)?;
            if let Some(test) = &test {
                let (loss, accuracy) = score(test, theta, arguments)?;
                (row.test_loss, row.test_accuracy) = (Some(loss), accuracy);
            }
        }
        Ok(row)
    };
    runs.iter().map(row).collect()
}

/// The code of a status in `sweep.npz`.
fn code<T>(run: &SweepRun<T>) -> u8 {
    match run.training.as_ref().map(|training| training.status) {
        Some(TrainingStatus::StepLimit) => 0,
        Some(TrainingStatus::TargetLoss) => 1,
        Some(TrainingStatus::Diverged) => 2,
        Some(_) => 3,
        None => 4,
    }
}

fn write<T: Real>(folder: &Folder, summary: &Summary, runs: &[SweepRun<T>]) -> Result<(), Failure> {
    let each = Folder::create(runs_folder(folder))?;
    for run in runs {
        if let Some(training) = &run.training {
            let bytes = training.parameters.to_archive()?.to_bytes(Format::Safetensors)?;
            each.subfolder(run.setting.to_string())?.write("parameters.safetensors", &bytes)?;
        }
    }
    let mut arrays = Archive::new();
    let mut column = |name: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        if summary.runs.iter().any(|row| of(row).is_some()) {
            let values = summary.runs.iter().map(|row| of(row).unwrap_or(f64::NAN)).collect();
            arrays.insert(name, Array::from_vector::<f64>(values));
        }
    };
    column("learning_rate", &|row| Some(row.learning_rate));
    column("loss", &|row| Some(row.loss));
    column("accuracy", &|row| row.accuracy);
    column("test_loss", &|row| row.test_loss);
    column("test_accuracy", &|row| row.test_accuracy);
    let counts =
        |of: &dyn Fn(&Row) -> u64| Array::from_vector(summary.runs.iter().map(of).collect());
    arrays.insert("batch", counts(&|row| row.batch as u64));
    arrays.insert("seed", counts(&|row| row.seed));
    arrays.insert("steps", counts(&|row| row.steps));
    arrays.insert("status", Array::from_vector(runs.iter().map(code).collect::<Vec<u8>>()));
    // A row a training; NaN where a training has no such step.
    let (steps, curves) = curves(runs);
    let shape = [runs.len(), steps.len()];
    arrays.insert("curve_step", Array::from_vector(steps));
    arrays.insert("curve_loss", Array::new(shape, curves.concat())?);
    folder.write("sweep.npz", &arrays.to_bytes(Format::Npz)?)?;
    folder.write("loss.svg", figure(runs).to_svg().as_bytes())?;
    folder.write("sweep.json", (to_json(summary)? + "\n").as_bytes())?;
    Ok(())
}

/// All steps at which a training has its loss recorded, and the losses of each training there.
fn curves<T>(runs: &[SweepRun<T>]) -> (Vec<u64>, Vec<Vec<f64>>) {
    let points = |run: &SweepRun<T>| run.training.as_ref().map_or(vec![], |t| t.curve.clone());
    let mut steps: Vec<u64> = runs.iter().flat_map(points).map(|(step, _)| step).collect();
    steps.sort_unstable();
    steps.dedup();
    let row = |run| {
        let mut row = vec![f64::NAN; steps.len()];
        for (step, loss) in points(run) {
            if let Ok(at) = steps.binary_search(&step) {
                row[at] = loss;
            }
        }
        row
    };
    let rows = runs.iter().map(row).collect();
    (steps, rows)
}

/// For every pair of rate and batch, the mean over seeds between the smallest and the largest.
fn figure<T>(runs: &[SweepRun<T>]) -> Figure {
    let (steps, curves) = curves(runs);
    let mut pairs: Vec<(f64, usize)> = Vec::new();
    for SweepSetting { learning_rate, batch, .. } in runs.iter().map(|run| run.setting) {
        if !pairs.contains(&(learning_rate, batch)) {
            pairs.push((learning_rate, batch));
        }
    }
    let mut figure = Figure::new("Sweep", "step", "loss of the batch").log_y();
    for (rate, batch) in pairs {
        let of =
            |run: &SweepRun<T>| (run.setting.learning_rate, run.setting.batch) == (rate, batch);
        let of_pair: Vec<&Vec<f64>> =
            runs.iter().zip(&curves).filter(|(run, _)| of(run)).map(|(_, curve)| curve).collect();
        let at = |i: usize| of_pair.iter().map(move |curve| curve[i]).filter(|loss| !loss.is_nan());
        let (mut mean, mut band) = (Vec::new(), Vec::new());
        for (i, &step) in steps.iter().enumerate() {
            let (sum, count) = at(i).fold((0.0, 0), |(sum, count), loss| (sum + loss, count + 1));
            if count > 0 {
                let step = step as f64;
                mean.push((step, sum / f64::from(count)));
                band.push((step, at(i).fold(f64::INFINITY, f64::min), at(i).fold(0.0, f64::max)));
            }
        }
        figure = figure.band(band).line(&format!("rate {rate}, batch {batch}"), mean);
    }
    figure
}

/// A number of a training, where there is one.
type Of = fn(&Row) -> Option<f64>;
/// A column of such numbers: its header, and how a number is written.
type Column = (&'static str, Of, fn(f64) -> String);

fn table(summary: &Summary) -> Table {
    let has = |of: Of| summary.runs.iter().any(|row| of(row).is_some());
    let columns: [Column; 4] = [
        ("loss", |row| Some(row.loss), three),
        ("accuracy", |row| row.accuracy, percent),
        ("test loss", |row| row.test_loss, three),
        ("test accuracy", |row| row.test_accuracy, percent),
    ];
    let shown: Vec<_> = columns.into_iter().filter(|(_, of, _)| has(*of)).collect();
    let mut table = Table::new().numbers("rate").numbers("batch").numbers("seed").words("status");
    table = table.numbers("steps");
    for (name, ..) in &shown {
        table = table.numbers(name);
    }
    for row in &summary.runs {
        let mut cells = vec![
            row.learning_rate.to_string(),
            row.batch.to_string(),
            row.seed.to_string(),
            row.status.to_owned(),
            row.steps.to_string(),
        ];
        cells.extend(shown.iter().map(|(_, of, text)| of(row).map_or(String::new(), text)));
        table.row(cells);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_pairs_are_read() {
        let of = |text: &str| seeds(text).map(|Seeds(seeds)| seeds);
        assert_eq!(of("1..8").unwrap(), (1..=8).collect::<Vec<_>>());
        assert_eq!(of("3,1, 7").unwrap(), [3, 1, 7]);
        assert_eq!(of("5..5,9").unwrap(), [5, 9]);
        for wrong in ["", "8..1", "1..", "a", "-1", "1..=3", "0..18446744073709551615"] {
            let message = of(wrong).unwrap_err();
            assert!(message.starts_with("expected FIRST..LAST"), "{message}");
        }
        assert_eq!(pair("0.5:20").unwrap(), (0.5, 20));
        for wrong in ["0.5", "0.5:", ":20", "x:20", "0.5:-1", "1:2:3"] {
            assert!(pair(wrong).unwrap_err().starts_with("expected RATE:BATCH"), "{wrong}");
        }
    }
}
