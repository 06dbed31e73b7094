//! Cross-validation, regions and baselines against golden files.

use hesse::connectome::{
    Denominator, DistanceKernel, KernelModel, NestedCv, RegionalMatrix, SplineRegression, Weights,
    leave_one_out,
};
use hesse::connectome::{Connectome, FullWeights};
use hesse::faer::Mat;

use crate::golden::{Golden, all_close, close, columns, path};

fn integers(values: Vec<f64>) -> Vec<i64> {
    values.into_iter().map(|v| v as i64).collect()
}

#[test]
fn nested_cross_validation_selects_the_same_lambda_in_the_same_folds() {
    let golden = Golden::read("cv");
    let published = NestedCv::new().outer_folds(28).unwrap();
    assert_eq!(published, golden.vector("fold_of_28").iter().map(|f| *f as usize).collect::<Vec<_>>());
    let data = golden.data("");
    let lambdas = golden.vector("lams");
    let report =
        NestedCv::new().folds(4, 4).lambdas(lambdas.clone()).run(&data, &path(40), &path(40)).unwrap();
    let indices = |values: Vec<f64>| values.into_iter().map(|f| f as usize).collect::<Vec<_>>();
    assert_eq!(report.outer_fold, indices(golden.vector("outer_fold")));
    let inner: Vec<f64> = report
        .inner_fold
        .iter()
        .flatten()
        .map(|fold| fold.map_or(-1.0, |fold| fold as f64))
        .collect();
    assert_eq!(inner, golden.vector("inner_fold"));
    assert_eq!(report.selected, indices(golden.vector("selected_lambda_index")));
    let validation: Vec<f64> =
        report.validation_mse_rel.iter().flatten().flatten().copied().collect();
    all_close("validation", &validation, &golden.vector("validation_mse_rel"), 1e-6);
    all_close("test", &report.test_mse_rel, &golden.vector("test_mse_rel"), 1e-6);
    let full = golden.vector("test_mse_rel_full_denominator");
    all_close("full", &report.test_mse_rel_full, &full, 1e-6);
    all_close("train", &report.train_mse_rel, &golden.vector("train_mse_rel"), 1e-6);
    let l = path(40);
    let loo =
        leave_one_out(&data, |data| SplineRegression::new().lambda(100.0).fit(data, &l, &l)).unwrap();
    all_close("leave one out", &loo, &golden.vector("loo_mse_rel_lam100"), 1e-6);
}

#[test]
fn collapsed_matrices_carry_their_regions() {
    let golden = Golden::read("regional");
    let (u, v) = (golden.mat("col_U"), golden.mat("col_V"));
    let full = Mat::from_fn(17, 14, |t, s| (0..3).map(|k| u[(t, k)] * v[(s, k)]).sum());
    let (source, target) = (golden.vector("col_source_key"), golden.vector("col_target_key"));
    let (source, target) = (integers(source), integers(target));
    for weights in [
        Weights::Full(FullWeights::from_mat(full.as_ref()).unwrap()),
        Weights::Factors { u: u.clone(), v: v.clone() },
    ] {
        let collapsed = RegionalMatrix::from_weights(&weights, &source, &target).unwrap();
        assert_eq!(collapsed.source_ids, integers(golden.vector("col_source_regions")));
        assert_eq!(collapsed.target_ids, integers(golden.vector("col_target_regions")));
        for (got, want) in [
            (&collapsed.strength, "col_strength"),
            (&collapsed.density, "col_density"),
            (&collapsed.normalized_strength, "col_norm_strength"),
            (&collapsed.normalized_density, "col_norm_density"),
        ] {
            all_close(want, &columns(got.as_ref()), &columns(golden.mat(want).as_ref()), 1e-12);
        }
        let id = (collapsed.source_ids[1], collapsed.target_ids[2]);
        assert_eq!(collapsed.strength_between(id.0, id.1).unwrap(), collapsed.strength[(1, 2)]);
    }
}

#[test]
fn kernel_weights_and_leave_one_out_errors_are_those_of_plain_loops() {
    let golden = Golden::read("regional");
    let places = Mat::from_fn(60, 3, |i, a| [i / 15, i / 3 % 5, i % 3][a] as f64);
    let centroids = golden.mat("nw_centroids");
    let gaussian =
        KernelModel::new(DistanceKernel::Gaussian { gamma: golden.scalar("nw_gamma") }).unwrap();
    let weights = gaussian.weights(places.as_ref(), centroids.as_ref()).unwrap();
    let want = columns(golden.mat("nw_weights").as_ref());
    all_close("weights", &columns(weights.as_ref()), &want, 1e-13);
    let support = golden.scalar("nw_support");
    let compact = KernelModel::new(DistanceKernel::Compact { support, power: 2 }).unwrap();
    let weights = compact.weights(places.as_ref(), centroids.as_ref()).unwrap();
    let want = columns(golden.mat("nw_biweight_weights").as_ref());
    all_close("biweight", &columns(weights.as_ref()), &want, 1e-13);
    // The golden projections have experiments in rows.
    let y = golden.mat("nw_Y");
    let p = gaussian.leave_one_out(centroids.as_ref(), y.transpose()).unwrap();
    let (p, y) = (columns(p.as_ref()), columns(y.transpose()));
    let mse = p.iter().zip(&y).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / y.len() as f64;
    close("mse", mse, golden.scalar("nw_loo_mse"), 1e-12);
}

#[test]
fn the_voxel_model_is_scored_over_voxels_as_published() {
    let golden = Golden::read("regional");
    let data = golden.data("");
    let l = path(60);
    let lambda = golden.scalar("lam");
    let loo =
        leave_one_out(&data, |data| SplineRegression::new().lambda(lambda).fit(data, &l, &l)).unwrap();
    all_close("voxels", &loo, &golden.vector("loo_voxel_voxel"), 1e-6);
    let fit: Connectome = SplineRegression::new().lambda(lambda).fit(&data, &l, &l).unwrap();
    let masked = fit.mse_rel(&data, Denominator::Masked).unwrap();
    assert!(fit.mse_rel(&data, Denominator::Full).unwrap() < masked);
}
