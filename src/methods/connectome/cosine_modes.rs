//! All modes of a full box: cosines, applied by fast Fourier transforms.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::voxel_mask::count_cells;
use crate::{Error, Result, parallel};

/// Lines that are transformed together where their elements lie side by side.
const SIDE: usize = 16;

/// Rows of one task.
const ROWS: usize = 8;

/// The orthonormal type-II cosine basis Q of a box: the eigenvectors of its free Laplacian,
/// L = Q diag(μ) Qᵀ.
///
/// For one axis of n cells q_k(j) = s_k cos(πk(2j + 1)/2n), s_0 = √(1/n), s_k = √(2/n), and
/// μ_k = −4 sin²(πk/2n); for more axes products and sums of these, modes in C order of (k₁, k₂, k₃).
/// A transform of N numbers costs about 2.5 N log₂ N flops and a pass over memory an axis, and has
/// errors of some ε log N ‖x‖.
///
/// Source: J. Makhoul, *A fast cosine transform in one and two dimensions*, IEEE Trans. ASSP 28
/// (1980): the even elements forwards, then the odd ones backwards, are transformed by one real FFT
/// of length n, of which e^(−iπk/2n) V_k = C_k − i C_(n−k) are the cosine sums.
///
/// ```
/// use hesse::connectome::CosineModes;
/// let modes = CosineModes::new(&[4])?;
/// assert!((modes.eigenvalues()[2] + 2.0).abs() < 1e-15); // −4 sin²(π/4)
/// let mut x = [1.0, 1.0, 1.0, 1.0];
/// modes.forward(&mut x)?;
/// assert!((x[0] - 2.0).abs() < 1e-15 && x[1].abs() < 1e-15);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone)]
pub struct CosineModes {
    axes: Vec<Axis>,
    eigenvalues: Vec<f64>,
}

impl std::fmt::Debug for CosineModes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape: Vec<usize> = self.axes.iter().map(|axis| axis.size).collect();
        f.debug_struct("CosineModes").field("shape", &shape).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Axis {
    size: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// e^(−iπk/2n) for 0 ≤ k ≤ n/2.
    twiddles: Vec<Complex<f64>>,
}

/// Space for one line.
struct Line {
    values: Vec<f64>,
    ordered: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Inverse,
}

impl CosineModes {
    /// The modes of a box of one to three axes.
    ///
    /// # Errors
    /// [`Error::Range`] unless all sizes are positive and their product is at most 2³¹.
    pub fn new(shape: &[usize]) -> Result<Self> {
        let cells = count_cells(shape)?;
        let mut planner = RealFftPlanner::new();
        let mut eigenvalues = vec![0.0; cells];
        let mut step = cells;
        for &size in shape {
            step /= size;
            for (mode, value) in eigenvalues.iter_mut().enumerate() {
                let k = mode / step % size;
                let sine = libm::sin(std::f64::consts::PI * k as f64 / (2 * size) as f64);
                *value -= 4.0 * sine * sine;
            }
        }
        let axes = shape.iter().map(|&size| Axis {
            size,
            forward: planner.plan_fft_forward(size),
            inverse: planner.plan_fft_inverse(size),
            twiddles: (0..=size / 2)
                .map(|k| {
                    let angle = std::f64::consts::PI * k as f64 / (2 * size) as f64;
                    Complex::new(libm::cos(angle), -libm::sin(angle))
                })
                .collect(),
        });
        Ok(Self { axes: axes.collect(), eigenvalues })
    }

    /// Number of cells, and of modes.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // Never empty.
    pub fn len(&self) -> usize {
        self.eigenvalues.len()
    }

    /// Eigenvalues of the box's free Laplacian, 0 first, one a mode.
    #[must_use]
    pub fn eigenvalues(&self) -> &[f64] {
        &self.eigenvalues
    }

    /// x ← Qᵀ x: from cells to modes.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one number a cell.
    pub fn forward(&self, x: &mut [f64]) -> Result<()> {
        self.columns(x, 1, Direction::Forward)
    }

    /// x ← Q x: from modes to cells.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one number a mode.
    pub fn inverse(&self, x: &mut [f64]) -> Result<()> {
        self.columns(x, 1, Direction::Inverse)
    }

    /// W ← W Q: every row of a row-major matrix from cells to modes.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the number of elements is a multiple of that of cells.
    pub fn forward_rows(&self, w: &mut [f64]) -> Result<()> {
        self.rows(w, Direction::Forward)
    }

    /// W ← W Qᵀ: every row from modes to cells.
    ///
    /// # Errors
    /// As [`CosineModes::forward_rows`].
    pub fn inverse_rows(&self, w: &mut [f64]) -> Result<()> {
        self.rows(w, Direction::Inverse)
    }

    /// W ← Qᵀ W: every column of a row-major matrix of so many columns from cells to modes.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the matrix has one row a cell.
    pub fn forward_columns(&self, w: &mut [f64], columns: usize) -> Result<()> {
        self.columns(w, columns, Direction::Forward)
    }

    /// W ← Q W: every column from modes to cells.
    ///
    /// # Errors
    /// As [`CosineModes::forward_columns`].
    pub fn inverse_columns(&self, w: &mut [f64], columns: usize) -> Result<()> {
        self.columns(w, columns, Direction::Inverse)
    }

    fn rows(&self, w: &mut [f64], direction: Direction) -> Result<()> {
        if !w.len().is_multiple_of(self.len()) {
            let expected = format!("a multiple of {} elements", self.len());
            let got = format!("{} elements", w.len());
            return Err(Error::Shape { what: "rows of cosine modes".to_owned(), expected, got });
        }
        self.transform(w, 1, direction);
        Ok(())
    }

    fn columns(&self, w: &mut [f64], columns: usize, direction: Direction) -> Result<()> {
        if self.len().checked_mul(columns) != Some(w.len()) {
            let (cells, got) = (self.len(), w.len());
            return Err(Error::shape("columns of cosine modes", (cells, columns), got));
        }
        self.transform(w, columns, direction);
        Ok(())
    }

    fn transform(&self, w: &mut [f64], columns: usize, direction: Direction) {
        if w.is_empty() {
            return;
        }
        let mut step = columns * self.len();
        for axis in &self.axes {
            step /= axis.size;
            if axis.size > 1 {
                axis.transform(w, step, direction);
            }
        }
    }
}

impl Axis {
    /// Transforms the lines of this axis in an array whose elements along it are `step` apart.
    fn transform(&self, data: &mut [f64], step: usize, direction: Direction) {
        let slab = self.size * step;
        if step == 1 {
            parallel::for_each_piece(data, ROWS * slab, |_, rows| {
                let mut line = self.line();
                for row in rows.chunks_exact_mut(slab) {
                    self.one(row, 1, 0, &mut line, direction);
                    row.copy_from_slice(&line.values);
                }
            });
            return;
        }
        if data.len() > slab {
            parallel::for_each_piece(data, slab, |_, slab| {
                let (mut line, mut lines) = (self.line(), Vec::new());
                for first in (0..step).step_by(SIDE) {
                    let count = SIDE.min(step - first);
                    self.side_by_side(slab, step, first, count, &mut line, &mut lines, direction);
                    for (j, row) in slab.chunks_exact_mut(step).enumerate() {
                        for (c, x) in row[first..first + count].iter_mut().enumerate() {
                            *x = lines[c * self.size + j];
                        }
                    }
                }
            });
            return;
        }
        // One slab: its lines into a copy, in parallel, and back.
        let mut copy = vec![0.0; slab];
        let read = &*data;
        parallel::for_each_piece(&mut copy, SIDE * self.size, |piece, out| {
            let (mut line, mut lines) = (self.line(), Vec::new());
            let count = out.len() / self.size;
            self.side_by_side(read, step, piece * SIDE, count, &mut line, &mut lines, direction);
            out.copy_from_slice(&lines);
        });
        let size = self.size;
        parallel::for_each_piece(data, ROWS * step, |piece, rows| {
            for first in (0..step).step_by(SIDE) {
                for (j, row) in rows.chunks_exact_mut(step).enumerate() {
                    let row = &mut row[first..step.min(first + SIDE)];
                    for (c, x) in row.iter_mut().enumerate() {
                        *x = copy[(first + c) * size + piece * ROWS + j];
                    }
                }
            }
        });
    }

    fn line(&self) -> Line {
        let zero = Complex::new(0.0, 0.0);
        let scratch = self.forward.get_scratch_len().max(self.inverse.get_scratch_len());
        Line {
            values: vec![0.0; self.size],
            ordered: vec![0.0; self.size],
            spectrum: vec![zero; self.size / 2 + 1],
            scratch: vec![zero; scratch],
        }
    }

    /// The transforms of `count` lines from element `first` of each row of the slab, one after the
    /// other.
    fn side_by_side(
        &self,
        slab: &[f64],
        step: usize,
        first: usize,
        count: usize,
        line: &mut Line,
        lines: &mut Vec<f64>,
        direction: Direction,
    ) {
        lines.clear();
        for c in first..first + count {
            self.one(slab, step, c, line, direction);
            lines.extend_from_slice(&line.values);
        }
    }

    /// The transform of the line of elements `first`, `first + step`, … into `line.values`.
    fn one(&self, data: &[f64], step: usize, first: usize, line: &mut Line, direction: Direction) {
        let n = self.size;
        let Line { values, ordered, spectrum, scratch } = line;
        let at = |j: usize| data[first + j * step];
        let (constant, other) = ((1.0 / n as f64).sqrt(), (2.0 / n as f64).sqrt());
        // Lengths are those of the plan, so that the transforms cannot fail.
        match direction {
            Direction::Forward => {
                for j in 0..n.div_ceil(2) {
                    values[j] = at(2 * j);
                }
                for j in 0..n / 2 {
                    values[n - 1 - j] = at(2 * j + 1);
                }
                let done = self.forward.process_with_scratch(values, spectrum, scratch);
                debug_assert!(done.is_ok());
                values[0] = constant * spectrum[0].re;
                for k in 1..=n / 2 {
                    let turned = spectrum[k] * self.twiddles[k];
                    values[k] = other * turned.re;
                    if k != n - k {
                        values[n - k] = -other * turned.im;
                    }
                }
            }
            Direction::Inverse => {
                // Sums C_k = c_k / s_k, with the 1/n of the inverse transform in the factors.
                spectrum[0] = Complex::new(constant * at(0), 0.0);
                let factor = 1.0 / (other * n as f64);
                for k in 1..=n / 2 {
                    let turned = Complex::new(factor * at(k), -factor * at(n - k));
                    spectrum[k] = turned * self.twiddles[k].conj();
                }
                if n.is_multiple_of(2) {
                    spectrum[n / 2].im = 0.0;
                }
                let done = self.inverse.process_with_scratch(spectrum, values, scratch);
                debug_assert!(done.is_ok());
                for j in 0..n.div_ceil(2) {
                    ordered[2 * j] = values[j];
                }
                for j in 0..n / 2 {
                    ordered[2 * j + 1] = values[n - 1 - j];
                }
                std::mem::swap(values, ordered);
            }
        }
    }
}
