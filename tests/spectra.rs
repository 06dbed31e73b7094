//! Spectra of covariances and participation ratios, against references and identities.

use faer::Mat;
use hesse::krylov::Lanczos;
use hesse::random::Stream;
use hesse::statistics::{
    CovarianceOperator, MomentStream, ParticipationRatio, RankRule, SpectralSums, Spectrum,
};

mod npz;
use npz::golden;

const CLOUDS: [&str; 7] = ["swiss", "sphere", "linear", "digits38", "wide", "line", "offset"];

fn cloud(name: &str) -> Mat<f64> {
    let (shape, values) = golden("dimension/clouds.npz").remove(name).unwrap();
    Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
}

/// n × d normal numbers, feature j scaled by (1 + j)^−power.
fn normals(n: usize, d: usize, power: f64, seed: u64) -> Mat<f64> {
    let mut z = vec![0.0; n * d];
    Stream::new(seed, "spectra").normals(0, &mut z);
    Mat::from_fn(n, d, |i, j| z[i * d + j] * (1.0 + j as f64).powf(-power))
}

fn forms(pr: &ParticipationRatio) -> [f64; 5] {
    [pr.naive, pr.row.unwrap(), pr.column.unwrap(), pr.both.unwrap(), pr.gauss.unwrap()]
}

fn assert_close(got: &[f64], want: &[f64], relative: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= relative * want.abs(), "{what}: {got} {want}");
    }
}

#[test]
fn spectra_of_the_reference() {
    let want = golden("dimension/spectral.npz");
    for name in CLOUDS {
        let x = cloud(name);
        let of = |what: &str| &want[&format!("{name}__{what}")].1;
        let spectrum = Spectrum::of(x.as_ref()).unwrap();
        assert_eq!(spectrum.values().len(), x.nrows().min(x.ncols()));
        // Backward error of the reference, and of ours.
        let bound = 4.0 * (x.nrows() + x.ncols()) as f64 * f64::EPSILON * spectrum.values()[0];
        for (got, want) in spectrum.values().iter().zip(of("eig")) {
            assert!((got - want).abs() <= bound, "{name}: {got} {want}");
        }
        assert_close(&[spectrum.effective_rank()], of("effective_rank"), 1e-10, name);
        assert_close(&[spectrum.participation_ratio()], of("pr_naive"), 1e-10, name);

        let pr = ParticipationRatio::of(x.as_ref()).unwrap();
        let names = ["naive", "row", "col", "both", "gauss"];
        let reference: Vec<f64> = names.iter().map(|form| of(&format!("pr_{form}"))[0]).collect();
        assert_close(&forms(&pr), &reference, 1e-10, name);

        for (rule, what) in [
            (RankRule::FukunagaOlsen { share: 0.05 }, "fo"),
            (RankRule::Ratio { share: 0.9 }, "ratio90"),
            (RankRule::Ratio { share: 0.95 }, "ratio95"),
            (RankRule::Kaiser, "kaiser"),
            (RankRule::LargestGap, "maxgap"),
            (RankRule::BrokenStick, "broken_stick"),
            (RankRule::Fan, "fan"),
        ] {
            let (rank, want) = (spectrum.rank(rule).unwrap(), of(&format!("lpca_{what}"))[0]);
            let significant = spectrum.significant().len();
            if what == "maxgap" && significant < spectrum.values().len() {
                // The reference counts gaps between eigenvalues that are rounding: here they are
                // left out.
                let eig = &of("eig")[..significant];
                let gap = |m: &usize| eig[*m] / eig[*m + 1];
                let best = (0..significant - 1).max_by(|a, b| gap(a).total_cmp(&gap(b)));
                assert_eq!(rank, best.map_or(1, |m| m + 1), "{name}");
                continue;
            }
            assert_eq!(rank as f64, want, "{name} {what}");
        }
    }
}

#[test]
fn batches_and_merged_streams_give_the_sums_of_all() {
    for name in CLOUDS {
        let x = cloud(name);
        let want = SpectralSums::of(x.as_ref()).unwrap();
        let (n, half) = (x.nrows(), x.nrows() / 3);
        let mut stream = MomentStream::from_first(x.subrows(0, half)).unwrap();
        let pilot: Vec<f64> = (0..x.ncols())
            .map(|j| (0..half).map(|i| x[(i, j)] / half as f64).sum::<f64>())
            .collect();
        stream.add(x.subrows(half, 1)).unwrap();
        let mut other = MomentStream::from_first(x.subrows(0, half)).unwrap();
        other.add(x.subrows(half + 1, n - half - 1)).unwrap();
        // The pilots of both are the same; the first batch is in both.
        let mut twice = stream.clone();
        twice.merge(&other).unwrap();
        assert_eq!(twice.count(), n + half);
        let rows = |i: usize| if i < n { i } else { i - n };
        let doubled = Mat::from_fn(n + half, x.ncols(), |i, j| x[(rows(i), j)]);
        let close = |a: &SpectralSums, b: &SpectralSums, what: &str| {
            let numbers = |s: &SpectralSums| [s.trace, s.frobenius, s.rows, s.columns, s.elements];
            assert_eq!((a.samples, a.features), (b.samples, b.features));
            assert_close(&numbers(a), &numbers(b), 1e-10, what);
        };
        close(&twice.sums().unwrap(), &SpectralSums::of(doubled.as_ref()).unwrap(), name);
        stream.add(x.subrows(half + 1, n - half - 1)).unwrap();
        close(&stream.sums().unwrap(), &want, name);

        let mean = stream.mean().unwrap();
        for (j, mean) in mean.iter().enumerate() {
            let plain = (0..n).map(|i| x[(i, j)] - pilot[j]).sum::<f64>() / n as f64 + pilot[j];
            assert!((mean - plain).abs() <= 1e-12 * plain.abs().max(1e-3), "{name} {j}");
        }
        let spectrum = stream.spectrum().unwrap();
        let direct = Spectrum::of(x.as_ref()).unwrap();
        let bound = 4.0 * (n + x.ncols()) as f64 * f64::EPSILON * direct.values()[0];
        for (a, b) in spectrum.values().iter().zip(direct.values()) {
            assert!((a - b).abs() <= bound, "{name}");
        }
    }
}

/// The same numbers at an offset of 10⁶ spreads: all forms are shift-invariant.
#[test]
fn offsets_scales_and_permutations_change_nothing() {
    for (n, d) in [(60, 20), (20, 60), (300, 300)] {
        let x = normals(n, d, 0.5, 7);
        let want = ParticipationRatio::of(x.as_ref()).unwrap();
        let naive = Spectrum::of(x.as_ref()).unwrap().participation_ratio();
        assert!((want.naive / naive - 1.0).abs() < 1e-12);
        for (scale, offset, tolerance) in
            [(1.0, 1e6, 1e-8), (1e150, 0.0, 1e-12), (1e-150, 0.0, 1e-12), (-3.0, 10.0, 1e-11)]
        {
            let moved = Mat::from_fn(n, d, |i, j| scale * (x[((i * 7 + 3) % n, j)] + offset));
            let got = ParticipationRatio::of(moved.as_ref()).unwrap();
            let forms = |pr: &ParticipationRatio| [pr.naive, pr.row.unwrap(), pr.gauss.unwrap()];
            let what = format!("{n} × {d}, {scale:e}, {offset:e}");
            assert_close(&forms(&got), &forms(&want), tolerance, &what);
        }
        let wider = Mat::from_fn(n, 2 * d, |i, j| if j < d { x[(i, j)] } else { 0.0 });
        let got = ParticipationRatio::of(wider.as_ref()).unwrap();
        assert!((got.naive / want.naive - 1.0).abs() < 1e-12);
    }
}

/// 50 Gaussian units: the naive ratio follows 1/(1/n + 1/d), the corrected ones stay at 50. The bars
/// are four standard errors of 200 repetitions of another implementation, for 40 of ours.
#[test]
fn corrected_ratios_do_not_depend_on_the_number_of_samples() {
    for (n, naive, sd) in [(25, 16.0, 4.2), (50, 24.5, 2.0), (100, 33.1, 0.9), (400, 44.4, 0.2)] {
        let repeats = 40;
        let mut means = [0.0; 3];
        for seed in 0..repeats {
            let pr = ParticipationRatio::of(normals(n, 50, 0.0, 100 + seed).as_ref()).unwrap();
            for (mean, value) in
                means.iter_mut().zip([pr.naive, pr.row.unwrap(), pr.gauss.unwrap()])
            {
                *mean += value / repeats as f64;
            }
        }
        let bar = 4.0 * sd / (repeats as f64).sqrt();
        assert!((means[0] - naive).abs() <= bar + 0.05, "{n}: {means:?}");
        assert!((means[1] - 50.0).abs() <= bar + 0.3, "{n}: {means:?}");
        assert!((means[2] - 50.0).abs() <= bar + 0.3, "{n}: {means:?}");
    }
}

#[test]
fn several_tiles_threads_and_single_precision() {
    for (n, d) in [(300, 700), (700, 300), (1200, 257)] {
        let x = normals(n, d, 0.3, 3);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let stream = MomentStream::from_first(x.as_ref()).unwrap();
                let pr = ParticipationRatio::of(x.as_ref()).unwrap();
                (pr, stream.sums().unwrap(), Spectrum::of(x.as_ref()).unwrap())
            })
        };
        let one = on(1);
        assert!([2, 3].into_iter().all(|threads| on(threads) == one), "{n} × {d}");
        assert!((one.0.naive / one.2.participation_ratio() - 1.0).abs() < 1e-12);
        assert!((one.0.naive * one.1.frobenius - 1.0).abs() < 1e-12);
        let single = Mat::from_fn(n, d, |i, j| x[(i, j)] as f32);
        let single = ParticipationRatio::of(single.as_ref()).unwrap();
        assert!((single.naive / one.0.naive - 1.0).abs() < 1e-5, "{single:?} {:?}", one.0);
        assert!((single.row.unwrap() / one.0.row.unwrap() - 1.0).abs() < 1e-4);
    }
}

#[test]
fn the_covariance_as_an_operator_has_the_largest_eigenvalues() {
    let z = normals(500, 40, 0.6, 2);
    let x = Mat::from_fn(500, 40, |i, j| z[(i, j)] + 100.0);
    let want = Spectrum::of(x.as_ref()).unwrap();
    let operator = CovarianceOperator::new(x.as_ref()).unwrap();
    let top = Lanczos::new(&operator).largest(4).run().unwrap();
    assert_close(&top.values, &want.values()[..4], 1e-9, "Lanczos");
}

#[test]
fn limits() {
    // Rank one.
    let line = Mat::from_fn(30, 3, |i, j| (i * i) as f64 * [1.0, -2.0, 0.5][j]);
    let pr = ParticipationRatio::of(line.as_ref()).unwrap();
    assert_close(&forms(&pr), &[1.0; 5], 1e-12, "line");
    let spectrum = Spectrum::of(line.as_ref()).unwrap();
    assert_eq!(spectrum.rank(RankRule::LargestGap).unwrap(), 1);
    assert!((spectrum.effective_rank() - 1.0).abs() < 1e-12);
    let radius = spectrum.effective_radius();
    assert!((radius * radius / spectrum.values()[0] - 1.0).abs() < 1e-12);
    let two = Mat::from_fn(2, 3, |i, j| (i * j) as f64);
    let pr = ParticipationRatio::of(two.as_ref()).unwrap();
    assert!((pr.naive - 1.0).abs() < 1e-15 && pr.row.is_err() && pr.gauss.is_err());

    let message = |x: &Mat<f64>| {
        let texts = [
            ParticipationRatio::of(x.as_ref()).unwrap_err().to_string(),
            Spectrum::of(x.as_ref()).unwrap_err().to_string(),
        ];
        assert_eq!(texts[0], texts[1]);
        texts[0].clone()
    };
    assert_eq!(message(&Mat::zeros(0, 2)), "samples: expected at least one, got none");
    assert_eq!(message(&Mat::zeros(2, 0)), "features: expected at least one, got none");
    assert_eq!(message(&Mat::zeros(1, 2)), "samples: expected 2 or more, got 1");
    let text = "variance of the samples: expected more than 0, got 0";
    assert_eq!(message(&Mat::full(5, 2, 0.1)), text);
    let bad = Mat::from_fn(3, 2, |i, j| if (i, j) == (1, 1) { f64::NAN } else { 0.0 });
    assert_eq!(message(&bad), "samples: expected finite numbers, got NaN at index 3");

    let mut stream = MomentStream::new(vec![0.0, 0.0]).unwrap();
    assert_eq!(stream.sums().unwrap_err().to_string(), "samples: expected 2 or more, got 0");
    let error = stream.add(bad.as_ref()).unwrap_err().to_string();
    assert_eq!(error, "batch: expected finite numbers, got NaN at index 3");
    assert_eq!(stream.count(), 0);
    let error = stream.add(Mat::<f64>::zeros(1, 3).as_ref()).unwrap_err().to_string();
    assert_eq!(error, "features of the batch: expected 2, got 3");
    let error = stream.merge(&MomentStream::new(vec![0.0, 1.0]).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "pilot of feature 1: expected 0.0, got 1");
    let values = Spectrum::from_values(vec![1.0, 3.0, 0.0]).unwrap();
    assert_eq!(values.values(), [3.0, 1.0, 0.0]);
    assert_eq!(
        Spectrum::from_values(vec![-1.0]).unwrap_err().to_string(),
        "eigenvalues: expected 0 or more, got -1"
    );
    assert!(values.rank(RankRule::Ratio { share: 0.0 }).is_err());
    assert_eq!(values.rank(RankRule::Ratio { share: 1.0 }).unwrap(), 2);
}
