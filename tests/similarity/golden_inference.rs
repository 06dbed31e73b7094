//! The reference files of noise, resampling, depths and edges, at the tolerances of their README.

use faer::Mat;
use hesse::similarity::{
    CkaEstimator, ClusterDepth, Comparator, GramStream, LayerClusters, Pairwise, PseudoDepth, Rdm,
    Refine, Region, RowVariance, Rsm, RsmKind, SplitHalf, Ssm, Trials, hsic, multiplicities,
    spearman_brown, subject_ceiling, unit_reliability,
};
use hesse::statistics::{SortedSample, average_ranks, quantile, standard_deviation};

use crate::golden::NAMED;
use crate::{FLOOR, Reference, elements, whole};

#[test]
fn noise_ceilings() {
    let file = Reference::load("07_noise_ceiling");
    let subjects: Vec<Rdm> =
        file.rows("subject_rdms").into_iter().map(|row| Rdm::from_upper(row).unwrap()).collect();
    for (name, comparator) in NAMED {
        if comparator == Comparator::WhitenedPearson {
            continue;
        }
        let got = subject_ceiling(comparator, &subjects).unwrap();
        file.check(&format!("ceiling_{name}"), &[got.lower, got.upper], 1e-12);
    }
    let trials = Trials::from_array([50, 118, 40], &file.vector("counts")).unwrap();
    let splits = file.indices("splits");
    let halves = SplitHalf::new(20).with_orders(&trials, &splits).unwrap();
    // Counts have correlations that are equal as fractions and differ by rounding: which of two has
    // the higher rank is arbitrary, here and in the reference. An exchange of neighbouring ranks moves
    // Spearman's coefficient of M pairs by 12(M − 1)/(M³ − M) at most.
    let exchange = 12.0 / (6903.0 * 6904.0);
    let slack = |order: &[usize]| {
        let half = |trials: &[usize]| {
            let rows: Vec<f64> = trials
                .iter()
                .flat_map(|t| file.arrays["counts"].1[t * 4720..(t + 1) * 4720].to_vec())
                .collect();
            let trials = Trials::from_array([25, 118, 40], &rows).unwrap();
            let mut upper = Rsm::pearson(trials.mean().as_ref()).unwrap().upper().to_vec();
            upper.sort_by(f64::total_cmp);
            upper.windows(2).filter(|pair| pair[1] - pair[0] <= 16.0 * f64::EPSILON).count()
        };
        1e-12 + exchange * (half(&order[..25]) + half(&order[25..])) as f64
    };
    let slacks: Vec<f64> = splits.iter().map(|order| slack(order)).collect();
    let want = file.vector("split_half_ssm");
    for ((got, want), slack) in halves.scores.iter().zip(&want).zip(&slacks) {
        assert!((got - want).abs() <= *slack, "got {got}, want {want}, slack {slack:e}");
    }
    let close = halves.scores.iter().zip(&want).filter(|(a, b)| (*a - *b).abs() <= 1e-12).count();
    assert!(close >= 18, "{close} of 20");
    let slack = slacks.iter().copied().fold(0.0, f64::max);
    file.check("split_half_mean", &[halves.mean], slack);
    file.check("split_half_sd", &[halves.sd], 2.0 * slack);
    file.check("spearman_brown", &[halves.spearman_brown], 2.0 * slack);
    file.check("model_ceiling", &[halves.model_ceiling], 2.0 * slack);
    let units = unit_reliability(&trials, &splits[0]).unwrap();
    file.check("neuron_reliability_first_split", &units, 1e-12);
    file.check("trial_mean", &elements(&trials.mean()), 1e-12);
    file.check("trial_sem", &elements(&trials.standard_error().unwrap()), 1e-12);
}

#[test]
fn resampling() {
    let file = Reference::load("08_resampling");
    let (a, t) = (file.mat("a"), file.mat("t"));
    let (of_a, of_t) = (Rsm::pearson(a.as_ref()).unwrap(), Rsm::pearson(t.as_ref()).unwrap());
    let ssm = Ssm::default();
    let observed = ssm.score(&of_a, &of_t).unwrap();
    file.check("ssm", &[observed], 1e-12);

    let null = ssm.permuted(&of_a, &of_t, &file.indices("perm")).unwrap();
    file.check("ssm_perm", &null, 1e-12);
    let exact = ssm.exact_null(&of_a, &of_t).unwrap();
    file.check("mantel_mean", &[exact.mean], 1e-12);
    file.check("mantel_sd", &[exact.sd], 1e-12);
    file.check("mantel_z", &[exact.z], 1e-10);
    let as_large = null.iter().filter(|&&score| score >= observed).count();
    file.check("p_perm", &[(1 + as_large) as f64 / 21.0], 1e-15);

    let samples = |key: &str| -> Vec<Vec<u32>> {
        file.indices(key).iter().map(|draw| multiplicities(118, draw).unwrap()).collect()
    };
    let boot = samples("boot_idx");
    let scores = ssm.resampled(&of_a, &of_t, &boot).unwrap();
    file.check("ssm_boot", &scores, 1e-12);
    let pairs = |sample: &Vec<u32>| {
        let square: u32 = sample.iter().map(|w| w * w).sum();
        f64::from(118 * 118 - square) / 2.0
    };
    file.check("boot_pairs", &boot.iter().map(pairs).collect::<Vec<_>>(), 0.0);
    file.check("boot_se", &[standard_deviation(&scores)], 1e-12);
    let ends = [quantile(&scores, 0.025).unwrap(), quantile(&scores, 0.975).unwrap()];
    file.check("boot_percentile_95", &ends, 1e-12);
    let subsets = ssm.resampled(&of_a, &of_t, &samples("stim_idx")).unwrap();
    file.check("ssm_stim_sub", &subsets, 1e-12);
    let jackknife = ssm.jackknife(&of_a, &of_t).unwrap();
    file.check("ssm_jackknife", &jackknife.scores, 1e-12);
    file.check("jackknife_se", &[jackknife.standard_error()], 1e-12);
    file.check("ssm_folds4", &ssm.folds(&of_a, &of_t, 4).unwrap(), 1e-12);
    let full = ssm.region(Region::Full);
    file.check("ssm_folds4_full", &full.folds(&of_a, &of_t, 4).unwrap(), 1e-12);

    for (key, want) in [("unit_idx", "ssm_unit_sub"), ("unit_boot_idx", "ssm_unit_boot")] {
        let score = |units: &Vec<usize>| {
            let of_units = Rsm::of_units(a.as_ref(), units, RsmKind::Pearson, RowVariance::Error);
            ssm.score(&of_units.unwrap(), &of_t).unwrap()
        };
        let scores: Vec<f64> = file.indices(key).iter().map(score).collect();
        file.check(want, &scores, 1e-12);
    }
    let order: Vec<usize> = file.vector("unit_split").iter().map(|&u| u as usize).collect();
    let half = |units: &[usize]| {
        Rsm::of_units(a.as_ref(), units, RsmKind::Pearson, RowVariance::Error).unwrap()
    };
    let r = Comparator::Pearson.compare(&half(&order[..48]), &half(&order[48..])).unwrap();
    file.check("unit_split_pearson", &[r], 1e-12);
    file.check("unit_split_reliability", &[spearman_brown(r)], 1e-12);
}

#[test]
fn pseudo_depths_across_networks() {
    let file = Reference::load("09_pseudo_depth");
    assert_eq!((file.scalar("n"), file.vector("units").len()), (118.0, 12));
    let rsms = |key: &str| -> Vec<Rsm> {
        let rsm = |row| Rsm::from_upper(RsmKind::Pearson, row).unwrap();
        file.rows(key).into_iter().map(rsm).collect()
    };
    let (ladder, probe) = (rsms("ladder_rsm_upper"), rsms("probe_rsm_upper"));
    let depth = PseudoDepth::new().refine(Refine::Parabolic);
    let report = depth.run(&ladder, &probe).unwrap();
    file.check("ssm_spearman", &elements(&report.curves), 1e-12);
    let argmax: Vec<f64> = report.argmax.iter().map(|&l| l as f64).collect();
    file.check("argmax", &argmax, 0.0);
    // Quotients of differences of scores: a thousandth is the smallest bend.
    file.check("parabolic", &report.depth, 1e-9);
    let normalised: Vec<f64> = report.depth.iter().map(|d| d / 11.0).collect();
    file.check("normalised", &normalised, 1e-9);
    let pearson = depth.comparator(Comparator::Pearson).curves(&ladder, &probe).unwrap();
    file.check("ssm_pearson", &elements(&pearson), 1e-12);
    let own = depth.curves(&ladder, &ladder).unwrap();
    file.check("ssm_self", &elements(&own), 1e-12);

    let mut distances = Mat::from_fn(12, 12, |i, j| 1.0 - own[(i, j)]);
    (0..12).for_each(|i| distances[(i, i)] = 0.0);
    let distances = Rdm::from_matrix(distances.as_ref()).unwrap();
    let clusters = LayerClusters::ward(&distances, 5).unwrap();
    // SciPy numbers clusters by its tree, ours along the ladder.
    let scipy = file.vector("ward_labels");
    let mut seen = Vec::new();
    for (layer, label) in scipy.iter().enumerate() {
        if !seen.contains(label) {
            seen.push(*label);
        }
        assert_eq!(seen.iter().position(|l| l == label), Some(clusters.labels()[layer]));
    }
    let depths: Vec<_> = (0..12)
        .map(|area| {
            let curve: Vec<f64> = (0..12).map(|l| report.curves[(area, l)]).collect();
            clusters.depth(&curve, None).unwrap()
        })
        .collect();
    let means: Vec<f64> = depths.iter().flat_map(|d| d.means.clone()).collect();
    file.check("cluster_mean_ssm", &means, 1e-12);
    let of = |f: fn(&ClusterDepth) -> f64| depths.iter().map(f).collect::<Vec<f64>>();
    file.check("cluster_depth", &of(|d| d.depth), 1e-12);
    file.check("cluster_selectivity", &of(|d| d.selectivity), 1e-12);
}

#[test]
fn areas_of_a_simulated_cortex() {
    let file = Reference::load("11_areas");
    let ladder: Vec<Rsm> = Reference::load("09_pseudo_depth")
        .rows("ladder_rsm_upper")
        .into_iter()
        .map(|row| Rsm::from_upper(RsmKind::Pearson, row).unwrap())
        .collect();
    let trials = file.scalar("trials");
    let names = ["VISp", "VISl", "VISal", "VISpm", "VISam", "VISrl"];
    let areas: Vec<Rsm> = names
        .iter()
        .map(|name| {
            let sums = file.mat(&format!("count_sum_{name}"));
            let mean = Mat::from_fn(sums.nrows(), sums.ncols(), |i, j| sums[(i, j)] / trials);
            Rsm::pearson(mean.as_ref()).unwrap()
        })
        .collect();
    let samples: Vec<Vec<u32>> =
        file.indices("boot_idx").iter().map(|draw| multiplicities(118, draw).unwrap()).collect();
    let report = PseudoDepth::new().run_with(&ladder, &areas, &samples).unwrap();
    file.check("ssm_curves", &elements(&report.curves), 1e-12);
    file.check("depth_argmax", &report.depth, 0.0);
    let parabolic = PseudoDepth::new().refine(Refine::Parabolic).run(&ladder, &areas).unwrap();
    file.check("depth_parabolic", &parabolic.depth, 1e-9);
    let draws = report.draws.unwrap();
    let all: Vec<f64> = (0..6).flat_map(|area| draws.of(area).unwrap()).collect();
    file.check("boot_depth_argmax", &all, 0.0);
    let sd: Vec<f64> = (0..6).map(|area| draws.standard_deviation(area).unwrap()).collect();
    file.check("boot_depth_sd", &sd, 1e-12);
    let lower: Vec<f64> = (1..6).map(|area| draws.probability_lower(0, area).unwrap()).collect();
    file.check("prob_visp_lower", &lower, 0.0);

    // The lowest area is lower than each other one in three of four
    // draws, and its curve is flat.
    assert!(lower.iter().all(|&p| p >= 0.75));
    assert!(draws.not_below_best(0, 0.95).unwrap().len() > 2);
    assert_eq!(file.vector("true_layer"), [5.0, 8.0, 8.0, 9.0, 9.0, 8.0]);
}

#[test]
fn edges() {
    let file = Reference::load("10_edge");
    let constant = file.mat("constant_row");
    let error = Rsm::pearson(constant.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "variance of stimulus 1 over units: expected more than 0, got 0");
    let floored = Rsm::of(constant.as_ref(), RsmKind::Pearson, FLOOR).unwrap();
    file.check("constant_row_eps", &whole(&floored), 1e-12);
    let copies = Rsm::pearson(file.mat("duplicate_rows").as_ref()).unwrap();
    file.check("duplicate_rows_rsm", &whole(&copies), 1e-12);
    assert_eq!(copies.at(0, 2), 1.0);
    for key in ["base", "scaled_huge", "scaled_tiny"] {
        let x = file.mat(key);
        file.check("base_rsm", &whole(&Rsm::pearson(x.as_ref()).unwrap()), 1e-12);
        let stream = GramStream::of(x.as_ref()).unwrap();
        let rsm = stream.rsm(RsmKind::Pearson, RowVariance::Error).unwrap();
        file.check("base_rsm", &whole(&rsm), 1e-12);
    }

    let (a, b) = (file.vector("tie_a"), file.vector("tie_b"));
    file.check("tie_rank_a", &average_ranks("a", &a).unwrap(), 0.0);
    file.check("tie_rank_b", &average_ranks("b", &b).unwrap(), 0.0);
    let rdm = |v: &[f64]| Rdm::from_upper(v.to_vec()).unwrap();
    for (key, comparator) in [
        ("tie_spearman", Comparator::Spearman),
        ("tie_tau_a", Comparator::TauA),
        ("tie_tau_b", Comparator::TauB),
        ("tie_rho_a", Comparator::RhoA),
    ] {
        file.check(key, &[comparator.compare(&rdm(&a), &rdm(&b)).unwrap()], 1e-12);
    }
    let weights = file.vector("tie_weights");
    let weights: Vec<[f64; 1]> = weights.iter().map(|&w| [w]).collect();
    let scores = |v: &[f64]| {
        let mut scores = vec![[0.0]; v.len()];
        SortedSample::new("ties", v).unwrap().scores(&weights, &mut scores).unwrap();
        scores
    };
    let (sa, sb) = (scores(&a), scores(&b));
    let sum = |x: &[[f64; 1]], y: &[[f64; 1]]| -> f64 {
        (0..10).map(|k| weights[k][0] * x[k][0] * y[k][0]).sum()
    };
    let weighted = sum(&sa, &sb) / (sum(&sa, &sa) * sum(&sb, &sb)).sqrt();
    file.check("tie_weighted_spearman", &[weighted], 1e-12);

    let (x, y) = (file.mat("hsic_n4_x"), file.mat("hsic_n4_y"));
    let got = hsic(x.as_ref(), y.as_ref(), CkaEstimator::Debiased).unwrap();
    file.check("hsic_n4", &[got], 1e-12);
    let rsm = |key| Rsm::pearson(file.mat(key).as_ref()).unwrap();
    let exact =
        Ssm::new(Comparator::Pearson).exact_null(&rsm("mantel5_x"), &rsm("mantel5_y")).unwrap();
    file.check("mantel5_mean", &[exact.mean], 1e-12);
    file.check("mantel5_var", &[exact.sd * exact.sd], 1e-12);
}
