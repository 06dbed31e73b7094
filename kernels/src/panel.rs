//! Products of tall and skinny matrices: what orthogonalisation and restarts of Krylov methods do.
//!
//! A panel has many rows and few columns, each column contiguous. Coefficients are small
//! column-major `f64` matrices. Products of `f32` panels are accumulated in `f64`. NaN and
//! infinities propagate as in the plain loops; an empty sum is 0.
//!
//! Rows are cut into tiles that stay in cache, and the columns of a tile are multiplied in blocks
//! that stay in registers, so each panel is read once from memory. One thread: callers cut rows into
//! fixed shards with [`Panel::row_range`].

mod inner;
#[cfg(test)]
mod tests;
mod update;

use core::ops::Range;

use pulp::{Simd, WithSimd};

use crate::compiled::dispatch;
use crate::{Isa, Real};
use inner::Part;

/// A rows × columns matrix whose columns are contiguous and `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Panel<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// A mutable [`Panel`].
#[derive(Debug)]
pub struct PanelMut<'a, T> {
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

fn check(length: usize, rows: usize, columns: usize, stride: usize) {
    assert!(columns < 2 || stride >= rows, "panel: stride {stride} below {rows} rows");
    let needed = match columns {
        0 => Some(0),
        1 => Some(rows),
        _ => (columns - 1).checked_mul(stride).and_then(|n| n.checked_add(rows)),
    };
    assert!(
        needed.is_some_and(|needed| length >= needed),
        "panel: {length} elements for {rows} rows and {columns} columns {stride} apart"
    );
}

/// The elements of `rows` of a panel of `total` rows, as a range of its slice.
fn rows_of(length: usize, total: usize, rows: &Range<usize>) -> Range<usize> {
    assert!(rows.start <= rows.end && rows.end <= total, "panel: rows {rows:?} of {total}");
    rows.start.min(length)..length
}

impl<'a, T: Real> Panel<'a, T> {
    /// A view of `data`; row r of column c is `data[r + c * stride]`.
    ///
    /// # Panics
    /// If the slice is too short or columns overlap.
    #[must_use]
    pub fn new(data: &'a [T], rows: usize, columns: usize, stride: usize) -> Self {
        check(data.len(), rows, columns, stride);
        Self { data, rows, columns, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Column `c`.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    #[inline]
    pub fn column(&self, c: usize) -> &'a [T] {
        assert!(c < self.columns);
        &self.data[c * self.stride..][..self.rows]
    }

    /// The rows in `rows`, of all columns.
    ///
    /// # Panics
    /// If there are no such rows.
    #[must_use]
    #[inline]
    pub fn row_range(&self, rows: Range<usize>) -> Panel<'a, T> {
        let data = &self.data[rows_of(self.data.len(), self.rows, &rows)];
        Panel { data, rows: rows.len(), columns: self.columns, stride: self.stride }
    }

    /// The columns in `columns`, of all rows.
    ///
    /// # Panics
    /// If there are no such columns.
    #[must_use]
    pub fn column_range(&self, columns: Range<usize>) -> Panel<'a, T> {
        assert!(columns.start <= columns.end && columns.end <= self.columns);
        let data = &self.data[self.data.len().min(columns.start * self.stride)..];
        Panel { data, rows: self.rows, columns: columns.len(), stride: self.stride }
    }
}

impl<'a, T: Real> PanelMut<'a, T> {
    /// A view of `data`; row r of column c is `data[r + c * stride]`.
    ///
    /// # Panics
    /// If the slice is too short or columns overlap.
    #[must_use]
    pub fn new(data: &'a mut [T], rows: usize, columns: usize, stride: usize) -> Self {
        check(data.len(), rows, columns, stride);
        Self { data, rows, columns, stride }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The same panel, not mutable.
    #[must_use]
    pub fn as_panel(&self) -> Panel<'_, T> {
        Panel { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// Column `c`.
    ///
    /// # Panics
    /// If there is no such column.
    #[must_use]
    #[inline]
    pub fn column_mut(&mut self, c: usize) -> &mut [T] {
        assert!(c < self.columns);
        &mut self.data[c * self.stride..][..self.rows]
    }

    /// The rows in `rows`, of all columns.
    ///
    /// # Panics
    /// If there are no such rows.
    #[must_use]
    #[inline]
    pub fn row_range_mut(&mut self, rows: Range<usize>) -> PanelMut<'_, T> {
        let range = rows_of(self.data.len(), self.rows, &rows);
        PanelMut {
            data: &mut self.data[range],
            rows: rows.len(),
            columns: self.columns,
            stride: self.stride,
        }
    }

    /// The first `c` columns and the others.
    ///
    /// # Panics
    /// If there are fewer columns.
    #[must_use]
    pub fn split_at_column(&mut self, c: usize) -> (PanelMut<'_, T>, PanelMut<'_, T>) {
        assert!(c <= self.columns);
        let (rows, stride) = (self.rows, self.stride);
        let middle = self.data.len().min(c * stride);
        let (left, right) = self.data.split_at_mut(middle);
        (
            PanelMut { data: left, rows, columns: c, stride },
            PanelMut { data: right, rows, columns: self.columns - c, stride },
        )
    }
}

/// H ← Vᵀ W, column-major with `v.columns()` rows, accumulated in `f64`.
///
/// V: n × k, W: n × m. 2nkm flops; V is read from memory once for every 64 columns of W and W once,
/// so it is bound by memory bandwidth for m up to about 4 and by arithmetic beyond.
///
/// Error: |Ĥ − H| ≤ γ |V|ᵀ|W| element by element, γ = n ε with ε = 2⁻⁵³ to first order, and in
/// practice about n ε / 32: vector lanes and tiles are summed apart.
///
/// # Panics
/// If the sizes do not agree.
pub fn transpose_product<T: Real>(isa: Isa, v: Panel<'_, T>, w: Panel<'_, T>, h: &mut [f64]) {
    assert_eq!(v.rows, w.rows, "rows of V and W");
    assert_eq!(h.len(), v.columns * w.columns, "elements of H");
    dispatch!(isa, TransposeProduct<'a, T> = TransposeProduct { v, w, h, part: Part::All });
}

/// G ← Vᵀ V, column-major and exactly symmetric: half the flops of [`transpose_product`], with the
/// same error bound.
///
/// # Panics
/// If the sizes do not agree.
pub fn gram<T: Real>(isa: Isa, v: Panel<'_, T>, g: &mut [f64]) {
    let k = v.columns;
    assert_eq!(g.len(), k * k, "elements of G");
    dispatch!(isa, TransposeProduct<'a, T> = TransposeProduct { v, w: v, h: g, part: Part::Upper });
    for j in 0..k {
        for i in j + 1..k {
            g[i + j * k] = g[j + i * k];
        }
    }
}

struct TransposeProduct<'a, T> {
    v: Panel<'a, T>,
    w: Panel<'a, T>,
    h: &'a mut [f64],
    part: Part,
}

impl<T: Real> WithSimd for TransposeProduct<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.h.fill(0.0);
        inner::accumulate(simd, self.v, self.w, self.h, self.part);
    }
}

/// W ← W − V H, H column-major with `v.columns()` rows and as many columns as W.
///
/// V: n × k, W: n × m. 2nkm flops; V is read once for every 32 columns of W, W is read and written
/// once: bound by memory bandwidth for m up to about 4.
///
/// Each element is accumulated in `f64` and rounded to `T` once:
/// |Ŵ − W| ≤ u |W| + γ (|W| + |V||H|), γ = (k + 1) 2⁻⁵³, u = 2⁻²⁴ for `f32` and 0 for `f64`.
///
/// # Panics
/// If the sizes do not agree.
pub fn subtract_product<T: Real>(isa: Isa, w: &mut PanelMut<'_, T>, v: Panel<'_, T>, h: &[f64]) {
    assert_eq!(v.rows, w.rows, "rows of V and W");
    assert_eq!(h.len(), v.columns * w.columns, "elements of H");
    let w = w.row_range_mut(0..v.rows);
    dispatch!(isa, SubtractProduct<'a, T> = SubtractProduct { w, v, h, next: None });
}

/// W ← W − V H, then G ← Vᵀ W with the new W, in one pass over V.
///
/// The second half of one Gram-Schmidt sweep with the first half of the next: classical
/// Gram-Schmidt twice reads V three times instead of four. Same error bounds as
/// [`subtract_product`] and [`transpose_product`]; W has the same bits as from
/// [`subtract_product`], G is summed in another order than by [`transpose_product`].
///
/// # Panics
/// If the sizes do not agree.
pub fn subtract_then_transpose_product<T: Real>(
    isa: Isa,
    w: &mut PanelMut<'_, T>,
    v: Panel<'_, T>,
    h: &[f64],
    g: &mut [f64],
) {
    assert_eq!(v.rows, w.rows, "rows of V and W");
    assert_eq!(h.len(), v.columns * w.columns, "elements of H");
    assert_eq!(g.len(), h.len(), "elements of G");
    let (w, next) = (w.row_range_mut(0..v.rows), Some(g));
    dispatch!(isa, SubtractProduct<'a, T> = SubtractProduct { w, v, h, next });
}

struct SubtractProduct<'a, T> {
    w: PanelMut<'a, T>,
    v: Panel<'a, T>,
    h: &'a [f64],
    next: Option<&'a mut [f64]>,
}

impl<T: Real> WithSimd for SubtractProduct<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut w, v: all, h, mut next } = self;
        let (k, m) = (all.columns, w.columns);
        if let Some(g) = &mut next {
            g.fill(0.0);
        }
        if k == 0 || m == 0 {
            return;
        }
        // Filled with zeros in every call: where a little is enough, a little is taken.
        let (mut little, mut much) = ([0.0; update::LITTLE], None);
        let mut tile = all.rows.max(1).next_multiple_of(32);
        let scratch: &mut [f64] = if tile.saturating_mul(m) <= update::LITTLE {
            &mut little
        } else {
            tile = update::tile_rows(m.min(update::CHUNK));
            much.insert([0.0; update::SCRATCH])
        };
        if m > update::CHUNK || next.is_some() {
            // The tile of V is read again: keep it in the L2 cache.
            const BYTES: usize = 512 * 1024;
            tile = tile.min((BYTES / size_of::<T>() / k / 32 * 32).max(128));
        }
        for start in (0..all.rows).step_by(tile) {
            let rows = start..all.rows.min(start + tile);
            let end = rows.end;
            let after = (end < all.rows).then(|| all.row_range(end..all.rows.min(end + tile)));
            let v = all.row_range(rows.clone());
            let mut w = w.row_range_mut(rows);
            for first in (0..m).step_by(update::CHUNK) {
                let last = m.min(first + update::CHUNK);
                for j in first..last {
                    update::load(simd, w.column_mut(j), &mut scratch[(j - first) * tile..][..tile]);
                }
                let h = &h[first * k..last * k];
                // The tile is read again for other columns of W, or for G.
                let after = after.filter(|_| last == m && next.is_none());
                update::add_product(simd, scratch, tile, -1.0, v, after, h);
                for j in first..last {
                    update::store(simd, &scratch[(j - first) * tile..][..tile], w.column_mut(j));
                }
            }
            if let Some(g) = &mut next {
                inner::accumulate(simd, v, w.as_panel(), g, Part::All);
            }
        }
    }
}

/// V ← V H in its first `h.len() / v.columns()` columns, in place; H column-major, at most as many
/// columns as V. The other columns of V are left as they were.
///
/// V: n × k, H: k × m. 2nkm flops; V is read once and m of its columns written once. Each element is
/// accumulated in `f64` and rounded to `T` once: |V̂ − VH| ≤ u |VH| + γ |V||H|, γ = k 2⁻⁵³,
/// u = 2⁻²⁴ for `f32` and 0 for `f64`. Uses 128 KiB of stack; for m > 512, also 256 m bytes of heap.
///
/// # Panics
/// If the sizes do not agree.
pub fn multiply_in_place<T: Real>(isa: Isa, v: &mut PanelMut<'_, T>, h: &[f64]) {
    let k = v.columns;
    let columns = h.len().checked_div(k).unwrap_or(0);
    assert!(columns <= k && h.len() == columns * k, "elements of H");
    let rows = v.rows;
    let v = v.row_range_mut(0..rows);
    dispatch!(isa, MultiplyInPlace<'a, T> = MultiplyInPlace { v, h, columns });
}

struct MultiplyInPlace<'a, T> {
    v: PanelMut<'a, T>,
    h: &'a [f64],
    columns: usize,
}

impl<T: Real> WithSimd for MultiplyInPlace<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut v, h, columns } = self;
        if columns == 0 {
            return;
        }
        let tile = update::tile_rows(columns);
        let mut stack = [0.0; update::SCRATCH];
        let mut heap = Vec::new();
        let scratch = if columns * tile <= stack.len() {
            &mut stack[..columns * tile]
        } else {
            heap.resize(columns * tile, 0.0);
            &mut heap[..]
        };
        for start in (0..v.rows).step_by(tile) {
            let rows = start..v.rows.min(start + tile);
            let mut v = v.row_range_mut(rows);
            scratch.fill(0.0);
            update::add_product(simd, scratch, tile, 1.0, v.as_panel(), None, h);
            for j in 0..columns {
                update::store(simd, &scratch[j * tile..][..tile], v.column_mut(j));
            }
        }
    }
}

/// H ← H + Vᵀ W inside a dispatched kernel.
#[inline(always)]
pub(crate) fn add_transpose_product<T: Real, S: Simd>(
    simd: S,
    v: Panel<'_, T>,
    w: Panel<'_, T>,
    h: &mut [f64],
) {
    debug_assert!(v.rows == w.rows && h.len() == v.columns * w.columns);
    inner::accumulate(simd, v, w, h, Part::All);
}

/// C ← C + V H inside a dispatched kernel; column j of C starts at `c[j * stride]`, where `stride` is
/// a multiple of every vector length.
#[inline(always)]
pub(crate) fn add_product<T: Real, S: Simd>(
    simd: S,
    c: &mut [f64],
    stride: usize,
    v: Panel<'_, T>,
    h: &[f64],
) {
    update::add_product(simd, c, stride, 1.0, v, None, h);
}
