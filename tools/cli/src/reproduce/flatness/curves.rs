//! One long training (experiment E6): long after it fits, representations go on being compressed.

use std::ops::ControlFlow;
use std::path::Path;

use hesse::io::{Archive, Array};
use hesse::network::{Activation, Architecture, Parameters, Trainer};
use hesse::optimize::{Schedule, Sgd, SgdOptions};

use super::measures::{COLUMNS, Images, LOSS, Measures};
use super::training::Desk;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::progress::Progress;
use crate::report::{Claim, Plate};
use crate::units::three;

const RATE: f64 = 1.0;
const BATCH: usize = 20;

/// What was seen along one training.
pub struct Curves {
    /// Steps between the looks that are held against each other.
    compared: u64,
    /// Steps done, and what [`COLUMNS`] were then.
    looks: Vec<(u64, Vec<f64>)>,
}

/// The training and how often it is looked at.
pub struct Plan<'a> {
    /// Widths from input to output.
    pub widths: &'a [usize],
    /// Seed.
    pub seed: u64,
    /// Steps in all: five times those between the looks that are compared.
    pub steps: u64,
    /// Steps between looks.
    pub every: u64,
    /// Images that are looked at.
    pub images: usize,
}

impl Curves {
    /// Trains and looks; what was finished before is read instead.
    ///
    /// # Errors
    /// Those of the library.
    pub fn run(plan: &Plan<'_>, images: &Images, desk: &Desk<'_>) -> Result<Self, Failure> {
        let widths: Vec<String> = plan.widths.iter().map(ToString::to_string).collect();
        let name = format!(
            "curve tanh {} rate{RATE}-batch{BATCH}-seed{} {} steps of {}, {} images.npz",
            widths.join("-"),
            plan.seed,
            plan.steps,
            plan.every,
            plan.images
        );
        let path = desk.runs.as_ref().map(|folder| folder.join(&name));
        let compared = (plan.steps / 5).max(1);
        if let Some(path) = path.as_ref().filter(|path| path.exists()) {
            return Ok(Self { compared, looks: read(path)? });
        }
        let network = Architecture::perceptron(plan.widths, Activation::Tanh).build::<f64>()?;
        let inputs = &images.train.inputs()[..plan.images * network.inputs()];
        let bar = Progress::new(desk.output, "one long training", plan.steps);
        let mut looks = Vec::new();
        let mut failure = None;
        let mut look = |step: u64, parameters: &[f64]| {
            bar.set(step);
            let measures = Measures::of(&network, parameters, inputs)?;
            looks.push((step, COLUMNS.iter().map(|column| column.1(&measures)).collect()));
            Ok(())
        };
        let start = Parameters::initialize(&network, plan.seed);
        look(0, start.values())?;
        let mut sgd = Sgd::new(network.parameter_count(), SgdOptions::default())?;
        Trainer::new(&network, &images.train, LOSS, Schedule::constant(RATE)?)?
            .batch(BATCH.min(images.train.len()))?
            .steps(plan.steps)
            .seed(plan.seed)
            .callback(|now| {
                if now.step.is_multiple_of(plan.every)
                    && let Err(error) = look(now.step, now.parameters)
                {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .run(start, &mut sgd)?;
        if let Some(error) = failure {
            return Err(error);
        }
        if let Some(path) = path {
            write(&path, &looks)?;
        }
        Ok(Self { compared, looks })
    }

    /// A column at the looks that are compared.
    fn compared(&self, column: usize) -> Vec<f64> {
        let compared = self.looks.iter();
        let compared = compared.filter(|(step, _)| *step > 0 && step.is_multiple_of(self.compared));
        compared.map(|(_, values)| values[column]).collect()
    }

    /// Sensitivity and volume fall although sharpness does not.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (column, reference) in [(1, "1.08 to 0.87"), (2, "3.35 to 3.13"), (4, "−1.36 to −2.29")]
        {
            let values = self.compared(column);
            let falls = values.len() == 5 && values.windows(2).all(|pair| pair[1] < pair[0]);
            let told: Vec<String> = values.iter().map(|&v| three(v)).collect();
            claims.push(Claim::with_bar(
                format!("One long training: {} keeps falling after it fits", COLUMNS[column].0),
                format!("may keep falling when sharpness no longer does; reference {reference}"),
                told.join(", "),
                format!("lower at each of {} looks, {} steps apart", values.len(), self.compared),
                falls,
            ));
        }
        let sharpness: Vec<String> = self.compared(0).iter().map(|&v| three(v)).collect();
        claims.push(Claim::reported(
            "One long training: √S meanwhile",
            "plateau; reference 15.8 to 16.7",
            sharpness.join(", "),
        ));
        claims
    }

    /// √S, MLS, NMLS and the volume over their values at the first look that is compared.
    #[must_use]
    pub fn plates(&self) -> Vec<Plate> {
        let curve = |column: usize| {
            let points = self.looks.iter().filter(|(step, _)| *step > 0);
            points.map(move |(step, values)| (*step as f64, values[column]))
        };
        let mut relative =
            Figure::new("Along one training", "step", "value / its value at a fifth")
                .y_from_to(0.7, 1.5);
        for column in [0, 1, 2] {
            let at = self.compared(column).first().copied().unwrap_or(1.0);
            let points = curve(column).map(|(x, y)| (x, y / at));
            relative = relative.line(COLUMNS[column].0, points);
        }
        let volume = Figure::new("Volume along one training", "step", "mean log volume")
            .line(COLUMNS[3].0, curve(3))
            .line(COLUMNS[4].0, curve(4));
        vec![
            Plate::of(
                "flatness-curves",
                "Sharpness, MLS and NMLS along one training at η = 1 and batch 20, each over its value \
                 after a fifth of the steps: sensitivity goes on falling when sharpness does not.",
                &relative,
            ),
            Plate::of(
                "flatness-volume",
                "The volume of the image of a small cube, of all singular values and of the three \
                 largest, along the same training.",
                &volume,
            ),
        ]
    }
}

fn read(path: &Path) -> Result<Vec<(u64, Vec<f64>)>, Failure> {
    let archive = Archive::read(path)?;
    let steps = archive.get("steps")?.to_indices()?;
    let values = archive.get("values")?.to_f64()?;
    if values.len() != steps.len() * COLUMNS.len() {
        let (expected, got) = (steps.len() * COLUMNS.len(), values.len());
        let file = path.display().to_string();
        return Err(hesse::Error::shape(format!("{file}: values"), expected, got).into());
    }
    let rows = values.chunks_exact(COLUMNS.len()).map(<[f64]>::to_vec);
    Ok(steps.into_iter().map(|step| step as u64).zip(rows).collect())
}

fn write(path: &Path, looks: &[(u64, Vec<f64>)]) -> Result<(), Failure> {
    let mut archive = Archive::new();
    archive.insert("steps", Array::from_vector(looks.iter().map(|look| look.0).collect()));
    let values = looks.iter().flat_map(|look| look.1.iter().copied()).collect();
    archive.insert("values", Array::new([looks.len(), COLUMNS.len()], values)?);
    Ok(archive.write(path)?)
}
