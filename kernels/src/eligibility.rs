//! Eligibility traces at every synapse, forwards in time, with the gradient that they feed.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::lanes::Lanes;
use crate::row::first_vector;
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
    pub sums: &'a mut [T],
}

/// ε_pq ← a_p ε_pq + g_p z_q for all samples, then the filter and the gradient, in one pass over
/// the traces.
///
/// `keep` a: `[p]`; `gains` g: `[p][b]`; `inputs` z: `[b][q]`; `traces` ε: `[p][b][q]`. The traces
/// of a unit lie together, so that a unit's row of the gradient stays in registers while its samples
/// pass by. For every trace, 3 flops and 2 more each for filter and gradient, against one read and
/// one write of it. Sums over samples in `T`, in their order, fused where the instruction set fuses.
///
/// # Panics
/// If the lengths do not agree.
pub fn update_traces<T: Real>(
    isa: Isa,
    keep: &[T],
    gains: &[T],
    inputs: &[T],
    traces: &mut [T],
    filter: Option<Filter<'_, T>>,
    learning: Option<Learning<'_, T>>,
) {
    let units = keep.len();
    if units == 0 || gains.is_empty() || inputs.is_empty() {
        assert!(traces.is_empty(), "traces: {} of no synapse", traces.len());
        return;
    }
    assert!(gains.len().is_multiple_of(units), "gains: {} of {units} units", gains.len());
    let samples = gains.len() / units;
    assert!(inputs.len().is_multiple_of(samples), "inputs: {} of {samples}", inputs.len());
    let width = inputs.len() / samples;
    assert_eq!(gains.len().checked_mul(width), Some(traces.len()), "traces");
    if let Some(filter) = &filter {
        assert_eq!((filter.gains.len(), filter.traces.len()), (gains.len(), traces.len()));
    }
    if let Some(learning) = &learning {
        let lengths = (learning.factors.len(), learning.sums.len());
        assert_eq!(lengths, (gains.len(), units * width), "factors and sums");
    }
    dispatch!(isa, Update<'a, T> = Update {
        samples, width, keep, gains, inputs, traces, filter, learning,
    });
}

struct Update<'a, T> {
    samples: usize,
    width: usize,
    keep: &'a [T],
    gains: &'a [T],
    inputs: &'a [T],
    traces: &'a mut [T],
    filter: Option<Filter<'a, T>>,
    learning: Option<Learning<'a, T>>,
}

/// Vectors of a row side by side.
const TILE: usize = 4;

impl<T: Real> WithSimd for Update<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { samples, width, keep, gains, inputs, traces, mut filter, mut learning } = self;
        let lanes = T::lanes::<S>();
        for (p, traces) in traces.chunks_exact_mut(samples * width).enumerate() {
            let rows = p * samples..(p + 1) * samples;
            let mut unit = Unit {
                width,
                keep: keep[p],
                gains: &gains[rows.clone()],
                inputs,
                filter: filter.as_mut().map(|filter| {
                    let all = rows.start * width..rows.end * width;
                    (filter.keep, &filter.gains[rows.clone()], &mut filter.traces[all])
                }),
                learning: learning.as_mut().map(|learning| {
                    (&learning.factors[rows], &mut learning.sums[p * width..(p + 1) * width])
                }),
                traces,
            };
            let mut start = 0;
            while start + TILE * lanes <= width {
                unit.whole(simd, start);
                start += TILE * lanes;
            }
            while start < width {
                unit.part(simd, start..width.min(start + lanes));
                start += lanes;
            }
        }
    }
}

/// One unit with all samples.
struct Unit<'a, T> {
    width: usize,
    keep: T,
    gains: &'a [T],
    inputs: &'a [T],
    filter: Option<(T, &'a [T], &'a mut [T])>,
    learning: Option<(&'a [T], &'a mut [T])>,
    traces: &'a mut [T],
}

impl<T: Real> Unit<'_, T> {
    /// [`TILE`] vectors from `start` on.
    #[inline(always)]
    fn whole<S: Simd>(&mut self, simd: S, start: usize) {
        let length = TILE * T::lanes::<S>();
        let keep = T::splat(simd, self.keep);
        let mut sums = [T::splat(simd, T::ZERO); TILE];
        if let Some((_, out)) = &self.learning {
            sums.copy_from_slice(T::as_simd::<S>(&out[start..start + length]).0);
        }
        for (b, &gain) in self.gains.iter().enumerate() {
            let place = b * self.width + start..b * self.width + start + length;
            let z = &T::as_simd::<S>(&self.inputs[place.clone()]).0[..TILE];
            let traces = &mut T::as_mut_simd::<S>(&mut self.traces[place.clone()]).0[..TILE];
            let gain = T::splat(simd, gain);
            let mut e = [keep; TILE];
            for i in 0..TILE {
                e[i] = <T as Lanes>::mul(simd, keep, traces[i]);
                e[i] = T::mul_add(simd, gain, z[i], e[i]);
                traces[i] = e[i];
            }
            if let Some((kappa, gains, filtered)) = &mut self.filter {
                let filtered = &mut T::as_mut_simd::<S>(&mut filtered[place]).0[..TILE];
                let (kappa, gain) = (T::splat(simd, *kappa), T::splat(simd, gains[b]));
                for i in 0..TILE {
                    let kept = <T as Lanes>::mul(simd, kappa, filtered[i]);
                    e[i] = T::mul_add(simd, gain, e[i], kept);
                    filtered[i] = e[i];
                }
            }
            if let Some((factors, _)) = &self.learning {
                let factor = T::splat(simd, factors[b]);
                for i in 0..TILE {
                    sums[i] = T::mul_add(simd, factor, e[i], sums[i]);
                }
            }
        }
        if let Some((_, out)) = &mut self.learning {
            T::as_mut_simd::<S>(&mut out[start..start + length]).0.copy_from_slice(&sums);
        }
    }

    /// At most one vector.
    #[inline(always)]
    fn part<S: Simd>(&mut self, simd: S, columns: core::ops::Range<usize>) {
        let keep = T::splat(simd, self.keep);
        let mut sum = T::splat(simd, T::ZERO);
        if let Some((_, out)) = &self.learning {
            sum = first_vector(simd, &out[columns.clone()]);
        }
        for (b, &gain) in self.gains.iter().enumerate() {
            let place = b * self.width + columns.start..b * self.width + columns.end;
            let traces = &mut self.traces[place.clone()];
            let kept = <T as Lanes>::mul(simd, keep, first_vector(simd, traces));
            let z = first_vector(simd, &self.inputs[place.clone()]);
            let mut e = T::mul_add(simd, T::splat(simd, gain), z, kept);
            T::partial_store(simd, traces, e);
            if let Some((kappa, gains, filtered)) = &mut self.filter {
                let filtered = &mut filtered[place];
                let kappa = T::splat(simd, *kappa);
                let kept = <T as Lanes>::mul(simd, kappa, first_vector(simd, filtered));
                e = T::mul_add(simd, T::splat(simd, gains[b]), e, kept);
                T::partial_store(simd, filtered, e);
            }
            if let Some((factors, _)) = &self.learning {
                sum = T::mul_add(simd, T::splat(simd, factors[b]), e, sum);
            }
        }
        if let Some((_, out)) = &mut self.learning {
            T::partial_store(simd, &mut out[columns], sum);
        }
    }
}
