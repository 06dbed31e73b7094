//! Which step sizes a minimum tolerates under a learning rule.

use faer::{Mat, c64};

use super::{Block, RateRnn, Rule, Sequences, States, Target};
use crate::krylov::symmetric_eigenvalues;
use crate::numerics::dense;
use crate::{Error, Result};

/// Linear stability of gradient descent in W with a rule's gradient at a minimum without residuals.
///
/// For one output at the last step, squared error and n samples, with J the exact output Jacobian
/// ∂y_T/∂W and Ĵ that of the rule, both n × N², the update map has the Jacobian I − η ĴᵀJ/n: with
/// μ_i = eig(J Ĵᵀ/n) the minimum attracts for |1 − η μ_i| < 1, η < 2 Re μ_i/|μ_i|².
///
/// For one sample μ = ρ λ₁: minima up to 1/ρ times sharper than those of exact descent attract. The
/// part of the rule's gradient that is orthogonal to the exact one does not enter.
#[derive(Clone, Debug)]
pub struct Stability {
    /// Eigenvalues of J Jᵀ/n, descending: those of the Hessian of W that are not zero by rank.
    pub exact: Vec<f64>,
    /// μ_i, by descending magnitude.
    pub rule: Vec<c64>,
    /// ⟨J, Ĵ⟩/⟨J, J⟩; absent where J is zero.
    pub rho: Option<f64>,
    /// 2/λ₁, the largest step of exact descent; absent where J is zero.
    pub exact_limit: Option<f64>,
    /// The step up to which the rule is attracted; zero where some Re μ_i ≤ 0, so that it is
    /// repelled at any, and absent where there is no bound.
    pub rule_limit: Option<f64>,
    /// J, n × N², row-major.
    pub jacobian: Vec<f64>,
    /// Ĵ, n × N², row-major.
    pub rule_jacobian: Vec<f64>,
}

impl Stability {
    /// At θ with the inputs of `sequences`, whose targets do not matter. Two gradients a sample and
    /// an eigenproblem of size n.
    ///
    /// # Errors
    /// Another number of outputs than one, targets that are not values at the end, what
    /// [`States::gradient`] refuses, overflow.
    pub fn new(
        rnn: &RateRnn,
        parameters: &[f64],
        sequences: &Sequences<f64>,
        rule: &Rule<f64>,
    ) -> Result<Self> {
        if rnn.outputs() != 1 {
            return Err(Error::not_applicable("stability", "one output", rnn.outputs()));
        }
        if !matches!(sequences.target(), Target::ValuesAtEnd(_)) {
            let got = "other targets";
            return Err(Error::not_applicable("stability", "values at the last step", got));
        }
        let n = sequences.samples();
        let w = rnn.block(Block::Recurrent);
        let (mut jacobian, mut rule_jacobian) = (Vec::new(), Vec::new());
        for sample in 0..n {
            let one = sequences.select(&[sample])?;
            let mut states = States::new(rnn, parameters, &one)?;
            states.unit_error_at_end();
            jacobian.extend_from_slice(&states.gradient(&Rule::Bptt)?[w.clone()]);
            rule_jacobian.extend_from_slice(&states.gradient(rule)?[w.clone()]);
        }
        crate::error::check_finite("output Jacobian", &jacobian)?;
        crate::error::check_finite("output Jacobian of the rule", &rule_jacobian)?;
        let width = w.len();
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let product = |right: &[f64]| {
            Mat::from_fn(n, n, |i, j| {
                dot(&jacobian[i * width..][..width], &right[j * width..][..width]) / n as f64
            })
        };
        let mut exact = symmetric_eigenvalues(product(&jacobian).as_ref())?;
        exact.reverse();
        let mut mu = dense::eigenvalues(product(&rule_jacobian).as_ref())?;
        mu.sort_by(|a, b| b.re.hypot(b.im).total_cmp(&a.re.hypot(a.im)));
        let size = dot(&jacobian, &jacobian);
        let limit = |mu: &c64| {
            let square = mu.re * mu.re + mu.im * mu.im;
            (square > 0.0).then(|| (2.0 * mu.re / square).max(0.0))
        };
        Ok(Self {
            rho: (size > 0.0).then(|| dot(&jacobian, &rule_jacobian) / size),
            exact_limit: exact.first().filter(|&&top| top > 0.0).map(|top| 2.0 / top),
            rule_limit: mu.iter().filter_map(limit).reduce(f64::min),
            exact,
            rule: mu,
            jacobian,
            rule_jacobian,
        })
    }
}
