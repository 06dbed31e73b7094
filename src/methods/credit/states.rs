//! The primal pass of a network over sequences, kept for all learning rules.

use std::sync::{Arc, OnceLock};

use super::checkpoints;
use super::pass::{Model, Pass, Workspace, samples_of_pass};
use super::sequences::{Sequences, Target};
use super::trajectory::Trajectory;
use super::{BackWeights, Block, Feedback, RateRnn, Rule};
use crate::numerics::parallel::{self, Pool};
use crate::{Real, Result};

/// States, outputs and errors of a network at one θ on all samples: what every
/// [`Rule`](super::Rule) starts from.
///
/// Samples are cut into passes whose size depends on the network alone, and gradients of passes are
/// added in a fixed tree: the same bits for any number of threads. Memory: T·B·(2N + inputs)
/// numbers, and N more with a readout filter; much less where a budget says so, see
/// [`States::within`]. What a gradient needs beside it is B·N numbers for every thread, and stays
/// for the next one.
#[derive(Debug)]
pub struct States<T: Real> {
    model: Arc<Model<T>>,
    memory_budget: usize,
    samples: usize,
    steps: usize,
    passes: Vec<Pass<T>>,
    workspaces: Pool<Workspace<T>>,
    /// What is asked for of all samples together.
    outputs: OnceLock<Vec<T>>,
    errors: OnceLock<Vec<T>>,
    voltages: OnceLock<Vec<T>>,
    rates: OnceLock<Vec<T>>,
    loss: f64,
}

impl<T: Real> States<T> {
    /// Runs `rnn` at θ over `sequences`. One forward pass.
    ///
    /// # Errors
    /// Another number of parameters, inputs or targets than the network's, classes out of range,
    /// NaN or infinities.
    pub fn new(rnn: &RateRnn, parameters: &[T], sequences: &Sequences<T>) -> Result<Self> {
        Self::within(rnn, parameters, sequences, usize::MAX)
    }

    /// The same with at most `memory_budget` bytes for states: where those of all steps do not fit,
    /// they are kept at checkpoints about √T steps apart, and each gradient runs from one to the
    /// next once more, last to first.
    ///
    /// Losses and gradients are the same to the bit. A gradient costs one more forward pass. Memory:
    /// T·B·inputs + 2·√T·B·N numbers, and √T·b·2N for every thread, b the samples of a pass (16 to
    /// 256), both with the interval that makes the sum smallest. RTRL and UORO, which are oracles,
    /// and [`States::rates`], [`States::voltages`] and the like hold all steps of a pass at once.
    ///
    /// Source of the checkpoints: Griewank 1992; Chen, Xu, Zhang, Guestrin 2016, arXiv 1604.06174.
    ///
    /// # Errors
    /// As [`States::new`]; a budget that is too small for the checkpoints.
    pub fn within(
        rnn: &RateRnn,
        parameters: &[T],
        sequences: &Sequences<T>,
        memory_budget: usize,
    ) -> Result<Self> {
        rnn.check(parameters)?;
        Self::unchecked(rnn, parameters, sequences, memory_budget)
    }

    /// The same at parameters that may be anything: a training that diverges finds them.
    pub(super) fn unchecked(
        rnn: &RateRnn,
        parameters: &[T],
        sequences: &Sequences<T>,
        memory_budget: usize,
    ) -> Result<Self> {
        let mut states = Self {
            model: Self::model(rnn, parameters, sequences, memory_budget)?,
            memory_budget,
            samples: 0,
            steps: 0,
            passes: Vec::new(),
            workspaces: Pool::default(),
            outputs: OnceLock::new(),
            errors: OnceLock::new(),
            voltages: OnceLock::new(),
            rates: OnceLock::new(),
            loss: 0.0,
        };
        states.run(sequences);
        Ok(states)
    }

    /// Runs the same network at another θ, and over other sequences if they are others, in the
    /// memory that there is: what a training does at every step.
    ///
    /// # Errors
    /// As [`States::within`]; the states are then those from before.
    pub fn renew(&mut self, parameters: &[T], sequences: &Sequences<T>) -> Result<()> {
        self.model.rnn.check(parameters)?;
        self.renew_unchecked(parameters, sequences)
    }

    pub(super) fn renew_unchecked(
        &mut self,
        parameters: &[T],
        sequences: &Sequences<T>,
    ) -> Result<()> {
        self.model = Self::model(&self.model.rnn, parameters, sequences, self.memory_budget)?;
        self.run(sequences);
        Ok(())
    }

    fn model(
        rnn: &RateRnn,
        parameters: &[T],
        sequences: &Sequences<T>,
        memory_budget: usize,
    ) -> Result<Arc<Model<T>>> {
        sequences.check(rnn.inputs(), rnn.outputs())?;
        let layer = rnn.layer(sequences.steps())?.every_step(false);
        let every = checkpoints::interval(rnn, &layer, sequences, memory_budget)?;
        let mut parameters = parameters.to_vec();
        rnn.mask(&mut parameters);
        Ok(Arc::new(Model { rnn: rnn.clone(), parameters, layer, every }))
    }

    fn run(&mut self, sequences: &Sequences<T>) {
        let (model, workspaces) = (&self.model, &self.workspaces);
        (self.samples, self.steps) = (sequences.samples(), sequences.steps());
        let shards = parallel::shards(self.samples, samples_of_pass::<T>(&model.rnn));
        self.passes.resize_with(shards.len(), || Pass::new(model));
        parallel::for_each_piece(&mut self.passes, 1, |s, pass| {
            workspaces.with(|work| {
                let samples = shards[s].clone();
                pass.iter_mut()
                    .for_each(|pass| pass.run(model, sequences, samples.clone(), &mut work.window));
            });
        });
        self.loss = self.passes.iter().map(|pass| pass.loss).sum();
        self.outputs = OnceLock::new();
        self.errors = OnceLock::new();
        self.voltages = OnceLock::new();
        self.rates = OnceLock::new();
    }

    /// Bytes of the states of all steps of `sequences`, where no budget is set.
    #[must_use]
    pub fn memory_estimate(rnn: &RateRnn, sequences: &Sequences<T>) -> usize {
        checkpoints::bytes_of_all(rnn, sequences)
    }

    /// Steps from checkpoint to checkpoint; none where the states of all steps are kept.
    #[must_use]
    pub fn checkpoint_interval(&self) -> Option<usize> {
        self.model.every
    }

    /// The gradient that `rule` assigns to θ = (W, U, b, O, c), without weight decay; O and c have
    /// their exact gradient.
    ///
    /// Cost for the offline rules: 2TB·N(N + inputs) flops for the weights, and 2TB·N² more for
    /// BPTT, MDGL and ModProp (once for every hop of limited taps). No memory of the size of
    /// traces. Local rules without leak, filter and a loss before the last step see that step alone,
    /// and cost no more; where all voltages leak alike, one filtered rate of every unit holds the
    /// steps before, at a few additions.
    ///
    /// # Errors
    /// A rule that does not fit the network: shapes of feedback, weights, types or noise; a rule
    /// that does not exist for the rate leak; RTRL beyond its memory limit; μ negative or not
    /// finite; no hop.
    pub fn gradient(&self, rule: &Rule<T>) -> Result<Vec<T>> {
        let rnn = &self.model.rnn;
        rule.check(rnn, self.samples, self.steps)?;
        let add = |pass: &Pass<T>, gradient: &mut [T]| {
            self.workspaces.with(|work| pass.add_gradient(rule, gradient, work));
        };
        let mut gradient = self.sum_over_passes(add);
        rnn.mask(&mut gradient);
        Ok(gradient)
    }

    /// dW of MDGL as a neuron would compute it, forwards with its traces: three factors, and Σ_t
    /// (Ŵᵀ((1 − a)∘φ'_t∘g_t))_p e_pq,t−1, the broadcasts of other units with the trace of the step
    /// before.
    ///
    /// Equals the W block of [`Rule::Mdgl`], at B·T·N² multiplications: an oracle.
    ///
    /// # Errors
    /// As [`States::gradient`] for that rule.
    pub fn mdgl_by_traces(&self, weights: &BackWeights<T>) -> Result<Vec<T>> {
        let rule = Rule::Mdgl { weights: weights.clone() };
        let rnn = &self.model.rnn;
        rule.check(rnn, self.samples, self.steps)?;
        let add = |pass: &Pass<T>, gradient: &mut [T]| {
            let work = |work: &mut Workspace<T>| {
                pass.add_mdgl_by_traces(weights, gradient, &mut work.window);
            };
            self.workspaces.with(work);
        };
        let mut gradient = self.sum_over_passes(add);
        rnn.mask(&mut gradient);
        gradient.truncate(rnn.block(Block::Recurrent).len());
        Ok(gradient)
    }

    /// Σ of what `add` adds to θ's gradient for each pass, in a fixed tree.
    fn sum_over_passes(&self, add: impl Fn(&Pass<T>, &mut [T]) + Sync) -> Vec<T> {
        let one = |s: usize| {
            let mut gradient = vec![T::ZERO; self.model.rnn.parameter_count()];
            add(&self.passes[s], &mut gradient);
            gradient
        };
        let merge = |left: &mut Vec<T>, right: Vec<T>| {
            left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        };
        parallel::reduce(self.passes.len(), one, merge).unwrap_or_default()
    }

    /// `[t][b][i]` of all samples from that of each pass, which starts at step `first`; zero before.
    fn together<'a>(
        &'a self,
        width: usize,
        first: usize,
        part: impl Fn(&'a Pass<T>) -> std::borrow::Cow<'a, [T]>,
    ) -> Vec<T> {
        let mut all = vec![T::ZERO; self.steps * self.samples * width];
        for pass in &self.passes {
            let part = part(pass);
            let steps = part.chunks_exact(pass.samples * width);
            for (t, step) in (first..).zip(steps) {
                let row = t * self.samples + pass.first;
                all[row * width..][..step.len()].copy_from_slice(step);
            }
        }
        all
    }

    pub(super) fn block(&self, block: Block) -> std::ops::Range<usize> {
        self.model.rnn.block(block)
    }

    /// What `of` makes of a pass and a trajectory to run once more.
    fn over_all_steps(
        &self,
        pass: &Pass<T>,
        of: impl Fn(&Pass<T>, &mut Trajectory<T>) -> Vec<T>,
    ) -> Vec<T> {
        self.workspaces.with(|work| {
            work.window.clear();
            of(pass, &mut work.window)
        })
    }

    /// Puts 1 in the place of the errors at the last step and 0 elsewhere, so that gradients are
    /// those of the sum of the last outputs.
    pub(super) fn unit_error_at_end(&mut self) {
        for pass in &mut self.passes {
            let last = pass.errors.len() - pass.samples * pass.model.rnn.outputs();
            pass.errors[..last].fill(T::ZERO);
            pass.errors[last..].fill(T::ONE);
        }
        self.errors = OnceLock::new();
    }

    /// L, without weight decay.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// y_t of all steps, `[t][b][output]`.
    #[must_use]
    pub fn outputs(&self) -> &[T] {
        let width = self.model.rnn.outputs();
        self.outputs.get_or_init(|| {
            self.together(width, 0, |pass| self.over_all_steps(pass, Pass::all_outputs).into())
        })
    }

    /// ∂L/∂y_t, `[t][b][output]`.
    #[must_use]
    pub fn errors(&self) -> &[T] {
        let first = self.passes.first().map_or(0, |pass| pass.first_loss);
        let width = self.model.rnn.outputs();
        self.errors
            .get_or_init(|| self.together(width, first, |pass| pass.errors.as_slice().into()))
    }

    /// v_t, or u_t for the rate leak, `[t][b][unit]`.
    #[must_use]
    pub fn voltages(&self) -> &[T] {
        let width = self.model.rnn.units();
        self.voltages.get_or_init(|| {
            self.together(width, 0, |pass| self.over_all_steps(pass, Pass::voltages).into())
        })
    }

    /// h_t, `[t][b][unit]`.
    #[must_use]
    pub fn rates(&self) -> &[T] {
        let width = self.model.rnn.units();
        let rates = |pass: &Pass<T>, window: &mut Trajectory<T>| {
            pass.all_steps(window).rates(&(0..self.steps)).to_vec()
        };
        self.rates
            .get_or_init(|| self.together(width, 0, |pass| self.over_all_steps(pass, rates).into()))
    }

    /// The fraction of samples whose largest output at the last step is that of the class, where
    /// targets are classes.
    #[must_use]
    pub fn accuracy(&self, sequences: &Sequences<T>) -> Option<f64> {
        let (Target::ClassAtEnd(classes) | Target::ClassAtEachStep(classes)) = sequences.target()
        else {
            return None;
        };
        let width = self.model.rnn.outputs();
        let last =
            |pass: &Pass<T>| pass.outputs[pass.outputs.len() - pass.samples * width..].to_vec();
        let last: Vec<T> = self.passes.iter().flat_map(last).collect();
        // The first of equal outputs; NaN is never the largest.
        let largest = |y: &[T]| (1..width).fold(0, |best, i| if y[i] > y[best] { i } else { best });
        let right =
            last.chunks_exact(width).zip(classes).filter(|(y, class)| largest(y) == **class);
        Some(right.count() as f64 / self.samples as f64)
    }

    /// g_t = (1 − κ) r_t with r_t = B ∂L/∂y_t + κ r_{t+1}: the error that reaches h_t through the
    /// readout alone, `[t][b][unit]`.
    ///
    /// # Errors
    /// Feedback of another shape than N × outputs, NaN or infinities in it.
    pub fn learning_signal(&self, feedback: &Feedback<T>) -> Result<Vec<T>> {
        feedback.check(self.model.rnn.units(), self.model.rnn.outputs())?;
        let matrix = match feedback {
            Feedback::Symmetric => None,
            Feedback::Fixed(matrix) => Some(matrix.as_slice()),
        };
        Ok(self.together(self.model.rnn.units(), 0, |pass| pass.all_signals(matrix).into()))
    }
}
