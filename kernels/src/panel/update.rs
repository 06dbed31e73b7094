//! C ← C ± V H on a tile of rows, with C in `f64`.

use pulp::Simd;

use super::Panel;
use crate::Real;

/// Elements of the tile of C, on the stack.
pub(super) const SCRATCH: usize = 16 * 1024;
/// Columns of W that share one pass over V.
pub(super) const CHUNK: usize = 32;
/// Columns of V that are added to C at once.
const DEPTH: usize = 8;

/// Rows of a tile with this many columns of C: a multiple of every vector length.
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

/// C ← C + V H, or C − V H, for a tile: column j of C starts at `c[j * stride]`, where `stride` is a
/// multiple of every vector length and at least the number of rows; H is column-major.
#[inline(always)]
pub(super) fn add_product<T: Real, S: Simd, const MINUS: bool>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: Panel<'_, T>,
    h: &[f64],
) {
    let k = v.columns;
    let m = h.len() / k.max(1);
    for i in (0..k).step_by(DEPTH) {
        let depth = DEPTH.min(k - i);
        let block: [&[T]; DEPTH] = core::array::from_fn(|d| v.column(i + d.min(depth - 1)));
        let block = &block[..depth];
        let mut j = 0;
        while j < m {
            let c = &mut c[j * stride..];
            let h = &h[i + j * k..];
            j += match m - j {
                4.. => columns::<T, S, MINUS, 4>(simd, c, stride, block, h, k),
                2.. => columns::<T, S, MINUS, 2>(simd, c, stride, block, h, k),
                _ => columns::<T, S, MINUS, 1>(simd, c, stride, block, h, k),
            };
        }
    }
}

/// W columns of C with a block of V. Returns W.
#[inline(always)]
fn columns<T: Real, S: Simd, const MINUS: bool, const W: usize>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: &[&[T]],
    h: &[f64],
    k: usize,
) -> usize {
    // As many rows in flight as there are registers for.
    match (S::REGISTER_COUNT >= 32, T::wide::<S>()) {
        (true, 1) => rows::<T, S, MINUS, W, 4>(simd, c, stride, v, h, k),
        (true, _) | (false, 1) => rows::<T, S, MINUS, W, 2>(simd, c, stride, v, h, k),
        (false, _) => rows::<T, S, MINUS, W, 1>(simd, c, stride, v, h, k),
    }
    W
}

#[inline(always)]
fn rows<T: Real, S: Simd, const MINUS: bool, const W: usize, const U: usize>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: &[&[T]],
    h: &[f64],
    k: usize,
) {
    let lanes = T::lanes::<S>();
    let rows = v[0].len();
    assert!(stride % lanes == 0 && rows <= stride && v.len() <= DEPTH);
    assert!(v.iter().all(|column| column.len() == rows));
    assert!(h.len() >= (W - 1) * k + v.len());
    let mut pieces = c.chunks_exact_mut(stride);
    let mut c: [&mut [S::f64s]; W] =
        core::array::from_fn(|_| S::as_mut_simd_f64s(pieces.next().unwrap_or_default()).0);
    assert!(c.iter().all(|column| column.len() * S::F64_LANES == stride));

    let mut body: [&[T::Vector<S>]; DEPTH] = [&[]; DEPTH];
    for (body, column) in body.iter_mut().zip(v) {
        *body = T::as_simd::<S>(column).0;
    }
    let body = &body[..v.len()];
    let full = rows / lanes;
    let mut r = 0;
    while r + U <= full {
        // SAFETY: r + u < full, the number of whole vectors in every column.
        let load = |i: usize, u: usize| unsafe { *body.get_unchecked(i).get_unchecked(r + u) };
        tile::<T, S, MINUS, W, U>(simd, &mut c, r, v.len(), load, h, k);
        r += U;
    }
    for r in r..full {
        let load = |i: usize, _| body[i][r];
        tile::<T, S, MINUS, W, 1>(simd, &mut c, r, v.len(), load, h, k);
    }
    if rows > full * lanes {
        // The lanes behind the end of C are scratch.
        let load = |i: usize, _| T::partial_load(simd, &v[i][full * lanes..]);
        tile::<T, S, MINUS, W, 1>(simd, &mut c, full, v.len(), load, h, k);
    }
}

/// U vectors of rows, from the r-th on, of W columns of C; `load(i, u)` is vector r + u of column i
/// of V.
#[inline(always)]
fn tile<T: Real, S: Simd, const MINUS: bool, const W: usize, const U: usize>(
    simd: S,
    c: &mut [&mut [S::f64s]; W],
    r: usize,
    depth: usize,
    load: impl Fn(usize, usize) -> T::Vector<S>,
    h: &[f64],
    k: usize,
) {
    let wide = T::wide::<S>();
    let zero = simd.splat_f64s(0.0);
    let mut acc = [[[zero; 2]; W]; U];
    for u in 0..U {
        for j in 0..W {
            acc[u][j][0] = c[j][(r + u) * wide];
            if wide == 2 {
                acc[u][j][1] = c[j][(r + u) * wide + 1];
            }
        }
    }
    for i in 0..depth {
        let mut x = [[zero; 2]; U];
        for u in 0..U {
            x[u] = T::widen(simd, load(i, u));
        }
        for j in 0..W {
            let a = simd.splat_f64s(h[i + j * k]);
            for u in 0..U {
                for half in 0..wide {
                    acc[u][j][half] = if MINUS {
                        simd.negate_mul_add_e_f64s(x[u][half], a, acc[u][j][half])
                    } else {
                        simd.mul_add_e_f64s(x[u][half], a, acc[u][j][half])
                    };
                }
            }
        }
    }
    for u in 0..U {
        for j in 0..W {
            c[j][(r + u) * wide] = acc[u][j][0];
            if wide == 2 {
                c[j][(r + u) * wide + 1] = acc[u][j][1];
            }
        }
    }
}
