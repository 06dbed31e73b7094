//! Estimates of the dimension of clouds: `<cloud>__<quantity>`.

use hesse::Result;
use hesse::dimension::{
    Binomial, Combine, CorrelationIntegral, Danco, DancoStatistics, Estimate, FisherSeparability,
    Fit, Gride, ManifoldAdaptive, MaximumLikelihood, Mind, Moments, PointCloud, Shortest,
    SimplexSkewness, Skewness, SpanningTreeGrowth, Ties, Tight, TwoNn,
};
use hesse::faer::Mat;
use hesse::neighbors::{Duplicates, Knn, Neighbors};

use super::{Clouds, about, compare, compare_exactly, prefixes};
use crate::failure::Failure;
use crate::validate::{Checks, Layout, Rule};

/// `estimators`: formulas and scikit-dimension.
pub(super) struct Estimators;

/// `dadapy`.
pub(super) struct Dadapy;

/// `danco`: statistics of clouds beside those of uniform balls.
pub(super) struct Balls;

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
            let cloud = cloud(x, distinct.len())?;
            let table = cloud.table();
            for (what, fit, tolerance) in [
                ("twonn_linear_09", Fit::Linear { keep: 0.9 }, 1e-10),
                ("twonn_skdim", Fit::Linear { keep: 0.9 }, 1e-8),
                ("twonn_skdim_mle_cens", Fit::Censored { keep: 0.9 }, 1e-8),
                ("twonn_ml", Fit::MaximumLikelihood, 1e-10),
                ("twonn_ansuini", Fit::Ansuini { keep: 0.9 }, 1e-10),
            ] {
                compare(checks, &of(what), tolerance, value(TwoNn::new(fit).fit(table)));
            }
            likelihoods(checks, name, table)?;
            let scales = Gride::scales(table, Ties::Drop)?;
            let n1 = scales.iter().map(|(n1, _)| *n1 as f64).collect();
            compare_exactly(checks, &of("gride_n1"), n1);
            gride(checks, name, &scales, 1e-8);
            first_neighbours(checks, name, &cloud)?;
            shapes(checks, name, &cloud)
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
            let cloud = cloud(x, distinct.len())?;
            let table = cloud.table();
            let two_nn = TwoNn::linear(0.9);
            compare(checks, &of("twonn_base"), 1e-8, value(two_nn.fit(table)));
            compare(checks, &of("twonn_scale"), 1e-10, vec![two_nn.scale(table)?]);
            let likelihood = value(TwoNn::maximum_likelihood().fit(table));
            compare(checks, &of("twonn_ml"), 1e-10, likelihood);
            let posterior = TwoNn::new(Fit::Posterior { shape: 2.0, rate: 5.0 }).fit(table);
            both(checks, &of("twonn_bayes"), &of("twonn_bayes_sd"), posterior);

            let scales = Gride::scales(table, Ties::Nudge)?;
            gride(checks, name, &scales, 1e-6);
            let scale = |s: &(usize, Estimate)| Gride::new(s.0, 2 * s.0).scale(table);
            let radii = scales.iter().map(scale).collect::<Result<_>>()?;
            compare(checks, &of("gride_scale"), 1e-10, radii);

            let binomial = Binomial::new(20, 0.5);
            let start = of("binomial_k20_r05");
            let (mle, error) = (format!("{start}_mle"), format!("{start}_err"));
            both(checks, &mle, &error, binomial.fit(table));
            let (bayes, deviation) = (format!("{start}_bayes"), format!("{start}_bayes_sd"));
            both(checks, &bayes, &deviation, binomial.posterior().fit(table));
            Ok(())
        })
    }
}

impl Layout for Balls {
    fn name(&self) -> &'static str {
        "danco"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["sphere__data_stats", "sphere__calibration"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        each_cloud(checks, |checks, name, x| {
            let of = |what: &str| format!("{name}__{what}");
            checks.inputs(&[&of("calibration")]);
            let ([_, columns], calibration) = arrays.with_axes::<2>(&of("calibration"))?;
            if columns != 3 {
                return Err(arrays.wrong(&of("calibration"), "expected three columns"));
            }
            let statistics = |v: &[f64]| DancoStatistics::new(v[0], v[1], v[2]);
            let calibration: Vec<DancoStatistics> =
                calibration.chunks_exact(3).map(statistics).collect();
            let cloud = PointCloud::new(x.as_ref(), 11)?;
            let report = Danco::new(10).calibration(calibration.clone()).fit(&cloud)?;
            let found = report.statistics;
            // The reference's dimension comes from a minimiser.
            let stats = vec![found.dimension, found.direction, found.concentration];
            compare(checks, &of("data_stats"), 1e-5, stats);
            // From the statistics of the reference, so that its minimiser does not count.
            let Ok(([3], reference)) = arrays.with_axes::<1>(&of("data_stats")) else {
                return Err(arrays.wrong(&of("data_stats"), "expected three numbers"));
            };
            let own = statistics(reference);
            let divergences = calibration.iter().map(|other| own.divergence(other, 10)).collect();
            compare(checks, &of("kl"), 1e-10, divergences);
            compare_exactly(checks, &of("int"), vec![report.whole as f64]);
            // The reference refines by a minimiser that stops where a step gains less than 10⁻³ of the
            // divergence: so far from the minimum, by the curvature at the nearest whole dimension.
            let refined = of("fractal_skdim");
            let around = report.whole.wrapping_sub(2)..=report.whole;
            if let Some([before, here, after]) = report.divergences.get(around) {
                let bend = before - 2.0 * here + after;
                let got = super::shaped(checks, &refined, vec![report.refined]);
                checks.compare(&refined, Rule::Absolute((2e-3 * here / bend).sqrt()), &got);
            } else {
                checks.not_recomputed(&[&refined]);
            }
            Ok(())
        })
    }
}

/// Distinct points with the table of 64 neighbours, or of all others.
fn cloud(x: &Mat<f64>, distinct: usize) -> Result<PointCloud> {
    PointCloud::new(x.as_ref(), 64.min(distinct.saturating_sub(1)))
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

/// A value and its standard error.
fn both(checks: &mut Checks<'_>, value: &str, error: &str, found: Result<Estimate>) {
    let numbers =
        found.map_or((f64::NAN, f64::NAN), |e| (e.value, e.standard_error.unwrap_or(f64::NAN)));
    compare(checks, value, 1e-10, vec![numbers.0]);
    compare(checks, error, 1e-10, vec![numbers.1]);
}

/// What reads distances to the first neighbours.
fn first_neighbours(checks: &mut Checks<'_>, name: &str, cloud: &PointCloud) -> Result<()> {
    let of = |what: &str| format!("{name}__{what}");
    let table = cloud.table();
    let k = 20.min(cloud.len().saturating_sub(2));
    let mind = Mind::new(k);
    compare(checks, &of("mind_mlk_root"), 1e-10, value(mind.fit(table)));
    compare(checks, &of("mind_mlk_skdim"), 1e-5, value(mind.fit(table)));
    compare_exactly(checks, &of("mind_mli_skdim"), value(mind.whole().largest(64).fit(table)));
    let moments = Moments::new(k);
    compare(checks, &of("mom20"), 1e-8, value(moments.fit(table)));
    compare(checks, &of("mom20_pw"), 1e-8, moments.pointwise(table)?);
    let adaptive = ManifoldAdaptive::new(k);
    compare(checks, &of("mada20"), 1e-8, value(adaptive.fit(table)));
    compare(checks, &of("mada20_pw"), 1e-8, adaptive.pointwise(table)?);
    let pairs = CorrelationIntegral::new(10, 20);
    compare(checks, &of("corrint_10_20"), 1e-8, value(pairs.fit(cloud)));
    compare(checks, &of("corrint_radii"), 1e-10, pairs.radii(table)?.to_vec());
    Ok(())
}

/// What reads coordinates.
fn shapes(checks: &mut Checks<'_>, name: &str, cloud: &PointCloud) -> Result<()> {
    let of = |what: &str| format!("{name}__{what}");
    // The reference's absolute shortest distance.
    let tight =
        Tight::new(20.min(cloud.len().saturating_sub(2))).shortest(Shortest::Distance(1e-4));
    compare(checks, &of("tle20"), 1e-8, value(tight.fit(cloud)));
    compare(checks, &of("tle20_pw"), 1e-8, tight.pointwise(cloud)?);
    for (version, skewness) in [("a", Skewness::Area), ("b", Skewness::Projection)] {
        let ess = SimplexSkewness::new(30.min(cloud.len().saturating_sub(1)), skewness);
        let start = of(&format!("ess30{version}"));
        compare(checks, &start, 1e-8, value(ess.fit(cloud)));
        compare(checks, &format!("{start}_pw"), 1e-8, ess.pointwise(cloud)?);
        compare(checks, &format!("{start}_val"), 1e-8, ess.values(cloud)?);
    }
    let fisher = FisherSeparability::default().fit(cloud)?;
    compare(checks, &of("fishers"), 1e-8, value(fisher.estimate()));
    compare(checks, &of("fishers_p_mean"), 1e-8, fisher.inseparable.clone());
    let dimensions = fisher.dimensions.iter().map(|d| d.unwrap_or(f64::NAN)).collect();
    compare(checks, &of("fishers_n_alpha"), 1e-8, dimensions);
    compare(checks, &of("fishers_alphas"), 1e-10, fisher.alphas);
    let sums = SpanningTreeGrowth::sums(cloud, &[0.5, 1.0, 2.0])?;
    compare(checks, &of("mst_sum_w"), 1e-10, sums);
    Ok(())
}
