//! Graph-distance dimension against the reference and on manifolds.

use faer::Mat;
use hesse::dimension::{GeodesicDimension, GeodesicFlag, GeodesicReport, Rejected};
use hesse::neighbors::{Knn, Neighbors, Sources};

use crate::npz::golden;
use crate::{assert_close, matrix, sphere};

fn table(x: &Mat<f64>, k: usize) -> Neighbors {
    Knn::new(k).build(x.as_ref()).unwrap()
}

/// Histogram counts exactly, everything that follows from them to 10⁻⁸.
#[test]
fn histograms_and_fits_of_the_reference() {
    let (clouds, want) = (golden("dimension/clouds.npz"), golden("dimension/geodesic_small.npz"));
    let mut rejected = 0;
    for name in ["swiss", "twoclusters", "sphere", "digits38"] {
        let x = matrix(&clouds, name);
        let table = table(&x, 10);
        for k in [3, 5, 10] {
            let report = GeodesicDimension::new(k).fit(&table).unwrap();
            let of = |what: &str| &want[&format!("{name}__gc{k}_{what}")].1;
            let close = |got: f64, what: &str, relative: f64| {
                assert_close(got, of(what)[0], relative, &format!("{name} {k} {what}"));
            };
            assert_eq!(report.used as f64, of("n_used")[0]);
            let counts: Vec<f64> = report.law.counts.iter().map(|&c| c as f64).collect();
            assert_eq!(&counts, of("counts"), "{name} {k}");
            close(report.longest_edge, "r_nn", 1e-12);
            close(report.law.smallest, "edge_lo", 1e-12);
            close(report.law.largest, "edge_hi", 1e-12);
            close(report.law.mean, "mean", 1e-12);
            close(report.law.deviation, "sd", 1e-12);
            close(report.law.mode(), "mode", 1e-12);
            match (&report.fit, of("status")[0] as i64) {
                (Ok(fit), 0) => {
                    close(fit.r_max, "r_max", 1e-8);
                    close(fit.sigma, "sigma", 1e-8);
                    close(fit.r_min, "r_min", 1e-8);
                    close(fit.ratio.unwrap(), "ratio", 1e-8);
                    close(fit.dimension, "d_fit", 1e-8);
                    assert_eq!(fit.nearest as f64, of("d_min")[0]);
                    for (got, want) in fit.residuals.iter().zip(of("rmsd")) {
                        assert_close(*got, *want, 1e-8, name);
                    }
                    assert_eq!(report.estimate().unwrap().value, fit.dimension);
                }
                (Err(Rejected::ModeOfEdges { .. } | Rejected::ModeOffMean { .. }), 1) => {
                    assert!(report.estimate().is_err());
                    rejected += 1;
                }
                (fit, status) => panic!("{name} {k}: {fit:?}, status {status}"),
            }
        }
    }
    assert_eq!(rejected, 1);
}

/// Spheres of known dimension with the means of five seeds, and one bar wider for each of them.
#[test]
fn spheres_have_their_dimension() {
    for (d, low, high) in [(2, 2.1, 2.2), (3, 3.1, 3.3), (5, 5.1, 5.9)] {
        for seed in 0..3 {
            let report =
                GeodesicDimension::new(5).fit(&table(&sphere(600, d, 10, seed), 5)).unwrap();
            let fit = report.fit.as_ref().unwrap();
            let within = fit.dimension >= low - 0.3 && fit.dimension <= high + 0.3;
            assert!(within, "{d} {seed}: {}", fit.dimension);
            assert!(fit.nearest.abs_diff(d) <= 1, "{d} {seed}: {}", fit.nearest);
        }
    }
}

#[test]
fn answers_do_not_depend_on_unit_place_or_order() {
    let x = sphere(400, 3, 4, 7);
    let fitted = |x: &Mat<f64>| GeodesicDimension::new(6).fit(&table(x, 6)).unwrap();
    let value = |report: &GeodesicReport| report.fit.as_ref().unwrap().dimension;
    let plain = value(&fitted(&x));
    // A power of two changes no bit; a shift rounds coordinates.
    let scaled = Mat::from_fn(400, 4, |i, j| 1024.0 * x[(i, j)]);
    assert_eq!(value(&fitted(&scaled)), plain);
    let moved = Mat::from_fn(400, 6, |i, j| if j < 4 { 3.0 * x[(i, j)] + 2.0 } else { 1.0 });
    assert_close(value(&fitted(&moved)), plain, 1e-9, "moved");
    let reversed = Mat::from_fn(400, 4, |i, j| x[(399 - i, j)]);
    assert_close(value(&fitted(&reversed)), plain, 1e-9, "reversed");
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fitted(&x))
    };
    assert_eq!(bits(1), bits(2));
    assert_eq!(bits(1), bits(7));
}

#[test]
fn landmarks_see_the_same_law() {
    let x = sphere(600, 2, 3, 3);
    let table = table(&x, 6);
    let geodesic = GeodesicDimension::new(6);
    let all = geodesic.fit(&table).unwrap();
    let landmarks =
        |count| geodesic.clone().sources(Sources::Sample { count, seed: 1 }).fit(&table).unwrap();
    assert_eq!(landmarks(600), all);
    let some = landmarks(100);
    // 100 · 599 pairs less those counted once.
    assert_eq!(some.law.pairs, 100 * 599 - 100 * 99 / 2);
    assert_close(some.law.mean, all.law.mean, 0.02, "mean");
    let (a, b) = (some.estimate().unwrap().value, all.estimate().unwrap().value);
    assert!((a - b).abs() < 0.3, "{a} {b}");
}

/// Straight distances between points of a cube, and what Isomap leaves of a rolled plane.
#[test]
fn straight_distances_and_isomap() {
    let clouds = golden("dimension/clouds.npz");
    let swiss = matrix(&clouds, "swiss");
    let residuals = GeodesicDimension::new(5).isomap_residuals(&table(&swiss, 5), 4).unwrap();
    // NumPy and SciPy on the same graph.
    let reference = [
        0.255_841_362_145_163,
        0.050_877_687_725_246,
        0.031_683_495_423_738,
        0.031_215_973_628_511,
    ];
    for (got, want) in residuals.iter().zip(reference) {
        assert!((got - want).abs() < 1e-12, "{residuals:?}");
    }

    let line = Mat::from_fn(40, 3, |i, j| (i * i) as f64 * [1.0, -2.0, 0.5][j]);
    let on_line = table(&line, 39);
    let flat = GeodesicDimension::new(39).isomap_residuals(&on_line, 2).unwrap();
    assert!(flat[0].abs() < 1e-12, "{flat:?}");

    // With all neighbours the graph's paths are straight.
    let x = sphere(150, 3, 4, 1);
    let all = table(&x, 149);
    let straight = GeodesicDimension::new(149).direct(&all).unwrap();
    let graph = GeodesicDimension::new(149).fit(&all).unwrap();
    assert_eq!(straight.law.counts, graph.law.counts);
    assert_close(straight.law.mean, graph.law.mean, 1e-14, "mean");
    assert_close(straight.law.deviation, graph.law.deviation, 1e-13, "deviation");
    assert!(matches!(graph.fit, Err(Rejected::ModeOfEdges { .. })));
    assert!(straight.fit.is_ok());
    let text = GeodesicDimension::new(5).direct(&table(&x, 5)).unwrap_err().to_string();
    assert_eq!(text, "neighbours of the table: expected all 149 others of every point, got 5");
}

#[test]
fn doubts_are_told() {
    let clouds = golden("dimension/clouds.npz");
    let two = table(&matrix(&clouds, "twoclusters"), 5);
    let report = GeodesicDimension::new(5).fit(&two).unwrap();
    assert!(report.flags().contains(&GeodesicFlag::PartOfPoints));
    let swiss = table(&matrix(&clouds, "swiss"), 10);
    let flags = GeodesicDimension::new(5).fit(&swiss).unwrap().flags();
    assert!(flags.contains(&GeodesicFlag::AtLimit), "{flags:?}");
    let spread = GeodesicDimension::new(5).spread(&swiss, &[3, 5, 10], &[40, 50, 60]).unwrap();
    assert_eq!(spread.settings.len(), 9);
    let (low, high) = spread.range().unwrap();
    assert!(low < 1.5 && high > 2.5, "{spread:?}");
    let own = GeodesicDimension::new(5).fit(&swiss).unwrap().fit.unwrap().dimension;
    assert!(spread.settings.contains(&(5, 50, Some(own))));

    // Two halves of the same size, a ring of equal edges, too many sources.
    let halves = Mat::from_fn(20, 1, |i, _| if i < 10 { i as f64 } else { 1e6 + i as f64 });
    let halves = table(&halves, 2);
    let text = GeodesicDimension::new(2).fit(&halves).unwrap_err().to_string();
    let expected = "expected more than half of the points in one part";
    assert_eq!(text, format!("graph of 2 neighbours: {expected}, got 10 of 20 points in one of 2"));
    assert_eq!(GeodesicDimension::new(2).spread(&halves, &[2], &[50]).unwrap().failed(), 1);
    let triangle = Mat::from_fn(3, 3, |i, j| if i == j { 1.0 } else { 0.0 });
    let text = GeodesicDimension::new(2).fit(&table(&triangle, 2)).unwrap_err().to_string();
    assert!(text.starts_with("dimension: expected one that these distances determine, got dist"));
    let many = GeodesicDimension::new(5).sources(Sources::Sample { count: 251, seed: 0 });
    assert_eq!(
        many.fit(&swiss).unwrap_err().to_string(),
        "landmarks: expected at most 250, got 251"
    );
}
