//! Canonical correlations: `04_cca`, `04b_cca_reference_code`.

use hesse::similarity::{CanonicalCorrelations, Cca, Cut, PrincipalDirections, Pwcca, Side};

use super::{Golden, SPECTRAL, TABLE};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `04_cca`.
pub(super) struct Canonical;

/// `04b_cca_reference_code`: what the reference code of SVCCA says of the responses of `04_cca`.
pub(super) struct ReferenceCode;

impl Layout for Canonical {
    fn name(&self) -> &'static str {
        "04_cca"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["x", "y", "rho"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let (x, y) = (file.mat("x")?, file.mat("y")?);
            let (x, y) = (x.as_ref(), y.as_ref());
            let cca = Cca::new().fit(x, y)?;
            file.check("rho", &cca.rho, SPECTRAL);
            file.check("mean_rho", &[cca.mean()], SPECTRAL);
            file.check("mean_rho_sq", &[cca.mean_square()], SPECTRAL);
            file.check("wilks_lambda", &[cca.wilks_lambda()], SPECTRAL);
            file.check("yanai_gcd", &[cca.yanai()], SPECTRAL);
            file.check("mean_rho_trimmed98", &[cca.trimmed_mean(0.98)?], SPECTRAL);
            for (name, share) in [("var99", 0.99), ("var95", 0.95), ("var90", 0.9)] {
                let svcca = Cca::new().cut(Cut::Variance(share)).fit(x, y)?;
                file.exact(&format!("svcca_{name}_k"), &kept(&svcca));
                file.check(&format!("svcca_{name}_rho"), &svcca.rho, SPECTRAL);
                file.check(&format!("svcca_{name}"), &[svcca.mean()], SPECTRAL);
            }
            let svcca = Cca::new().cut(Cut::SingularSum(0.99)).fit(x, y)?;
            file.exact("svcca_singsum99_k", &kept(&svcca));
            file.check("svcca_singsum99", &[svcca.mean()], SPECTRAL);
            if file.wants(&["svcca_dim10"]) {
                let svcca = Cca::new().cut(Cut::Dim(10)).fit(x, y)?;
                file.check("svcca_dim10", &[svcca.mean()], SPECTRAL);
            }
            for (suffix, side) in [("x", Side::X), ("y", Side::Y)] {
                let pwcca = Pwcca::new(side).fit(x, y)?;
                file.check(&format!("pwcca_ref_{suffix}"), &[pwcca.score], SPECTRAL);
                file.check(&format!("pwcca_weights_{suffix}"), &pwcca.weights, SPECTRAL);
            }
            if file.wants(&["rho_deficient"]) {
                let deficient = Cca::new().fit(file.mat("x_deficient")?.as_ref(), y)?;
                file.check("rho_deficient", &deficient.rho, SPECTRAL);
            }
            if file.wants(&["a"]) {
                let (a, t) = (file.mat("a")?, file.mat("t")?);
                let (a, t) = (a.as_ref(), t.as_ref());
                let svcca = Cca::new().cut(Cut::Dim(40)).fit(a, t)?;
                file.check("svcca_dim40_digits_rho", &svcca.rho, SPECTRAL);
                file.check("svcca_dim40_digits", &[svcca.mean()], SPECTRAL);
                file.check("null_mean_rho_sq_40_118", &[svcca.null_mean_square()], TABLE);
                let cut = Cca::new().cut(Cut::Variance(0.99)).allow_underdetermined();
                let svcca = cut.fit(a, t)?;
                file.exact("svcca_var99_digits_k", &kept(&svcca));
                file.check("svcca_var99_digits", &[svcca.mean()], SPECTRAL);
                let pwcca = Pwcca::new(Side::X).cut(Cut::Dim(40)).fit(a, t)?;
                file.check("pwcca_dim40_digits_ref_a", &[pwcca.score], SPECTRAL);
                let values = PrincipalDirections::of(a)?.singular_values();
                file.check("singular_values_a", &values, SPECTRAL);
            }
            if file.wants(&["x_wide"]) {
                let (x, y) = (file.mat("x_wide")?, file.mat("y_wide")?);
                let full = Cca::new().allow_underdetermined().fit(x.as_ref(), y.as_ref())?;
                file.check("rho_wide_full", &full.rho, SPECTRAL);
                let svcca = Cca::new().cut(Cut::Dim(10)).fit(x.as_ref(), y.as_ref())?;
                file.check("svcca_dim10_wide_rho", &svcca.rho, SPECTRAL);
                file.check("svcca_dim10_wide", &[svcca.mean()], SPECTRAL);
            }
            Ok(())
        })
    }
}

fn kept(cca: &CanonicalCorrelations) -> [f64; 2] {
    [cca.kept.0 as f64, cca.kept.1 as f64]
}

/// To what that code, which inverts covariances, is good.
const INVERTED: f64 = 1e-8;

impl Layout for ReferenceCode {
    fn name(&self) -> &'static str {
        "04b_cca_reference_code"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["cca_coef_eps0", "mean_trimmed98_eps0"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, Some("04_cca.npz"), |file| {
            let (x, y) = (file.mat("x")?, file.mat("y")?);
            let (x, y) = (x.as_ref(), y.as_ref());
            for (suffix, cca) in [
                ("eps0", Cca::new()),
                ("eps1em10", Cca::new().ridge(1e-10)),
                ("eps1em3", Cca::new().ridge(1e-3)),
            ] {
                let got = cca.fit(x, y)?;
                file.check(&format!("cca_coef_{suffix}"), &got.rho, INVERTED);
                let (sum, count) = (got.rho.iter().sum(), got.rho.len() as f64);
                file.check(&format!("sum_{suffix}"), &[sum], count * INVERTED);
                let trimmed = got.trimmed_mean(0.98)?;
                file.check(&format!("mean_trimmed98_{suffix}"), &[trimmed], INVERTED);
            }
            let ridge = Cca::new().ridge(1e-10);
            for (name, cut) in
                [("dim5", Cut::Dim(5)), ("dim10", Cut::Dim(10)), ("var99", Cut::Variance(0.99))]
            {
                if !file.wants(&[&format!("svcca_{name}_coef"), &format!("svcca_{name}_mean")]) {
                    continue;
                }
                let got = ridge.cut(cut).fit(x, y)?;
                file.check(&format!("svcca_{name}_coef"), &got.rho, INVERTED);
                file.check(&format!("svcca_{name}_mean"), &[got.mean()], INVERTED);
                let trimmed = got.trimmed_mean(0.98)?;
                file.check(&format!("svcca_{name}_mean_trimmed98"), &[trimmed], INVERTED);
            }
            if file.wants(&["svcca_dim40_digits_mean", "svcca_dim40_digits_mean_trimmed98"]) {
                let (a, t) = (file.mat("a")?, file.mat("t")?);
                let got = ridge.cut(Cut::Dim(40)).fit(a.as_ref(), t.as_ref())?;
                file.check("svcca_dim40_digits_mean", &[got.mean()], INVERTED);
                let trimmed = got.trimmed_mean(0.98)?;
                file.check("svcca_dim40_digits_mean_trimmed98", &[trimmed], INVERTED);
            }
            // Its projection weighting departs from the published formula, or fails.
            file.checks.not_recomputed(&[
                "google_pwcca_yx",
                "google_pwcca_yx_weights",
                "google_pwcca_xy_raises",
            ]);
            Ok(())
        })
    }
}
