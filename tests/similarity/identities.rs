//! Invariances and identities, over seeds, shapes, scales and ties.

use faer::Mat;
use hesse::random::Stream;
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Comparator, Cut, GramStream, Pairwise, Procrustes, Pwcca, Rdm, Region,
    RowVariance, Rsm, RsmKind, Side, Ssm, Trials, Whitening, full_from_upper, shape_angle,
    squared_bures_distance,
};
use hesse::statistics::{average_ranks, pearson};

use crate::{COMPARATORS, all_close, close, normals, related, rotation, whole};

#[test]
fn rsms_do_not_know_units_offsets_or_the_order_of_units() {
    for (n, p, seed) in [(3, 2, 1), (9, 40, 2), (30, 9, 3), (20, 1300, 4)] {
        let x = normals(n, p, seed);
        for kind in [RsmKind::Pearson, RsmKind::Cosine, RsmKind::Spearman] {
            let rsm = |x: &Mat<f64>| whole(&Rsm::of(x.as_ref(), kind, RowVariance::Error).unwrap());
            let want = rsm(&x);
            let what = format!("{n} × {p} {kind:?}");
            let shuffled = Stream::new(seed, "units").permutation(p);
            let other = Mat::from_fn(n, 2 * p, |i, j| x[(i, shuffled[j % p])]);
            all_close(&rsm(&other), &want, 1e-12, &what);
            // Each stimulus in its own unit, over 320 powers of ten.
            let scale = |i: usize| 10f64.powi([-160, 0, 160, 7][i % 4]);
            all_close(&rsm(&Mat::from_fn(n, p, |i, j| scale(i) * x[(i, j)])), &want, 1e-12, &what);
            if kind != RsmKind::Cosine {
                let moved = Mat::from_fn(n, p, |i, j| 2.5 * x[(i, j)] + 10.0 * i as f64);
                all_close(&rsm(&moved), &want, 1e-12, &what);
            }
            let single = Mat::from_fn(n, p, |i, j| x[(i, j)] as f32);
            let double = Mat::from_fn(n, p, |i, j| f64::from(single[(i, j)]));
            let of_single = Rsm::of(single.as_ref(), kind, RowVariance::Error).unwrap();
            assert_eq!(whole(&of_single), rsm(&double), "{what}");
            // Row by row in memory, as NumPy has it.
            let rows: Vec<f64> = (0..n * p).map(|e| x[(e / p, e % p)]).collect();
            let view = faer::MatRef::from_row_major_slice(&rows, n, p);
            assert_eq!(whole(&Rsm::of(view, kind, RowVariance::Error).unwrap()), want, "{what}");
        }
    }
}

#[test]
fn scores_are_symmetric_one_for_the_same_and_know_no_order_of_stimuli() {
    for (n, seed) in [(3, 1), (5, 2), (25, 3)] {
        let (x, y) = related(n, 30, 25, seed);
        let of = |x: &Mat<f64>| Rdm::squared_euclidean(x.as_ref()).unwrap();
        let tied = |d: &Rdm| {
            Rdm::from_upper(d.upper().iter().map(|d| (4.0 * d).round() + 1.0).collect()).unwrap()
        };
        let order = Stream::new(seed, "order").permutation(n);
        for (c, d) in [(of(&x), of(&y)), (tied(&of(&x)), tied(&of(&y)))] {
            for comparator in COMPARATORS {
                use Comparator::{RhoA, Spearman, TauA, TauB};
                let what = format!("{n} {comparator:?}");
                let score = |a: &Rdm, b: &Rdm| comparator.compare(a, b).unwrap();
                let (own, both) = (score(&c, &c), score(&c, &d));
                if !matches!(comparator, RhoA | TauA) {
                    close(own, 1.0, 1e-14, &what);
                }
                close(score(&d, &c), both, 1e-13, &what);
                let moved = (c.select(&order).unwrap(), d.select(&order).unwrap());
                close(score(&moved.0, &moved.1), both, 1e-12, &what);
                if matches!(comparator, Spearman | RhoA | TauA | TauB) {
                    let cubes = c.upper().iter().map(|d| d.powi(3) - 7.0).collect();
                    assert_eq!(score(&Rdm::from_upper(cubes).unwrap(), &d), both, "{what}");
                }
            }
            let score = |comparator: Comparator| comparator.compare(&c, &d).unwrap();
            let ranks = |d: &Rdm| average_ranks("d", d.upper()).unwrap();
            let rho = pearson(&ranks(&c), &ranks(&d)).unwrap().value;
            close(score(Comparator::Spearman), rho, 1e-14, "Spearman");
            let (a, b) = (score(Comparator::TauA), score(Comparator::TauB));
            assert!(a.abs() <= b.abs());
            let distinct = |d: &Rdm| {
                let mut values = d.upper().to_vec();
                values.sort_by(f64::total_cmp);
                values.windows(2).all(|pair| pair[0] < pair[1])
            };
            if distinct(&c) && distinct(&d) {
                close(a, b, 1e-15, "τ without ties");
                close(score(Comparator::RhoA), score(Comparator::Spearman), 1e-14, "ρ_a");
            }
        }
        // Whole matrices, without ties off the diagonal.
        let (c, d) = (Rsm::pearson(x.as_ref()).unwrap(), Rsm::pearson(y.as_ref()).unwrap());
        let upper = Ssm::default().score(&c, &d).unwrap();
        let full = Ssm::default().region(Region::Full).score(&c, &d).unwrap();
        close(full, full_from_upper(upper, n).unwrap(), 1e-13, "full from upper");
        // The same by ranks of all n² entries.
        let rho = pearson(
            &average_ranks("c", &whole(&c)).unwrap(),
            &average_ranks("d", &whole(&d)).unwrap(),
        );
        close(full, rho.unwrap().value, 1e-13, "full");
        for comparator in [Comparator::TauA, Comparator::TauB] {
            let got = Ssm::new(comparator).region(Region::Full).score(&c, &d).unwrap();
            let k = hesse::statistics::Kendall::of(&whole(&c), &whole(&d)).unwrap();
            let want = if comparator == Comparator::TauA { k.tau_a() } else { k.tau_b() };
            assert_eq!(got, want);
        }
    }
}

#[test]
fn representations_do_not_know_rotations_scales_and_translations() {
    for (n, p, q) in [(40, 6, 9), (12, 30, 20), (30, 30, 5)] {
        let (x, y) = related(n, p, q, 7);
        let turn = rotation(p, 3);
        let moved = &x * &turn;
        let moved = Mat::from_fn(n, p, |i, j| 1e3 * moved[(i, j)] - 5.0 * j as f64);
        let (a, b, y) = (x.as_ref(), moved.as_ref(), y.as_ref());
        let k = 3.min(p).min(q);
        let svcca = |x| Cca::new().cut(Cut::Dim(k)).fit(x, y).unwrap().rho;
        all_close(&svcca(b), &svcca(a), 1e-10, "SVCCA");
        for estimator in [CkaEstimator::Biased, CkaEstimator::Debiased] {
            let cka = Cka::linear().estimator(estimator);
            close(cka.score(b, y).unwrap(), cka.score(a, y).unwrap(), 1e-12, "CKA");
            close(cka.score(a, b).unwrap(), 1.0, 1e-12, "CKA of a rotation");
            close(cka.score(y, a).unwrap(), cka.score(a, y).unwrap(), 1e-13, "CKA turned round");
            let radial = Cka::radial(0.7, hesse::similarity::Median::OffDiagonal);
            let radial = radial.estimator(estimator);
            close(radial.score(b, y).unwrap(), radial.score(a, y).unwrap(), 1e-11, "radial");
            close(radial.score(a, b).unwrap(), 1.0, 1e-11, "radial of a rotation");
        }
        let shape = |x| Procrustes::of(x, y).unwrap();
        close(shape(b).similarity(), shape(a).similarity(), 1e-12, "Procrustes");
        close(Procrustes::of(a, b).unwrap().similarity(), 1.0, 1e-13, "of a rotation");
        close(shape_angle(a, y, 1.0).unwrap(), shape(a).angle(), 1e-12, "α = 1");

        // Linear CKA is the whitened cosine of squared distances, NBS their Bures similarity.
        let rdm = |x| Rdm::squared_euclidean(x).unwrap();
        let (of_x, of_y) = (rdm(a), rdm(y));
        let cosine = Comparator::WhitenedCosine.compare(&of_x, &of_y).unwrap();
        close(Cka::linear().score(a, y).unwrap(), cosine, 1e-12, "whitened cosine");
        let bures = Comparator::Bures.compare(&of_x, &of_y).unwrap();
        close(shape(a).similarity(), bures, 1e-12, "Bures");
        close(shape(a).angle().cos(), bures, 1e-12, "cosine of the angle");
        // Distances are per unit.
        let times = |d: &Rdm, p: usize| {
            Rdm::from_upper(d.upper().iter().map(|d| d * p as f64).collect()).unwrap()
        };
        let square = squared_bures_distance(&times(&of_x, p), &times(&of_y, q)).unwrap();
        let want = shape(a).squared_distance();
        close(square, want, 1e-11 * want.max(1.0) * n as f64, "squared Bures distance");

        // Feature form and Gram form; narrow data take the former.
        let streams = (GramStream::of(a).unwrap(), GramStream::of(y).unwrap());
        for estimator in [CkaEstimator::Biased, CkaEstimator::Debiased, CkaEstimator::UnitUnbiased]
        {
            let cka = Cka::linear().estimator(estimator);
            let gram = cka.of_streams(&streams.0, &streams.1).unwrap();
            close(cka.score(a, y).unwrap(), gram, 1e-12, "forms of CKA");
        }
        let pwcca = Pwcca::new(Side::X).cut(Cut::Dim(k)).fit(a, y).unwrap();
        close(pwcca.weights.iter().sum(), 1.0, 1e-14, "weights");
        let turned = Pwcca::new(Side::Y).cut(Cut::Dim(k)).fit(y, a).unwrap();
        close(turned.score, pwcca.score, 1e-10, "sides of PWCCA");
    }
}

#[test]
fn canonical_correlations_do_not_know_invertible_maps() {
    let (x, y) = related(60, 7, 5, 11);
    let map = normals(7, 7, 12);
    let mapped = &x * &map;
    let mapped = Mat::from_fn(60, 7, |i, j| mapped[(i, j)] + 100.0 * j as f64);
    let rho = |x: &Mat<f64>| Cca::new().fit(x.as_ref(), y.as_ref()).unwrap().rho;
    all_close(&rho(&mapped), &rho(&x), 1e-10, "CCA");
    // All of α = 0: whitened shapes have the mean of ρ, scaled by the numbers of dimensions.
    let want = rho(&x).iter().sum::<f64>() / (7.0 * 5.0_f64).sqrt();
    close(shape_angle(x.as_ref(), y.as_ref(), 0.0).unwrap().cos(), want, 1e-10, "α = 0");
}

#[test]
fn the_procrustes_angle_is_a_metric() {
    for seed in 0..40 {
        let n = 4 + (seed as usize % 9);
        let shape = |k: u64| normals(n, 1 + (seed as usize * 3 + k as usize) % 15, 31 * seed + k);
        let (x, y, z) = (shape(1), shape(2), shape(3));
        for alpha in [0.0, 0.4, 1.0] {
            let d =
                |a: &Mat<f64>, b: &Mat<f64>| shape_angle(a.as_ref(), b.as_ref(), alpha).unwrap();
            let sum = d(&x, &y) + d(&y, &z);
            // Whitened shapes of full rank are all the same, to the root of rounding.
            let slack = if sum > 1e-3 { 1e-12 } else { 1e-7 };
            assert!(d(&x, &z) <= sum + slack, "seed {seed}, α {alpha}");
            // The angle near 0 is the root of a rounding error of c.
            let root = (2.0 * 32.0 * f64::EPSILON).sqrt();
            assert!(d(&x, &x) <= root && (d(&x, &y) - d(&y, &x)).abs() <= root);
        }
    }
}

/// The covariance over pairs of stimuli, formed and solved with: what the n × n form avoids.
#[test]
fn whitening_is_that_of_the_dense_covariance_over_pairs() {
    let n = 7;
    let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
    let root = normals(n, 3 * n, 4);
    let full = &root * root.transpose();
    let diagonal = Mat::from_fn(n, n, |i, j| if i == j { 1.0 + i as f64 } else { 0.0 });
    for (sigma, name) in [(full, "full"), (diagonal, "diagonal")] {
        let m = pairs.len();
        let v = Mat::from_fn(m, m, |a, b| {
            let ((i, j), (k, l)) = (pairs[a], pairs[b]);
            (sigma[(i, k)] - sigma[(i, l)] - sigma[(j, k)] + sigma[(j, l)]).powi(2)
        });
        use faer::linalg::solvers::Solve;
        let llt = v.llt(faer::Side::Lower).unwrap();
        let rdm = |seed| Rdm::squared_euclidean(normals(n, 5, seed).as_ref()).unwrap();
        let (a, b) = (rdm(1), rdm(2));
        let inner = |a: &[f64], b: &[f64]| -> f64 {
            let column = Mat::from_fn(m, 1, |k, _| b[k]);
            let solved = llt.solve(&column);
            (0..m).map(|k| a[k] * solved[(k, 0)]).sum()
        };
        let cosine = |a: &[f64], b: &[f64]| inner(a, b) / (inner(a, a) * inner(b, b)).sqrt();
        let whitening = Whitening::new(sigma.as_ref()).unwrap();
        let want = cosine(a.upper(), b.upper());
        close(whitening.cosine(&a, &b).unwrap(), want, 1e-11, name);
        let centred = |v: &[f64]| -> Vec<f64> {
            let mean = v.iter().sum::<f64>() / m as f64;
            v.iter().map(|v| v - mean).collect()
        };
        let want = cosine(&centred(a.upper()), &centred(b.upper()));
        close(whitening.pearson(&a, &b).unwrap(), want, 1e-11, name);
    }
}

#[test]
fn the_same_trials_twice_have_the_mahalanobis_distance() {
    let (n, p) = (6, 9);
    let x = normals(n, p, 3);
    let root = normals(p, 30, 4);
    let precision = &root * root.transpose();
    let values: Vec<f64> = (0..3 * n * p).map(|e| x[((e / p) % n, e % p)]).collect();
    let trials = Trials::from_array([3, n, p], &values).unwrap();
    let crossed = Rdm::crossnobis(&trials, Some(precision.as_ref())).unwrap();
    let want = Rdm::squared_mahalanobis(x.as_ref(), precision.as_ref()).unwrap();
    all_close(crossed.upper(), want.upper(), 1e-11, "crossnobis");
    // By its definition.
    let direct = |i: usize, j: usize| {
        let d = |u: usize| x[(i, u)] - x[(j, u)];
        let sum = (0..p)
            .flat_map(|u| (0..p).map(move |v| (u, v)))
            .map(|(u, v)| d(u) * precision[(u, v)] * d(v))
            .sum::<f64>();
        sum / p as f64
    };
    close(want.at(1, 4), direct(1, 4), 1e-11, "Mahalanobis");
}
