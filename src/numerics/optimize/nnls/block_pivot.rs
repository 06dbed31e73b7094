//! Block principal pivoting over many right-hand sides.

use std::collections::BTreeMap;

use faer::Mat;
use hesse_kernels::Isa;
use hesse_kernels::level1::axpy;

use super::active_set::{lawson_hanson, not_positive, refine};
use super::design::Design;
use super::gradient_methods::first_signs;
use super::passive::GramFactor;
use super::{Control, Iterate};
use crate::parallel;

/// Exchanges of all violating variables that may fail to lower their number, before variables are
/// exchanged one by one (Murty's rule, which ends for every independent problem).
const PATIENCE: usize = 3;

/// Most sweeps of coordinate descent before the first pivot; they end where a sweep changes no sign.
const SWEEPS: usize = 8;

/// The pivots of one right-hand side.
#[derive(Clone)]
struct Pivots {
    passive: Vec<bool>,
    /// Fewest violations so far, and how often more of them may follow.
    fewest: usize,
    patience: usize,
    iterations: usize,
    x: Vec<f64>,
    end: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// No violation is left.
    Solved,
    /// Dependent or badly conditioned columns, or pivots used up.
    Unsettled,
}

/// Solves for all right-hand sides; `linear` holds Âᵀb for each.
pub(super) fn block_pivot(
    design: &Design,
    rhs: &[Vec<f64>],
    linear: &[Vec<f64>],
    control: Control,
) -> Vec<Iterate> {
    let n = design.columns();
    // Signs are cheap to guess: a sweep costs n² multiplications, a factor p³/6 of them.
    let mut all: Vec<Pivots> = parallel::map(rhs.len(), |k| Pivots {
        passive: first_signs(design.gram(), &linear[k], SWEEPS),
        fewest: n + 1,
        patience: PATIENCE,
        iterations: 0,
        x: vec![0.0; n],
        end: None,
    });
    loop {
        // Right-hand sides with the same passive set share a factor; groups in a fixed order.
        let mut groups: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
        for (k, pivots) in all.iter().enumerate().filter(|(_, p)| p.end.is_none()) {
            groups.entry(pivots.passive.clone()).or_default().push(k);
        }
        if groups.is_empty() {
            break;
        }
        let groups: Vec<(Vec<bool>, Vec<usize>)> = groups.into_iter().collect();
        let moved = parallel::map(groups.len(), |g| {
            let (passive, members) = &groups[g];
            let passive: Vec<usize> = (0..n).filter(|&j| passive[j]).collect();
            let factor = GramFactor::new(design.gram(), &passive).filter(|factor| factor.safe);
            let solved = factor.as_ref().map(|f| solve_group(design, f, &passive, members, linear));
            let next = |(i, &k): (usize, &usize)| {
                let mut pivots = all[k].clone();
                match (&factor, &solved) {
                    (Some(factor), Some(solved)) => {
                        let (x, w) = &solved[i];
                        pivots.exchange(x, w, &linear[k], design, control);
                        if pivots.end == Some(End::Solved) {
                            refine(design, factor, &passive, &rhs[k], &linear[k], &mut pivots.x);
                        }
                    }
                    _ => pivots.end = Some(End::Unsettled),
                }
                pivots
            };
            members.iter().enumerate().map(next).collect::<Vec<_>>()
        });
        for ((_, members), moved) in groups.iter().zip(moved) {
            for (&k, pivots) in members.iter().zip(moved) {
                all[k] = pivots;
            }
        }
    }
    parallel::map(rhs.len(), |k| {
        let pivots = &all[k];
        if pivots.end == Some(End::Solved) {
            let x = pivots.x.clone();
            return Iterate { x, iterations: pivots.iterations, at_limit: false };
        }
        let mut rest = lawson_hanson(design, &rhs[k], &linear[k], control);
        rest.iterations += pivots.iterations;
        rest
    })
}

/// x on the passive set and w = c − G x for each member.
fn solve_group(
    design: &Design,
    factor: &GramFactor,
    passive: &[usize],
    members: &[usize],
    linear: &[Vec<f64>],
) -> Vec<(Vec<f64>, Vec<f64>)> {
    let (isa, n) = (Isa::current(), design.columns());
    let mut z = Mat::from_fn(passive.len(), members.len(), |i, c| linear[members[c]][passive[i]]);
    factor.solve(&mut z);
    let of_member = |(c, &k): (usize, &usize)| {
        let mut x = vec![0.0; n];
        let mut w = linear[k].clone();
        for (i, &j) in passive.iter().enumerate() {
            x[j] = z[(i, c)];
            axpy(isa, -x[j], design.gram().col_as_slice(j), &mut w);
        }
        (x, w)
    };
    members.iter().enumerate().map(of_member).collect()
}

impl Pivots {
    fn exchange(
        &mut self,
        x: &[f64],
        w: &[f64],
        linear: &[f64],
        design: &Design,
        control: Control,
    ) {
        let n = x.len();
        let size = linear.iter().fold(0.0_f64, |a, c| a.max(c.abs()));
        let terms: f64 = x.iter().enumerate().map(|(j, x)| x.abs() * design.norm(j)).sum();
        let rounding = 4.0 * f64::EPSILON * (n as f64).sqrt() * (size + 2.0 * terms);
        let least = (0.5 * control.tolerance * size).max(rounding);
        let violates = |j: usize, passive: bool| {
            // Negative where it may not be; NaN counts.
            if passive { not_positive(x[j]) } else { w[j] > least || w[j].is_nan() }
        };
        let violations: Vec<usize> = (0..n).filter(|&j| violates(j, self.passive[j])).collect();
        if violations.is_empty() {
            self.x.copy_from_slice(x);
            self.end = Some(End::Solved);
            return;
        }
        if self.iterations == control.limit {
            self.end = Some(End::Unsettled);
            return;
        }
        self.iterations += 1;
        let full = if violations.len() < self.fewest {
            (self.fewest, self.patience) = (violations.len(), PATIENCE);
            true
        } else if self.patience > 0 {
            self.patience -= 1;
            true
        } else {
            false
        };
        let exchanged = if full { &violations[..] } else { &violations[violations.len() - 1..] };
        for &j in exchanged {
            self.passive[j] = !self.passive[j];
        }
    }
}
