//! H ← H + Vᵀ W on a tile of rows.

use pulp::Simd;

use super::Panel;
use crate::Real;
use crate::prefetch::prefetch_far;

/// Columns of W that share one pass over V.
pub(super) const CHUNK: usize = 64;

/// Rows of a tile for `columns` columns of W: the tile of W and a block of V stay in the L2 cache,
/// and a column is read in pieces long enough for the prefetchers.
pub(super) fn tile_rows<T>(columns: usize) -> usize {
    const BYTES: usize = 256 * 1024;
    (BYTES / size_of::<T>() / columns.clamp(8, CHUNK)).next_multiple_of(64)
}

/// Which part of H is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    All,
    /// At least the elements on and above the diagonal.
    Upper,
}

/// H ← H + Vᵀ W, in one pass over V for every [`CHUNK`] columns of W.
#[inline(always)]
pub(super) fn accumulate<T: Real, S: Simd>(
    simd: S,
    v: Panel<'_, T>,
    w: Panel<'_, T>,
    h: &mut [f64],
    part: Part,
) {
    let (k, m) = (v.columns, w.columns);
    let tile = tile_rows::<T>(m);
    for first in (0..m).step_by(CHUNK) {
        let last = m.min(first + CHUNK);
        // Above the diagonal, row i of H starts at column i.
        let k = if part == Part::Upper { k.min(last) } else { k };
        for start in (0..v.rows).step_by(tile) {
            let rows = start..v.rows.min(start + tile);
            let (v, w) = (v.row_range(rows.clone()), w.row_range(rows));
            let mut i = 0;
            while i < k {
                let from = if part == Part::Upper { first.max(i) } else { first };
                i += match k - i {
                    8.. if last - from == 1 => sweep::<T, S, 8>(simd, v, w, h, i, from, last),
                    4.. => sweep::<T, S, 4>(simd, v, w, h, i, from, last),
                    2.. => sweep::<T, S, 2>(simd, v, w, h, i, from, last),
                    _ => sweep::<T, S, 1>(simd, v, w, h, i, from, last),
                };
            }
        }
    }
}

/// Columns i..i + V of V against columns `from..last` of W. Returns V.
#[inline(always)]
fn sweep<T: Real, S: Simd, const V: usize>(
    simd: S,
    v: Panel<'_, T>,
    w: Panel<'_, T>,
    h: &mut [f64],
    i: usize,
    from: usize,
    last: usize,
) -> usize {
    let k = v.columns;
    // The columns that come next, fetched while the first columns of W are at work.
    let next: [&[T]; V] =
        core::array::from_fn(|c| if i + V + c < k { v.column(i + V + c) } else { &[] });
    let v: [&[T]; V] = core::array::from_fn(|c| v.column(i + c));
    let mut j = from;
    // At least eight chains of additions where there are registers for them.
    while j < last {
        let h = &mut h[i + j * k..];
        let next = if j == from { next } else { [&[][..]; V] };
        j += match (V, last - j) {
            (8, _) => block::<T, S, V, 1, 1>(simd, v, w, j, h, k, &next),
            (4, 4..) if S::REGISTER_COUNT >= 32 => {
                block::<T, S, V, 4, 1>(simd, v, w, j, h, k, &next)
            }
            (4, 3..) => block::<T, S, V, 3, 1>(simd, v, w, j, h, k, &next),
            (4, 2..) => block::<T, S, V, 2, 1>(simd, v, w, j, h, k, &next),
            (4, _) => block::<T, S, V, 1, 2>(simd, v, w, j, h, k, &next),
            (2, 4..) => block::<T, S, V, 4, 1>(simd, v, w, j, h, k, &next),
            (2, 2..) => block::<T, S, V, 2, 2>(simd, v, w, j, h, k, &next),
            (2, _) => block::<T, S, V, 1, 4>(simd, v, w, j, h, k, &next),
            (_, 4..) => block::<T, S, V, 4, 2>(simd, v, w, j, h, k, &next),
            (_, 2..) => block::<T, S, V, 2, 4>(simd, v, w, j, h, k, &next),
            _ => block::<T, S, V, 1, 8>(simd, v, w, j, h, k, &next),
        };
    }
    V
}

/// H[c, d] += v_c · w_{j+d} for V × W columns with P vectors of rows in flight. Returns W.
#[inline(always)]
fn block<T: Real, S: Simd, const V: usize, const W: usize, const P: usize>(
    simd: S,
    v: [&[T]; V],
    w: Panel<'_, T>,
    j: usize,
    h: &mut [f64],
    stride: usize,
    next: &[&[T]; V],
) -> usize {
    let w: [&[T]; W] = core::array::from_fn(|d| w.column(j + d));
    let v = v.map(T::as_simd::<S>);
    let w = w.map(T::as_simd::<S>);
    let length = v[0].0.len();
    assert!(v.iter().all(|x| x.0.len() == length) && w.iter().all(|x| x.0.len() == length));

    let mut acc = [[[simd.splat_f64s(0.0); W]; V]; P];
    let mut r = 0;
    while r + P <= length {
        for p in 0..P {
            // SAFETY: r + p < length, the length of every column.
            let at = |x: &[T::Vector<S>]| unsafe { *x.get_unchecked(r + p) };
            step::<T, S, V, W>(simd, v.map(|x| at(x.0)), w.map(|x| at(x.0)), &mut acc[p]);
        }
        for next in next {
            for p in 0..P {
                prefetch_far(next.as_ptr().wrapping_add((r + p) * T::lanes::<S>()));
            }
        }
        r += P;
    }
    for r in r..length {
        step::<T, S, V, W>(simd, v.map(|x| x.0[r]), w.map(|x| x.0[r]), &mut acc[0]);
    }
    if !v[0].1.is_empty() {
        let v = v.map(|x| T::partial_load(simd, x.1));
        let w = w.map(|x| T::partial_load(simd, x.1));
        step::<T, S, V, W>(simd, v, w, &mut acc[0]);
    }
    for c in 0..V {
        for d in 0..W {
            let mut sum = acc[0][c][d];
            for acc in &acc[1..] {
                sum = simd.add_f64s(sum, acc[c][d]);
            }
            h[c + d * stride] += simd.reduce_sum_f64s(sum);
        }
    }
    W
}

#[inline(always)]
fn step<T: Real, S: Simd, const V: usize, const W: usize>(
    simd: S,
    v: [T::Vector<S>; V],
    w: [T::Vector<S>; W],
    acc: &mut [[S::f64s; W]; V],
) {
    let mut wide = [[simd.splat_f64s(0.0); 2]; W];
    for d in 0..W {
        wide[d] = T::widen(simd, w[d]);
    }
    for c in 0..V {
        let x = T::widen(simd, v[c]);
        for d in 0..W {
            acc[c][d] = simd.mul_add_e_f64s(x[0], wide[d][0], acc[c][d]);
        }
        if T::wide::<S>() == 2 {
            for d in 0..W {
                acc[c][d] = simd.mul_add_e_f64s(x[1], wide[d][1], acc[c][d]);
            }
        }
    }
}
