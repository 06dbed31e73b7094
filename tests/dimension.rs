//! TwoNN, maximum likelihood and Gride on balls of known dimension, and their identities. All
//! estimators against references: `estimators`.

use faer::Mat;
use hesse::dimension::{Combine, Estimate, Fit, Gride, MaximumLikelihood, Ties, TwoNn};
use hesse::neighbors::{Knn, Neighbors};
use hesse::random::Stream;

fn assert_close(got: f64, want: f64, relative: f64, what: &str) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: {got} {want}");
}

/// Uniform points of the unit ball in d dimensions.
fn ball(n: usize, d: usize, seed: u64) -> Mat<f64> {
    let stream = Stream::new(seed, "ball");
    let (mut z, mut u) = (vec![0.0_f64; n * d], vec![0.0_f64; n]);
    stream.normals(0, &mut z);
    stream.child(1).uniforms(0, &mut u);
    Mat::from_fn(n, d, |i, j| {
        let row = &z[i * d..(i + 1) * d];
        let length = row.iter().map(|z| z * z).sum::<f64>().sqrt();
        row[j] / length * u[i].powf(1.0 / d as f64)
    })
}

/// The means over 20 balls of 1,000 points, within 4/√20 of the standard deviations that the method
/// sheet gives for each.
#[test]
fn balls_have_the_estimates_of_the_method_sheet() {
    let sheet = [
        (2, [(2.005, 0.072), (2.000, 0.071), (1.949, 0.019), (2.061, 0.017), (1.989, 0.059)]),
        (5, [(4.787, 0.245), (4.785, 0.220), (4.540, 0.052), (4.786, 0.053), (4.679, 0.116)]),
        (10, [(8.833, 0.347), (8.893, 0.368), (8.275, 0.049), (8.713, 0.049), (8.626, 0.240)]),
    ];
    for (d, bars) in sheet {
        let mut means = [0.0; 5];
        for seed in 0..20 {
            let table = Knn::new(20).build(ball(1000, d, 31 * seed + d as u64).as_ref()).unwrap();
            let values = [
                TwoNn::linear(0.9).fit(&table),
                TwoNn::maximum_likelihood().fit(&table),
                MaximumLikelihood::new(20).fit(&table),
                MaximumLikelihood::new(20).combine(Combine::Arithmetic).fit(&table),
                Gride::new(2, 4).fit(&table),
            ];
            for (mean, value) in means.iter_mut().zip(values) {
                *mean += value.unwrap().value / 20.0;
            }
        }
        for (e, (mean, (want, sd))) in means.iter().zip(bars).enumerate() {
            // The mean of the table has the same error as ours.
            let bar = 4.0 * 2.0_f64.sqrt() * sd / 20.0_f64.sqrt();
            assert!((mean - want).abs() <= bar, "{d} dimensions, estimator {e}: {mean} {want}");
        }
    }
}

#[test]
fn identities() {
    let x = ball(400, 3, 5);
    let table = Knn::new(20).build(x.as_ref()).unwrap();
    let value = |estimate: hesse::Result<Estimate>| estimate.unwrap().value;
    let likelihood = TwoNn::maximum_likelihood().fit(&table).unwrap();
    assert_close(value(Gride::new(1, 2).fit(&table)), likelihood.value, 1e-12, "Gride(1, 2)");
    let error = likelihood.standard_error.unwrap();
    assert_close(error, likelihood.value / 20.0, 1e-12, "standard error");
    assert_close(value(TwoNn::linear(1.0).fit(&table)), likelihood.value, 1e-15, "all kept");
    let mle = MaximumLikelihood::new(20);
    let ratio = value(mle.unbiased().fit(&table)) / value(mle.fit(&table));
    assert_close(ratio, 18.0 / 19.0, 1e-12, "unbiased over biased");

    // Scaled, shifted and embedded in more dimensions.
    let moved = Mat::from_fn(400, 5, |i, j| if j < 3 { 1e-3 * x[(i, j)] + 7.0 } else { 2.0 });
    let other = Knn::new(20).build(moved.as_ref()).unwrap();
    for (a, b) in [
        (TwoNn::linear(0.9).fit(&other), TwoNn::linear(0.9).fit(&table)),
        (mle.fit(&other), mle.fit(&table)),
        (Gride::new(4, 8).fit(&other), Gride::new(4, 8).fit(&table)),
    ] {
        assert_close(value(a), value(b), 1e-9, "moved");
    }
}

#[test]
fn what_cannot_be_estimated_is_refused() {
    let text = |error: hesse::Result<Estimate>| error.unwrap_err().to_string();
    let grid = Mat::from_fn(36, 2, |i, j| if j == 0 { (i % 6) as f64 } else { (i / 6) as f64 });
    let table = Knn::new(4).build(grid.as_ref()).unwrap();
    let none = "dimension: expected one that these distances determine, got ";
    // Both distances are the same at every point.
    assert!(text(TwoNn::maximum_likelihood().fit(&table)).starts_with(none));
    assert!(text(TwoNn::linear(0.9).fit(&table)).starts_with(none));
    assert_eq!(text(Gride::new(1, 2).fit(&table)), format!("{none}0 usable points of 36"));
    assert_eq!(
        text(TwoNn::new(Fit::Ansuini { keep: 0.9 }).fit(&table)),
        format!("{none}0 usable points of 36")
    );
    assert!(Gride::new(1, 2).ties(Ties::Nudge).fit(&table).unwrap().value > 1e10);
    assert!(
        text(MaximumLikelihood::new(4).combine(Combine::Arithmetic).fit(&table)).starts_with(none)
    );
    assert!(MaximumLikelihood::new(4).fit(&table).is_ok());

    let copies =
        Neighbors::from_parts(vec![0.0, 1.0, 0.0, 1.0, 1.0, 1.0], vec![1, 2, 0, 2, 0, 1], 2);
    let copies = copies.unwrap();
    let zero = "distance of point 0 to its neighbour 1: expected more than 0 (merge copies), got 0";
    assert_eq!(text(TwoNn::linear(0.9).fit(&copies)), zero);
    assert_eq!(text(MaximumLikelihood::new(2).fit(&copies)), zero);
    assert_eq!(
        text(TwoNn::linear(0.9).drop_copies().fit(&copies)),
        format!("{none}1 usable points of 3")
    );
    assert_eq!(
        text(MaximumLikelihood::new(5).fit(&table)),
        "neighbours of the table: expected 5 or more, got 4"
    );
    let text_k = text(MaximumLikelihood::new(2).unbiased().fit(&table));
    assert_eq!(text_k, "neighbours k: expected ascending from 3 or more, got 2 to 2");
    assert_eq!(
        text(Gride::new(2, 2).fit(&table)),
        "neighbours n₁, n₂: expected 1 ≤ n₁ < n₂, got 2, 2"
    );
    let share = text(TwoNn::linear(0.0).fit(&table));
    assert_eq!(share, "share kept: expected more than 0, at most 1, got 0");
    let queries = Knn::new(2).query(grid.as_ref(), grid.as_ref()).unwrap();
    let got = text(TwoNn::linear(0.9).fit(&queries));
    assert_eq!(got, "table: expected neighbours of points among themselves, got of queries");
}
