//! Least squares on the columns of a passive set.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::qr::no_pivoting as qr;
use faer::{Conj, Mat, Par};

use super::design::Design;

/// Smallest squared pivot of a Gram matrix with a diagonal in [1, 4) that still leaves half of the
/// digits: below it the factorisation is done again from the columns themselves.
const SAFE_PIVOT: f64 = 1e-8;

/// Smallest pivot from which on the Gram matrix loses next to no digit.
const STEEP_PIVOT: f64 = 1e-2;

/// A factor of the Gram matrix of some columns.
pub(super) struct GramFactor {
    /// L, lower triangular.
    factor: Mat<f64>,
    pub safe: bool,
    /// Whether solutions need no correction.
    pub steep: bool,
}

impl GramFactor {
    /// `None` where the columns are dependent to rounding.
    pub fn new(gram: &Mat<f64>, passive: &[usize]) -> Option<Self> {
        let p = passive.len();
        let mut factor = Mat::from_fn(p, p, |i, j| gram[(passive[i], passive[j])]);
        if p == 0 {
            return Some(Self { factor, safe: true, steep: true });
        }
        let scratch =
            llt::factor::cholesky_in_place_scratch::<f64>(p, Par::Seq, Default::default());
        llt::factor::cholesky_in_place(
            factor.as_mut(),
            Default::default(),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
            Default::default(),
        )
        .ok()?;
        let mut smallest = f64::INFINITY;
        for j in 0..p {
            // Relative to its column: a pivot is the part of it that is in no other one.
            let pivot = factor[(j, j)] * factor[(j, j)] / gram[(passive[j], passive[j])];
            smallest = if pivot < smallest || pivot.is_nan() { pivot } else { smallest };
        }
        let dependent = 4.0 * p as f64 * f64::EPSILON;
        let (safe, steep) = (smallest > SAFE_PIVOT, smallest > STEEP_PIVOT);
        (smallest > dependent).then_some(Self { factor, safe, steep })
    }

    /// x ← (L Lᵀ)⁻¹ x for the columns of x.
    pub fn solve(&self, x: &mut Mat<f64>) {
        if self.factor.nrows() == 0 {
            return;
        }
        let stack = &mut MemBuffer::new(llt::solve::solve_in_place_scratch::<f64>(
            self.factor.nrows(),
            x.ncols(),
            Par::Seq,
        ));
        llt::solve::solve_in_place(
            self.factor.as_ref(),
            x.as_mut(),
            Par::Seq,
            MemStack::new(stack),
        );
    }
}

/// argmin ‖Â_P x − [b; 0]‖ by QR. `None` where the columns are dependent to rounding, or more than
/// there are rows.
pub(super) fn least_squares(design: &Design, passive: &[usize], b: &[f64]) -> Option<Vec<f64>> {
    let mut a = design.part(passive);
    let (m, p) = a.shape();
    if p == 0 {
        return Some(Vec::new());
    }
    if p > m {
        return None;
    }
    let block = qr::factor::recommended_block_size::<f64>(m, p);
    let mut householder = Mat::<f64>::zeros(block, p);
    let scratch = qr::factor::qr_in_place_scratch::<f64>(m, p, block, Par::Seq, Default::default());
    qr::factor::qr_in_place(
        a.as_mut(),
        householder.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    );
    let dependent = 2.0 * (m.max(p) as f64) * f64::EPSILON;
    for j in 0..p {
        let diagonal = a[(j, j)].abs();
        if diagonal <= dependent * design.norm(passive[j]) || diagonal.is_nan() {
            return None;
        }
    }
    let mut x = Mat::<f64>::zeros(m, 1);
    x.col_as_slice_mut(0)[..b.len()].copy_from_slice(b);
    let scratch = qr::solve::solve_lstsq_in_place_scratch::<f64>(m, p, block, 1, Par::Seq);
    qr::solve::solve_lstsq_in_place_with_conj(
        a.as_ref(),
        householder.as_ref(),
        a.as_ref().subrows(0, p),
        Conj::No,
        x.as_mut(),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
    );
    let x = x.col_as_slice(0)[..p].to_vec();
    x.iter().all(|x| x.is_finite()).then_some(x)
}
