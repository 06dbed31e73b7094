//! Lawson and Hanson's method, and the refinement of what others have found.

use faer::Mat;

use super::design::Design;
use super::passive::{GramFactor, least_squares};
use super::{Control, Iterate};

/// Corrections of a solution by its residual.
const REFINEMENTS: usize = 3;

/// Zero, negative or NaN.
pub(super) fn not_positive(x: f64) -> bool {
    x <= 0.0 || x.is_nan()
}

/// The minimiser over the passive columns alone, of either sign: from the Gram matrix, corrected by
/// residuals, or by QR where the Gram matrix is too ill-conditioned. `None` where the columns are
/// dependent to rounding.
pub(super) fn solve_passive(
    design: &Design,
    passive: &[usize],
    b: &[f64],
    linear: &[f64],
) -> Option<Vec<f64>> {
    match GramFactor::new(design.gram(), passive) {
        Some(factor) if factor.safe => {
            let mut z = Mat::from_fn(passive.len(), 1, |i, _| linear[passive[i]]);
            factor.solve(&mut z);
            Some(z.col_as_slice(0).to_vec())
        }
        _ => least_squares(design, passive, b),
    }
}

/// Corrects x, positive on `passive`, with residuals of A itself, as long as it stays positive. Nothing
/// is gained where the columns are nearly orthogonal and what is left is rounding.
pub(super) fn refine(
    design: &Design,
    factor: &GramFactor,
    passive: &[usize],
    b: &[f64],
    linear: &[f64],
    x: &mut [f64],
) {
    let scale = linear.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
    let mut last = f64::INFINITY;
    for _ in 0..REFINEMENTS {
        let r = design.residual(b, x);
        let w = design.descent(&r, x);
        let mut correction = Mat::from_fn(passive.len(), 1, |i, _| w[passive[i]]);
        let size = passive.iter().fold(0.0_f64, |a, &j| a.max(w[j].abs()));
        let rounding = f64::EPSILON * (design.rows() as f64).sqrt() * scale;
        if size == 0.0 || size > 0.5 * last || (factor.steep && size <= rounding) {
            return;
        }
        last = size;
        factor.solve(&mut correction);
        let new: Vec<f64> =
            passive.iter().enumerate().map(|(i, &j)| x[j] + correction[(i, 0)]).collect();
        if new.iter().any(|&x| not_positive(x)) {
            return;
        }
        passive.iter().zip(new).for_each(|(&j, new)| x[j] = new);
    }
}

/// From 0: variables enter one by one, the one with the largest gradient first; those that would
/// become negative leave.
///
/// Finite in exact arithmetic, because the objective falls with every entry. Rounding: a variable
/// enters only if its gradient is above the tolerance and above its rounding, if its column is
/// independent of the passive ones and if its own least squares solution is positive; else it is
/// passed over until something else has moved.
pub(super) fn lawson_hanson(
    design: &Design,
    b: &[f64],
    linear: &[f64],
    control: Control,
) -> Iterate {
    let n = design.columns();
    let size = linear.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
    let mut x = vec![0.0; n];
    let mut passive = Vec::new();
    let mut passed_over = vec![false; n];
    let mut iterations = 0;
    let at_limit = loop {
        let r = design.residual(b, &x);
        let w = design.descent(&r, &x);
        let norm = hesse_kernels::level1::nrm2(hesse_kernels::Isa::current(), &r);
        let rounding = 4.0 * f64::EPSILON * (design.rows() as f64).sqrt() * norm;
        let least = |j: usize| (0.5 * control.tolerance * size).max(rounding * design.norm(j));
        let mut entering = None;
        for j in 0..n {
            let candidate = x[j] == 0.0 && !passed_over[j] && w[j] > least(j);
            // The steepest for unit columns; the first of equals.
            let steep = w[j] / design.norm(j);
            if candidate && entering.is_none_or(|(_, best)| steep > best) {
                entering = Some((j, steep));
            }
        }
        let Some((entering, _)) = entering else { break false };
        if iterations == control.limit {
            break true;
        }
        iterations += 1;
        passive.push(entering);
        let accepted = descend(design, b, linear, &mut passive, &mut x);
        if accepted {
            passed_over.fill(false);
        }
        passed_over[entering] = !accepted || x[entering] == 0.0;
    };
    if let Some(factor) = GramFactor::new(design.gram(), &passive).filter(|f| f.safe) {
        refine(design, &factor, &passive, b, linear, &mut x);
    }
    Iterate { x, iterations, at_limit }
}

/// Moves x to the minimiser on the passive set, dropping variables at the boundary on the way.
/// False, with x as before, if the last one, which enters, cannot.
fn descend(
    design: &Design,
    b: &[f64],
    linear: &[f64],
    passive: &mut Vec<usize>,
    x: &mut [f64],
) -> bool {
    let mut first = true;
    loop {
        let Some(z) = solve_passive(design, passive, b, linear) else {
            if first {
                passive.pop();
                return false;
            }
            // A part of independent columns that has become dependent to rounding: stay here.
            return true;
        };
        if first && z.last().is_none_or(|&z| not_positive(z)) {
            passive.pop();
            return false;
        }
        first = false;
        if z.iter().all(|&z| z > 0.0) {
            passive.iter().zip(z).for_each(|(&j, z)| x[j] = z);
            return true;
        }
        let mut step = 1.0_f64;
        for (&j, &z) in passive.iter().zip(&z) {
            if not_positive(z) {
                step = step.min(x[j] / (x[j] - z));
            }
        }
        let mut dropped = false;
        for (&j, &z) in passive.iter().zip(&z) {
            let blocks = not_positive(z) && x[j] / (x[j] - z) <= step;
            x[j] = if blocks { 0.0 } else { x[j] + step * (z - x[j]) };
            x[j] = if x[j] > 0.0 { x[j] } else { 0.0 };
            dropped |= x[j] == 0.0;
        }
        passive.retain(|&j| x[j] > 0.0);
        if passive.is_empty() || !dropped {
            return true;
        }
    }
}
