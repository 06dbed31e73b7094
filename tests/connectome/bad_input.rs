//! Every refusal by its text.

use hesse::connectome::{
    Connectome, DistanceKernel, FactorObjective, FactorPenalty, FullWeights, GreedyLowRank,
    HomogeneousModel, KernelModel, Labels, LowRankSplineRegression, NestedCv, Observed,
    Preconditioner, RegionalMatrix, SmoothingOperator, SplineObjective, SplineRegression, Start,
    TracingData, TracingDataBuilder, Weights, identifiability,
};
use hesse::faer::Mat;
use hesse::sprs::CsMat;

use crate::golden::path;
use crate::objective::dense_operator;

fn message<T>(result: hesse::Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

fn builder(x: &Mat<f64>, y: &Mat<f64>) -> TracingDataBuilder {
    TracingData::builder().injections_dense(x.as_ref()).projections(y.as_ref())
}

fn small() -> TracingData {
    let x = Mat::from_fn(4, 2, |s, e| if s == 2 * e { 1.0 } else { 0.0 });
    let y = Mat::from_fn(4, 2, |t, e| (t + e) as f64);
    builder(&x, &y).build().unwrap()
}

#[test]
fn data_are_checked_at_the_door() {
    let x = Mat::from_fn(3, 2, |s, e| if s == e { 1.0 } else { 0.0 });
    let y = Mat::from_fn(3, 2, |_, _| 1.0);
    let changed = |m: &Mat<f64>, value: f64| {
        let mut m = m.clone();
        m[(2, 1)] = value;
        m
    };
    let wrong_x = changed(&x, f64::NAN);
    let wrong_y = changed(&y, f64::INFINITY);
    let cases = [
        (message(TracingData::builder().build()), "injections: expected at least one, got none"),
        (
            message(TracingData::builder().injections_dense(x.as_ref()).build()),
            "projections: expected at least one, got none",
        ),
        (
            message(builder(&x, &Mat::zeros(3, 3)).build()),
            "experiments of the projections: expected 2, got 3",
        ),
        (
            message(builder(&x, &Mat::zeros(4, 2)).build()),
            "target voxels, where no mask says what was observed: expected 3, got 4",
        ),
        (
            message(builder(&x, &y).observed(Observed::everywhere(3, 1)).build()),
            "observed: expected (3, 2), got (3, 1)",
        ),
        (
            message(builder(&x, &y).observed(Observed::where_observed(3, 2, |_, _| false)).build()),
            "observed projections: expected at least one, got none",
        ),
        (
            message(builder(&changed(&x, -0.5), &y).build()),
            "injections: expected numbers from 0, got -0.5 at voxel 2 of experiment 1",
        ),
        (
            message(builder(&wrong_x, &y).observed(Observed::everywhere(3, 2)).build()),
            "injections: expected finite numbers, got NaN at index 2",
        ),
        (
            message(builder(&x, &wrong_y).build()),
            "observed projections: expected finite numbers, got inf at index 5",
        ),
        (
            message(Observed::from_ones(changed(&y, 0.5).as_ref())),
            "observed: expected 1 where observed, else 0, got 0.5 at (2, 1)",
        ),
        (
            message(
                builder(&x, &y)
                    .labels(Labels { source_regions: vec![1], ..Labels::default() })
                    .build(),
            ),
            "regions of source voxels: expected 3, got 1",
        ),
        (message(small().select(&[])), "experiments: expected at least one, got none"),
        (message(small().select(&[2])), "experiment: expected 0 to 1, got 2"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    // Error codes are refused as negative injections, and read as 0 on request.
    let coded = changed(&x, -2.0);
    assert!(message(builder(&coded, &y).build()).contains("got -2"));
    let clean = builder(&coded, &y).error_codes_as_zero(true).build().unwrap();
    assert_eq!(clean.injections().nnz(), 2);
    // What was not observed may be anything.
    let mut hidden = y.clone();
    hidden[(0, 0)] = f64::NAN;
    assert_eq!(builder(&x, &hidden).build().unwrap().projection(0), [0.0, 1.0, 1.0]);
}

#[test]
fn fits_refuse_what_cannot_be() {
    let data = small();
    let l = path(4);
    let fit = |regression: SplineRegression<'_>| message(regression.fit(&data, &l, &l));
    let skewed = dense_operator(Mat::from_fn(4, 4, |i, j| (i + 2 * j) as f64).as_ref());
    let negative =
        FullWeights::from_columns(4, (0..16).map(|i| f64::from(8 - i)).collect()).unwrap();
    let flat = FullWeights::from_columns(2, vec![0.0; 16]).unwrap();
    let low = |rank: usize| LowRankSplineRegression::new(rank);
    let cases = [
        (
            fit(SplineRegression::new().lambda(-1.0)),
            "lambda: expected a finite number from 0, got -1",
        ),
        (
            fit(SplineRegression::new().lambda(f64::NAN)),
            "lambda: expected a finite number from 0, got NaN",
        ),
        (
            fit(SplineRegression::new().lambda_eff(f64::INFINITY)),
            "effective lambda: expected a finite number from 0, got inf",
        ),
        (
            fit(SplineRegression::new().tol_kkt(0.0)),
            "tol_kkt: expected a positive finite number, got 0",
        ),
        (
            fit(SplineRegression::new().max_iterations(0)),
            "max_iterations: expected at least 1, got 0",
        ),
        (
            fit(SplineRegression::new().warm_start(negative)),
            "start: expected numbers from 0, got -1 at (1, 2)",
        ),
        (fit(SplineRegression::new().warm_start(flat)), "start: expected (4, 4), got (2, 8)"),
        (
            message(SplineRegression::new().fit(&data, &path(5), &l)),
            "source voxels of L_x: expected 4, got 5",
        ),
        (
            message(SplineRegression::new().fit(&data, &l, &path(3))),
            "target voxels of L_y: expected 4, got 3",
        ),
        (
            message(
                SplineRegression::new()
                    .preconditioner(Preconditioner::UnmaskedSpectral { rho: None })
                    .fit(&data, &skewed, &l),
            ),
            "L_x of the preconditioner: expected a symmetric operator, got one that is not; \
             Preconditioner::None does without",
        ),
        (
            message(
                SplineRegression::new().preconditioner(Preconditioner::Cosine { rho: None }).fit(
                    &data,
                    &dense_operator(Mat::from_fn(4, 4, |_, _| -1.0).as_ref()),
                    &l,
                ),
            ),
            "L_x: expected the Laplacian of a full box, for the cosine preconditioner, got another \
             operator",
        ),
        (
            message(SplineObjective::new(&data, &l, &l, -2.0)),
            "effective lambda: expected a finite number from 0, got -2",
        ),
        (message(FactorObjective::new(&data, &l, &l, 1.0, 5)), "rank: expected 1 to 4, got 5"),
        (message(low(0).fit(&data, &l, &l)), "rank: expected 1 to 4, got 0"),
        (
            message(
                low(2)
                    .start(Start::Given { u: Mat::zeros(4, 1), v: Mat::zeros(4, 2) })
                    .fit(&data, &l, &l),
            ),
            "start of U: expected (4, 2), got (4, 1)",
        ),
        (
            message(
                low(2)
                    .start(Start::Given { u: Mat::zeros(4, 2), v: Mat::from_fn(4, 2, |_, _| -1.0) })
                    .fit(&data, &l, &l),
            ),
            "start of V: expected numbers from 0, got -1 at (0, 0)",
        ),
        (
            message(low(2).start(Start::Split2pMinus1).fit(&data, &l, &l)),
            "rank: expected 2p - 1 for signed factors of rank p, got 2",
        ),
        (
            message(GreedyLowRank::new().max_rank(2).fit(&data, &skewed, &l)),
            "L_x: expected a symmetric operator, got one that is not",
        ),
        (
            message(identifiability(&data, &skewed, &l)),
            "L_x: expected a graph Laplacian, symmetric with rows that sum to 0, got another operator",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    // Points that are no points.
    let f = SplineObjective::new(&data, &l, &l, 1.0).unwrap();
    let p2 = FactorObjective::new(&data, &l, &l, 1.0, 2).unwrap();
    let with = |n: usize, value: f64| {
        let mut x = vec![1.0; n];
        x[n / 2] = value;
        x
    };
    let (nan, infinite) = (f64::NAN, f64::INFINITY);
    let mut out = [0.0; 16];
    let cases = [
        (message(f.value(&[0.0; 15])), "weights: expected 16, got 15"),
        (message(f.value(&with(16, nan))), "weights: expected finite numbers, got NaN at index 8"),
        (
            message(f.gradient(&with(16, infinite), &mut out)),
            "weights: expected finite numbers, got inf at index 8",
        ),
        (message(f.gradient(&[0.0; 16], &mut out[..3])), "gradient: expected 16, got 3"),
        (
            message(f.hessian_product(&with(16, nan), &mut out)),
            "direction: expected finite numbers, got NaN at index 8",
        ),
        (message(f.hessian_product(&[0.0; 16], &mut [0.0; 2])), "product: expected 16, got 2"),
        (message(f.smoothness(&[0.0; 16], &mut [0.0; 2])), "smoothness: expected 16, got 2"),
        (message(f.difference(&[0.0; 2], &[0.0; 16])), "gradient: expected 16, got 2"),
        (message(p2.value(&[0.0; 3])), "factors: expected 16, got 3"),
        (message(p2.value(&with(16, nan))), "factors: expected finite numbers, got NaN at index 8"),
        (message(p2.gradient(&[0.0; 16], &mut [0.0; 3])), "gradient: expected 16, got 3"),
        (
            message(p2.hessian_product(&[0.0; 16], &with(16, infinite), &mut out)),
            "direction: expected finite numbers, got inf at index 8",
        ),
        (
            message(
                p2.penalty(FactorPenalty::TwoWay).hessian_product(&[0.0; 16], &[0.0; 16], &mut out),
            ),
            "penalty of Hessian products: expected Bending, got TwoWay",
        ),
        (
            message(p2.pack(Mat::zeros(4, 2).as_ref(), Mat::zeros(3, 2).as_ref())),
            "factor V: expected (4, 2), got (3, 2)",
        ),
        (
            message(FullWeights::from_columns(4, with(16, nan))),
            "weights: expected finite numbers, got NaN at index 8",
        ),
        (
            message(GreedyLowRank::new().max_rank(0).fit(&data, &l, &l)),
            "rank: expected 1 to 4, got 0",
        ),
        (
            message(low(2).tolerance(nan).fit(&data, &l, &l)),
            "tolerance: expected a finite number from 0, got NaN",
        ),
        (
            fit(SplineRegression::new().tol_gap(nan)),
            "tol_gap: expected a positive finite number, got NaN",
        ),
        (
            fit(SplineRegression::new().preconditioner(Preconditioner::Cosine { rho: Some(nan) })),
            "rho of the preconditioner: expected a positive finite number, got NaN",
        ),
        (
            fit(SplineRegression::new()
                .preconditioner(Preconditioner::LowModes { modes: 0, rho: None })),
            "modes of the preconditioner: expected at least 1, got 0",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let regression = SplineRegression::new().memory_limit(100);
    let required = regression.memory_estimate(&data);
    let want = format!(
        "weights and solver: expected at most 100 bytes of memory, {required} are required"
    );
    assert_eq!(message(regression.fit(&data, &l, &l)), want);
}

#[test]
fn undetermined_components_are_reported() {
    // Voxels 0, 1 and 2, 3 are not connected; no injection reaches the second pair.
    let block = dense_operator(
        Mat::from_fn(4, 4, |i, j| {
            if i / 2 != j / 2 {
                0.0
            } else if i == j {
                -1.0
            } else {
                1.0
            }
        })
        .as_ref(),
    );
    let x = Mat::from_fn(4, 1, |s, _| if s == 0 { 1.0 } else { 0.0 });
    let data = builder(&x, &Mat::from_fn(4, 1, |_, _| 1.0)).build().unwrap();
    let report = identifiability(&data, &block, &block).unwrap();
    assert!(!report.is_identifiable());
    assert_eq!(
        message(report.strict()),
        "components: expected data that determine every pair, undetermined are target 0 with source 1, \
         target 1 with source 1"
    );
    assert!(identifiability(&small(), &path(4), &path(4)).unwrap().strict().is_ok());
}

#[test]
fn selection_regions_and_baselines_refuse_what_cannot_be() {
    let data = small();
    let l = path(4);
    let nothing = |_: f64, _: &TracingData, _: Option<&Connectome>| panic!("nothing to fit");
    let full = Weights::Full(FullWeights::from_columns(4, vec![1.0; 16]).unwrap());
    let cases = [
        (
            message(NestedCv::new().run_with(&data, nothing)),
            "outer folds: expected at most one for each of 2 experiments, got 5",
        ),
        (
            message(NestedCv::new().folds(1, 2).run_with(&data, nothing)),
            "outer folds: expected at least 2, got 1",
        ),
        (
            message(NestedCv::new().folds(2, 2).run_with(&data, nothing)),
            "inner folds: expected at most one for each of 1 experiments, got 2",
        ),
        (
            message(NestedCv::new().lambdas([]).run_with(&data, nothing)),
            "lambdas: expected at least one, got none",
        ),
        (
            message(NestedCv::new().lambdas([-1.0]).run(&data, &l, &l)),
            "lambda: expected a finite number from 0, got -1",
        ),
        (
            message(RegionalMatrix::from_weights(&full, &[1, 1], &[1; 4])),
            "regions of source voxels: expected 4, got 2",
        ),
        (
            message(RegionalMatrix::from_weights(&full, &[1; 4], &[0; 4])),
            "regions of target voxels other than 0: expected at least one, got none",
        ),
        (
            message(
                RegionalMatrix::from_weights(&full, &[7, 7, 9, 9], &[1; 4])
                    .unwrap()
                    .strength_between(8, 1),
            ),
            "region of source voxels: expected one of [7, 9], got 8",
        ),
        (
            message(HomogeneousModel::allen().fit(&data, &[1; 4], &[1; 4])),
            "source regions with enough injected voxels: expected at least one, got none",
        ),
        (
            message(KernelModel::new(DistanceKernel::Gaussian { gamma: 0.0 })),
            "gamma of the kernel: expected a positive finite number, got 0",
        ),
        (
            message(
                KernelModel::new(DistanceKernel::Gaussian { gamma: 1.0 })
                    .unwrap()
                    .fit(&data, Mat::zeros(3, 1).as_ref()),
            ),
            "places of source voxels: expected 4, got 3",
        ),
        (
            message(SplineRegression::new().fit(&data, &l, &l).unwrap().column(4)),
            "source voxel: expected 0 to 3, got 4",
        ),
        (
            message(SmoothingOperator::from_sparse(CsMat::<f64>::zero((2, 3)).view())),
            "smoothing operator: expected (2, 2), got (2, 3)",
        ),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
}

#[test]
fn weights_from_elsewhere_are_checked_and_predict() {
    let labels = |source_regions: Vec<i64>| Labels { source_regions, ..Labels::default() };
    let of = |u: Mat<f64>, v: Mat<f64>, regions: Vec<i64>| {
        Connectome::from_weights(Weights::Factors { u, v }, labels(regions))
    };
    let column = |n: usize| Mat::from_fn(n, 1, |i, _| i as f64);
    let cases = [
        (message(of(column(3), Mat::zeros(2, 2), vec![])), "columns of V: expected 1, got 2"),
        (
            message(of(Mat::zeros(0, 1), column(2), vec![])),
            "rows and columns of U: expected at least one, got none",
        ),
        (
            message(of(column(3), Mat::from_fn(2, 1, |_, _| f64::NAN), vec![])),
            "V: expected finite numbers, got NaN at index 0",
        ),
        (message(of(column(3), column(2), vec![7])), "regions of source voxels: expected 2, got 1"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    let connectome = of(column(3), column(2), vec![7, 8]).unwrap();
    assert_eq!(connectome.project(&[5.0, 0.5]).unwrap(), [0.0, 0.5, 1.0]);
    // Two zeros of U and V each first element; what a fit would say is not known.
    assert_eq!(connectome.n_active, 2);
    assert!(connectome.objective.is_nan() && connectome.kkt.is_nan());
    let full = FullWeights::from_columns(2, vec![1.0, 0.0, 3.0, 4.0]).unwrap();
    let connectome = Connectome::from_weights(Weights::Full(full), labels(vec![])).unwrap();
    assert_eq!((connectome.n_active, connectome.shape()), (1, (2, 2)));
}
