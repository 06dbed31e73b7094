//! What files of every kind of network hold: outputs, loss, gradient, products, matrices, spectra.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};
use hesse::krylov::{Lanczos, LinearOperator};
use hesse::network::{Activation, Dataset, Loss, Network, Objective};
use hesse::{Error, Real};

use crate::data::accuracy;
use crate::validate::{Arrays, Checks, Numbers, Rule};

/// More parameters than this, and no full matrix is made: 800 MB.
const MOST_PARAMETERS: usize = 10_000;

/// A network with its samples in the storage type `T`.
pub(super) struct Case<T: Real> {
    pub(super) network: Network<T>,
    pub(super) data: Dataset<T>,
    pub(super) loss: Loss,
    pub(super) theta: Vec<T>,
}

/// By their codes. The rectifier has derivative 0 at 0 in the files as here.
pub(crate) const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Relu,
    Activation::Softplus,
    Activation::GeluTanh,
];

/// By their codes.
pub(super) const LOSSES: [Loss; 2] = [Loss::HalfSquaredError, Loss::CrossEntropy];

/// The one of `all` that the number in the array `name` stands for.
pub(super) fn code<C: Copy>(arrays: &Arrays, name: &str, all: &[C]) -> Result<C, Error> {
    match arrays.counts(name, all.len() - 1)?[..] {
        [code] => Ok(all[code]),
        ref codes => Err(arrays.wrong(name, format!("expected one number, got {}", codes.len()))),
    }
}

impl Case<f64> {
    /// Compares what the file holds of this case. `tolerance` is that of everything but eigenvalues,
    /// relative to the largest entry.
    pub(super) fn check(
        &self,
        checks: &mut Checks<'_>,
        arrays: &Arrays,
        tolerance: f64,
    ) -> Result<(), Error> {
        let Case { network, data, loss, theta } = self;
        let (p, outputs) = (theta.len(), network.outputs());
        let objective = Objective::new(network, data, *loss)?;
        let point = objective.at(theta)?;
        let relative = Rule::Relative(tolerance);

        let out = objective.outputs(theta)?;
        if let Some(share) = accuracy(&out, outputs, data.targets(), *loss) {
            checks.compare("accuracy", Rule::Relative(1e-12), &Numbers::scalar(share));
        }
        let full = p <= MOST_PARAMETERS;
        let gauss_newton = if full { Some(point.gauss_newton().to_matrix()?) } else { None };

        // Rounding moves each output by some δ = 64 ε max |f|. Where the residuals r are no larger,
        // that is what loss and gradient are made of: with L = Σ r²/2n it moves the loss by up to
        // δ √(2NL) + N δ²/2, and entry p of the gradient by up to δ √(N Gₚₚ).
        let (mut loss_noise, mut gradient_noise) = (0.0, 0.0);
        if let (Loss::HalfSquaredError, Some(g)) = (loss, &gauss_newton) {
            let (n, delta) = (outputs as f64, 64.0 * f64::EPSILON * largest(&out));
            loss_noise = delta * (2.0 * n * point.value()).sqrt() + 0.5 * n * delta * delta;
            let diagonal: Vec<f64> = (0..p).map(|i| g[(i, i)]).collect();
            gradient_noise = delta * (n * largest(&diagonal)).sqrt();
        }
        checks.compare("out", relative, &Numbers::matrix(data.len(), outputs, out));
        let rule = either(tolerance * point.value(), loss_noise, relative);
        checks.compare("loss", rule, &Numbers::scalar(point.value()));
        let rule = either(tolerance * largest(point.gradient()), gradient_noise, relative);
        checks.compare("grad", rule, &Numbers::vector(point.gradient().to_vec()));

        if checks.wants(&["HV", "GV"]) {
            let v = columns::<f64>(arrays, "V", p)?;
            let mut product = vec![0.0; v.len()];
            point.hessian().apply_block(&v, &mut product);
            checks.compare("HV", relative, &from_columns(&product, p));
            point.gauss_newton().apply_block(&v, &mut product);
            checks.compare("GV", relative, &from_columns(&product, p));
        }
        if full {
            let hessian = point.hessian().to_matrix()?;
            self.matrix(checks, "H", &hessian, relative);
            if let Some(g) = &gauss_newton {
                self.matrix(checks, "G", g, relative);
            }
        } else {
            let outputs = ["tri", "diag", "eig", "trace", "fro2"];
            for name in outputs.iter().flat_map(|s| [format!("H_{s}"), format!("G_{s}")]) {
                checks.not_recomputed(&[&name]);
            }
        }
        if checks.wants(&["H_top3_vec"]) && p >= 3 {
            // Vectors are off by their residuals over the gaps, which are some hundredths of λ.
            let top = Lanczos::new(&point.hessian()).largest(3).tolerance(1e-12).run()?;
            let [rows, width] = arrays.with_axes::<2>("H_top3_vec")?.0;
            if (rows, width) == (p, 3) {
                let want = &arrays.get("H_top3_vec")?.values;
                let mut got = vec![0.0; 3 * p];
                for k in 0..3 {
                    let vector = top.vectors.col(2 - k);
                    let dot: f64 = (0..p).map(|i| vector[i] * want[3 * i + k]).sum();
                    (0..p).for_each(|i| got[3 * i + k] = vector[i] * dot.signum());
                }
                checks.compare("H_top3_vec", Rule::Absolute(1e-9), &Numbers::matrix(p, 3, got));
            }
        }
        Ok(())
    }

    /// Compares all that the file holds of one of the two matrices.
    fn matrix(&self, checks: &mut Checks<'_>, of: &str, matrix: &Mat<f64>, relative: Rule) {
        let p = matrix.nrows();
        let name = |what: &str| format!("{of}_{what}");
        let diagonal: Vec<f64> = (0..p).map(|i| matrix[(i, i)]).collect();
        checks.compare(&name("trace"), relative, &Numbers::scalar(diagonal.iter().sum()));
        checks.compare(&name("diag"), relative, &Numbers::vector(diagonal));
        let squares = (0..p).flat_map(|j| (0..p).map(move |i| matrix[(i, j)] * matrix[(i, j)]));
        checks.compare(&name("fro2"), relative, &Numbers::scalar(squares.sum()));
        if checks.wants(&[&name("tri")]) {
            let packed = (0..p).flat_map(|i| (0..=i).map(move |j| matrix[(i, j)])).collect();
            checks.compare(&name("tri"), relative, &Numbers::vector(packed));
        }
        let also = if of == "H" { "lambda_max" } else { "" };
        if checks.wants(&[&name("eig"), also]) {
            let values = eigenvalues(matrix.as_ref());
            let top = values.last().copied().unwrap_or(f64::NAN);
            checks.compare(also, Rule::Relative(1e-10), &Numbers::scalar(top));
            checks.compare(&name("eig"), Rule::Relative(1e-10), &Numbers::vector(values));
        }
    }
}

/// `relative`, unless the noise is larger than what it allows.
fn either(allowed: f64, noise: f64, relative: Rule) -> Rule {
    if noise > allowed { Rule::Absolute(noise) } else { relative }
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a, x| if x.abs() > a { x.abs() } else { a })
}

/// The columns of the p × k array `name`, one after the other.
pub(super) fn columns<T: Real>(arrays: &Arrays, name: &str, p: usize) -> Result<Vec<T>, Error> {
    let ([rows, k], values) = arrays.with_axes::<2>(name)?;
    if rows != p {
        return Err(arrays.wrong(name, format!("expected {p} rows, got {rows}")));
    }
    Ok((0..k).flat_map(|j| (0..p).map(move |i| T::from_f64(values[i * k + j]))).collect())
}

/// The p × k array in C order from its columns.
fn from_columns(columns: &[f64], p: usize) -> Numbers {
    let k = columns.len() / p;
    let values = (0..p).flat_map(|i| (0..k).map(move |j| columns[j * p + i])).collect();
    Numbers::matrix(p, k, values)
}

/// Eigenvalues of a symmetric matrix, ascending; NaN if the matrix is not finite.
pub(in crate::validate) fn eigenvalues(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let n = matrix.nrows();
    let mut values = Diag::<f64>::zeros(n);
    let (kind, par) = (ComputeEigenvectors::No, Par::Seq);
    let scratch = self_adjoint_evd_scratch::<f64>(n, kind, par, Default::default());
    let mut memory = MemBuffer::new(scratch);
    let memory = MemStack::new(&mut memory);
    let done = self_adjoint_evd(matrix, values.as_mut(), None, par, memory, Default::default());
    match done {
        Ok(()) => values.column_vector().iter().copied().collect(),
        Err(_) => vec![f64::NAN; n],
    }
}
