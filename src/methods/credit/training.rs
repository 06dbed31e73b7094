//! Gradient descent along the gradient of any learning rule.

use super::{Alignment, Block, Curvature, Decay, LeadingEigenvalues, RateRnn, Rule};
use super::{Sequences, States};
use crate::error::check_finite;
use crate::optimize::Schedule;
use crate::random::Stream;
use crate::{Error, Real, Result};

/// The factor that the gradient of W, U and b is multiplied by; that of the readout never is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scaling<T> {
    /// 1.
    #[default]
    None,
    /// A number.
    Fixed(f64),
    /// ρ of this rule at every step, over W, U and b: with [`Rule::Bptt`], steps as long along the
    /// gradient as that rule's.
    Match(Rule<T>),
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stop {
    /// All steps are done.
    StepLimit,
    /// The loss is at or below the target.
    TargetLoss,
    /// The loss is not finite, or beyond 10⁶ times the first one.
    Diverged,
}

/// What is measured at a checkpoint.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Steps before.
    pub step: u64,
    /// Loss of the data that the step's gradient is from, with weight decay.
    pub loss: f64,
    /// The update of W against the exact gradient of W.
    pub alignment: Alignment,
    /// Curvature, where it is asked for.
    pub curvature: Option<LeadingEigenvalues>,
    /// Fraction of right classes in the same data, where targets are classes.
    pub accuracy: Option<f64>,
    /// Loss without weight decay and accuracy on the test data, where there are any.
    pub test: Option<(f64, Option<f64>)>,
}

/// A training as it went.
#[derive(Clone, Debug)]
pub struct History<T> {
    /// Loss before every step and after the last, with weight decay; of the batch, where there are.
    pub losses: Vec<f64>,
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// θ at the end.
    pub parameters: Vec<T>,
    /// Why it ended.
    pub stop: Stop,
}

/// θ ← θ − η_k (s ĝ + ∇decay), with ĝ the gradient of a rule on all data or a mini-batch.
pub struct Training<'a, T: Real> {
    rnn: &'a RateRnn,
    data: &'a Sequences<T>,
    rule: Rule<T>,
    schedule: Schedule,
    steps: u64,
    decay: Decay<T>,
    scaling: Scaling<T>,
    batch: Option<(usize, u64)>,
    every: Option<u64>,
    curvature: Option<Curvature<'a, T>>,
    test: Option<&'a Sequences<T>>,
    target_loss: Option<f64>,
}

/// A loss this many times the first one is a divergence.
const DIVERGED: f64 = 1e6;

impl<'a, T: Real> Training<'a, T> {
    /// `steps` steps on all data at once, without weight decay and checkpoints.
    ///
    /// # Errors
    /// A rate that is not positive; data or a rule that do not fit the network.
    pub fn new(
        rnn: &'a RateRnn,
        data: &'a Sequences<T>,
        rule: Rule<T>,
        schedule: Schedule,
        steps: u64,
    ) -> Result<Self> {
        if schedule.rate(0) <= 0.0 {
            return Err(Error::range("learning rate", "a positive number", schedule.rate(0)));
        }
        data.check(rnn.inputs(), rnn.outputs())?;
        rule.check(rnn, data.samples(), data.steps())?;
        Ok(Self {
            rnn,
            data,
            rule,
            schedule,
            steps,
            decay: Decay::new(rnn, 0.0)?,
            scaling: Scaling::None,
            batch: None,
            every: None,
            curvature: None,
            test: None,
            target_loss: None,
        })
    }

    /// With weight decay.
    #[must_use]
    pub fn decay(mut self, decay: Decay<T>) -> Self {
        self.decay = decay;
        self
    }

    /// With another factor for the recurrent group.
    ///
    /// # Errors
    /// A factor that is not finite, a rule that does not fit the network.
    pub fn scaling(mut self, scaling: Scaling<T>) -> Result<Self> {
        match &scaling {
            Scaling::Fixed(factor) if !factor.is_finite() => {
                return Err(Error::range("scaling", "a finite number", factor));
            }
            Scaling::Match(rule) => {
                rule.check(self.rnn, self.data.samples(), self.data.steps())?;
            }
            _ => {}
        }
        self.scaling = scaling;
        Ok(self)
    }

    /// With batches of `size` samples, in the order of a permutation for each epoch.
    ///
    /// # Errors
    /// No sample, or more than there are.
    pub fn batch(mut self, size: usize, seed: u64) -> Result<Self> {
        if size == 0 || size > self.data.samples() {
            let expected = format!("1 to {}", self.data.samples());
            return Err(Error::range("batch", expected, size));
        }
        self.batch = (size < self.data.samples()).then_some((size, seed));
        Ok(self)
    }

    /// With a checkpoint every `every` steps, the start included, and the curvature where it is
    /// given.
    ///
    /// # Errors
    /// No step between checkpoints.
    pub fn checkpoints(mut self, every: u64, curvature: Option<Curvature<'a, T>>) -> Result<Self> {
        if every == 0 {
            return Err(Error::range("steps between checkpoints", "1 or more", every));
        }
        self.every = Some(every);
        self.curvature = curvature;
        Ok(self)
    }

    /// With test data, measured at checkpoints.
    ///
    /// # Errors
    /// Data that do not fit the network.
    pub fn test(mut self, data: &'a Sequences<T>) -> Result<Self> {
        data.check(self.rnn.inputs(), self.rnn.outputs())?;
        self.test = Some(data);
        Ok(self)
    }

    /// Stops at a loss, with weight decay, of at most this.
    #[must_use]
    pub fn target_loss(mut self, loss: f64) -> Self {
        self.target_loss = Some(loss);
        self
    }

    /// Trains from θ. A divergence is a reason to stop, not an error.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them.
    pub fn run(mut self, parameters: &[T]) -> Result<History<T>> {
        self.rnn.check(parameters)?;
        let mut theta = parameters.to_vec();
        let mut history = History {
            losses: Vec::new(),
            checkpoints: Vec::new(),
            parameters: Vec::new(),
            stop: Stop::StepLimit,
        };
        for step in 0..=self.steps {
            let batch = self.batch_of(step)?;
            let data = batch.as_ref().unwrap_or(self.data);
            let states = States::unchecked(self.rnn, &theta, data)?;
            let loss = states.loss() + self.decay.value(&theta);
            let first = *history.losses.first().unwrap_or(&loss);
            history.losses.push(loss);
            if !loss.is_finite() || (first > 0.0 && loss > DIVERGED * first) {
                history.stop = Stop::Diverged;
                break;
            }
            let mut update = Vec::new();
            let measured = self.measure(step, loss, &theta, &states, data, &mut update);
            match measured {
                // Of a gradient or a Hessian product, while the loss is still finite.
                Err(Error::NonFinite { .. }) => {
                    history.stop = Stop::Diverged;
                    break;
                }
                checkpoint => history.checkpoints.extend(checkpoint?),
            }
            if self.target_loss.is_some_and(|target| loss <= target) {
                history.stop = Stop::TargetLoss;
                break;
            }
            if step == self.steps {
                break;
            }
            let mut gradient = update;
            self.decay.add_gradient(&theta, &mut gradient);
            let rate = self.schedule.rate(step);
            let moved = |(x, g): (&T, &T)| T::from_f64(x.to_f64() - rate * g.to_f64());
            let next: Vec<T> = theta.iter().zip(&gradient).map(moved).collect();
            if next.iter().any(|x| !x.is_finite()) {
                history.stop = Stop::Diverged;
                break;
            }
            theta = next;
        }
        history.parameters = theta;
        Ok(history)
    }

    /// The mini-batch of a step; `None` for all data.
    fn batch_of(&self, step: u64) -> Result<Option<Sequences<T>>> {
        let Some((size, seed)) = self.batch else { return Ok(None) };
        let samples = self.data.samples();
        let per_epoch = samples.div_ceil(size) as u64;
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        let order = Stream::new(seed, "credit: mini-batches").child(epoch).permutation(samples);
        self.data.select(&order[within * size..samples.min((within + 1) * size)]).map(Some)
    }

    /// s ĝ.
    fn update(&self, states: &States<T>) -> Result<Vec<T>> {
        let mut update = states.gradient(&self.rule)?;
        let group = self.rnn.block(Block::RecurrentGroup);
        let factor = match &self.scaling {
            Scaling::None => return Ok(update),
            Scaling::Fixed(factor) => *factor,
            Scaling::Match(rule) => {
                let exact = states.gradient(&Rule::Bptt)?;
                let other = states.gradient(rule)?;
                let of = Alignment::between(&exact[group.clone()], &other[group.clone()])?;
                // Where the exact gradient is zero there is no step to match.
                of.rho.unwrap_or(0.0)
            }
        };
        update[group].iter_mut().for_each(|g| *g = T::from_f64(factor * g.to_f64()));
        Ok(update)
    }

    /// The update of a step, and the checkpoint before it where there is one.
    fn measure(
        &mut self,
        step: u64,
        loss: f64,
        theta: &[T],
        states: &States<T>,
        data: &Sequences<T>,
        update: &mut Vec<T>,
    ) -> Result<Option<Checkpoint>> {
        *update = self.update(states)?;
        check_finite("gradient", update)?;
        if !self.every.is_some_and(|every| step.is_multiple_of(every)) {
            return Ok(None);
        }
        self.checkpoint(step, loss, theta, states, data, update).map(Some)
    }

    fn checkpoint(
        &mut self,
        step: u64,
        loss: f64,
        theta: &[T],
        states: &States<T>,
        data: &Sequences<T>,
        update: &[T],
    ) -> Result<Checkpoint> {
        let w = self.rnn.block(Block::Recurrent);
        let exact = states.gradient(&Rule::Bptt)?;
        let test = self.test.map(|data| -> Result<_> {
            let states = States::unchecked(self.rnn, theta, data)?;
            Ok((states.loss(), states.accuracy(data)))
        });
        Ok(Checkpoint {
            step,
            loss,
            alignment: Alignment::between(&exact[w.clone()], &update[w])?,
            curvature: self.curvature.as_mut().map(|curvature| curvature.at(theta)).transpose()?,
            accuracy: states.accuracy(data),
            test: test.transpose()?,
        })
    }
}
