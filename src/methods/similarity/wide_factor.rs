//! A factor of few columns of responses of more units than stimuli.

use std::ops::Range;

use faer::{Mat, MatRef};
use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};
use hesse_kernels::gram::{
    Centred, Differences, Shift, WIDTH, centre, differences, padded, place, shifted_rows,
};

use super::lower_gram::{BLOCK, BLOCKS, LowerGram};
use super::responses::{rows_in_place, unit_rows};
use crate::krylov::symmetric_eigen;
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// n × n rows with the inner products of the centred responses Z (n × p, p > n), as accurate as a
/// triangular factor of Zᵀ, at the rate of products of matrices.
///
/// 1. Z Zᵀ ≈ V Λ Vᵀ, in which directions with λ below ε λ₁ are lost, and the others turned a little.
/// 2. Y = D⁻¹ Vᵀ Z in a second pass, D² = max(Λ, n ε λ₁): V is orthogonal, so that this costs an error of
///    ε |Z| and no more, and the rows of Y, of size near 1, are nearly orthogonal.
/// 3. Y Yᵀ = E M Eᵀ, which is well-conditioned but for directions below √(n ε) of the largest, and these have
///    lost half of their range by D. The rows are V D E √M.
///
/// So singular values down to 10⁻¹⁰ of the largest come out to ε of the largest, as from a QR factorisation
/// by reflections, in 4 n² p flops. Source: preconditioned CholeskyQR2 (Yamamoto, Nakatsukasa, Yanagisawa,
/// Fukaya 2015), with eigenvectors in place of triangular factors: responses always lack one direction.
pub(super) struct WideFactor<'a, T: Real> {
    x: MatRef<'a, T>,
    unit: f64,
}

impl<'a, T: Real> WideFactor<'a, T> {
    pub fn new(x: MatRef<'a, T>, unit: f64) -> Self {
        Self { x, unit }
    }

    pub fn rows(&self) -> Result<Mat<f64>> {
        let n = self.x.nrows();
        let eigen = |gram: &Mat<f64>| {
            symmetric_eigen(gram.as_ref()).ok_or_else(|| {
                let got = format!("none at {n}");
                Error::range("eigenproblem of inner products", "convergence", got)
            })
        };
        let first = eigen(&self.sum(|gram, _, z, width, next| gram.add(z, width, next)))?;
        let largest = first.values[n - 1];
        if largest <= 0.0 {
            return Ok(Mat::zeros(n, n));
        }
        let least = n as f64 * f64::EPSILON * largest;
        let d: Vec<f64> = first.values.iter().map(|v| v.max(least).sqrt()).collect();
        // Row j of Y is that of column j.
        let weights: Vec<f64> =
            (0..n * n).map(|k| first.vectors[(k % n, k / n)] / d[k / n]).collect();
        let (ones, zeros) = (vec![1.0; n], vec![0.0; n]);
        let shift = Shift { scale: &ones, first: &zeros, mean: &zeros };
        let second = self.sum(|gram, [rows, y, packed], z, width, next| {
            rows.resize(n * width, 0.0);
            y.resize(n * width, 0.0);
            packed.resize(padded(n) * width, 0.0);
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                for (c, eight) in row.chunks_exact_mut(8).enumerate() {
                    eight.copy_from_slice(&z[place(width, i, 8 * c)..][..8]);
                }
            }
            product(&weights, rows, y, n);
            let y: Vec<&[f64]> = y.chunks_exact(width).collect();
            shifted_rows(Isa::current(), &y, shift, width, packed);
            gram.add(packed, width, next);
        });
        let second = eigen(&second)?;
        let scale = |j: usize| second.values[j].max(0.0).sqrt();
        let left: Vec<f64> = (0..n * n).map(|k| first.vectors[(k / n, k % n)]).collect();
        let right: Vec<f64> =
            (0..n * n).map(|k| d[k / n] * second.vectors[(k / n, k % n)] * scale(k % n)).collect();
        let mut rows = vec![0.0; n * n];
        product(&left, &right, &mut rows, n);
        Ok(MatRef::from_row_major_slice(&rows, n, n).to_owned())
    }

    /// A sum over blocks of centred units; `add` gets the sum, room of its own, a block, its width and the
    /// rows behind it.
    fn sum(
        &self,
        add: impl Fn(&mut LowerGram, &mut [Vec<f64>; 3], &[f64], usize, &[&[T]]) + Sync,
    ) -> Mat<f64> {
        let n = self.x.nrows();
        let shards = parallel::shards(self.x.ncols(), BLOCK * BLOCKS);
        let partial = |s: usize| {
            let mut gram = LowerGram::zeros(n);
            let (mut centred, mut room) = (CentredUnits::new(n), [(); 3].map(|()| Vec::new()));
            let blocks = parallel::shards(shards[s].len(), BLOCK);
            let units =
                |b: usize| shards[s].start + blocks[b].start..shards[s].start + blocks[b].end;
            for b in 0..blocks.len() {
                let width = centred.read(self.x, units(b), 1.0 / self.unit);
                let next =
                    if b + 1 < blocks.len() { rows_in_place(self.x, units(b + 1)) } else { None };
                let z = &centred.z[..padded(n) * width];
                add(&mut gram, &mut room, z, width, &next.unwrap_or_default());
            }
            gram.into_mat()
        };
        let lower = parallel::reduce(shards.len(), partial, |a, b| *a += b);
        lower.unwrap_or_else(|| Mat::zeros(n, n))
    }
}

/// C ← A B for an n × n matrix A and B, C of n rows, all row-major.
fn product(a: &[f64], b: &[f64], c: &mut [f64], n: usize) {
    let columns = b.len() / n;
    let (a, b) = (MatrixRef::row_major(a, n, n), MatrixRef::row_major(b, n, columns));
    gemm(Isa::current(), 1.0, a, b, 0.0, MatrixMut::row_major(c, n, columns));
}

/// Room for a block of units with their means over stimuli taken away.
struct CentredUnits<T> {
    z: Vec<f64>,
    copy: Vec<T>,
    /// Numbers of each unit.
    units: [Vec<f64>; 6],
    /// Numbers of each stimulus, the first of which stay 0.
    stimuli: [Vec<f64>; 3],
}

impl<T: Real> CentredUnits<T> {
    fn new(n: usize) -> Self {
        let width = BLOCK.next_multiple_of(WIDTH);
        Self {
            z: vec![0.0; padded(n) * width],
            copy: Vec::new(),
            units: [(); 6].map(|()| vec![0.0; width]),
            stimuli: [(); 3].map(|()| vec![0.0; n]),
        }
    }

    /// Reads a block; the width of its rows. By differences to the first stimulus: offsets of units cost
    /// no digits.
    fn read(&mut self, x: MatRef<'_, T>, units: Range<usize>, scale: f64) -> usize {
        let n = x.nrows();
        let count = units.len();
        let width = count.next_multiple_of(WIDTH);
        let rows = unit_rows(x, units, &mut self.copy);
        let z = &mut self.z[..padded(n) * width];
        z[n / 4 * 4 * width..].fill(0.0);
        let [means, high, low, none, second, fourth] =
            self.units.each_mut().map(|array| &mut array[..width]);
        let [zeros, sums, profile] = &mut self.stimuli;
        let first = [&mut *high, &mut *low];
        let out = Differences { rows: z, width, unit_sums: means, row_sums: sums, first };
        differences(Isa::current(), &rows, scale, zeros, out);
        means.iter_mut().for_each(|sum| *sum /= n as f64);
        let powers = [&mut *second, &mut *fourth];
        let out = Centred { rows: z, width, profile, powers };
        centre(Isa::current(), count, zeros, means, none, zeros, out);
        width
    }
}
