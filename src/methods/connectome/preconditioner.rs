//! Approximate inverses of the Hessian, for the conjugate gradients in [`SplineRegression`].
//!
//! [`SplineRegression`]: super::SplineRegression

use hesse_kernels::gemm::{MatrixMut, MatrixRef, gemm};

use super::dense_factors::Cholesky;
use super::entries;
use super::objective::SplineObjective;
use super::smoothing_operator::SmoothingOperator;
use crate::krylov::{Lanczos, SparseOperator, symmetric_eigen};
use crate::{Error, Isa, Result, parallel};

/// Which approximate inverse of the Hessian steers the conjugate gradients.
///
/// All of them but `None` invert, on a space of modes of the Laplacians, the problem in which
/// everything was observed: with L_y = Q M Qᵀ, L_x = P N Pᵀ and X̂ = Pᵀ X, row k of QᵀZP is
/// (D_k + X̂ X̂ᵀ)⁻¹ applied to row k of QᵀRP, D_k = λ'(μ_k + ν)² + ρ, by Woodbury's identity with one
/// n_inj × n_inj system for each k. The shift ρ is there because mode (0, 0) has no penalty.
///
/// *ρ*: `None` takes 3·10⁻⁵ of the mean ‖xₑ‖².
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Preconditioner {
    /// `Cosine` on boxes, all modes up to 1,000 voxels a side, 400 of the lowest modes beyond, none
    /// for λ = 0 and for operators that are not symmetric.
    Auto,
    /// The identity.
    None,
    /// All modes of both Laplacians, by dense eigendecompositions: 9n³ flops once a side, and four
    /// products of n × n matrices an application.
    UnmaskedSpectral {
        /// ρ.
        rho: Option<f64>,
    },
    /// The lowest modes of both Laplacians by Lanczos, and the inverse of the mean diagonal of the
    /// penalty's Hessian on everything else. 4 n_x n_y k flops an application.
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

/// Voxels a side up to which `Auto` takes all modes.
pub(super) const FEW: usize = 1000;
/// Modes that `Auto` takes beyond.
pub(super) const MODES: usize = 400;
/// Columns of one task in products of matrices.
const PANEL: usize = 128;

/// M⁻¹ applied to residuals of ½H.
pub(super) enum Inverse {
    Identity,
    Modes(Box<Modes>),
}

/// Orthonormal modes of one side with their eigenvalues.
enum Basis {
    /// n × k, column-major.
    Dense { n: usize, vectors: Vec<f64> },
}

/// The problem in which everything was observed, inverted on low modes.
pub(super) struct Modes {
    y: Basis,
    x: Basis,
    mu: Vec<f64>,
    nu: Vec<f64>,
    lambda_eff: f64,
    rho: f64,
    /// X̂, k_x × n_inj, column-major.
    injections: Vec<f64>,
    experiments: usize,
    /// I + X̂ᵀ D_k⁻¹ X̂ for each k.
    capacitance: Vec<Cholesky>,
    /// What is not in the modes is divided by this.
    outside: Option<f64>,
}

impl Inverse {
    /// The inverse that `choice` means for this objective.
    pub fn new(choice: Preconditioner, objective: &SplineObjective<'_>) -> Result<Self> {
        let (lx, ly) = (objective.lx, objective.ly);
        let symmetric = lx.is_symmetric() && ly.is_symmetric();
        let choice = match choice {
            Preconditioner::Auto if !symmetric || objective.lambda_eff == 0.0 => {
                Preconditioner::None
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
            Preconditioner::Auto | Preconditioner::None => return Ok(Inverse::Identity),
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
        let (mu, y) = modes(ly, ky, "L_y")?;
        let (nu, x) =
            if std::ptr::eq(lx, ly) { (mu.clone(), y.copy()) } else { modes(lx, kx, "L_x")? };
        let inverse = Modes::new(objective, (mu, y), (nu, x), rho)?;
        Ok(Inverse::Modes(Box::new(inverse)))
    }

    /// Z ← M⁻¹ R.
    pub fn apply(&self, r: &[f64], z: &mut [f64]) {
        match self {
            Inverse::Identity => entries::axpby(1.0, r, 0.0, z),
            Inverse::Modes(modes) => modes.apply(r, z),
        }
    }

    /// Whether there is anything to apply.
    pub fn is_identity(&self) -> bool {
        matches!(self, Inverse::Identity)
    }
}

/// The k modes of L with the largest eigenvalues (which are ≤ 0), from 0 downwards.
fn modes(l: &SmoothingOperator, k: usize, side: &str) -> Result<(Vec<f64>, Basis)> {
    let n = l.voxels();
    if n <= FEW || 3 * k >= n {
        let dense = l.matrix().to_dense();
        let matrix = faer::Mat::from_fn(n, n, |i, j| dense[(i, j)]);
        let eigen = symmetric_eigen(matrix.as_ref())
            .ok_or_else(|| Error::range(format!("eigenvalues of {side}"), "convergence", "none"))?;
        let order: Vec<usize> = (0..n).rev().take(k).collect();
        let values = order.iter().map(|&i| eigen.values[i]).collect();
        let vectors = order.iter().flat_map(|&i| eigen.vectors.col(i).iter().copied()).collect();
        return Ok((values, Basis::Dense { n, vectors }));
    }
    let operator = SparseOperator::<f64>::new(l.matrix())?;
    // Modes steer, they need not be exact: only orthonormal, with their Rayleigh quotients.
    let pairs = Lanczos::new(&operator).largest(k).tolerance(1e-4).verify(false).run()?;
    let vectors = (0..pairs.values.len())
        .flat_map(|j| pairs.vectors.col(j).iter().copied().collect::<Vec<_>>());
    Ok((pairs.values.clone(), Basis::Dense { n, vectors: vectors.collect() }))
}

/// C ← A B + β C with the columns of C (m × n, column-major, contiguous) in fixed panels.
fn product(
    c: &mut [f64],
    m: usize,
    beta: f64,
    a: MatrixRef<'_, f64>,
    b: impl Fn(usize, usize) -> Panel + Sync,
    source: &[f64],
) {
    let isa = Isa::current();
    parallel::for_each_piece(c, m * PANEL, |i, c| {
        let columns = c.len() / m;
        let Panel { start, rows, row_stride, column_stride } = b(i * PANEL, columns);
        let b = MatrixRef::new(&source[start..], rows, columns, row_stride, column_stride);
        gemm(isa, 1.0, a, b, beta, MatrixMut::column_major(c, m, columns));
    });
}

/// Where columns of the right factor lie.
struct Panel {
    start: usize,
    rows: usize,
    row_stride: usize,
    column_stride: usize,
}

/// Columns from `first` of a column-major matrix with `rows` rows.
fn columns(rows: usize) -> impl Fn(usize, usize) -> Panel + Sync {
    move |first, _| Panel { start: first * rows, rows, row_stride: 1, column_stride: rows }
}

/// Columns from `first` of the transpose of a column-major matrix with `rows` rows and `columns`
/// columns.
fn transposed_columns(rows: usize, columns: usize) -> impl Fn(usize, usize) -> Panel + Sync {
    move |first, _| Panel { start: first, rows: columns, row_stride: rows, column_stride: 1 }
}

impl Basis {
    fn copy(&self) -> Self {
        let Basis::Dense { n, vectors } = self;
        Basis::Dense { n: *n, vectors: vectors.clone() }
    }

    fn voxels(&self) -> usize {
        let Basis::Dense { n, .. } = self;
        *n
    }

    fn modes(&self) -> usize {
        let Basis::Dense { n, vectors } = self;
        vectors.len() / n
    }

    fn matrix(&self) -> MatrixRef<'_, f64> {
        let Basis::Dense { n, vectors } = self;
        MatrixRef::column_major(vectors, *n, vectors.len() / n)
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
        let mut injections = vec![0.0; k * experiments];
        product(&mut injections, k, 0.0, x.matrix().transposed(), columns(n), &dense);
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
        let outside = (!all).then(|| {
            let c = lambda_eff * mean_diagonal(objective.ly, objective.lx);
            if c > 0.0 { c } else { 1.0 }
        });
        Ok(Self { y, x, mu, nu, lambda_eff, rho, injections, experiments, capacitance, outside })
    }

    fn apply(&self, r: &[f64], z: &mut [f64]) {
        let (ny, nx) = (self.y.voxels(), self.x.voxels());
        let (ky, kx) = (self.y.modes(), self.x.modes());
        // Qᵀ R, then (QᵀRP)ᵀ: one column for each mode of the targets.
        let mut left = vec![0.0; ky * nx];
        product(&mut left, ky, 0.0, self.y.matrix().transposed(), columns(ny), r);
        let mut modes = vec![0.0; kx * ky];
        let rows = transposed_columns(ky, nx);
        product(&mut modes, kx, 0.0, self.x.matrix().transposed(), rows, &left);
        parallel::for_each_piece(&mut modes, kx, |i, h| self.solve(i, h));
        // Q Ẑ Pᵀ.
        let mut right = vec![0.0; nx * ky];
        product(&mut right, nx, 0.0, self.x.matrix(), columns(kx), &modes);
        match self.outside {
            Some(c) => entries::axpby(c.recip(), r, 0.0, z),
            None => z.fill(0.0),
        }
        let rows = transposed_columns(nx, ky);
        product(z, ny, 1.0, self.y.matrix(), rows, &right);
    }

    /// h ← (D + X̂X̂ᵀ)⁻¹ h for mode `i` of the targets; less h/c, where R/c is added for everything.
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
        let outside = self.outside.map_or(0.0, f64::recip);
        for (j, h) in h.iter_mut().enumerate() {
            *h = z[j] - correction[j] * weight(j) - outside * *h;
        }
    }
}

/// The mean diagonal element of (L_x ⊕ L_y)ᵀ(L_x ⊕ L_y).
fn mean_diagonal(ly: &SmoothingOperator, lx: &SmoothingOperator) -> f64 {
    let parts = |l: &SmoothingOperator| {
        let n = l.voxels() as f64;
        let squares: f64 = l.matrix().data().iter().map(|v| v * v).sum();
        let trace: f64 = l.matrix().diag().iter().map(|(_, v)| *v).sum();
        (squares / n, trace / n)
    };
    let ((squares_y, trace_y), (squares_x, trace_x)) = (parts(ly), parts(lx));
    squares_y + 2.0 * trace_y * trace_x + squares_x
}
