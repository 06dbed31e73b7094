//! Norms of the linear maps inside layers.

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::jacobian::norm;
use crate::krylov::{DenseMatrix, GolubKahan, RectangularOperator, Status};
use crate::network::LinearMap;
use crate::numerics::dense::singular_values_of_columns;
use crate::{Isa, Real, Result};

/// Up to this size of its shorter side the singular values of a matrix are all computed.
const SMALL: usize = 96;
/// Residual of an iterated norm relative to it; the error is at most that, and about its square.
const TOLERANCE: f64 = 1e-10;

/// ‖W‖₂ where W acts once on the whole input; else ‖T‖₂ of the map x ↦ z, without bias: the spectral
/// norm of the unrolled convolution T(K).
pub(super) fn spectral_norm<T: Real>(
    map: &dyn LinearMap<T>,
    parameters: &[T],
    features: usize,
) -> Result<f64> {
    let (rows, columns) = (map.outputs(), map.patch());
    let weight = map.weight(parameters);
    if map.positions() > 1 || map.groups() * columns != features {
        let unrolled = Unrolled { map, weight, features };
        return largest(&unrolled);
    }
    let mut result = 0.0_f64;
    for w in weight.chunks_exact(rows * columns) {
        let value = if rows.min(columns) <= SMALL {
            let (long, short) = (rows.max(columns), rows.min(columns));
            // Columns of the tall one of W and Wᵀ.
            let element = |e: usize| {
                let (short, long) = (e / long, e % long);
                if rows < columns { w[short * columns + long] } else { w[long * columns + short] }
            };
            let mut tall: Vec<f64> = (0..long * short).map(|e| element(e).to_f64()).collect();
            singular_values_of_columns(&mut tall, short)?[0]
        } else {
            largest(&DenseMatrix::from_rows(w.to_vec(), columns)?)?
        };
        result = result.max(value);
    }
    Ok(result)
}

fn largest<T: Real>(operator: &impl RectangularOperator<T>) -> Result<f64> {
    let tolerance = TOLERANCE.max(16.0 * T::EPSILON.to_f64());
    let top = GolubKahan::new(operator).tolerance(tolerance).run()?;
    match (top.status, top.values.first(), top.residuals.first()) {
        (Status::Converged, Some(&largest), _) => Ok(largest),
        // A singular value lies within the residual of the estimate: bounds stay bounds.
        (_, Some(&largest), Some(&residual)) => Ok(largest + residual),
        _ => Ok(0.0),
    }
}

/// ‖W‖_F.
pub(super) fn frobenius_norm<T: Real>(map: &dyn LinearMap<T>, parameters: &[T]) -> f64 {
    norm(map.weight(parameters))
}

/// The smallest singular value of the matrix of patches (patch × positions) of one sample, of the
/// groups the smallest; 0 where it has more columns than rows.
pub(super) fn smallest_of_patches<T: Real>(map: &dyn LinearMap<T>, input: &[T]) -> Result<f64> {
    let (positions, patch) = (map.positions(), map.patch());
    if positions > patch {
        return Ok(0.0);
    }
    let mut patches = vec![T::ZERO; positions * patch];
    let mut smallest = f64::INFINITY;
    for group in 0..map.groups() {
        map.read_patches(group, input, &mut patches);
        let mut columns: Vec<f64> = patches.iter().map(|x| x.to_f64()).collect();
        let values = singular_values_of_columns(&mut columns, positions)?;
        smallest = smallest.min(values[positions - 1]);
    }
    Ok(smallest)
}

/// The map from the input of a layer to z, without bias.
struct Unrolled<'a, T: Real> {
    map: &'a dyn LinearMap<T>,
    weight: &'a [T],
    features: usize,
}

impl<T: Real> Unrolled<'_, T> {
    /// (groups, outputs, positions, patch).
    fn sizes(&self) -> (usize, usize, usize, usize) {
        (self.map.groups(), self.map.outputs(), self.map.positions(), self.map.patch())
    }

    /// Where output o of a group at position p lies in z: start, step of outputs, step of positions.
    fn layout(&self, group: usize) -> (usize, usize, usize) {
        let (groups, outputs, positions, _) = self.sizes();
        if self.map.channels_first() {
            (group * outputs * positions, positions, 1)
        } else {
            (group * outputs, 1, groups * outputs)
        }
    }
}

impl<T: Real> RectangularOperator<T> for Unrolled<'_, T> {
    fn rows(&self) -> usize {
        let (groups, outputs, positions, _) = self.sizes();
        groups * outputs * positions
    }

    fn columns(&self) -> usize {
        self.features
    }

    fn apply(&self, x: &[T], z: &mut [T]) {
        let (groups, outputs, positions, patch) = self.sizes();
        let mut patches = vec![T::ZERO; positions * patch];
        for group in 0..groups {
            self.map.read_patches(group, x, &mut patches);
            let (start, down, right) = self.layout(group);
            gemm(
                Isa::current(),
                T::ONE,
                MatrixRef::row_major(&self.weight[group * outputs * patch..], outputs, patch),
                MatrixRef::row_major(&patches, positions, patch).transposed(),
                T::ZERO,
                MatrixMut::new(&mut z[start..], outputs, positions, down, right),
            );
        }
    }

    fn apply_transposed(&self, z: &[T], x: &mut [T]) {
        let (groups, outputs, positions, patch) = self.sizes();
        let mut patches = vec![T::ZERO; positions * patch];
        x.fill(T::ZERO);
        for group in 0..groups {
            let (start, down, right) = self.layout(group);
            gemm(
                Isa::current(),
                T::ONE,
                MatrixRef::new(&z[start..], outputs, positions, down, right).transposed(),
                MatrixRef::row_major(&self.weight[group * outputs * patch..], outputs, patch),
                T::ZERO,
                MatrixMut::row_major(&mut patches, positions, patch),
            );
            self.map.add_patches(group, &patches, x);
        }
    }
}
