//! What estimators do in the mean, at fixed seeds and four standard errors.

use faer::Mat;
use hesse::random::Stream;
use hesse::similarity::{
    Cca, Cka, CkaEstimator, Comparator, Cut, Pairwise, RowVariance, Rsm, RsmKind, Ssm,
    UnitResampling, attenuation,
};
use hesse::statistics::standard_deviation;

use crate::normals;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn standard_error(values: &[f64]) -> f64 {
    standard_deviation(values) / (values.len() as f64).sqrt()
}

/// Units that mix five latent variables of the stimuli, with noise of their own.
fn population(latent: &Mat<f64>, units: usize, noise: f64, seed: u64) -> Mat<f64> {
    let (weights, own) = (normals(5, units, seed), normals(latent.nrows(), units, seed + 1));
    let signal = latent * weights;
    Mat::from_fn(latent.nrows(), units, |i, j| signal[(i, j)] + noise * own[(i, j)])
}

/// 118 stimuli, 40 dimensions: E mean ρ² = 40/117.
#[test]
fn independent_responses_have_the_null_level_of_svcca() {
    let (mut squares, mut means, mut adjusted) = (Vec::new(), Vec::new(), Vec::new());
    for draw in 0..100 {
        let (x, y) = (normals(118, 40, 2 * draw), normals(118, 40, 2 * draw + 1));
        let svcca = Cca::new().cut(Cut::Dim(40)).fit(x.as_ref(), y.as_ref()).unwrap();
        squares.push(svcca.mean_square());
        means.push(svcca.mean());
        adjusted.push(svcca.adjusted());
    }
    let bar = 4.0 * standard_error(&squares);
    assert!((mean(&squares) - 40.0 / 117.0).abs() <= bar, "{} ± {bar}", mean(&squares));
    assert!(bar < 0.005);
    assert!((mean(&means) - 0.515).abs() < 0.003, "{}", mean(&means));
    assert!(mean(&adjusted).abs() <= 4.0 * standard_error(&adjusted));
}

#[test]
fn independent_responses_have_the_null_levels_of_alignment() {
    let n = 118;
    for (units, draws) in [(10, 40), (118, 40), (1000, 20), (10_000, 4)] {
        let (mut biased, mut debiased) = (Vec::new(), Vec::new());
        for draw in 0..draws {
            let seed = 1000 * units as u64 + 2 * draw;
            let (x, y) = (normals(n, units, seed), normals(n, units, seed + 1));
            let score = |estimator| {
                Cka::linear().estimator(estimator).score(x.as_ref(), y.as_ref()).unwrap()
            };
            biased.push(score(CkaEstimator::Biased));
            debiased.push(score(CkaEstimator::Debiased));
        }
        let want = units as f64 / (units + n) as f64;
        let bias = mean(&biased);
        assert!((bias - want).abs() < 0.02 * want + 0.005, "{units}: {bias} {want}");
        assert!(mean(&debiased).abs() <= 4.0 * standard_error(&debiased), "{units}: {debiased:?}");
    }
}

/// Two samples of units of one population: 1 is the value for all of them.
#[test]
fn few_units_of_one_population_are_aligned() {
    for (units, low) in [(20, 0.75), (100, 0.95)] {
        let (mut debiased, mut unbiased) = (Vec::new(), Vec::new());
        for draw in 0..60 {
            let seed = 10_000 + 10 * draw + units as u64;
            let latent = normals(118, 5, seed);
            let x = population(&latent, units, 1.0, seed + 2);
            let y = population(&latent, units, 1.0, seed + 4);
            let score = |estimator| {
                Cka::linear().estimator(estimator).score(x.as_ref(), y.as_ref()).unwrap()
            };
            debiased.push(score(CkaEstimator::Debiased));
            unbiased.push(score(CkaEstimator::UnitUnbiased));
        }
        let bar = 4.0 * standard_error(&unbiased);
        assert!((mean(&unbiased) - 1.0).abs() <= bar, "{units}: {} ± {bar}", mean(&unbiased));
        assert!(bar < 0.08);
        assert!(mean(&debiased) < low, "{units}: {}", mean(&debiased));
    }
}

#[test]
fn similarities_of_few_units_follow_the_law_of_attenuation() {
    let latent = normals(60, 5, 1);
    let x = population(&latent, 3000, 1.5, 2);
    let all = Rsm::pearson(x.as_ref()).unwrap();
    let tau = attenuation(&all).unwrap();
    for units in [100, 200, 400] {
        let draws = UnitResampling::new(units, 20).seed(3);
        let draws = draws.run(Ssm::new(Comparator::Pearson), x.as_ref(), &all).unwrap();
        let want = 1.0 / (1.0 + tau / units as f64).sqrt();
        assert!((draws.mean() / want - 1.0).abs() < 0.05, "{units}: {} {want}", draws.mean());
    }
}

/// RSMs of two mixtures of the same latent variables.
fn pair_of_rsms(n: usize, seed: u64) -> (Rsm, Rsm) {
    let latent = normals(n, 5, seed);
    // The same units for every sample of stimuli.
    let (a, b) = (normals(5, 40, 77), normals(5, 40, 78));
    let shared = |w: &Mat<f64>, bend: f64| {
        let z = &latent * w;
        let x = Mat::from_fn(n, 40, |i, j| (bend * z[(i, j)]).tanh());
        Rsm::pearson(x.as_ref()).unwrap()
    };
    (shared(&a, 0.3), shared(&b, 1.5))
}

#[test]
fn bootstrap_intervals_cover() {
    let large: Vec<f64> = (0..4)
        .map(|seed| {
            let (a, b) = pair_of_rsms(600, 900 + seed);
            Ssm::default().score(&a, &b).unwrap()
        })
        .collect();
    let truth = mean(&large);
    let replications = 200;
    let mut covered = 0;
    for r in 0..replications {
        let (a, b) = pair_of_rsms(50, 2000 + r);
        let boot = Ssm::default().bootstrap(&a, &b, 200, r).unwrap();
        let interval = boot.interval(0.95).unwrap();
        covered += usize::from(interval.low <= truth && truth <= interval.high);
    }
    assert!(covered * 100 >= replications as usize * 92, "{covered} of {replications}");
}

#[test]
fn p_values_of_independent_matrices_are_uniform() {
    let (tests, draws) = (300, 99);
    let mut p: Vec<f64> = (0..tests)
        .map(|t| {
            let rsm = |side| {
                let x = normals(12, 10, 5000 + 2 * t + side);
                Rsm::of(x.as_ref(), RsmKind::Pearson, RowVariance::Error).unwrap()
            };
            Ssm::default().permutation_test(&rsm(0), &rsm(1), draws, t).unwrap().p
        })
        .collect();
    p.sort_by(f64::total_cmp);
    let count = p.len() as f64;
    let distance = p
        .iter()
        .enumerate()
        .map(|(i, p)| (p - i as f64 / count).abs().max((p - (i + 1) as f64 / count).abs()))
        .fold(0.0, f64::max);
    // Kolmogorov and Smirnov at 10⁻³, and the step of p.
    assert!(distance < 1.95 / count.sqrt() + 0.01, "{distance}");
    let stream = Stream::new(0, "similarity: permutations");
    assert_ne!(stream.child(0).permutation(12), stream.child(1).permutation(12));
}

#[test]
fn halves_of_the_trials_say_what_all_of_them_would() {
    use hesse::similarity::{SplitHalf, Trials};
    let latent = normals(30, 5, 4);
    let signal = population(&latent, 40, 0.0, 5);
    let noise = normals(16 * 30, 40, 6);
    let values: Vec<f64> = (0..16 * 30 * 40)
        .map(|e| signal[((e / 40) % 30, e % 40)] + 6.0 * noise[(e / 40, e % 40)])
        .collect();
    let trials = Trials::from_array([16, 30, 40], &values).unwrap();
    let ceiling = SplitHalf::new(20).seed(1).run(&trials).unwrap();
    let clean = Rsm::pearson(signal.as_ref()).unwrap();
    let measured = Rsm::pearson(trials.mean().as_ref()).unwrap();
    let reached = Ssm::default().score(&measured, &clean).unwrap();
    assert!((reached - ceiling.model_ceiling).abs() < 0.05, "{reached} {ceiling:?}");
    assert!(ceiling.mean < ceiling.spearman_brown && ceiling.sd > 0.0);
    assert_eq!(clean.stimuli(), 30);
}
