//! All Jacobians of the outputs from one stacked adjoint pass.

use std::ops::Range;

use super::Network;
use super::layer::{Adjoint, Keep, Layer, State, features};
use super::observation::{Observer, Place};
use crate::error::check_finite;
use crate::numerics::parallel;
use crate::{Error, Real, Result};

/// Bytes that the widest stack of a shard may take.
const WIDEST_STACK: usize = 2 << 20;
/// Rows of a stack from which on products of matrices run at their full rate; more only keep other
/// threads waiting.
const ROWS: usize = 96;

/// What an observer of a shard gives back, and the error at the network's inputs.
pub(crate) trait StackObserver<T: Real>: Observer<T> {
    /// What is left when the pass is over.
    type Output: Send;

    /// Called at the end with the inputs of the shard, `[b][i]`, and the rows of ∂f/∂x there,
    /// `[k][b][i]`; `features` is the number of features of a sample.
    fn finish(self, inputs: &[T], input_error: &[T], features: usize) -> Self::Output;
}

impl<T: Real> Network<T> {
    /// Pulls the N unit cotangents of the outputs back for every sample, all of them in one stack,
    /// and shows every layer with parameters to the observer of the shard.
    ///
    /// The arguments are those of [`check_stack`](Self::check_stack). A shard's size depends on the
    /// network alone. Memory of a thread: the stacks of a shard, of the
    /// widest layer at most max(2 MiB, that of one sample), a handful at a time.
    pub(crate) fn observe_jacobians<O: StackObserver<T>>(
        &self,
        parameters: &[T],
        inputs: &[T],
        observer: impl Fn(Range<usize>) -> O + Sync + Send,
    ) -> Vec<O::Output> {
        let features = self.inputs();
        let shards = parallel::shards(inputs.len() / features, self.stack_samples());
        parallel::map(shards.len(), |s| {
            let range = shards[s].clone();
            let input = &inputs[range.start * features..range.end * features];
            self.observe_shard(parameters, input, observer(range))
        })
    }

    /// Checks what [`observe_jacobians`](Self::observe_jacobians) is given.
    pub(crate) fn check_stack(&self, parameters: &[T], inputs: &[T]) -> Result<()> {
        if parameters.len() != self.parameter_count() {
            return Err(Error::shape("parameters", self.parameter_count(), parameters.len()));
        }
        check_finite("parameters", parameters)?;
        let features = self.inputs();
        if inputs.is_empty() {
            return Err(Error::empty("inputs: samples"));
        }
        if !inputs.len().is_multiple_of(features) {
            let expected = format!("a multiple of {features}");
            return Err(Error::shape("inputs: elements", expected, inputs.len()));
        }
        check_finite("inputs", inputs)?;
        self.layers().check_input(inputs)
    }

    /// Samples whose stacks go through the network together.
    fn stack_samples(&self) -> usize {
        let layers = self.layers().layers().iter();
        let widest = layers.map(|l| features(l.output_shape())).fold(self.inputs(), usize::max);
        let bytes = widest.saturating_mul(self.outputs()).saturating_mul(size_of::<T>());
        (WIDEST_STACK / bytes.max(1)).min(ROWS.div_ceil(self.outputs())).max(1)
    }

    fn observe_shard<O: StackObserver<T>>(
        &self,
        parameters: &[T],
        input: &[T],
        mut observer: O,
    ) -> O::Output {
        let samples = input.len() / self.inputs();
        let width = self.outputs();
        let (mut state, mut scratch) = (State::default(), State::default());
        let mut outputs = vec![T::ZERO; samples * width];
        let layers = self.layers();
        layers.forward(parameters, input, &mut outputs, &mut state, Keep::FirstOrder);
        let mut error = vec![T::ZERO; width * samples * width];
        for k in 0..width {
            for b in 0..samples {
                error[(k * samples + b) * width + k] = T::ONE;
            }
        }
        let mut input_error = vec![T::ZERO; width * samples * self.inputs()];
        let pass = Adjoint { parameters, input, state: &state, count: width };
        let whole = Place { prefix: "", offset: 0 };
        layers.observe(pass, &mut error, &mut input_error, whole, &mut observer, &mut scratch);
        observer.finish(input, &input_error, self.inputs())
    }
}
