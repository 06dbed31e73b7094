//! Every array of the reference files, recomputed from the clouds.

use std::collections::BTreeMap;

use hesse::dimension::{
    Binomial, Combine, CorrelationIntegral, Danco, DancoStatistics, Estimate, FisherSeparability,
    Fit, Gride, LocalPca, LocalRule, ManifoldAdaptive, MaximumLikelihood, Mind, Moments,
    PointCloud, Shortest, SimplexSkewness, Skewness, SpanningTreeGrowth, Ties, Tight, TwoNn,
};
use hesse::faer::Mat;
use hesse::neighbors::{Duplicates, Knn};
use hesse::statistics::RankRule;

use crate::npz::{Arrays, golden};

/// Of closed forms, of what the reference iterates for, and of two roots that it does not find as
/// well: those of a minimiser and DADApy's.
const CLOSED: f64 = 1e-10;
const ITERATED: f64 = 1e-8;
const MINIMISED: f64 = 1e-5;
const DADAPY: f64 = 1e-6;

fn cloud(clouds: &Arrays, name: &str) -> Mat<f64> {
    let (shape, values) = &clouds[name];
    Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
}

/// What was computed, with the tolerance, by name.
#[derive(Default)]
struct Computed(BTreeMap<String, (Vec<f64>, f64)>);

impl Computed {
    fn put(&mut self, name: String, values: Vec<f64>, tolerance: f64) {
        assert!(self.0.insert(name, (values, tolerance)).is_none());
    }

    /// Asserts that every array of the file was computed, no other one, and to its tolerance.
    fn assert_is(self, want: &Arrays) {
        for name in want.keys() {
            assert!(self.0.contains_key(name), "{name} is not computed");
        }
        let mut wrong = Vec::new();
        for (name, (got, tolerance)) in &self.0 {
            let want = &want[name].1;
            assert_eq!(got.len(), want.len(), "{name}");
            for (i, (g, w)) in got.iter().zip(want).enumerate() {
                if (g - w).abs() > tolerance * w.abs() && !(g.is_nan() && w.is_nan()) {
                    wrong.push(format!("{name} {i}: {g} {w}, off by {:e}", (g - w) / w));
                }
            }
        }
        assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    }
}

fn value(estimate: hesse::Result<Estimate>) -> Vec<f64> {
    vec![estimate.unwrap().value]
}

#[test]
fn every_estimate_of_the_reference() {
    let (clouds, want) = (golden("dimension/clouds.npz"), golden("dimension/estimators.npz"));
    let mut all = Computed::default();
    for name in ["swiss", "sphere", "linear", "digits38", "dup"] {
        let x = cloud(&clouds, name);
        let mut put = |what: &str, values: Vec<f64>, tolerance: f64| {
            all.put(format!("{name}__{what}"), values, tolerance);
        };
        let distinct = Knn::new(1).duplicates(Duplicates::Merge).build(x.as_ref()).unwrap();
        if name == "dup" {
            let first = distinct.kept().unwrap().iter().map(|&i| i as f64).collect();
            put("first_unique", first, 0.0);
            let raw = Knn::new(2).build(x.as_ref()).unwrap();
            assert!(TwoNn::linear(0.9).fit(&raw).is_err());
            put("twonn_drop_zero_r1", value(TwoNn::linear(0.9).drop_copies().fit(&raw)), CLOSED);
            let ansuini = TwoNn::new(Fit::Ansuini { keep: 0.9 });
            put("twonn_ansuini_raw", value(ansuini.fit(&raw)), CLOSED);
        }
        let n = distinct.len();
        let cloud = PointCloud::new(x.as_ref(), 64.min(n - 1)).unwrap();
        let table = cloud.table();

        put("twonn_linear_09", value(TwoNn::linear(0.9).fit(table)), CLOSED);
        put("twonn_skdim", value(TwoNn::linear(0.9).fit(table)), CLOSED);
        let censored = TwoNn::new(Fit::Censored { keep: 0.9 });
        put("twonn_skdim_mle_cens", value(censored.fit(table)), CLOSED);
        put("twonn_ml", value(TwoNn::maximum_likelihood().fit(table)), CLOSED);
        put("twonn_ansuini", value(TwoNn::new(Fit::Ansuini { keep: 0.9 }).fit(table)), CLOSED);

        let k = 20.min(n - 2);
        let mle = MaximumLikelihood::new(k);
        put("mle20_mg", value(mle.fit(table)), CLOSED);
        put("mle20_skdim", value(mle.fit(table)), CLOSED);
        put("mle20_mean", value(mle.combine(Combine::Arithmetic).fit(table)), CLOSED);
        put("mle20_median", value(mle.combine(Combine::Median).fit(table)), CLOSED);
        put("mle20_unbiased_mg", value(mle.unbiased().fit(table)), CLOSED);
        put("mle20_pw", mle.pointwise(table).unwrap(), CLOSED);
        let range = MaximumLikelihood::over(10, 20);
        let arithmetic = range.combine(Combine::Arithmetic);
        put("levina_bickel_10_20", value(arithmetic.fit(table)), CLOSED);
        put("mackay_ghahramani_10_20", value(range.fit(table)), CLOSED);

        let scales = Gride::scales(table, Ties::Drop).unwrap();
        put("gride_n1", scales.iter().map(|s| s.0 as f64).collect(), 0.0);
        put("gride", scales.iter().map(|s| s.1.value).collect(), ITERATED);
        let errors = scales.iter().map(|s| s.1.standard_error.unwrap()).collect();
        put("gride_err", errors, ITERATED);

        let mind = Mind::new(k);
        put("mind_mlk_root", value(mind.fit(table)), CLOSED);
        put("mind_mlk_skdim", value(mind.fit(table)), MINIMISED);
        put("mind_mli_skdim", value(mind.whole().largest(64).fit(table)), 0.0);

        let moments = Moments::new(k);
        put("mom20", value(moments.fit(table)), ITERATED);
        put("mom20_pw", moments.pointwise(table).unwrap(), ITERATED);
        let adaptive = ManifoldAdaptive::new(k);
        put("mada20", value(adaptive.fit(table)), ITERATED);
        put("mada20_pw", adaptive.pointwise(table).unwrap(), ITERATED);
        let tight = Tight::new(k).shortest(Shortest::Distance(1e-4));
        put("tle20", value(tight.fit(&cloud)), ITERATED);
        put("tle20_pw", tight.pointwise(&cloud).unwrap(), ITERATED);

        let pairs = CorrelationIntegral::new(10, 20);
        put("corrint_10_20", value(pairs.fit(&cloud)), ITERATED);
        put("corrint_radii", pairs.radii(table).unwrap().to_vec(), CLOSED);

        for (version, skewness) in [("a", Skewness::Area), ("b", Skewness::Projection)] {
            let ess = SimplexSkewness::new(30, skewness);
            put(&format!("ess30{version}"), value(ess.fit(&cloud)), ITERATED);
            put(&format!("ess30{version}_pw"), ess.pointwise(&cloud).unwrap(), ITERATED);
            put(&format!("ess30{version}_val"), ess.values(&cloud).unwrap(), ITERATED);
        }

        let fisher = FisherSeparability::default().fit(&cloud).unwrap();
        put("fishers", value(fisher.estimate()), ITERATED);
        put("fishers_alphas", fisher.alphas, CLOSED);
        put("fishers_p_mean", fisher.inseparable, ITERATED);
        let dimensions = fisher.dimensions.iter().map(|d| d.unwrap_or(f64::NAN)).collect();
        put("fishers_n_alpha", dimensions, ITERATED);

        let sums = SpanningTreeGrowth::sums(&cloud, &[0.5, 1.0, 2.0]).unwrap();
        put("mst_sum_w", sums, CLOSED);
    }
    all.assert_is(&want);
}

#[test]
fn every_estimate_of_dadapy() {
    let (clouds, want) = (golden("dimension/clouds.npz"), golden("dimension/dadapy.npz"));
    let mut all = Computed::default();
    for name in ["swiss", "sphere", "linear", "digits38"] {
        let mut put = |what: &str, values: Vec<f64>, tolerance: f64| {
            all.put(format!("{name}__{what}"), values, tolerance);
        };
        let table = Knn::new(64).build(cloud(&clouds, name).as_ref()).unwrap();
        let two_nn = TwoNn::linear(0.9);
        put("twonn_base", value(two_nn.fit(&table)), ITERATED);
        put("twonn_ml", value(TwoNn::maximum_likelihood().fit(&table)), CLOSED);
        put("twonn_scale", vec![two_nn.scale(&table).unwrap()], CLOSED);
        let posterior = TwoNn::new(Fit::Posterior { shape: 2.0, rate: 5.0 }).fit(&table).unwrap();
        put("twonn_bayes", vec![posterior.value], CLOSED);
        put("twonn_bayes_sd", vec![posterior.standard_error.unwrap()], CLOSED);

        let scales = Gride::scales(&table, Ties::Nudge).unwrap();
        put("gride", scales.iter().map(|s| s.1.value).collect(), DADAPY);
        let errors = scales.iter().map(|s| s.1.standard_error.unwrap()).collect();
        put("gride_err", errors, DADAPY);
        let scale = |s: &(usize, Estimate)| Gride::new(s.0, 2 * s.0).scale(&table).unwrap();
        put("gride_scale", scales.iter().map(scale).collect(), CLOSED);

        let binomial = Binomial::new(20, 0.5);
        let likelihood = binomial.fit(&table).unwrap();
        put("binomial_k20_r05_mle", vec![likelihood.value], CLOSED);
        put("binomial_k20_r05_err", vec![likelihood.standard_error.unwrap()], CLOSED);
        let posterior = binomial.posterior().fit(&table).unwrap();
        put("binomial_k20_r05_bayes", vec![posterior.value], CLOSED);
        put("binomial_k20_r05_bayes_sd", vec![posterior.standard_error.unwrap()], CLOSED);
    }
    all.assert_is(&want);
}

/// The statistics of the clouds, and from the statistics of the reference its divergences and its
/// dimension.
#[test]
fn every_step_of_danco() {
    let (clouds, want) = (golden("dimension/clouds.npz"), golden("dimension/danco.npz"));
    for name in ["sphere", "linear"] {
        let of = |what: &str| &want[&format!("{name}__{what}")].1;
        let statistics = |v: &[f64]| DancoStatistics::new(v[0], v[1], v[2]);
        let calibration: Vec<DancoStatistics> =
            of("calibration").chunks_exact(3).map(statistics).collect();
        let cloud = PointCloud::new(cloud(&clouds, name).as_ref(), 11).unwrap();
        let report = Danco::new(10).calibration(calibration.clone()).fit(&cloud).unwrap();

        let (got, want) = (report.statistics, of("data_stats"));
        let close = |got: f64, want: f64, relative: f64, what: &str| {
            assert!((got - want).abs() <= relative * want.abs(), "{name} {what}: {got} {want}");
        };
        close(got.dimension, want[0], MINIMISED, "dimension");
        close(got.direction, want[1], ITERATED, "direction");
        close(got.concentration, want[2], ITERATED, "concentration");

        // From the statistics of the reference, whose dimension is not quite at the maximum.
        for (d, other) in calibration.iter().enumerate() {
            close(statistics(want).divergence(other, 10), of("kl")[d], CLOSED, "divergence");
        }
        assert_eq!(report.whole as f64, of("int")[0], "{name}");
        // The minimum of the same spline by SciPy's `CubicSpline`, and where the reference stops: at
        // a step that gains less than 10⁻³ of the divergence.
        let refined = if name == "sphere" { 6.808_156_171 } else { 4.450_208_668 };
        close(report.refined, refined, 1e-6, "refined");
        let kl = of("kl");
        let bend = kl[report.whole - 2] - 2.0 * kl[report.whole - 1] + kl[report.whole];
        let off = (report.refined - of("fractal_skdim")[0]).abs();
        let bar = (2.0 * 1e-3 * kl[report.whole - 1] / bend).sqrt();
        assert!(off <= bar, "{name}: {} off by {off}", report.refined);
    }
}

/// Rank rules are held against the reference on whole clouds (`spectra`); here, that each neighbourhood
/// has the rank of its points.
#[test]
fn local_spectra_are_those_of_the_neighbours() {
    let clouds = golden("dimension/clouds.npz");
    let rules = [
        LocalRule::Rank(RankRule::FukunagaOlsen { share: 0.05 }),
        LocalRule::Rank(RankRule::Ratio { share: 0.9 }),
        LocalRule::Rank(RankRule::Kaiser),
        LocalRule::Rank(RankRule::LargestGap),
        LocalRule::Rank(RankRule::BrokenStick),
        LocalRule::Rank(RankRule::Fan),
        LocalRule::ParticipationRatio,
    ];
    // Fewer neighbours than features, and more.
    for (name, k) in [("linear", 12), ("linear", 40), ("swiss", 15)] {
        let x = cloud(&clouds, name);
        let cloud = PointCloud::new(x.as_ref(), k).unwrap();
        for rule in rules {
            let got = LocalPca::new(k, rule).pointwise(&cloud).unwrap();
            for i in [0, 17, 101] {
                let neighbours = cloud.table().indices(i);
                let rows = Mat::from_fn(k, x.ncols(), |r, j| x[(neighbours[r] as usize, j)]);
                let spectrum = hesse::statistics::Spectrum::of(rows.as_ref()).unwrap();
                let want = match rule {
                    LocalRule::Rank(rule) => spectrum.rank(rule).unwrap() as f64,
                    _ => spectrum.participation_ratio(),
                };
                assert!((got[i] - want).abs() <= 1e-10 * want, "{name} {k} {i} {rule:?}");
            }
        }
    }
}
