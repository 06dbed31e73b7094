//! Rows of a table, by index.

use crate::network::Initializer;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Real, Result};

/// Token indices, which are numbers of the input, to rows of a learned table: features of any shape
/// `[…]` to `[…, width]`.
///
/// Parameters: `weight`, vocabulary × width, standard normal at the start. Indices are checked when
/// data enter an objective: whole numbers from 0 to below the vocabulary. The output is linear in the
/// table, so all its second derivatives vanish; in the indices it has no derivative, and their
/// tangents and errors are zero. A row that several tokens name gathers their errors one after the
/// other, in the order of samples and tokens.
#[derive(Clone, Debug)]
pub struct Embedding {
    vocabulary: usize,
    width: usize,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
}

impl Embedding {
    /// A table of `vocabulary` rows of `width` numbers.
    ///
    /// # Errors
    /// A zero width, an empty vocabulary.
    pub fn new(input_shape: &[usize], vocabulary: usize, width: usize) -> Result<Self> {
        if features(input_shape) == 0 || input_shape.is_empty() {
            let got = format!("{input_shape:?}");
            return Err(Error::range("embedding: input shape", "positive widths", got));
        }
        if vocabulary == 0 || width == 0 {
            let got = format!("{vocabulary} and {width}");
            return Err(Error::range("embedding: vocabulary and width", "positive numbers", got));
        }
        let mut output_shape = input_shape.to_vec();
        output_shape.push(width);
        Ok(Self { vocabulary, width, input_shape: input_shape.to_vec(), output_shape })
    }

    /// y ← rows of `table`; NaN for an index that the door would have refused.
    fn look_up<T: Real>(&self, table: &[T], indices: &[T], output: &mut [T]) {
        for (index, row) in indices.iter().zip(output.chunks_exact_mut(self.width)) {
            let first = (index.to_f64() as usize).saturating_mul(self.width);
            match table.get(first..first.saturating_add(self.width)) {
                Some(entry) => row.copy_from_slice(entry),
                None => row.fill(T::NAN),
            }
        }
    }

    fn add_gradients<T: Real>(
        &self,
        indices: &[T],
        output_error: &[T],
        mut gradient: Gradients<'_, T>,
    ) {
        let length = indices.len() * self.width;
        for (k, error) in output_error.chunks_exact(length).enumerate() {
            let table = gradient.get_mut(k);
            for (index, error) in indices.iter().zip(error.chunks_exact(self.width)) {
                let first = (index.to_f64() as usize).saturating_mul(self.width);
                if let Some(row) = table.get_mut(first..first.saturating_add(self.width)) {
                    row.iter_mut().zip(error).for_each(|(sum, &e)| *sum += e);
                }
            }
        }
    }
}

impl<T: Real> Layer<T> for Embedding {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight".into(),
            shape: vec![self.vocabulary, self.width],
            fan_in: self.vocabulary,
            fan_out: self.width,
            initializer: Initializer::Normal { deviation: 1.0 },
        }]
    }

    fn check_input(&self, inputs: &[T]) -> Result<()> {
        // Beyond 2/ε not every whole number is a number of the type.
        let largest = 2.0 / T::EPSILON.to_f64();
        if self.vocabulary as f64 > largest {
            let expected = format!("at most {largest}, whole numbers that {} holds", T::NAME);
            return Err(Error::range("embedding: vocabulary", expected, self.vocabulary));
        }
        let index = |x: f64| x >= 0.0 && x < self.vocabulary as f64 && x.fract() == 0.0;
        match inputs.iter().position(|x| !index(x.to_f64())) {
            None => Ok(()),
            Some(i) => {
                let tokens = features(&self.input_shape);
                Err(Error::range(
                    format!("inputs: sample {}, token {}", i / tokens, i % tokens),
                    format!("a whole number from 0 to {}", self.vocabulary - 1),
                    inputs[i],
                ))
            }
        }
    }

    fn kept_features(&self) -> usize {
        0
    }

    fn multiplications(&self) -> usize {
        features(&self.output_shape)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        _state: &mut State<T>,
        _keep: Keep,
    ) {
        self.look_up(parameters, input, output);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], _tangents: &mut State<T>) {
        let Some(directions) = pass.directions else { return output_tangent.fill(T::ZERO) };
        let length = pass.input.len() * self.width;
        for (k, output) in output_tangent.chunks_exact_mut(length).enumerate() {
            self.look_up(directions.get(k), pass.input, output);
        }
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
        _errors: Option<&mut State<T>>,
        _scratch: &mut State<T>,
    ) {
        if let Some(gradient) = gradient {
            self.add_gradients(pass.input, output_error, gradient);
        }
        if let Some(input_error) = input_error {
            input_error.fill(T::ZERO);
        }
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        input_error: Option<&mut [T]>,
        gradient: Gradients<'_, T>,
        _tangents: &mut State<T>,
    ) {
        self.add_gradients(pass.input, output_error, gradient);
        if let Some(input_error) = input_error {
            input_error.fill(T::ZERO);
        }
    }
}
