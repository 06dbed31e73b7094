//! Layers one after another.

use super::BatchStatistics;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features, parameter_count,
};
use crate::network::observation::{Observer, Place};
use crate::{Error, Real, Result};

/// y = f_L(… f_2(f_1(x))).
///
/// Parameters lie layer after layer; `weight` of the second layer is called `layer2.weight`.
#[derive(Debug)]
pub struct Sequential<T: Real> {
    layers: Vec<Box<dyn Layer<T>>>,
    /// First parameter of each layer, and the total behind them.
    offsets: Vec<usize>,
}

/// Slots of scratch buffers behind the boundaries between layers.
const ERRORS: [usize; 2] = [0, 1];

impl<T: Real> Sequential<T> {
    /// The composition of `layers`.
    ///
    /// # Errors
    /// No layer, or shapes that do not fit.
    pub fn new(layers: Vec<Box<dyn Layer<T>>>) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::empty("network: layers"));
        }
        for (i, pair) in layers.windows(2).enumerate() {
            if pair[0].output_shape() != pair[1].input_shape() {
                return Err(Error::shape(
                    format!("network: input of layer {}", i + 2),
                    pair[0].output_shape(),
                    pair[1].input_shape(),
                ));
            }
        }
        let mut offsets = vec![0];
        for layer in &layers {
            offsets.push(offsets.last().unwrap_or(&0) + parameter_count(&layer.parameters()));
        }
        Ok(Self { layers, offsets })
    }

    /// The layers.
    #[must_use]
    pub fn layers(&self) -> &[Box<dyn Layer<T>>] {
        &self.layers
    }

    pub(crate) fn into_layers(self) -> Vec<Box<dyn Layer<T>>> {
        self.layers
    }

    /// Where the parameters of layer `i` lie among those of the whole.
    #[must_use]
    pub fn parameter_range(&self, i: usize) -> std::ops::Range<usize> {
        self.offsets[i]..self.offsets[i + 1]
    }

    fn last(&self) -> usize {
        self.layers.len() - 1
    }

    fn of<'a>(&self, i: usize, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.parameter_range(i)]
    }

    /// The input of layer `i`, kept by `forward` or given.
    #[must_use]
    pub(crate) fn input_of<'a>(i: usize, input: &'a [T], state: &'a State<T>) -> &'a [T] {
        if i == 0 { input } else { state.array(i - 1) }
    }

    fn width(&self, i: usize) -> usize {
        features(self.layers[i].output_shape())
    }

    /// Whether the error of layer `i`'s input is needed: it reaches parameters or the caller.
    fn error_wanted(&self, i: usize, by_caller: bool) -> bool {
        by_caller || self.offsets[i] > 0
    }

    fn inner<'a>(
        &self,
        i: usize,
        pass: Tangent<'a, T>,
        input_tangent: Option<&'a [T]>,
    ) -> Tangent<'a, T> {
        let range = self.parameter_range(i);
        Tangent {
            parameters: self.of(i, pass.parameters),
            input: Self::input_of(i, pass.input, pass.state),
            state: pass.state.child(i),
            errors: pass.errors.map(|errors| errors.child(i)),
            directions: pass.directions.map(|d| d.part(range.start, range.len())),
            input_tangent,
            count: pass.count,
        }
    }

    /// Whether the input of layer `i` has a tangent.
    fn has_tangent(&self, i: usize, pass: &Tangent<'_, T>) -> bool {
        pass.input_tangent.is_some() || (pass.directions.is_some() && self.offsets[i] > 0)
    }
}

impl<T: Real> Layer<T> for Sequential<T> {
    fn input_shape(&self) -> &[usize] {
        self.layers[0].input_shape()
    }

    fn output_shape(&self) -> &[usize] {
        self.layers[self.last()].output_shape()
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut all = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            for spec in layer.parameters() {
                all.push(ParameterSpec { name: format!("layer{}.{}", i + 1, spec.name), ..spec });
            }
        }
        all
    }

    fn couples_samples(&self) -> bool {
        self.layers.iter().any(|layer| layer.couples_samples())
    }

    fn check_input(&self, inputs: &[T]) -> Result<()> {
        self.layers[0].check_input(inputs)
    }

    fn batch_statistics(&self, state: &State<T>, statistics: &mut Vec<BatchStatistics>) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.batch_statistics(state.child(i), statistics);
        }
    }

    fn kept_features(&self) -> usize {
        let inside: usize = self.layers.iter().map(|layer| layer.kept_features()).sum();
        inside + (0..self.last()).map(|i| self.width(i)).sum::<usize>()
    }

    fn widest_features(&self) -> usize {
        self.layers.iter().map(|layer| layer.widest_features()).fold(0, usize::max)
    }

    fn multiplications(&self) -> usize {
        self.layers.iter().map(|layer| layer.multiplications()).sum()
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let samples = input.len() / features(self.input_shape());
        for (i, layer) in self.layers.iter().enumerate() {
            let parameters = self.of(i, parameters);
            let x = (i > 0).then(|| (state.take(i - 1, samples * self.width(i - 1)), i - 1));
            let from = x.as_ref().map_or(input, |(x, _)| x);
            if i == self.last() {
                layer.forward(parameters, from, output, state.child_mut(i), keep);
            } else {
                let mut to = state.take(i, samples * self.width(i));
                layer.forward(parameters, from, &mut to, state.child_mut(i), keep);
                state.put_back(i, to);
            }
            if let Some((x, slot)) = x {
                state.put_back(slot, x);
            }
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let rows = pass.count * (pass.input.len() / features(self.input_shape()));
        for (i, layer) in self.layers.iter().enumerate() {
            let x = (i > 0).then(|| tangents.take(i - 1, rows * self.width(i - 1)));
            let from = match &x {
                Some(x) => self.has_tangent(i, &pass).then_some(x.as_slice()),
                None => pass.input_tangent,
            };
            let inner = self.inner(i, pass, from);
            if i == self.last() {
                layer.tangent(inner, output_tangent, tangents.child_mut(i));
            } else {
                let mut to = tangents.take(i, rows * self.width(i));
                layer.tangent(inner, &mut to, tangents.child_mut(i));
                tangents.put_back(i, to);
            }
            if let Some(x) = x {
                tangents.put_back(i - 1, x);
            }
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Option<Gradients<'_, T>>,
        mut errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        let rows = pass.count * (pass.input.len() / features(self.input_shape()));
        let by_caller = input_error.is_some();
        let gradient_wanted = gradient.is_some() || errors.is_some();
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let range = self.parameter_range(i);
            let inner = Adjoint {
                parameters: self.of(i, pass.parameters),
                input: Self::input_of(i, pass.input, pass.state),
                state: pass.state.child(i),
                count: pass.count,
            };
            let gradient = gradient.as_mut().map(|g| g.part(range.start, range.len()));
            let kept = errors.as_mut().map(|e| e.child_mut(i));
            let mut from =
                (i < self.last()).then(|| scratch.take(ERRORS[i % 2], rows * self.width(i)));
            let error = from.as_deref_mut().unwrap_or(output_error);
            let wanted = by_caller || (gradient_wanted && self.error_wanted(i, false));
            if i == 0 {
                let to = input_error.take();
                layer.adjoint(inner, error, to, gradient, kept, scratch.child_mut(i));
            } else {
                let slot = ERRORS[(i - 1) % 2];
                let mut to = scratch.take(slot, rows * self.width(i - 1));
                let wanted = wanted.then_some(to.as_mut_slice());
                layer.adjoint(inner, error, wanted, gradient, kept, scratch.child_mut(i));
                scratch.put_back(slot, to);
            }
            if let Some(from) = from {
                scratch.put_back(ERRORS[i % 2], from);
            }
            if !wanted {
                // The layers below have no parameters: their states must exist, and stay empty.
                if let Some(errors) = &mut errors {
                    for j in 0..i {
                        errors.child_mut(j);
                    }
                }
                break;
            }
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let rows = pass.count * (pass.input.len() / features(self.input_shape()));
        let by_caller = input_error.is_some();
        // Error buffers behind the L − 1 boundaries.
        let slot = |i: usize| self.last() + ERRORS[i % 2];
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let range = self.parameter_range(i);
            let x = (i > 0).then(|| tangents.take(i - 1, rows * self.width(i - 1)));
            let tangent_in = match &x {
                Some(x) => self.has_tangent(i, &pass).then_some(x.as_slice()),
                None => pass.input_tangent,
            };
            let inner = self.inner(i, pass, tangent_in);
            let part = gradient.part(range.start, range.len());
            let mut from = (i < self.last()).then(|| tangents.take(slot(i), rows * self.width(i)));
            let error = from.as_deref_mut().unwrap_or(output_error);
            let wanted = self.error_wanted(i, by_caller);
            if i == 0 {
                let to = input_error.take();
                layer.adjoint_tangent(inner, error, to, part, tangents.child_mut(i));
            } else {
                let mut to = tangents.take(slot(i - 1), rows * self.width(i - 1));
                let wanted = wanted.then_some(to.as_mut_slice());
                layer.adjoint_tangent(inner, error, wanted, part, tangents.child_mut(i));
                tangents.put_back(slot(i - 1), to);
            }
            if let Some(from) = from {
                tangents.put_back(slot(i), from);
            }
            if let Some(x) = x {
                tangents.put_back(i - 1, x);
            }
            if !wanted {
                break;
            }
        }
    }

    fn observe(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: &mut [T],
        place: Place<'_>,
        observer: &mut dyn Observer<T>,
        scratch: &mut State<T>,
    ) {
        let rows = pass.count * (pass.input.len() / features(self.input_shape()));
        for (i, layer) in self.layers.iter().enumerate().rev() {
            let inner = Adjoint {
                parameters: self.of(i, pass.parameters),
                input: Self::input_of(i, pass.input, pass.state),
                state: pass.state.child(i),
                count: pass.count,
            };
            let prefix = format!("{}layer{}.", place.prefix, i + 1);
            let place = Place { prefix: &prefix, offset: place.offset + self.offsets[i] };
            let mut from =
                (i < self.last()).then(|| scratch.take(ERRORS[i % 2], rows * self.width(i)));
            let error = from.as_deref_mut().unwrap_or(output_error);
            if i == 0 {
                layer.observe(inner, error, input_error, place, observer, scratch.child_mut(i));
            } else {
                let slot = ERRORS[(i - 1) % 2];
                let mut to = scratch.take(slot, rows * self.width(i - 1));
                layer.observe(inner, error, &mut to, place, observer, scratch.child_mut(i));
                scratch.put_back(slot, to);
            }
            if let Some(from) = from {
                scratch.put_back(ERRORS[i % 2], from);
            }
        }
    }
}
