//! Products of tall and skinny matrices: what orthogonalisation and restarts of Krylov methods do.
//!
//! A panel has many rows and few columns, each column contiguous. Coefficients are small
//! column-major `f64` matrices. Products of `f32` panels are accumulated in `f64`.

use crate::{Isa, Real};

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
    let needed = if columns == 0 { 0 } else { (columns - 1) * stride + rows };
    assert!(length >= needed, "panel: {length} elements, {needed} needed");
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
    #[must_use]
    pub fn column(&self, c: usize) -> &'a [T] {
        &self.data[c * self.stride..][..self.rows]
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

    /// The same panel, not mutable.
    #[must_use]
    pub fn as_panel(&self) -> Panel<'_, T> {
        Panel { data: self.data, rows: self.rows, columns: self.columns, stride: self.stride }
    }

    /// Column `c`.
    #[must_use]
    pub fn column_mut(&mut self, c: usize) -> &mut [T] {
        &mut self.data[c * self.stride..][..self.rows]
    }
}

/// H ← Vᵀ W, column-major with `v.columns()` rows, accumulated in `f64`.
pub fn transpose_product<T: Real>(_isa: Isa, v: Panel<'_, T>, w: Panel<'_, T>, h: &mut [f64]) {
    assert_eq!(v.rows, w.rows);
    assert_eq!(h.len(), v.columns * w.columns);
    for j in 0..w.columns {
        for i in 0..v.columns {
            h[i + j * v.columns] =
                v.column(i).iter().zip(w.column(j)).map(|(a, b)| a.to_f64() * b.to_f64()).sum();
        }
    }
}

/// W ← W − V H, H column-major with `v.columns()` rows and as many columns as W.
pub fn subtract_product<T: Real>(_isa: Isa, w: &mut PanelMut<'_, T>, v: Panel<'_, T>, h: &[f64]) {
    assert_eq!(v.rows, w.rows);
    assert_eq!(h.len(), v.columns * w.columns);
    for j in 0..w.columns {
        for r in 0..v.rows {
            let product: f64 =
                (0..v.columns).map(|i| v.column(i)[r].to_f64() * h[i + j * v.columns]).sum();
            let x = &mut w.column_mut(j)[r];
            *x = T::from_f64(x.to_f64() - product);
        }
    }
}

/// V ← V H in its first `h.len() / v.columns()` columns, in place; H column-major, at most as many
/// columns as V. The other columns of V are left as they were.
pub fn multiply_in_place<T: Real>(_isa: Isa, v: &mut PanelMut<'_, T>, h: &[f64]) {
    let k = v.columns;
    let columns = h.len().checked_div(k).unwrap_or(0);
    assert!(columns <= k && h.len() == columns * k);
    let mut row = vec![0.0; k];
    for r in 0..v.rows {
        for (c, x) in row.iter_mut().enumerate() {
            *x = v.data[r + c * v.stride].to_f64();
        }
        for j in 0..columns {
            let sum: f64 = row.iter().zip(&h[j * k..]).map(|(a, b)| a * b).sum();
            v.data[r + j * v.stride] = T::from_f64(sum);
        }
    }
}
