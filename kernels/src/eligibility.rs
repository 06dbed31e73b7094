//! Eligibility traces at every synapse, forwards in time, with the gradient that they feed.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::{dispatch, inlined};
use crate::lanes::Lanes;
use crate::prefetch::prefetch;
use crate::{Isa, Real};

/// A low-pass filter of the traces: ē_pq ← κ ē_pq + g_p ε_pq.
#[derive(Debug)]
pub struct Filter<'a, T> {
    /// κ.
    pub keep: T,
    /// g, `[p][b]`.
    pub gains: &'a [T],
    /// ē, `[p][b][q]`.
    pub traces: &'a mut [T],
}

/// The gradient that traces feed: G_pq += Σ_b f_p ē_pq, or ε_pq where there is no filter.
#[derive(Debug)]
pub struct Learning<'a, T> {
    /// f, `[p][b]`.
    pub factors: &'a [T],
    /// G, `[p][q]`.
    pub sums: &'a mut [f64],
}

/// ε_pq ← a_p ε_pq + g_p z_q for all samples, then the filter and the gradient, in one pass over
/// the traces.
///
/// `keep` a: `[p]`; `gains` g: `[p][b]`, 1 where there are none; `inputs` z: `[b][q]`; `traces` ε:
/// `[p][b][q]`. Eight samples at a time (16 in `f32`) meet all units, so that their z stay in the
/// first-level cache, and the terms of their gradient stay in registers until they are one addition
/// to G. For every trace, 2 flops, one more with a gain and 2 more each for filter and gradient,
/// against one read and one write of it: bandwidth-bound.
///
/// The terms of these m samples are summed in `T`, fused where the instruction set fuses, and G in
/// `f64`: against the exact sum of the products of f and the traces as they are stored,
/// |Ĝ − G| ≤ (m u + n v) Σ|f ē| to first order after n additions to G, u the unit roundoff of `T` and v
/// that of `f64`. So the error of `f32` does not grow with samples and steps, but for n v, which is
/// as large as u after 2²⁹ additions.
///
/// # Panics
/// If the lengths do not agree.
pub fn update_traces<T: Real>(
    isa: Isa,
    samples: usize,
    keep: &[T],
    gains: Option<&[T]>,
    inputs: &[T],
    traces: &mut [T],
    filter: Option<Filter<'_, T>>,
    learning: Option<Learning<'_, T>>,
) {
    let units = keep.len();
    if traces.is_empty() {
        return;
    }
    assert!(samples > 0 && inputs.len().is_multiple_of(samples), "inputs of {samples} samples");
    let width = inputs.len() / samples;
    let rows = units * samples;
    assert_eq!(rows.checked_mul(width), Some(traces.len()), "traces");
    assert!(gains.is_none_or(|gains| gains.len() == rows), "gains: expected {rows}");
    if let Some(filter) = &filter {
        assert_eq!((filter.gains.len(), filter.traces.len()), (rows, traces.len()), "filter");
    }
    if let Some(learning) = &learning {
        let lengths = (learning.factors.len(), learning.sums.len());
        assert_eq!(lengths, (rows, units * width), "factors and sums");
    }
    dispatch!(isa, Update<'a, T> = Update {
        samples, width, keep, gains, inputs, traces, filter, learning,
    });
}

struct Update<'a, T> {
    samples: usize,
    width: usize,
    keep: &'a [T],
    gains: Option<&'a [T]>,
    inputs: &'a [T],
    traces: &'a mut [T],
    filter: Option<Filter<'a, T>>,
    learning: Option<Learning<'a, T>>,
}

/// Samples whose terms are summed before they are added to the gradient: of as many bytes in both
/// types.
fn samples_of_group<T>() -> usize {
    64 / size_of::<T>()
}

/// Vectors of a row of `left` that are done together: never one alone beside others, since the sum over
/// samples waits for itself.
fn together(left: usize) -> usize {
    match left {
        ..=4 => left,
        5 | 6 => 3,
        7 | 9 => 4,
        _ => 8,
    }
}

/// Bytes of traces beyond which those of the next unit are asked for ahead.
const NEAR: usize = 24 << 10;

impl<T: Real> WithSimd for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let gain = self.gains.is_some();
        match (gain, self.filter.is_some(), self.learning.is_some()) {
            (false, false, false) => self.groups::<S, false, false, false>(simd),
            (false, false, true) => self.groups::<S, false, false, true>(simd),
            (false, true, false) => self.groups::<S, false, true, false>(simd),
            (false, true, true) => self.groups::<S, false, true, true>(simd),
            (true, false, false) => self.groups::<S, true, false, false>(simd),
            (true, false, true) => self.groups::<S, true, false, true>(simd),
            (true, true, false) => self.groups::<S, true, true, false>(simd),
            (true, true, true) => self.groups::<S, true, true, true>(simd),
        }
    }
}

impl<T: Real> Update<'_, T> {
    #[inline(always)]
    fn groups<S: Simd, const GAIN: bool, const FILTER: bool, const LEARN: bool>(self, simd: S) {
        let Self { samples, width, keep, gains, inputs, traces, filter, learning } = self;
        let gains = gains.unwrap_or(&[]);
        let (kappa, filter_gains, filtered): (_, &[T], &mut [T]) = match filter {
            Some(Filter { keep, gains, traces }) => (keep, gains, traces),
            None => (T::ZERO, &[], &mut []),
        };
        let (factors, sums): (&[T], &mut [f64]) = match learning {
            Some(Learning { factors, sums }) => (factors, sums),
            None => (&[], &mut []),
        };
        let lanes = T::lanes::<S>();
        let ahead = (size_of_val(traces) > NEAR).then_some(samples * width);
        let size = samples_of_group::<T>();
        for first in (0..samples).step_by(size) {
            let last = samples.min(first + size);
            let inputs = &inputs[first * width..last * width];
            for p in 0..keep.len() {
                let rows = p * samples + first..p * samples + last;
                let all = rows.start * width..rows.end * width;
                let mut group = Group {
                    width,
                    samples: last - first,
                    keep: keep[p],
                    gains: if GAIN { &gains[rows.clone()] } else { &[] },
                    inputs,
                    traces: &mut traces[all.clone()],
                    kappa,
                    filter_gains: if FILTER { &filter_gains[rows.clone()] } else { &[] },
                    filtered: if FILTER { &mut filtered[all] } else { &mut [] },
                    factors: if LEARN { &factors[rows] } else { &[] },
                    sums: if LEARN { &mut sums[p * width..(p + 1) * width] } else { &mut [] },
                    ahead,
                };
                let mut at = 0;
                while at + lanes <= width {
                    let count = together((width - at) / lanes);
                    match count {
                        8 => group.whole::<S, 8, GAIN, FILTER, LEARN>(simd, at),
                        4 => group.whole::<S, 4, GAIN, FILTER, LEARN>(simd, at),
                        3 => group.whole::<S, 3, GAIN, FILTER, LEARN>(simd, at),
                        2 => group.whole::<S, 2, GAIN, FILTER, LEARN>(simd, at),
                        _ => group.whole::<S, 1, GAIN, FILTER, LEARN>(simd, at),
                    }
                    at += count * lanes;
                }
                if at < width {
                    group.tail::<S, GAIN, FILTER, LEARN>(simd, at);
                }
            }
        }
    }
}

/// Some samples of one unit; what is not wanted is empty.
struct Group<'a, T> {
    width: usize,
    samples: usize,
    keep: T,
    gains: &'a [T],
    inputs: &'a [T],
    traces: &'a mut [T],
    kappa: T,
    filter_gains: &'a [T],
    filtered: &'a mut [T],
    factors: &'a [T],
    sums: &'a mut [f64],
    /// How far behind these traces those of the next unit are, where they should be asked for.
    ahead: Option<usize>,
}

impl<T: Real> Group<'_, T> {
    /// `N` vectors of a row from `start` on.
    #[inline(always)]
    fn whole<S: Simd, const N: usize, const GAIN: bool, const FILTER: bool, const LEARN: bool>(
        &mut self,
        simd: S,
        start: usize,
    ) {
        let lanes = T::lanes::<S>();
        let length = N * lanes;
        let (keep, kappa) = (T::splat(simd, self.keep), T::splat(simd, self.kappa));
        let mut sums = [T::splat(simd, T::ZERO); N];
        for b in 0..self.samples {
            let place = b * self.width + start..b * self.width + start + length;
            if let Some(ahead) = self.ahead {
                for i in 0..N {
                    prefetch(self.traces.as_ptr().wrapping_add(place.start + ahead + i * lanes));
                    if FILTER {
                        prefetch(
                            self.filtered.as_ptr().wrapping_add(place.start + ahead + i * lanes),
                        );
                    }
                }
            }
            let z = &T::as_simd::<S>(&self.inputs[place.clone()]).0[..N];
            let traces = &mut T::as_mut_simd::<S>(&mut self.traces[place.clone()]).0[..N];
            let gain = if GAIN { T::splat(simd, self.gains[b]) } else { keep };
            let filter_gain = if FILTER { T::splat(simd, self.filter_gains[b]) } else { keep };
            let factor = if LEARN { T::splat(simd, self.factors[b]) } else { keep };
            let filtered: &mut [T::Vector<S>] = if FILTER {
                &mut T::as_mut_simd::<S>(&mut self.filtered[place]).0[..N]
            } else {
                &mut []
            };
            for i in 0..N {
                let input = if GAIN { <T as Lanes>::mul(simd, gain, z[i]) } else { z[i] };
                let mut e = T::mul_add(simd, keep, traces[i], input);
                traces[i] = e;
                if FILTER {
                    let kept = <T as Lanes>::mul(simd, kappa, filtered[i]);
                    e = T::mul_add(simd, filter_gain, e, kept);
                    filtered[i] = e;
                }
                if LEARN {
                    sums[i] = T::mul_add(simd, factor, e, sums[i]);
                }
            }
        }
        if LEARN {
            let wide = T::wide::<S>();
            let totals = S::as_mut_simd_f64s(&mut self.sums[start..start + length]).0;
            for (totals, sum) in totals.chunks_exact_mut(wide).zip(sums) {
                let sum = T::widen(simd, sum);
                for (total, sum) in totals.iter_mut().zip(sum) {
                    *total = simd.add_f64s(*total, sum);
                }
            }
        }
    }

    /// The rest from `start` on, less than a vector.
    #[inline(always)]
    fn tail<S: Simd, const GAIN: bool, const FILTER: bool, const LEARN: bool>(
        &mut self,
        simd: S,
        start: usize,
    ) {
        let mask = T::mask_of_bits(simd, (1 << (self.width - start)) - 1);
        let load = inlined(
            #[inline(always)]
            |x: &[T]| {
                // SAFETY: the mask holds in as many lanes as the slice has elements.
                unsafe { T::masked_load(simd, mask, x.as_ptr()) }
            },
        );
        let store = inlined(
            #[inline(always)]
            |x: &mut [T], value: T::Vector<S>| {
                // SAFETY: as above.
                unsafe { T::masked_store(simd, mask, x.as_mut_ptr(), value) }
            },
        );
        let (keep, kappa) = (T::splat(simd, self.keep), T::splat(simd, self.kappa));
        let mut sum = T::splat(simd, T::ZERO);
        for b in 0..self.samples {
            let place = b * self.width + start..(b + 1) * self.width;
            let mut z = load(&self.inputs[place.clone()]);
            if GAIN {
                z = <T as Lanes>::mul(simd, T::splat(simd, self.gains[b]), z);
            }
            let mut e = T::mul_add(simd, keep, load(&self.traces[place.clone()]), z);
            store(&mut self.traces[place.clone()], e);
            if FILTER {
                let kept = <T as Lanes>::mul(simd, kappa, load(&self.filtered[place.clone()]));
                e = T::mul_add(simd, T::splat(simd, self.filter_gains[b]), e, kept);
                store(&mut self.filtered[place], e);
            }
            if LEARN {
                sum = T::mul_add(simd, T::splat(simd, self.factors[b]), e, sum);
            }
        }
        if LEARN {
            let totals = self.sums[start..self.width].iter_mut();
            let sum = T::as_lanes::<S>(&sum).iter();
            totals.zip(sum).for_each(|(total, sum)| *total += sum.to_f64());
        }
    }
}
