//! Trainings at several learning rates and batch sizes (experiments E2, E3, E5 and E9): sharpness and
//! sensitivity fall together.

use hesse::io::Archive;
use hesse::krylov::Estimate;
use hesse::network::{Activation, Architecture, SweepSetting};
use hesse::statistics::{Correlation, pearson};

use super::measures::{COLUMNS, Column, Images, Measures, Outcome};
use super::training::Desk;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::three;

/// Learning rate and batch size of the five settings.
pub const SETTINGS: [(f64, usize); 5] = [(0.5, 20), (1.0, 20), (2.0, 20), (1.0, 8), (1.0, 32)];

/// Reference runs of the same sweep (NumPy), 20 each; individual runs cannot be the same.
const TANH: &[u8] = include_bytes!("../../../../../tests/golden/flatness/sweep_tanh.npz");
const RELU: &[u8] = include_bytes!("../../../../../tests/golden/flatness/sweep_relu.npz");

/// Where the reference tables have the rate, the batch and the first of [`COLUMNS`].
const REFERENCE: (usize, usize, usize) = (1, 2, 7);

/// A sweep that was run.
pub struct Sweep {
    /// `tanh` or `ReLU`.
    pub name: &'static str,
    activation: Activation,
    /// All trainings, setting by setting.
    pub outcomes: Vec<Outcome>,
    reference: Vec<Vec<f64>>,
}

/// How many trainings, of how many steps, of which network.
pub struct Plan<'a> {
    /// Widths from input to output.
    pub widths: &'a [usize],
    /// Seeds for every setting.
    pub seeds: &'a [u64],
    /// Steps of every training.
    pub steps: u64,
}

impl Sweep {
    /// Trains at every setting and measures.
    ///
    /// # Errors
    /// Those of the library.
    pub fn run(
        activation: Activation,
        plan: &Plan<'_>,
        images: &Images,
        desk: &Desk<'_>,
    ) -> Result<Self, Failure> {
        let (name, reference) = match activation {
            Activation::Relu => ("ReLU", RELU),
            _ => ("tanh", TANH),
        };
        let network = Architecture::perceptron(plan.widths, activation).build()?;
        let settings: Vec<_> = SETTINGS
            .iter()
            .flat_map(|&(learning_rate, batch)| {
                let setting = move |&seed| SweepSetting { learning_rate, batch, seed };
                plan.seeds.iter().map(setting)
            })
            .collect();
        let widths: Vec<String> = plan.widths.iter().map(ToString::to_string).collect();
        let folder = format!("{name} {} {} steps", widths.join("-"), plan.steps);
        let trained = desk.train(&folder, &network, &images.train, &settings, plan.steps)?;
        let outcomes = images.measure(&network, &trained)?;
        let reference = Archive::from_bytes(reference, "reference_sweep.npz")?;
        let table = reference.get("table")?;
        let width = table.shape().last().copied().unwrap_or(1).max(1);
        let rows = table.to_f64()?;
        let reference = rows.chunks_exact(width).map(<[f64]>::to_vec).collect();
        Ok(Self { name, activation, outcomes, reference })
    }

    /// The trainings of one setting.
    fn of(&self, setting: (f64, usize)) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(move |o| (o.rate, o.batch) == setting)
    }

    /// Mean of a measure over the trainings of one setting, with its standard error.
    fn mean(&self, setting: (f64, usize), column: &Column) -> Estimate {
        Estimate::of(&self.of(setting).map(|o| column.1(&o.measures)).collect::<Vec<_>>())
    }

    /// The same of the reference.
    fn reference_values(&self, setting: (f64, usize), column: usize) -> Vec<f64> {
        let (rate, batch, first) = REFERENCE;
        let rows = self.reference.iter();
        let rows = rows.filter(|row| (row[rate], row[batch]) == (setting.0, setting.1 as f64));
        rows.map(|row| row[first + column]).collect()
    }

    /// All trainings, measured where `of` says.
    fn values(&self, of: fn(&Outcome) -> &Measures, column: &Column) -> Vec<f64> {
        self.outcomes.iter().map(|outcome| column.1(of(outcome))).collect()
    }

    /// r of √S with a measure, over all trainings.
    fn with_sharpness(
        &self,
        of: fn(&Outcome) -> &Measures,
        column: &Column,
    ) -> Result<Option<Correlation>, Failure> {
        correlation(&self.values(of, &COLUMNS[0]), &self.values(of, column))
    }

    /// What is claimed of this sweep.
    ///
    /// # Errors
    /// Measures that are not finite.
    pub fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let name = self.name;
        let tanh = self.activation == Activation::Tanh;
        let mut claims = vec![self.fits()];
        claims.push(self.ordered(
            "a larger learning rate ends at a smaller √S",
            "lower plateau",
            &[(0.5, 20), (1.0, 20), (2.0, 20)],
        ));
        claims.push(self.ordered(
            "a smaller batch ends at a smaller √S",
            "lower plateau",
            &[(1.0, 32), (1.0, 20), (1.0, 8)],
        ));
        // Column, bar, reference.
        let bars: &[(usize, f64, f64)] = if tanh {
            &[(1, 0.5, 0.86), (2, 0.75, 0.91), (4, 0.6, 0.89)]
        } else {
            &[(1, 0.5, 0.76), (2, 0.45, 0.69), (3, 0.7, 0.84)]
        };
        for &(column, bar, reference) in bars {
            let column = &COLUMNS[column];
            let r = self.with_sharpness(|o| &o.measures, column)?;
            claims.push(Claim::with_bar(
                format!("{name}: √S and {} fall together", column.0),
                format!("positive in all settings; {reference} in the reference runs"),
                told(r)?,
                format!("r at least {bar}"),
                r.is_some_and(|r| r.value >= bar),
            ));
        }
        let r = self.with_sharpness(|o| &o.measures, &COLUMNS[5])?;
        let what = format!("{name}: √S and local dimension");
        claims.push(if tanh {
            Claim::with_bar(
                format!("{what} have no consistent relation"),
                "none; 0.02 in the reference runs",
                told(r)?,
                "|r| at most 0.5",
                r.is_some_and(|r| r.value.abs() <= 0.5),
            )
        } else {
            Claim::reported(what, "none consistent; 0.92 in the reference runs", told(r)?)
        });
        let r = |a: usize, b: usize| {
            let of = |column| self.values(|o| &o.measures, &COLUMNS[column]);
            correlation(&of(a), &of(b))
        };
        if tanh {
            for (bound, measure, reference) in [(6, 1, 0.17), (7, 2, -0.18)] {
                claims.push(Claim::reported(
                    format!(
                        "{name}: the {} need not follow {}: its factor before √S varies",
                        COLUMNS[bound].0, COLUMNS[measure].0
                    ),
                    format!("not always; {reference} in the reference runs"),
                    told(r(bound, measure)?)?,
                ));
            }
        } else {
            let r = r(7, 2)?;
            claims.push(Claim::with_bar(
                format!("{name}: NMLS follows its bound"),
                "positive in all settings; 0.91 in the reference runs",
                told(r)?,
                "r at least 0.75",
                r.is_some_and(|r| r.value >= 0.75),
            ));
        }
        let tests = self.outcomes.iter().map(|o| o.test.accuracy);
        let (least, most) = (tests.clone().fold(1.0, f64::min), tests.fold(0.0, f64::max));
        claims.push(Claim::reported(
            format!("{name}: share of unseen images that is right"),
            "",
            format!("{:.1} to {:.1} %", 100.0 * least, 100.0 * most),
        ));
        let mut unseen = Vec::new();
        for column in [1, 2, 4, 5] {
            let r = self.with_sharpness(|o| &o.unseen, &COLUMNS[column])?;
            unseen.push(format!("{} {}", COLUMNS[column].0, two(r)));
        }
        claims.push(Claim::reported(
            format!("{name}: correlations with √S on images that were not seen"),
            "sharpness and volume can part there",
            unseen.join(", "),
        ));
        Ok(claims)
    }

    fn fits(&self) -> Claim {
        let right = self.outcomes.iter().map(|o| o.train.accuracy).fold(1.0, f64::min);
        let worst = self.outcomes.iter().map(|o| o.train.loss).fold(0.0, f64::max);
        let finite = self.outcomes.iter().all(|o| o.train.loss.is_finite());
        Claim::with_bar(
            format!("{}: every training fits its images", self.name),
            "after interpolation",
            format!("{:.1} % right, loss at most {worst:.1e}", 100.0 * right),
            "all right, loss below 1e-3",
            finite && right == 1.0 && worst < 1e-3,
        )
    }

    /// Mean √S falls along `settings`.
    fn ordered(&self, what: &str, paper: &str, settings: &[(f64, usize); 3]) -> Claim {
        let means = settings.map(|setting| self.mean(setting, &COLUMNS[0]));
        let reference = settings.map(|setting| {
            let mean = Estimate::of(&self.reference_values(setting, 0)).value;
            format!("{mean:.1}")
        });
        let ours = means.map(|m| format!("{:.2} ± {:.2}", m.value, m.standard_error));
        Claim::with_bar(
            format!("{}: {what}", self.name),
            format!("{paper}; {} in the reference runs", reference.join(" > ")),
            ours.join(" > "),
            "means in this order",
            means.windows(2).all(|pair| pair[0].value > pair[1].value),
        )
    }

    /// Our means beside those of the reference.
    #[must_use]
    pub fn means(&self) -> (String, Table) {
        let mut table = Table::new().words("measure");
        for (rate, batch) in SETTINGS {
            table = table.numbers(&format!("η = {rate}, batch {batch}")).numbers("reference");
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            let mut row = vec![column.0.to_owned()];
            for setting in SETTINGS {
                let ours = self.mean(setting, column);
                let reference = Estimate::of(&self.reference_values(setting, index));
                for Estimate { value, standard_error } in [ours, reference] {
                    row.push(format!("{} ± {}", three(value), three(standard_error)));
                }
            }
            table.row(row);
        }
        let caption = format!(
            "{}: means over trainings with standard errors, beside those of the reference runs",
            self.name
        );
        (caption, table)
    }

    /// How far our means are from those of the reference, in standard errors of the difference; the
    /// largest, and the share beyond 2.
    pub fn against_reference(&self) -> Claim {
        let mut apart = Vec::new();
        for (index, column) in COLUMNS.iter().enumerate() {
            for setting in SETTINGS {
                let ours = self.mean(setting, column);
                let reference = Estimate::of(&self.reference_values(setting, index));
                let error = ours.standard_error.hypot(reference.standard_error);
                apart.push((ours.value - reference.value).abs() / error);
            }
        }
        let largest = apart.iter().copied().fold(0.0, f64::max);
        let beyond = apart.iter().filter(|&&t| t > 2.0).count();
        Claim::reported(
            format!("{}: means of all measures beside those of the reference runs", self.name),
            "two codes, one distribution",
            format!(
                "{beyond} of {} further than 2 standard errors, the largest {}",
                apart.len(),
                three(largest)
            ),
        )
    }

    /// All correlations.
    ///
    /// # Errors
    /// Measures that are not finite.
    pub fn correlations(&self) -> Result<(String, Table), Failure> {
        let mut table = Table::new().words("r");
        for column in &COLUMNS {
            table = table.numbers(column.0);
        }
        for a in &COLUMNS {
            let mut row = vec![a.0.to_owned()];
            for b in &COLUMNS {
                let of = |column| self.values(|o| &o.measures, column);
                row.push(two(correlation(&of(a), &of(b))?));
            }
            table.row(row);
        }
        let caption = format!("{}: correlations over {} trainings", self.name, self.outcomes.len());
        Ok((caption, table))
    }

    /// MLS and NMLS against √S, and √S by setting.
    #[must_use]
    pub fn plates(&self) -> Vec<Plate> {
        let scatter = |column: &Column, file: &str| {
            let title = format!("{} against sharpness, {}", column.0, self.name);
            let mut figure = Figure::new(&title, "√S", column.0);
            for (rate, batch) in SETTINGS {
                let points = self.of((rate, batch));
                let points = points.map(|o| (o.measures.sqrt_trace, column.1(&o.measures)));
                figure = figure.points(&format!("η = {rate}, batch {batch}"), points);
            }
            let caption = format!(
                "Every point is the end of a training ({}): flatter minima are less sensitive, and \
                 larger rates and smaller batches find them.",
                self.name
            );
            Plate::of(&format!("flatness-{}-{file}", self.name.to_lowercase()), &caption, &figure)
        };
        let by_setting = |title: &str, x: &str, settings: [(f64, usize); 3], file: &str| {
            let place = |s: (f64, usize)| if x == "η" { s.0 } else { s.1 as f64 };
            let mut figure = Figure::new(&format!("{title}, {}", self.name), x, "√S").log_x();
            for (name, values) in [("ours", true), ("reference", false)] {
                let points = settings.into_iter().flat_map(|setting| {
                    let values: Vec<f64> = if values {
                        self.of(setting).map(|o| o.measures.sqrt_trace).collect()
                    } else {
                        self.reference_values(setting, 0)
                    };
                    values.into_iter().map(move |y| (place(setting), y))
                });
                figure = figure.points(name, points);
            }
            let caption = "√S at the ends of trainings, ours and those of the reference runs.";
            Plate::of(&format!("flatness-{}-{file}", self.name.to_lowercase()), caption, &figure)
        };
        vec![
            scatter(&COLUMNS[1], "mls"),
            scatter(&COLUMNS[2], "nmls"),
            by_setting("Sharpness by rate", "η", [SETTINGS[0], SETTINGS[1], SETTINGS[2]], "rate"),
            by_setting(
                "Sharpness by batch",
                "batch",
                [SETTINGS[3], SETTINGS[1], SETTINGS[4]],
                "batch",
            ),
        ]
    }
}

/// r over the trainings in which both measures are finite: a network that is dead on some image has
/// neither volume nor dimension. `None` for fewer than two of them.
fn correlation(x: &[f64], y: &[f64]) -> Result<Option<Correlation>, Failure> {
    let finite = x.iter().zip(y).filter(|(x, y)| x.is_finite() && y.is_finite());
    let (x, y): (Vec<f64>, Vec<f64>) = finite.unzip();
    if x.len() < 2 {
        return Ok(None);
    }
    Ok(Some(pearson(&x, &y)?))
}

/// r with its interval of 95 %.
fn told(correlation: Option<Correlation>) -> Result<String, Failure> {
    let Some(r) = correlation else { return Ok("not defined".to_owned()) };
    let interval = r.interval(0.95)?;
    Ok(format!("{:.2} ({:.2} to {:.2})", r.value, interval.low, interval.high))
}

fn two(correlation: Option<Correlation>) -> String {
    correlation.map_or(String::new(), |r| format!("{:.2}", r.value))
}
