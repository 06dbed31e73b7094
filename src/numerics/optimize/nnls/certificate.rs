//! How well the conditions of optimality hold.

use hesse_kernels::Isa;
use hesse_kernels::level1::nrm2;

use super::design::Design;

/// Karush, Kuhn and Tucker's conditions for x ≥ 0, with w = Aᵀ(b − A x) − α²x (minus half the
/// gradient; weights included) and columns of A scaled to norms in [1, 2), relative to max |Aᵀb|
/// (absolute where that is 0).
///
/// x is a minimiser exactly where all three are 0.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct NnlsCertificate {
    /// max(0, −xⱼ) over all j, not relative: always 0.
    pub primal: f64,
    /// max(0, wⱼ) over xⱼ = 0: no variable wants to enter.
    pub dual: f64,
    /// max |wⱼ| over xⱼ > 0: none wants to move.
    pub complementarity: f64,
}

pub(super) struct Certified {
    pub certificate: NnlsCertificate,
    /// ‖b − A x‖ without the ridge.
    pub residual: f64,
    /// What rounding alone may leave in the certificate.
    pub noise: f64,
}

/// Recomputes everything from A, b and x, all scaled.
pub(super) fn certify(design: &Design, b: &[f64], linear: &[f64], x: &[f64]) -> Certified {
    let isa = Isa::current();
    let r = design.residual(b, x);
    let w = design.descent(&r, x);
    let size = linear.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
    let unit = if size > 0.0 { size } else { 1.0 };
    let (mut dual, mut moving, mut primal) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (w, &x) in w.iter().zip(x) {
        primal = primal.max(-x);
        if x > 0.0 { moving = moving.max(w.abs()) } else { dual = dual.max(*w) }
    }
    // Products of columns of norm below 2 with r, which has been summed from terms of this size.
    let terms: f64 = x.iter().enumerate().map(|(j, x)| x * design.norm(j)).sum();
    let rounding = (b.len() as f64).sqrt() + 8.0;
    let noise = 4.0 * f64::EPSILON * rounding * (nrm2(isa, b) + terms) / unit;
    Certified {
        certificate: NnlsCertificate { primal, dual: dual / unit, complementarity: moving / unit },
        residual: nrm2(isa, &r),
        noise,
    }
}
