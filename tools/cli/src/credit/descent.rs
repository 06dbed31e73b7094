//! One training of a recurrent network by a learning rule, and what it came to.

use hesse::credit::{
    Batches, Checkpoint, Curvature, Decay, Eigensolver, RateRnn, Rule, Scaling, Score, Sequences,
    States, Stop, Training,
};
use hesse::io::{Archive, Array};
use hesse::optimize::Schedule;
use hesse::{Error, Result};
use serde::Serialize;

/// A loss at which a training stops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// None.
    None,
    /// Of the samples of a step.
    OfStep(f64),
    /// Of all samples, looked at every so many steps.
    OfAll(f64, u64),
}

/// How a network is trained.
#[derive(Clone, Debug)]
pub struct Descent<'a> {
    /// The network.
    pub rnn: &'a RateRnn,
    /// What it is trained on.
    pub train: &'a Sequences<f64>,
    /// What it is tested on.
    pub test: Option<&'a Sequences<f64>>,
    /// The learning rule.
    pub rule: Rule<f64>,
    /// The factor of the recurrent group.
    pub scaling: Scaling<f64>,
    /// Decay of feedback that learns.
    pub feedback_decay: Option<f64>,
    /// η.
    pub schedule: Schedule,
    /// Steps at most.
    pub steps: u64,
    /// Weight decay.
    pub l2: f64,
    /// Samples of a step.
    pub batches: Batches,
    /// When it is done.
    pub target: Target,
    /// Steps between checkpoints with curvature.
    pub every: Option<u64>,
    /// Seed of the searches for eigenvalues.
    pub seed: u64,
    /// Bytes for states; results do not depend on it.
    pub memory_budget: usize,
    /// Whether λ₁ is all that is wanted of the spectrum.
    pub largest_only: bool,
}

/// A number of an outcome.
pub type Reading = fn(&Outcome) -> f64;

/// The end of a training, and the way to it. What does not exist is NaN: accuracies of values, test
/// results without tests, curvature after a divergence.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub stop: Stop,
    /// Steps done.
    pub steps: u64,
    /// Loss on all training data, without weight decay.
    pub train_loss: f64,
    /// Accuracy on all training data.
    pub train_accuracy: f64,
    /// Loss on the test data.
    pub test_loss: f64,
    /// Accuracy on the test data.
    pub test_accuracy: f64,
    /// λ₁ of W, with weight decay, on all training data.
    pub largest: f64,
    /// ‖H v − λ₁ v‖.
    pub residual: f64,
    /// λ_min of W.
    pub smallest: f64,
    /// Losses of steps.
    pub losses: Vec<f64>,
    /// The checkpoints.
    pub checkpoints: Vec<Look>,
    /// θ.
    pub parameters: Vec<f64>,
}

/// A checkpoint as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Look {
    /// Steps before.
    pub step: u64,
    /// Loss of the step's samples, with weight decay.
    pub loss: f64,
    /// λ₁ of W.
    pub largest: f64,
    /// λ_min of W.
    pub smallest: f64,
    /// ρ of the update of W.
    pub rho: f64,
    /// Cosine of the update of W with the gradient.
    pub cosine: f64,
    /// Accuracy on the step's samples.
    pub accuracy: f64,
    /// Loss on the test data.
    pub test_loss: f64,
    /// Accuracy on the test data.
    pub test_accuracy: f64,
}

impl Descent<'_> {
    /// Whether options and data fit each other.
    ///
    /// # Errors
    /// They do not.
    pub fn check(&self) -> Result<()> {
        self.training(&Decay::new(self.rnn, self.l2)?).map(|_| ())
    }

    fn training(&self, decay: &Decay<f64>) -> Result<Training<'_, f64>> {
        let mut training =
            Training::new(self.rnn, self.train, self.rule.clone(), self.schedule, self.steps)?
                .decay(decay.clone())
                .scaling(self.scaling.clone())?
                .batches(self.batches.clone())?
                .memory_budget(self.memory_budget);
        if let Some(decay) = self.feedback_decay {
            training = training.adaptive_feedback(decay)?;
        }
        if let Some(test) = self.test {
            training = training.test(test)?;
        }
        training = match self.target {
            Target::None => training,
            Target::OfStep(loss) => training.target_loss(loss),
            Target::OfAll(loss, every) => training.target_loss_on_all(loss, every)?,
        };
        if let Some(every) = self.every {
            training = training.checkpoints(every, Some(self.curvature(decay)?))?;
        }
        Ok(training)
    }

    /// The search for eigenvalues of W on the training data.
    fn curvature(&self, decay: &Decay<f64>) -> Result<Curvature<'_, f64>> {
        let curvature = Curvature::new(self.rnn, self.train, decay)?
            .memory_budget(self.memory_budget)
            .seed(self.seed);
        Ok(if self.largest_only { curvature.largest_only() } else { curvature })
    }

    /// Trains from θ and measures the end.
    ///
    /// # Errors
    /// Options and data that do not fit each other.
    pub fn run(&self, start: &[f64]) -> Result<Outcome> {
        let decay = Decay::new(self.rnn, self.l2)?;
        let training = self.training(&decay)?;
        let history = training.run(start)?;
        let steps = history.losses.len() as u64 - 1;
        let theta = history.parameters;
        let none = f64::NAN;
        let mut outcome = Outcome {
            stop: history.stop,
            steps,
            train_loss: none,
            train_accuracy: none,
            test_loss: none,
            test_accuracy: none,
            largest: none,
            residual: none,
            smallest: none,
            losses: history.losses,
            checkpoints: history.checkpoints.iter().map(Look::of).collect(),
            parameters: theta,
        };
        if outcome.stop != Stop::Diverged {
            outcome.measure(self, &decay)?;
        }
        Ok(outcome)
    }
}

impl Outcome {
    fn measure(&mut self, descent: &Descent<'_>, decay: &Decay<f64>) -> Result<()> {
        let (rnn, train) = (descent.rnn, descent.train);
        let score = |data: &Sequences<f64>| -> Result<_> {
            let states = States::within(rnn, &self.parameters, data, descent.memory_budget)?;
            let score = Score::at(&states, data);
            Ok((score.loss, score.accuracy.unwrap_or(f64::NAN)))
        };
        let on_train = score(train)?;
        let on_test = descent.test.map(score).transpose()?;
        (self.train_loss, self.train_accuracy) = on_train;
        if let Some(on_test) = on_test {
            (self.test_loss, self.test_accuracy) = on_test;
        }
        let solver = Eigensolver::Lanczos { tolerance: 1e-6, max_products: 1000 };
        let ends = descent.curvature(decay)?.solver(solver)?.at(&self.parameters)?;
        (self.largest, self.residual) = (ends.largest, ends.residuals[0]);
        self.smallest = ends.smallest.unwrap_or(f64::NAN);
        Ok(())
    }

    /// Training accuracy − test accuracy.
    #[must_use]
    pub fn accuracy_gap(&self) -> f64 {
        self.train_accuracy - self.test_accuracy
    }

    /// Test loss − training loss.
    #[must_use]
    pub fn loss_gap(&self) -> f64 {
        self.test_loss - self.train_loss
    }

    /// The outcome as arrays: `end`, `losses`, `checkpoints` and `parameters`.
    ///
    /// # Errors
    /// None: shapes fit.
    pub fn to_archive(&self) -> Result<Archive> {
        let stop = match self.stop {
            Stop::StepLimit => 0.0,
            Stop::TargetLoss => 1.0,
            _ => 2.0,
        };
        // Steps are far below 2⁵³.
        let end = vec![
            stop,
            self.steps as f64,
            self.train_loss,
            self.train_accuracy,
            self.test_loss,
            self.test_accuracy,
            self.largest,
            self.residual,
            self.smallest,
        ];
        let rows: Vec<f64> = self.checkpoints.iter().flat_map(Look::numbers).collect();
        let mut archive = Archive::new();
        archive.insert("end", Array::from_vector(end));
        archive.insert("losses", Array::from_vector(self.losses.clone()));
        archive.insert("checkpoints", Array::new([self.checkpoints.len(), 9], rows)?);
        archive.insert("parameters", Array::from_vector(self.parameters.clone()));
        Ok(archive)
    }

    /// Reads what [`Outcome::to_archive`] makes.
    ///
    /// # Errors
    /// Arrays that are missing or of another length.
    pub fn from_archive(archive: &Archive) -> Result<Self> {
        let end = archive.get("end")?;
        let numbers = end.to_f64()?;
        let [stop, steps, a, b, c, d, e, f, g] = numbers[..] else {
            return Err(Error::shape(end.label(), 9, numbers.len()));
        };
        let stop = match stop {
            0.0 => Stop::StepLimit,
            1.0 => Stop::TargetLoss,
            2.0 => Stop::Diverged,
            other => return Err(Error::range(end.label(), "0, 1 or 2 at first", other)),
        };
        Ok(Self {
            stop,
            steps: steps as u64,
            train_loss: a,
            train_accuracy: b,
            test_loss: c,
            test_accuracy: d,
            largest: e,
            residual: f,
            smallest: g,
            losses: archive.get("losses")?.to_f64()?,
            checkpoints: archive
                .get("checkpoints")?
                .to_f64()?
                .chunks_exact(9)
                .map(Look::read)
                .collect(),
            parameters: archive.get("parameters")?.to_f64()?,
        })
    }
}

impl Look {
    fn of(checkpoint: &Checkpoint) -> Self {
        let none = f64::NAN;
        let curvature = checkpoint.curvature;
        let test = checkpoint.test;
        Self {
            step: checkpoint.step,
            loss: checkpoint.loss,
            largest: curvature.map_or(none, |c| c.largest),
            smallest: curvature.and_then(|c| c.smallest).unwrap_or(none),
            rho: checkpoint.alignment.rho.unwrap_or(none),
            cosine: checkpoint.alignment.cosine.unwrap_or(none),
            accuracy: checkpoint.accuracy.unwrap_or(none),
            test_loss: test.map_or(none, |test| test.loss),
            test_accuracy: test.and_then(|test| test.accuracy).unwrap_or(none),
        }
    }

    /// The fields in order.
    #[must_use]
    pub fn numbers(&self) -> [f64; 9] {
        [
            self.step as f64,
            self.loss,
            self.largest,
            self.smallest,
            self.rho,
            self.cosine,
            self.accuracy,
            self.test_loss,
            self.test_accuracy,
        ]
    }

    fn read(row: &[f64]) -> Self {
        let number = |i: usize| row.get(i).copied().unwrap_or(f64::NAN);
        Self {
            step: number(0) as u64,
            loss: number(1),
            largest: number(2),
            smallest: number(3),
            rho: number(4),
            cosine: number(5),
            accuracy: number(6),
            test_loss: number(7),
            test_accuracy: number(8),
        }
    }
}
