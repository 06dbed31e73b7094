//! Approximate inverses of the Hessian, for the conjugate gradients in [`SplineRegression`].
//!
//! [`SplineRegression`]: super::SplineRegression

use super::cosine_modes::CosineModes;
use super::dense_factors::Cholesky;
use super::entries::{self, Active};
use super::exact_inverse::{self, ExactInverse};
use super::mode_basis::{Basis, FEW, SingleModes, modes, scale_of, transposed};
use super::objective::SplineObjective;
use super::smoother::Smoother;
use super::smoothing_operator::SmoothingOperator;
use crate::{Error, Result, parallel};

/// Which approximate inverse of the Hessian steers the conjugate gradients.
///
/// `None` does nothing, `Exact` inverts the Hessian itself; the others invert, on a space of modes of
/// the Laplacians, the problem in which everything was observed: with L_y = Q M Qᵀ, L_x = P N Pᵀ and
/// X̂ = Pᵀ X, row k of QᵀZP is (D_k + X̂ X̂ᵀ)⁻¹ applied to row k of QᵀRP, D_k = λ'(μ_k + ν)² + ρ, by
/// Woodbury's identity with one n_inj × n_inj system for each k. The shift ρ is there because mode
/// (0, 0) has no penalty.
///
/// *ρ*: `None` takes 3·10⁻⁵ of the mean ‖xₑ‖².
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Preconditioner {
    /// `Exact` where the factor takes at most 4·10¹⁰ flops and 0.8 GB; else `Cosine` on boxes, all modes
    /// up to 1,000 voxels a side, 400 of the lowest modes beyond; none for λ = 0 and for operators that
    /// are not symmetric.
    Auto,
    /// The identity.
    None,
    /// ½H = L Lᵀ by blocks of targets, and entries held at zero eliminated from its inverse: a step or
    /// two solve for every active set of at most 512 entries, and `Auto` without this goes on from there
    /// for more. With b blocks of n_x × n_x below the diagonal (2 on a path of targets; twice the
    /// bandwidth of L_y in the order of its voxels) (b + 1)² n_y n_x³ flops and (b + 1) n_y n_x² numbers
    /// once, and 4 (b + 1) n_y n_x² flops an application.
    Exact,
    /// All modes of both Laplacians, by dense eigendecompositions: 9n³ flops once a side, and four
    /// products of n × n matrices an application.
    UnmaskedSpectral {
        /// ρ.
        rho: Option<f64>,
    },
    /// The lowest modes of both Laplacians by Lanczos, and three steps of Chebyshev's iteration on the
    /// penalty's Hessian λ'S², restricted to the entries that are not held, for everything else (for
    /// other operators than Laplacians of voxels the inverse of its mean diagonal). 4 n_x n_y k flops
    /// and two products with λ'S² an application; the flops in single precision beyond 1,000 voxels a
    /// side.
    LowModes {
        /// Modes a side (fewer where there are not as many voxels).
        modes: usize,
        /// ρ.
        rho: Option<f64>,
    },
    /// All modes of two full boxes, by cosine transforms.
    Cosine {
        /// ρ.
        rho: Option<f64>,
    },
}

/// Modes that `Auto` takes beyond.
pub(super) const MODES: usize = 400;
/// M⁻¹ applied to residuals of ½H.
pub(super) enum Inverse {
    Identity,
    Modes(Box<Modes>),
    /// With what serves where too many entries are held.
    Exact(Box<ExactInverse>, Box<Inverse>),
}

/// The problem in which everything was observed, inverted on low modes.
pub(super) struct Modes {
    pub y: Basis,
    pub x: Basis,
    /// Of the targets, where there are many.
    single: Option<SingleModes>,
    /// Eigenvalues of L_y and of L_x.
    pub mu: Vec<f64>,
    pub nu: Vec<f64>,
    lambda_eff: f64,
    rho: f64,
    /// X̂, k_x × n_inj, column-major.
    pub injections: Vec<f64>,
    experiments: usize,
    /// I + X̂ᵀ D_k⁻¹ X̂ for each k.
    capacitance: Vec<Cholesky>,
    /// What is not in the modes goes through this; `None` where everything is.
    outside: Option<Smoother>,
}

impl Inverse {
    /// The inverse that `choice` means for this objective; `Auto` takes the exact one only if
    /// `roomy`.
    pub fn new(
        choice: Preconditioner,
        objective: &SplineObjective<'_>,
        roomy: bool,
    ) -> Result<Self> {
        let (lx, ly) = (objective.lx, objective.ly);
        let possible = lx.is_symmetric() && ly.is_symmetric() && objective.lambda_eff > 0.0;
        let cheap = roomy && possible && exact_inverse::is_cheap(ly, lx.voxels());
        let exact = match choice {
            Preconditioner::Exact if !possible => {
                let expected = "symmetric operators and a lambda above 0";
                return Err(Error::range("exact preconditioner", expected, "others"));
            }
            Preconditioner::Exact => Some(ExactInverse::new(objective)?),
            // Where rounding keeps a pivot from being positive the others do.
            Preconditioner::Auto if cheap => ExactInverse::new(objective).ok(),
            _ => None,
        };
        let other = match choice {
            Preconditioner::Exact => Self::approximate(Preconditioner::Auto, objective)?,
            choice => Self::approximate(choice, objective)?,
        };
        Ok(match exact {
            Some(exact) => Inverse::Exact(Box::new(exact), Box::new(other)),
            None => other,
        })
    }

    /// One of the other inverses.
    fn approximate(choice: Preconditioner, objective: &SplineObjective<'_>) -> Result<Self> {
        let (lx, ly) = (objective.lx, objective.ly);
        let symmetric = lx.is_symmetric() && ly.is_symmetric();
        let choice = match choice {
            Preconditioner::Auto if !symmetric || objective.lambda_eff == 0.0 => {
                Preconditioner::None
            }
            Preconditioner::Auto if lx.box_edges().is_some() && ly.box_edges().is_some() => {
                Preconditioner::Cosine { rho: None }
            }
            Preconditioner::Auto if lx.voxels().max(ly.voxels()) <= FEW => {
                Preconditioner::UnmaskedSpectral { rho: None }
            }
            Preconditioner::Auto => Preconditioner::LowModes { modes: MODES, rho: None },
            other => other,
        };
        if choice != Preconditioner::None && !symmetric {
            let side = if ly.is_symmetric() { "L_x" } else { "L_y" };
            let got = "one that is not; Preconditioner::None does without";
            return Err(Error::range(
                format!("{side} of the preconditioner"),
                "a symmetric operator",
                got,
            ));
        }
        let (ky, kx, rho) = match choice {
            Preconditioner::Auto | Preconditioner::Exact | Preconditioner::None => {
                return Ok(Inverse::Identity);
            }
            Preconditioner::LowModes { modes, rho } => {
                if modes == 0 {
                    return Err(Error::range("modes of the preconditioner", "at least 1", modes));
                }
                (modes.min(ly.voxels()), modes.min(lx.voxels()), rho)
            }
            Preconditioner::UnmaskedSpectral { rho } | Preconditioner::Cosine { rho } => {
                (ly.voxels(), lx.voxels(), rho)
            }
        };
        if let Some(rho) = rho
            && !(rho > 0.0 && rho.is_finite())
        {
            return Err(Error::range("rho of the preconditioner", "a positive finite number", rho));
        }
        let cosine = |l: &SmoothingOperator, side: &str| {
            let edges = l.box_edges().ok_or_else(|| {
                let expected = "the Laplacian of a full box, for the cosine preconditioner";
                Error::range(side, expected, "another operator")
            })?;
            let modes = CosineModes::new(edges)?;
            Ok((modes.eigenvalues().to_vec(), Basis::Cosine(modes)))
        };
        let find = |l: &SmoothingOperator, k: usize, side: &str| match choice {
            Preconditioner::Cosine { .. } => cosine(l, side),
            _ => modes(l, k, side),
        };
        let (mu, y) = find(ly, ky, "L_y")?;
        let (nu, x) =
            if std::ptr::eq(lx, ly) { (mu.clone(), y.copy()) } else { find(lx, kx, "L_x")? };
        let inverse = Modes::new(objective, (mu, y), (nu, x), rho)?;
        Ok(Inverse::Modes(Box::new(inverse)))
    }

    /// Z ← M⁻¹ R, R being 0 where entries are held; what comes out there has no meaning. `scratch` of the
    /// same size is overwritten.
    pub fn apply(
        &self,
        objective: &SplineObjective<'_>,
        active: &Active,
        r: &[f64],
        z: &mut [f64],
        scratch: &mut [f64],
    ) {
        match self {
            Inverse::Identity => entries::axpby(1.0, r, 0.0, z),
            Inverse::Modes(modes) => modes.apply(objective, active, r, z, scratch),
            Inverse::Exact(exact, _) if exact.is_usable() => exact.apply(r, z),
            Inverse::Exact(_, other) => other.apply(objective, active, r, z, scratch),
        }
    }

    /// Says which entries will be held at zero.
    pub fn hold(&mut self, active: &Active) {
        if let Inverse::Exact(exact, _) = self {
            exact.hold(active);
        }
    }

    /// The modes that it is made of, or that stand by.
    pub fn modes(&self) -> Option<&Modes> {
        match self {
            Inverse::Identity => None,
            Inverse::Modes(modes) => Some(modes),
            Inverse::Exact(_, other) => other.modes(),
        }
    }

    /// Whether there is anything to apply.
    pub fn is_identity(&self) -> bool {
        matches!(self, Inverse::Identity)
    }
}

impl Modes {
    fn new(
        objective: &SplineObjective<'_>,
        (mu, y): (Vec<f64>, Basis),
        (nu, x): (Vec<f64>, Basis),
        rho: Option<f64>,
    ) -> Result<Self> {
        let data = objective.data;
        let experiments = data.experiments();
        let squares: f64 = data.injections().data().iter().map(|x| x * x).sum();
        let lambda_eff = objective.lambda_eff;
        let default = 3e-5 * squares / experiments as f64;
        let rho = rho.unwrap_or(if default > 0.0 { default } else { lambda_eff.max(1.0) * 1e-8 });
        let (n, k) = (x.voxels(), x.modes());
        let mut dense = vec![0.0; n * experiments];
        for (value, (s, e)) in data.injections().iter() {
            dense[s + e * n] = *value;
        }
        let injections = x.analyse(&dense);
        let weights = |mu: f64| -> Vec<f64> {
            nu.iter().map(|nu| (lambda_eff * (mu + nu) * (mu + nu) + rho).recip()).collect()
        };
        let capacitance = |i: usize| {
            let weights = weights(mu[i]);
            let mut a = vec![0.0; experiments * experiments];
            for e in 0..experiments {
                let left = &injections[e * k..(e + 1) * k];
                let weighted: Vec<f64> = left.iter().zip(&weights).map(|(x, w)| x * w).collect();
                for f in 0..=e {
                    let right = &injections[f * k..(f + 1) * k];
                    let sum: f64 = weighted.iter().zip(right).map(|(x, y)| x * y).sum();
                    a[e * experiments + f] = sum + f64::from(u8::from(e == f));
                }
            }
            Cholesky::new(a, experiments).ok_or_else(|| {
                let expected = "positive definite systems of experiments";
                Error::range("preconditioner", expected, format!("another at mode {i}"))
            })
        };
        let capacitance =
            parallel::map(mu.len(), capacitance).into_iter().collect::<Result<_>>()?;
        let all = y.modes() == y.voxels() && x.modes() == x.voxels();
        let last = |values: &[f64]| values.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let nearest = last(&mu).min(last(&nu));
        let outside = (!all).then(|| Smoother::new(objective, nearest));
        let single = if all { None } else { SingleModes::of(&y) };
        Ok(Self {
            y,
            x,
            single,
            mu,
            nu,
            lambda_eff,
            rho,
            injections,
            experiments,
            capacitance,
            outside,
        })
    }

    /// (QᵀRP)ᵀ: one column for each mode of the targets, one after the other.
    pub fn coefficients(&self, r: &[f64]) -> Vec<f64> {
        let left = self.y.analyse(r);
        self.x.analyse(&transposed(&left, self.y.modes()))
    }

    fn apply(
        &self,
        objective: &SplineObjective<'_>,
        active: &Active,
        r: &[f64],
        z: &mut [f64],
        scratch: &mut [f64],
    ) {
        let (ky, kx, nx) = (self.y.modes(), self.x.modes(), self.x.voxels());
        let mut modes = match &self.single {
            Some(y) => self.x.analyse(&transposed(&y.analyse(r, scale_of(r)), ky)),
            None => self.coefficients(r),
        };
        parallel::for_each_piece(&mut modes, kx, |i, h| self.solve(i, h));
        // Q Ẑ Pᵀ.
        let mut right = vec![0.0; nx * ky];
        self.x.synthesise(&mut modes, 0.0, &mut right);
        drop(modes);
        let mut right = transposed(&right, nx);
        match &self.outside {
            Some(outside) => outside.apply(objective, active, r, z, scratch),
            None => z.fill(0.0),
        }
        match &self.single {
            Some(y) => y.synthesise(&right, scale_of(&right), z),
            None => self.y.synthesise(&mut right, 1.0, z),
        }
    }

    /// h ← (D + X̂X̂ᵀ)⁻¹ h for mode `i` of the targets.
    fn solve(&self, i: usize, h: &mut [f64]) {
        let k = h.len();
        let weight = |j: usize| {
            let sum = self.mu[i] + self.nu[j];
            (self.lambda_eff * sum * sum + self.rho).recip()
        };
        let z: Vec<f64> = h.iter().enumerate().map(|(j, h)| h * weight(j)).collect();
        let column = |e: usize| &self.injections[e * k..(e + 1) * k];
        let dot = |e: usize| column(e).iter().zip(&z).map(|(x, z)| x * z).sum();
        let mut c: Vec<f64> = (0..self.experiments).map(dot).collect();
        self.capacitance[i].solve(&mut c);
        let mut correction = vec![0.0; k];
        for (e, c) in c.iter().enumerate() {
            correction.iter_mut().zip(column(e)).for_each(|(out, x)| *out += c * x);
        }
        for (j, h) in h.iter_mut().enumerate() {
            *h = z[j] - correction[j] * weight(j);
        }
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::connectome::{Observed, TracingData};
    use crate::io::Archive;

    #[test]
    fn inverses_of_the_unmasked_problem_are_dense_solves() {
        let root = env!("CARGO_MANIFEST_DIR");
        let golden =
            Archive::read(format!("{root}/tests/golden/connectome/unconstrained.npz")).unwrap();
        let mat = |name: &str| golden.get(name).unwrap().to_mat::<f64>().unwrap();
        let scalar = |name: &str| golden.get(name).unwrap().scalar().unwrap();
        let columns = |m: Mat<f64>| super::super::dense_products::packed(m.as_ref());
        let (lx, ly) =
            (SmoothingOperator::of_box(&[30]).unwrap(), SmoothingOperator::of_box(&[40]).unwrap());
        let r = columns(mat("R"));
        let rho = Some(scalar("rho"));
        let nothing = Mat::<f64>::zeros(30, 6);
        for (x, want) in [(mat("X"), "precond_unmasked_R"), (nothing, "precond_laplacian_R")] {
            let data = TracingData::builder()
                .injections_dense(x.as_ref())
                .projections(mat("Y").as_ref())
                .observed(Observed::from_ones(mat("Omega").as_ref()).unwrap())
                .build()
                .unwrap();
            let objective = SplineObjective::new(&data, &lx, &ly, scalar("lam_eff")).unwrap();
            let want = columns(mat(want));
            for choice in [Preconditioner::UnmaskedSpectral { rho }, Preconditioner::Cosine { rho }]
            {
                let inverse = Inverse::new(choice, &objective, false).unwrap();
                let mut z = vec![f64::NAN; r.len()];
                let mut scratch = vec![f64::NAN; r.len()];
                inverse.apply(&objective, &Active::none(r.len()), &r, &mut z, &mut scratch);
                entries::axpy(-1.0, &want, &mut z);
                // Both are solves of condition numbers up to 10⁶.
                let error = entries::largest(&z);
                assert!(error <= 1e-9 * entries::largest(&want), "{choice:?}: {error:e}");
            }
        }
    }
}
