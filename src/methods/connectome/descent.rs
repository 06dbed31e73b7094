//! Projected steps that lower the objective each time: slower than the exchange of active sets, and
//! certain.

use super::entries::{self, Active};
use super::objective::SplineObjective;
use super::preconditioner::Inverse;
use crate::parallel;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The objective is lower.
    Lower,
    /// The projected gradient is within the bound.
    Done,
    /// No step lowers it: rounding.
    Stagnated,
}

/// Halvings of a step.
const HALVINGS: i32 = 30;

/// Moves a feasible x along the preconditioned projected gradient, or along the projected gradient
/// itself where that does not lower the objective (Bertsekas 1982).
///
/// `q` holds the half gradient A x − B at x, `r`, `p`, `s` are overwritten. With
/// Δ = max(x + αd, 0) − x, f changes by 2⟨q, Δ⟩ + ⟨Δ, A Δ⟩, exactly; a step is taken if that is at
/// most 10⁻⁴ · 2⟨q, Δ⟩ < 0.
pub(super) fn step(
    objective: &SplineObjective<'_>,
    inverse: &Inverse,
    bound: f64,
    x: &mut [f64],
    r: &mut [f64],
    p: &mut [f64],
    q: &[f64],
    s: &mut [f64],
) -> Outcome {
    let active = Active::of_feasible(x, q);
    entries::axpby(-1.0, q, 0.0, r);
    active.project(r);
    if entries::square(r).sqrt() <= bound {
        return Outcome::Done;
    }
    for preconditioned in [true, false] {
        if preconditioned && inverse.is_identity() {
            continue;
        }
        if !preconditioned {
            entries::axpby(-1.0, q, 0.0, p);
        } else {
            inverse.apply(objective, &active, r, p, s);
        }
        active.project(p);
        let slope = -entries::dot(p, q);
        let (loss, penalty) = objective.curvature_in(p, s);
        let curvature = loss + objective.lambda_eff * penalty;
        if !(slope > 0.0 && curvature > 0.0) {
            continue;
        }
        let mut alpha = slope / curvature;
        for _ in 0..if preconditioned { 6 } else { HALVINGS } {
            projected(x, p, alpha, r);
            let change = entries::dot(q, r);
            let (loss, penalty) = objective.curvature_in(r, s);
            let curvature = loss + objective.lambda_eff * penalty;
            if change < 0.0 && 2.0 * change + curvature <= 2e-4 * change {
                entries::axpy(1.0, r, x);
                entries::clip(x);
                return Outcome::Lower;
            }
            alpha *= 0.5;
        }
    }
    Outcome::Stagnated
}

/// Δ ← max(x + αd, 0) − x.
fn projected(x: &[f64], d: &[f64], alpha: f64, delta: &mut [f64]) {
    const PIECE: usize = 1 << 13;
    parallel::for_each_piece(delta, PIECE, |i, delta| {
        let first = i * PIECE;
        for (j, delta) in delta.iter_mut().enumerate() {
            let (x, d) = (x[first + j], d[first + j]);
            let step = alpha * d;
            *delta = if x + step < 0.0 { -x } else { step };
        }
    });
}
