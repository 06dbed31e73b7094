//! What cannot be estimated is refused with what was expected and what came.

use hesse::dimension::{
    Binomial, CorrelationIntegral, Danco, Estimator, FisherSeparability, Fit, Flag, LocalPca,
    LocalRule, Mind, Moments, PointCloud, Shortest, SimplexSkewness, Skewness, SpanningTreeGrowth,
    Tight, TwoNn, estimator, estimators,
};
use hesse::faer::Mat;
use hesse::neighbors::{Duplicates, Knn, Neighbors};
use hesse::statistics::RankRule;

use crate::clouds::{ball, gaussian};

const NONE: &str = "dimension: expected one that these distances determine, got ";

fn text<T: std::fmt::Debug>(result: hesse::Result<T>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn clouds_that_are_none() {
    let mut x = ball(20, 3, 1);
    let cloud = |x: &Mat<f64>, k| text(PointCloud::new(x.as_ref(), k));
    assert_eq!(cloud(&x, 0), "neighbours k: expected 1 to 19, the points to choose from, got 0");
    assert_eq!(cloud(&x, 20), "neighbours k: expected 1 to 19, the points to choose from, got 20");
    let same = Mat::full(5, 3, 1.5);
    assert_eq!(cloud(&same, 1), "neighbours k: expected other points to choose from, got 1");
    assert_eq!(cloud(&Mat::zeros(0, 3), 1), "x: expected at least one, got none");
    assert_eq!(cloud(&Mat::zeros(4, 0), 1), "features of x: expected at least one, got none");
    let table = Knn::new(2).build(x.as_ref()).unwrap();
    let shape = text(PointCloud::from_parts(ball(19, 3, 1).as_ref(), table.clone()));
    assert_eq!(shape, "rows of x: expected 20, got 19");
    let other = text(PointCloud::from_parts(ball(20, 3, 2).as_ref(), table.clone()));
    assert!(other.starts_with("distance of rows 0 and "), "{other}");
    let queries = Knn::new(2).query(x.as_ref(), x.as_ref()).unwrap();
    let queries = text(PointCloud::from_parts(x.as_ref(), queries));
    assert_eq!(queries, "table: expected neighbours of points among themselves, got of queries");
    x[(3, 1)] = f64::NAN;
    assert_eq!(cloud(&x, 2), "x: expected finite numbers, got NaN at index 10");
}

#[test]
fn clouds_of_a_table_are_those_of_the_points() {
    // Rows 0, 1, …, 29 with copies of the first five after them.
    let x = ball(30, 3, 1);
    let x = Mat::from_fn(35, 3, |i, j| x[(i % 30, j)]);
    let cloud = PointCloud::new(x.as_ref(), 21).unwrap();
    assert_eq!((cloud.len(), cloud.features(), cloud.is_empty()), (30, Some(3), false));
    let table = Knn::new(21).duplicates(Duplicates::Merge).build(x.as_ref()).unwrap();
    let other = PointCloud::from_parts(x.as_ref(), table.clone()).unwrap();
    assert_eq!(cloud.coordinates(), other.coordinates());
    assert_eq!(cloud.table(), other.table());
    let alone = PointCloud::from_table(table);
    for name in estimators() {
        let estimator = estimator(name, Some(10)).unwrap();
        assert_eq!(estimator.name(), name);
        assert!(
            estimator.neighbours() <= 21 && (name == "two_nn" || !estimator.settings().is_empty())
        );
        let result = estimator.run(&alone);
        if estimator.needs_coordinates() {
            let error = text(result);
            assert!(error.starts_with("cloud for "), "{name}: {error}");
            assert!(
                error.ends_with(": expected coordinates, got a table alone"),
                "{name}: {error}"
            );
        } else if name == "geodesic" {
            // So few points have too few distances along their graph.
            let error = text(result);
            assert!(error.contains("one that these distances determine"), "{error}");
        } else {
            // But for the limit by the number of features.
            assert!(result.unwrap().value > 0.0, "{name}");
        }
    }
    let unknown = text(estimator("three_nn", None));
    assert!(unknown.starts_with("estimator: expected one of two_nn, mle, gride"), "{unknown}");
}

#[test]
fn settings_that_make_no_sense() {
    let cloud = PointCloud::new(ball(40, 3, 1).as_ref(), 10).unwrap();
    let table = cloud.table();
    let two = ": expected 2 or more, got 1";
    assert_eq!(text(Mind::new(0).fit(table)), "neighbours k: expected 1 or more, got 0");
    let largest = text(Mind::new(5).largest(0).fit(table));
    assert_eq!(largest, "largest dimension: expected 1 or more, got 0");
    assert_eq!(text(Moments::new(1).fit(table)), format!("neighbours k{two}"));
    assert_eq!(text(Tight::new(1).fit(&cloud)), format!("neighbours k{two}"));
    assert_eq!(text(Danco::new(1).fit(&cloud)), format!("neighbours k{two}"));
    let ess = SimplexSkewness::new(1, Skewness::Area);
    assert_eq!(text(ess.fit(&cloud)), format!("neighbours k{two}"));
    let rule = LocalRule::Rank(RankRule::Ratio { share: 0.0 });
    assert_eq!(text(LocalPca::new(1, rule).fit(&cloud)), format!("neighbours k{two}"));
    let share = text(LocalPca::new(5, rule).fit(&cloud));
    assert_eq!(share, "share: expected between 0 and 1, got 0");
    for ratio in [0.0, 1.0, f64::NAN] {
        let error = text(Binomial::new(5, ratio).fit(table));
        assert_eq!(error, format!("ratio of radii: expected between 0 and 1, got {ratio}"));
    }
    let fewer = "neighbours of the table: expected 11 or more, got 10";
    assert_eq!(text(Mind::new(10).fit(table)), fewer);
    assert_eq!(text(Tight::new(11).fit(&cloud)), fewer);
    assert_eq!(text(Binomial::new(11, 0.5).fit(table)), fewer);
    let short = Tight::new(5).shortest(Shortest::Share(-1.0));
    assert_eq!(text(short.fit(&cloud)), "shortest distance: expected 0 or more, got -1");
    let pairs = text(CorrelationIntegral::new(5, 5).fit(&cloud));
    assert_eq!(pairs, "neighbours k₁, k₂: expected 1 ≤ k₁ < k₂, got 5, 5");
    let alphas = FisherSeparability::default().alphas(vec![0.9, 0.8]);
    let alphas = text(alphas.fit(&cloud));
    assert_eq!(alphas, "thresholds: expected ascending between 0 and 1, got [0.9, 0.8]");
    let condition = text(FisherSeparability::default().condition(0.5).fit(&cloud));
    assert_eq!(condition, "condition: expected 1 or more, got 0.5");
    let danco = text(Danco::new(5).calibration(Vec::new()).largest(2).fit(&cloud));
    assert_eq!(danco, "calibration: expected of 2 dimensions or more, got 0");
    let power = text(SpanningTreeGrowth::default().power(0.0).fit(&cloud));
    assert_eq!(power, "power of the lengths: expected more than 0, got 0");
    let sizes = text(SpanningTreeGrowth::default().subsamples(1, 1).fit(&cloud));
    assert!(sizes.starts_with("subsamples: expected 2 sizes or more"), "{sizes}");
    let prior = text(TwoNn::new(Fit::Posterior { shape: 0.0, rate: 1.0 }).fit(table));
    assert_eq!(prior, "shape of the prior: expected more than 0, got 0");
}

#[test]
fn distances_that_determine_nothing() {
    // The corners of a simplex: every distance is the same.
    let simplex = Mat::from_fn(8, 8, |i, j| if i == j { 1.0 } else { 0.0 });
    let cloud = PointCloud::new(simplex.as_ref(), 6).unwrap();
    let table = cloud.table();
    assert_eq!(
        text(Mind::new(5).fit(table)),
        format!("{NONE}the same distances at all of 8 points")
    );
    assert_eq!(text(Moments::new(5).fit(table)), format!("{NONE}inf from 8 of 8 points"));
    assert_eq!(text(Tight::new(5).fit(&cloud)).split(" from").next().unwrap(), format!("{NONE}0"));
    assert!(text(CorrelationIntegral::new(2, 5).fit(&cloud)).ends_with(" for both radii"));
    let binomial = text(Binomial::new(5, 0.5).fit(table));
    assert_eq!(binomial, format!("{NONE}0 of 32 neighbours within the smaller balls"));
    // A posterior has a mean even so.
    assert!(Binomial::new(5, 0.5).posterior().fit(table).unwrap().value > 1.0);
    let few = PointCloud::new(gaussian(10, 60, 1).as_ref(), 3).unwrap();
    let report = FisherSeparability::default().fit(&few).unwrap();
    assert_eq!(report.separable_points, vec![1.0; 20]);
    let separable = text(report.estimate());
    assert_eq!(separable, format!("{NONE}10 points that can all be separated"));

    let copies = vec![0.0, 1.0, 0.0, 1.0, 1.0, 1.0];
    let copies = Neighbors::from_parts(copies, vec![1, 2, 0, 2, 0, 1], 2).unwrap();
    let zero = "distance of point 0 to its neighbour 1: expected more than 0 (merge copies), got 0";
    assert_eq!(text(Mind::new(1).fit(&copies)), zero);
}

#[test]
fn what_is_doubtful_is_flagged() {
    let x = gaussian(60, 3, 2);
    let cloud = PointCloud::new(x.as_ref(), 20).unwrap();
    let capped = Mind::new(10).largest(1).fit(cloud.table()).unwrap();
    assert!(capped.flags.contains(Flag::AtLimit) && capped.value == 1.0);
    assert_eq!(capped.flags.to_string(), "at_limit");
    // 30 points show no more than 2 log₁₀ 30 = 2.95 dimensions.
    let few = PointCloud::new(gaussian(30, 12, 2).as_ref(), 10).unwrap();
    let estimate = estimator("mle", Some(10)).unwrap().run(&few).unwrap();
    let names: Vec<&str> = estimate.flags.iter().map(Flag::name).collect();
    assert_eq!(names, ["beyond_sample"], "{estimate:?}");
    // Distances on a line that grow as the square root of the rank look like two dimensions.
    let root =
        Mat::from_fn(100, 1, |i, _| if i % 2 == 0 { 1.0 } else { -1.0 } * ((1 + i) as f64).sqrt());
    let cloud = PointCloud::new(root.as_ref(), 20).unwrap();
    let above = TwoNn::maximum_likelihood().run(&cloud).unwrap();
    assert_eq!(above.flags.contains(Flag::AboveFeatures), above.value > 1.0);
}

/// Small and degenerate clouds: a line, as many neighbours as there are points, a grid on which all
/// distances are tied, fewer points than features, constant columns.
#[test]
fn small_clouds_have_an_estimate_or_an_error() {
    let places = ball(40, 1, 5);
    let line = Mat::from_fn(40, 3, |i, j| places[(i, 0)] * [1.0, -2.0, 0.5][j]);
    let grid = Mat::from_fn(36, 2, |i, j| if j == 0 { (i % 6) as f64 } else { (i / 6) as f64 });
    let wide = gaussian(32, 200, 6);
    let flat =
        Mat::from_fn(40, 6, |i, j| if j < 2 { (i * (j + 3) % 17) as f64 + i as f64 } else { 1.0 });
    for (name, x) in [("line", line), ("grid", grid), ("wide", wide), ("flat", flat)] {
        let cloud = PointCloud::new(x.as_ref(), 31).unwrap();
        for estimator in estimators().map(|name| estimator(name, None).unwrap()) {
            if estimator.name() == "danco" && name == "wide" {
                continue; // 100 calibrations for 32 points
            }
            match estimator.run(&cloud) {
                Ok(estimate) => assert!(estimate.value.is_finite() && estimate.value > 0.0),
                Err(error) => assert!(error.to_string().contains("expected"), "{error}"),
            }
            let elsewhere = ["fisher_s", "mst", "mada", "danco", "geodesic"];
            if name == "line" && !elsewhere.contains(&estimator.name()) {
                let value = estimator.run(&cloud).unwrap().value;
                assert!((0.5..2.0).contains(&value), "{}: {value}", estimator.name());
            }
        }
    }
    let two = Mat::from_fn(2, 2, |i, _| i as f64);
    let cloud = PointCloud::new(two.as_ref(), 1).unwrap();
    for estimator in estimators().map(|name| estimator(name, None).unwrap()) {
        assert!(estimator.run(&cloud).is_err(), "{}", estimator.name());
    }
}
