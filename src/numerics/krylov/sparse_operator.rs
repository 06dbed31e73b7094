//! A sparse matrix as an operator.

use hesse_kernels::Isa;
use hesse_kernels::pulp::{Simd, WithSimd};

use super::LinearOperator;
use crate::{Error, Real, Result, parallel};

/// Rows of one task of a product.
const ROWS: usize = 4096;

/// y = A x for a symmetric sparse matrix, rows compressed.
///
/// A product reads every stored value with its 32-bit column once: 2·nnz flops, about
/// (4 + size of a value)·nnz bytes, bandwidth-bound. A block of vectors shares that read.
#[derive(Clone, Debug)]
pub struct SparseOperator<T> {
    dimension: usize,
    /// Position of each row's first value, and the number of values.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<T>,
}

impl<T: Real> SparseOperator<T> {
    /// Takes a copy of `matrix` (CSR or CSC: symmetric, so they are the same).
    ///
    /// # Errors
    /// [`Error::Shape`] unless square, [`Error::Empty`] for 0 × 0, [`Error::Range`] beyond 2³²
    /// rows, [`Error::NonFinite`], and [`Error::NotSymmetric`] if max |Aᵢⱼ − Aⱼᵢ| exceeds
    /// 8√n·ε·max |Aᵢⱼ|. Cost: O(n + nnz).
    pub fn new<I: sprs::SpIndex, P: sprs::SpIndex>(
        matrix: sprs::CsMatViewI<'_, T, I, P>,
    ) -> Result<Self> {
        let n = matrix.rows();
        if n != matrix.cols() {
            return Err(Error::shape("sparse operator", (n, n), matrix.shape()));
        }
        if n == 0 {
            return Err(Error::empty("sparse operator"));
        }
        if u32::try_from(n).is_err() {
            return Err(Error::range("rows of the sparse operator", "at most 2^32 - 1", n));
        }
        crate::error::check_finite("values of the sparse operator", matrix.data())?;
        let mut starts = Vec::with_capacity(n + 1);
        starts.push(0);
        let mut columns = Vec::with_capacity(matrix.nnz());
        let mut values = Vec::with_capacity(matrix.nnz());
        for row in matrix.outer_iterator() {
            for (column, &value) in row.iter() {
                #[allow(clippy::cast_possible_truncation)] // column < n, checked above
                columns.push(column as u32);
                values.push(value);
            }
            starts.push(values.len());
        }
        let operator = Self { dimension: n, starts, columns, values };
        let defect = operator.asymmetry();
        if defect > 8.0 * (n as f64).sqrt() * T::EPSILON.to_f64() {
            return Err(Error::NotSymmetric { defect });
        }
        Ok(operator)
    }

    /// Number of stored values.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// max |Aᵢⱼ − Aⱼᵢ| / max |Aᵢⱼ|, columns of a row in any order.
    ///
    /// Rows are met in order, so each row i of Aᵀ is filled in the order of its columns: the
    /// position up to which row j has been matched moves forward only.
    fn asymmetry(&self) -> f64 {
        let n = self.dimension;
        let mut next = self.starts.clone();
        let (mut largest, mut defect) = (0.0_f64, 0.0_f64);
        // Values of row j that lie before column i and that no row i < … had: unmatched.
        let half_difference = |a: f64, b: f64| (0.5 * a - 0.5 * b).abs();
        for i in 0..n {
            for position in self.starts[i]..self.starts[i + 1] {
                let (j, a) = (self.columns[position] as usize, self.values[position].to_f64());
                largest = largest.max(a.abs());
                let mut b = 0.0;
                while next[j] < self.starts[j + 1] && self.columns[next[j]] as usize <= i {
                    let value = self.values[next[j]].to_f64();
                    if self.columns[next[j]] as usize == i {
                        b = value;
                    } else {
                        defect = defect.max(0.5 * value.abs());
                    }
                    next[j] += 1;
                }
                defect = defect.max(half_difference(a, b));
            }
        }
        for j in 0..n {
            for value in &self.values[next[j]..self.starts[j + 1]] {
                defect = defect.max(0.5 * value.to_f64().abs());
            }
        }
        if largest > 0.0 { 2.0 * (defect / largest) } else { 0.0 }
    }
}

/// Rows `first..` of Y ← A X for B columns of X; one slice of rows of Y a column.
struct Rows<'a, 'y, T, const B: usize> {
    operator: &'a SparseOperator<T>,
    first: usize,
    x: [&'a [T]; B],
    y: [&'y mut [T]; B],
}

impl<T: Real, const B: usize> WithSimd for Rows<'_, '_, T, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { operator, first, x, y } = self;
        let rows = y[0].len();
        let starts = &operator.starts[first..=first + rows];
        for row in 0..rows {
            let range = starts[row]..starts[row + 1];
            let mut sums = [T::ZERO; B];
            for (&column, &value) in
                operator.columns[range.clone()].iter().zip(&operator.values[range])
            {
                for b in 0..B {
                    sums[b] += value * x[b][column as usize];
                }
            }
            for b in 0..B {
                y[b][row] = sums[b];
            }
        }
    }
}

/// Rows `first..` of Y ← α A X + β X + γ Y for B vectors side by side.
struct Recurrence<'a, T, const B: usize> {
    operator: &'a SparseOperator<T>,
    first: usize,
    factors: [T; 3],
    x: &'a [[T; B]],
    y: &'a mut [[T; B]],
}

impl<T: Real, const B: usize> WithSimd for Recurrence<'_, T, B> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { operator, first, factors: [alpha, beta, gamma], x, y } = self;
        let starts = &operator.starts[first..=first + y.len()];
        let own = &x[first..first + y.len()];
        for ((y, own), range) in y.iter_mut().zip(own).zip(starts.windows(2)) {
            let range = range[0]..range[1];
            let mut sums = [T::ZERO; B];
            for (&column, &value) in
                operator.columns[range.clone()].iter().zip(&operator.values[range])
            {
                let x = &x[column as usize];
                for b in 0..B {
                    sums[b] += value * x[b];
                }
            }
            for b in 0..B {
                y[b] = alpha * sums[b] + beta * own[b] + gamma * y[b];
            }
        }
    }
}

impl<T: Real> SparseOperator<T> {
    fn recur<const B: usize>(&self, factors: [T; 3], x: &[T], y: &mut [T]) {
        let isa = Isa::current();
        let (x, _) = x.as_chunks::<B>();
        let (y, _) = y.as_chunks_mut::<B>();
        parallel::for_each_piece(y, ROWS, |shard, y| {
            isa.dispatch(Recurrence { operator: self, first: shard * ROWS, factors, x, y });
        });
    }

    /// [`Self::recur`] for any number of vectors.
    fn recur_any(&self, k: usize, [alpha, beta, gamma]: [T; 3], x: &[T], y: &mut [T]) {
        parallel::for_each_piece(y, ROWS * k, |shard, y| {
            let mut sums = vec![T::ZERO; k];
            for (row, y) in (shard * ROWS..).zip(y.chunks_exact_mut(k)) {
                sums.fill(T::ZERO);
                let range = self.starts[row]..self.starts[row + 1];
                for (&column, &value) in self.columns[range.clone()].iter().zip(&self.values[range])
                {
                    let x = &x[column as usize * k..][..k];
                    sums.iter_mut().zip(x).for_each(|(sum, &x)| *sum += value * x);
                }
                let own = &x[row * k..][..k];
                for ((y, &sum), &own) in y.iter_mut().zip(&sums).zip(own) {
                    *y = alpha * sum + beta * own + gamma * *y;
                }
            }
        });
    }

    fn multiply<const B: usize>(&self, isa: Isa, x: &[T], y: &mut [T]) {
        let n = self.dimension;
        let mut columns = x.chunks_exact(n);
        let x: [&[T]; B] = std::array::from_fn(|_| columns.next().unwrap_or_default());
        let mut pieces: Vec<_> = y.chunks_exact_mut(n).map(|y| y.chunks_mut(ROWS)).collect();
        let mut tasks: Vec<[&mut [T]; B]> = Vec::with_capacity(n.div_ceil(ROWS));
        for _ in 0..n.div_ceil(ROWS) {
            tasks.push(std::array::from_fn(|b| pieces[b].next().unwrap_or_default()));
        }
        parallel::for_each_piece(&mut tasks, 1, |shard, task| {
            for y in task {
                let y = y.each_mut().map(|y| &mut **y);
                isa.dispatch(Rows { operator: self, first: shard * ROWS, x, y });
            }
        });
    }
}

impl<T: Real> LinearOperator<T> for SparseOperator<T> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.multiply::<1>(Isa::current(), x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let (isa, n) = (Isa::current(), self.dimension);
        let (mut x, mut y) = (x, y);
        while !x.is_empty() {
            let width = match x.len() / n {
                0 => return,
                1 => 1,
                2 | 3 => 2,
                _ => 4,
            };
            let (x_now, x_rest) = x.split_at(width * n);
            let (y_now, y_rest) = y.split_at_mut(width * n);
            match width {
                1 => self.multiply::<1>(isa, x_now, y_now),
                2 => self.multiply::<2>(isa, x_now, y_now),
                _ => self.multiply::<4>(isa, x_now, y_now),
            }
            (x, y) = (x_rest, y_rest);
        }
    }

    fn recurrence(&self, k: usize, factors: [T; 3], x: &[T], y: &mut [T]) {
        match k {
            1 => self.recur::<1>(factors, x, y),
            2 => self.recur::<2>(factors, x, y),
            3 => self.recur::<3>(factors, x, y),
            4 => self.recur::<4>(factors, x, y),
            6 => self.recur::<6>(factors, x, y),
            8 => self.recur::<8>(factors, x, y),
            _ => self.recur_any(k, factors, x, y),
        }
    }

    fn bytes_per_product(&self) -> Option<usize> {
        let stored = (size_of::<T>() + 4).saturating_mul(self.values.len());
        Some(stored.saturating_add(self.dimension * (2 * size_of::<T>() + 8)))
    }
}
