//! Where factors start and how they are improved.

use faer::Mat;

/// Factors to start from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Uniform on (0, 1) over √(n·rank).
    Random {
        /// Its seed.
        seed: u64,
    },
    /// [`svd_split`](super::svd_split) of the unconstrained solution of that rank
    /// ([`GreedyLowRank`](super::GreedyLowRank)).
    SvdSplit,
    /// [`split_signed`](super::split_signed) of the unconstrained solution of rank p, where the rank
    /// asked for is 2p − 1.
    Split2pMinus1,
    /// These, targets × rank and sources × rank.
    Given {
        /// U ≥ 0.
        u: Mat<f64>,
        /// V ≥ 0.
        v: Mat<f64>,
    },
}

/// How the factors are improved.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FactorMethod {
    /// Accelerated projected gradient: the gradient at the extrapolated point, restart where it points
    /// against the last step, and backtracking. The default.
    Accelerated {
        /// The first step; `None` for one from the size of the first gradient.
        step: Option<f64>,
        /// Whether that step is kept, without backtracking.
        fixed: bool,
    },
    /// The published projected gradient with carried Armijo steps.
    PublishedArmijo {
        /// The first step, η = 0.1 as published.
        eta: f64,
        /// The share of the decrease that is asked for, σ = 0.01.
        sigma: f64,
        /// The factor between steps, β = 0.1.
        beta: f64,
    },
    /// The published momentum with fixed steps: the gradient at the iterate, the step from the
    /// extrapolated point.
    PublishedMomentum {
        /// The step, 10⁻⁷ as published.
        step: f64,
        /// The factor of the extrapolation, 1 as published.
        weight: f64,
    },
}

impl FactorMethod {
    /// The published Armijo rule: η = 0.1, σ = 0.01, β = 0.1.
    pub const ARMIJO_2016: Self =
        FactorMethod::PublishedArmijo { eta: 0.1, sigma: 0.01, beta: 0.1 };
    /// The published momentum: step 10⁻⁷, factor 1.
    pub const MOMENTUM_2016: Self = FactorMethod::PublishedMomentum { step: 1e-7, weight: 1.0 };
}
