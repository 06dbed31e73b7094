//! First-order methods on the Gram matrix: ½ xᵀG x − cᵀx over x ≥ 0.

use faer::Mat;
use hesse_kernels::Isa;
use hesse_kernels::level1::{axpy, dot};
use hesse_kernels::projected_gradient::{Bounds, extrapolate, kkt_residual, step};

use super::{Control, Iterate};

/// g ← G x − c.
fn gradient(gram: &Mat<f64>, c: &[f64], x: &[f64], g: &mut [f64]) {
    let isa = Isa::current();
    for (g, c) in g.iter_mut().zip(c) {
        *g = -c;
    }
    for (j, &x) in x.iter().enumerate().filter(|(_, x)| **x != 0.0) {
        axpy(isa, x, gram.col_as_slice(j), g);
    }
}

/// The residual that counts as converged: half the tolerance, as the certificate is computed anew.
fn goal(c: &[f64], control: Control) -> f64 {
    0.5 * control.tolerance * c.iter().fold(0.0_f64, |a, c| a.max(c.abs()))
}

/// Keeps the iterate with the smallest residual.
struct Best {
    x: Vec<f64>,
    residual: f64,
}

impl Best {
    fn offer(&mut self, x: &[f64], residual: f64) {
        if residual < self.residual {
            self.x.copy_from_slice(x);
            self.residual = residual;
        }
    }
}

/// Largest row sum of |G|: no eigenvalue is larger.
fn lipschitz(gram: &Mat<f64>) -> f64 {
    let sum = |j: usize| gram.col_as_slice(j).iter().map(|g| g.abs()).sum::<f64>();
    (0..gram.ncols()).map(sum).fold(0.0, f64::max)
}

/// One sweep over all coordinates; whether one has moved.
fn sweep(isa: Isa, gram: &Mat<f64>, x: &mut [f64], g: &mut [f64]) -> bool {
    let mut moved = false;
    for j in 0..x.len() {
        let curvature = gram[(j, j)];
        if curvature == 0.0 {
            continue;
        }
        let target = x[j] - g[j] / curvature;
        let new = if target > 0.0 { target } else { 0.0 };
        if new != x[j] {
            axpy(isa, new - x[j], gram.col_as_slice(j), g);
            x[j] = new;
            moved = true;
        }
    }
    moved
}

/// Which variables are positive after so many sweeps of coordinate descent, or after one that changes
/// none.
pub(super) fn first_signs(gram: &Mat<f64>, c: &[f64], sweeps: usize) -> Vec<bool> {
    let isa = Isa::current();
    let (mut x, mut g): (Vec<f64>, Vec<f64>) = (vec![0.0; c.len()], c.iter().map(|c| -c).collect());
    let mut positive = vec![false; c.len()];
    for _ in 0..sweeps {
        sweep(isa, gram, &mut x, &mut g);
        let mut changed = false;
        for (positive, x) in positive.iter_mut().zip(&x) {
            changed |= *positive != (*x > 0.0);
            *positive = *x > 0.0;
        }
        if !changed {
            break;
        }
    }
    positive
}

/// xⱼ ← max(0, xⱼ − gⱼ/Gⱼⱼ) for one j after the other; the gradient is kept up to date, and
/// recomputed now and then.
pub(super) fn coordinate_descent(gram: &Mat<f64>, c: &[f64], control: Control) -> Iterate {
    const FRESH: usize = 50;
    let (isa, n) = (Isa::current(), c.len());
    let goal = goal(c, control);
    let (mut x, mut g) = (vec![0.0; n], vec![0.0; n]);
    gradient(gram, c, &x, &mut g);
    let mut sweeps = 0;
    loop {
        if kkt_residual(isa, &x, &g, Bounds::nonnegative()) <= goal {
            gradient(gram, c, &x, &mut g);
            if kkt_residual(isa, &x, &g, Bounds::nonnegative()) <= goal {
                return Iterate { x, iterations: sweeps, at_limit: false };
            }
        }
        if sweeps == control.limit {
            return Iterate { x, iterations: sweeps, at_limit: true };
        }
        sweeps += 1;
        let moved = sweep(isa, gram, &mut x, &mut g);
        if sweeps.is_multiple_of(FRESH) || !moved {
            gradient(gram, c, &x, &mut g);
        }
        if !moved {
            // No coordinate moves any more in these digits.
            return Iterate { x, iterations: sweeps, at_limit: false };
        }
    }
}

/// Projected gradient with Nesterov's momentum, restarted where it points uphill.
pub(super) fn accelerated(gram: &Mat<f64>, c: &[f64], control: Control) -> Iterate {
    let (isa, n) = (Isa::current(), c.len());
    let goal = goal(c, control);
    let bound = lipschitz(gram);
    let eta = if bound > 0.0 { 1.0 / bound } else { 0.0 };
    let (mut x, mut base, mut new) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    let mut g = vec![0.0; n];
    let mut best = Best { x: x.clone(), residual: f64::INFINITY };
    let mut momentum = 1.0_f64;
    for iterations in 0..control.limit {
        gradient(gram, c, &base, &mut g);
        let sums = step(isa, eta, &base, &g, Bounds::nonnegative(), &x, &mut new);
        best.offer(&base, sums.kkt);
        if sums.kkt <= goal {
            return Iterate { x: best.x, iterations, at_limit: false };
        }
        if sums.progress > 0.0 {
            // Uphill: from x again, without momentum.
            momentum = 1.0;
            base.copy_from_slice(&x);
            continue_from(gram, c, eta, &mut base, &mut g, &mut new);
        }
        let next = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
        extrapolate(isa, (momentum - 1.0) / next, &new, &x, &mut base);
        // The momentum may leave the cone; the objective is defined there, x is not returned there.
        base.iter_mut().for_each(|b| *b = if *b > 0.0 { *b } else { 0.0 });
        momentum = next;
        std::mem::swap(&mut x, &mut new);
    }
    gradient(gram, c, &x, &mut g);
    best.offer(&x, kkt_residual(isa, &x, &g, Bounds::nonnegative()));
    Iterate { x: best.x, iterations: control.limit, at_limit: true }
}

/// A plain step from `base` into `new`.
fn continue_from(
    gram: &Mat<f64>,
    c: &[f64],
    eta: f64,
    base: &mut [f64],
    g: &mut [f64],
    new: &mut [f64],
) {
    gradient(gram, c, base, g);
    step(Isa::current(), eta, base, g, Bounds::nonnegative(), base, new);
}

/// Steps of Barzilai and Borwein's length, cut back to the minimum along the projected direction.
pub(super) fn spectral(gram: &Mat<f64>, c: &[f64], control: Control) -> Iterate {
    let (isa, n) = (Isa::current(), c.len());
    let goal = goal(c, control);
    let bound = lipschitz(gram);
    let mut eta = if bound > 0.0 { 1.0 / bound } else { 0.0 };
    let (mut x, mut g) = (vec![0.0; n], vec![0.0; n]);
    let (mut new, mut direction, mut turned) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    gradient(gram, c, &x, &mut g);
    let mut best = Best { x: x.clone(), residual: f64::INFINITY };
    let zero = vec![0.0; n];
    for iterations in 0..control.limit {
        let sums = step(isa, eta, &x, &g, Bounds::nonnegative(), &x, &mut new);
        best.offer(&x, sums.kkt);
        if sums.kkt <= goal || sums.moved == 0.0 {
            return Iterate { x: best.x, iterations, at_limit: false };
        }
        for ((d, new), x) in direction.iter_mut().zip(&new).zip(&x) {
            *d = new - x;
        }
        gradient(gram, &zero, &direction, &mut turned);
        let curvature = dot(isa, &direction, &turned);
        let along = if curvature > 0.0 { (-sums.slope / curvature).min(1.0) } else { 1.0 };
        axpy(isa, along, &direction, &mut x);
        x.iter_mut().for_each(|x| *x = if *x > 0.0 { *x } else { 0.0 });
        if iterations % 50 == 49 {
            gradient(gram, c, &x, &mut g);
        } else {
            axpy(isa, along, &turned, &mut g);
        }
        // Alternately the long and the short step.
        let (length, square) = (sums.moved, dot(isa, &turned, &turned));
        let proposal = if iterations % 2 == 0 { length / curvature } else { curvature / square };
        let largest = 1e10 / bound;
        eta = if proposal > 0.0 && proposal <= largest { proposal } else { 1.0 / bound };
    }
    gradient(gram, c, &x, &mut g);
    best.offer(&x, kkt_residual(isa, &x, &g, Bounds::nonnegative()));
    Iterate { x: best.x, iterations: control.limit, at_limit: true }
}
