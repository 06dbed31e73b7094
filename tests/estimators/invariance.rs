//! What must not change an estimate: motions of the cloud, its unit, features that are constant, the
//! order of points, the number of threads.

use hesse::dimension::{Danco, Estimator, PointCloud, estimator, estimators};
use hesse::faer::Mat;

use crate::clouds::{ball, gaussian};
use crate::operators::on_threads;

const K: usize = 31;

/// All estimators by name; DANCo with the same calibration whatever the number of features.
fn all() -> Vec<Box<dyn Estimator>> {
    estimators()
        .map(|name| match name {
            "danco" => Box::new(Danco::new(10).largest(5)),
            _ => estimator(name, None).unwrap(),
        })
        .collect()
}

fn assert_same(a: &PointCloud, b: &PointCloud, relative: f64, what: &str) {
    for estimator in all() {
        let (a, b) = (estimator.run(a).unwrap(), estimator.run(b).unwrap());
        let off = (a.value - b.value).abs() / a.value;
        assert!(off <= relative, "{} {what}: {} {}", estimator.name(), a.value, b.value);
    }
}

#[test]
fn motions_units_and_constant_features_change_nothing() {
    let (n, d) = (300, 3);
    let x = ball(n, d, 3);
    let own = PointCloud::new(x.as_ref(), K).unwrap();
    // A turn in the plane of the first two features, a shift, another unit, two more features.
    let (sin, cos) = 0.7_f64.sin_cos();
    let moved = Mat::from_fn(n, d + 2, |i, j| {
        let turned = match j {
            0 => cos * x[(i, 0)] - sin * x[(i, 1)],
            1 => sin * x[(i, 0)] + cos * x[(i, 1)],
            2 => x[(i, 2)],
            _ => 0.0,
        };
        0.01 * turned + 5.0
    });
    assert_same(&own, &PointCloud::new(moved.as_ref(), K).unwrap(), 1e-9, "moved");
    for unit in [-700, 600] {
        let unit = 2.0_f64.powi(unit);
        let scaled = Mat::from_fn(n, d, |i, j| unit * x[(i, j)]);
        assert_same(&own, &PointCloud::new(scaled.as_ref(), K).unwrap(), 1e-10, "in another unit");
    }
}

#[test]
fn values_at_points_move_with_them() {
    let n = 200;
    let x = gaussian(n, 4, 8);
    let place = |i: usize| (7 * i + 3) % n;
    let own = PointCloud::new(x.as_ref(), K).unwrap();
    let moved = Mat::from_fn(n, 4, |i, j| x[(place(i), j)]);
    let moved = PointCloud::new(moved.as_ref(), K).unwrap();
    let mut seen = 0;
    for estimator in all() {
        let Some(values) = estimator.at_points(&own).unwrap() else { continue };
        let others = estimator.at_points(&moved).unwrap().unwrap();
        seen += 1;
        for i in 0..n {
            let (a, b) = (values[place(i)], others[i]);
            assert!((a - b).abs() <= 1e-10 * a, "{} {i}: {a} {b}", estimator.name());
        }
    }
    assert!(seen >= 6, "{seen} estimators have values at points");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let x = gaussian(700, 6, 4);
    // Each with a seed of its own, so that no calibration is taken from another run.
    let run = |seed: u64| {
        let cloud = PointCloud::new(x.as_ref(), K).unwrap();
        let mut bits = Vec::new();
        for estimator in all() {
            bits.push(estimator.run(&cloud).unwrap().value.to_bits());
            let values = estimator.at_points(&cloud).unwrap().unwrap_or_default();
            bits.extend(values.iter().map(|v| v.to_bits()));
        }
        let danco = Danco::new(9).largest(4).seed(seed);
        (bits, danco.fit(&cloud).unwrap())
    };
    let (one, two) = (on_threads(1, || run(1)), on_threads(3, || run(1)));
    assert!(one == two, "other bits");
    let other = on_threads(2, || run(2));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1.calibration, other.1.calibration);
}
