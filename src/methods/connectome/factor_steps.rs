//! Minimisers of the objective over nonnegative factors.

use super::entries;
use super::factor_objective::{FactorObjective, FactorValue};
use super::fitted::TracePoint;
use crate::Result;

/// Why a minimiser paused or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Step,
    Converged,
    Stalled,
}

/// max(z, 0)-steps with a carried step size: the published projected gradient.
///
/// Stops if the norm of the gradient over entries that are not exactly zero is at most tol times that
/// of the first gradient. A trial z⁺ = max(z − ηg, 0) holds if f(z⁺) − f(z) ≤ σ⟨g, z⁺ − z⟩. If it holds,
/// η is divided by β until it fails, then multiplied by β once; if it fails, η is multiplied by β until
/// it holds. Departure: both loops end where the trial no longer moves, without which the published
/// code can run for ever.
pub(super) struct ArmijoSteps {
    pub eta: f64,
    pub sigma: f64,
    pub beta: f64,
}

/// Changes of η within one step.
const MOST_CHANGES: usize = 400;

/// max(base − ηg, 0).
fn trial(base: &[f64], g: &[f64], eta: f64) -> Vec<f64> {
    base.iter()
        .zip(g)
        .map(|(z, g)| {
            let z = z - eta * g;
            if z > 0.0 { z } else { 0.0 }
        })
        .collect()
}

impl ArmijoSteps {
    /// One step from z with value `f` and gradient `g`; the accepted point.
    pub fn step(
        &mut self,
        objective: &FactorObjective<'_>,
        z: &[f64],
        f: f64,
        g: &[f64],
    ) -> Result<Option<Vec<f64>>> {
        let holds = |candidate: &[f64]| -> Result<bool> {
            if !entries::all_finite(candidate) {
                return Ok(false);
            }
            let value = objective.value(candidate)?.objective;
            let slope: f64 =
                g.iter().zip(candidate.iter().zip(z)).map(|(g, (a, b))| g * (a - b)).sum();
            Ok(value.is_finite() && value - f <= self.sigma * slope)
        };
        let mut candidate = trial(z, g, self.eta);
        if holds(&candidate)? {
            for _ in 0..MOST_CHANGES {
                let eta = self.eta / self.beta;
                let next = trial(z, g, eta);
                if !eta.is_finite() || next == candidate || !holds(&next)? {
                    break;
                }
                self.eta = eta;
                candidate = next;
            }
            return Ok(Some(candidate));
        }
        for _ in 0..MOST_CHANGES {
            self.eta *= self.beta;
            candidate = trial(z, g, self.eta);
            if candidate == z || self.eta == 0.0 {
                return Ok(None);
            }
            if holds(&candidate)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }
}

/// The norm of the gradient over entries that are not exactly zero.
pub(super) fn published_norm(z: &[f64], g: &[f64]) -> f64 {
    z.iter().zip(g).filter(|(z, _)| **z != 0.0).map(|(_, g)| g * g).sum::<f64>().sqrt()
}

/// Fixed steps with the published momentum: the gradient is taken at z, the step leaves from
/// z + m (k − 2)/(k + 1)(z − z_before), and from the start itself in the first two iterations.
pub(super) struct PublishedMomentum {
    pub step: f64,
    pub weight: f64,
    base: Vec<f64>,
    before: Vec<f64>,
    k: usize,
}

impl PublishedMomentum {
    pub fn new(step: f64, weight: f64, start: &[f64]) -> Self {
        Self { step, weight, base: start.to_vec(), before: start.to_vec(), k: 0 }
    }

    pub fn step(&mut self, z: &mut Vec<f64>, g: &[f64]) {
        if self.weight > 0.0 && self.k > 1 {
            let c = self.weight * (self.k as f64 - 2.0) / (self.k as f64 + 1.0);
            self.base = z.iter().zip(&self.before).map(|(z, old)| z + c * (z - old)).collect();
        } else if self.weight == 0.0 {
            self.base.clone_from(z);
        }
        self.k += 1;
        let next = trial(&self.base, g, self.step);
        self.before = std::mem::replace(z, next);
    }
}

/// Accelerated projected gradient: the gradient at the extrapolated point, weight (k − 1)/(k + 2),
/// restart where ⟨g, z_new − z_old⟩ > 0, and (unless the step is fixed) backtracking.
///
/// A trial z⁺ from y holds if f(z⁺) ≤ f(y) + ⟨g, z⁺ − y⟩ + ‖z⁺ − y‖²/(2η); η halves until it does, and
/// grows by a tenth after each step that needed no halving.
pub(super) struct AcceleratedSteps {
    pub eta: f64,
    pub fixed: bool,
    y: Vec<f64>,
    k: usize,
    pub restarts: usize,
}

impl AcceleratedSteps {
    pub fn new(eta: f64, fixed: bool, start: &[f64]) -> Self {
        Self { eta, fixed, y: start.to_vec(), k: 1, restarts: 0 }
    }

    /// One step; the value at the new z, where it was computed.
    pub fn step(
        &mut self,
        objective: &FactorObjective<'_>,
        z: &mut Vec<f64>,
        g: &mut [f64],
    ) -> Result<(End, Option<FactorValue>)> {
        let at_y = objective.gradient(&self.y, g)?;
        let mut next = trial(&self.y, g, self.eta);
        let mut value = None;
        if !self.fixed {
            let mut halved = false;
            loop {
                if next == self.y {
                    return Ok((if self.y == *z { End::Stalled } else { self.restart(z) }, None));
                }
                let (mut slope, mut square) = (0.0, 0.0);
                for ((n, y), g) in next.iter().zip(&self.y).zip(g.iter()) {
                    slope += g * (n - y);
                    square += (n - y) * (n - y);
                }
                let there = objective.value(&next)?;
                let rounding = 4.0 * f64::EPSILON * at_y.objective.abs();
                let bound = at_y.objective + slope + square / (2.0 * self.eta) + rounding;
                if there.objective <= bound {
                    value = Some(there);
                    break;
                }
                halved = true;
                self.eta *= 0.5;
                next = trial(&self.y, g, self.eta);
            }
            if !halved {
                self.eta *= 1.1;
            }
        }
        let progress: f64 =
            g.iter().zip(next.iter().zip(z.iter())).map(|(g, (n, o))| g * (n - o)).sum();
        if progress > 0.0 {
            self.k = 1;
            self.restarts += 1;
        }
        let weight = (self.k as f64 - 1.0) / (self.k as f64 + 2.0);
        self.y = next.iter().zip(z.iter()).map(|(n, o)| n + weight * (n - o)).collect();
        self.k += 1;
        *z = next;
        Ok((End::Step, value))
    }

    fn restart(&mut self, z: &[f64]) -> End {
        self.y = z.to_vec();
        self.k = 1;
        self.restarts += 1;
        End::Step
    }
}

/// A trace that keeps every point.
pub(super) fn record(trace: &mut Vec<TracePoint>, iteration: usize, value: f64) {
    trace.push(TracePoint { iteration, value });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectome::{Observed, SmoothingOperator, TracingData};
    use crate::io::Archive;

    #[test]
    fn the_published_rule_accepts_the_stored_steps() {
        let root = env!("CARGO_MANIFEST_DIR");
        let golden = Archive::read(format!("{root}/tests/golden/connectome/p2.npz")).unwrap();
        let mat = |name: &str| golden.get(name).unwrap().to_mat::<f64>().unwrap();
        let data = TracingData::builder()
            .injections_dense(mat("X").as_ref())
            .projections(mat("Y").as_ref())
            .observed(Observed::from_ones(mat("Omega").as_ref()).unwrap())
            .build()
            .unwrap();
        let (lx, ly) =
            (SmoothingOperator::of_box(&[24]).unwrap(), SmoothingOperator::of_box(&[30]).unwrap());
        let lambda_eff = golden.get("lam_eff").unwrap().scalar().unwrap();
        let objective = FactorObjective::new(&data, &lx, &ly, lambda_eff, 4).unwrap();
        let mut z = objective.pack(mat("U0").as_ref(), mat("V0").as_ref()).unwrap();
        let mut rule = ArmijoSteps { eta: 0.1, sigma: 0.01, beta: 0.1 };
        let mut g = vec![0.0; z.len()];
        // Powers of ten, of which only the rounding of repeated products may differ.
        for want in golden.get("armijo_eta").unwrap().to_f64().unwrap() {
            let f = objective.gradient(&z, &mut g).unwrap().objective;
            z = rule.step(&objective, &z, f, &g).unwrap().unwrap();
            assert!((rule.eta - want).abs() <= 1e-14 * want, "{} {want}", rule.eta);
        }
    }
}
