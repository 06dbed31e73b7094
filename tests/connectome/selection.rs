//! Cross-validation, regions and baselines against golden files.

use hesse::connectome::{
    Connectome, Denominator, DistanceKernel, FullWeights, HomogeneousModel, KernelModel, NestedCv,
    Observed, RegionalMatrix, SplineRegression, TracingData, Weights, leave_one_out,
    regional_mse_rel, well_conditioned_columns,
};
use hesse::faer::Mat;

use crate::golden::{Golden, all_close, close, columns, path};

fn integers(values: Vec<f64>) -> Vec<i64> {
    values.into_iter().map(|v| v as i64).collect()
}

#[test]
fn nested_cross_validation_selects_the_same_lambda_in_the_same_folds() {
    let golden = Golden::read("cv");
    let published = NestedCv::new().outer_folds(28).unwrap();
    assert_eq!(
        published,
        golden.vector("fold_of_28").iter().map(|f| *f as usize).collect::<Vec<_>>()
    );
    let data = golden.data("");
    let lambdas = golden.vector("lams");
    let report = NestedCv::new()
        .folds(4, 4)
        .lambdas(lambdas.clone())
        .run(&data, &path(40), &path(40))
        .unwrap();
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
    // U-shaped in λ: least inside, larger at both ends.
    for fold in &report.validation_mse_rel {
        let mean = |k: usize| fold.iter().map(|errors| errors[k]).sum::<f64>();
        let means: Vec<f64> = (0..lambdas.len()).map(mean).collect();
        let least = means.iter().copied().fold(f64::INFINITY, f64::min);
        let at = means.iter().position(|m| *m == least).unwrap();
        assert!(0 < at && at + 1 < means.len(), "{means:?}");
        assert!(means[0] > 1.2 * least && means[means.len() - 1] > 1.2 * least, "{means:?}");
    }
    all_close("test", &report.test_mse_rel, &golden.vector("test_mse_rel"), 1e-6);
    let full = golden.vector("test_mse_rel_full_denominator");
    all_close("full", &report.test_mse_rel_full, &full, 1e-6);
    all_close("train", &report.train_mse_rel, &golden.vector("train_mse_rel"), 1e-6);
    let l = path(40);
    let loo = leave_one_out(&data, |data| SplineRegression::new().lambda(100.0).fit(data, &l, &l))
        .unwrap();
    all_close("leave one out", &loo, &golden.vector("loo_mse_rel_lam100"), 1e-6);
}

#[test]
fn no_fit_sees_what_it_is_scored_on() {
    // Projections name their experiments.
    let (n, experiments) = (6, 7);
    let x = Mat::from_fn(n, experiments, |s, e| f64::from(u8::from(s == e % n)));
    let y = Mat::from_fn(n, experiments, |t, e| (100 * e + t) as f64);
    let data = TracingData::builder()
        .injections_dense(x.as_ref())
        .projections(y.as_ref())
        .observed(Observed::everywhere(n, experiments))
        .build()
        .unwrap();
    let named = |data: &TracingData| -> Vec<usize> {
        (0..data.experiments()).map(|e| data.projection(e)[0] as usize / 100).collect()
    };
    let mut trained: Vec<Vec<usize>> = Vec::new();
    let cv = NestedCv::new().folds(3, 2).lambdas([1.0, 2.0]);
    let report = cv
        .run_with(&data, |_, data, _| {
            trained.push(named(data));
            let weights = Weights::Full(FullWeights::from_columns(n, vec![1.0; n * n])?);
            Connectome::from_weights(weights, data.labels().clone())
        })
        .unwrap();
    assert_eq!(report.outer_fold, cv.outer_folds(experiments).unwrap());
    for outer in 0..3 {
        let test: Vec<usize> =
            (0..experiments).filter(|&e| report.outer_fold[e] == outer).collect();
        let rest: Vec<usize> =
            (0..experiments).filter(|&e| report.outer_fold[e] != outer).collect();
        assert!(!test.is_empty());
        // Inner folds are a partition of the rest.
        let inner = &report.inner_fold[outer];
        assert!((0..experiments).all(|e| inner[e].is_none() == test.contains(&e)), "{inner:?}");
        let mut wanted: Vec<Vec<usize>> = (0..2)
            .map(|fold| rest.iter().copied().filter(|&e| inner[e] != Some(fold)).collect())
            .collect();
        assert!(wanted.iter().all(|w| !w.is_empty() && w.len() < rest.len()));
        // On the path of λ in each inner fold, and on all of the rest for the test.
        wanted = vec![wanted[0].clone(), wanted[0].clone(), wanted[1].clone(), wanted[1].clone()];
        wanted.push(rest);
        for seen in wanted {
            let at = trained.iter().position(|t| *t == seen);
            trained.swap_remove(at.unwrap_or_else(|| panic!("nobody was trained on {seen:?}")));
        }
    }
    assert!(trained.is_empty(), "{trained:?}");
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
        // Nothing is lost, and a density times its voxels is a strength.
        let (s, d) = (&collapsed.strength, &collapsed.density);
        let kept = (0..14 * 17).map(|i| (i / 17, i % 17));
        let kept = kept.filter(|&(j, i)| source[j] != 0 && target[i] != 0);
        close(
            "total",
            columns(s.as_ref()).iter().sum(),
            kept.map(|(j, i)| full[(i, j)]).sum(),
            1e-12,
        );
        for (j, id) in collapsed.target_ids.iter().enumerate() {
            let count = target.iter().filter(|key| *key == id).count() as f64;
            for i in 0..s.nrows() {
                close("density", d[(i, j)] * count, s[(i, j)], 1e-14);
            }
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
    let loo = leave_one_out(&data, |data| SplineRegression::new().lambda(lambda).fit(data, &l, &l))
        .unwrap();
    all_close("voxels", &loo, &golden.vector("loo_voxel_voxel"), 1e-6);
    let fit: Connectome = SplineRegression::new().lambda(lambda).fit(&data, &l, &l).unwrap();
    let masked = fit.mse_rel(&data, Denominator::Masked).unwrap();
    assert!(fit.mse_rel(&data, Denominator::Full).unwrap() < masked);
}

#[test]
fn the_homogeneous_model_and_its_scores_are_those_of_row_wise_nnls() {
    let golden = Golden::read("regional");
    let data = golden.data("");
    let key = integers(golden.vector("key"));
    let fit = HomogeneousModel::new().fit(&data, &key, &key).unwrap();
    assert_eq!(fit.source_ids, integers(golden.vector("regions")));
    let want = columns(golden.mat("W_regional").as_ref());
    all_close("W_R", &columns(fit.weights.as_ref()), &want, 1e-9);
    close("condition", fit.condition, golden.scalar("cond_X_regional"), 1e-9);
    let ridge =
        HomogeneousModel::new().ridge(golden.scalar("alpha")).fit(&data, &key, &key).unwrap();
    let want = columns(golden.mat("W_regional_ridge").as_ref());
    all_close("ridge", &columns(ridge.weights.as_ref()), &want, 1e-9);
    // Leave one out, four scores.
    let l = path(60);
    let lambda = golden.scalar("lam");
    let mut scores = [const { Vec::new() }; 4];
    for e in 0..18 {
        let others: Vec<usize> = (0..18).filter(|&i| i != e).collect();
        let (train, test) = (data.select(&others).unwrap(), data.select(&[e]).unwrap());
        let voxel = SplineRegression::new().lambda(lambda).fit(&train, &l, &l).unwrap();
        let x = test.injections().to_dense();
        let p = voxel.predict(Mat::from_fn(60, 1, |s, _| x[(s, 0)]).as_ref()).unwrap();
        let region = HomogeneousModel::new().fit(&train, &key, &key).unwrap();
        scores[0].push(voxel.mse_rel(&test, Denominator::Masked).unwrap());
        scores[1].push(regional_mse_rel(p.as_ref(), &test, &key).unwrap());
        scores[2].push(region.mse_rel(&test, Denominator::Masked).unwrap());
        scores[3].push(region.regional_mse_rel(&test).unwrap());
    }
    let names = ["voxel_voxel", "voxel_regional", "regional_voxel", "regional_regional"];
    for (name, scores) in names.iter().zip(&scores) {
        all_close(name, scores, &golden.vector(&format!("loo_{name}")), 1e-6);
    }
    // The voxel model cuts the mean error by more than 60% over voxels and over regions.
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    assert!(mean(&scores[0]) < 0.4 * mean(&scores[2]) && mean(&scores[1]) < 0.4 * mean(&scores[3]));
}

#[test]
fn ill_conditioned_columns_are_dropped_one_at_a_time() {
    let golden = Golden::read("regional");
    let x = golden.mat("cond_X");
    let kept = well_conditioned_columns(x.as_ref(), golden.scalar("cond_kappa")).unwrap();
    let want: Vec<usize> = golden.vector("cond_columns_kept").iter().map(|c| *c as usize).collect();
    assert_eq!(kept, want);
}
