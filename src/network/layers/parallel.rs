//! Layers beside each other, each on its own features.

use super::BatchStatistics;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features, parameter_count,
};
use crate::network::observation::{Observer, Place};
use crate::{Error, Real, Result};

/// y = (f₁(x₁), f₂(x₂), …) where a sample's features are those of x₁, then those of x₂, and so on,
/// such as the memory and the tokens of a decoder.
///
/// Parameters of one part after the other; `weight` of the second part is called `part2.weight`. Each
/// pass copies the features of every part into rows of their own, and the results back.
#[derive(Debug)]
pub struct Parallel<T: Real> {
    parts: Vec<Part<T>>,
    input_shape: Vec<usize>,
    output_shape: [usize; 1],
}

#[derive(Debug)]
struct Part<T: Real> {
    /// `None` passes the features on.
    layer: Option<Box<dyn Layer<T>>>,
    /// Where its features lie in those of a sample: first and number.
    input: (usize, usize),
    output: (usize, usize),
    /// Its parameters among all: first and number.
    parameters: (usize, usize),
}

/// What a part of [`Parallel`] does with its features.
#[derive(Debug)]
pub enum ParallelPart<T: Real> {
    /// Passes as many features on unchanged.
    Unchanged(usize),
    /// Gives them to a layer.
    Layer(Box<dyn Layer<T>>),
}

/// Slots of part i: three a part.
fn slot(part: usize, which: usize) -> usize {
    3 * part + which
}
/// Its input or the tangent of it, its output or the error of it, the error of its input.
const INPUT: usize = 0;
const OUTPUT: usize = 1;
const ERROR: usize = 2;

impl<T: Real> Parallel<T> {
    /// The parts in the order of their features, for features of `input_shape`.
    ///
    /// # Errors
    /// No part, or parts that have not as many features as there are.
    pub fn new(input_shape: &[usize], parts: Vec<ParallelPart<T>>) -> Result<Self> {
        if parts.is_empty() {
            return Err(Error::empty("parallel layers: parts"));
        }
        let (mut inputs, mut outputs, mut parameters) = (0, 0, 0);
        let parts: Vec<Part<T>> = parts
            .into_iter()
            .map(|part| {
                let (layer, from, to, own) = match part {
                    ParallelPart::Unchanged(n) => (None, n, n, 0),
                    ParallelPart::Layer(layer) => {
                        let own = parameter_count(&layer.parameters());
                        let shapes = (layer.input_shape(), layer.output_shape());
                        let (from, to) = (features(shapes.0), features(shapes.1));
                        (Some(layer), from, to, own)
                    }
                };
                let part = Part {
                    layer,
                    input: (inputs, from),
                    output: (outputs, to),
                    parameters: (parameters, own),
                };
                inputs = inputs.saturating_add(from);
                outputs = outputs.saturating_add(to);
                parameters = parameters.saturating_add(own);
                part
            })
            .collect();
        if inputs != features(input_shape) {
            return Err(Error::shape(
                "parallel layers: features of the parts",
                input_shape,
                inputs,
            ));
        }
        Ok(Self { parts, input_shape: input_shape.to_vec(), output_shape: [outputs] })
    }

    fn layers(&self) -> impl Iterator<Item = (usize, &Part<T>, &dyn Layer<T>)> {
        self.parts
            .iter()
            .enumerate()
            .filter_map(|(i, part)| part.layer.as_deref().map(|layer| (i, part, layer)))
    }

    fn inputs(&self) -> usize {
        features(&self.input_shape)
    }

    fn outputs(&self) -> usize {
        self.output_shape[0]
    }

    /// Copies the features of parts that pass on unchanged from one side to the other.
    fn pass_on(&self, inputs: &[T], outputs: &mut [T], backwards: bool) {
        let (mut from, mut to) = (self.inputs(), self.outputs());
        if backwards {
            (from, to) = (to, from);
        }
        for part in self.parts.iter().filter(|part| part.layer.is_none()) {
            let (mut first, mut last) = (part.input, part.output);
            if backwards {
                (first, last) = (last, first);
            }
            for (x, y) in inputs.chunks_exact(from).zip(outputs.chunks_exact_mut(to)) {
                y[last.0..][..last.1].copy_from_slice(&x[first.0..][..first.1]);
            }
        }
    }

    fn inner<'a>(
        part: &Part<T>,
        i: usize,
        pass: Tangent<'a, T>,
        input_tangent: Option<&'a [T]>,
    ) -> Tangent<'a, T> {
        let (first, own) = part.parameters;
        Tangent {
            parameters: &pass.parameters[first..first + own],
            input: pass.state.array(slot(i, INPUT)),
            state: pass.state.child(i),
            errors: pass.errors.map(|errors| errors.child(i)),
            directions: pass.directions.map(|d| d.part(first, own)),
            input_tangent,
            ..pass
        }
    }
}

/// The features `(first, number)` of every row of `wide`, as rows of their own.
fn gather<T: Real>(wide: &[T], width: usize, (first, n): (usize, usize), rows: &mut [T]) {
    for (wide, row) in wide.chunks_exact(width).zip(rows.chunks_exact_mut(n)) {
        row.copy_from_slice(&wide[first..][..n]);
    }
}

/// The other way round.
fn scatter<T: Real>(rows: &[T], (first, n): (usize, usize), wide: &mut [T], width: usize) {
    for (wide, row) in wide.chunks_exact_mut(width).zip(rows.chunks_exact(n)) {
        wide[first..][..n].copy_from_slice(row);
    }
}

impl<T: Real> Layer<T> for Parallel<T> {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let named = |i: usize, spec: ParameterSpec| ParameterSpec {
            name: format!("part{}.{}", i + 1, spec.name),
            ..spec
        };
        self.layers()
            .flat_map(|(i, _, layer)| {
                layer.parameters().into_iter().map(move |spec| named(i, spec))
            })
            .collect()
    }

    fn couples_samples(&self) -> bool {
        self.layers().any(|(_, _, layer)| layer.couples_samples())
    }

    fn check_input(&self, inputs: &[T]) -> Result<()> {
        for (_, part, layer) in self.layers() {
            let mut own = vec![T::ZERO; inputs.len() / self.inputs() * part.input.1];
            gather(inputs, self.inputs(), part.input, &mut own);
            layer.check_input(&own)?;
        }
        Ok(())
    }

    fn batch_statistics(&self, state: &State<T>, statistics: &mut Vec<BatchStatistics>) {
        for (i, _, layer) in self.layers() {
            layer.batch_statistics(state.child(i), statistics);
        }
    }

    fn kept_features(&self) -> usize {
        self.layers().map(|(_, part, layer)| part.input.1 + layer.kept_features()).sum()
    }

    fn widest_features(&self) -> usize {
        let inside = self.layers().map(|(_, _, layer)| layer.widest_features());
        inside.fold(self.inputs().max(self.outputs()), usize::max)
    }

    fn multiplications(&self) -> usize {
        self.layers().map(|(_, _, layer)| layer.multiplications()).sum()
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        keep: Keep,
    ) {
        let samples = input.len() / self.inputs();
        self.pass_on(input, output, false);
        for (i, part, layer) in self.layers() {
            let (first, own) = part.parameters;
            let mut from = state.take(slot(i, INPUT), samples * part.input.1);
            let mut to = state.take(slot(i, OUTPUT), samples * part.output.1);
            gather(input, self.inputs(), part.input, &mut from);
            let parameters = &parameters[first..first + own];
            layer.forward(parameters, &from, &mut to, state.child_mut(i), keep);
            scatter(&to, part.output, output, self.outputs());
            state.put_back(slot(i, INPUT), from);
            state.put_back(slot(i, OUTPUT), to);
        }
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let rows = output_tangent.len() / self.outputs();
        match pass.input_tangent {
            Some(input_tangent) => self.pass_on(input_tangent, output_tangent, false),
            None => output_tangent.fill(T::ZERO),
        }
        for (i, part, layer) in self.layers() {
            let from = pass.input_tangent.map(|input_tangent| {
                let mut from = tangents.take(slot(i, INPUT), rows * part.input.1);
                gather(input_tangent, self.inputs(), part.input, &mut from);
                from
            });
            let mut to = tangents.take(slot(i, OUTPUT), rows * part.output.1);
            let inner = Self::inner(part, i, pass, from.as_deref());
            layer.tangent(inner, &mut to, tangents.child_mut(i));
            scatter(&to, part.output, output_tangent, self.outputs());
            tangents.put_back(slot(i, OUTPUT), to);
            if let Some(from) = from {
                tangents.put_back(slot(i, INPUT), from);
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
        let rows = output_error.len() / self.outputs();
        if let Some(input_error) = &mut input_error {
            self.pass_on(output_error, input_error, true);
        }
        for (i, part, layer) in self.layers() {
            let (first, own) = part.parameters;
            let inner = Adjoint {
                parameters: &pass.parameters[first..first + own],
                input: pass.state.array(slot(i, INPUT)),
                state: pass.state.child(i),
                ..pass
            };
            let mut error = scratch.take(slot(i, OUTPUT), rows * part.output.1);
            gather(output_error, self.outputs(), part.output, &mut error);
            let mut own_error =
                input_error.as_ref().map(|_| scratch.take(slot(i, ERROR), rows * part.input.1));
            layer.adjoint(
                inner,
                &mut error,
                own_error.as_deref_mut(),
                gradient.as_mut().map(|g| g.part(first, own)),
                errors.as_deref_mut().map(|errors| errors.child_mut(i)),
                scratch.child_mut(i),
            );
            if let (Some(input_error), Some(own_error)) = (&mut input_error, own_error) {
                scatter(&own_error, part.input, input_error, self.inputs());
                scratch.put_back(slot(i, ERROR), own_error);
            }
            scratch.put_back(slot(i, OUTPUT), error);
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
        let rows = output_error.len() / self.outputs();
        if let Some(input_error) = &mut input_error {
            self.pass_on(output_error, input_error, true);
        }
        for (i, part, layer) in self.layers() {
            let (first, own) = part.parameters;
            // The input's tangent, as `tangent` left it.
            let from =
                pass.input_tangent.map(|_| tangents.take(slot(i, INPUT), rows * part.input.1));
            let inner = Self::inner(part, i, pass, from.as_deref());
            let mut error = tangents.take(slot(i, OUTPUT), rows * part.output.1);
            gather(output_error, self.outputs(), part.output, &mut error);
            let mut own_error =
                input_error.as_ref().map(|_| tangents.take(slot(i, ERROR), rows * part.input.1));
            layer.adjoint_tangent(
                inner,
                &mut error,
                own_error.as_deref_mut(),
                gradient.part(first, own),
                tangents.child_mut(i),
            );
            if let (Some(input_error), Some(own_error)) = (&mut input_error, own_error) {
                scatter(&own_error, part.input, input_error, self.inputs());
                tangents.put_back(slot(i, ERROR), own_error);
            }
            tangents.put_back(slot(i, OUTPUT), error);
            if let Some(from) = from {
                tangents.put_back(slot(i, INPUT), from);
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
        let rows = output_error.len() / self.outputs();
        self.pass_on(output_error, input_error, true);
        // Layers show themselves last to first.
        let parts: Vec<_> = self.layers().collect();
        for (i, part, layer) in parts.into_iter().rev() {
            let (first, own) = part.parameters;
            let inner = Adjoint {
                parameters: &pass.parameters[first..first + own],
                input: pass.state.array(slot(i, INPUT)),
                state: pass.state.child(i),
                ..pass
            };
            let prefix = format!("{}part{}.", place.prefix, i + 1);
            let place = Place { prefix: &prefix, offset: place.offset + first };
            let mut error = scratch.take(slot(i, OUTPUT), rows * part.output.1);
            gather(output_error, self.outputs(), part.output, &mut error);
            let mut own_error = scratch.take(slot(i, ERROR), rows * part.input.1);
            let child = scratch.child_mut(i);
            layer.observe(inner, &mut error, &mut own_error, place, observer, child);
            scatter(&own_error, part.input, input_error, self.inputs());
            scratch.put_back(slot(i, ERROR), own_error);
            scratch.put_back(slot(i, OUTPUT), error);
        }
    }
}
