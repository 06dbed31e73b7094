//! Adaptive sharpness: curvature in units of the parameters themselves.

use crate::error::check_finite;
use crate::krylov::{Estimate, LinearOperator};
use crate::network::{Objective, Targets};
use crate::random::Stream;
use crate::{Error, Real, Result};

/// D A D with D = diag(θ): its trace Σ_j θ_j² A_jj is the adaptive sharpness of A, its largest
/// eigenvalue the worst case.
///
/// Of the Hessian take [`Trace::exact`](crate::krylov::Trace::exact) (P products) or an estimator
/// with a standard error; of the Gauss-Newton matrix of half the squared error the trace is
/// [`GeometryReport::adaptive_sharpness`](super::GeometryReport::adaptive_sharpness), without a
/// product. Scaling W_l by a and the next layer by 1/a through a positively homogeneous activation
/// changes neither.
///
/// Source: Kwon, Kim, Park, Choi, *ASAM*, ICML 2021; Andriushchenko et al., *A modern look at the
/// relationship between sharpness and generalization*, ICML 2023 (arXiv 2302.07011).
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveCurvature<'a, T, A: ?Sized> {
    operator: &'a A,
    parameters: &'a [T],
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> AdaptiveCurvature<'a, T, A> {
    /// Of `operator` at θ = `parameters`.
    ///
    /// # Errors
    /// Lengths that disagree, NaN or infinities.
    pub fn new(operator: &'a A, parameters: &'a [T]) -> Result<Self> {
        if operator.dimension() != parameters.len() {
            let expected = operator.dimension();
            return Err(Error::shape("parameters", expected, parameters.len()));
        }
        check_finite("parameters", parameters)?;
        Ok(Self { operator, parameters })
    }

    fn scale(&self, vectors: &mut [T]) {
        for vector in vectors.chunks_exact_mut(self.parameters.len()) {
            vector.iter_mut().zip(self.parameters).for_each(|(x, &t)| *x *= t);
        }
    }
}

impl<T: Real, A: LinearOperator<T> + ?Sized> LinearOperator<T> for AdaptiveCurvature<'_, T, A> {
    fn dimension(&self) -> usize {
        self.parameters.len()
    }

    fn apply(&self, x: &[T], y: &mut [T]) {
        self.apply_block(x, y);
    }

    fn apply_block(&self, x: &[T], y: &mut [T]) {
        let mut scaled = x.to_vec();
        self.scale(&mut scaled);
        self.operator.apply_block(&scaled, y);
        self.scale(y);
    }
}

/// E[L(θ + ρ |θ|∘g) − L(θ)] / ρ², g standard normal: adaptive sharpness as the reference code
/// estimates it, with a standard error. As ρ → 0 it tends to ½ Σ_j θ_j² H_jj.
///
/// One evaluation of the loss a perturbation. Departure: perturbations are antithetic pairs ±g where
/// [`antithetic`](Self::antithetic) asks for them, which removes the gradient's part of the variance;
/// the code draws them independently.
///
/// Source: reference code of arXiv 2310.01770 (ρ = 0.1, 50 to 200 perturbations an image, the loss
/// [`sigmoid_squared_error`]).
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveMonteCarlo {
    rho: f64,
    perturbations: usize,
    seed: u64,
    antithetic: bool,
}

impl AdaptiveMonteCarlo {
    /// With so many independent perturbations of size ρ = 0.1.
    #[must_use]
    pub fn new(perturbations: usize) -> Self {
        Self { rho: 0.1, perturbations, seed: 0, antithetic: false }
    }

    /// ρ.
    #[must_use]
    pub fn rho(self, rho: f64) -> Self {
        Self { rho, ..self }
    }

    /// Seed of the perturbations; default 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether every g is followed by −g; a pair is then one term of the mean.
    #[must_use]
    pub fn antithetic(self, antithetic: bool) -> Self {
        Self { antithetic, ..self }
    }

    /// The estimate for `loss` at θ = `parameters`.
    ///
    /// # Errors
    /// No perturbation, ρ not positive, what `loss` returns; [`Error::NonFinite`] for a loss that is
    /// not finite.
    pub fn run<T: Real>(
        &self,
        parameters: &[T],
        loss: impl Fn(&[T]) -> Result<f64>,
    ) -> Result<Estimate> {
        if self.perturbations == 0 {
            return Err(Error::range("perturbations", "at least 1", 0));
        }
        if !(self.rho > 0.0 && self.rho.is_finite()) {
            return Err(Error::range("rho", "a positive finite number", self.rho));
        }
        check_finite("parameters", parameters)?;
        let evaluate = |theta: &[T], what: &str, index: usize| -> Result<f64> {
            let value = loss(theta)?;
            if value.is_finite() {
                return Ok(value);
            }
            Err(Error::NonFinite { what: what.to_owned(), index, value })
        };
        let here = evaluate(parameters, "loss", 0)?;
        let stream = Stream::new(self.seed, "adaptive sharpness");
        let mut noise = vec![T::ZERO; parameters.len()];
        let mut moved = parameters.to_vec();
        let mut terms = Vec::new();
        for p in 0..self.perturbations {
            stream.child(p as u64).normals(0, &mut noise);
            let mut rise = |rho: f64| -> Result<f64> {
                for ((to, &theta), g) in moved.iter_mut().zip(parameters).zip(&noise) {
                    let theta = theta.to_f64();
                    *to = T::from_f64(theta + rho * theta.abs() * g.to_f64());
                }
                let there = evaluate(&moved, "loss of a perturbation", p)?;
                Ok((there - here) / (self.rho * self.rho))
            };
            let term = rise(self.rho)?;
            let pair = self.antithetic;
            terms.push(if pair { 0.5 * (term + rise(-self.rho)?) } else { term });
        }
        Ok(Estimate::of(&terms))
    }
}

/// Σᵢ Σ_j (σ(f_j(xᵢ; θ)) − y_ij)² with the logistic function σ and one-hot (or given) rows y: the
/// loss of which the reference code estimates adaptive sharpness.
///
/// # Errors
/// A wrong number of parameters, NaN or infinities among them; rows of another width than the outputs.
pub fn sigmoid_squared_error<T: Real>(
    objective: &Objective<'_, T>,
    parameters: &[T],
) -> Result<f64> {
    let outputs = objective.outputs(parameters)?;
    let width = objective.network().outputs();
    if let Targets::Rows { width: given, .. } = objective.data().targets()
        && *given != width
    {
        return Err(Error::shape("targets: width", width, *given));
    }
    let target = |i: usize, j: usize| match objective.data().targets() {
        Targets::Classes(classes) => f64::from(u8::from(classes[i] == j)),
        Targets::Rows { values, .. } => values[i * width + j].to_f64(),
    };
    let rows = outputs.chunks_exact(width).enumerate();
    let sums: Vec<f64> = rows
        .map(|(i, row)| {
            let term = |(j, f): (usize, &T)| (logistic(f.to_f64()) - target(i, j)).powi(2);
            row.iter().enumerate().map(term).sum()
        })
        .collect();
    Ok(crate::parallel::sum(sums.len(), |i| sums[i]))
}

/// 1/(1 + e^{−z}) without overflow.
pub(super) fn logistic(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}
