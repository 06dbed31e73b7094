//! Alignment of kernels and of shapes: `05_cka`, `06_procrustes`.

use hesse::faer::{Mat, MatRef};
use hesse::similarity::{Cka, CkaEstimator, Median, MinibatchCka, Procrustes, hsic, shape_angle};
use hesse::{Error, Result};

use super::{Golden, SPECTRAL, TABLE};
use crate::failure::Failure;
use crate::validate::{Checks, Layout, Rule};

/// `05_cka`.
pub(super) struct Kernels;

/// `06_procrustes`.
pub(super) struct Shapes;

impl Layout for Kernels {
    fn name(&self) -> &'static str {
        "05_cka"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["x", "y", "cka_linear"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let (x, y) = (file.mat("x")?, file.mat("y")?);
            let (x, y) = (x.as_ref(), y.as_ref());
            for (name, estimator) in
                [("hsic_biased", CkaEstimator::Biased), ("hsic_unbiased", CkaEstimator::Debiased)]
            {
                // In squared units of both sides: relative.
                let got = file.shaped(name, &[hsic(x, y, estimator)?]);
                file.checks.compare(name, Rule::Relative(TABLE), &got);
            }
            let linear = Cka::linear();
            let debiased = linear.estimator(CkaEstimator::Debiased);
            score(file, "cka_linear", linear, x, y)?;
            file.check("cka_linear_angular", &[linear.angle(x, y)?], SPECTRAL);
            score(file, "cka_linear_debiased", debiased, x, y)?;
            let unit = linear.estimator(CkaEstimator::UnitUnbiased);
            score(file, "cka_unit_unbiased", unit, x, y)?;
            score(file, "whitened_cosine_of_sqeuclid", linear, x, y)?;
            for (name, scale) in [("0p4", 0.4), ("1p0", 1.0), ("2p0", 2.0)] {
                for (suffix, median) in [("all", Median::All), ("offdiag", Median::OffDiagonal)] {
                    let cka = Cka::radial(scale, median);
                    let name = format!("cka_rbf_{name}_med_{suffix}");
                    score(file, &name, cka, x, y)?;
                    let cka = cka.estimator(CkaEstimator::Debiased);
                    score(file, &format!("{name}_debiased"), cka, x, y)?;
                }
            }
            if file.wants(&["cka_minibatch"]) {
                let mut all = MinibatchCka::new();
                for batch in file.indices("batches", x.nrows())? {
                    let part = |m: MatRef<'_, f64>| {
                        Mat::from_fn(batch.len(), m.ncols(), |i, j| m[(batch[i], j)])
                    };
                    if y.nrows() != x.nrows() {
                        return Err(Error::shape("y: stimuli", x.nrows(), y.nrows()));
                    }
                    all.push(part(x).as_ref(), part(y).as_ref())?;
                }
                file.check("cka_minibatch", &[all.score()?], SPECTRAL);
            }
            for (left, right, biased, unbiased) in [
                ("x_indep", "y_indep", "cka_indep_biased", "cka_indep_debiased"),
                ("a", "t", "cka_linear_digits", "cka_linear_debiased_digits"),
            ] {
                if file.wants(&[biased, unbiased]) {
                    let (x, y) = (file.mat(left)?, file.mat(right)?);
                    score(file, biased, linear, x.as_ref(), y.as_ref())?;
                    score(file, unbiased, debiased, x.as_ref(), y.as_ref())?;
                }
            }
            Ok(())
        })
    }
}

fn score(
    file: &mut Golden<'_, '_>,
    name: &str,
    cka: Cka,
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
) -> Result<()> {
    if file.wants(&[name]) {
        file.check(name, &[cka.score(x, y)?], SPECTRAL);
    }
    Ok(())
}

impl Layout for Shapes {
    fn name(&self) -> &'static str {
        "06_procrustes"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["x", "y", "nbs"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let (x, y) = (file.mat("x")?, file.mat("y")?);
            let (x, y) = (x.as_ref(), y.as_ref());
            let found = Procrustes::of(x, y)?;
            file.check("nbs", &[found.similarity()], SPECTRAL);
            let normalised = found.normalised_squared_distance();
            file.check("sq_distance_normalised", &[normalised], SPECTRAL);
            file.check("angular", &[found.angle()], SPECTRAL);
            // Sums over all entries: relative to their size.
            let size = found.norm_x * found.norm_y;
            for (name, got) in
                [("nuclear", found.nuclear_norm()), ("sq_distance", found.squared_distance())]
            {
                let got = file.shaped(name, &[got]);
                file.checks.compare(name, Rule::Absolute(SPECTRAL * size), &got);
            }
            for (name, alpha) in [("0", 0.0), ("0.5", 0.5), ("1", 1.0)] {
                let got = shape_angle(x, y, alpha)?;
                file.check(&format!("shape_angular_alpha{name}"), &[got], SPECTRAL);
            }
            if file.wants(&["angular_rotated"]) {
                let rotated = Procrustes::of(x, file.mat("x_rotated")?.as_ref())?;
                // The arc cosine of 1 − ε.
                file.check("angular_rotated", &[rotated.angle()], 3e-8);
            }
            if file.wants(&["angular_wide"]) {
                let (x, y) = (file.mat("x_wide")?, file.mat("y_wide")?);
                let wide = Procrustes::of(x.as_ref(), y.as_ref())?;
                file.check("angular_wide", &[wide.angle()], SPECTRAL);
            }
            Ok(())
        })
    }
}
