//! The reference files of matrices, comparators, subspaces, kernels and shapes, at the tolerances of
//! their README.

use faer::Mat;
use hesse::similarity::{
    CanonicalCorrelations, Cca, Cka, CkaEstimator, Comparator, Cut, GramStream, Median,
    MinibatchCka, NoiseCovariance, Pairwise, PrincipalDirections, Procrustes, Pwcca, Rdm, Region,
    RowVariance, Rsm, RsmKind, Shrinkage, Side, Ssm, Trials, Whitening, full_from_upper, hsic,
    shape_angle, squared_bures_distance,
};
use hesse::statistics::average_ranks;

use crate::{FLOOR, Reference, elements, whole};

#[test]
fn matrices_of_similarities_and_distances() {
    let file = Reference::load("01_rsm_rdm");
    let x = file.mat("x");
    file.check("pearson_rsm", &whole(&Rsm::pearson(x.as_ref()).unwrap()), 1e-12);
    let floored = Rsm::of(x.as_ref(), RsmKind::Pearson, FLOOR).unwrap();
    file.check("pearson_rsm_eps", &whole(&floored), 1e-12);
    file.check("cosine_rsm", &whole(&Rsm::cosine(x.as_ref()).unwrap()), 1e-12);
    file.check("spearman_rsm", &whole(&Rsm::spearman(x.as_ref()).unwrap()), 1e-12);
    file.check("rdm_correlation", Rdm::correlation(x.as_ref()).unwrap().upper(), 1e-12);
    let euclidean = Rdm::squared_euclidean(x.as_ref()).unwrap();
    file.check("rdm_sqeuclid_per_unit", euclidean.upper(), 1e-12);
    let precision = file.mat("precision");
    let mahalanobis = Rdm::squared_mahalanobis(x.as_ref(), precision.as_ref()).unwrap();
    file.check("rdm_sqmahalanobis_per_unit", mahalanobis.upper(), 1e-12);
    let poisson = Rdm::poisson(file.mat("counts").as_ref(), (1.0, 0.1)).unwrap();
    file.check("rdm_poisson", poisson.upper(), 1e-12);
    let offset = file.mat("x_offset");
    file.check("pearson_rsm_offset", &whole(&Rsm::pearson(offset.as_ref()).unwrap()), 1e-12);

    // The same from sums over units.
    let stream = GramStream::of(x.as_ref()).unwrap();
    let rsm = |kind, variance| whole(&stream.rsm(kind, variance).unwrap());
    file.check("pearson_rsm", &rsm(RsmKind::Pearson, RowVariance::Error), 1e-12);
    file.check("pearson_rsm_eps", &rsm(RsmKind::Pearson, FLOOR), 1e-12);
    file.check("cosine_rsm", &rsm(RsmKind::Cosine, RowVariance::Error), 1e-12);
    let stream = GramStream::of(offset.as_ref()).unwrap();
    let rsm = stream.rsm(RsmKind::Pearson, RowVariance::Error).unwrap();
    file.check("pearson_rsm_offset", &whole(&rsm), 1e-12);
}

#[test]
fn repeated_measurements() {
    let file = Reference::load("01_rsm_rdm");
    let trials = Trials::from_array([3, 12, 30], &file.vector("repeats")).unwrap();
    let identity = Rdm::crossnobis(&trials, None).unwrap();
    file.check("rdm_crossnobis_identity", identity.upper(), 1e-12);
    let (residuals, dof) = trials.residuals().unwrap();
    assert_eq!(dof, 24.0);
    for (suffix, dof) in [("", dof), ("_default_dof", 33.0)] {
        for (name, shrinkage) in [
            ("full", Shrinkage::None),
            ("diag", Shrinkage::Diagonal),
            ("shrinkage_eye", Shrinkage::Identity),
            ("shrinkage_diag", Shrinkage::TowardsDiagonal),
        ] {
            let got = NoiseCovariance::with_dof(residuals.as_ref(), dof, shrinkage).unwrap();
            file.check(&format!("cov_{name}{suffix}"), &elements(&got.covariance), 1e-12);
            if shrinkage == Shrinkage::TowardsDiagonal {
                file.check(&format!("lambda_diag{suffix}"), &[got.weight], 1e-12);
            }
        }
    }
    let noise = NoiseCovariance::of_trials(&trials, Shrinkage::TowardsDiagonal).unwrap();
    let precision = noise.precision().unwrap();
    file.check("prec_shrinkage_diag", &elements(&precision), 1e-12);
    let distances = Rdm::crossnobis(&trials, Some(precision.as_ref())).unwrap();
    file.check("rdm_crossnobis_shrinkage_diag", distances.upper(), 1e-12);
}

/// By their names in the files.
pub const NAMED: [(&str, Comparator); 8] = [
    ("cosine", Comparator::Cosine),
    ("pearson", Comparator::Pearson),
    ("spearman", Comparator::Spearman),
    ("rho_a", Comparator::RhoA),
    ("tau_a", Comparator::TauA),
    ("tau_b", Comparator::TauB),
    ("whitened_cosine", Comparator::WhitenedCosine),
    ("whitened_pearson", Comparator::WhitenedPearson),
];

#[test]
fn comparators() {
    let file = Reference::load("02_comparators");
    assert_eq!(file.scalar("n"), 14.0);
    let all = |rdms: &[Rdm], f: &dyn Fn(&Rdm, &Rdm) -> f64| -> Vec<f64> {
        rdms.iter().flat_map(|a| rdms.iter().map(|b| f(a, b)).collect::<Vec<_>>()).collect()
    };
    let rdms = |key: &str| -> Vec<Rdm> {
        file.rows(key).into_iter().map(|row| Rdm::from_upper(row).unwrap()).collect()
    };
    for (key, suffix) in [("rdm", ""), ("rdm_tied", "_tied")] {
        let rdms = rdms(key);
        for (name, comparator) in NAMED {
            let got = all(&rdms, &|a, b| comparator.compare(a, b).unwrap());
            file.check(&format!("{name}{suffix}"), &got, 1e-12);
        }
    }
    let untied = rdms("rdm");
    let got = all(&untied, &|a, b| Comparator::Bures.compare(a, b).unwrap());
    // The reference takes roots of eigenvalues that are rounding: it says 1 + 3e-9 of a table and
    // itself. √(n ε) is what that can cost; the identities hold Bures to 1e-12.
    file.check("bures_similarity", &got, (14.0 * f64::EPSILON).sqrt());
    let got = all(&untied, &|a, b| squared_bures_distance(a, b).unwrap());
    let trace = untied.iter().map(|rdm| rdm.upper().iter().sum::<f64>() / 14.0).fold(0.0, f64::max);
    file.check("bures_sq_metric", &got, 2.0 * trace * (14.0 * f64::EPSILON).sqrt());
    let whitening = Whitening::new(file.mat("sigma_k").as_ref()).unwrap();
    let got = all(&untied, &|a, b| whitening.cosine(a, b).unwrap());
    file.check("whitened_cosine_sigma_k", &got, 1e-12);
    let ranks: Vec<f64> =
        file.rows("rdm_tied").iter().flat_map(|row| average_ranks("rdm", row).unwrap()).collect();
    file.check("ranks_tied", &ranks, 0.0);
}

#[test]
fn similarities_of_similarity_matrices() {
    let file = Reference::load("03_ssm_digits");
    let of = |kind: RowVariance| -> Vec<Rsm> {
        let rsm = |key| Rsm::of(file.mat(key).as_ref(), RsmKind::Pearson, kind).unwrap();
        ["a", "b", "t"].map(rsm).into()
    };
    let (plain, floored) = (of(RowVariance::Error), of(FLOOR));
    let pairs = [(0, 1), (0, 2), (1, 2)];
    let scores = |rsms: &[Rsm], comparator, region| -> Vec<f64> {
        let ssm = Ssm::new(comparator).region(region);
        pairs.iter().map(|&(i, j)| ssm.score(&rsms[i], &rsms[j]).unwrap()).collect()
    };
    let upper = scores(&plain, Comparator::Spearman, Region::Upper);
    file.check("spearman_upper", &upper, 1e-12);
    file.check("pearson_upper", &scores(&plain, Comparator::Pearson, Region::Upper), 1e-12);
    file.check("tau_b_upper", &scores(&plain, Comparator::TauB, Region::Upper), 1e-12);
    file.check("spearman_full", &scores(&plain, Comparator::Spearman, Region::Full), 1e-12);
    file.check("pearson_full", &scores(&plain, Comparator::Pearson, Region::Full), 1e-12);
    file.check("spearman_full_eps", &scores(&floored, Comparator::Spearman, Region::Full), 1e-12);
    let rdms: Vec<Rdm> = plain.iter().map(Rsm::to_rdm).collect();
    let cosines: Vec<f64> = pairs
        .iter()
        .map(|&(i, j)| Comparator::Cosine.compare(&rdms[i], &rdms[j]).unwrap())
        .collect();
    file.check("cosine_rdm_upper", &cosines, 1e-12);
    let closed: Vec<f64> = upper.iter().map(|&r| full_from_upper(r, 118).unwrap()).collect();
    file.check("full_from_upper_closed_form", &closed, 1e-12);
    file.check("null_offset_full", &[full_from_upper(0.0, 118).unwrap()], 1e-12);
}

#[test]
fn canonical_correlations() {
    let file = Reference::load("04_cca");
    let (x, y) = (file.mat("x"), file.mat("y"));
    let (x, y) = (x.as_ref(), y.as_ref());
    let cca = Cca::new().fit(x, y).unwrap();
    file.check("rho", &cca.rho, 1e-10);
    file.check("mean_rho", &[cca.mean()], 1e-10);
    file.check("mean_rho_sq", &[cca.mean_square()], 1e-10);
    file.check("wilks_lambda", &[cca.wilks_lambda()], 1e-10);
    file.check("yanai_gcd", &[cca.yanai()], 1e-10);
    file.check("mean_rho_trimmed98", &[cca.trimmed_mean(0.98).unwrap()], 1e-10);
    let cut = |cut| Cca::new().cut(cut).fit(x, y).unwrap();
    let kept = |cca: &CanonicalCorrelations| [cca.kept.0 as f64, cca.kept.1 as f64];
    for (name, share) in [("var99", 0.99), ("var95", 0.95), ("var90", 0.9)] {
        let svcca = cut(Cut::Variance(share));
        file.check(&format!("svcca_{name}_k"), &kept(&svcca), 0.0);
        file.check(&format!("svcca_{name}_rho"), &svcca.rho, 1e-10);
        file.check(&format!("svcca_{name}"), &[svcca.mean()], 1e-10);
    }
    let svcca = cut(Cut::SingularSum(0.99));
    file.check("svcca_singsum99_k", &kept(&svcca), 0.0);
    file.check("svcca_singsum99", &[svcca.mean()], 1e-10);
    file.check("svcca_dim10", &[cut(Cut::Dim(10)).mean()], 1e-10);
    for (suffix, side) in [("x", Side::X), ("y", Side::Y)] {
        let pwcca = Pwcca::new(side).fit(x, y).unwrap();
        file.check(&format!("pwcca_ref_{suffix}"), &[pwcca.score], 1e-10);
        file.check(&format!("pwcca_weights_{suffix}"), &pwcca.weights, 1e-10);
    }
    let deficient = Cca::new().fit(file.mat("x_deficient").as_ref(), y).unwrap();
    assert_eq!(deficient.ranks, (20, 15));
    file.check("rho_deficient", &deficient.rho, 1e-10);

    let (a, t) = (file.mat("a"), file.mat("t"));
    let (a, t) = (a.as_ref(), t.as_ref());
    let svcca = Cca::new().cut(Cut::Dim(40)).fit(a, t).unwrap();
    file.check("svcca_dim40_digits_rho", &svcca.rho, 1e-10);
    file.check("svcca_dim40_digits", &[svcca.mean()], 1e-10);
    file.check("null_mean_rho_sq_40_118", &[svcca.null_mean_square()], 1e-15);
    let svcca = Cca::new().cut(Cut::Variance(0.99)).allow_underdetermined().fit(a, t).unwrap();
    file.check("svcca_var99_digits_k", &kept(&svcca), 0.0);
    file.check("svcca_var99_digits", &[svcca.mean()], 1e-10);
    let pwcca = Pwcca::new(Side::X).cut(Cut::Dim(40)).fit(a, t).unwrap();
    file.check("pwcca_dim40_digits_ref_a", &[pwcca.score], 1e-10);
    let directions = PrincipalDirections::of(a).unwrap();
    file.check("singular_values_a", &directions.singular_values(), 1e-10);

    let (x, y) = (file.mat("x_wide"), file.mat("y_wide"));
    let (x, y) = (x.as_ref(), y.as_ref());
    let full = Cca::new().allow_underdetermined().fit(x, y).unwrap();
    file.check("rho_wide_full", &full.rho, 1e-10);
    let svcca = Cca::new().cut(Cut::Dim(10)).fit(x, y).unwrap();
    file.check("svcca_dim10_wide_rho", &svcca.rho, 1e-10);
    file.check("svcca_dim10_wide", &[svcca.mean()], 1e-10);
    // From sums over units, whose directions are eigenvectors of a Gram matrix.
    let streamed = |x| GramStream::of(x).unwrap().principal_directions().unwrap();
    let svcca = Cca::new().cut(Cut::Dim(10)).of(&streamed(x), &streamed(y)).unwrap();
    file.check("svcca_dim10_wide_rho", &svcca.rho, 1e-10);
}

#[test]
fn canonical_correlations_of_the_reference_code() {
    let (file, inputs) = (Reference::load("04b_cca_reference_code"), Reference::load("04_cca"));
    let (x, y) = (inputs.mat("x"), inputs.mat("y"));
    let (x, y) = (x.as_ref(), y.as_ref());
    for (suffix, cca, tolerance) in [
        ("eps0", Cca::new(), 1e-8),
        ("eps1em10", Cca::new().ridge(1e-10), 1e-8),
        ("eps1em3", Cca::new().ridge(1e-3), 1e-8),
    ] {
        let got = cca.fit(x, y).unwrap();
        file.check(&format!("cca_coef_{suffix}"), &got.rho, tolerance);
        file.check(&format!("sum_{suffix}"), &[got.rho.iter().sum()], 15.0 * tolerance);
        let trimmed = got.trimmed_mean(0.98).unwrap();
        file.check(&format!("mean_trimmed98_{suffix}"), &[trimmed], tolerance);
    }
    // Without its epsilon, the plain correlations are within 1e-8 of it too.
    file.check("cca_coef_eps1em10", &Cca::new().fit(x, y).unwrap().rho, 1e-8);
    for (name, cut) in
        [("dim5", Cut::Dim(5)), ("dim10", Cut::Dim(10)), ("var99", Cut::Variance(0.99))]
    {
        for cca in [Cca::new(), Cca::new().ridge(1e-10)] {
            let got = cca.cut(cut).fit(x, y).unwrap();
            file.check(&format!("svcca_{name}_coef"), &got.rho, 1e-8);
            file.check(&format!("svcca_{name}_mean"), &[got.mean()], 1e-8);
            let trimmed = got.trimmed_mean(0.98).unwrap();
            file.check(&format!("svcca_{name}_mean_trimmed98"), &[trimmed], 1e-8);
        }
    }
    let (a, t) = (inputs.mat("a"), inputs.mat("t"));
    // Here its epsilon of 1e-10 is worth 2e-8: the 40th singular value is small.
    let got = Cca::new().ridge(1e-10).cut(Cut::Dim(40)).fit(a.as_ref(), t.as_ref()).unwrap();
    file.check("svcca_dim40_digits_mean", &[got.mean()], 1e-8);
    let trimmed = got.trimmed_mean(0.98).unwrap();
    file.check("svcca_dim40_digits_mean_trimmed98", &[trimmed], 1e-8);

    // Its projection weighting fails or differs from the published formula; ours does neither.
    assert_eq!(file.scalar("google_pwcca_xy_raises"), 1.0);
    let ours = Pwcca::new(Side::X).fit(y, x).unwrap();
    assert!((ours.score - file.scalar("google_pwcca_yx")).abs() > 1e-4);
    assert_eq!(ours.weights.len(), file.vector("google_pwcca_yx_weights").len());
}

#[test]
fn kernel_alignment() {
    let file = Reference::load("05_cka");
    let (x, y) = (file.mat("x"), file.mat("y"));
    let (x, y) = (x.as_ref(), y.as_ref());
    let biased = hsic(x, y, CkaEstimator::Biased).unwrap();
    assert!((biased / file.scalar("hsic_biased") - 1.0).abs() <= 1e-12);
    let unbiased = hsic(x, y, CkaEstimator::Debiased).unwrap();
    assert!((unbiased / file.scalar("hsic_unbiased") - 1.0).abs() <= 1e-12);
    let linear = Cka::linear();
    let debiased = linear.estimator(CkaEstimator::Debiased);
    let unit = linear.estimator(CkaEstimator::UnitUnbiased);
    let check = |key: &str, cka: Cka, x, y| file.check(key, &[cka.score(x, y).unwrap()], 1e-10);
    check("cka_linear", linear, x, y);
    file.check("cka_linear_angular", &[linear.angle(x, y).unwrap()], 1e-10);
    check("cka_linear_debiased", debiased, x, y);
    check("cka_unit_unbiased", unit, x, y);
    check("whitened_cosine_of_sqeuclid", linear, x, y);
    for (name, scale) in [("0p4", 0.4), ("1p0", 1.0), ("2p0", 2.0)] {
        for (suffix, median) in [("all", Median::All), ("offdiag", Median::OffDiagonal)] {
            let cka = Cka::radial(scale, median);
            check(&format!("cka_rbf_{name}_med_{suffix}"), cka, x, y);
            let cka = cka.estimator(CkaEstimator::Debiased);
            check(&format!("cka_rbf_{name}_med_{suffix}_debiased"), cka, x, y);
        }
    }
    let mut batches = MinibatchCka::new();
    let mut rest = MinibatchCka::new();
    for (b, batch) in file.indices("batches").iter().enumerate() {
        let part = |m: faer::MatRef<'_, f64>| Mat::from_fn(15, m.ncols(), |i, j| m[(batch[i], j)]);
        let into = if b < 2 { &mut batches } else { &mut rest };
        into.push(part(x).as_ref(), part(y).as_ref()).unwrap();
    }
    batches.merge(&rest);
    assert_eq!(batches.batches(), 4);
    file.check("cka_minibatch", &[batches.score().unwrap()], 1e-10);

    let (x, y) = (file.mat("x_indep"), file.mat("y_indep"));
    check("cka_indep_biased", linear, x.as_ref(), y.as_ref());
    check("cka_indep_debiased", debiased, x.as_ref(), y.as_ref());
    let (a, t) = (file.mat("a"), file.mat("t"));
    check("cka_linear_digits", linear, a.as_ref(), t.as_ref());
    check("cka_linear_debiased_digits", debiased, a.as_ref(), t.as_ref());
    let streams = (GramStream::of(a.as_ref()).unwrap(), GramStream::of(t.as_ref()).unwrap());
    for (key, cka) in [("cka_linear_digits", linear), ("cka_linear_debiased_digits", debiased)] {
        file.check(key, &[cka.of_streams(&streams.0, &streams.1).unwrap()], 1e-10);
    }
}

#[test]
fn shapes() {
    let file = Reference::load("06_procrustes");
    let (x, y) = (file.mat("x"), file.mat("y"));
    let (x, y) = (x.as_ref(), y.as_ref());
    let p = Procrustes::of(x, y).unwrap();
    file.check("nbs", &[p.similarity()], 1e-10);
    file.check("sq_distance_normalised", &[p.normalised_squared_distance()], 1e-10);
    file.check("angular", &[p.angle()], 1e-10);
    // Sums over all entries: relative to their size.
    for (key, got) in [("nuclear", p.nuclear_norm()), ("sq_distance", p.squared_distance())] {
        file.check(key, &[got], 1e-10 * p.norm_x * p.norm_y);
    }
    for (name, alpha) in [("0", 0.0), ("0.5", 0.5), ("1", 1.0)] {
        let got = shape_angle(x, y, alpha).unwrap();
        file.check(&format!("shape_angular_alpha{name}"), &[got], 1e-10);
    }
    let rotated = Procrustes::of(x, file.mat("x_rotated").as_ref()).unwrap();
    file.check("angular_rotated", &[rotated.angle()], 3e-8);
    let wide = Procrustes::of(file.mat("x_wide").as_ref(), file.mat("y_wide").as_ref()).unwrap();
    file.check("angular_wide", &[wide.angle()], 1e-10);
}
