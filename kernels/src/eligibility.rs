//! Eligibility traces at every synapse, forwards in time, with the gradient that they feed.

#[cfg(test)]
mod tests;

use pulp::{Simd, WithSimd};

use crate::compiled::{dispatch, inlined};
use crate::lanes::Lanes;
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
        match (self.filter.is_some(), self.learning.is_some()) {
            (false, false) => self.units::<S, false, false>(simd),
            (false, true) => self.units::<S, false, true>(simd),
            (true, false) => self.units::<S, true, false>(simd),
            (true, true) => self.units::<S, true, true>(simd),
        }
    }
}

impl<T: Real> Update<'_, T> {
    #[inline(always)]
    fn units<S: Simd, const FILTER: bool, const LEARN: bool>(self, simd: S) {
        let Self { samples, width, keep, gains, inputs, traces, filter, learning } = self;
        let (kappa, filter_gains, filtered): (_, &[T], &mut [T]) = match filter {
            Some(Filter { keep, gains, traces }) => (keep, gains, traces),
            None => (T::ZERO, &[], &mut []),
        };
        let (factors, sums): (&[T], &mut [T]) = match learning {
            Some(Learning { factors, sums }) => (factors, sums),
            None => (&[], &mut []),
        };
        let lanes = T::lanes::<S>();
        for (p, traces) in traces.chunks_exact_mut(samples * width).enumerate() {
            let rows = p * samples..(p + 1) * samples;
            let all = rows.start * width..rows.end * width;
            let mut unit = Unit {
                width,
                keep: keep[p],
                gains: &gains[rows.clone()],
                inputs,
                traces,
                kappa,
                filter_gains: if FILTER { &filter_gains[rows.clone()] } else { &[] },
                filtered: if FILTER { &mut filtered[all] } else { &mut [] },
                factors: if LEARN { &factors[rows] } else { &[] },
                sums: if LEARN { &mut sums[p * width..(p + 1) * width] } else { &mut [] },
            };
            let mut start = 0;
            while start + TILE * lanes <= width {
                unit.whole::<S, TILE, FILTER, LEARN>(simd, start);
                start += TILE * lanes;
            }
            while start + lanes <= width {
                unit.whole::<S, 1, FILTER, LEARN>(simd, start);
                start += lanes;
            }
            if start < width {
                unit.tail::<S, FILTER, LEARN>(simd, start);
            }
        }
    }
}

/// One unit with all samples; what is not wanted is empty.
struct Unit<'a, T> {
    width: usize,
    keep: T,
    gains: &'a [T],
    inputs: &'a [T],
    traces: &'a mut [T],
    kappa: T,
    filter_gains: &'a [T],
    filtered: &'a mut [T],
    factors: &'a [T],
    sums: &'a mut [T],
}

impl<T: Real> Unit<'_, T> {
    /// `N` vectors from `start` on.
    #[inline(always)]
    fn whole<S: Simd, const N: usize, const FILTER: bool, const LEARN: bool>(
        &mut self,
        simd: S,
        start: usize,
    ) {
        let length = N * T::lanes::<S>();
        let (keep, kappa) = (T::splat(simd, self.keep), T::splat(simd, self.kappa));
        let mut sums = [T::splat(simd, T::ZERO); N];
        if LEARN {
            sums.copy_from_slice(&T::as_simd::<S>(&self.sums[start..start + length]).0[..N]);
        }
        for (b, &gain) in self.gains.iter().enumerate() {
            let place = b * self.width + start..b * self.width + start + length;
            let z = &T::as_simd::<S>(&self.inputs[place.clone()]).0[..N];
            let traces = &mut T::as_mut_simd::<S>(&mut self.traces[place.clone()]).0[..N];
            let gain = T::splat(simd, gain);
            let mut e = [keep; N];
            for i in 0..N {
                e[i] = <T as Lanes>::mul(simd, keep, traces[i]);
                e[i] = T::mul_add(simd, gain, z[i], e[i]);
                traces[i] = e[i];
            }
            if FILTER {
                let filtered = &mut T::as_mut_simd::<S>(&mut self.filtered[place]).0[..N];
                let gain = T::splat(simd, self.filter_gains[b]);
                for i in 0..N {
                    let kept = <T as Lanes>::mul(simd, kappa, filtered[i]);
                    e[i] = T::mul_add(simd, gain, e[i], kept);
                    filtered[i] = e[i];
                }
            }
            if LEARN {
                let factor = T::splat(simd, self.factors[b]);
                for i in 0..N {
                    sums[i] = T::mul_add(simd, factor, e[i], sums[i]);
                }
            }
        }
        if LEARN {
            let out = T::as_mut_simd::<S>(&mut self.sums[start..start + length]).0;
            out[..N].copy_from_slice(&sums);
        }
    }

    /// The rest from `start` on, less than a vector.
    #[inline(always)]
    fn tail<S: Simd, const FILTER: bool, const LEARN: bool>(&mut self, simd: S, start: usize) {
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
        if LEARN {
            sum = load(&self.sums[start..self.width]);
        }
        for (b, &gain) in self.gains.iter().enumerate() {
            let place = b * self.width + start..(b + 1) * self.width;
            let kept = <T as Lanes>::mul(simd, keep, load(&self.traces[place.clone()]));
            let z = load(&self.inputs[place.clone()]);
            let mut e = T::mul_add(simd, T::splat(simd, gain), z, kept);
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
            store(&mut self.sums[start..self.width], sum);
        }
    }
}
