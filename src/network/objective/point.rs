//! An objective at one point, with its primal passes kept.

use super::shard::{Primal, Samples, bytes_of};
use super::{GaussNewton, Hessian, Objective};
use crate::Real;
use crate::network::layer::Keep;
use crate::network::loss::Scales;

/// The objective at one θ: value, gradient and the operators of second order, whose products reuse
/// the primal passes that are kept here.
#[derive(Debug)]
pub struct Point<'o, 'a, T: Real> {
    pub(super) objective: &'o Objective<'a, T>,
    parameters: Vec<T>,
    value: f64,
    gradient: Vec<T>,
    /// Primal passes of the first shards; the others are computed when they are needed.
    kept: Vec<Primal<T>>,
}

impl<'o, 'a, T: Real> Point<'o, 'a, T> {
    pub(super) fn new(objective: &'o Objective<'a, T>, parameters: Vec<T>) -> Self {
        let shards = objective.shards();
        let per_shard = bytes_of(objective.network, shards.size()).max(1);
        let keep = (objective.memory_budget / per_shard).min(shards.len());
        let slots: Vec<std::sync::Mutex<Primal<T>>> =
            (0..keep).map(|_| Default::default()).collect();
        let (value, gradient) = shards.reduce(parameters.len(), &objective.vectors, |s, sum| {
            objective.workspaces.with(|work| {
                let samples = Samples::Range(shards.range(s));
                let scales = objective.scales(&samples);
                let keep = Keep::SecondOrder;
                let loss = objective.primal(&parameters, &samples, &scales, keep, Some(sum), work);
                if let Some(slot) = slots.get(s) {
                    let slot = &mut *slot.lock().unwrap_or_else(|e| e.into_inner());
                    std::mem::swap(slot, &mut work.primal);
                }
                loss
            })
        });
        let kept =
            slots.into_iter().map(|slot| slot.into_inner().unwrap_or_else(|e| e.into_inner()));
        Self { objective, kept: kept.collect(), parameters, value, gradient }
    }

    /// θ.
    #[must_use]
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// L(θ).
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// ∇L(θ).
    #[must_use]
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// ∇²L(θ) as an operator.
    #[must_use]
    pub fn hessian(&self) -> Hessian<'_, 'o, 'a, T> {
        Hessian::new(self)
    }

    /// The Gauss-Newton matrix Σᵢ sᵢ Jᵢᵀ ∂²ℓᵢ Jᵢ as an operator, J the Jacobian of the outputs in the
    /// parameters: the Hessian of the loss of the linearised network.
    #[must_use]
    pub fn gauss_newton(&self) -> GaussNewton<'_, 'o, 'a, T> {
        GaussNewton::new(self)
    }

    /// Number of shards whose primal passes are kept, and of all.
    #[must_use]
    pub fn kept_shards(&self) -> (usize, usize) {
        (self.kept.len(), self.objective.shards().len())
    }

    /// Lends the primal pass of shard `s`, kept or computed again into `own`.
    pub(super) fn primal<'p>(
        &'p self,
        s: usize,
        samples: &Samples<'_>,
        scales: &Scales<T>,
        own: &'p mut super::shard::Workspace<T>,
    ) -> (&'p Primal<T>, Buffers<'p, T>) {
        let primal = match self.kept.get(s) {
            Some(kept) => kept,
            None => {
                let keep = Keep::SecondOrder;
                self.objective.primal(&self.parameters, samples, scales, keep, None, own);
                &own.primal
            }
        };
        let buffers = Buffers {
            tangents: &mut own.tangents,
            scratch: &mut own.scratch,
            error: &mut own.error,
        };
        (primal, buffers)
    }
}

/// The buffers of a workspace but for its primal pass.
pub(super) struct Buffers<'p, T> {
    pub(super) tangents: &'p mut crate::network::layer::State<T>,
    pub(super) scratch: &'p mut crate::network::layer::State<T>,
    pub(super) error: &'p mut Vec<T>,
}
