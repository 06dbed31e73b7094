//! The Hessian and the Gauss-Newton matrix as operators.

use faer::Mat;

use super::Point;
use super::shard::Samples;
use crate::krylov::LinearOperator;
use crate::network::layer::{Adjoint, Directions, Gradients, Layer, Tangent};
use crate::{Error, Real, Result};

/// Tangents that go through the network together: they share the reads of weights and of the primal
/// pass. With eight, the arrays of a shard of a network 100 wide leave the L2 cache and a block costs
/// a tenth more; on wide networks the products rule and the number does not matter.
const TANGENTS: usize = 4;

/// ∇²L(θ), exactly: every product is one tangent pass forwards and one backwards (Pearlmutter 1994),
/// from the primal pass kept at the point.
///
/// Cost of a product: four matrix products for every dense layer and one for each of its two weight
/// gradients; twice the flops of a gradient, and no primal work where it was kept.
#[derive(Clone, Copy, Debug)]
pub struct Hessian<'p, 'o, 'a, T: Real> {
    point: &'p Point<'o, 'a, T>,
}

/// G = Σᵢ sᵢ Jᵢᵀ ∂²ℓᵢ Jᵢ with the Jacobian J of the outputs in the parameters: positive semidefinite for
/// convex losses, and the Hessian where the network is linear in its parameters or fits exactly.
#[derive(Clone, Copy, Debug)]
pub struct GaussNewton<'p, 'o, 'a, T: Real> {
    point: &'p Point<'o, 'a, T>,
}

impl<'p, 'o, 'a, T: Real> Hessian<'p, 'o, 'a, T> {
    pub(super) fn new(point: &'p Point<'o, 'a, T>) -> Self {
        Self { point }
    }

    /// All of it, P × P, from P products: for small networks. The two triangles, which differ by
    /// rounding, are averaged.
    ///
    /// # Errors
    /// More bytes than the objective's memory budget.
    pub fn to_matrix(&self) -> Result<Mat<T>> {
        dense(self, self.point.objective.memory_budget)
    }
}

impl<'p, 'o, 'a, T: Real> GaussNewton<'p, 'o, 'a, T> {
    pub(super) fn new(point: &'p Point<'o, 'a, T>) -> Self {
        Self { point }
    }

    /// All of it, as [`Hessian::to_matrix`].
    ///
    /// # Errors
    /// More bytes than the objective's memory budget.
    pub fn to_matrix(&self) -> Result<Mat<T>> {
        dense(self, self.point.objective.memory_budget)
    }
}

impl<T: Real> LinearOperator<T> for Hessian<'_, '_, '_, T> {
    fn dimension(&self) -> usize {
        self.point.parameters().len()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        products(self.point, x, y, true);
    }
}

impl<T: Real> LinearOperator<T> for GaussNewton<'_, '_, '_, T> {
    fn dimension(&self) -> usize {
        self.point.parameters().len()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        products(self.point, x, y, false);
    }
}

fn products<T: Real>(point: &Point<'_, '_, T>, x: &[T], y: &mut [T], curvature: bool) {
    let length = point.parameters().len();
    if length == 0 {
        return;
    }
    for (x, y) in x.chunks(TANGENTS * length).zip(y.chunks_mut(TANGENTS * length)) {
        some_products(point, x, y, curvature);
    }
}

fn some_products<T: Real>(point: &Point<'_, '_, T>, x: &[T], y: &mut [T], curvature: bool) {
    let objective = point.objective;
    let layers = objective.network.layers();
    let width = objective.network.outputs();
    let length = point.parameters().len();
    let count = x.len() / length;
    let shards = objective.shards();
    let (_, sum) = shards.reduce(x.len(), &objective.vectors, |s, sum| {
        objective.workspaces.with(|work| {
            let samples = Samples::Range(shards.range(s));
            let scales = objective.scales(&samples);
            let (primal, buffers) = point.primal(s, &samples, &scales, work);
            let range = shards.range(s);
            let input = &objective.data.inputs()
                [range.start * objective.data.features()..range.end * objective.data.features()];
            let pass = Tangent {
                parameters: point.parameters(),
                input,
                state: &primal.state,
                errors: curvature.then_some(&primal.errors),
                directions: Some(Directions::new(x, length)),
                input_tangent: None,
                count,
            };
            let tangent = buffers.error;
            tangent.resize(count * samples.len() * width, T::ZERO);
            layers.tangent(pass, tangent, buffers.tangents);
            let loss = objective.loss;
            let (row, rows) = (objective.steps.width(), samples.len() * objective.steps.count());
            loss.multiply_hessian(&primal.curvature, row, rows, &scales, tangent);
            let gradient = Gradients::new(sum, length);
            if curvature {
                layers.adjoint_tangent(pass, tangent, None, gradient, buffers.tangents);
            } else {
                let pass =
                    Adjoint { parameters: point.parameters(), input, state: &primal.state, count };
                layers.adjoint(pass, tangent, None, Some(gradient), None, buffers.scratch);
            }
            0.0
        })
    });
    y.copy_from_slice(&sum);
    objective.vectors.give(sum);
}

fn dense<T: Real>(operator: &impl LinearOperator<T>, budget: usize) -> Result<Mat<T>> {
    let n = operator.dimension();
    let bytes = n.saturating_mul(n).saturating_mul(size_of::<T>());
    if bytes > budget {
        return Err(Error::range(
            "matrix: bytes",
            format!("at most the memory budget of {budget}"),
            bytes,
        ));
    }
    let mut matrix = Mat::zeros(n, n);
    let mut x = vec![T::ZERO; n * TANGENTS];
    let mut y = vec![T::ZERO; n * TANGENTS];
    for first in (0..n).step_by(TANGENTS) {
        let count = TANGENTS.min(n - first);
        x.fill(T::ZERO);
        (0..count).for_each(|k| x[k * n + first + k] = T::ONE);
        operator.apply_block(&x[..count * n], &mut y[..count * n]);
        for k in 0..count {
            for i in 0..n {
                matrix[(i, first + k)] = y[k * n + i];
            }
        }
    }
    let half = T::from_f64(0.5);
    for j in 0..n {
        for i in 0..j {
            let mean = half * (matrix[(i, j)] + matrix[(j, i)]);
            matrix[(i, j)] = mean;
            matrix[(j, i)] = mean;
        }
    }
    Ok(matrix)
}
