//! The matrix of a nonnegative least squares problem, scaled, with its Gram matrix.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};
use hesse_kernels::Isa;
use hesse_kernels::level1::{axpy, dot, nrm2};

use crate::{Real, Result, parallel};

/// Columns of one task.
const COLUMNS: usize = 64;

/// Â = [√w A; αI] D with powers of two in D that bring the norms of columns into [1, 2), and the
/// Gram matrix ÂᵀÂ. Columns that are 0 stay 0, with d = 1.
pub(super) struct Design {
    columns: Columns,
    rows: usize,
    /// α dⱼ.
    ridge: Vec<f64>,
    /// log₂ dⱼ.
    exponents: Vec<i32>,
    gram: Mat<f64>,
}

enum Columns {
    Dense(Mat<f64>),
    /// Columns compressed.
    Sparse(sprs::CsMat<f64>),
}

impl Design {
    pub fn dense<T: Real>(a: MatRef<'_, T>, roots: Option<&[f64]>, alpha: f64) -> Result<Self> {
        let (m, n) = a.shape();
        let mut scaled = Mat::<f64>::zeros(m, n);
        let (mut exponents, mut ridge) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for j in 0..n {
            let column = scaled.col_as_slice_mut(j);
            for (i, out) in column.iter_mut().enumerate() {
                *out = a[(i, j)].to_f64() * roots.map_or(1.0, |r| r[i]);
            }
            let exponent = scale(column, alpha);
            exponents.push(exponent);
            ridge.push(libm::scalbn(alpha, exponent));
        }
        let mut gram = Mat::<f64>::zeros(n, n);
        if n > 0 {
            triangular_gram(scaled.as_ref(), &mut gram);
        }
        let design = Self { columns: Columns::Dense(scaled), rows: m, ridge, exponents, gram };
        Ok(design.with_ridge())
    }

    pub fn sparse<T: Real>(
        a: sprs::CsMatView<'_, T>,
        roots: Option<&[f64]>,
        alpha: f64,
    ) -> Result<Self> {
        let (m, n) = (a.rows(), a.cols());
        let csc = a.to_csc();
        let (mut exponents, mut ridge) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let (mut starts, mut indices, mut data) = (vec![0], Vec::new(), Vec::new());
        for column in csc.outer_iterator() {
            let first = data.len();
            for (i, value) in column.iter() {
                indices.push(i);
                data.push(value.to_f64() * roots.map_or(1.0, |r| r[i]));
            }
            let exponent = scale(&mut data[first..], alpha);
            exponents.push(exponent);
            ridge.push(libm::scalbn(alpha, exponent));
            starts.push(data.len());
        }
        let columns = sprs::CsMat::new_csc((m, n), starts, indices, data);
        let rows = parallel::map(n, |j| {
            // Column j spread out, then its products with the columns before it.
            let mut spread = vec![0.0; m];
            if let Some(column) = columns.outer_view(j) {
                column.iter().for_each(|(i, &value)| spread[i] = value);
            }
            let product = |k: usize| {
                columns.outer_view(k).map_or(0.0, |c| c.iter().map(|(i, v)| v * spread[i]).sum())
            };
            (0..=j).map(product).collect::<Vec<f64>>()
        });
        let gram = Mat::from_fn(n, n, |i, j| rows[i.max(j)][i.min(j)]);
        let design = Self { columns: Columns::Sparse(columns), rows: m, ridge, exponents, gram };
        Ok(design.with_ridge())
    }

    fn with_ridge(mut self) -> Self {
        for (j, r) in self.ridge.iter().enumerate() {
            self.gram[(j, j)] += r * r;
        }
        self
    }

    pub fn columns(&self) -> usize {
        self.exponents.len()
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// log₂ of what xⱼ is multiplied with in the end.
    pub fn exponent(&self, j: usize) -> i32 {
        self.exponents[j]
    }

    pub fn gram(&self) -> &Mat<f64> {
        &self.gram
    }

    /// Âᵀ [b; 0].
    pub fn transpose_times(&self, b: &[f64]) -> Vec<f64> {
        let isa = Isa::current();
        match &self.columns {
            Columns::Dense(a) => (0..a.ncols()).map(|j| dot(isa, a.col_as_slice(j), b)).collect(),
            Columns::Sparse(a) => a
                .outer_iterator()
                .map(|column| column.iter().map(|(i, v)| v * b[i]).sum())
                .collect(),
        }
    }

    /// b − A x, without the rows of the ridge.
    pub fn residual(&self, b: &[f64], x: &[f64]) -> Vec<f64> {
        let isa = Isa::current();
        let mut r = b.to_vec();
        for (j, &x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            match &self.columns {
                Columns::Dense(a) => axpy(isa, -x, a.col_as_slice(j), &mut r),
                Columns::Sparse(a) => {
                    if let Some(column) = a.outer_view(j) {
                        column.iter().for_each(|(i, v)| r[i] -= v * x);
                    }
                }
            }
        }
        r
    }

    /// Âᵀ (b̂ − Â x) from r = b − A x: minus half the gradient.
    pub fn descent(&self, r: &[f64], x: &[f64]) -> Vec<f64> {
        let mut w = self.transpose_times(r);
        for ((w, ridge), x) in w.iter_mut().zip(&self.ridge).zip(x) {
            *w -= ridge * (ridge * x);
        }
        w
    }

    /// The columns `passive` of Â, with the rows of the ridge where there is one.
    pub fn part(&self, passive: &[usize]) -> Mat<f64> {
        let ridge = self.ridge.iter().any(|&r| r > 0.0);
        let rows = self.rows + if ridge { passive.len() } else { 0 };
        let mut part = Mat::<f64>::zeros(rows, passive.len());
        for (c, &j) in passive.iter().enumerate() {
            match &self.columns {
                Columns::Dense(a) => {
                    part.col_as_slice_mut(c)[..self.rows].copy_from_slice(a.col_as_slice(j));
                }
                Columns::Sparse(a) => {
                    if let Some(column) = a.outer_view(j) {
                        column.iter().for_each(|(i, &v)| part[(i, c)] = v);
                    }
                }
            }
            if ridge {
                part[(self.rows + c, c)] = self.ridge[j];
            }
        }
        part
    }

    /// Norm of column j of Â, for bounds on rounding.
    pub fn norm(&self, j: usize) -> f64 {
        self.gram[(j, j)].sqrt()
    }
}

/// Scales a column so that its norm, with α below it, lies in [1, 2); returns the exponent.
fn scale(column: &mut [f64], alpha: f64) -> i32 {
    let norm = libm::hypot(nrm2(Isa::current(), column), alpha);
    if norm == 0.0 {
        return 0;
    }
    // Beyond the largest number only where two nearly largest ones meet.
    let exponent = -libm::ilogb(norm.min(f64::MAX));
    column.iter_mut().for_each(|x| *x = libm::scalbn(*x, exponent));
    exponent
}

/// AᵀA, both triangles. Tasks are blocks of columns, of the lower triangle alone.
fn triangular_gram(a: MatRef<'_, f64>, gram: &mut Mat<f64>) {
    let n = a.ncols();
    let blocks = parallel::map(n.div_ceil(COLUMNS), |task| {
        let first = task * COLUMNS;
        let width = COLUMNS.min(n - first);
        let mut block = Mat::<f64>::zeros(n - first, width);
        let (left, right) = (a.subcols(first, n - first), a.subcols(first, width));
        let below = BlockStructure::Rectangular;
        triangular::matmul(
            block.as_mut(),
            below,
            Accum::Replace,
            left.transpose(),
            below,
            right,
            below,
            1.0,
            Par::Seq,
        );
        block
    });
    for (task, block) in blocks.iter().enumerate() {
        let first = task * COLUMNS;
        for j in 0..block.ncols() {
            for i in j..block.nrows() {
                gram[(first + i, first + j)] = block[(i, j)];
                gram[(first + j, first + i)] = block[(i, j)];
            }
        }
    }
}
