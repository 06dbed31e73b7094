//! Tokens: a learned position for each, a learned one before the others, their mean, some of them.

use hesse_kernels::activation;

use super::affine::Affine;
use crate::network::Initializer;
use crate::network::layer::{ParameterSpec, features};
use crate::{Error, Isa, Real, Result};

/// Standard deviation of learned tokens and positions at the start, as in common packages.
const DEVIATION: f64 = 0.02;

/// `[tokens, width]`, not empty.
fn tokens_and_width(what: &str, shape: &[usize]) -> Result<[usize; 2]> {
    match *shape {
        [tokens, width] if tokens > 0 && width > 0 => Ok([tokens, width]),
        _ => Err(Error::range(
            format!("{what}: input shape"),
            "[tokens, width], not empty",
            format!("{shape:?}"),
        )),
    }
}

fn learned(name: &str, shape: &[usize]) -> ParameterSpec {
    ParameterSpec {
        name: name.into(),
        shape: shape.to_vec(),
        fan_in: 1,
        fan_out: 1,
        initializer: Initializer::Normal { deviation: DEVIATION },
    }
}

/// sum += x.
fn add<T: Real>(sum: &mut [T], x: &[T]) {
    activation::adjoint_tangent_epilogue(Isa::current(), sum.len(), 1, None, Some(x), sum);
}

/// y = x + P, one learned number for every feature of a sample; of any shape, mostly
/// `[tokens, width]`.
///
/// Parameters: `position`, of the shape of the features, normal with deviation 0.02 at the start.
#[derive(Clone, Debug)]
pub struct PositionalEmbedding {
    shape: Vec<usize>,
}

impl PositionalEmbedding {
    /// On features of this shape.
    ///
    /// # Errors
    /// A zero width.
    pub fn new(shape: &[usize]) -> Result<Self> {
        if features(shape) == 0 || shape.is_empty() {
            let got = format!("{shape:?}");
            return Err(Error::range("positional embedding: shape", "positive widths", got));
        }
        Ok(Self { shape: shape.to_vec() })
    }
}

impl Affine for PositionalEmbedding {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![learned("position", &self.shape)]
    }

    fn apply<T: Real>(&self, parameters: Option<&[T]>, input: Option<&[T]>, output: &mut [T]) {
        match input {
            Some(input) => output.copy_from_slice(input),
            None => output.fill(T::ZERO),
        }
        if let Some(position) = parameters {
            output.chunks_exact_mut(position.len()).for_each(|sample| add(sample, position));
        }
    }

    fn add_gradient<T: Real>(&self, output_error: &[T], gradient: &mut [T]) {
        activation::column_sums(Isa::current(), output_error, gradient);
    }

    fn pull_back<T: Real>(&self, output_error: &[T], input_error: &mut [T]) {
        input_error.copy_from_slice(output_error);
    }
}

/// A learned token before the others: `[tokens, width]` to `[tokens + 1, width]` (Devlin et al. 2019).
///
/// Parameters: `token`, width numbers, normal with deviation 0.02 at the start.
#[derive(Clone, Debug)]
pub struct ClassToken {
    input_shape: [usize; 2],
    output_shape: [usize; 2],
}

impl ClassToken {
    /// On tokens of this shape.
    ///
    /// # Errors
    /// Another shape than `[tokens, width]`, zero widths.
    pub fn new(shape: &[usize]) -> Result<Self> {
        let [tokens, width] = tokens_and_width("class token", shape)?;
        Ok(Self { input_shape: [tokens, width], output_shape: [tokens.saturating_add(1), width] })
    }

    fn split<'a, T>(&self, output: &'a [T]) -> impl Iterator<Item = (&'a [T], &'a [T])> {
        let width = self.input_shape[1];
        output.chunks_exact(features(&self.output_shape)).map(move |sample| sample.split_at(width))
    }
}

impl Affine for ClassToken {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        vec![learned("token", &self.input_shape[1..])]
    }

    fn apply<T: Real>(&self, parameters: Option<&[T]>, input: Option<&[T]>, output: &mut [T]) {
        let inputs = features(&self.input_shape);
        for (b, sample) in output.chunks_exact_mut(features(&self.output_shape)).enumerate() {
            let (token, others) = sample.split_at_mut(self.input_shape[1]);
            match parameters {
                Some(parameters) => token.copy_from_slice(parameters),
                None => token.fill(T::ZERO),
            }
            match input {
                Some(input) => others.copy_from_slice(&input[b * inputs..][..inputs]),
                None => others.fill(T::ZERO),
            }
        }
    }

    fn add_gradient<T: Real>(&self, output_error: &[T], gradient: &mut [T]) {
        for (j, gradient) in gradient.iter_mut().enumerate() {
            let sum: f64 = self.split(output_error).map(|(token, _)| token[j].to_f64()).sum();
            *gradient = T::from_f64(gradient.to_f64() + sum);
        }
    }

    fn pull_back<T: Real>(&self, output_error: &[T], input_error: &mut [T]) {
        let rows = input_error.chunks_exact_mut(features(&self.input_shape));
        for (to, (_, others)) in rows.zip(self.split(output_error)) {
            to.copy_from_slice(others);
        }
    }
}

/// The mean over tokens: `[tokens, width]` to `[width]`. Sums in `f64`.
#[derive(Clone, Debug)]
pub struct MeanTokens {
    input_shape: [usize; 2],
    output_shape: [usize; 1],
}

impl MeanTokens {
    /// On tokens of this shape.
    ///
    /// # Errors
    /// Another shape than `[tokens, width]`, zero widths.
    pub fn new(shape: &[usize]) -> Result<Self> {
        let [tokens, width] = tokens_and_width("mean over tokens", shape)?;
        Ok(Self { input_shape: [tokens, width], output_shape: [width] })
    }
}

impl Affine for MeanTokens {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn apply<T: Real>(&self, _parameters: Option<&[T]>, input: Option<&[T]>, output: &mut [T]) {
        output.fill(T::ZERO);
        let Some(input) = input else { return };
        let [tokens, width] = self.input_shape;
        let factor = T::from_f64(1.0 / tokens as f64);
        let samples = input.chunks_exact(tokens * width).zip(output.chunks_exact_mut(width));
        for (tokens, sum) in samples {
            activation::column_sums(Isa::current(), tokens, sum);
            sum.iter_mut().for_each(|x| *x *= factor);
        }
    }

    fn pull_back<T: Real>(&self, output_error: &[T], input_error: &mut [T]) {
        let [tokens, width] = self.input_shape;
        let factor = T::from_f64(1.0 / tokens as f64);
        let samples = input_error.chunks_exact_mut(tokens * width);
        for (to, error) in samples.zip(output_error.chunks_exact(width)) {
            for token in to.chunks_exact_mut(width) {
                token.iter_mut().zip(error).for_each(|(x, &e)| *x = factor * e);
            }
        }
    }
}

/// Consecutive features of a sample, as a shape of their own: the class token, or a decoder's tokens
/// without the memory before them.
#[derive(Clone, Debug)]
pub struct Slice {
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    first: usize,
}

impl Slice {
    /// The features from `first` on that fill `output_shape`.
    ///
    /// # Errors
    /// Nothing, or more than there is.
    pub fn new(input_shape: &[usize], first: usize, output_shape: &[usize]) -> Result<Self> {
        let (all, wanted) = (features(input_shape), features(output_shape));
        if wanted == 0 || output_shape.is_empty() {
            let got = format!("{output_shape:?}");
            return Err(Error::range("slice: shape", "positive widths", got));
        }
        if first.checked_add(wanted).is_none_or(|end| end > all) {
            let got = format!("{wanted} from {first} on");
            return Err(Error::range(
                "slice: features",
                format!("within the {all} there are"),
                got,
            ));
        }
        Ok(Self { input_shape: input_shape.to_vec(), output_shape: output_shape.to_vec(), first })
    }
}

impl Affine for Slice {
    fn input_shape(&self) -> &[usize] {
        &self.input_shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.output_shape
    }

    fn apply<T: Real>(&self, _parameters: Option<&[T]>, input: Option<&[T]>, output: &mut [T]) {
        let Some(input) = input else { return output.fill(T::ZERO) };
        let (from, to) = (features(&self.input_shape), features(&self.output_shape));
        for (input, output) in input.chunks_exact(from).zip(output.chunks_exact_mut(to)) {
            output.copy_from_slice(&input[self.first..][..to]);
        }
    }

    fn pull_back<T: Real>(&self, output_error: &[T], input_error: &mut [T]) {
        let (from, to) = (features(&self.input_shape), features(&self.output_shape));
        let samples = input_error.chunks_exact_mut(from).zip(output_error.chunks_exact(to));
        for (input, output) in samples {
            input.fill(T::ZERO);
            input[self.first..][..to].copy_from_slice(output);
        }
    }
}
