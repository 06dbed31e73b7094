//! The element-wise parts of tangent, adjoint and adjoint-tangent passes through a layer with an
//! activation: everything that happens to a tile between two GEMMs, in one pass over it.

use pulp::{Simd, WithSimd};

use crate::compiled::{dispatch, inlined};
use crate::lanes::Lanes;
use crate::row::first_vector;
use crate::{Isa, Real};

/// Rows of `h` elements and the tangents that belong to each.
fn shape(repeat: usize, primal: usize, tangents: usize) {
    assert!(repeat > 0, "tangents: expected at least one a sample");
    assert_eq!(primal.checked_mul(repeat), Some(tangents), "tangents: lengths do not agree");
}

macro_rules! vectors {
    ($T:ident, $S:ident; $($x:ident $tail:ident),*; $($out:ident $out_tail:ident),*) => {
        $(let ($x, $tail) = $T::as_simd::<$S>($x);)*
        $(let ($out, $out_tail) = $T::as_mut_simd::<$S>($out);)*
    };
}

/// `u[b][k] ← u[b][k] ∘ d1[b]` for k = 0..repeat.
///
/// `d1`: any number of rows `[b][h]`; `u`: `[b][repeat][h]`, with h = `columns`. One multiplication
/// an element of u; bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn scale_rows<T: Real>(isa: Isa, columns: usize, repeat: usize, d1: &[T], u: &mut [T]) {
    adjoint_tangent_epilogue(isa, columns, repeat, Some(d1), None, u);
}

/// `u[b][k] ← u[b][k] ∘ d1[b] + addend[b][k]` for k = 0..repeat: the adjoint pass of tangents, with
/// `addend` = c ∘ Rz from [`tangent_epilogue`]. A factor or addend that is `None` is 1 or 0.
///
/// `d1`: `[b][h]`; `addend`, `u`: `[b][repeat][h]`, with h = `columns`. 2 flops an element of u;
/// bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn adjoint_tangent_epilogue<T: Real>(
    isa: Isa,
    columns: usize,
    repeat: usize,
    d1: Option<&[T]>,
    addend: Option<&[T]>,
    u: &mut [T],
) {
    rows(columns, u.len(), repeat);
    if let Some(d1) = d1 {
        shape(repeat, d1.len(), u.len());
    }
    if let Some(addend) = addend {
        assert_eq!(addend.len(), u.len());
    }
    if columns > 0 {
        dispatch!(isa, AdjointTangent<'a, T> = AdjointTangent { columns, repeat, d1, addend, u });
    }
}

fn rows(columns: usize, length: usize, repeat: usize) {
    assert!(repeat > 0, "tangents: expected at least one a sample");
    let row = columns.checked_mul(repeat);
    assert!(
        row.is_some_and(|row| if row == 0 { length == 0 } else { length.is_multiple_of(row) }),
        "tangents: {length} elements in {repeat} rows of {columns} a sample"
    );
}

struct AdjointTangent<'a, T> {
    columns: usize,
    repeat: usize,
    d1: Option<&'a [T]>,
    addend: Option<&'a [T]>,
    u: &'a mut [T],
}

impl<T: Real> WithSimd for AdjointTangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns: h, repeat, d1, addend, u } = self;
        match (d1, addend) {
            (None, None) => {}
            (Some(d1), None) => {
                for (u, d1) in u.chunks_exact_mut(repeat * h).zip(d1.chunks_exact(h)) {
                    for u in u.chunks_exact_mut(h) {
                        vectors!(T, S; d1 d1_tail; u u_tail);
                        for (u, d1) in u.iter_mut().zip(d1) {
                            *u = <T as Lanes>::mul(simd, *u, *d1);
                        }
                        if !u_tail.is_empty() {
                            let v = T::partial_load(simd, u_tail);
                            let v = <T as Lanes>::mul(simd, v, T::partial_load(simd, d1_tail));
                            T::partial_store(simd, u_tail, v);
                        }
                    }
                }
            }
            (None, Some(a)) => {
                vectors!(T, S; a a_tail; u u_tail);
                for (u, a) in u.iter_mut().zip(a) {
                    *u = <T as Lanes>::add(simd, *u, *a);
                }
                if !u_tail.is_empty() {
                    let v = T::partial_load(simd, u_tail);
                    let v = <T as Lanes>::add(simd, v, T::partial_load(simd, a_tail));
                    T::partial_store(simd, u_tail, v);
                }
            }
            (Some(d1), Some(a)) => {
                let samples = u.chunks_exact_mut(repeat * h).zip(a.chunks_exact(repeat * h));
                for ((u, a), d1) in samples.zip(d1.chunks_exact(h)) {
                    for (u, a) in u.chunks_exact_mut(h).zip(a.chunks_exact(h)) {
                        vectors!(T, S; d1 d1_tail, a a_tail; u u_tail);
                        for ((u, d1), a) in u.iter_mut().zip(d1).zip(a) {
                            *u = T::mul_add(simd, *u, *d1, *a);
                        }
                        if !u_tail.is_empty() {
                            let v = T::partial_load(simd, u_tail);
                            let d1 = T::partial_load(simd, d1_tail);
                            let v = T::mul_add(simd, v, d1, T::partial_load(simd, a_tail));
                            T::partial_store(simd, u_tail, v);
                        }
                    }
                }
            }
        }
    }
}

/// The tangent of bias and activation: with `y = rz[b][k] + bias_tangent[k]`,
/// `ra[b][k] ← d1[b] ∘ y` and `rz[b][k] ← curvature[b] ∘ y`, for k = 0..repeat.
///
/// `d1` (φ', `None`: 1) and `curvature` (g ∘ φ'', `None`: not needed): `[b][h]`; `bias_tangent`
/// (`None`: 0): `[repeat][h]`; `rz`, `ra`: `[b][repeat][h]`, with h = `columns`. Without a
/// curvature `rz` is left as it was. 3 flops an element of rz; bandwidth-bound.
///
/// # Panics
/// If the lengths do not agree.
pub fn tangent_epilogue<T: Real>(
    isa: Isa,
    columns: usize,
    repeat: usize,
    bias_tangent: Option<&[T]>,
    d1: Option<&[T]>,
    curvature: Option<&[T]>,
    rz: &mut [T],
    ra: &mut [T],
) {
    rows(columns, rz.len(), repeat);
    assert_eq!(rz.len(), ra.len());
    if let Some(bias) = bias_tangent {
        assert_eq!(bias.len(), columns * repeat);
    }
    for primal in [d1, curvature].into_iter().flatten() {
        shape(repeat, primal.len(), rz.len());
    }
    if columns > 0 {
        dispatch!(isa, Tangent<'a, T> = Tangent {
            columns, repeat, bias_tangent, d1, curvature, rz, ra,
        });
    }
}

struct Tangent<'a, T> {
    columns: usize,
    repeat: usize,
    bias_tangent: Option<&'a [T]>,
    d1: Option<&'a [T]>,
    curvature: Option<&'a [T]>,
    rz: &'a mut [T],
    ra: &'a mut [T],
}

impl<T: Real> WithSimd for Tangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { columns: h, repeat, bias_tangent, d1, curvature, rz, ra } = self;
        let samples = rz.chunks_exact_mut(repeat * h).zip(ra.chunks_exact_mut(repeat * h));
        for (b, (rz, ra)) in samples.enumerate() {
            let d1 = d1.map(|d1| &d1[b * h..][..h]);
            let curvature = curvature.map(|c| &c[b * h..][..h]);
            let tangents = rz.chunks_exact_mut(h).zip(ra.chunks_exact_mut(h));
            for (k, (rz, ra)) in tangents.enumerate() {
                let bias = bias_tangent.map(|bias| &bias[k * h..][..h]);
                tangent_row(simd, bias, d1, curvature, rz, ra);
            }
        }
    }
}

#[inline(always)]
fn tangent_row<T: Real, S: Simd>(
    simd: S,
    bias: Option<&[T]>,
    d1: Option<&[T]>,
    curvature: Option<&[T]>,
    rz: &mut [T],
    ra: &mut [T],
) {
    // An absent factor reads the tangent itself and is then ignored: one loop for all cases.
    let whole = rz.len() / T::lanes::<S>();
    let (rz, rz_tail) = T::as_mut_simd::<S>(rz);
    let (ra, ra_tail) = T::as_mut_simd::<S>(ra);
    let (bias, bias_tail) = option(simd, bias);
    let (d1, d1_tail) = option(simd, d1);
    let (curvature, curvature_tail) = option(simd, curvature);
    let (rz, ra) = (&mut rz[..whole], &mut ra[..whole]);
    for i in 0..whole {
        let y = bias.map_or(rz[i], |bias| <T as Lanes>::add(simd, rz[i], bias[i]));
        ra[i] = d1.map_or(y, |d1| <T as Lanes>::mul(simd, d1[i], y));
        if let Some(c) = curvature {
            rz[i] = <T as Lanes>::mul(simd, c[i], y);
        }
    }
    if !rz_tail.is_empty() {
        let load = |x: &[T]| T::partial_load(simd, x);
        let y = load(rz_tail);
        let y = bias_tail.map_or(y, |bias| <T as Lanes>::add(simd, y, load(bias)));
        let a = d1_tail.map_or(y, |d1| <T as Lanes>::mul(simd, load(d1), y));
        T::partial_store(simd, ra_tail, a);
        if let Some(c) = curvature_tail {
            T::partial_store(simd, rz_tail, <T as Lanes>::mul(simd, load(c), y));
        }
    }
}

/// A slice that may be absent, as whole vectors and a rest.
#[inline(always)]
#[allow(clippy::type_complexity)]
fn option<T: Real, S: Simd>(_: S, x: Option<&[T]>) -> (Option<&[T::Vector<S>]>, Option<&[T]>) {
    match x.map(|x| T::as_simd::<S>(x)) {
        Some((x, tail)) => (Some(x), Some(tail)),
        None => (None, None),
    }
}

/// The adjoint of an activation: d2 ← u ∘ d2, then u ← u ∘ d1.
///
/// In: u = g, the error pulled back to the activation's output, d1 = φ' and d2 = φ''. Out: u = the
/// error at its input, d2 = the curvature g ∘ φ'' for [`tangent_epilogue`]. All of one length.
/// 2 flops an element; bandwidth-bound.
///
/// # Panics
/// If the lengths differ.
pub fn adjoint_epilogue<T: Real>(isa: Isa, d1: &[T], d2: Option<&mut [T]>, u: &mut [T]) {
    struct Adjoint<'a, T> {
        d1: &'a [T],
        d2: &'a mut [T],
        u: &'a mut [T],
    }
    impl<T: Real> WithSimd for Adjoint<'_, T> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self { d1, d2, u } = self;
            vectors!(T, S; d1 d1_tail; d2 d2_tail, u u_tail);
            for ((u, d1), d2) in u.iter_mut().zip(d1).zip(d2) {
                *d2 = <T as Lanes>::mul(simd, *u, *d2);
                *u = <T as Lanes>::mul(simd, *u, *d1);
            }
            if !u_tail.is_empty() {
                let v = T::partial_load(simd, u_tail);
                let c = <T as Lanes>::mul(simd, v, T::partial_load(simd, d2_tail));
                T::partial_store(simd, d2_tail, c);
                let v = <T as Lanes>::mul(simd, v, T::partial_load(simd, d1_tail));
                T::partial_store(simd, u_tail, v);
            }
        }
    }
    assert_eq!(d1.len(), u.len());
    match d2 {
        None => adjoint_tangent_epilogue(isa, u.len(), 1, Some(d1), None, u),
        Some(d2) => {
            assert_eq!(d2.len(), u.len());
            dispatch!(isa, Adjoint<'a, T> = Adjoint { d1, d2, u });
        }
    }
}

/// `out[h] += Σ_b u[b][h]`: the gradient of a bias.
///
/// `u`: any number of rows of `out.len()` elements. For tangents `[b][k][h]` pass an `out` of
/// `[k][h]`, one gradient a tangent. Sums of up to 64 rows in `f64`, then a sum of these in `f64`,
/// rounded to `T` once: error of the new sum at most (64 + rows/64) 2⁻⁵³ Σ|u|, besides the
/// rounding; the same bits on every instruction set. Bandwidth-bound.
///
/// # Panics
/// If the length of `u` is no multiple of that of `out`.
pub fn column_sums<T: Real>(isa: Isa, u: &[T], out: &mut [T]) {
    let columns = out.len();
    rows(columns, u.len(), 1);
    dispatch!(isa, ColumnSums<'a, T> = ColumnSums { u, out });
}

struct ColumnSums<'a, T> {
    u: &'a [T],
    out: &'a mut [T],
}

/// Vectors of `T` side by side: enough additions in flight, and few enough registers.
const STRIP: usize = 4;

impl<T: Real> WithSimd for ColumnSums<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { u, out } = self;
        let columns = out.len();
        let lanes = T::lanes::<S>();
        let mut start = 0;
        while start + STRIP * lanes <= columns {
            strip::<T, S, STRIP>(simd, u, columns, start, &mut out[start..start + STRIP * lanes]);
            start += STRIP * lanes;
        }
        while start < columns {
            let end = columns.min(start + lanes);
            strip::<T, S, 1>(simd, u, columns, start, &mut out[start..end]);
            start = end;
        }
    }
}

#[inline(always)]
fn strip<T: Real, S: Simd, const N: usize>(
    simd: S,
    u: &[T],
    columns: usize,
    start: usize,
    out: &mut [T],
) {
    let lanes = T::lanes::<S>();
    let piece = inlined(
        #[inline(always)]
        |row: &[T], i: usize| {
            let row = &row[i * lanes..];
            T::widen(simd, first_vector(simd, &row[..row.len().min(lanes)]))
        },
    );
    let zero = [[simd.splat_f64s(0.0); 2]; N];
    let mut total = zero;
    for block in u.chunks(64 * columns) {
        let mut sum = zero;
        for row in block.chunks_exact(columns) {
            let row = &row[start..start + out.len()];
            for (i, sum) in sum.iter_mut().enumerate() {
                let x = piece(row, i);
                *sum = [simd.add_f64s(sum[0], x[0]), simd.add_f64s(sum[1], x[1])];
            }
        }
        for (total, sum) in total.iter_mut().zip(sum) {
            *total = [simd.add_f64s(total[0], sum[0]), simd.add_f64s(total[1], sum[1])];
        }
    }
    for (i, total) in total.iter().enumerate() {
        let x = piece(out, i);
        let sum = [simd.add_f64s(total[0], x[0]), simd.add_f64s(total[1], x[1])];
        let length = out.len();
        let out = &mut out[i * lanes..length.min((i + 1) * lanes)];
        T::partial_store(simd, out, T::narrow(simd, sum));
    }
}
