//! How many eigenvalues of a sparse symmetric matrix lie below a bound, by counting pivots.

use hesse_kernels::level1;
use sprs::CsMatView;

use super::band_cholesky::Ordering;
use super::entries;
use crate::Isa;

/// Smallest pivot, in units of the largest row sum, that has a sign.
const LEAST_PIVOT: f64 = 1e-10;
/// Largest multiplier of a factorisation without pivoting that is trusted.
const LARGEST_MULTIPLIER: f64 = 1e6;

/// The number of eigenvalues of −A below σ, for symmetric A.
///
/// By Sylvester's law of inertia this is the number of negative pivots in −A − σI = L D Lᵀ, taken
/// within the band that `ordering` makes, without pivoting: n·width² flops, n·width numbers. `None`
/// where a pivot is too small or a multiplier too large for the signs to be trusted.
///
/// Source: B. N. Parlett, *The Symmetric Eigenvalue Problem* (1980), section 3.3.
pub(super) fn count_below(
    ordering: &Ordering,
    matrix: CsMatView<'_, f64>,
    sigma: f64,
) -> Option<usize> {
    let isa = Isa::current();
    let (n, width) = (matrix.rows(), ordering.bandwidth(matrix));
    let stride = width + 1;
    // Row i holds columns i − width to i: of L, and at its end the pivot.
    let mut rows = entries::zeros("band matrix", n.checked_mul(stride)?).ok()?;
    let mut scale = sigma.abs();
    for (row, entries) in matrix.outer_iterator().enumerate() {
        let i = ordering.place(row);
        scale = scale.max(entries.iter().map(|(_, v)| v.abs()).sum());
        for (column, value) in entries.iter() {
            let j = ordering.place(column);
            if j <= i {
                rows[i * stride + j + width - i] -= value;
            }
        }
        rows[i * stride + width] -= sigma;
    }
    let mut negative = 0;
    for i in 0..n {
        let first = i.saturating_sub(width);
        let (before, row) = rows.split_at_mut(i * stride);
        // L D of this row from the left, of which each element needs those before it.
        for j in first..i {
            let low = first.max(j.saturating_sub(width));
            let other = &before[j * stride + low + width - j..j * stride + width];
            let own = &row[low + width - i..j + width - i];
            row[j + width - i] -= level1::dot(isa, own, other);
        }
        let mut pivot = row[width];
        for j in first..i {
            let product = row[j + width - i];
            let multiplier = product / before[j * stride + width];
            if multiplier.is_nan() || multiplier.abs() > LARGEST_MULTIPLIER {
                return None;
            }
            pivot -= product * multiplier;
            row[j + width - i] = multiplier;
        }
        row[width] = pivot;
        if pivot.is_nan() || pivot.abs() <= LEAST_PIVOT * scale {
            return None;
        }
        negative += usize::from(pivot < 0.0);
    }
    Some(negative)
}

#[cfg(test)]
mod tests {
    use super::super::SmoothingOperator;
    use super::*;
    use crate::connectome::CosineModes;

    #[test]
    fn eigenvalues_of_a_box_are_counted_between_each_two() {
        let l = SmoothingOperator::of_box(&[7, 5]).unwrap();
        let ordering = Ordering::new(l.matrix());
        let mut values = CosineModes::new(&[7, 5]).unwrap().eigenvalues().to_vec();
        values.iter_mut().for_each(|v| *v = -*v);
        values.sort_by(f64::total_cmp);
        for (i, pair) in values.windows(2).enumerate() {
            if pair[1] - pair[0] > 1e-3 {
                // Not the middle: 4 is a diagonal element, a first pivot of 0.
                let sigma = pair[0] + 0.381_966 * (pair[1] - pair[0]);
                assert_eq!(count_below(&ordering, l.matrix(), sigma), Some(i + 1), "{sigma}");
            }
        }
        assert_eq!(count_below(&ordering, l.matrix(), -0.1), Some(0));
        assert_eq!(count_below(&ordering, l.matrix(), 9.0), Some(35));
        // An eigenvalue itself has no side.
        assert_eq!(count_below(&ordering, l.matrix(), 0.0), None);
    }
}
