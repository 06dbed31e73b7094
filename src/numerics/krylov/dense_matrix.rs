//! A rectangular matrix in memory as an operator.

use faer::MatRef;
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::RectangularOperator;
use crate::{Error, Isa, Real, Result};

/// y = A x and x = Aᵀ y of a matrix in memory, m × n. 2mn flops and mn elements read a product.
#[derive(Clone, Debug)]
pub struct DenseMatrix<T> {
    rows: usize,
    columns: usize,
    /// Row-major.
    values: Vec<T>,
}

impl<T: Real> DenseMatrix<T> {
    /// A copy of `matrix`.
    ///
    /// # Errors
    /// [`Error::Empty`] without elements, [`Error::NonFinite`].
    pub fn new(matrix: MatRef<'_, T>) -> Result<Self> {
        let (rows, columns) = (matrix.nrows(), matrix.ncols());
        let element = |e: usize| matrix[(e / columns, e % columns)];
        Self::from_rows((0..rows * columns).map(element).collect(), columns)
    }

    /// Rows of `columns` numbers each, one after the other.
    ///
    /// # Errors
    /// As [`DenseMatrix::new`]; rows that are not full.
    pub fn from_rows(values: Vec<T>, columns: usize) -> Result<Self> {
        if values.is_empty() || columns == 0 {
            return Err(Error::empty("matrix: elements"));
        }
        if !values.len().is_multiple_of(columns) {
            let expected = format!("a multiple of {columns}");
            return Err(Error::shape("matrix: elements", expected, values.len()));
        }
        crate::error::check_finite("matrix", &values)?;
        Ok(Self { rows: values.len() / columns, columns, values })
    }
}

impl<T: Real> RectangularOperator<T> for DenseMatrix<T> {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        let a = MatrixRef::row_major(&self.values, self.rows, self.columns);
        let x = MatrixRef::row_major(x, self.columns, 1);
        gemm(Isa::current(), T::ONE, a, x, T::ZERO, MatrixMut::row_major(y, self.rows, 1));
    }

    fn apply_transposed(&self, y: &[T], x: &mut [T]) {
        let a = MatrixRef::row_major(&self.values, self.rows, self.columns).transposed();
        let y = MatrixRef::row_major(y, self.rows, 1);
        gemm(Isa::current(), T::ONE, a, y, T::ZERO, MatrixMut::row_major(x, self.columns, 1));
    }
}
