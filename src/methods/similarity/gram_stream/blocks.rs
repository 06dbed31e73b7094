//! The sums of blocks of units, each read once.

use std::ops::Range;

use faer::{Mat, MatRef};
use hesse_kernels::gram::{self, Centred, Differences, WIDTH, padded};

use super::super::lower_gram::{BLOCK, BLOCKS, LowerGram};
use super::super::responses::{rows_in_place, unit_rows};
use super::{GramStream, offsets};
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Units of one task.
pub(super) const TASK: usize = BLOCK * BLOCKS;

/// Room for one block.
struct Scratch {
    w: Vec<f64>,
    /// Numbers of every unit: means, levels, second and fourth powers.
    units: [Vec<f64>; 4],
    first: [Vec<f64>; 2],
}

/// The sums of the units of a range, at most [`TASK`] of them; `None` where one is not finite.
///
/// W Wᵀ of the blocks add up as they are. What lies between the blocks, f δ δᵀ of every merge, comes at the
/// end as a block of its own, with a column √f δ for each.
pub(super) fn task<T: Real>(
    x: MatRef<'_, T>,
    range: Range<usize>,
    unit: f64,
    pilot: &[f64],
) -> Option<GramStream> {
    let n = x.nrows();
    let width = range.len().min(BLOCK).next_multiple_of(WIDTH);
    let arrays = || vec![0.0; width];
    let mut scratch = Scratch {
        w: vec![0.0; padded(n) * width],
        units: [arrays(), arrays(), arrays(), arrays()],
        first: [arrays(), arrays()],
    };
    let mut inner = LowerGram::zeros(n);
    let mut between = vec![0.0; padded(n) * WIDTH];
    let mut copy = Vec::new();
    let mut total: Option<GramStream> = None;
    let blocks = parallel::shards(range.len(), BLOCK);
    let units = |b: usize| range.start + blocks[b].start..range.start + blocks[b].end;
    for b in 0..blocks.len() {
        let rows = unit_rows(x, units(b), &mut copy);
        let part = block(&rows, unit, pilot, &mut scratch)?;
        let width = rows[0].len().next_multiple_of(WIDTH);
        let next = if b + 1 < blocks.len() { rows_in_place(x, units(b + 1)) } else { None };
        let next = next.unwrap_or_default();
        inner.add(&scratch.w[..padded(n) * width], width, &next);
        match &mut total {
            None => total = Some(part),
            Some(total) => {
                let (f, level, tilt) = total.add_means(&part);
                total.combine_profiles(&part, level, &tilt, f, 1.0);
                for (i, tilt) in tilt.iter().enumerate() {
                    between[gram::place(WIDTH, i, b - 1)] = f.sqrt() * tilt;
                }
            }
        }
    }
    if blocks.len() > 1 {
        inner.add::<T>(&between, WIDTH, &[]);
    }
    let mut total = total?;
    total.inner = inner.into_mat();
    Some(total)
}

/// The sums of one block but for W Wᵀ, and W itself.
fn block<T: Real>(
    x: &[&[T]],
    unit: f64,
    pilot: &[f64],
    scratch: &mut Scratch,
) -> Option<GramStream> {
    let (n, units) = (x.len(), x[0].len());
    let width = units.next_multiple_of(WIDTH);
    let Scratch { w, units: arrays, first } = scratch;
    let [means, level, second, fourth] = arrays.each_mut().map(|array| &mut array[..width]);
    let [high, low] = first.each_mut().map(|array| &mut array[..width]);
    let w = &mut w[..padded(n) * width];
    w[n / 4 * 4 * width..].fill(0.0);
    let mut tilt = vec![0.0; n];
    // f = (x − c) less that of the first stimulus, with the rounding of x − c: small and exact to its own
    // size, whether offsets are those of stimuli or those of units.
    gram::differences(
        Isa::current(),
        x,
        1.0 / unit,
        pilot,
        Differences {
            rows: w,
            width,
            unit_sums: means,
            row_sums: &mut tilt,
            first: [&mut *high, &mut *low],
        },
    );
    if !tilt.iter().all(|sum| sum.is_finite()) {
        return None;
    }
    tilt.iter_mut().for_each(|sum| *sum /= units as f64);
    means.iter_mut().for_each(|sum| *sum /= n as f64);
    let grand = tilt.iter().sum::<f64>() / n as f64;
    level.fill(0.0);
    for u in 0..units {
        level[u] = high[u] + means[u];
    }
    let mean = level.iter().sum::<f64>() / units as f64;
    level[..units].iter_mut().for_each(|m| *m -= mean);
    means.iter_mut().for_each(|m| *m -= grand);
    let of_rows = tilt.clone();
    tilt.iter_mut().for_each(|t| *t -= grand);
    let mut profile = vec![0.0; n];
    let offsets = offsets(pilot, &tilt);
    let powers = [&mut *second, &mut *fourth];
    let out = Centred { rows: w, width, profile: &mut profile, powers };
    gram::centre(Isa::current(), units, &of_rows, means, level, &offsets, out);
    let own = if n < 4 { 0.0 } else { own_terms(n, &second[..units], &fourth[..units]) };
    Some(GramStream {
        unit,
        units,
        pilot: pilot.to_vec(),
        mean,
        tilt,
        inner: Mat::new(),
        profile,
        level: level.iter().map(|m| m * m).sum(),
        own,
    })
}

/// Σ_u s₂² − s₄ + s₂²/((n − 1)(n − 2)) − 2 s₄/(n − 2) with the power sums over stimuli of the centred
/// unit: n(n − 3) times its unbiased HSIC with itself.
fn own_terms(n: usize, second: &[f64], fourth: &[f64]) -> f64 {
    let n = n as f64;
    let term = |(s2, s4): (&f64, &f64)| {
        s2 * s2 * (1.0 + 1.0 / ((n - 1.0) * (n - 2.0))) - s4 * (1.0 + 2.0 / (n - 2.0))
    };
    second.iter().zip(fourth).map(term).sum()
}
