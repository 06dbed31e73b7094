//! The reference file of Krylov methods: one symmetric matrix with Lanczos from a given start,
//! traces from given probes, and densities.

use faer::{Mat, MatRef};
use hesse::Error;
use hesse::krylov::{
    DenseOperator, DiagonalEstimator, Estimate, Kernel, Probes, SpectralDensity, Trace,
    TraceEstimate, Tridiagonal,
};

use super::flatness::eigenvalues;
use super::{Arrays, Checks, Layout, Numbers, Rule};
use crate::failure::Failure;

/// `lanczos_trace_slq`.
pub(super) struct KrylovFile;

impl Layout for KrylovFile {
    fn name(&self) -> &'static str {
        "lanczos_trace_slq"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["A_tri", "v0"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["probes", "xtrace_probes"]);
        let matrix = matrix(arrays)?;
        let compute = |checks: &mut Checks<'_>| {
            let operator = DenseOperator::new(matrix.as_ref())?;
            let spectrum = eigenvalues(matrix.as_ref());
            let work = Work { arrays, matrix: matrix.as_ref(), operator, spectrum };
            work.whole(checks);
            work.lanczos(checks)?;
            work.traces(checks)?;
            work.densities(checks)
        };
        compute(checks).map_err(|error| Failure::input(format!("{}: {error}", arrays.file)))
    }
}

/// The matrix from its lower triangle, packed row by row.
fn matrix(arrays: &Arrays) -> Result<Mat<f64>, Error> {
    let ([length], packed) = arrays.with_axes::<1>("A_tri")?;
    let n = ((2.0 * length as f64 + 0.25).sqrt() - 0.5).round() as usize;
    if n == 0 || n * (n + 1) / 2 != length {
        let message = format!("expected n (n + 1) / 2 numbers, got {length}");
        return Err(arrays.wrong("A_tri", message));
    }
    let at = |i: usize, j: usize| if i >= j { (i, j) } else { (j, i) };
    Ok(Mat::from_fn(n, n, |i, j| {
        let (i, j) = at(i, j);
        packed[i * (i + 1) / 2 + j]
    }))
}

struct Work<'a> {
    arrays: &'a Arrays,
    matrix: MatRef<'a, f64>,
    operator: DenseOperator<'a, f64>,
    spectrum: Vec<f64>,
}

impl Work<'_> {
    fn n(&self) -> usize {
        self.matrix.nrows()
    }

    /// ‖A‖₂.
    fn norm(&self) -> f64 {
        let last = self.spectrum.len() - 1;
        let (low, high) = (self.spectrum[0].abs(), self.spectrum[last].abs());
        if low > high { low } else { high }
    }

    /// Sums of n² products of size up to |ω||A||ω| = n ‖A‖, in another order than the reference.
    fn rounding(&self) -> f64 {
        64.0 * f64::EPSILON * self.norm() * self.n() as f64
    }

    /// What is known of the matrix without any method.
    fn whole(&self, checks: &mut Checks<'_>) {
        let n = self.n();
        checks.compare("eig", Rule::Relative(1e-10), &Numbers::vector(self.spectrum.clone()));
        let squares = (0..n).flat_map(|j| (0..n).map(move |i| (i, j)));
        let squares = squares.map(|at| self.matrix[at] * self.matrix[at]).sum();
        checks.compare("fro2", Rule::Relative(1e-12), &Numbers::scalar(squares));
    }

    fn lanczos(&self, checks: &mut Checks<'_>) -> Result<(), Error> {
        let Some(steps) = self.steps() else { return Ok(()) };
        let t = Tridiagonal::lanczos(&self.operator, &self.arrays.get("v0")?.values, steps)?;
        let rule = t.quadrature()?;
        // Steps after a Ritz value has converged depend on rounding: 1e-10 ‖A‖.
        let close = Rule::Absolute(1e-10 * self.norm());
        checks.compare("alpha", close, &Numbers::vector(t.alpha));
        checks.compare("beta", close, &Numbers::vector(t.beta));
        for name in ["moments", "moments_exact"] {
            let count = self.arrays.numbers.get(name).map_or(0, |m| m.values.len());
            // The rule is exact below degree 2 · steps.
            if name == "moments" || count <= 2 * steps {
                let moment = |p: usize| rule.integral(|x| x.powi(p as i32));
                let moments = (0..count).map(moment).collect();
                let scales: Vec<f64> = (0..count).map(|p| self.norm().powi(p as i32)).collect();
                let got = Numbers::vector(moments);
                checks.compare_scaled(name, Rule::Absolute(1e-12), &got, &scales);
            }
        }
        checks.compare("ritz", close, &Numbers::vector(rule.nodes));
        checks.compare("ritz_weight", Rule::Absolute(1e-10), &Numbers::vector(rule.weights));
        Ok(())
    }

    /// Number of Lanczos steps in the file.
    fn steps(&self) -> Option<usize> {
        ["alpha", "ritz"].iter().find_map(|name| Some(self.arrays.numbers.get(*name)?.values.len()))
    }

    fn traces(&self, checks: &mut Checks<'_>) -> Result<(), Error> {
        let Self { arrays, operator, .. } = self;
        let close = Rule::Absolute(self.rounding());
        // An ill-conditioned sketch turns its basis by ε κ; the trace on it moves by less.
        let sketched = Rule::Absolute(10.0 * self.rounding());
        let exact = Trace::exact().run(operator)?;
        checks.compare("trace", close, &Numbers::scalar(exact.value));
        checks.compare("diag", close, &Numbers::vector(exact.terms));

        if checks.wants(&["hutchinson", "hutchinson_terms", "hutch_diag", "hutchpp"]) {
            let ([rows, m], probes) = arrays.with_axes::<2>("probes")?;
            let probes = MatRef::from_row_major_slice(probes, rows, m);
            let got = Trace::hutchinson(m).run_with(operator, probes)?;
            checks.compare("hutchinson", close, &Numbers::scalar(got.value));
            checks.compare("hutchinson_terms", close, &Numbers::vector(got.terms));
            let got = DiagonalEstimator::new(m).run_with(operator, probes)?;
            checks.compare("hutch_diag", close, &Numbers::vector(got.values));
            if checks.wants(&["hutchpp"]) {
                // The first third is the sketch, the second one the residual probes.
                let used = probes.subcols(0, m / 3 * 2);
                let got = Trace::hutchpp(m / 3 * 3).run_with(operator, used)?;
                checks.compare("hutchpp", sketched, &Numbers::scalar(got.value));
            }
        }
        let names = ["xtrace", "xtrace_err", "xtrace_terms", "xtrace_plain", "xtrace_plain_err"];
        if checks.wants(&names) {
            let ([rows, m], probes) = arrays.with_axes::<2>("xtrace_probes")?;
            let probes = MatRef::from_row_major_slice(probes, rows, m);
            // The paper's error takes the terms for independent; the one that we state adds their
            // covariance, and is larger.
            let error = |got: &TraceEstimate| Estimate::of(&got.terms).standard_error;
            let got = Trace::xtrace(2 * m).run_with(operator, probes)?;
            checks.compare("xtrace", sketched, &Numbers::scalar(got.value));
            checks.compare("xtrace_err", sketched, &Numbers::scalar(error(&got)));
            checks.compare("xtrace_terms", sketched, &Numbers::vector(got.terms));
            let plain = Trace::xtrace(2 * m).probes(Probes::Rademacher);
            let got = plain.run_with(operator, probes)?;
            checks.compare("xtrace_plain", sketched, &Numbers::scalar(got.value));
            checks.compare("xtrace_plain_err", sketched, &Numbers::scalar(error(&got)));
        }
        Ok(())
    }

    fn densities(&self, checks: &mut Checks<'_>) -> Result<(), Error> {
        let Some(steps) = self.steps() else { return Ok(()) };
        let v0 = &self.arrays.get("v0")?.values;
        let start = MatRef::from_column_major_slice(v0, v0.len(), 1);
        let builder = SpectralDensity::new().steps(steps);
        let moved = 1e-10 * self.norm();
        let largest = |name: &str| {
            let values = self.arrays.numbers.get(name).map(|a| a.values.as_slice());
            values.unwrap_or_default().iter().fold(0.0, |a: f64, b| if *b > a { *b } else { a })
        };
        for (name, grid) in [("density", "density_grid"), ("density2", "density2_grid")] {
            let Some(points) = self.arrays.numbers.get(grid).map(|a| a.values.len()) else {
                continue;
            };
            let builder = builder.clone().grid(points);
            let got = if name == "density" {
                builder.kernel(Kernel::Variance).run_with(&self.operator, start)?
            } else {
                let last = self.spectrum.len() - 1;
                let builder = builder.extremes(self.spectrum[0], self.spectrum[last]);
                builder.run_with(&self.operator, start)?
            };
            if name == "density" {
                let variance = Numbers::scalar(got.sigma * got.sigma);
                checks.compare("density_var", Rule::Absolute(1e-12), &variance);
            }
            checks.compare(grid, Rule::Absolute(moved), &Numbers::vector(got.grid));
            // A node moved by d moves the density by at most its slope times d.
            let slope = largest(name) / got.sigma;
            checks.compare(name, Rule::Absolute(slope * moved), &Numbers::vector(got.density));
        }
        Ok(())
    }
}
