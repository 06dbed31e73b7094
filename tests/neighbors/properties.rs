//! Every search in every precision is brute force, bit for bit, whatever the cloud.

use faer::Mat;
use hesse::neighbors::{Arithmetic, Duplicates, Knn, Metric, Precision, Search, plan};
use hesse_kernels::screen::Screened;
use proptest::prelude::*;

use crate::inputs::{CLOUDS, Cloud, points};
use crate::{assert_same, brute_force};

const SEARCHES: [(Search, Precision); 4] = [
    (Search::Direct, Precision::Double),
    (Search::Tree, Precision::Double),
    (Search::Tiles, Precision::Double),
    (Search::Tiles, Precision::MixedCertified),
];

fn check_all(x: &Mat<f64>, k: usize, what: &str) {
    let want = brute_force(x, x, true, k);
    for (search, precision) in SEARCHES {
        let table = Knn::new(k).search(search).precision(precision).build(x.as_ref()).unwrap();
        assert_same(&table, &want, &format!("{what}, {search:?}, {precision:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_search_is_brute_force(
        cloud in 0..CLOUDS.len(),
        n in 2_usize..90,
        d in 1_usize..20,
        k in 1_usize..12,
        seed in any::<u64>(),
    ) {
        let x = points(CLOUDS[cloud], n, d, seed);
        let k = k.min(n - 1);
        check_all(&x, k, &format!("{:?} {n} × {d}, k = {k}, seed {seed}", CLOUDS[cloud]));
    }

    #[test]
    fn queries_are_brute_force(
        cloud in 0..CLOUDS.len(),
        (m, n) in (1_usize..40, 1_usize..80),
        d in 1_usize..20,
        k in 1_usize..12,
        seed in any::<u64>(),
    ) {
        let (queries, x) = (points(CLOUDS[cloud], m, d, seed ^ 1), points(CLOUDS[cloud], n, d, seed));
        let k = k.min(n);
        let want = brute_force(&queries, &x, false, k);
        for (search, precision) in SEARCHES {
            let knn = Knn::new(k).search(search).precision(precision);
            let table = knn.query(queries.as_ref(), x.as_ref()).unwrap();
            prop_assert!(!table.among_themselves());
            assert_same(&table, &want, &format!("{:?} seed {seed} {search:?}", CLOUDS[cloud]));
        }
    }

    #[test]
    fn permuted_and_scaled_points_have_the_same_distances(
        cloud in 0..CLOUDS.len(),
        n in 3_usize..80,
        d in 1_usize..10,
        exponent in -300_i32..300,
        seed in any::<u64>(),
    ) {
        let x = points(CLOUDS[cloud], n, d, seed);
        let k = 5.min(n - 1);
        let table = Knn::new(k).search(Search::Tiles).build(x.as_ref()).unwrap();
        // Backwards: distances follow their points, ties may be broken otherwise.
        let backwards = Mat::from_fn(n, d, |i, j| x[(n - 1 - i, j)]);
        let turned = Knn::new(k).search(Search::Tiles).build(backwards.as_ref()).unwrap();
        for i in 0..n {
            prop_assert_eq!(turned.distances(n - 1 - i), table.distances(i));
        }
        // Powers of two scale exactly.
        let scale = 2.0_f64.powi(exponent);
        let scaled = Mat::from_fn(n, d, |i, j| x[(i, j)] * scale);
        let scaled = Knn::new(k).search(Search::Tiles).build(scaled.as_ref()).unwrap();
        prop_assert_eq!(scaled.all_indices(), table.all_indices());
        for (a, b) in scaled.all_distances().iter().zip(table.all_distances()) {
            prop_assert_eq!(*a, b * scale);
        }
    }
}

/// Several blocks of rows and the last one short, so that all kinds of tiles occur.
#[test]
fn several_tiles_are_brute_force_on_every_cloud() {
    for cloud in CLOUDS {
        let x = points(cloud, 600, 18, 3);
        check_all(&x, 20, &format!("{cloud:?}"));
    }
}

#[test]
fn fewer_neighbours_are_the_first_of_more() {
    let x = points(Cloud::Lattice, 500, 12, 4);
    for (search, precision) in SEARCHES {
        let knn = |k| Knn::new(k).search(search).precision(precision).build(x.as_ref()).unwrap();
        let (few, more) = (knn(7), knn(8));
        for i in 0..500 {
            assert_eq!(few.indices(i), &more.indices(i)[..7], "{search:?} {precision:?} {i}");
            assert_eq!(few.distances(i), &more.distances(i)[..7]);
        }
    }
}

#[test]
fn f32_points_are_measured_in_f64() {
    let x = points(Cloud::Normal, 300, 30, 5);
    let single = Mat::from_fn(300, 30, |i, j| (x[(i, j)] + 3e4) as f32);
    let double = Mat::from_fn(300, 30, |i, j| f64::from(single[(i, j)]));
    let want = brute_force(&double, &double, true, 7);
    for (search, precision) in SEARCHES {
        let table = Knn::new(7).search(search).precision(precision).build(single.as_ref()).unwrap();
        assert_same(&table, &want, &format!("{search:?} {precision:?}"));
    }
}

#[test]
fn rows_that_cannot_be_certified_are_reported() {
    let report = |cloud, precision| {
        let knn = Knn::new(10).search(Search::Tiles).precision(precision);
        knn.build(points(cloud, 400, 24, 9).as_ref()).unwrap().report().unwrap()
    };
    let easy = report(Cloud::Normal, Precision::MixedCertified);
    assert_eq!((easy.repeated_in_double, easy.repeated_directly), (0, 0));
    let offset = report(Cloud::Offset, Precision::MixedCertified);
    assert_eq!((offset.repeated_in_double, offset.repeated_directly), (0, 0));
    // Squares of distances of 10⁻⁵ are below the error of f32, not of f64.
    let close = report(Cloud::Clustered, Precision::MixedCertified);
    assert_eq!((close.repeated_in_double, close.repeated_directly), (400, 0));
    let same = report(Cloud::Constant, Precision::Double);
    assert_eq!((same.repeated_in_double, same.repeated_directly), (0, 400));
}

/// Enough blocks that the first one decides, with the numbers that its points need.
#[test]
fn numbers_as_narrow_as_the_points_allow_give_the_same_table() {
    // Machines without fast integers begin with the next wider numbers.
    let fast = i32::fast(hesse::Isa::current());
    let narrowest = if fast { Arithmetic::Integers } else { Arithmetic::Single };
    for (cloud, expected) in [
        (Cloud::Normal, Some((narrowest, 0))),
        (Cloud::Offset, Some((narrowest, 0))),
        (Cloud::Clustered, Some((Arithmetic::Single, 1_100))),
        (Cloud::Lattice, None),
    ] {
        let x = points(cloud, 1_100, 30, 11);
        let want = brute_force(&x, &x, true, 6);
        let knn = Knn::new(6).search(Search::Tiles);
        let mixed = knn.build(x.as_ref()).unwrap();
        assert_same(&mixed, &want, &format!("{cloud:?}"));
        let double = knn.precision(Precision::Double).build(x.as_ref()).unwrap();
        assert_same(&double, &want, &format!("{cloud:?}"));
        assert_eq!(double.report().unwrap().arithmetic, Arithmetic::Double);
        let report = mixed.report().unwrap();
        if let Some(expected) = expected {
            assert_eq!((report.arithmetic, report.repeated_in_double), expected, "{cloud:?}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for cloud in [Cloud::Normal, Cloud::Lattice] {
        let x = points(cloud, 700, 12, 1);
        for (search, precision) in SEARCHES {
            let knn = Knn::new(9).search(search).precision(precision);
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| knn.build(x.as_ref()).unwrap())
            };
            let one = on(1);
            for threads in [2, 3] {
                assert_eq!(on(threads), one, "{cloud:?} {search:?} {precision:?} {threads}");
            }
        }
    }
}

/// Coordinates whose squares overflow or vanish.
#[test]
fn extreme_scales_are_scaled() {
    let small = Mat::from_fn(40, 3, |i, j| ((i * i * (j + 1)) % 97) as f64);
    let want = Knn::new(6).build(small.as_ref()).unwrap();
    for exponent in [532, -532, 1000, -1000, 1016, -1060] {
        // In two factors, each of which is a number. Exact: ties stay ties.
        let scaled =
            |x: f64| x * 2.0_f64.powi(exponent / 2) * 2.0_f64.powi(exponent - exponent / 2);
        let x = Mat::from_fn(40, 3, |i, j| scaled(small[(i, j)]));
        for (search, precision) in SEARCHES {
            let table = Knn::new(6).search(search).precision(precision).build(x.as_ref()).unwrap();
            assert_eq!(table.all_indices(), want.all_indices(), "2^{exponent} {search:?}");
            for (a, b) in table.all_distances().iter().zip(want.all_distances()) {
                assert!((a - scaled(*b)).abs() <= 5e-324, "2^{exponent} {search:?}: {a:e} {b:e}");
            }
        }
    }
    // A tiny number among ordinary ones is no error.
    let mixed = Mat::from_fn(30, 2, |i, j| if j == 0 { i as f64 } else { 1e-310 });
    let table = Knn::new(2).build(mixed.as_ref()).unwrap();
    assert_eq!((table.indices(5), table.distances(5)), (&[4, 6][..], &[1.0, 1.0][..]));
}

/// A few ulps, at an offset at which |x|² + |y|² − 2 x·y keeps no digit.
#[test]
fn distances_are_accurate_at_any_offset() {
    let x = Mat::from_fn(50, 64, |i, j| 3e7 + ((i * 37 + j * 11) % 101) as f64 / 128.0);
    let table = Knn::new(4).search(Search::Tiles).build(x.as_ref()).unwrap();
    for i in 0..50 {
        for (&j, &distance) in table.indices(i).iter().zip(table.distances(i)) {
            let exact: i64 = (0..64)
                .map(|c| {
                    let at = |i: usize| ((i * 37 + c * 11) % 101) as i64;
                    (at(i) - at(j as usize)).pow(2)
                })
                .sum();
            assert_eq!(distance, (exact as f64).sqrt() / 128.0);
        }
    }
}

#[test]
fn cosine_distances_do_not_cancel() {
    let x = points(Cloud::Normal, 120, 9, 2);
    for (search, precision) in SEARCHES {
        let knn = Knn::new(5).metric(Metric::Cosine).search(search).precision(precision);
        let table = knn.build(x.as_ref()).unwrap();
        let dot = |i: usize, j: usize| (0..9).map(|c| x[(i, c)] * x[(j, c)]).sum::<f64>();
        for i in 0..120 {
            let cosine = |j: usize| 1.0 - dot(i, j) / (dot(i, i) * dot(j, j)).sqrt();
            let mut all: Vec<f64> = (0..120).filter(|&j| j != i).map(cosine).collect();
            all.sort_by(f64::total_cmp);
            for (place, &distance) in table.distances(i).iter().enumerate() {
                assert!((distance - all[place]).abs() < 1e-14, "{i} {place}");
                let other = table.indices(i)[place] as usize;
                assert!((distance - cosine(other)).abs() < 1e-14);
            }
        }
    }
    // Angles of 10⁻⁹, of which 1 − cos is 5 · 10⁻¹⁹.
    let near = Mat::from_fn(6, 2, |i, j| if j == 0 { 1.0 } else { 1e-9 * (i * i) as f64 });
    let table = Knn::new(1).metric(Metric::Cosine).build(near.as_ref()).unwrap();
    assert_eq!(table.indices(5), [4]);
    assert!((table.distances(5)[0] / (0.5 * 81e-18) - 1.0).abs() < 1e-7);
}

#[test]
fn copies_are_kept_merged_or_refused() {
    let x = Mat::from_fn(5, 1, |i, _| [2.0, 0.0, 2.0, -0.0, 5.0][i]);
    let kept = Knn::new(1).build(x.as_ref()).unwrap();
    assert_eq!((kept.all_indices(), kept.distances(0)), (&[2, 3, 0, 1, 0][..], &[0.0][..]));
    assert_eq!(kept.kept(), None);
    let merged = Knn::new(2).duplicates(Duplicates::Merge).build(x.as_ref()).unwrap();
    assert_eq!((merged.len(), merged.kept()), (3, Some(&[0, 1, 4][..])));
    assert_eq!((merged.indices(2), merged.distances(2)), (&[0, 1][..], &[3.0, 5.0][..]));
    let refused = Knn::new(1).duplicates(Duplicates::Refuse).build(x.as_ref()).unwrap_err();
    assert_eq!(refused.to_string(), "rows of x: expected distinct ones, got 3 distinct ones of 5");
}

#[test]
fn bad_input_is_refused() {
    let x = Mat::from_fn(5, 2, |i, j| (i + j) as f64);
    let message = |knn: Knn, x: &Mat<f64>| knn.build(x.as_ref()).unwrap_err().to_string();
    let text = "neighbours k: expected 1 to 4, the points to choose from, got 0";
    assert_eq!(message(Knn::new(0), &x), text);
    let text = "neighbours k: expected 1 to 4, the points to choose from, got 5";
    assert_eq!(message(Knn::new(5), &x), text);
    let one = Mat::from_fn(1, 2, |_, _| 0.0);
    let text = "neighbours k: expected other points to choose from, got 1";
    assert_eq!(message(Knn::new(1), &one), text);
    let same = Mat::from_fn(5, 2, |_, _| 1.0);
    assert_eq!(message(Knn::new(1).duplicates(Duplicates::Merge), &same), text);
    let empty = "x: expected at least one, got none";
    assert_eq!(message(Knn::new(1), &Mat::zeros(0, 3)), empty);
    let empty = "features of x: expected at least one, got none";
    assert_eq!(message(Knn::new(1), &Mat::zeros(3, 0)), empty);
    let mut bad = x.clone();
    bad[(3, 1)] = f64::NAN;
    let text = "x: expected finite numbers, got NaN at index 7";
    assert_eq!(message(Knn::new(1), &bad), text);
    bad[(3, 1)] = f64::INFINITY;
    assert!(message(Knn::new(1), &bad).contains("got inf at index 7"));
    let zero = Mat::zeros(4, 2);
    assert!(message(Knn::new(1).metric(Metric::Cosine), &zero).starts_with("row 0 of x"));
    let other = Mat::<f64>::zeros(3, 3);
    let error = Knn::new(1).query(other.as_ref(), x.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "features of queries: expected 2, got 3");
    // k = n − 1 is allowed, and one neighbour of two points.
    assert_eq!(Knn::new(4).build(x.as_ref()).unwrap().indices(0), [1, 2, 3, 4]);
    let two = Mat::from_fn(2, 1, |i, _| i as f64);
    assert_eq!(Knn::new(1).build(two.as_ref()).unwrap().all_indices(), [1, 0]);
}

/// What is planned is what runs.
#[test]
fn the_planned_search_runs() {
    for (n, d) in [(40, 3), (400, 3), (400, 12)] {
        let table = Knn::new(3).build(points(Cloud::Normal, n, d, 1).as_ref()).unwrap();
        assert_eq!(table.report().unwrap().search, plan(n, d, 3));
    }
}
