//! C ← C ± V H on a tile of rows, with C in `f64`.

use pulp::Simd;

use super::Panel;
use crate::Real;
use crate::compiled::inlined;
use crate::prefetch::prefetch_far;

/// Elements of the tile of C, on the stack.
pub(super) const SCRATCH: usize = 16 * 1024;
/// The same for small products.
pub(super) const LITTLE: usize = 512;
/// Columns of W that share one pass over V.
pub(super) const CHUNK: usize = 32;

/// Rows of a tile with this many columns of C, a multiple of every vector length: long pieces, which
/// the prefetchers like, within [`SCRATCH`].
pub(super) fn tile_rows(columns: usize) -> usize {
    (SCRATCH / columns.max(1) / 32 * 32).clamp(32, 2048)
}

/// C ← x, as `f64`.
#[inline(always)]
pub(super) fn load<T: Real, S: Simd>(simd: S, x: &[T], c: &mut [f64]) {
    let (body, tail) = T::as_simd::<S>(x);
    let wide = T::wide::<S>();
    let (c, _) = S::as_mut_simd_f64s(c);
    let mut rows = c.chunks_exact_mut(wide);
    for (c, &x) in rows.by_ref().zip(body) {
        c.copy_from_slice(&T::widen(simd, x)[..wide]);
    }
    if !tail.is_empty() {
        let x = T::partial_load(simd, tail);
        let c = &mut c[body.len() * wide..][..wide];
        c.copy_from_slice(&T::widen(simd, x)[..wide]);
    }
}

/// x ← C, rounded to nearest.
#[inline(always)]
pub(super) fn store<T: Real, S: Simd>(simd: S, c: &[f64], x: &mut [T]) {
    let (body, tail) = T::as_mut_simd::<S>(x);
    let wide = T::wide::<S>();
    let (c, _) = S::as_simd_f64s(c);
    let (head, rest) = c.split_at(body.len() * wide);
    for (c, x) in head.chunks_exact(wide).zip(body) {
        *x = T::narrow(simd, [c[0], c[wide - 1]]);
    }
    if !tail.is_empty() {
        T::partial_store(simd, tail, T::narrow(simd, [rest[0], rest[wide - 1]]));
    }
}

/// C ← C + sign V H for a tile, sign = ±1: column j of C starts at `c[j * stride]`, where `stride` is
/// a multiple of every vector length and at least the number of rows; H is column-major. `after` holds
/// the columns of the tile that comes next, if any: its first ones are fetched at the end.
#[inline(always)]
pub(super) fn add_product<T: Real, S: Simd>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    sign: f64,
    v: Panel<'_, T>,
    after: Option<Panel<'_, T>>,
    h: &[f64],
) {
    let k = v.columns;
    let mut i = 0;
    while i < k {
        i += match k - i {
            8.. => depth::<T, S, 8>(simd, c, stride, sign, v, after, h, i),
            4.. => depth::<T, S, 4>(simd, c, stride, sign, v, after, h, i),
            2.. => depth::<T, S, 2>(simd, c, stride, sign, v, after, h, i),
            _ => depth::<T, S, 1>(simd, c, stride, sign, v, after, h, i),
        };
    }
}

/// Columns i..i + D of V. Returns D.
#[inline(always)]
fn depth<T: Real, S: Simd, const D: usize>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    sign: f64,
    v: Panel<'_, T>,
    after: Option<Panel<'_, T>>,
    h: &[f64],
    i: usize,
) -> usize {
    let k = v.columns;
    let m = h.len() / k;
    // The columns that come next, fetched while the first columns of C are at work.
    let next: [&[T]; D] = core::array::from_fn(|d| {
        let c = i + D + d;
        match after {
            _ if c < k => v.column(c),
            Some(after) if c - k < k => after.column(c - k),
            _ => &[],
        }
    });
    let v: [&[T]; D] = core::array::from_fn(|d| v.column(i + d));
    let mut j = 0;
    while j < m {
        let c = &mut c[j * stride..];
        let next = if j == 0 { next } else { [&[][..]; D] };
        let h = |d: usize, w: usize| sign * h[i + d + (j + w) * k];
        j += match m - j {
            4.. => columns::<T, S, D, 4>(simd, c, stride, v, h, &next),
            2.. => columns::<T, S, D, 2>(simd, c, stride, v, h, &next),
            _ => columns::<T, S, D, 1>(simd, c, stride, v, h, &next),
        };
    }
    D
}

/// D columns of V into W columns of C. Returns W.
#[inline(always)]
fn columns<T: Real, S: Simd, const D: usize, const W: usize>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: [&[T]; D],
    h: impl Fn(usize, usize) -> f64,
    next: &[&[T]; D],
) -> usize {
    let h = core::array::from_fn(|w| core::array::from_fn(|d| h(d, w)));
    // As many rows in flight as there are registers for.
    match (S::REGISTER_COUNT >= 32, T::wide::<S>()) {
        (true, 1) => rows::<T, S, D, W, 4>(simd, c, stride, v, &h, next),
        (true, _) | (false, 1) => rows::<T, S, D, W, 2>(simd, c, stride, v, &h, next),
        (false, _) => rows::<T, S, D, W, 1>(simd, c, stride, v, &h, next),
    }
    W
}

#[inline(always)]
fn rows<T: Real, S: Simd, const D: usize, const W: usize, const U: usize>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: [&[T]; D],
    h: &[[f64; D]; W],
    next: &[&[T]; D],
) {
    let lanes = T::lanes::<S>();
    let wide = T::wide::<S>();
    let rows = v[0].len();
    let vectors = rows.div_ceil(lanes);
    assert!(v.iter().all(|column| column.len() == rows));
    let mut pieces = c.chunks_exact_mut(stride);
    let mut c: [&mut [S::f64s]; W] =
        core::array::from_fn(|_| S::as_mut_simd_f64s(pieces.next().unwrap_or_default()).0);
    assert!(c.iter().all(|column| column.len() >= vectors * wide));

    let body = v.map(|column| T::as_simd::<S>(column).0);
    let full = rows / lanes;
    let mut r = 0;
    while r + U <= full {
        let load = inlined(
            #[inline(always)]
            // SAFETY: r + u < full, the number of whole vectors in every column.
            |i: usize, u: usize| unsafe { *body[i].get_unchecked(r + u) },
        );
        // SAFETY: r + U <= vectors, and C has been checked to hold that many.
        unsafe { tile::<T, S, D, W, U>(simd, &mut c, r, load, h) };
        for next in next {
            for u in 0..U {
                prefetch_far(next.as_ptr().wrapping_add((r + u) * lanes));
            }
        }
        r += U;
    }
    for r in r..vectors {
        // The lanes behind the end of C are scratch.
        let load = inlined(
            #[inline(always)]
            |i: usize, _| {
                if r < full { body[i][r] } else { T::partial_load(simd, &v[i][full * lanes..]) }
            },
        );
        // SAFETY: r < vectors, and C has been checked to hold that many.
        unsafe { tile::<T, S, D, W, 1>(simd, &mut c, r, load, h) };
    }
}

/// U vectors of rows, from the r-th on, of W columns of C; `load(i, u)` is vector r + u of column i
/// of V.
///
/// # Safety
/// Every column of C holds `(r + U) * T::wide()` vectors.
#[inline(always)]
unsafe fn tile<T: Real, S: Simd, const D: usize, const W: usize, const U: usize>(
    simd: S,
    c: &mut [&mut [S::f64s]; W],
    r: usize,
    load: impl Fn(usize, usize) -> T::Vector<S>,
    h: &[[f64; D]; W],
) {
    let wide = T::wide::<S>();
    let zero = simd.splat_f64s(0.0);
    let mut acc = [[[zero; 2]; W]; U];
    for u in 0..U {
        for w in 0..W {
            // SAFETY: by the contract, r + u is inside, and the second half too where there is one.
            unsafe {
                acc[u][w][0] = *c[w].get_unchecked((r + u) * wide);
                if wide == 2 {
                    acc[u][w][1] = *c[w].get_unchecked((r + u) * wide + 1);
                }
            }
        }
    }
    for i in 0..D {
        let mut x = [[zero; 2]; U];
        for u in 0..U {
            x[u] = T::widen(simd, load(i, u));
        }
        for w in 0..W {
            let a = simd.splat_f64s(h[w][i]);
            for u in 0..U {
                acc[u][w][0] = simd.mul_add_e_f64s(x[u][0], a, acc[u][w][0]);
                if wide == 2 {
                    acc[u][w][1] = simd.mul_add_e_f64s(x[u][1], a, acc[u][w][1]);
                }
            }
        }
    }
    for u in 0..U {
        for w in 0..W {
            // SAFETY: as above.
            unsafe {
                *c[w].get_unchecked_mut((r + u) * wide) = acc[u][w][0];
                if wide == 2 {
                    *c[w].get_unchecked_mut((r + u) * wide + 1) = acc[u][w][1];
                }
            }
        }
    }
}
