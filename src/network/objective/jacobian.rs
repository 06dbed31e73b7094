//! Products with the Jacobian of the outputs, both ways.

use super::Point;
use super::shard::Samples;
use crate::error::check_finite;
use crate::network::layer::{Adjoint, Directions, Gradients, Layer, Tangent};
use crate::numerics::parallel;
use crate::{Error, Real, Result};

impl<T: Real> Point<'_, '_, T> {
    /// ḟᵢ = ∂f(xᵢ; θ)/∂θ θ̇ for every sample: n × N, row-major. One tangent pass.
    ///
    /// # Errors
    /// A wrong length, NaN or infinities.
    pub fn jacobian_product(&self, direction: &[T]) -> Result<Vec<T>> {
        self.objective.check_length("direction", direction.len())?;
        check_finite("direction", direction)?;
        Ok(self.output_tangents(Some(direction), None))
    }

    /// ḟᵢ = ∂f(xᵢ; θ)/∂x ẋᵢ for every sample, ẋ n × M row-major: n × N, row-major.
    ///
    /// # Errors
    /// A wrong length, NaN or infinities.
    pub fn input_jacobian_product(&self, input_tangents: &[T]) -> Result<Vec<T>> {
        let expected = self.objective.data.inputs().len();
        if input_tangents.len() != expected {
            return Err(Error::shape("input tangents", expected, input_tangents.len()));
        }
        check_finite("input tangents", input_tangents)?;
        Ok(self.output_tangents(None, Some(input_tangents)))
    }

    /// Σᵢ (∂f(xᵢ; θ)/∂θ)ᵀ f̄ᵢ for cotangents f̄ of the outputs, n × N row-major. One adjoint pass.
    ///
    /// # Errors
    /// A wrong length, NaN or infinities.
    pub fn transposed_jacobian_product(&self, cotangents: &[T]) -> Result<Vec<T>> {
        self.check_cotangents(cotangents)?;
        let objective = self.objective;
        let shards = objective.shards();
        let length = self.parameters().len();
        let (_, sum) = shards.reduce(length, &objective.vectors, |s, sum| {
            self.pull_back(s, cotangents, None, Some(Gradients::new(sum, length)));
            0.0
        });
        Ok(sum)
    }

    /// (∂f(xᵢ; θ)/∂x)ᵀ f̄ᵢ for every sample: n × M, row-major.
    ///
    /// # Errors
    /// A wrong length, NaN or infinities.
    pub fn transposed_input_jacobian_product(&self, cotangents: &[T]) -> Result<Vec<T>> {
        self.check_cotangents(cotangents)?;
        let data = &self.objective.data;
        let mut inputs = vec![T::ZERO; data.inputs().len()];
        let size = self.objective.shards().size();
        parallel::for_each_piece(&mut inputs, size * data.features(), |s, piece| {
            self.pull_back(s, cotangents, Some(piece), None);
        });
        Ok(inputs)
    }

    fn check_cotangents(&self, cotangents: &[T]) -> Result<()> {
        let expected = self.objective.data.len() * self.objective.network.outputs();
        if cotangents.len() != expected {
            return Err(Error::shape("cotangents", expected, cotangents.len()));
        }
        check_finite("cotangents", cotangents)
    }

    fn output_tangents(&self, direction: Option<&[T]>, input_tangents: Option<&[T]>) -> Vec<T> {
        let objective = self.objective;
        let shards = objective.shards();
        let (features, width) = (objective.data.features(), objective.network.outputs());
        let mut tangents = vec![T::ZERO; objective.data.len() * width];
        parallel::for_each_piece(&mut tangents, shards.size() * width, |s, piece| {
            objective.workspaces.with(|work| {
                let range = shards.range(s);
                let samples = Samples::Range(range.clone());
                let scales = objective.scales(&samples);
                let rows = range.start * features..range.end * features;
                let (primal, buffers) = self.primal(s, &samples, &scales, work);
                let pass = Tangent {
                    parameters: self.parameters(),
                    input: &objective.data.inputs()[rows.clone()],
                    state: &primal.state,
                    errors: None,
                    directions: direction.map(|d| Directions::new(d, d.len())),
                    input_tangent: input_tangents.map(|x| &x[rows]),
                    count: 1,
                };
                objective.network.layers().tangent(pass, piece, buffers.tangents);
            });
        });
        tangents
    }

    fn pull_back(
        &self,
        s: usize,
        cotangents: &[T],
        inputs: Option<&mut [T]>,
        gradient: Option<Gradients<'_, T>>,
    ) {
        let objective = self.objective;
        let range = objective.shards().range(s);
        let (features, width) = (objective.data.features(), objective.network.outputs());
        objective.workspaces.with(|work| {
            let samples = Samples::Range(range.clone());
            let scales = objective.scales(&samples);
            let (primal, buffers) = self.primal(s, &samples, &scales, work);
            let error = buffers.error;
            error.clear();
            error.extend_from_slice(&cotangents[range.start * width..range.end * width]);
            let pass = Adjoint {
                parameters: self.parameters(),
                input: &objective.data.inputs()[range.start * features..range.end * features],
                state: &primal.state,
                count: 1,
            };
            let layers = objective.network.layers();
            layers.adjoint(pass, error, inputs, gradient, None, buffers.scratch);
        });
    }
}
