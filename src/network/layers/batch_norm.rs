//! Normalisation of each channel over a batch.

mod channels;

use hesse_kernels::layer_norm::{self as kernel, Affine, Kept, MEANS, STATISTICS};
use hesse_kernels::level1;
use serde::{Deserialize, Serialize};

use super::layer_norm::check_epsilon;
use crate::error::check_finite;
use crate::network::Initializer;
use crate::network::layer::{
    Adjoint, Gradients, Keep, Layer, ParameterSpec, State, Tangent, features,
};
use crate::{Error, Isa, Real, Result};
use channels::Channels;

/// Mean and variance of each channel, as [`BatchNorm`] in evaluation uses them.
///
/// They are constants of the layer, written and read with the architecture, and no part of θ:
/// `Objective::batch_statistics` takes them from data, `Architecture::with_batch_statistics` fixes
/// them. The variance divides by the number of values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchStatistics {
    /// One a channel.
    pub mean: Vec<f64>,
    /// One a channel, not negative.
    pub variance: Vec<f64>,
}

/// y = γ∘x̂ + β with x̂ = (x − m)/√(v + ε), mean m and variance v of each channel (Ioffe and Szegedy
/// 2015). Channels are the first axis: `[channels, height, width]`, or `[features]`.
///
/// Parameters: `scale` γ (starts at 1) and `shift` β (0), one a channel; or none, see
/// [`BatchNorm::affine`].
///
/// *In training* m and v are those of the batch, over samples and positions, dividing by their number.
/// Samples depend on each other: the whole data set of an objective is one shard, and derivatives go
/// through m and v. Per channel the equations are those of [`super::LayerNorm`] for a row of
/// n = samples × positions numbers with scale γ: with X = r P ȳ,
///
/// x̄ = γ X,  dx̄ = γ dX + γ̇ X,  dγ̄ = Σ dȳ∘x̂ + ȳ∘dx̂,  dβ̄ = Σ dȳ.
///
/// *In evaluation*, [`BatchNorm::statistics`], m and v are constants, P is the identity and samples
/// are independent: an affine map of each channel.
///
/// Each pass copies its arrays into channels one after the other and back; it is bound by memory.
/// Kept are x, x̂, ȳ and X, and ẋ and x̂' of each tangent.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    channels: Channels,
    shape: Vec<usize>,
    epsilon: f64,
    affine: bool,
    statistics: Option<BatchStatistics>,
}

/// Slots of the state: x and x̂ by channels, mean and 1/deviation of each.
const INPUT: usize = 0;
const STANDARDIZED: usize = 1;
const STATISTICS_OF_CHANNELS: usize = 2;
/// Slots of the errors: ȳ and X by channels, two means a channel.
const ERROR: usize = 0;
const PULLED: usize = 1;
const ERROR_MEANS: usize = 2;
/// Slots of the tangents: ẋ and x̂' by channels, two means a channel; scratch.
const TANGENT: usize = 0;
const STANDARDIZED_TANGENT: usize = 1;
const TANGENT_MEANS: usize = 2;
const SCRATCH: [usize; 2] = [3, 4];

impl BatchNorm {
    /// In training, with ε = 1e-5, scale and shift.
    ///
    /// # Errors
    /// A zero width.
    pub fn new(shape: &[usize]) -> Result<Self> {
        if features(shape) == 0 || shape.is_empty() {
            return Err(Error::range("batch norm: shape", "positive widths", format!("{shape:?}")));
        }
        let channels = Channels { channels: shape[0], positions: features(shape) / shape[0] };
        let shape = shape.to_vec();
        Ok(Self { channels, shape, epsilon: 1e-5, affine: true, statistics: None })
    }

    /// Another ε.
    ///
    /// # Errors
    /// Not positive and finite.
    pub fn epsilon(mut self, epsilon: f64) -> Result<Self> {
        self.epsilon = check_epsilon("batch norm: epsilon", epsilon)?;
        Ok(self)
    }

    /// With or without scale and shift.
    #[must_use]
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// In evaluation, with these statistics.
    ///
    /// # Errors
    /// Another number of channels, NaN or infinities, a negative variance.
    pub fn statistics(mut self, statistics: BatchStatistics) -> Result<Self> {
        for (what, values) in [
            ("batch norm: means", &statistics.mean),
            ("batch norm: variances", &statistics.variance),
        ] {
            if values.len() != self.channels.channels {
                return Err(Error::shape(what, self.channels.channels, values.len()));
            }
            check_finite(what, values)?;
        }
        if let Some(v) = statistics.variance.iter().find(|v| **v < 0.0) {
            return Err(Error::range("batch norm: variances", "not negative", v));
        }
        self.statistics = Some(statistics);
        Ok(self)
    }

    /// γ and β of a channel, or their tangents.
    fn affine_of<T: Real>(&self, parameters: &[T], channel: usize) -> Option<(T, T)> {
        self.affine.then(|| (parameters[channel], parameters[self.channels.channels + channel]))
    }

    /// 1/deviation of a channel, as `forward` left it.
    fn r<T: Real>(state: &State<T>, channel: usize) -> T {
        state.array(STATISTICS_OF_CHANNELS)[channel * STATISTICS + 2]
    }

    /// x̂ of x by channels, and the statistics.
    fn standardize<T: Real>(&self, n: usize, x: &[T], hat: &mut [T], statistics: &mut [T]) {
        let none = Affine { scale: None, shift: None };
        let Some(given) = &self.statistics else {
            let isa = Isa::current();
            return kernel::layer_norm(isa, n, self.epsilon, none, x, hat, statistics);
        };
        let moments = given.mean.iter().zip(&given.variance);
        let rows = x.chunks_exact(n).zip(hat.chunks_exact_mut(n));
        let kept = statistics.chunks_exact_mut(STATISTICS);
        for (((mean, variance), (x, hat)), kept) in moments.zip(rows).zip(kept) {
            let r = 1.0 / (variance + self.epsilon).sqrt();
            for (x, hat) in x.iter().zip(hat) {
                *hat = T::from_f64((x.to_f64() - mean) * r);
            }
            kept.copy_from_slice(&[T::from_f64(*mean), T::ZERO, T::from_f64(r)]);
        }
    }

    /// Multiplies each row by 1/deviation of its channel: what all derivatives are in evaluation.
    fn scale_rows<T: Real>(state: &State<T>, n: usize, from: &[T], to: &mut [T]) {
        for (c, (from, to)) in from.chunks_exact(n).zip(to.chunks_exact_mut(n)).enumerate() {
            let r = Self::r(state, c);
            from.iter().zip(to).for_each(|(from, to)| *to = r * *from);
        }
    }

    /// Adds Σ u∘v + Σ u'∘v' and Σ u by channels to the gradient of scale and shift.
    fn add_gradient<T: Real>(
        &self,
        n: usize,
        pairs: [Option<(&[T], &[T])>; 2],
        gradient: &mut [T],
    ) {
        if !self.affine {
            return;
        }
        let isa = Isa::current();
        let (scale, shift) = gradient.split_at_mut(self.channels.channels);
        for (c, (scale, shift)) in scale.iter_mut().zip(shift).enumerate() {
            let mut sum = scale.to_f64();
            for (u, v) in pairs.iter().flatten() {
                sum += level1::dot(isa, &u[c * n..][..n], &v[c * n..][..n]);
            }
            *scale = T::from_f64(sum);
            if let Some((u, _)) = pairs[0] {
                *shift = T::from_f64(shift.to_f64() + level1::sum(isa, &u[c * n..][..n]));
            }
        }
    }
}

impl<T: Real> Layer<T> for BatchNorm {
    fn input_shape(&self) -> &[usize] {
        &self.shape
    }

    fn output_shape(&self) -> &[usize] {
        &self.shape
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        if !self.affine {
            return Vec::new();
        }
        let spec = |name: &str, value| ParameterSpec {
            name: name.into(),
            shape: vec![self.channels.channels],
            fan_in: 1,
            fan_out: 1,
            initializer: Initializer::Constant { value },
        };
        vec![spec("scale", 1.0), spec("shift", 0.0)]
    }

    fn couples_samples(&self) -> bool {
        self.statistics.is_none()
    }

    fn batch_statistics(&self, state: &State<T>, statistics: &mut Vec<BatchStatistics>) {
        if self.statistics.is_some() {
            return;
        }
        let x = state.array(INPUT);
        let n = x.len() / self.channels.channels;
        let mut found = BatchStatistics { mean: Vec::new(), variance: Vec::new() };
        for row in x.chunks_exact(n.max(1)) {
            let mean = row.iter().map(|x| x.to_f64()).sum::<f64>() / n as f64;
            let square = |x: &T| (x.to_f64() - mean).powi(2);
            found.mean.push(mean);
            found.variance.push(row.iter().map(square).sum::<f64>() / n as f64);
        }
        statistics.push(found);
    }

    fn kept_features(&self) -> usize {
        4 * features(&self.shape)
    }

    fn forward(
        &self,
        parameters: &[T],
        input: &[T],
        output: &mut [T],
        state: &mut State<T>,
        _keep: Keep,
    ) {
        let n = input.len() / self.channels.channels;
        let mut x = state.take(INPUT, input.len());
        let mut hat = state.take(STANDARDIZED, input.len());
        let statistics = state.buffer(STATISTICS_OF_CHANNELS, STATISTICS * self.channels.channels);
        self.channels.gather(input, &mut x);
        self.standardize(n, &x, &mut hat, statistics);
        self.channels.scatter(output, |c, i| {
            let x = hat[c * n + i];
            self.affine_of(parameters, c).map_or(x, |(scale, shift)| scale * x + shift)
        });
        state.put_back(INPUT, x);
        state.put_back(STANDARDIZED, hat);
    }

    fn tangent(&self, pass: Tangent<'_, T>, output_tangent: &mut [T], tangents: &mut State<T>) {
        let length = pass.input.len();
        let channels = self.channels.channels;
        let n = length / channels;
        let state = pass.state;
        let mut x = tangents.take(TANGENT, pass.count * length);
        let mut hat_tangents = tangents.take(STANDARDIZED_TANGENT, pass.count * length);
        let means = tangents.buffer(TANGENT_MEANS, pass.count * MEANS * channels);
        let none = Affine { scale: None, shift: None };
        for (k, output) in output_tangent.chunks_exact_mut(length).enumerate() {
            let place = k * length..(k + 1) * length;
            let (x, hat_tangent) = (&mut x[place.clone()], &mut hat_tangents[place.clone()]);
            match pass.input_tangent {
                Some(input_tangent) => self.channels.gather(&input_tangent[place], x),
                None => x.fill(T::ZERO),
            }
            if self.statistics.is_some() {
                Self::scale_rows(state, n, x, hat_tangent);
            } else {
                kernel::layer_norm_tangent(
                    Isa::current(),
                    n,
                    none,
                    none,
                    state.array(STATISTICS_OF_CHANNELS),
                    state.array(INPUT),
                    Some(x),
                    hat_tangent,
                    &mut means[k * MEANS * channels..][..MEANS * channels],
                );
            }
            let hat = state.array(STANDARDIZED);
            self.channels.scatter(output, |c, i| {
                let mut y = hat_tangent[c * n + i];
                if let Some((scale, _)) = self.affine_of(pass.parameters, c) {
                    y *= scale;
                }
                if let Some((scale, shift)) =
                    pass.directions.and_then(|d| self.affine_of(d.get(k), c))
                {
                    y += scale * hat[c * n + i] + shift;
                }
                y
            });
        }
        tangents.put_back(TANGENT, x);
        tangents.put_back(STANDARDIZED_TANGENT, hat_tangents);
    }

    fn adjoint(
        &self,
        pass: Adjoint<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Option<Gradients<'_, T>>,
        errors: Option<&mut State<T>>,
        scratch: &mut State<T>,
    ) {
        let length = pass.input.len();
        let channels = self.channels.channels;
        let n = length / channels;
        let state = pass.state;
        let kept = errors.unwrap_or(scratch);
        let mut error = kept.take(ERROR, length);
        let mut pulled = kept.take(PULLED, length);
        let means = kept.buffer(ERROR_MEANS, MEANS * channels);
        for (k, output_error) in output_error.chunks_exact(length).enumerate() {
            self.channels.gather(output_error, &mut error);
            if let Some(gradient) = &mut gradient {
                let pairs = [Some((&error[..], state.array(STANDARDIZED))), None];
                self.add_gradient(n, pairs, gradient.get_mut(k));
            }
            let Some(input_error) = &mut input_error else { continue };
            if self.statistics.is_some() {
                Self::scale_rows(state, n, &error, &mut pulled);
            } else {
                kernel::layer_norm_adjoint(
                    Isa::current(),
                    n,
                    None,
                    state.array(STATISTICS_OF_CHANNELS),
                    state.array(INPUT),
                    &error,
                    &mut pulled,
                    Some(&mut *means),
                );
            }
            self.channels.scatter(&mut input_error[k * length..][..length], |c, i| {
                let x = pulled[c * n + i];
                self.affine_of(pass.parameters, c).map_or(x, |(scale, _)| scale * x)
            });
        }
        kept.put_back(ERROR, error);
        kept.put_back(PULLED, pulled);
    }

    fn adjoint_tangent(
        &self,
        pass: Tangent<'_, T>,
        output_error: &mut [T],
        mut input_error: Option<&mut [T]>,
        mut gradient: Gradients<'_, T>,
        tangents: &mut State<T>,
    ) {
        let Some(errors) = pass.errors else { return };
        let length = pass.input.len();
        let channels = self.channels.channels;
        let n = length / channels;
        let state = pass.state;
        let [mut error, mut pulled] = SCRATCH.map(|slot| tangents.take(slot, length));
        for (k, output_error) in output_error.chunks_exact(length).enumerate() {
            let place = k * length..(k + 1) * length;
            self.channels.gather(output_error, &mut error);
            let hat_tangent = &tangents.array(STANDARDIZED_TANGENT)[place.clone()];
            let pairs = [
                Some((&error[..], state.array(STANDARDIZED))),
                Some((errors.array(ERROR), hat_tangent)),
            ];
            self.add_gradient(n, pairs, gradient.get_mut(k));
            let Some(input_error) = &mut input_error else { continue };
            if self.statistics.is_some() {
                Self::scale_rows(state, n, &error, &mut pulled);
            } else {
                let means = &tangents.array(TANGENT_MEANS)[k * MEANS * channels..];
                let kept = Kept {
                    statistics: state.array(STATISTICS_OF_CHANNELS),
                    x: state.array(INPUT),
                    y_error: errors.array(ERROR),
                    error_means: errors.array(ERROR_MEANS),
                    x_tangent: Some(&tangents.array(TANGENT)[place.clone()]),
                    tangent_means: &means[..MEANS * channels],
                };
                let isa = Isa::current();
                kernel::layer_norm_adjoint_tangent(isa, n, None, None, kept, &error, &mut pulled);
            }
            let before = errors.array(PULLED);
            self.channels.scatter(&mut input_error[place], |c, i| {
                let mut x = pulled[c * n + i];
                if let Some((scale, _)) = self.affine_of(pass.parameters, c) {
                    x *= scale;
                }
                if let Some((scale, _)) = pass.directions.and_then(|d| self.affine_of(d.get(k), c))
                {
                    x += scale * before[c * n + i];
                }
                x
            });
        }
        for (slot, buffer) in SCRATCH.into_iter().zip([error, pulled]) {
            tangents.put_back(slot, buffer);
        }
    }
}
