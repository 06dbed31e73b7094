//! Weight-shared recurrent layer of leaky units, with a filtered output.

mod passes;
mod span;

use std::borrow::Cow;
use std::ops::Range;

use hesse_kernels::activation::Activation;
use hesse_kernels::leak::{leak, leak_adjoint};
pub(crate) use span::Span;

use super::Recurrent;
use super::time_major::TimeMajor;
use crate::error::check_finite;
use crate::network::Initializer;
use crate::network::layer::Directions;
use crate::{Error, Isa, Real, Result};

/// Which variable of a leaky unit leaks, and the factor a ∈ [0, 1) that one step leaves of it: one
/// for all units, or one for each.
///
/// a = exp(−dt/τ) for the exact decay over a step dt at time constant τ, 1 − dt/τ for Euler's.
#[derive(Clone, Debug, PartialEq)]
pub enum Leak {
    /// v_t = a v_{t−1} + (1 − a) u_t, h_t = φ(v_t − θ).
    Voltage(Vec<f64>),
    /// h_t = a h_{t−1} + (1 − a) φ(u_t − θ).
    Rate(Vec<f64>),
}

impl Leak {
    /// The factors, one for all or one for each unit.
    #[must_use]
    pub fn factors(&self) -> &[f64] {
        match self {
            Leak::Voltage(a) | Leak::Rate(a) => a,
        }
    }

    /// The factor of every unit, zero where it is so small that its products with numbers of about 1
    /// would be denormal in single precision.
    pub(crate) fn of_units(&self, units: usize) -> Vec<f64> {
        let given = self.factors();
        let factor = |i: usize| given[if given.len() == 1 { 0 } else { i }];
        (0..units).map(factor).map(|a| if a < NO_LEAK { 0.0 } else { a }).collect()
    }
}

/// Leaky rate units with drive u_t = W h_{t−1} + U x_t + b and output s_t = κ s_{t−1} + (1 − κ)
/// h_t, from v_0 = h_0 = s_0 = 0 (h_0 = 0 also where φ(0) is not).
///
/// [`Leak`] says how h_t follows from u_t. The input is x_1 … x_T, of shape `[time, features]`; the
/// output is s_T, of shape `[units]`, or with [`LeakyRecurrent::every_step`] all of them, `[time,
/// units]`. Parameters: `recurrent_weight` W units × units (row: the unit that receives),
/// `input_weight` U units × features, `bias` b units (optional). Without
/// [`autapses`](LeakyRecurrent::autapses) the diagonal of W counts as zero, and its gradients and
/// curvatures are zero.
///
/// What does not depend on the state before is one product over several times and all samples: U
/// x_t, the products of tangents of the weights with primal states and errors, and both gradients of
/// weights. What does is one product a step, over all samples and tangents at once; the leak and the
/// filter are one pass over the rows of a step. Time is cut into segments whose arrays stay in cache
/// between these. Flops as in [`Recurrent`].
#[derive(Clone, Debug)]
pub struct LeakyRecurrent {
    cell: Recurrent,
    rate: bool,
    /// a and 1 − a, for each unit.
    factors: [Vec<f64>; 2],
    /// −θ for each unit, where it is not zero.
    shifts: Option<Vec<f64>>,
    filter: f64,
    autapses: bool,
}

/// Slots behind those of [`Recurrent`]. Of the state: v_t of one step, and s_t, `[t][b]`. Of
/// tangents and scratch: the leaking variable of one step, and the filtered tangents.
const VOLTAGES: usize = 4;
const FILTERED: usize = 5;
const CARRY: usize = 6;
const FILTERED_TANGENTS: usize = 7;

/// Factors below this are zero.
const NO_LEAK: f64 = 1e-30;

impl LeakyRecurrent {
    /// A layer of `units` units over a sequence of shape `[time, features]`, with bias and
    /// autapses, without filter, whose output is that of the last step.
    ///
    /// # Errors
    /// Another number of axes, a zero width, factors that are neither one nor `units` numbers of
    /// [0, 1).
    pub fn new(
        input_shape: &[usize],
        units: usize,
        activation: Activation,
        leak: &Leak,
    ) -> Result<Self> {
        let cell = Recurrent::new(input_shape, units, activation)?;
        let given = leak.factors();
        if given.len() != 1 && given.len() != units {
            let expected = format!("1 or {units} factors");
            return Err(Error::shape("leak", expected, given.len()));
        }
        if let Some(a) = given.iter().find(|a| !(0.0..1.0).contains(*a)) {
            return Err(Error::range("leak", "factors in [0, 1)", a));
        }
        let a = leak.of_units(units);
        let gains = a.iter().map(|a| 1.0 - a).collect();
        Ok(Self {
            cell,
            rate: matches!(leak, Leak::Rate(_)),
            factors: [a, gains],
            shifts: None,
            filter: 0.0,
            autapses: true,
        })
    }

    /// Thresholds θ, one for each unit; zero by default.
    ///
    /// # Errors
    /// Another number of thresholds than units, NaN or infinities.
    pub fn thresholds(mut self, thresholds: &[f64]) -> Result<Self> {
        if thresholds.len() != self.cell.units {
            return Err(Error::shape("thresholds", self.cell.units, thresholds.len()));
        }
        check_finite("thresholds", thresholds)?;
        let any = thresholds.iter().any(|&theta| theta != 0.0);
        self.shifts = any.then(|| thresholds.iter().map(|theta| -theta).collect());
        Ok(self)
    }

    /// κ of the output; 0 by default.
    ///
    /// # Errors
    /// A number outside [0, 1).
    pub fn readout_filter(mut self, kappa: f64) -> Result<Self> {
        if !(0.0..1.0).contains(&kappa) {
            return Err(Error::range("readout filter", "a number in [0, 1)", kappa));
        }
        self.filter = kappa;
        Ok(self)
    }

    /// Whether units have synapses with themselves; yes by default.
    #[must_use]
    pub fn autapses(mut self, autapses: bool) -> Self {
        self.autapses = autapses;
        self
    }

    /// Whether the output is that of all times rather than the last one.
    #[must_use]
    pub fn every_step(mut self, every_step: bool) -> Self {
        self.cell = self.cell.every_step(every_step);
        self
    }

    /// With or without bias.
    #[must_use]
    pub fn bias(mut self, bias: bool) -> Self {
        self.cell = self.cell.bias(bias);
        self
    }

    /// How W starts, and the bias, see [`Initializer::for_bias`].
    #[must_use]
    pub fn recurrent_initializer(mut self, initializer: Initializer) -> Self {
        self.cell = self.cell.recurrent_initializer(initializer);
        self
    }

    /// How U starts.
    #[must_use]
    pub fn input_initializer(mut self, initializer: Initializer) -> Self {
        self.cell = self.cell.input_initializer(initializer);
        self
    }

    /// Parameters, or tangents of them, with a zero diagonal of W where it does not count.
    fn masked<'a, T: Real>(&self, parameters: &'a [T]) -> Cow<'a, [T]> {
        if self.autapses {
            return Cow::Borrowed(parameters);
        }
        let mut masked = parameters.to_vec();
        (0..self.cell.units).for_each(|i| masked[i * (self.cell.units + 1)] = T::ZERO);
        Cow::Owned(masked)
    }

    /// The tangents of the layer's parameters, masked and one after the other, where a mask is
    /// needed.
    fn masked_directions<T: Real>(&self, directions: Option<Directions<'_, T>>) -> Option<Vec<T>> {
        let directions = directions.filter(|_| !self.autapses)?;
        Some(
            (0..directions.count())
                .flat_map(|k| self.masked(directions.get(k)).into_owned())
                .collect(),
        )
    }

    /// Runs `add` on a gradient, whose diagonal of W stays as it was where it does not count.
    fn add_masked<T: Real>(&self, gradient: &mut [T], add: impl FnOnce(&mut [T])) {
        if self.autapses {
            return add(gradient);
        }
        let step = self.cell.units + 1;
        let diagonal: Vec<T> = (0..self.cell.units).map(|i| gradient[i * step]).collect();
        add(gradient);
        diagonal.into_iter().enumerate().for_each(|(i, x)| gradient[i * step] = x);
    }

    fn leaks<T: Real>(&self) -> Leaks<T> {
        let convert = |x: &[f64]| x.iter().map(|&x| T::from_f64(x)).collect();
        let any = self.factors[0].iter().any(|&a| a != 0.0);
        Leaks { keep: convert(&self.factors[0]), gain: convert(&self.factors[1]), any }
    }

    /// The errors of h_t from those of the output: g_t = (1 − κ) r_t with r_t = s̄_t + κ r_{t+1}.
    /// Returns whether they are written at all times, rather than at the last alone.
    fn errors_of_rates<T: Real>(
        &self,
        layout: TimeMajor,
        output_error: &[T],
        errors: &mut [T],
    ) -> bool {
        let everywhere = self.cell.every_step || self.filter != 0.0;
        if everywhere && !self.cell.every_step {
            errors.fill(T::ZERO);
        }
        self.cell.write_errors(layout, output_error, errors);
        if self.filter == 0.0 {
            return everywhere;
        }
        let (kappa, gain) = (T::from_f64(self.filter), T::from_f64(1.0 - self.filter));
        let step = layout.step(0, self.cell.units).len();
        for i in (0..errors.len() - step).rev() {
            errors[i] += kappa * errors[i + step];
        }
        errors.iter_mut().for_each(|g| *g *= gain);
        everywhere
    }

    /// Backwards through `steps`: u_t += Wᵀ d_{t+1} (or as much, without `sums`), then u_t becomes
    /// d_t by `slope`, which multiplies by φ', and by the leak, which λ_t = · + a λ_{t+1} carries.
    fn backwards<T: Real>(
        &self,
        layout: TimeMajor,
        parameters: &[T],
        steps: Range<usize>,
        sums: bool,
        u: &mut [T],
        carry: &mut [T],
        mut slope: impl FnMut(usize, &mut [T]),
    ) {
        let leaks = self.leaks::<T>();
        self.cell.backwards(layout, parameters, steps, sums, u, |t, u| {
            if self.rate {
                leaks.carry_back(carry, u);
                slope(t, u);
            } else {
                slope(t, u);
                leaks.carry_back(carry, u);
            }
        });
    }
}

/// The factors of the leak in the storage type.
struct Leaks<T> {
    keep: Vec<T>,
    gain: Vec<T>,
    /// Whether anything is kept.
    any: bool,
}

impl<T: Real> Leaks<T> {
    /// y ← a before + (1 − a) y over rows of units; without `before`, zero.
    fn step(&self, before: Option<&[T]>, y: &mut [T]) {
        if self.any {
            leak(Isa::current(), &self.keep, &self.gain, before, y);
        }
    }

    /// λ ← u + a λ, then u ← (1 − a) λ.
    fn carry_back(&self, carry: &mut [T], u: &mut [T]) {
        if self.any {
            leak_adjoint(Isa::current(), &self.keep, &self.gain, carry, u);
        }
    }
}
