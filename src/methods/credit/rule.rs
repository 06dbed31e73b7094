//! The learning rules.

use std::borrow::Cow;

use super::{CellTypes, RateRnn};
use crate::error::check_finite;
use crate::network::layers::Leak;
use crate::random::Stream;
use crate::{Error, Real, Result};

/// How errors at the outputs reach the units.
#[derive(Clone, Debug, PartialEq)]
pub enum Feedback<T> {
    /// Through Oᵀ.
    Symmetric,
    /// Through a fixed matrix, N × outputs.
    Fixed(Vec<T>),
}

/// The weights Ŵ, N × N, that carry credit from a unit to those that project to it.
#[derive(Clone, Debug, PartialEq)]
pub enum BackWeights<T> {
    /// W.
    Exact,
    /// Means of W between types, also where there is no synapse.
    TypeMean(CellTypes),
    /// Means over the synapses between types, where there is one.
    TypeMeanGated(CellTypes),
    /// Given ones.
    Given(Vec<T>),
}

/// The two readings of ModProp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// μ takes the place of φ' of every cell that credit leaves, the receiver included; the leak is
    /// exact: λ_t = φ'_t∘g_t + μ Ŵᵀ d_{t+1} + a∘λ_{t+1}.
    Code,
    /// Taps of a filter: φ' of receiver and sender are exact, every cell between them counts as μ
    /// and keeps nothing: q_t = Ŵᵀ((1 − a)∘(φ'_{t+1}∘g_{t+1} + μ q_{t+1})), over at most `hops`.
    Taps {
        /// Longest path of credit, in synapses; none: all.
        hops: Option<usize>,
    },
}

/// The ±1 noise of UORO.
#[derive(Clone, Debug, PartialEq)]
pub enum Noise<T> {
    /// ν, of shape samples × steps × N.
    Given(Vec<T>),
    /// Drawn from this seed, one stream a sample.
    Drawn {
        /// The seed.
        seed: u64,
    },
}

/// A learning rule of the recurrent parameters W, U, b. The readout always has its exact gradient.
///
/// With g_t the error that reaches h_t through the readout, d_t = (1 − a)∘λ_t and
/// dW = Σ d_t h_{t−1}ᵀ, dU = Σ d_t x_tᵀ, db = Σ d_t, every rule of the voltage leak is
///
/// λ_t = φ'_t∘(g_t + C_t) + a∘λ_{t+1} + R_t
///
/// with its own C and R: no trace of a synapse is ever formed. For the rate leak
/// λ_t = g_t + a∘λ_{t+1} + C_t and d_t = (1 − a)∘φ'_t∘λ_t.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule<T> {
    /// Backpropagation through time, exact: C_t = Wᵀ d_{t+1}.
    Bptt,
    /// Real-time recurrent learning, exact: forward influence of every parameter on every state. An
    /// oracle, O(N⁴) a step and sample.
    Rtrl {
        /// Bytes that the influence matrices may take.
        memory_limit: usize,
    },
    /// Local terms alone (three-factor rules, e-prop; RFLO for the rate leak): C_t = 0.
    ThreeFactor {
        /// How errors reach the units.
        feedback: Feedback<T>,
    },
    /// One hop of credit (MDGL): C_t = Ŵᵀ((1 − a)∘φ'_{t+1}∘g_{t+1}), one product over all times.
    Mdgl {
        /// Ŵ.
        weights: BackWeights<T>,
    },
    /// All hops, with μ for derivatives (ModProp).
    ModProp {
        /// μ.
        mu: f64,
        /// Ŵ.
        weights: BackWeights<T>,
        /// Which reading.
        propagation: Propagation,
    },
    /// The diagonal of the exact Jacobian: C_t = (1 − a)∘diag(W)∘λ_{t+1}.
    SnAp1,
    /// A random estimate of rank one of the influence matrix, without bias.
    Uoro {
        /// ν.
        noise: Noise<T>,
    },
}

impl<T: Real> Rule<T> {
    /// Three factors with symmetric feedback.
    #[must_use]
    pub fn three_factor() -> Self {
        Rule::ThreeFactor { feedback: Feedback::Symmetric }
    }

    /// Its name in tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Rule::Bptt => "bptt",
            Rule::Rtrl { .. } => "rtrl",
            Rule::ThreeFactor { feedback: Feedback::Symmetric } => "three_factor",
            Rule::ThreeFactor { .. } => "eprop_random",
            Rule::Mdgl { .. } => "mdgl",
            Rule::ModProp { .. } => "modprop",
            Rule::SnAp1 => "snap1",
            Rule::Uoro { .. } => "uoro",
        }
    }

    /// Checks the rule against a network and the shape of the data.
    pub(super) fn check(&self, rnn: &RateRnn, samples: usize, steps: usize) -> Result<()> {
        let local = matches!(self, Rule::Bptt | Rule::Rtrl { .. } | Rule::ThreeFactor { .. });
        if matches!(rnn.leak(), Leak::Rate(_)) && !local {
            let got = "a leak of the rate";
            return Err(Error::not_applicable(self.name(), "a leak of the voltage", got));
        }
        match self {
            Rule::ThreeFactor { feedback } => feedback.check(rnn.units(), rnn.outputs()),
            Rule::Mdgl { weights } => weights.check(rnn.units()),
            Rule::ModProp { mu, weights, propagation } => {
                if !mu.is_finite() || *mu < 0.0 {
                    return Err(Error::range("modprop: mu", "a finite number of at least 0", mu));
                }
                if *propagation == (Propagation::Taps { hops: Some(0) }) {
                    return Err(Error::range("modprop: hops", "at least 1", 0));
                }
                weights.check(rnn.units())
            }
            Rule::Uoro { noise: Noise::Given(noise) } => {
                check_array("uoro: noise", noise, &[samples, steps, rnn.units()])
            }
            Rule::Rtrl { memory_limit } => {
                let n = rnn.units();
                let columns = n.saturating_mul(n + rnn.inputs() + 1);
                let bytes = n.saturating_mul(columns).saturating_mul(2 * size_of::<T>());
                if bytes > *memory_limit {
                    let (what, limit) = ("rtrl: influence matrices".to_owned(), *memory_limit);
                    return Err(Error::Memory { what, required: bytes, limit });
                }
                Ok(())
            }
            Rule::Bptt | Rule::SnAp1 | Rule::Uoro { .. } => Ok(()),
        }
    }
}

fn check_array<T: Real>(what: &str, array: &[T], shape: &[usize]) -> Result<()> {
    if array.len() != shape.iter().product::<usize>() {
        return Err(Error::shape(what, shape, array.len()));
    }
    check_finite(what, array)
}

impl<T: Real> BackWeights<T> {
    pub(super) fn check(&self, units: usize) -> Result<()> {
        match self {
            BackWeights::Exact => Ok(()),
            BackWeights::TypeMean(types) | BackWeights::TypeMeanGated(types) => types.check(units),
            BackWeights::Given(weights) => check_array("feedback weights", weights, &[units; 2]),
        }
    }

    /// Ŵ, from W without the autapses that do not count.
    pub(super) fn from<'a>(&'a self, weights: &'a [T]) -> Cow<'a, [T]> {
        match self {
            BackWeights::Exact => Cow::Borrowed(weights),
            BackWeights::TypeMean(types) => Cow::Owned(types.means(weights, false)),
            BackWeights::TypeMeanGated(types) => Cow::Owned(types.means(weights, true)),
            BackWeights::Given(given) => Cow::Borrowed(given),
        }
    }
}

impl<T: Real> Feedback<T> {
    pub(super) fn check(&self, units: usize, outputs: usize) -> Result<()> {
        match self {
            Feedback::Symmetric => Ok(()),
            Feedback::Fixed(matrix) => check_array("feedback", matrix, &[units, outputs]),
        }
    }

    /// A fixed matrix, drawn from a normal distribution of variance 1/N.
    #[must_use]
    pub fn random(units: usize, outputs: usize, seed: u64) -> Self {
        let mut matrix = vec![T::ZERO; units * outputs];
        Stream::new(seed, "random feedback").normals(0, &mut matrix);
        let deviation = T::from_f64((units.max(1) as f64).sqrt().recip());
        matrix.iter_mut().for_each(|x| *x *= deviation);
        Feedback::Fixed(matrix)
    }
}
