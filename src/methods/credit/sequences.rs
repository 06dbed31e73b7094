//! Input sequences and what the outputs should be.

use std::ops::Range;

use hesse_kernels::loss;

use crate::error::check_finite;
use crate::network::{Dataset, Loss, Network, Objective, Targets};
use crate::temporal_tasks::{Answer, Trials};
use crate::{Error, Isa, Real, Result};

/// What the outputs are compared with, and when; B samples, T steps.
#[derive(Clone, Debug, PartialEq)]
pub enum Target<T> {
    /// (1/2B) Σ |y_T − y*|²: B × outputs.
    ValuesAtEnd(Vec<T>),
    /// (1/2B) Σ_b Σ_t m_t |y_t − y*_t|² with m_t = 1/T unless said otherwise: B × T × outputs.
    ValuesAtEachStep(Vec<T>),
    /// −(1/B) Σ log softmax(y_T) of the class: B.
    ClassAtEnd(Vec<usize>),
    /// −(1/B) Σ_b Σ_t m_t log softmax(y_t) of the class, one for all steps of a sample: B.
    ClassAtEachStep(Vec<usize>),
}

impl<T> Target<T> {
    /// Whether every step has a loss.
    #[must_use]
    pub fn at_each_step(&self) -> bool {
        matches!(self, Target::ValuesAtEachStep(_) | Target::ClassAtEachStep(_))
    }
}

/// B sequences of T steps with their targets.
#[derive(Clone, Debug)]
pub struct Sequences<T> {
    data: Dataset<T>,
    steps: usize,
    features: usize,
    target: Target<T>,
    step_weights: Vec<f64>,
}

impl<T: Real> Sequences<T> {
    /// Inputs of shape B × T × features, row-major.
    ///
    /// # Errors
    /// No sample, step or feature; other lengths than the shape says; NaN or infinities.
    pub fn new(inputs: Vec<T>, shape: [usize; 3], target: Target<T>) -> Result<Self> {
        let [samples, steps, features] = shape;
        for (size, what) in [(samples, "samples"), (steps, "steps"), (features, "features")] {
            if size == 0 {
                return Err(Error::empty(format!("sequences: {what}")));
            }
        }
        if Some(inputs.len()) != samples.checked_mul(steps).and_then(|n| n.checked_mul(features)) {
            return Err(Error::shape("sequences: inputs", shape, inputs.len()));
        }
        let rows = |values: &Vec<T>| {
            if values.is_empty() || !values.len().is_multiple_of(samples) {
                let expected = format!("rows for {samples} samples");
                return Err(Error::shape("sequences: targets", expected, values.len()));
            }
            Ok(Targets::Rows { values: values.clone(), width: values.len() / samples })
        };
        let targets = match &target {
            Target::ValuesAtEnd(values) => rows(values)?,
            Target::ValuesAtEachStep(values) => {
                if !values.len().is_multiple_of(samples * steps) {
                    let expected = format!("rows for {samples} samples of {steps} steps");
                    return Err(Error::shape("sequences: targets", expected, values.len()));
                }
                rows(values)?
            }
            Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes) => {
                Targets::Classes(classes.clone())
            }
        };
        let data = Dataset::from_rows(inputs, steps * features, targets)?;
        let step_weights = vec![1.0 / steps as f64; steps];
        Ok(Self { data, steps, features, target, step_weights })
    }

    /// The trials of a task.
    ///
    /// # Errors
    /// As [`Sequences::new`] and [`Sequences::step_weights`].
    pub fn of(trials: &Trials) -> Result<Self> {
        let cast = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect();
        let (target, weights) = match &trials.answer {
            Answer::ClassAtEnd(classes) => (Target::ClassAtEnd(classes.clone()), None),
            Answer::ClassAtSteps { classes, weights } => {
                (Target::ClassAtEachStep(classes.clone()), Some(weights))
            }
            Answer::Values(values) => (Target::ValuesAtEachStep(cast(values)), None),
        };
        let sequences = Self::new(cast(&trials.inputs), trials.shape, target)?;
        match weights {
            Some(weights) => sequences.step_weights(weights.clone()),
            None => Ok(sequences),
        }
    }

    /// Weights m_t of the steps, zero where outputs do not matter; for targets at each step.
    ///
    /// # Errors
    /// Another number than steps, negative weights, NaN or infinities; targets at the end.
    pub fn step_weights(mut self, weights: Vec<f64>) -> Result<Self> {
        if !self.target.at_each_step() {
            let expected = "targets at each step";
            return Err(Error::not_applicable("weights of steps", expected, "targets at the end"));
        }
        if weights.len() != self.steps {
            return Err(Error::shape("weights of steps", self.steps, weights.len()));
        }
        check_finite("weights of steps", &weights)?;
        if let Some(w) = weights.iter().find(|&&w| w < 0.0) {
            return Err(Error::range("weights of steps", "not negative", w));
        }
        self.step_weights = weights;
        Ok(self)
    }

    /// B.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.data.len()
    }

    /// T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Inputs at one step.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }

    /// All inputs, B × T × features.
    #[must_use]
    pub fn inputs(&self) -> &[T] {
        self.data.inputs()
    }

    /// The targets.
    #[must_use]
    pub fn target(&self) -> &Target<T> {
        &self.target
    }

    /// The samples with these indices, which may repeat.
    ///
    /// # Errors
    /// No index, or one out of range.
    pub fn select(&self, samples: &[usize]) -> Result<Self> {
        let data = self.data.select(samples)?;
        let target = match (&self.target, data.targets()) {
            (Target::ValuesAtEnd(_), Targets::Rows { values, .. }) => {
                Target::ValuesAtEnd(values.clone())
            }
            (_, Targets::Rows { values, .. }) => Target::ValuesAtEachStep(values.clone()),
            (Target::ClassAtEnd(_), Targets::Classes(classes)) => {
                Target::ClassAtEnd(classes.clone())
            }
            (_, Targets::Classes(classes)) => Target::ClassAtEachStep(classes.clone()),
        };
        let (steps, features) = (self.steps, self.features);
        Ok(Self { data, steps, features, target, step_weights: self.step_weights.clone() })
    }

    /// The exact loss on `network`, which [`super::RateRnn::network`] built for these steps.
    ///
    /// # Errors
    /// Shapes or targets that do not fit the network.
    pub fn objective<'a>(&'a self, network: &'a Network<T>) -> Result<Objective<'a, T>> {
        let loss = match self.target {
            Target::ClassAtEnd(_) | Target::ClassAtEachStep(_) => Loss::CrossEntropy,
            _ => Loss::HalfSquaredError,
        };
        if self.target.at_each_step() {
            Objective::at_each_step(network, &self.data, loss, self.step_weights.clone())
        } else {
            Objective::new(network, &self.data, loss)
        }
    }

    /// The loss of the outputs `[t][b]` of these samples, of `width` each and at the steps with a
    /// loss, and its derivatives into `errors`.
    pub(super) fn compare(
        &self,
        outputs: &[T],
        width: usize,
        samples: Range<usize>,
        errors: &mut [T],
    ) -> f64 {
        let isa = Isa::current();
        let each = self.target.at_each_step();
        let steps = if each { self.steps } else { 1 };
        let weights: Option<Vec<T>> = each.then(|| {
            let of_step = |&w: &f64| std::iter::repeat_n(T::from_f64(w), samples.len());
            self.step_weights.iter().flat_map(of_step).collect()
        });
        let weights = weights.as_deref();
        let scale = 1.0 / self.samples() as f64;
        match &self.target {
            Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes) => {
                let class = |&class: &usize| u32::try_from(class).unwrap_or(u32::MAX);
                let once: Vec<u32> = classes[samples].iter().map(class).collect();
                let classes = once.repeat(steps);
                let targets = loss::Targets::Classes(&classes);
                loss::softmax_cross_entropy(
                    isa,
                    width,
                    outputs,
                    targets,
                    weights,
                    scale,
                    Some(errors),
                    None,
                )
            }
            Target::ValuesAtEnd(values) | Target::ValuesAtEachStep(values) => {
                let row = |t: usize, b: usize| &values[(b * steps + t) * width..][..width];
                let of_step = |t: usize| samples.clone().flat_map(move |b| row(t, b)).copied();
                let targets: Vec<T> = (0..steps).flat_map(of_step).collect();
                loss::squared_error(isa, width, outputs, &targets, weights, scale, Some(errors))
            }
        }
    }

    /// Checks against a network's numbers of inputs and outputs.
    pub(super) fn check(&self, inputs: usize, outputs: usize) -> Result<()> {
        if self.features != inputs {
            return Err(Error::shape("sequences: features", inputs, self.features));
        }
        let rows = if self.target.at_each_step() { self.steps } else { 1 };
        match &self.target {
            Target::ValuesAtEnd(values) | Target::ValuesAtEachStep(values) => {
                let expected = self.samples() * rows * outputs;
                if values.len() != expected {
                    return Err(Error::shape("sequences: targets", expected, values.len()));
                }
            }
            Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes) => {
                if let Some(row) = classes.iter().position(|&class| class >= outputs) {
                    return Err(Error::Target {
                        row,
                        expected: format!("a class below {outputs}"),
                        got: classes[row].to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}
