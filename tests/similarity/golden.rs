//! The reference files, at the tolerances of their README.

use faer::Mat;
use hesse::similarity::{
    CanonicalCorrelations, Cca, Cka, CkaEstimator, ClusterDepth, Comparator, Cut, GramStream,
    LayerClusters, Median, MinibatchCka, NoiseCovariance, Pairwise, PrincipalDirections,
    Procrustes, PseudoDepth, Pwcca, Rdm, Refine, Region, RowVariance, Rsm, RsmKind, Shrinkage,
    Side, SplitHalf, Ssm, Trials, Whitening, full_from_upper, hsic, multiplicities, shape_angle,
    spearman_brown, squared_bures_distance, subject_ceiling, unit_reliability,
};
use hesse::statistics::{SortedSample, average_ranks, quantile, standard_deviation};

use crate::{Reference, elements, whole};

const FLOOR: RowVariance = RowVariance::Floor(1e-7);

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

const COMPARATORS: [(&str, Comparator); 8] = [
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
        for (name, comparator) in COMPARATORS {
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

#[test]
fn noise_ceilings() {
    let file = Reference::load("07_noise_ceiling");
    let subjects: Vec<Rdm> =
        file.rows("subject_rdms").into_iter().map(|row| Rdm::from_upper(row).unwrap()).collect();
    for (name, comparator) in COMPARATORS {
        if comparator == Comparator::WhitenedPearson {
            continue;
        }
        let got = subject_ceiling(comparator, &subjects).unwrap();
        file.check(&format!("ceiling_{name}"), &[got.lower, got.upper], 1e-12);
    }
    let trials = Trials::from_array([50, 118, 40], &file.vector("counts")).unwrap();
    let splits = file.indices("splits");
    let halves = SplitHalf::new(20).with_orders(&trials, &splits).unwrap();
    file.check("split_half_ssm", &halves.scores, 1e-12);
    file.check("split_half_mean", &[halves.mean], 1e-12);
    file.check("split_half_sd", &[halves.sd], 1e-12);
    file.check("spearman_brown", &[halves.spearman_brown], 1e-12);
    file.check("model_ceiling", &[halves.model_ceiling], 1e-12);
    let units = unit_reliability(&trials, &splits[0]).unwrap();
    file.check("neuron_reliability_first_split", &units, 1e-12);
    file.check("trial_mean", &elements(&trials.mean()), 1e-12);
    file.check("trial_sem", &elements(&trials.standard_error().unwrap()), 1e-12);
}

#[test]
fn resampling() {
    let file = Reference::load("08_resampling");
    let (a, t) = (file.mat("a"), file.mat("t"));
    let (of_a, of_t) = (Rsm::pearson(a.as_ref()).unwrap(), Rsm::pearson(t.as_ref()).unwrap());
    let ssm = Ssm::default();
    let observed = ssm.score(&of_a, &of_t).unwrap();
    file.check("ssm", &[observed], 1e-12);

    let null = ssm.permuted(&of_a, &of_t, &file.indices("perm")).unwrap();
    file.check("ssm_perm", &null, 1e-12);
    let exact = ssm.exact_null(&of_a, &of_t).unwrap();
    file.check("mantel_mean", &[exact.mean], 1e-12);
    file.check("mantel_sd", &[exact.sd], 1e-12);
    file.check("mantel_z", &[exact.z], 1e-10);
    let as_large = null.iter().filter(|&&score| score >= observed).count();
    file.check("p_perm", &[(1 + as_large) as f64 / 21.0], 1e-15);

    let samples = |key: &str| -> Vec<Vec<u32>> {
        file.indices(key).iter().map(|draw| multiplicities(118, draw).unwrap()).collect()
    };
    let boot = samples("boot_idx");
    let scores = ssm.resampled(&of_a, &of_t, &boot).unwrap();
    file.check("ssm_boot", &scores, 1e-12);
    let pairs = |sample: &Vec<u32>| {
        let square: u32 = sample.iter().map(|w| w * w).sum();
        f64::from(118 * 118 - square) / 2.0
    };
    file.check("boot_pairs", &boot.iter().map(pairs).collect::<Vec<_>>(), 0.0);
    file.check("boot_se", &[standard_deviation(&scores)], 1e-12);
    let ends = [quantile(&scores, 0.025).unwrap(), quantile(&scores, 0.975).unwrap()];
    file.check("boot_percentile_95", &ends, 1e-12);
    let subsets = ssm.resampled(&of_a, &of_t, &samples("stim_idx")).unwrap();
    file.check("ssm_stim_sub", &subsets, 1e-12);
    let jackknife = ssm.jackknife(&of_a, &of_t).unwrap();
    file.check("ssm_jackknife", &jackknife.scores, 1e-12);
    file.check("jackknife_se", &[jackknife.standard_error()], 1e-12);
    file.check("ssm_folds4", &ssm.folds(&of_a, &of_t, 4).unwrap(), 1e-12);
    let full = ssm.region(Region::Full);
    file.check("ssm_folds4_full", &full.folds(&of_a, &of_t, 4).unwrap(), 1e-12);

    for (key, want) in [("unit_idx", "ssm_unit_sub"), ("unit_boot_idx", "ssm_unit_boot")] {
        let score = |units: &Vec<usize>| {
            let of_units = Rsm::of_units(a.as_ref(), units, RsmKind::Pearson, RowVariance::Error);
            ssm.score(&of_units.unwrap(), &of_t).unwrap()
        };
        let scores: Vec<f64> = file.indices(key).iter().map(score).collect();
        file.check(want, &scores, 1e-12);
    }
    let order: Vec<usize> = file.vector("unit_split").iter().map(|&u| u as usize).collect();
    let half = |units: &[usize]| {
        Rsm::of_units(a.as_ref(), units, RsmKind::Pearson, RowVariance::Error).unwrap()
    };
    let r = Comparator::Pearson.compare(&half(&order[..48]), &half(&order[48..])).unwrap();
    file.check("unit_split_pearson", &[r], 1e-12);
    file.check("unit_split_reliability", &[spearman_brown(r)], 1e-12);
}

#[test]
fn pseudo_depths_across_networks() {
    let file = Reference::load("09_pseudo_depth");
    assert_eq!((file.scalar("n"), file.vector("units").len()), (118.0, 12));
    let rsms = |key: &str| -> Vec<Rsm> {
        let rsm = |row| Rsm::from_upper(RsmKind::Pearson, row).unwrap();
        file.rows(key).into_iter().map(rsm).collect()
    };
    let (ladder, probe) = (rsms("ladder_rsm_upper"), rsms("probe_rsm_upper"));
    let depth = PseudoDepth::new().refine(Refine::Parabolic);
    let report = depth.run(&ladder, &probe).unwrap();
    file.check("ssm_spearman", &elements(&report.curves), 1e-12);
    let argmax: Vec<f64> = report.argmax.iter().map(|&l| l as f64).collect();
    file.check("argmax", &argmax, 0.0);
    // Quotients of differences of scores: a thousandth is the smallest bend.
    file.check("parabolic", &report.depth, 1e-9);
    let normalised: Vec<f64> = report.depth.iter().map(|d| d / 11.0).collect();
    file.check("normalised", &normalised, 1e-9);
    let pearson = depth.comparator(Comparator::Pearson).curves(&ladder, &probe).unwrap();
    file.check("ssm_pearson", &elements(&pearson), 1e-12);
    let own = depth.curves(&ladder, &ladder).unwrap();
    file.check("ssm_self", &elements(&own), 1e-12);

    let mut distances = Mat::from_fn(12, 12, |i, j| 1.0 - own[(i, j)]);
    (0..12).for_each(|i| distances[(i, i)] = 0.0);
    let distances = Rdm::from_matrix(distances.as_ref()).unwrap();
    let clusters = LayerClusters::ward(&distances, 5).unwrap();
    // SciPy numbers clusters by its tree, ours along the ladder.
    let scipy = file.vector("ward_labels");
    let mut seen = Vec::new();
    for (layer, label) in scipy.iter().enumerate() {
        if !seen.contains(label) {
            seen.push(*label);
        }
        assert_eq!(seen.iter().position(|l| l == label), Some(clusters.labels()[layer]));
    }
    let depths: Vec<_> = (0..12)
        .map(|area| {
            let curve: Vec<f64> = (0..12).map(|l| report.curves[(area, l)]).collect();
            clusters.depth(&curve, None).unwrap()
        })
        .collect();
    let means: Vec<f64> = depths.iter().flat_map(|d| d.means.clone()).collect();
    file.check("cluster_mean_ssm", &means, 1e-12);
    let of = |f: fn(&ClusterDepth) -> f64| depths.iter().map(f).collect::<Vec<f64>>();
    file.check("cluster_depth", &of(|d| d.depth), 1e-12);
    file.check("cluster_selectivity", &of(|d| d.selectivity), 1e-12);
}

#[test]
fn areas_of_a_simulated_cortex() {
    let file = Reference::load("11_areas");
    let ladder: Vec<Rsm> = Reference::load("09_pseudo_depth")
        .rows("ladder_rsm_upper")
        .into_iter()
        .map(|row| Rsm::from_upper(RsmKind::Pearson, row).unwrap())
        .collect();
    let trials = file.scalar("trials");
    let names = ["VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl"];
    let areas: Vec<Rsm> = names
        .iter()
        .map(|name| {
            let sums = file.mat(&format!("count_sum_{name}"));
            let mean = Mat::from_fn(sums.nrows(), sums.ncols(), |i, j| sums[(i, j)] / trials);
            Rsm::pearson(mean.as_ref()).unwrap()
        })
        .collect();
    let samples: Vec<Vec<u32>> =
        file.indices("boot_idx").iter().map(|draw| multiplicities(118, draw).unwrap()).collect();
    let report = PseudoDepth::new().run_with(&ladder, &areas, &samples).unwrap();
    file.check("ssm_curves", &elements(&report.curves), 1e-12);
    file.check("depth_argmax", &report.depth, 0.0);
    let parabolic = PseudoDepth::new().refine(Refine::Parabolic).run(&ladder, &areas).unwrap();
    file.check("depth_parabolic", &parabolic.depth, 1e-9);
    let draws = report.draws.unwrap();
    let all: Vec<f64> = (0..6).flat_map(|area| draws.of(area).unwrap()).collect();
    file.check("boot_depth_argmax", &all, 0.0);
    let sd: Vec<f64> = (0..6).map(|area| draws.standard_deviation(area).unwrap()).collect();
    file.check("boot_depth_sd", &sd, 1e-12);
    let lower: Vec<f64> = (1..6).map(|area| draws.probability_lower(0, area).unwrap()).collect();
    file.check("prob_visp_lower", &lower, 0.0);

    // What the sheet says must show: the lowest area is lower than each other one in three of four
    // draws, and its curve is flat.
    assert!(lower.iter().all(|&p| p >= 0.75));
    assert!(draws.not_below_best(0, 0.95).unwrap().len() > 2);
    assert_eq!(file.vector("true_layer"), [5.0, 8.0, 8.0, 9.0, 9.0, 8.0]);
}

#[test]
fn edges() {
    let file = Reference::load("10_edge");
    let constant = file.mat("constant_row");
    let error = Rsm::pearson(constant.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "variance of stimulus 1 over units: expected more than 0, got 0");
    let floored = Rsm::of(constant.as_ref(), RsmKind::Pearson, FLOOR).unwrap();
    file.check("constant_row_eps", &whole(&floored), 1e-12);
    let copies = Rsm::pearson(file.mat("duplicate_rows").as_ref()).unwrap();
    file.check("duplicate_rows_rsm", &whole(&copies), 1e-12);
    assert_eq!(copies.at(0, 2), 1.0);
    for key in ["base", "scaled_huge", "scaled_tiny"] {
        let x = file.mat(key);
        file.check("base_rsm", &whole(&Rsm::pearson(x.as_ref()).unwrap()), 1e-12);
        let stream = GramStream::of(x.as_ref()).unwrap();
        let rsm = stream.rsm(RsmKind::Pearson, RowVariance::Error).unwrap();
        file.check("base_rsm", &whole(&rsm), 1e-12);
    }

    let (a, b) = (file.vector("tie_a"), file.vector("tie_b"));
    file.check("tie_rank_a", &average_ranks("a", &a).unwrap(), 0.0);
    file.check("tie_rank_b", &average_ranks("b", &b).unwrap(), 0.0);
    let rdm = |v: &[f64]| Rdm::from_upper(v.to_vec()).unwrap();
    for (key, comparator) in [
        ("tie_spearman", Comparator::Spearman),
        ("tie_tau_a", Comparator::TauA),
        ("tie_tau_b", Comparator::TauB),
        ("tie_rho_a", Comparator::RhoA),
    ] {
        file.check(key, &[comparator.compare(&rdm(&a), &rdm(&b)).unwrap()], 1e-12);
    }
    let weights = file.vector("tie_weights");
    let weights: Vec<[f64; 1]> = weights.iter().map(|&w| [w]).collect();
    let scores = |v: &[f64]| {
        let mut scores = vec![[0.0]; v.len()];
        SortedSample::new("ties", v).unwrap().scores(&weights, &mut scores);
        scores
    };
    let (sa, sb) = (scores(&a), scores(&b));
    let sum = |x: &[[f64; 1]], y: &[[f64; 1]]| -> f64 {
        (0..10).map(|k| weights[k][0] * x[k][0] * y[k][0]).sum()
    };
    let weighted = sum(&sa, &sb) / (sum(&sa, &sa) * sum(&sb, &sb)).sqrt();
    file.check("tie_weighted_spearman", &[weighted], 1e-12);

    let (x, y) = (file.mat("hsic_n4_x"), file.mat("hsic_n4_y"));
    let got = hsic(x.as_ref(), y.as_ref(), CkaEstimator::Debiased).unwrap();
    file.check("hsic_n4", &[got], 1e-12);
    let rsm = |key| Rsm::pearson(file.mat(key).as_ref()).unwrap();
    let exact =
        Ssm::new(Comparator::Pearson).exact_null(&rsm("mantel5_x"), &rsm("mantel5_y")).unwrap();
    file.check("mantel5_mean", &[exact.mean], 1e-12);
    file.check("mantel5_var", &[exact.sd * exact.sd], 1e-12);
}
