//! What bad input is told.

use faer::Mat;
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Comparator, Cut, GramStream, LayerClusters, Median, MinibatchCka,
    NoiseCovariance, PrincipalDirections, Procrustes, PseudoDepth, Pwcca, Rdm, Refine, Region,
    RowVariance, Rsm, RsmKind, Shrinkage, Side, SplitHalf, Ssm, SvccaCurves, Trials,
    UnitResampling, Whitening, attenuation, disattenuated, full_from_upper, hsic, multiplicities,
    shape_angle, subject_ceiling, unit_reliability,
};

use crate::{normals, text};

#[test]
fn responses() {
    let x = normals(5, 6, 1);
    let (x, few) = (x.as_ref(), x.subrows(0, 3));
    let different = "y: stimuli: expected 5, got 3";
    assert_eq!(text(Cca::new().fit(x, few)), different);
    assert_eq!(text(Pwcca::new(Side::X).fit(x, few)), different);
    assert_eq!(text(Cka::linear().score(x, few)), different);
    assert_eq!(text(Procrustes::of(x, few)), different);
    assert_eq!(text(shape_angle(x, few, 0.5)), different);
    assert_eq!(text(hsic(x, few, CkaEstimator::Biased)), different);
    assert_eq!(text(MinibatchCka::new().push(x, few)), different);

    for bad in [f64::NAN, f64::INFINITY] {
        let broken = Mat::from_fn(5, 6, |i, j| if (i, j) == (2, 4) { bad } else { x[(i, j)] });
        let broken = broken.as_ref();
        let message =
            |what: &str| format!("{what}: expected finite numbers, got {bad} at index 16");
        assert_eq!(text(Rsm::pearson(broken)), message("x"));
        assert_eq!(text(Rdm::squared_euclidean(broken)), message("x"));
        assert_eq!(text(Rdm::poisson(broken, (1.0, 0.1))), message("counts"));
        assert_eq!(text(Cca::new().fit(x, broken)), message("y"));
        assert_eq!(text(Cka::linear().score(broken, x)), message("x"));
        assert_eq!(text(Procrustes::of(broken, x)), message("x"));
        assert_eq!(text(PrincipalDirections::of(broken)), message("x"));
        let mut stream = GramStream::of(x).unwrap();
        let before = stream.clone();
        assert_eq!(text(stream.push(broken)), message("units"));
        #[allow(clippy::cast_possible_truncation)]
        let single = Mat::from_fn(5, 6, |i, j| broken[(i, j)] as f32);
        assert_eq!(text(stream.push(single.as_ref())), message("units"));
        assert_eq!(stream, before);
    }

    let constant = Mat::from_fn(3, 4, |i, j| if i == 1 { 0.1 } else { x[(i, j)] });
    let constant = constant.as_ref();
    let variance = "variance of stimulus 1 over units: expected more than 0, got 0";
    assert_eq!(text(Rsm::pearson(constant)), variance);
    assert_eq!(text(Rsm::spearman(constant)), variance);
    assert_eq!(text(Rdm::correlation(constant)), variance);
    assert!(Rsm::cosine(constant).is_ok());
    let silent = Mat::from_fn(3, 4, |i, j| if i == 2 { 0.0 } else { x[(i, j)] });
    let norm = "norm of stimulus 2: expected more than 0, got 0";
    assert_eq!(text(Rsm::cosine(silent.as_ref())), norm);
    let floor = text(Rsm::of(x, RsmKind::Pearson, RowVariance::Floor(0.0)));
    assert_eq!(floor, "floor of standard deviations: expected a positive number, got 0");
    let one_unit = x.subcols(0, 1);
    assert_eq!(text(Rsm::pearson(one_unit)), "units: expected at least 2, got 1");
    assert!(Rsm::cosine(one_unit).is_ok());
    let empty = Mat::<f64>::zeros(0, 3);
    assert_eq!(text(Rsm::pearson(empty.as_ref())), "x: stimuli: expected at least one, got none");
    let empty = Mat::<f64>::zeros(3, 0);
    assert_eq!(text(Rsm::pearson(empty.as_ref())), "x: units: expected at least one, got none");
    let units = text(Rsm::of_units(x, &[0, 6], RsmKind::Pearson, RowVariance::Error));
    assert_eq!(units, "unit: expected below 6, got 6");

    let still = Mat::from_fn(5, 3, |_, j| j as f64);
    let still = still.as_ref();
    let variance = "variance of the responses over stimuli: expected more than 0, got 0";
    assert_eq!(text(Cca::new().fit(x, still)), variance);
    let variance = "y: variance over stimuli: expected more than 0, got 0";
    assert_eq!(text(Procrustes::of(x, still)), variance);
    let own = "self-alignment (HSIC) of y: expected more than 0, got 0 to rounding";
    assert_eq!(text(Cka::linear().score(x, still)), own);
    assert_eq!(text(shape_angle(x, x, 1.5)), "alpha: expected 0 to 1, got 1.5");
}

#[test]
fn streams() {
    let x = normals(5, 6, 1);
    assert_eq!(text(GramStream::new(1)), "stimuli: expected at least 2, got 1");
    let mut stream = GramStream::new(5).unwrap();
    assert_eq!(text(stream.squared_euclidean()), "units: expected at least 1, got 0");
    assert_eq!(text(stream.principal_directions()), "units: expected at least 1, got 0");
    assert_eq!(text(stream.push(x.subrows(0, 4))), "units: stimuli: expected 5, got 4");
    stream.push(x.subcols(0, 1)).unwrap();
    let pearson = text(stream.rsm(RsmKind::Pearson, RowVariance::Error));
    assert_eq!(pearson, "units: expected at least 2, got 1");
    let ranks = "Spearman's correlation from sums over units: not applicable: expected Pearson or \
                 cosine, got ranks, which need all units at once";
    assert_eq!(text(stream.rsm(RsmKind::Spearman, RowVariance::Error)), ranks);
    assert_eq!(text(stream.merge(&GramStream::new(4).unwrap())), "stimuli: expected 5, got 4");
    let all = "units to take away: expected fewer than 1, got 1";
    assert_eq!(text(stream.subtract(&stream.clone())), all);
    let other = GramStream::of(x.subrows(0, 4)).unwrap();
    let streams = text(Cka::linear().of_streams(&stream, &other));
    assert_eq!(streams, "y: stimuli: expected 5, got 4");
    let radial = Cka::radial(1.0, Median::All);
    let kernel = "CKA of sums over units: not applicable: expected a linear kernel, got a radial \
                  kernel";
    assert_eq!(text(radial.of_streams(&stream, &stream)), kernel);
}

#[test]
fn tables_and_comparators() {
    let rdm = |v: &[f64]| Rdm::from_upper(v.to_vec()).unwrap();
    let (flat, d) = (rdm(&[2.0; 6]), rdm(&[1.0, 2.0, 3.0, 5.0, 4.0, 9.0]));
    let three = rdm(&[1.0, 2.0, 3.0]);
    let same = "entries of the table: expected at least two different ones, got all the same";
    use Comparator::{
        Bures, Cosine, Pearson, Spearman, TauA, TauB, WhitenedCosine, WhitenedPearson,
    };
    for comparator in [Spearman, Pearson, TauB, WhitenedPearson] {
        assert_eq!(text(comparator.compare(&d, &flat)), same, "{comparator:?}");
        assert_eq!(text(comparator.compare(&flat, &d)), same, "{comparator:?}");
    }
    assert_eq!(TauA.compare(&d, &flat).unwrap(), 0.0);
    assert!(Comparator::RhoA.compare(&d, &flat).unwrap().abs() < 1e-15);
    let zero = rdm(&[0.0; 6]);
    for comparator in [Cosine, WhitenedCosine, Bures] {
        assert_eq!(text(comparator.compare(&d, &zero)), same, "{comparator:?}");
    }
    let sizes = "second table: stimuli: expected 4, got 3";
    assert_eq!(text(Spearman.compare(&d, &three)), sizes);
    let two = rdm(&[1.0]);
    assert_eq!(text(Spearman.compare(&two, &two)), "stimuli: expected at least 3, got 2");
    for comparator in [WhitenedCosine, WhitenedPearson, Bures] {
        let full = Ssm::new(comparator).region(Region::Full);
        let region = "region of the comparison: not applicable: expected the upper triangle for \
                      whitened comparators and Bures, got the whole matrix";
        assert_eq!(text(full.score(&d, &d)), region);
    }

    let pairs = "pairs of stimuli: expected \"n(n − 1)/2\", got 4";
    assert_eq!(text(Rdm::from_upper(vec![1.0; 4])), pairs);
    assert_eq!(text(Rsm::from_upper(RsmKind::Pearson, vec![1.0; 4])), pairs);
    let nan = text(Rdm::from_upper(vec![1.0, f64::NAN, 2.0]));
    assert_eq!(nan, "distances: expected finite numbers, got NaN at index 1");
    let skew = Mat::from_fn(3, 3, |i, j| i as f64 - j as f64);
    let skew = "distances: difference of entries (0, 1) and (1, 0): expected 0, got 2"
        .eq(&text(Rdm::from_matrix(skew.as_ref())));
    assert!(skew);
    let own = text(Rdm::from_matrix(Mat::<f64>::identity(3, 3).as_ref()));
    assert_eq!(own, "distance of stimulus 0 to itself: expected 0, got 1");
    assert_eq!(text(d.select(&[0, 4])), "stimulus: expected below 4, got 4");
    let twice = "stimulus 1: expected once in a selection, got again";
    assert_eq!(text(d.select(&[1, 2, 1])), twice);

    let indefinite = Mat::from_fn(4, 4, |i, j| if i == j { 1.0 } else { 2.0 });
    let definite = "pattern covariance: expected a symmetric positive definite matrix, got one that \
                    is not positive definite";
    assert_eq!(text(Whitening::new(indefinite.as_ref())), definite);
    let identity = Whitening::new(Mat::<f64>::identity(5, 5).as_ref()).unwrap();
    assert_eq!(text(identity.cosine(&d, &d)), "pattern covariance: expected (4, 4), got (5, 5)");
    assert_eq!(text(full_from_upper(0.5, 2)), "stimuli: expected at least 3, got 2");
    assert_eq!(text(full_from_upper(1.5, 5)), "correlation: expected -1 to 1, got 1.5");
}

#[test]
fn canonical_correlations() {
    let (x, y) = (normals(10, 4, 1), normals(10, 6, 2));
    let (x, y) = (x.as_ref(), y.as_ref());
    let many = "dimensions of x and y (4 and 6) of 10 stimuli: expected at most 9 together: the rest \
                of the correlations is 1, got 10";
    assert_eq!(text(Cca::new().fit(x, y)), many);
    let forced = Cca::new().allow_underdetermined().fit(x, y).unwrap();
    assert!((forced.rho[0] - 1.0).abs() < 1e-12 && forced.rho[1] < 1.0 - 1e-6);
    assert!(text(Cca::new().cut(Cut::Dim(4)).fit(y, y)) == "no error");
    let rank = "dimensions of x: expected 1 to 4, got 5";
    assert_eq!(text(Cca::new().cut(Cut::Dim(5)).fit(x, y)), rank);
    assert_eq!(text(Cca::new().cut(Cut::Dim(0)).fit(x, y)), rank.replace('5', "0"));
    for share in [0.0, -0.5, 1.1, f64::NAN] {
        let message = format!("share of the cut: expected more than 0, at most 1, got {share}");
        assert_eq!(text(Cca::new().cut(Cut::Variance(share)).fit(x, y)), message);
        assert_eq!(text(Cca::new().cut(Cut::SingularSum(share)).fit(x, y)), message);
        let message = message.replace("cut", "trimmed mean");
        assert_eq!(text(forced.trimmed_mean(share)), message);
    }
    let ridge = text(Cca::new().ridge(-1.0).fit(x, y));
    assert_eq!(ridge, "ridge: expected 0 or a positive number, got -1");
    let (dx, dy) = (PrincipalDirections::of(x).unwrap(), PrincipalDirections::of(y).unwrap());
    let ridge = text(Cca::new().ridge(0.1).allow_underdetermined().of(&dx, &dy));
    let want = "ridge on all directions: not applicable: expected responses, got principal \
                directions, without the variances of units";
    assert_eq!(ridge, want);

    // Clipped to the smallest rank, or marked.
    let (a, b) = (std::slice::from_ref(&dx), [dx.clone(), dy.clone()]);
    let curves = SvccaCurves::new(&b, a, Cut::Dim(40)).unwrap();
    assert_eq!((curves.kept.as_slice(), curves.unequal_dimensions), (&[(4, 4); 2][..], false));
    let unequal = SvccaCurves::new(&b, a, Cut::Variance(0.9)).unwrap();
    assert!(unequal.unequal_dimensions);
    assert_eq!(text(SvccaCurves::new(&[], a, Cut::All)), "layers: expected at least one, got none");
}

#[test]
fn alignment() {
    let (x, y) = (normals(5, 30, 1), normals(5, 4, 2));
    let debiased = Cka::linear().estimator(CkaEstimator::Debiased);
    let few = text(debiased.score(x.subrows(0, 3), y.subrows(0, 3)));
    assert_eq!(few, "stimuli: expected at least 4, got 3");
    assert!(debiased.score(x.subrows(0, 4), y.subrows(0, 4)).is_ok());
    // One unit that answers one stimulus: its U-statistic is negative.
    let one = Mat::from_fn(5, 1, |i, _| f64::from(u8::from(i == 0)) + 1e-3 * i as f64);
    let unit =
        text(Cka::linear().estimator(CkaEstimator::UnitUnbiased).score(one.as_ref(), y.as_ref()));
    assert_eq!(unit, "x: units: expected at least 2, got 1");
    // Every stimulus as unlike each other: nothing is left once the bias is gone.
    let identity = Mat::<f64>::identity(5, 5);
    let zero = "self-alignment (HSIC) of x: expected more than 0, got 0 to rounding";
    assert_eq!(text(debiased.score(identity.as_ref(), y.as_ref())), zero);
    let mut batches = MinibatchCka::new();
    batches.push(identity.as_ref(), y.as_ref()).unwrap();
    assert_eq!(text(batches.score()), zero);
    // Units that share nothing: in half of all cases.
    let unit = Cka::linear().estimator(CkaEstimator::UnitUnbiased);
    let noise = (0..20).find_map(|seed| unit.score(normals(5, 3, seed).as_ref(), y.as_ref()).err());
    let noise = noise.expect("noise without a positive self-alignment").to_string();
    assert!(noise.contains(": expected more than 0, got -"), "{noise}");
    let radial = Cka::radial(0.0, Median::All).score(x.as_ref(), y.as_ref());
    assert_eq!(text(radial), "scale of the kernel: expected a positive number, got 0");
    let radial = Cka::radial(1.0, Median::All).estimator(CkaEstimator::UnitUnbiased);
    let want = "unit-unbiased CKA: not applicable: expected a linear kernel, which is a sum over \
                units, got a radial one";
    assert_eq!(text(radial.score(x.as_ref(), y.as_ref())), want);
    let copies = Mat::from_fn(5, 2, |i, _| f64::from(u8::from(i == 4)));
    let median = text(Cka::radial(1.0, Median::All).score(copies.as_ref(), y.as_ref()));
    assert_eq!(median, "median of squared distances: expected more than 0, got 0");
    assert_eq!(text(MinibatchCka::new().score()), "batches: expected at least one, got none");
    let big = Mat::from_fn(5, 30, |i, j| 1e160 * x[(i, j)]);
    assert_eq!(
        text(hsic(big.as_ref(), big.as_ref(), CkaEstimator::Biased)),
        "HSIC: expected finite numbers, got inf at index 0"
    );
    assert!((Cka::linear().score(big.as_ref(), x.as_ref()).unwrap() - 1.0).abs() < 1e-12);
}

#[test]
fn trials_and_noise() {
    let values: Vec<f64> = (0..24).map(|i| f64::from((i * i * 7) % 11)).collect();
    let shape = text(Trials::from_array([2, 3, 5], &values));
    assert_eq!(shape, "trials: values: expected \"2 × 3 × 5\", got 24");
    let empty = text(Trials::from_array([0, 3, 5], &[]));
    assert_eq!(empty, "trials: expected at least one, got none");
    let trials = Trials::from_array([2, 3, 4], &values).unwrap();
    let once = Trials::from_array([1, 6, 4], &values).unwrap();
    assert_eq!(trials.mean()[(1, 2)], 0.5 * (values[6] + values[18]));

    let single = "trials of stimulus 0: expected at least 2, got 1";
    assert_eq!(text(once.standard_error()), single);
    assert_eq!(text(SplitHalf::new(3).run(&once)), single);
    assert_eq!(text(NoiseCovariance::of_trials(&once, Shrinkage::None)), single);
    let folds = "trials of a stimulus (folds): expected at least 2, got 1";
    assert_eq!(text(Rdm::crossnobis(&once, None)), folds);
    let (a, b) = (normals(3, 4, 1), normals(2, 4, 2));
    let ragged = Trials::from_stimuli(&[a.as_ref(), b.as_ref()]).unwrap();
    let folds = "trials of a stimulus (folds): expected the same number for all, got 2 to 3";
    assert_eq!(text(Rdm::crossnobis(&ragged, None)), folds);
    assert_eq!((ragged.balanced(), ragged.count(0), ragged.count(1)), (None, 3, 2));
    let widths = text(Trials::from_stimuli(&[a.as_ref(), normals(2, 3, 3).as_ref()]));
    assert_eq!(widths, "trials of stimulus 1: units: expected 4, got 3");

    let identity = Mat::<f64>::identity(4, 4);
    assert!(Rdm::crossnobis(&trials, Some(identity.as_ref())).is_ok());
    let size = text(Rdm::crossnobis(&trials, Some(identity.submatrix(0, 0, 3, 3))));
    assert_eq!(size, "precision: expected (4, 4), got (3, 3)");
    let indefinite = Mat::from_fn(4, 4, |i, j| if i == j { 1.0 } else { 2.0 });
    let definite = "precision: expected a symmetric positive definite matrix, got one that is not \
                    positive definite";
    assert_eq!(
        text(Rdm::squared_mahalanobis(trials.mean().as_ref(), indefinite.as_ref())),
        definite
    );
    let skew = Mat::from_fn(4, 4, |i, j| if i == j { 9.0 } else { i as f64 });
    let skew = text(Rdm::squared_mahalanobis(trials.mean().as_ref(), skew.as_ref()));
    assert!(skew.contains("got entries (0, 1) and (1, 0) that differ by 1e0"), "{skew}");
    let full = NoiseCovariance::of_trials(&trials, Shrinkage::None).unwrap();
    let singular = "noise covariance: expected a symmetric positive definite matrix, got one that is \
                    not positive definite";
    assert_eq!(text(full.precision()), singular);
    let residuals = Mat::from_fn(5, 2, |i, j| if j == 0 { i as f64 } else { 0.0 });
    let quiet = NoiseCovariance::with_dof(residuals.as_ref(), 4.0, Shrinkage::TowardsDiagonal);
    assert_eq!(text(quiet), "noise variance of unit 1: expected more than 0, got 0");
    let dof = NoiseCovariance::with_dof(residuals.as_ref(), 0.0, Shrinkage::None);
    assert_eq!(text(dof), "degrees of freedom: expected a positive number, got 0");

    let negative = Mat::from_fn(2, 2, |i, j| 1.0 - (i * j) as f64 * 3.0);
    let counts = text(Rdm::poisson(negative.as_ref(), (1.0, 0.1)));
    assert_eq!(counts, "count of unit 1 at stimulus 1: expected 0 or more, got -2");
    let prior = text(Rdm::poisson(a.as_ref(), (1.0, 0.0)));
    assert_eq!(prior, "weight of the prior: expected a positive number, got 0");

    let order = text(SplitHalf::new(1).with_orders(&trials, &[vec![0, 0]]));
    assert_eq!(order, "order of trials: expected every trial below 2 once, got [0, 0]");
    assert_eq!(text(unit_reliability(&trials, &[0])).split(':').next(), Some("order of trials"));
    assert_eq!(text(SplitHalf::new(0).run(&trials)), "draws: expected at least one, got none");
    let one = Rdm::from_upper(vec![1.0, 2.0, 3.0]).unwrap();
    let subjects = text(subject_ceiling(Comparator::Cosine, std::slice::from_ref(&one)));
    assert_eq!(subjects, "subjects: expected at least 2, got 1");
    let bures = text(subject_ceiling(Comparator::Bures, &[one.clone(), one]));
    assert!(bures.starts_with("ceiling over subjects: not applicable"));
    let reliability = text(disattenuated(0.5, 0.9, -0.1));
    assert_eq!(reliability, "reliability of y: expected a positive number, got -0.1");
    let flat = Rsm::from_upper(RsmKind::Pearson, vec![0.5; 3]).unwrap();
    assert!(text(attenuation(&flat)).starts_with("entries of the table"));
}

#[test]
fn resampling_and_depth() {
    let rsm = |seed| Rsm::pearson(normals(5, 9, seed).as_ref()).unwrap();
    let (a, b) = (rsm(1), rsm(2));
    let ssm = Ssm::default();
    let short = text(ssm.permuted(&a, &b, &[vec![0, 1, 2, 3]]));
    assert_eq!(short, "permutation: length: expected 5, got 4");
    let twice = text(ssm.permuted(&a, &b, &[vec![0, 1, 2, 3, 3]]));
    assert_eq!(twice, "permutation: expected every number below 5 once, got 3");
    assert_eq!(text(ssm.permutation_test(&a, &b, 0, 1)), "draws: expected at least one, got none");
    let moments = text(Ssm::new(Comparator::TauA).exact_null(&a, &b));
    assert!(moments.starts_with("exact moments over permutations: not applicable"), "{moments}");
    let test = Ssm::new(Comparator::TauA).permutation_test(&a, &b, 20, 1).unwrap();
    assert!(test.exact.is_none() && test.p >= 1.0 / 21.0);

    assert_eq!(text(multiplicities(5, &[5])), "stimulus: expected below 5, got 5");
    let few = text(ssm.resampled(&a, &b, &[vec![5, 2, 0, 0, 0]]));
    assert_eq!(few, "different stimuli of sample 0: expected at least 3, got 2");
    let length = text(ssm.resampled(&a, &b, &[vec![1; 5], vec![1; 4]]));
    assert_eq!(length, "multiplicities of sample 1: expected 5, got 4");
    let bures = text(Ssm::new(Comparator::Bures).resampled(&a, &b, &[vec![1; 5]]));
    assert!(bures.starts_with("similarity over a sample of stimuli: not applicable"));
    let whitened = Ssm::new(Comparator::WhitenedCosine).bootstrap(&a, &b, 3, 1);
    let message = "similarity over a sample of stimuli: not applicable: expected rank methods, Pearson or \
                   cosine, got WhitenedCosine";
    assert_eq!(text(whitened), message);
    assert!(ssm.region(Region::Full).bootstrap(&a, &b, 3, 1).is_ok());
    // Of 4 stimuli, one sample in five has fewer than 3 different ones.
    let four = |seed| Rsm::pearson(normals(4, 9, seed).as_ref()).unwrap();
    let boot = Ssm::new(Comparator::RhoA).bootstrap(&four(1), &four(2), 200, 3).unwrap();
    assert_eq!(boot.scores.len(), 200);
    assert!((20..200).contains(&boot.redrawn), "{}", boot.redrawn);
    let confidence = "confidence: expected more than 0 and less than 1, got 1";
    assert_eq!(text(boot.interval(1.0)), confidence);
    assert_eq!(text(ssm.subsamples(&a, &b, 2, 3, 1)), "size of a subset: expected 3 to 5, got 2");
    assert_eq!(text(ssm.folds(&a, &b, 2)), "stimuli: expected at least 3, got 2");
    let three = |seed| Rsm::pearson(normals(3, 9, seed).as_ref()).unwrap();
    let jackknife = text(ssm.jackknife(&three(1), &three(2)));
    assert_eq!(jackknife, "stimuli: expected at least 4, got 3");

    let x = normals(5, 9, 3);
    let size = text(UnitResampling::new(10, 3).run(ssm, x.as_ref(), &a));
    assert_eq!(size, "units of a subset: expected 2 to 9, got 10");
    assert!(UnitResampling::new(10, 3).with_replacement().run(ssm, x.as_ref(), &a).is_ok());
    // A stimulus that few units answer: draws without one of them do not count.
    let sparse = Mat::from_fn(5, 9, |i, j| if i == 2 && j > 1 { 0.0 } else { x[(i, j)] });
    let draws = UnitResampling::new(4, 30).seed(5).run(ssm, sparse.as_ref(), &a).unwrap();
    assert!(draws.redrawn > 0 && draws.units.iter().all(|units| units[0] < 2));
    let rsms = UnitResampling::new(4, 30).seed(5).rsms(sparse.as_ref()).unwrap();
    assert_eq!(ssm.score(&rsms[7], &a).unwrap(), draws.scores[7]);
    let still = Mat::from_fn(5, 9, |i, j| if i == 2 { 0.0 } else { x[(i, j)] });
    let none = text(UnitResampling::new(4, 1).run(ssm, still.as_ref(), &a));
    assert_eq!(
        none,
        "draw 0 of 4 units: expected variance of every stimulus, got none in 1000 attempts"
    );

    let depth = PseudoDepth::new();
    assert_eq!(
        text(depth.run(&[], std::slice::from_ref(&a))),
        "layers: expected at least one, got none"
    );
    assert_eq!(
        text(depth.run(std::slice::from_ref(&a), &[])),
        "areas: expected at least one, got none"
    );
    let mixed = text(depth.run(&[a.clone(), four(1)], std::slice::from_ref(&b)));
    assert_eq!(mixed, "second table: stimuli: expected 5, got 4");
    let mass = text(Refine::CentreOfMass { null: 0.9 }.depth(&[0.1, 0.2]));
    let want = "largest score of a curve: expected one above the null level 0.9, got 0.2";
    assert_eq!(mass, want);
    assert_eq!(text(Refine::Argmax.depth(&[])), "layers: expected at least one, got none");
    let report =
        depth.bootstrap(10, 1).run(&[a.clone(), b.clone()], std::slice::from_ref(&b)).unwrap();
    let draws = report.draws.unwrap();
    assert_eq!(text(draws.interval(1, 0.9)), "area: expected below 1, got 1");
    assert_eq!(text(draws.not_below_best(0, 0.0)), confidence.replace("got 1", "got 0"));
    let clusters = text(LayerClusters::ward(&a.to_rdm(), 6));
    assert_eq!(clusters, "groups of layers: expected 1 to 5, got 6");
    let clusters = LayerClusters::ward(&a.to_rdm(), 2).unwrap();
    assert_eq!(text(clusters.depth(&[1.0], None)), "curve: layers: expected 5, got 1");
}
