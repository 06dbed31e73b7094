//! Products of dense matrices on one thread: C ← αAB + βC.
//!
//! Most products go to `faer`, shallow ones of `f64` to `matrixmultiply`, those with few rows or
//! columns to the [`panel`](crate::panel) kernels, and tiny ones to a plain loop. The choice is
//! [`plan()`], a pure function of type, shape and layout, so that the same call always runs the same
//! code. The libraries detect the instruction set themselves: `HESSE_ISA` does not reach them.

mod own;
mod plan;
#[cfg(test)]
mod tests;

use core::marker::PhantomData;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

pub use plan::{Engine, plan};

use crate::compiled::choose;
use crate::{Isa, Real};

/// A rows × columns matrix in a slice: element (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct MatrixRef<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A mutable [`MatrixRef`], whose elements are all different places.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    /// Element (0, 0). A pointer, for the elements of two parts of one matrix lie in one range.
    start: *mut T,
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
    elements: PhantomData<&'a mut [T]>,
}

// SAFETY: it lends its elements, which no other value does, as `&mut [T]` would.
unsafe impl<T: Send> Send for MatrixMut<'_, T> {}
// SAFETY: shared, it gives nothing but its shape.
unsafe impl<T: Sync> Sync for MatrixMut<'_, T> {}

fn check(
    length: usize,
    (rows, columns): (usize, usize),
    row_stride: usize,
    column_stride: usize,
) -> Option<(usize, usize)> {
    let largest = isize::MAX as usize;
    assert!(row_stride <= largest && column_stride <= largest, "matrix: stride too large");
    if rows == 0 || columns == 0 {
        return Some((0, 0));
    }
    let down = (rows - 1).checked_mul(row_stride)?;
    let right = (columns - 1).checked_mul(column_stride)?;
    (down.checked_add(right)? < length).then_some((down, right))
}

impl<'a, T: Real> MatrixRef<'a, T> {
    /// A view with any strides, also 0.
    ///
    /// # Panics
    /// If an element lies outside the slice.
    #[must_use]
    pub fn new(
        data: &'a [T],
        rows: usize,
        columns: usize,
        row_stride: usize,
        column_stride: usize,
    ) -> Self {
        assert!(
            check(data.len(), (rows, columns), row_stride, column_stride).is_some(),
            "matrix: {rows} × {columns} with strides {row_stride}, {column_stride} in {} elements",
            data.len()
        );
        Self { data, rows, columns, row_stride, column_stride }
    }

    /// Rows one after the other, without gaps.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn row_major(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::new(data, rows, columns, columns, 1)
    }

    /// Columns one after the other, without gaps.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn column_major(data: &'a [T], rows: usize, columns: usize) -> Self {
        Self::new(data, rows, columns, 1, rows)
    }

    /// The transposed matrix, in the same place.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
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

    /// Element (i, j).
    #[must_use]
    #[inline(always)]
    pub fn at(&self, i: usize, j: usize) -> T {
        debug_assert!(i < self.rows && j < self.columns);
        self.data[i * self.row_stride + j * self.column_stride]
    }

    fn faer(&self) -> MatRef<'a, T> {
        // SAFETY: every element lies inside the slice, checked at construction; strides fit isize.
        unsafe {
            MatRef::from_raw_parts(
                self.data.as_ptr(),
                self.rows,
                self.columns,
                self.row_stride as isize,
                self.column_stride as isize,
            )
        }
    }
}

impl<'a, T: Real> MatrixMut<'a, T> {
    /// A view in which one stride steps over the whole extent of the other dimension, so that no two
    /// elements share a place.
    ///
    /// # Panics
    /// If an element lies outside the slice, or elements overlap.
    #[must_use]
    pub fn new(
        data: &'a mut [T],
        rows: usize,
        columns: usize,
        row_stride: usize,
        column_stride: usize,
    ) -> Self {
        let extent = check(data.len(), (rows, columns), row_stride, column_stride);
        let apart = match extent {
            Some((down, right)) => {
                (columns < 2 || rows < 2 || column_stride > down || row_stride > right)
                    && (rows < 2 || row_stride > 0)
                    && (columns < 2 || column_stride > 0)
            }
            None => false,
        };
        assert!(
            apart,
            "matrix: {rows} × {columns} with strides {row_stride}, {column_stride} in {} elements",
            data.len()
        );
        let start = data.as_mut_ptr();
        Self { start, rows, columns, row_stride, column_stride, elements: PhantomData }
    }

    /// Rows one after the other, without gaps.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn row_major(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::new(data, rows, columns, columns.max(1), 1)
    }

    /// Columns one after the other, without gaps.
    ///
    /// # Panics
    /// If the slice is too short.
    #[must_use]
    pub fn column_major(data: &'a mut [T], rows: usize, columns: usize) -> Self {
        Self::new(data, rows, columns, 1, rows.max(1))
    }

    /// The transposed matrix, in the same place.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
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

    /// The same matrix for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut { elements: PhantomData, ..*self }
    }

    /// The first `rows` rows, and the rest of them: two matrices that can change at the same time.
    ///
    /// # Panics
    /// If there are not as many rows.
    #[must_use]
    pub fn split_rows(self, rows: usize) -> (Self, Self) {
        assert!(rows <= self.rows, "split after row {rows} of {}", self.rows);
        // Where there is nothing below, or nothing at all, the place does not matter.
        let step = if rows < self.rows && self.columns > 0 { rows * self.row_stride } else { 0 };
        let below = Self { start: self.start.wrapping_add(step), rows: self.rows - rows, ..self };
        (Self { rows, ..self }, below)
    }

    /// Element (i, j).
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub fn at_mut(&mut self, i: usize, j: usize) -> &mut T {
        assert!(i < self.rows && j < self.columns);
        // SAFETY: an element, which construction has found inside the slice; `split_rows` gives each
        // to one of the parts.
        unsafe { &mut *self.start.add(i * self.row_stride + j * self.column_stride) }
    }

    /// C ← βC, zeros for β = 0 whatever was there.
    fn scale(&mut self, beta: T) {
        for i in 0..self.rows {
            for j in 0..self.columns {
                let c = self.at_mut(i, j);
                *c = if beta == T::ZERO { T::ZERO } else { beta * *c };
            }
        }
    }
}

/// C ← αAB + βC. With β = 0, C is not read: a NaN in it does not survive.
///
/// A: m × k, B: k × n, C: m × n, any strides. 2mnk flops on one thread, bound by arithmetic unless a
/// dimension is small. The engines accumulate in the storage type `T`, except [`Engine::Panel`],
/// which accumulates in `f64`:
/// |Ĉ − C| ≤ γ (|α| |A||B| + |β||C|) element by element, γ = (k + 3) u to first order, u half of
/// `T::EPSILON`. Which engine runs, [`plan()`] says; the libraries allocate their packing buffers.
///
/// # Panics
/// If the shapes do not agree.
pub fn gemm<T: Real>(
    isa: Isa,
    alpha: T,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    beta: T,
    c: MatrixMut<'_, T>,
) {
    let engine = plan::<T>(c.rows, c.columns, a.columns, own::fits(&a, &b));
    gemm_with(isa, engine, alpha, a, b, beta, c);
}

/// [`gemm`] on a given engine, for benchmarks and tests. [`Engine::Panel`] falls back to the plain
/// loop where neither A nor B (as the larger factor) has a contiguous dimension.
///
/// # Panics
/// If the shapes do not agree.
pub fn gemm_with<T: Real>(
    isa: Isa,
    engine: Engine,
    alpha: T,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    beta: T,
    mut c: MatrixMut<'_, T>,
) {
    assert_eq!(a.rows, c.rows, "rows of A and C");
    assert_eq!(b.columns, c.columns, "columns of B and C");
    assert_eq!(a.columns, b.rows, "columns of A and rows of B");
    if c.rows == 0 || c.columns == 0 {
        return;
    }
    if a.columns == 0 {
        c.scale(beta);
        return;
    }
    let run: Run<T> = choose(run_single as Run<f32>, run_double as Run<f64>);
    run(isa, engine, alpha, a, b, beta, c);
}

type Run<T> = for<'a> fn(Isa, Engine, T, MatrixRef<'a, T>, MatrixRef<'a, T>, T, MatrixMut<'a, T>);

/// Not generic, so that the libraries' code is compiled here, once.
#[inline(never)]
fn run_single(
    isa: Isa,
    engine: Engine,
    alpha: f32,
    a: MatrixRef<'_, f32>,
    b: MatrixRef<'_, f32>,
    beta: f32,
    c: MatrixMut<'_, f32>,
) {
    run(isa, engine, alpha, a, b, beta, c);
}

/// As [`run_single`].
#[inline(never)]
fn run_double(
    isa: Isa,
    engine: Engine,
    alpha: f64,
    a: MatrixRef<'_, f64>,
    b: MatrixRef<'_, f64>,
    beta: f64,
    c: MatrixMut<'_, f64>,
) {
    run(isa, engine, alpha, a, b, beta, c);
}

fn run<T: Real>(
    isa: Isa,
    engine: Engine,
    alpha: T,
    a: MatrixRef<'_, T>,
    b: MatrixRef<'_, T>,
    beta: T,
    mut c: MatrixMut<'_, T>,
) {
    match engine {
        Engine::Loop => own::plain(alpha, a, b, beta, c),
        Engine::Panel => own::thin(isa, alpha, a, b, beta, c),
        // Its tiles are columns: a row-major C is computed as Cᵀ = BᵀAᵀ.
        Engine::MatrixMultiply if c.column_stride < c.row_stride => {
            T::matrixmultiply(alpha, b.transposed(), a.transposed(), beta, c.transposed());
        }
        Engine::MatrixMultiply => T::matrixmultiply(alpha, a, b, beta, c),
        Engine::Faer => {
            let accumulate = if beta == T::ZERO { Accum::Replace } else { Accum::Add };
            if beta != T::ZERO && beta != T::ONE {
                c.scale(beta);
            }
            let (rows, columns) = (c.rows, c.columns);
            let (down, right) = (c.row_stride as isize, c.column_stride as isize);
            // SAFETY: every element lies inside the slice and in its own place, checked at
            // construction; strides fit isize.
            let out: MatMut<'_, T> =
                unsafe { MatMut::from_raw_parts_mut(c.start, rows, columns, down, right) };
            matmul(out, accumulate, a.faer(), b.faer(), alpha, Par::Seq);
        }
    }
}

/// The routine of `matrixmultiply` for a type.
#[doc(hidden)]
pub trait MatrixMultiply: Sized {
    fn matrixmultiply(
        alpha: Self,
        a: MatrixRef<'_, Self>,
        b: MatrixRef<'_, Self>,
        beta: Self,
        c: MatrixMut<'_, Self>,
    );
}

macro_rules! matrixmultiply {
    ($t:ident, $gemm:ident) => {
        impl MatrixMultiply for $t {
            fn matrixmultiply(
                alpha: Self,
                a: MatrixRef<'_, Self>,
                b: MatrixRef<'_, Self>,
                beta: Self,
                c: MatrixMut<'_, Self>,
            ) {
                assert!(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows);
                // SAFETY: every element of A, B and C lies inside its slice and those of C in
                // places of their own, checked at construction; strides fit isize, shapes agree.
                unsafe {
                    matrixmultiply::$gemm(
                        c.rows,
                        a.columns,
                        c.columns,
                        alpha,
                        a.data.as_ptr(),
                        a.row_stride as isize,
                        a.column_stride as isize,
                        b.data.as_ptr(),
                        b.row_stride as isize,
                        b.column_stride as isize,
                        beta,
                        c.start,
                        c.row_stride as isize,
                        c.column_stride as isize,
                    );
                }
            }
        }
    };
}

matrixmultiply!(f32, sgemm);
matrixmultiply!(f64, dgemm);
