//! Gradient descent along the gradient of any learning rule.

use super::{Alignment, Batches, Block, Curvature, Decay, Feedback, LeadingEigenvalues, RateRnn};
use super::{Rule, Score, Sequences, States};
use crate::error::check_finite;
use crate::optimize::Schedule;
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
    /// On the test data, where there are any.
    pub test: Option<Score>,
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
    /// The feedback at the end, N × outputs, where it is learned.
    pub feedback: Option<Vec<T>>,
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
    batches: Batches,
    feedback_decay: Option<f64>,
    every: Option<u64>,
    curvature: Option<Curvature<'a, T>>,
    test: Option<&'a Sequences<T>>,
    target_loss: Option<f64>,
    target_on_all: Option<(f64, u64)>,
    memory_budget: usize,
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
            batches: Batches::All,
            feedback_decay: None,
            every: None,
            curvature: None,
            test: None,
            target_loss: None,
            target_on_all: None,
            memory_budget: usize::MAX,
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

    /// With these samples at every step.
    ///
    /// # Errors
    /// Batches without samples, or with more or others than there are.
    pub fn batches(mut self, batches: Batches) -> Result<Self> {
        batches.check(self.data.samples())?;
        self.batches = batches;
        Ok(self)
    }

    /// With feedback that learns: B ← B − η_k ((∂L/∂O)ᵀ + `decay` B), the readout's own update, so
    /// that with decay of both B comes to Oᵀ. The matrix of the rule is where it starts.
    ///
    /// Source: adaptive e-prop, Bellec et al. 2020, after Kolen and Pollack 1994.
    ///
    /// # Errors
    /// Another rule than three factors with fixed feedback; a decay that is negative or not finite.
    pub fn adaptive_feedback(mut self, decay: f64) -> Result<Self> {
        if !matches!(self.rule, Rule::ThreeFactor { feedback: Feedback::Fixed(_) }) {
            let expected = "three factors with a matrix as feedback";
            return Err(Error::not_applicable("adaptive feedback", expected, self.rule.name()));
        }
        if !(decay.is_finite() && decay >= 0.0) {
            let expected = "a finite number of at least 0";
            return Err(Error::range("decay of the feedback", expected, decay));
        }
        self.feedback_decay = Some(decay);
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

    /// Stops at a loss of a step's samples, with weight decay, of at most this.
    #[must_use]
    pub fn target_loss(mut self, loss: f64) -> Self {
        self.target_loss = Some(loss);
        self
    }

    /// Stops where the loss of all data, without weight decay, is at most this; looks after every
    /// `every` steps.
    ///
    /// # Errors
    /// No step between looks, NaN.
    pub fn target_loss_on_all(mut self, loss: f64, every: u64) -> Result<Self> {
        if loss.is_nan() {
            return Err(Error::range("target loss", "a number", loss));
        }
        if every == 0 {
            return Err(Error::range("steps between looks at the loss", "1 or more", every));
        }
        self.target_on_all = Some((loss, every));
        Ok(self)
    }

    /// Bytes that the states of a step may take, beyond which they are kept at checkpoints and
    /// gradients cost one more forward pass: see [`States::within`]. Nothing else depends on it.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Trains from θ. A divergence is a reason to stop, not an error.
    ///
    /// # Errors
    /// A wrong number of parameters, NaN or infinities among them; a memory budget that is too
    /// small for checkpoints.
    pub fn run(mut self, parameters: &[T]) -> Result<History<T>> {
        self.rnn.check(parameters)?;
        let mut theta = parameters.to_vec();
        let mut history = History {
            losses: Vec::new(),
            checkpoints: Vec::new(),
            parameters: Vec::new(),
            feedback: None,
            stop: Stop::StepLimit,
        };
        let (mut states, mut states_of_all) = (None, None);
        for step in 0..=self.steps {
            let batch = self.batches.at(self.data, step)?;
            let data = batch.as_ref().unwrap_or(self.data);
            let states = self.states(&mut states, &theta, data)?;
            let loss = states.loss() + self.decay.value(&theta);
            let first = *history.losses.first().unwrap_or(&loss);
            history.losses.push(loss);
            if !loss.is_finite() || (first > 0.0 && loss > DIVERGED * first) {
                history.stop = Stop::Diverged;
                break;
            }
            let mut update = Vec::new();
            let measured = self.measure(step, loss, &theta, states, data, &mut update);
            match measured {
                // Of a gradient or a Hessian product, while the loss is still finite.
                Err(Error::NonFinite { .. }) => {
                    history.stop = Stop::Diverged;
                    break;
                }
                checkpoint => history.checkpoints.extend(checkpoint?),
            }
            if self.target_loss.is_some_and(|target| loss <= target)
                || self.arrived(step, &theta, &mut states_of_all)?
            {
                history.stop = Stop::TargetLoss;
                break;
            }
            if step == self.steps {
                break;
            }
            let mut gradient = update;
            let rate = self.schedule.rate(step);
            self.learn_feedback(rate, &gradient);
            self.decay.add_gradient(&theta, &mut gradient);
            let moved = |(x, g): (&T, &T)| T::from_f64(x.to_f64() - rate * g.to_f64());
            let next: Vec<T> = theta.iter().zip(&gradient).map(moved).collect();
            if next.iter().any(|x| !x.is_finite()) {
                history.stop = Stop::Diverged;
                break;
            }
            theta = next;
        }
        history.parameters = theta;
        if let (Some(_), Rule::ThreeFactor { feedback: Feedback::Fixed(matrix) }) =
            (self.feedback_decay, self.rule)
        {
            history.feedback = Some(matrix);
        }
        Ok(history)
    }

    /// Whether the loss of all data is where it should come to.
    fn arrived(&self, step: u64, theta: &[T], states: &mut Option<States<T>>) -> Result<bool> {
        let Some((target, every)) = self.target_on_all else { return Ok(false) };
        if step == 0 || !step.is_multiple_of(every) {
            return Ok(false);
        }
        Ok(self.states(states, theta, self.data)?.loss() <= target)
    }

    /// The states at θ, in the memory of those from before where there are some.
    fn states<'s>(
        &self,
        before: &'s mut Option<States<T>>,
        theta: &[T],
        data: &Sequences<T>,
    ) -> Result<&'s States<T>> {
        match before {
            Some(states) => {
                states.renew_unchecked(theta, data)?;
                Ok(states)
            }
            None => {
                let budget = self.memory_budget;
                Ok(before.insert(States::unchecked(self.rnn, theta, data, budget)?))
            }
        }
    }

    /// Moves the feedback along the gradient of the readout, where it learns.
    fn learn_feedback(&mut self, rate: f64, gradient: &[T]) {
        let (units, outputs) = (self.rnn.units(), self.rnn.outputs());
        let Some(decay) = self.feedback_decay else { return };
        let Rule::ThreeFactor { feedback: Feedback::Fixed(matrix) } = &mut self.rule else {
            return;
        };
        let of_readout = &gradient[self.rnn.block(Block::Readout)];
        for (i, b) in matrix.iter_mut().enumerate() {
            let g = of_readout[i % outputs * units + i / outputs].to_f64();
            *b = T::from_f64(b.to_f64() - rate * (g + decay * b.to_f64()));
        }
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
        *update = states.update(&self.rule, &self.scaling)?;
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
            let budget = self.memory_budget;
            Ok(Score::at(&States::unchecked(self.rnn, theta, data, budget)?, data))
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

impl<T: Real> States<T> {
    /// The gradient that `rule` assigns to θ, with that of W, U and b scaled.
    ///
    /// # Errors
    /// As [`States::gradient`], for both rules; gradients to match that are not finite.
    pub fn update(&self, rule: &Rule<T>, scaling: &Scaling<T>) -> Result<Vec<T>> {
        let mut update = self.gradient(rule)?;
        let group = self.block(Block::RecurrentGroup);
        let factor = match scaling {
            Scaling::None => return Ok(update),
            Scaling::Fixed(factor) => *factor,
            Scaling::Match(rule) => {
                let exact = self.gradient(&Rule::Bptt)?;
                let other = self.gradient(rule)?;
                let of = Alignment::between(&exact[group.clone()], &other[group.clone()])?;
                // Where the exact gradient is zero there is no step to match.
                of.rho.unwrap_or(0.0)
            }
        };
        update[group].iter_mut().for_each(|g| *g = T::from_f64(factor * g.to_f64()));
        Ok(update)
    }
}
