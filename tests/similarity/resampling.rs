//! Samples and permutations of the stimuli, against tables written out and all permutations.

use hesse::random::Stream;
use hesse::similarity::{
    Cca, Comparator, Cut, Pairwise, PrincipalDirections, Region, Rsm, RsmKind, Ssm, multiplicities,
};
use hesse::statistics::{average_ranks, pearson};

use crate::{COMPARATORS, close, related};

#[test]
fn samples_of_stimuli_are_those_written_out() {
    let n = 14;
    let (x, y) = related(n, 20, 20, 5);
    let rsm = |x: &faer::Mat<f64>| Rsm::pearson(x.as_ref()).unwrap();
    let tied = |x: &faer::Mat<f64>| {
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
        for comparator in &COMPARATORS[..6] {
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
            let full = ssm.region(Region::Full);
            let got = full.resampled(&a, &b, &counted).unwrap();
            for (sample, got) in samples.iter().zip(got) {
                let mut values = (Vec::new(), Vec::new());
                for (k, &i) in sample.iter().enumerate() {
                    for (l, &j) in sample.iter().enumerate() {
                        if i != j || k == l {
                            values.0.push(a.at(i, j));
                            values.1.push(b.at(i, j));
                        }
                    }
                }
                let want = plain(*comparator, &values.0, &values.1);
                close(got, want, 1e-13, &format!("{comparator:?} over the whole matrix"));
            }
            let ones = full.resampled(&a, &b, &[vec![1; n]]).unwrap();
            close(ones[0], full.score(&a, &b).unwrap(), 1e-14, "the whole matrix, each once");
            let ones = ssm.resampled(&a, &b, &[vec![1; n]]).unwrap();
            close(ones[0], ssm.score(&a, &b).unwrap(), 1e-14, "each once");
            // Permutations: against the table written out.
            let order = Stream::new(4, "order").permutation(n);
            let got = ssm.permuted(&a, &b, std::slice::from_ref(&order)).unwrap();
            let want = ssm.score(&a, &b.select(&order).unwrap()).unwrap();
            close(got[0], want, 1e-13, &format!("permuted {comparator:?}"));
        }
        for comparator in &COMPARATORS[6..] {
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
    for comparator in &COMPARATORS[..4] {
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

/// Scores of more than 2²⁴ pairs are not exact in `f32`: there `f64` takes over, to the same numbers.
#[test]
fn samples_of_very_many_copies_keep_their_ranks() {
    let (x, y) = related(6, 20, 20, 7);
    let rsm = |x: &faer::Mat<f64>| Rsm::pearson(x.as_ref()).unwrap();
    let (a, b) = (rsm(&x), rsm(&y));
    let few = vec![1, 0, 2, 3, 1, 2];
    // 3001 times as many of each: 9·10⁶ times as many pairs, in the same proportions.
    let many: Vec<u32> = few.iter().map(|w| 3001 * w).collect();
    let scores = Ssm::default().resampled(&a, &b, &[few, many]).unwrap();
    let (few, many) = (scores[0], scores[1]);
    // Correlations of mid-ranks do not depend on a common factor of the weights.
    close(many, few, 1e-14, "copies");
}

#[test]
fn permuted_directions_are_directions_of_permuted_responses() {
    let (n, k) = (40, 5);
    let (x, y) = related(n, 12, 60, 8);
    let directions = |x: &faer::Mat<f64>| PrincipalDirections::of(x.as_ref()).unwrap();
    let (dx, dy) = (directions(&x), directions(&y));
    let cca = Cca::new().cut(Cut::Dim(k));
    let stream = Stream::new(9, "orders");
    let orders: Vec<Vec<usize>> = (0..5).map(|d| stream.child(d).permutation(n)).collect();
    let got = cca.permuted(&dx, &dy, &orders).unwrap();
    for (order, got) in orders.iter().zip(got) {
        let permuted = faer::Mat::from_fn(n, y.ncols(), |i, j| y[(order[i], j)]);
        let want = cca.fit(x.as_ref(), permuted.as_ref()).unwrap().mean();
        close(got, want, 1e-12, "permuted");
    }
    let test = cca.permutation_test(&dx, &dy, 199, 3).unwrap();
    assert_eq!(test.null.len(), 199);
    assert!(test.exact.is_none());
    close(test.observed, cca.of(&dx, &dy).unwrap().mean(), 1e-15, "observed");
    let as_large = test.null.iter().filter(|score| **score >= test.observed).count();
    assert_eq!(test.p, (1 + as_large) as f64 / 200.0);
    // The same draws, whoever computes them.
    assert_eq!(cca.permutation_test(&dx, &dy, 199, 3).unwrap(), test);
    assert_eq!(
        crate::text(cca.permutation_test(&dx, &dy, 0, 3)),
        "draws: expected at least one, got none"
    );
    let short = crate::text(cca.permuted(&dx, &dy, &[vec![0; 3]]));
    assert_eq!(short, "permutation: length: expected 40, got 3");
    let twice = crate::text(cca.permuted(&dx, &dy, &[vec![1; n]]));
    assert_eq!(twice, "permutation: expected every number below 40 once, got 1");
}

/// Σ ρ² has the mean k_x k_y/(n − 1) over permutations, whatever the data.
#[test]
fn permutations_of_directions_come_down_to_the_null_level() {
    let (n, kx, ky, draws) = (30, 4, 3, 400);
    let (x, y) = related(n, kx, ky, 10);
    let directions = |x: &faer::Mat<f64>| PrincipalDirections::of(x.as_ref()).unwrap();
    let dx = directions(&x);
    let stream = Stream::new(11, "orders");
    let squares: Vec<f64> = (0..draws)
        .map(|d| {
            let order = stream.child(d).permutation(n);
            let permuted = faer::Mat::from_fn(n, ky, |i, j| y[(order[i], j)]);
            let found = Cca::new().of(&dx, &directions(&permuted)).unwrap();
            found.mean_square() * ky as f64
        })
        .collect();
    let mean = squares.iter().sum::<f64>() / draws as f64;
    let error = hesse::statistics::standard_deviation(&squares) / (draws as f64).sqrt();
    let want = (kx * ky) as f64 / (n - 1) as f64;
    assert!((mean - want).abs() < 4.0 * error, "{mean}, expected {want}, error {error}");
}
