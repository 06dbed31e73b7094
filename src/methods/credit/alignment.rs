//! How far the update of a learning rule points along the true gradient.

use hesse_kernels::level1::dot;

use crate::error::check_finite;
use crate::{Error, Isa, Real, Result};

/// ĝ = ρ g + e with e ⊥ g, for the exact gradient g and that of a rule, ĝ. A quantity that would be
/// 0/0 is absent: all where g = 0 (dW at T = 1, say), the cosine also where ĝ = 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// ⟨g, ĝ⟩/(|g||ĝ|), in [−1, 1].
    pub cosine: Option<f64>,
    /// ρ = ⟨g, ĝ⟩/⟨g, g⟩: the step along g for a step of one along ĝ.
    pub rho: Option<f64>,
    /// |ĝ|/|g|.
    pub norm_ratio: Option<f64>,
    /// |e|/|g|.
    pub orthogonal_ratio: Option<f64>,
}

impl Alignment {
    /// Compares two gradients, or the same block of both; sums in `f64`.
    ///
    /// # Errors
    /// Different lengths, NaN or infinities.
    pub fn between<T: Real>(exact: &[T], approximate: &[T]) -> Result<Self> {
        if exact.len() != approximate.len() {
            return Err(Error::shape("approximate gradient", exact.len(), approximate.len()));
        }
        check_finite("exact gradient", exact)?;
        check_finite("approximate gradient", approximate)?;
        // Units in which no square over- or underflows.
        let isa = Isa::current();
        let size = |x: &[T]| hesse_kernels::level1::nrm2(isa, x);
        let (g, h) = (size(exact), size(approximate));
        if g == 0.0 {
            return Ok(Self { cosine: None, rho: None, norm_ratio: None, orthogonal_ratio: None });
        }
        let ratio = h / g;
        if h == 0.0 {
            let zero = Some(0.0);
            return Ok(Self { cosine: None, rho: zero, norm_ratio: zero, orthogonal_ratio: zero });
        }
        let inner = dot(isa, exact, approximate);
        let cosine = (inner / g / h).clamp(-1.0, 1.0);
        let rest: f64 = exact
            .iter()
            .zip(approximate)
            .map(|(x, y)| (y.to_f64() / h - cosine * x.to_f64() / g).powi(2))
            .sum();
        Ok(Self {
            cosine: Some(cosine),
            rho: Some(cosine * ratio),
            norm_ratio: Some(ratio),
            orthogonal_ratio: Some(ratio * rest.sqrt()),
        })
    }
}
