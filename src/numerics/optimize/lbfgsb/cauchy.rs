//! The generalised Cauchy point: the first minimum of the quadratic model along the projected
//! gradient path.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::compact::Compact;
use crate::Real;
use hesse_kernels::projected_gradient::Bounds;

/// A bound that the path meets at `time`; the earliest is the greatest.
#[derive(PartialEq)]
struct Meeting {
    time: f64,
    variable: usize,
}

impl Eq for Meeting {}

impl Ord for Meeting {
    fn cmp(&self, other: &Self) -> Ordering {
        other.time.total_cmp(&self.time).then_with(|| other.variable.cmp(&self.variable))
    }
}

impl PartialOrd for Meeting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The point, and c = Wᵀ(point − x).
pub(super) struct CauchyPoint<T> {
    pub x: Vec<T>,
    pub c: Vec<f64>,
    /// Whether a variable is not at a bound that the path has met.
    pub free: Vec<bool>,
}

/// Algorithm CP of Byrd, Lu, Nocedal and Zhu 1995, in `f64`; bounds are met exactly.
/// O(n m + q (log n + m²)) for q bounds met.
pub(super) fn cauchy_point<T: Real>(
    compact: &Compact<T>,
    x: &[T],
    g: &[T],
    bounds: &Bounds<'_, T>,
) -> CauchyPoint<T> {
    let (n, k) = (x.len(), 2 * compact.pairs());
    let theta = compact.theta;
    let mut direction = vec![T::ZERO; n];
    let mut times = vec![0.0; n];
    let mut meetings = Vec::new();
    let mut slope = 0.0;
    for i in 0..n {
        let (low, high) = bounds.at(i);
        let (xi, gi) = (x[i].to_f64(), g[i].to_f64());
        let bound = if gi < 0.0 { high } else { low };
        times[i] = if gi == 0.0 { f64::INFINITY } else { (xi - bound.to_f64()) / gi };
        if times[i] > 0.0 && gi != 0.0 {
            direction[i] = -g[i];
            slope -= gi * gi;
            if times[i].is_finite() {
                meetings.push(Meeting { time: times[i], variable: i });
            }
        }
    }
    let mut point = x.to_vec();
    let mut free: Vec<bool> = times.iter().map(|&t| t > 0.0).collect();
    let mut c = vec![0.0; k];
    if slope == 0.0 {
        return CauchyPoint { x: point, c, free };
    }
    let mut p = compact.transpose_times(&direction);
    let mut curvature = -theta * slope - small_dot(&p, &compact.middle(&p));
    let first_curvature = -theta * slope;
    curvature = curvature.max(f64::EPSILON * first_curvature);
    let mut time = 0.0;
    let mut row = vec![0.0; k];
    let mut heap = BinaryHeap::from(meetings);
    let mut rest = -slope / curvature;
    while let Some(Meeting { time: next, variable: b }) = heap.peek().map(|m| Meeting { ..*m }) {
        let passed = next - time;
        if rest < passed {
            break;
        }
        heap.pop();
        let (low, high) = bounds.at(b);
        let gb = g[b].to_f64();
        point[b] = if gb < 0.0 { high } else { low };
        free[b] = false;
        direction[b] = T::ZERO;
        let z = point[b].to_f64() - x[b].to_f64();
        c.iter_mut().zip(&p).for_each(|(c, p)| *c += passed * p);
        compact.row(b, &mut row);
        let (mc, mp, mw) = (compact.middle(&c), compact.middle(&p), compact.middle(&row));
        slope += passed * curvature + gb * gb + theta * gb * z - gb * small_dot(&row, &mc);
        curvature +=
            -theta * gb * gb - 2.0 * gb * small_dot(&row, &mp) - gb * gb * small_dot(&row, &mw);
        curvature = curvature.max(f64::EPSILON * first_curvature);
        p.iter_mut().zip(&row).for_each(|(p, w)| *p += gb * w);
        time = next;
        rest = -slope / curvature;
        if slope >= 0.0 {
            rest = 0.0;
            break;
        }
        if heap.is_empty() && direction.iter().all(|d| *d == T::ZERO) {
            rest = 0.0;
        }
    }
    let rest = if rest > 0.0 { rest } else { 0.0 };
    time += rest;
    c.iter_mut().zip(&p).for_each(|(c, p)| *c += rest * p);
    for i in (0..n).filter(|&i| direction[i] != T::ZERO) {
        let (low, high) = bounds.at(i);
        let moved = T::from_f64(x[i].to_f64() + time * direction[i].to_f64());
        point[i] = super::super::minimum::clamp(moved, low, high);
    }
    CauchyPoint { x: point, c, free }
}

pub(super) fn small_dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
