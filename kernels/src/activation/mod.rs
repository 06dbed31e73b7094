//! Activation functions fused with the bias before them and the derivatives after them, and the
//! element-wise parts of tangent and adjoint passes.
//!
//! Primal arrays are row-major, one sample a row: `[b][h]`. An array of tangents holds for each
//! sample its `repeat` = K tangents one after the other: `[b][k][h]`. All kernels here are
//! bandwidth-bound on piecewise linear activations and compute-bound, in cache, on the others.
//!
//! | φ | φ' | φ'' |
//! |---|---|---|
//! | `Tanh` | sech² z = 4e/(1+e)², e = e^(−2\|z\|) | −2 φ φ' |
//! | `Sigmoid` σ | σ(z) σ(−z) | φ' (σ(−z) − σ(z)) |
//! | `Relu`, `LeakyRelu` | 1 for z > 0, else 0 or the slope | 0 |
//! | `Gelu` z Φ(z) | Φ + z p, p = e^(−z²/2)/√(2π), Φ by erfc | p (2 − z²) |
//! | `GeluTanh` z σ(w), w = √(8/π) (z + 0.044715 z³) | σ + z σ' w' | 2 σ' w' + z (σ'' w'² + σ' w'') |
//! | `Softplus` max(z, 0) + ln(1 + e^(−\|z\|)) | σ(z) | σ(z) σ(−z) |
//! | `Silu` z σ(z) | σ + z σ' | 2 σ' + z σ'' |
//! | `Elu` α (eᶻ − 1) for z ≤ 0, else z | α eᶻ or 1 | α eᶻ or 0 |
//!
//! Where no zero is near, φ, φ' and φ'' keep their relative accuracy far into both tails: within
//! 8 ε for φ, except that the approximate GELU has the |w| ε of its rounded argument. Near their
//! zeros the error is below 8 ε absolute. ±∞ go to the limits; φ of NaN is NaN, and so is φ' except
//! that of the identity.

mod formulas;
mod in_place;
mod passes;
#[cfg(test)]
mod tests;

use core::fmt;
use core::str::FromStr;

use pulp::{Simd, WithSimd};

pub use in_place::tangent_epilogue_in_place;
pub use passes::{
    adjoint_epilogue, adjoint_tangent_epilogue, column_sums, scale_rows, tangent_epilogue,
};

use crate::compiled::dispatch;
use crate::elementary::Lane;
use crate::lanes::Lanes;
use crate::{Isa, Real};
use formulas::Formula;

/// An activation function φ; the module lists the formulas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// z.
    Identity,
    /// tanh z.
    Tanh,
    /// σ(z) = 1/(1 + e⁻ᶻ).
    Sigmoid,
    /// max(z, 0), with φ'(0) = 0.
    Relu,
    /// z for z > 0, else slope·z; φ'(0) is the slope.
    LeakyRelu {
        /// The slope on the left.
        slope: f64,
    },
    /// z Φ(z) with the normal distribution function Φ: the exact GELU, default of PyTorch.
    Gelu,
    /// z σ(√(8/π) (z + 0.044715 z³)): the approximate GELU, default of JAX.
    GeluTanh,
    /// ln(1 + eᶻ).
    Softplus,
    /// z σ(z), also called swish.
    Silu,
    /// z for z > 0, else α (eᶻ − 1); φ'(0) is α.
    Elu {
        /// Minus the limit on the left.
        alpha: f64,
    },
}

/// A name that is no activation's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationError {
    got: String,
}

impl fmt::Display for ActivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Activation::ALL.iter().map(|a| a.name()).collect();
        write!(f, "activation: expected one of {}, got {:?}", names.join(", "), self.got)
    }
}

impl std::error::Error for ActivationError {}

impl Activation {
    /// One of each kind, with the usual parameters (slope 0.01, α 1).
    pub const ALL: [Activation; 10] = [
        Activation::Identity,
        Activation::Tanh,
        Activation::Sigmoid,
        Activation::Relu,
        Activation::LeakyRelu { slope: 0.01 },
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Softplus,
        Activation::Silu,
        Activation::Elu { alpha: 1.0 },
    ];

    /// `identity`, `tanh`, `sigmoid`, `relu`, `leaky_relu`, `gelu`, `gelu_tanh`, `softplus`,
    /// `silu` or `elu`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Tanh => "tanh",
            Activation::Sigmoid => "sigmoid",
            Activation::Relu => "relu",
            Activation::LeakyRelu { .. } => "leaky_relu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Softplus => "softplus",
            Activation::Silu => "silu",
            Activation::Elu { .. } => "elu",
        }
    }

    /// Whether φ'' = 0 wherever it exists, so that its term in Hessian products can be left out.
    #[must_use]
    pub fn is_piecewise_linear(self) -> bool {
        matches!(self, Activation::Identity | Activation::Relu | Activation::LeakyRelu { .. })
    }
}

/// The name, with the parameter where there is one: `leaky_relu(0.01)`, `elu(1)`.
impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Activation::LeakyRelu { slope: x } | Activation::Elu { alpha: x } => write!(f, "({x})"),
            _ => Ok(()),
        }
    }
}

/// Reads what `Display` writes; a name alone has the parameter of [`Activation::ALL`].
impl FromStr for Activation {
    type Err = ActivationError;

    fn from_str(text: &str) -> Result<Self, ActivationError> {
        let parse = || {
            let (name, argument) = match text.split_once('(') {
                Some((name, rest)) => (name, Some(rest.strip_suffix(')')?)),
                None => (text, None),
            };
            let argument = match argument {
                Some(number) => Some(number.parse::<f64>().ok().filter(|x| x.is_finite())?),
                None => None,
            };
            let kind = Activation::ALL.into_iter().find(|a| a.name() == name)?;
            match (kind, argument) {
                (kind, None) => Some(kind),
                (Activation::LeakyRelu { .. }, Some(slope)) => {
                    Some(Activation::LeakyRelu { slope })
                }
                (Activation::Elu { .. }, Some(alpha)) => Some(Activation::Elu { alpha }),
                _ => None,
            }
        };
        parse().ok_or_else(|| ActivationError { got: text.to_owned() })
    }
}

/// z ← φ(z + bias).
///
/// `z`: any number of rows of `bias.len()` elements; without a bias, any length. Reads and writes
/// z once. [`bias_activation_derivatives`] gives the same bits.
///
/// # Panics
/// If the length of `z` is no multiple of that of `bias`.
pub fn bias_activation<T: Real>(isa: Isa, activation: Activation, bias: Option<&[T]>, z: &mut [T]) {
    run(isa, activation, Job { bias, z, slopes: None });
}

/// z ← φ(z + bias), d1 ← φ'(z + bias), and d2 ← φ''(z + bias) where asked for.
///
/// `z`: any number of rows of `bias.len()` elements; without a bias, any length. Reads z once,
/// writes each output once.
///
/// # Panics
/// If the length of `z` is no multiple of that of `bias`, or not that of `d1` and `d2`.
pub fn bias_activation_derivatives<T: Real>(
    isa: Isa,
    activation: Activation,
    bias: Option<&[T]>,
    z: &mut [T],
    d1: &mut [T],
    d2: Option<&mut [T]>,
) {
    assert_eq!(z.len(), d1.len());
    assert!(d2.as_ref().is_none_or(|d2| d2.len() == z.len()));
    run(isa, activation, Job { bias, z, slopes: Some((d1, d2)) });
}

struct Job<'a, T> {
    bias: Option<&'a [T]>,
    z: &'a mut [T],
    slopes: Option<(&'a mut [T], Option<&'a mut [T]>)>,
}

fn run<T: Real>(isa: Isa, activation: Activation, job: Job<'_, T>) {
    if let Some(bias) = job.bias {
        let h = bias.len();
        assert!(
            if h == 0 { job.z.is_empty() } else { job.z.len().is_multiple_of(h) },
            "bias_activation: {} elements in rows of {h}",
            job.z.len()
        );
    }
    if job.z.is_empty() {
        return;
    }
    macro_rules! apply {
        ($formula:ident $($arguments:tt)?) => {
            dispatch!(isa, Apply<'a, formulas::$formula, T> = Apply {
                formula: formulas::$formula $($arguments)?,
                job,
            })
        };
    }
    match activation {
        Activation::Identity => apply!(Identity),
        Activation::Tanh => apply!(Tanh),
        Activation::Sigmoid => apply!(Sigmoid),
        Activation::Relu => apply!(Relu),
        Activation::LeakyRelu { slope } => apply!(LeakyRelu { slope }),
        Activation::Gelu => apply!(Gelu),
        Activation::GeluTanh => apply!(GeluTanh),
        Activation::Softplus => apply!(Softplus),
        Activation::Silu => apply!(Silu),
        Activation::Elu { alpha } => apply!(Elu { alpha }),
    }
}

struct Apply<'a, F, T> {
    formula: F,
    job: Job<'a, T>,
}

impl<F: Formula, T: Real> WithSimd for Apply<'_, F, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { bias, z, slopes } = self.job;
        let h = bias.map_or(z.len(), <[T]>::len);
        match slopes {
            None => {
                for z in z.chunks_exact_mut(h) {
                    values(simd, self.formula, bias, z);
                }
            }
            Some((d1, None)) => {
                for (z, d1) in z.chunks_exact_mut(h).zip(d1.chunks_exact_mut(h)) {
                    first(simd, self.formula, bias, z, d1);
                }
            }
            Some((d1, Some(d2))) => {
                let rows = z.chunks_exact_mut(h).zip(d1.chunks_exact_mut(h));
                for ((z, d1), d2) in rows.zip(d2.chunks_exact_mut(h)) {
                    second(simd, self.formula, bias, z, d1, d2);
                }
            }
        }
    }
}

/// Element `i` of `z` plus that of the bias.
#[inline(always)]
fn biased<T: Real, S: Simd>(
    simd: S,
    z: T::Vector<S>,
    bias: Option<&[T::Vector<S>]>,
    i: usize,
) -> Lane<T, S> {
    Lane::new(simd, bias.map_or(z, |bias| <T as Lanes>::add(simd, z, bias[i])))
}

/// The last elements of `z` plus those of the bias.
#[inline(always)]
fn biased_tail<T: Real, S: Simd>(simd: S, z: &[T], bias: Option<&[T]>) -> Lane<T, S> {
    let z = T::partial_load(simd, z);
    Lane::new(simd, bias.map_or(z, |bias| <T as Lanes>::add(simd, z, T::partial_load(simd, bias))))
}

#[inline(always)]
fn values<F: Formula, T: Real, S: Simd>(simd: S, formula: F, bias: Option<&[T]>, z: &mut [T]) {
    let (bias, bias_tail) = split(simd, bias);
    let (z, z_tail) = T::as_mut_simd::<S>(z);
    for (i, z) in z.iter_mut().enumerate() {
        *z = formula.value(biased::<T, S>(simd, *z, bias, i)).get();
    }
    if !z_tail.is_empty() {
        let value = formula.value(biased_tail(simd, z_tail, bias_tail));
        T::partial_store(simd, z_tail, value.get());
    }
}

#[inline(always)]
fn first<F: Formula, T: Real, S: Simd>(
    simd: S,
    formula: F,
    bias: Option<&[T]>,
    z: &mut [T],
    d1: &mut [T],
) {
    let (bias, bias_tail) = split(simd, bias);
    let (z, z_tail) = T::as_mut_simd::<S>(z);
    let (d1, d1_tail) = T::as_mut_simd::<S>(d1);
    for (i, (z, d1)) in z.iter_mut().zip(d1).enumerate() {
        let [value, slope, _] = formula.derivatives(biased::<T, S>(simd, *z, bias, i));
        *z = value.get();
        *d1 = slope.get();
    }
    if !z_tail.is_empty() {
        let [value, slope, _] = formula.derivatives(biased_tail(simd, z_tail, bias_tail));
        T::partial_store(simd, z_tail, value.get());
        T::partial_store(simd, d1_tail, slope.get());
    }
}

#[inline(always)]
fn second<F: Formula, T: Real, S: Simd>(
    simd: S,
    formula: F,
    bias: Option<&[T]>,
    z: &mut [T],
    d1: &mut [T],
    d2: &mut [T],
) {
    let (bias, bias_tail) = split(simd, bias);
    let (z, z_tail) = T::as_mut_simd::<S>(z);
    let (d1, d1_tail) = T::as_mut_simd::<S>(d1);
    let (d2, d2_tail) = T::as_mut_simd::<S>(d2);
    for (i, ((z, d1), d2)) in z.iter_mut().zip(d1).zip(d2).enumerate() {
        let [value, slope, second] = formula.derivatives(biased::<T, S>(simd, *z, bias, i));
        *z = value.get();
        *d1 = slope.get();
        *d2 = second.get();
    }
    if !z_tail.is_empty() {
        let [value, slope, second] = formula.derivatives(biased_tail(simd, z_tail, bias_tail));
        T::partial_store(simd, z_tail, value.get());
        T::partial_store(simd, d1_tail, slope.get());
        T::partial_store(simd, d2_tail, second.get());
    }
}

/// The bias as whole vectors and a rest.
#[inline(always)]
#[allow(clippy::type_complexity)]
fn split<T: Real, S: Simd>(_: S, bias: Option<&[T]>) -> (Option<&[T::Vector<S>]>, Option<&[T]>) {
    match bias.map(|bias| T::as_simd::<S>(bias)) {
        Some((bias, tail)) => (Some(bias), Some(tail)),
        None => (None, None),
    }
}
