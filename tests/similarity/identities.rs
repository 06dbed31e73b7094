//! Invariances and identities, over seeds, shapes, scales, offsets and ties.

use faer::Mat;
use hesse::random::Stream;
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Comparator, Cut, GramStream, Pairwise, Procrustes, Pwcca, Rdm, Region,
    RowVariance, Rsm, RsmKind, Side, Ssm, Trials, Whitening, full_from_upper, multiplicities,
    shape_angle, squared_bures_distance,
};
use hesse::statistics::{average_ranks, pearson};

use crate::{normals, whole};

const ALL: [Comparator; 9] = [
    Comparator::Spearman,
    Comparator::Pearson,
    Comparator::Cosine,
    Comparator::RhoA,
    Comparator::TauA,
    Comparator::TauB,
    Comparator::WhitenedCosine,
    Comparator::WhitenedPearson,
    Comparator::Bures,
];

fn close(got: f64, want: f64, tolerance: f64, what: &str) {
    assert!((got - want).abs() <= tolerance, "{what}: got {got}, want {want}");
}

fn all_close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    got.iter().zip(want).for_each(|(got, want)| close(*got, *want, tolerance, what));
}

/// Responses of n stimuli that share three directions.
fn related(n: usize, p: usize, q: usize, seed: u64) -> (Mat<f64>, Mat<f64>) {
    let latent = normals(n, 3, seed);
    let mix = |units: usize, seed: u64| {
        let (weights, noise) = (normals(3, units, seed), normals(n, units, seed + 1));
        Mat::from_fn(n, units, |i, j| {
            (0..3).map(|k| latent[(i, k)] * weights[(k, j)]).sum::<f64>() + 0.8 * noise[(i, j)]
        })
    };
    (mix(p, seed + 10), mix(q, seed + 20))
}

/// An orthogonal p × p matrix: a product of reflections.
fn rotation(p: usize, seed: u64) -> Mat<f64> {
    let mut q = Mat::<f64>::identity(p, p);
    for k in 0..p as u64 {
        let v = normals(p, 1, seed + 100 * k);
        let norm = v.squared_norm_l2();
        let dots: Vec<f64> =
            (0..p).map(|j| (0..p).map(|i| q[(i, j)] * v[(i, 0)]).sum::<f64>()).collect();
        for j in 0..p {
            (0..p).for_each(|i| q[(i, j)] -= 2.0 * v[(i, 0)] * dots[j] / norm);
        }
    }
    q
}

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

/// Offsets of 3·10⁷ spreads: the deviations themselves are rounded to 4·10⁻⁹, but not lost further.
#[test]
fn offsets_cost_no_more_than_their_rounding() {
    for (n, p) in [(8, 30), (20, 2000)] {
        let z = normals(n, p, 5);
        let x = Mat::from_fn(n, p, |i, j| z[(i, j)] + [3e7, -3e7, 1e6][i % 3]);
        // What is left of z after rounding.
        let rounded = Mat::from_fn(n, p, |i, j| x[(i, j)] - [3e7, -3e7, 1e6][i % 3]);
        let want = whole(&Rsm::pearson(rounded.as_ref()).unwrap());
        all_close(&whole(&Rsm::pearson(x.as_ref()).unwrap()), &want, 1e-12, "direct");
        let stream = GramStream::of(x.as_ref()).unwrap();
        let rsm = stream.rsm(RsmKind::Pearson, RowVariance::Error).unwrap();
        all_close(&whole(&rsm), &want, 1e-12, "stream");
        // Offsets of units, for what is centred over stimuli.
        let x = Mat::from_fn(n, p, |i, j| z[(i, j)] + [3e7, -3e7, 1e6][j % 3]);
        let rounded = Mat::from_fn(n, p, |i, j| x[(i, j)] - [3e7, -3e7, 1e6][j % 3]);
        let y = related(n, 11, 1, 6).0;
        for estimator in [CkaEstimator::Biased, CkaEstimator::Debiased, CkaEstimator::UnitUnbiased]
        {
            let cka = Cka::linear().estimator(estimator);
            let want = cka.score(rounded.as_ref(), y.as_ref()).unwrap();
            close(cka.score(x.as_ref(), y.as_ref()).unwrap(), want, 1e-11, "CKA");
        }
        let angle = |x: &Mat<f64>| Procrustes::of(x.as_ref(), y.as_ref()).unwrap().angle();
        close(angle(&x), angle(&rounded), 1e-11, "Procrustes");
        let distances = |x: &Mat<f64>| Rdm::squared_euclidean(x.as_ref()).unwrap();
        all_close(distances(&x).upper(), distances(&rounded).upper(), 1e-11, "distances");
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
            for comparator in ALL {
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

/// Singular values from 1 to 10⁻⁹: the covariance of these data has condition 10¹⁸.
#[test]
fn ill_conditioned_data_keep_their_correlations() {
    let (n, p) = (160, 24);
    // Orthonormal and centred: canonical directions of random data.
    let basis = hesse::similarity::PrincipalDirections::of(normals(n, p, 3).as_ref()).unwrap();
    let (u, v) = (basis.directions(), rotation(p, 4));
    let scaled = |power: f64| {
        let d =
            Mat::from_fn(p, p, |i, j| 10f64.powf(-power * i as f64 / (p - 1) as f64) * v[(j, i)]);
        u * d
    };
    let y = {
        let (mix, noise) = (normals(p, 10, 5), normals(n, 10, 6));
        let shared = u * mix;
        Mat::from_fn(n, 10, |i, j| shared[(i, j)] + 0.05 * noise[(i, j)])
    };
    let rho = |x: &Mat<f64>| Cca::new().fit(x.as_ref(), y.as_ref()).unwrap();
    let (want, got) = (rho(&scaled(0.0)), rho(&scaled(9.0)));
    assert_eq!(got.ranks, (24, 10));
    all_close(&got.rho, &want.rho, 2e-9, "singular values to 1e-9");
    // As wide data, through the triangular factor: the same directions, 300 units.
    let wide = normals(p, 300, 7);
    let wide = hesse::similarity::PrincipalDirections::of(wide.transpose()).unwrap();
    let rows = wide.directions().transpose();
    let wide =
        Mat::from_fn(p, p, |i, j| if i == j { 10f64.powf(-9.0 * i as f64 / 23.0) } else { 0.0 });
    let wide = u * wide * rows;
    let got = Cca::new().fit(wide.as_ref(), y.as_ref()).unwrap();
    assert_eq!(got.ranks, (24, 10));
    all_close(&got.rho, &want.rho, 2e-9, "wide");
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
            assert!(d(&x, &z) <= d(&x, &y) + d(&y, &z) + 1e-12, "seed {seed}, α {alpha}");
            // The angle near 0 is the root of a rounding error of c.
            let root = (2.0 * 32.0 * f64::EPSILON).sqrt();
            assert!(d(&x, &x) <= root && (d(&x, &y) - d(&y, &x)).abs() <= root);
        }
    }
}

#[test]
fn streams_do_not_know_blocks_and_their_order() {
    for (n, p, scale) in [(5, 7, 1.0), (17, 1500, 1e150), (30, 5000, 1e-150)] {
        let z = normals(n, p, 8);
        // Units and stimuli with offsets of their own.
        let x = Mat::from_fn(n, p, |i, j| {
            scale * (z[(i, j)] + 100.0 * i as f64 + 1000.0 * ((j % 7) as f64 - 3.0))
        });
        let y = related(n, 40, 1, 9).0;
        let whole_y = GramStream::of(y.as_ref()).unwrap();
        let numbers = |stream: &GramStream| {
            let cka = |e| Cka::linear().estimator(e).of_streams(stream, &whole_y).unwrap();
            let rsm = |kind| whole(&stream.rsm(kind, RowVariance::Error).unwrap());
            let mut numbers = rsm(RsmKind::Pearson);
            numbers.extend(rsm(RsmKind::Cosine));
            numbers.extend(
                [CkaEstimator::Biased, CkaEstimator::Debiased, CkaEstimator::UnitUnbiased].map(cka),
            );
            if scale == 1.0 {
                numbers.extend_from_slice(stream.squared_euclidean().unwrap().upper());
            }
            numbers
        };
        let all = GramStream::of(x.as_ref()).unwrap();
        assert_eq!(all.units(), p);
        let want = numbers(&all);
        let part = |from: usize, to: usize| GramStream::of(x.subcols(from, to - from)).unwrap();
        let (a, b) = (p / 5, p / 2);
        let (one, two, three) = (part(0, a), part(a, b), part(b, p));
        let mut forward = one.clone();
        forward.merge(&two).unwrap();
        forward.merge(&three).unwrap();
        let mut backward = three.clone();
        backward.merge(&two).unwrap();
        backward.merge(&one).unwrap();
        let mut pushed = GramStream::new(n).unwrap();
        for start in (0..p).step_by(13) {
            pushed.push(x.subcols(start, 13.min(p - start))).unwrap();
        }
        let mut rest = all.clone();
        rest.subtract(&three).unwrap();
        rest.merge(&three).unwrap();
        for (stream, what) in [
            (forward, "forward"),
            (backward, "backward"),
            (pushed, "pushed"),
            (rest, "less and more"),
        ] {
            assert_eq!(stream.units(), p);
            all_close(&numbers(&stream), &want, 1e-12, what);
        }
        let mut few = all.clone();
        few.subtract(&three).unwrap();
        let mut both = one.clone();
        both.merge(&two).unwrap();
        all_close(&numbers(&few), &numbers(&both), 1e-11, "without the rest");
    }
}

#[test]
fn samples_of_stimuli_are_those_written_out() {
    let n = 14;
    let (x, y) = related(n, 20, 20, 5);
    let rsm = |x: &Mat<f64>| Rsm::pearson(x.as_ref()).unwrap();
    let tied = |x: &Mat<f64>| {
        let upper = rsm(x).upper().iter().map(|c| (3.0 * c).round()).collect();
        Rsm::from_upper(RsmKind::Pearson, upper).unwrap()
    };
    for (a, b) in [(rsm(&x), rsm(&y)), (tied(&x), tied(&y))] {
        let stream = Stream::new(3, "samples");
        // More than one group of lanes, and a rest.
        let samples: Vec<Vec<usize>> = (0..19)
            .map(|d| {
                let mut sample = vec![0; n];
                stream.child(d).indices(0, n, &mut sample);
                sample
            })
            .collect();
        let counted: Vec<_> = samples.iter().map(|s| multiplicities(n, s).unwrap()).collect();
        for comparator in &ALL[..6] {
            let ssm = Ssm::new(*comparator);
            let got = ssm.resampled(&a, &b, &counted).unwrap();
            for (sample, got) in samples.iter().zip(got) {
                let mut values = (Vec::new(), Vec::new());
                for (k, &i) in sample.iter().enumerate() {
                    for &j in &sample[k + 1..] {
                        if i != j {
                            values.0.push(a.at(i, j));
                            values.1.push(b.at(i, j));
                        }
                    }
                }
                let want = plain(*comparator, &values.0, &values.1);
                close(got, want, 1e-13, &format!("{comparator:?}"));
            }
            let ones = ssm.resampled(&a, &b, &[vec![1; n]]).unwrap();
            close(ones[0], ssm.score(&a, &b).unwrap(), 1e-14, "each once");
            // Permutations: against the table written out.
            let order = Stream::new(4, "order").permutation(n);
            let got = ssm.permuted(&a, &b, std::slice::from_ref(&order)).unwrap();
            let want = ssm.score(&a, &b.select(&order).unwrap()).unwrap();
            close(got[0], want, 1e-13, &format!("permuted {comparator:?}"));
        }
        for comparator in &ALL[6..] {
            let order = Stream::new(4, "order").permutation(n);
            let ssm = Ssm::new(*comparator);
            let got = ssm.permuted(&a, &b, std::slice::from_ref(&order)).unwrap();
            let want = ssm.score(&a, &b.select(&order).unwrap()).unwrap();
            close(got[0], want, 1e-12, &format!("permuted {comparator:?}"));
        }
        let jackknife = Ssm::default().jackknife(&a, &b).unwrap();
        for (left_out, score) in jackknife.scores.iter().enumerate() {
            let rest: Vec<usize> = (0..n).filter(|&i| i != left_out).collect();
            let want = Ssm::default().score(&a.select(&rest).unwrap(), &b.select(&rest).unwrap());
            close(*score, want.unwrap(), 1e-14, "jackknife");
        }
    }
}

/// The comparator of two vectors, by its definition.
fn plain(comparator: Comparator, a: &[f64], b: &[f64]) -> f64 {
    let ranks = |v: &[f64]| average_ranks("v", v).unwrap();
    let m = a.len() as f64;
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let sign = |x: f64, y: f64| f64::from(i8::from(x > y) - i8::from(x < y));
    match comparator {
        Comparator::Spearman => pearson(&ranks(a), &ranks(b)).unwrap().value,
        Comparator::Pearson => pearson(a, b).unwrap().value,
        Comparator::Cosine => sum(a, b) / (sum(a, a) * sum(b, b)).sqrt(),
        Comparator::RhoA => {
            let centred =
                |v: &[f64]| -> Vec<f64> { ranks(v).iter().map(|r| r - (m + 1.0) / 2.0).collect() };
            12.0 * sum(&centred(a), &centred(b)) / (m * m * m - m)
        }
        _ => {
            let (mut excess, mut untied_a, mut untied_b) = (0.0, 0.0, 0.0);
            for i in 0..a.len() {
                for j in 0..i {
                    let (s, t) = (sign(a[i], a[j]), sign(b[i], b[j]));
                    excess += s * t;
                    untied_a += s * s;
                    untied_b += t * t;
                }
            }
            match comparator {
                Comparator::TauA => excess / (m * (m - 1.0) / 2.0),
                _ => excess / (untied_a * untied_b).sqrt(),
            }
        }
    }
}

#[test]
fn exact_moments_are_those_of_all_permutations() {
    let (x, y) = related(5, 7, 9, 2);
    let (a, b) = (Rsm::pearson(x.as_ref()).unwrap(), Rsm::pearson(y.as_ref()).unwrap());
    let mut orders = vec![vec![]];
    for k in 0..5 {
        let insert = |order: &Vec<usize>| -> Vec<Vec<usize>> {
            (0..=k)
                .map(|at| {
                    let mut order = order.clone();
                    order.insert(at, k);
                    order
                })
                .collect()
        };
        orders = orders.iter().flat_map(insert).collect();
    }
    assert_eq!(orders.len(), 120);
    for comparator in &ALL[..4] {
        let ssm = Ssm::new(*comparator);
        let scores = ssm.permuted(&a, &b, &orders).unwrap();
        let mean = scores.iter().sum::<f64>() / 120.0;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / 120.0;
        let exact = ssm.exact_null(&a, &b).unwrap();
        close(exact.mean, mean, 1e-14, "mean");
        close(exact.sd, variance.sqrt(), 1e-13, "standard deviation");
        if *comparator != Comparator::Cosine {
            close(exact.mean, 0.0, 1e-15, "mean of centred scores");
        }
        close(exact.z, (ssm.score(&a, &b).unwrap() - mean) / variance.sqrt(), 1e-11, "z");
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

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let (x, y) = related(20, 9000, 40, 6);
    let trials = Trials::from_array([4, 10, 12], &{
        let z = normals(40, 12, 9);
        (0..480).map(|e| z[(e / 12, e % 12)] + (e % 120) as f64 * 0.02).collect::<Vec<_>>()
    })
    .unwrap();
    let on = |threads| {
        let pool = rayon_pool(threads);
        pool.install(|| {
            let (a, b) = (Rsm::pearson(x.as_ref()).unwrap(), Rsm::pearson(y.as_ref()).unwrap());
            let stream = GramStream::of(x.as_ref()).unwrap();
            let test = Ssm::default().permutation_test(&a, &b, 50, 1).unwrap();
            let boot = Ssm::new(Comparator::Pearson).bootstrap(&a, &b, 30, 1).unwrap();
            let svcca = Cca::new().cut(Cut::Dim(5)).fit(x.as_ref(), y.as_ref()).unwrap();
            let pwcca = Pwcca::new(Side::X).cut(Cut::Dim(5)).fit(x.as_ref(), y.as_ref()).unwrap();
            let crossed = Rdm::crossnobis(&trials, None).unwrap();
            let angle = Procrustes::of(x.as_ref(), y.as_ref()).unwrap().angle();
            (a, stream, test, boot, svcca, pwcca, crossed, angle)
        })
    };
    let one = on(1);
    assert!([2, 7].into_iter().all(|threads| on(threads) == one));
}

fn rayon_pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
