//! Offsets, conditioning, partitions and threads.

use faer::Mat;
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Comparator, Cut, GramStream, Pairwise, PrincipalDirections, Procrustes,
    Pwcca, Rdm, RowVariance, Rsm, RsmKind, Side, Ssm, Trials,
};

use crate::{all_close, close, normals, related, rotation, whole};

/// Offsets of 3·10⁷ spreads: the deviations themselves are rounded to 4·10⁻⁹, but not lost further.
#[test]
fn offsets_cost_no_more_than_their_rounding() {
    for (n, p) in [(8, 30), (20, 2000)] {
        let z = related(n, p, 1, 5).0;
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

/// Singular values from 1 to 10⁻⁹: the covariance of these data has condition 10¹⁸.
#[test]
fn ill_conditioned_data_keep_their_correlations() {
    let (n, p) = (160, 24);
    // Orthonormal and centred: canonical directions of random data.
    let basis = PrincipalDirections::of(normals(n, p, 3).as_ref()).unwrap();
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
    let wide = PrincipalDirections::of(wide.transpose()).unwrap();
    let rows = wide.directions().transpose();
    let wide =
        Mat::from_fn(p, p, |i, j| if i == j { 10f64.powf(-9.0 * i as f64 / 23.0) } else { 0.0 });
    let wide = u * wide * rows;
    let got = Cca::new().fit(wide.as_ref(), y.as_ref()).unwrap();
    assert_eq!(got.ranks, (24, 10));
    all_close(&got.rho, &want.rho, 2e-9, "wide");
}

#[test]
fn streams_do_not_know_blocks_and_their_order() {
    for (n, p, scale) in [(12, 7, 1.0), (17, 1500, 1e150), (30, 5000, 1e-150)] {
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
                let distances = stream.squared_euclidean().unwrap();
                let largest = distances.upper().iter().copied().fold(0.0, f64::max);
                numbers.extend(distances.upper().iter().map(|d| d / largest));
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
