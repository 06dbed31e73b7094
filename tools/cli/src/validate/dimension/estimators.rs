//! Estimates of the dimension of clouds: `<cloud>__<quantity>`.

use hesse::Result;
use hesse::dimension::{Combine, Estimate, Fit, Gride, MaximumLikelihood, Ties, TwoNn};
use hesse::faer::Mat;
use hesse::neighbors::{Duplicates, Knn, Neighbors};

use super::{Clouds, about, compare, compare_exactly, prefixes};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `estimators`: formulas and scikit-dimension.
pub(super) struct Estimators;

/// `dadapy`.
pub(super) struct Dadapy;

/// What files of these layouts hold and nobody here recomputes yet.
const PENDING: [&str; 31] = [
    "mind_mlk_root",
    "mind_mlk_skdim",
    "mind_mli_skdim",
    "mom20_pw",
    "mom20",
    "tle20_pw",
    "tle20",
    "mada20_pw",
    "mada20",
    "corrint_10_20",
    "corrint_radii",
    "ess30a_pw",
    "ess30a_val",
    "ess30a",
    "ess30b_pw",
    "ess30b_val",
    "ess30b",
    "fishers",
    "fishers_alphas",
    "fishers_n_alpha",
    "fishers_p_mean",
    "mst_sum_w",
    "twonn_bayes",
    "twonn_bayes_sd",
    "binomial_k20_r05_mle",
    "binomial_k20_r05_err",
    "binomial_k20_r05_bayes",
    "binomial_k20_r05_bayes_sd",
    "data_stats",
    "calibration",
    "kl",
];

impl Layout for Estimators {
    fn name(&self) -> &'static str {
        "estimators"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["swiss__twonn_linear_09", "swiss__mle20_mg"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        each_cloud(checks, |checks, name, x| {
            let of = |what: &str| format!("{name}__{what}");
            let distinct = Knn::new(1).duplicates(Duplicates::Merge).build(x.as_ref())?;
            let kept: Vec<f64> =
                distinct.kept().unwrap_or_default().iter().map(|&i| i as f64).collect();
            compare_exactly(checks, &of("first_unique"), kept);
            if checks.wants(&[&of("twonn_drop_zero_r1"), &of("twonn_ansuini_raw")]) {
                let raw = Knn::new(2).build(x.as_ref())?;
                let dropped = value(TwoNn::linear(0.9).drop_copies().fit(&raw));
                compare(checks, &of("twonn_drop_zero_r1"), 1e-10, dropped);
                let ansuini = value(TwoNn::new(Fit::Ansuini { keep: 0.9 }).fit(&raw));
                compare(checks, &of("twonn_ansuini_raw"), 1e-10, ansuini);
            }
            let table = table(x, distinct.len())?;
            for (what, fit, tolerance) in [
                ("twonn_linear_09", Fit::Linear { keep: 0.9 }, 1e-10),
                ("twonn_skdim", Fit::Linear { keep: 0.9 }, 1e-8),
                ("twonn_skdim_mle_cens", Fit::Censored { keep: 0.9 }, 1e-8),
                ("twonn_ml", Fit::MaximumLikelihood, 1e-10),
                ("twonn_ansuini", Fit::Ansuini { keep: 0.9 }, 1e-10),
            ] {
                compare(checks, &of(what), tolerance, value(TwoNn::new(fit).fit(&table)));
            }
            likelihoods(checks, name, &table)?;
            let scales = Gride::scales(&table, Ties::Drop)?;
            let n1 = scales.iter().map(|(n1, _)| *n1 as f64).collect();
            compare_exactly(checks, &of("gride_n1"), n1);
            gride(checks, name, &scales, 1e-8);
            Ok(())
        })
    }
}

impl Layout for Dadapy {
    fn name(&self) -> &'static str {
        "dadapy"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["swiss__twonn_base", "swiss__twonn_scale"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        each_cloud(checks, |checks, name, x| {
            let of = |what: &str| format!("{name}__{what}");
            let distinct = Knn::new(1).duplicates(Duplicates::Merge).build(x.as_ref())?;
            let table = table(x, distinct.len())?;
            compare(checks, &of("twonn_base"), 1e-8, value(TwoNn::linear(0.9).fit(&table)));
            let likelihood = value(TwoNn::maximum_likelihood().fit(&table));
            compare(checks, &of("twonn_ml"), 1e-10, likelihood);
            let scales = Gride::scales(&table, Ties::Nudge)?;
            gride(checks, name, &scales, 1e-6);
            let radius = |n1: usize| {
                let both = |i: usize| table.distances(i)[n1 - 1] + table.distances(i)[2 * n1 - 1];
                (0..table.len()).map(|i| 0.5 * both(i)).sum::<f64>() / table.len() as f64
            };
            compare(checks, &of("twonn_scale"), 1e-10, vec![radius(1)]);
            let radii = scales.iter().map(|(n1, _)| radius(*n1)).collect();
            compare(checks, &of("gride_scale"), 1e-10, radii);
            Ok(())
        })
    }
}

/// The table of 64 neighbours of distinct points, or of all others.
fn table(x: &Mat<f64>, distinct: usize) -> Result<Neighbors> {
    Knn::new(64.min(distinct.saturating_sub(1))).duplicates(Duplicates::Merge).build(x.as_ref())
}

fn each_cloud(
    checks: &mut Checks<'_>,
    f: impl Fn(&mut Checks<'_>, &str, &Mat<f64>) -> Result<()>,
) -> Result<(), Failure> {
    let arrays = checks.inputs(&[]);
    let run = |checks: &mut Checks<'_>| -> Result<()> {
        let clouds = Clouds::of(arrays)?;
        for name in prefixes(arrays, "__") {
            let x = clouds.get(checks, &name)?;
            f(checks, &name, &x)?;
            for what in PENDING {
                checks.not_recomputed(&[&format!("{name}__{what}")]);
            }
        }
        Ok(())
    };
    run(checks).map_err(|error| about(arrays, error))
}

/// NaN where there is no estimate: a reference that has one does not pass.
fn value(found: Result<Estimate>) -> Vec<f64> {
    vec![found.map_or(f64::NAN, |e| e.value)]
}

fn likelihoods(checks: &mut Checks<'_>, name: &str, table: &Neighbors) -> Result<()> {
    let of = |what: &str| format!("{name}__{what}");
    let mle = MaximumLikelihood::new(20.min(table.len().saturating_sub(2)));
    let range = MaximumLikelihood::over(10, 20.min(table.len().saturating_sub(2)));
    for (what, estimator, tolerance) in [
        ("mle20_mg", mle, 1e-10),
        ("mle20_skdim", mle, 1e-8),
        ("mle20_mean", mle.combine(Combine::Arithmetic), 1e-10),
        ("mle20_median", mle.combine(Combine::Median), 1e-10),
        ("mle20_unbiased_mg", mle.unbiased(), 1e-10),
        ("levina_bickel_10_20", range.combine(Combine::Arithmetic), 1e-10),
        ("mackay_ghahramani_10_20", range, 1e-10),
    ] {
        compare(checks, &of(what), tolerance, value(estimator.fit(table)));
    }
    compare(checks, &of("mle20_pw"), 1e-10, mle.pointwise(table)?);
    Ok(())
}

fn gride(checks: &mut Checks<'_>, name: &str, scales: &[(usize, Estimate)], tolerance: f64) {
    let values = scales.iter().map(|(_, e)| e.value).collect();
    compare(checks, &format!("{name}__gride"), tolerance, values);
    let errors = scales.iter().map(|(_, e)| e.standard_error.unwrap_or(f64::NAN)).collect();
    compare(checks, &format!("{name}__gride_err"), tolerance, errors);
}
