//! Noise as a regulariser of dimension, against the reference and its own equations.

use faer::{Mat, MatRef};
use hesse::dimension::{
    Descent, EffectiveLoss, LinearTask, ReadoutNoise, StationaryNoise, TwoLayerDescent,
};
use hesse::random::Stream;

use crate::npz::{Arrays, golden};
use crate::{assert_close, matrix};

fn normals(rows: usize, columns: usize, seed: u64) -> Mat<f64> {
    let mut z = vec![0.0; rows * columns];
    Stream::new(seed, "noise theory").normals(0, &mut z);
    MatRef::from_row_major_slice(&z, rows, columns).to_owned()
}

/// Largest error over the largest element.
fn assert_matrix(got: MatRef<'_, f64>, want: MatRef<'_, f64>, relative: f64, what: &str) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let (mut error, mut size) = (0.0_f64, 0.0_f64);
    for (i, j) in (0..got.nrows()).flat_map(|i| (0..got.ncols()).map(move |j| (i, j))) {
        assert!(got[(i, j)].is_finite(), "{what}");
        error = error.max((got[(i, j)] - want[(i, j)]).abs());
        size = size.max(want[(i, j)].abs());
    }
    assert!(error <= relative * size, "{what}: {error:e} of {size}");
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), b.ncols(), |i, j| (0..a.ncols()).map(|l| a[(i, l)] * b[(l, j)]).sum())
}

fn scalar(arrays: &Arrays, name: &str) -> f64 {
    arrays[name].1[0]
}

#[test]
fn effective_losses_and_optima_of_the_reference() {
    let want = golden("dimension/theory.npz");
    for case in ["eff0", "eff1"] {
        let of = |what: &str| format!("{case}__{what}");
        let m = |what: &str| matrix(&want, &of(what));
        let number = |what: &str| scalar(&want, &of(what));
        let (x, y, v, w) = (m("X"), m("Y"), m("V"), m("W"));
        let task = LinearTask::of(x.as_ref(), y.as_ref()).unwrap();
        let noisy = EffectiveLoss::new(&task, number("sigma_V"), number("sigma_W")).unwrap();
        let (v, w) = (v.as_ref(), w.as_ref());
        assert_close(noisy.loss(v, w).unwrap(), number("loss"), 1e-12, case);
        assert_close(noisy.value(v, w).unwrap(), number("loss_eff"), 1e-12, case);
        let (of_v, of_w) = noisy.gradient(v, w).unwrap();
        assert_matrix(of_v.as_ref(), m("grad_V").as_ref(), 1e-12, case);
        assert_matrix(of_w.as_ref(), m("grad_W").as_ref(), 1e-12, case);

        let optimum = noisy.optimum(w.nrows()).unwrap();
        let vector = |got: &[f64], what: &str| {
            assert_eq!(got.len(), want[&of(what)].1.len(), "{case} {what}");
            for (got, want) in got.iter().zip(&want[&of(what)].1) {
                assert_close(*got, *want, 1e-9, &format!("{case} {what}"));
            }
        };
        vector(&optimum.target, "sing_target");
        vector(&[optimum.threshold], "tau");
        vector(&optimum.singular_values, "sing_opt");
        vector(&optimum.hidden, "hidden_eig_opt");
        vector(&[optimum.participation_ratio()], "pr_hidden_opt");
        let levels = &want[&of("tau_levels")].1;
        // At τ = s₁ nothing is left: which of the two rounds to more is chance.
        for (tau, pr) in levels.iter().zip(&want[&of("pr_levels")].1) {
            if (tau / optimum.target[0] - 1.0).abs() > 1e-12 {
                assert_close(optimum.participation_at(*tau), *pr, 1e-9, case);
            }
        }
        let ratios: Vec<f64> = levels.iter().map(|&t| optimum.participation_at(t)).collect();
        assert!(ratios.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-14)), "{ratios:?}");
    }
}

/// The closed minimum has no gradient, no point around it is lower, and its moments are those told.
#[test]
fn the_optimum_is_one() {
    for (d, m, n, sigma) in [(6, 3, 5, 0.2), (4, 4, 2, 0.3), (3, 5, 8, 0.05), (7, 2, 2, 3.0)] {
        let mut x = normals(40, d, 1);
        // An input that is the sum of two others: S_x is singular.
        if d == 6 {
            (0..40).for_each(|i| x[(i, 5)] = x[(i, 0)] + x[(i, 1)]);
        }
        let y = product(x.as_ref(), normals(d, m, 2).as_ref());
        let task = LinearTask::of(x.as_ref(), y.as_ref()).unwrap();
        let noisy = EffectiveLoss::new(&task, sigma, 0.7 * sigma).unwrap();
        let optimum = noisy.optimum(n).unwrap();
        let (v, w) = (optimum.v.as_ref(), optimum.w.as_ref());
        let (of_v, of_w) = noisy.gradient(v, w).unwrap();
        let what = format!("{d} {m} {n}");
        let scale = optimum.target[0];
        for g in [&of_v, &of_w] {
            let largest = (0..g.ncols()).flat_map(|j| g.col(j).iter().copied()).map(f64::abs);
            assert!(largest.fold(0.0, f64::max) < 1e-12 * scale, "{what}");
        }
        let covariance = product(product(w, task.s_x()).as_ref(), w.transpose());
        for i in 0..n {
            for j in 0..n {
                let want = if i == j { optimum.hidden.get(i).copied().unwrap_or(0.0) } else { 0.0 };
                assert!((covariance[(i, j)] - want).abs() < 1e-12 * scale, "{what}");
            }
        }
        let lowest = noisy.value(v, w).unwrap();
        for seed in 0..5 {
            let (dv, dw) = (normals(m, n, 10 + seed), normals(n, d, 20 + seed));
            for size in [1e-3, 0.1, 1.0] {
                let v = Mat::from_fn(m, n, |i, j| v[(i, j)] + size * dv[(i, j)]);
                let w = Mat::from_fn(n, d, |i, j| w[(i, j)] + size * dw[(i, j)]);
                assert!(noisy.value(v.as_ref(), w.as_ref()).unwrap() > lowest, "{what} {size}");
            }
        }
    }
}

/// T2 is exact: the mean of the plain loss over drawn noise is within five standard errors of it.
#[test]
fn the_effective_loss_is_the_mean_over_noise() {
    let (d, m, n) = (4, 2, 3);
    let (x, y) = (normals(30, d, 5), normals(30, m, 6));
    let (v, w) = (normals(m, n, 7), normals(n, d, 8));
    let task = LinearTask::of(x.as_ref(), y.as_ref()).unwrap();
    let (sigma_v, sigma_w) = (0.3, 0.2);
    let noisy = EffectiveLoss::new(&task, sigma_v, sigma_w).unwrap();
    let count = 20_000;
    let (mut sum, mut squares) = (0.0, 0.0);
    let mut z = vec![0.0; m * n + n * d];
    for draw in 0..count {
        Stream::new(9, "weights").child(draw).normals(0, &mut z);
        let v = Mat::from_fn(m, n, |i, j| v[(i, j)] + sigma_v * z[i * n + j]);
        let w = Mat::from_fn(n, d, |i, j| w[(i, j)] + sigma_w * z[m * n + i * d + j]);
        let loss = noisy.loss(v.as_ref(), w.as_ref()).unwrap();
        sum += loss;
        squares += loss * loss;
    }
    let n = count as f64;
    let (mean, want) = (sum / n, noisy.value(v.as_ref(), w.as_ref()).unwrap());
    let error = ((squares / n - mean * mean) / n).sqrt();
    assert!((mean - want).abs() < 5.0 * error, "{mean} ± {error}, {want}");
    assert!((noisy.loss(v.as_ref(), w.as_ref()).unwrap() - want).abs() > 20.0 * error);
}

#[test]
fn mean_dynamics_of_the_reference() {
    let want = golden("dimension/theory.npz");
    let m = |what: &str| matrix(&want, &format!("mean0__{what}"));
    let number = |what: &str| scalar(&want, &format!("mean0__{what}"));
    let task = LinearTask::from_moments(m("Sx").as_ref(), m("Syx").as_ref()).unwrap();
    let start = m("W0");
    let noise = ReadoutNoise::new(&task, m("V").as_ref(), number("sigma"), number("eta")).unwrap();
    let outside = noise.activity_outside(start.as_ref()).unwrap();
    let (shape, all) = &want["mean0__W_t"];
    let size = shape[1] * shape[2];
    for (t, steps) in want["mean0__steps"].1.iter().enumerate() {
        let w = noise.mean(start.as_ref(), *steps as u64).unwrap();
        let reference =
            MatRef::from_row_major_slice(&all[t * size..(t + 1) * size], shape[1], shape[2]);
        assert_matrix(w.as_ref(), reference, 1e-9, &format!("{steps} steps"));
        let pr = noise.participation_ratio(w.as_ref()).unwrap();
        assert_close(pr, want["mean0__pr_t"].1[t], 1e-9, "participation ratio");
        let ratio = noise.activity_outside(w.as_ref()).unwrap() / outside;
        assert_close(ratio, want["mean0__orth_ratio_t"].1[t], 1e-9, "activity outside");
    }
    let limit = noise.limit(start.as_ref()).unwrap();
    assert_matrix(limit.as_ref(), m("W_inf").as_ref(), 1e-9, "limit");
    // Without noise nothing outside the row space moves; with a rate near its limit signs alternate.
    let still = ReadoutNoise::new(&task, m("V").as_ref(), 0.0, number("eta")).unwrap();
    let before = still.outside(start.as_ref()).unwrap();
    let after = still.outside(still.mean(start.as_ref(), 1000).unwrap().as_ref()).unwrap();
    assert_matrix(after.as_ref(), before.as_ref(), 1e-14, "outside without noise");
    let (s, eta) = (number("sigma"), 0.6);
    let fast = ReadoutNoise::new(&task, m("V").as_ref(), s, eta).unwrap();
    let mut w = start.clone();
    let v = m("V");
    for step in 1..=7 {
        let activity = product(w.as_ref(), m("Sx").as_ref());
        let mut error = product(v.as_ref(), activity.as_ref());
        error -= m("Syx").as_ref();
        let force = product(v.transpose(), error.as_ref());
        let ridge = v.nrows() as f64 * s * s;
        w = Mat::from_fn(w.nrows(), w.ncols(), |i, j| {
            w[(i, j)] - eta * (force[(i, j)] + ridge * activity[(i, j)])
        });
        let got = fast.mean(start.as_ref(), step).unwrap();
        assert_matrix(got.as_ref(), w.as_ref(), 1e-12, "step by step");
    }
}

/// E7: 400 descents with drawn noise, 60 steps.
#[test]
fn drawn_noise_has_the_mean_of_the_theory() {
    let want = golden("dimension/theory.npz");
    let m = |what: &str| matrix(&want, &format!("mean0__{what}"));
    let task = LinearTask::from_moments(m("Sx").as_ref(), m("Syx").as_ref()).unwrap();
    let (sigma, eta) = (scalar(&want, "mean0__sigma"), scalar(&want, "mean0__eta"));
    let noise = ReadoutNoise::new(&task, m("V").as_ref(), sigma, eta).unwrap();
    let start = m("W0");
    let (n, d) = start.shape();
    let (mut sum, mut squares) = (Mat::<f64>::zeros(n, d), Mat::<f64>::zeros(n, d));
    let runs = 400;
    for run in 0..runs {
        let stream = Stream::new(3, "readout noise").child(run);
        let w = noise.outside(noise.sample(start.as_ref(), 60, &stream).unwrap().as_ref()).unwrap();
        for (i, j) in (0..n).flat_map(|i| (0..d).map(move |j| (i, j))) {
            sum[(i, j)] += w[(i, j)];
            squares[(i, j)] += w[(i, j)] * w[(i, j)];
        }
    }
    let theory = noise.outside(noise.mean(start.as_ref(), 60).unwrap().as_ref()).unwrap();
    let count = runs as f64;
    for (i, j) in (0..n).flat_map(|i| (0..d).map(move |j| (i, j))) {
        let mean = sum[(i, j)] / count;
        let error = ((squares[(i, j)] / count - mean * mean) / (count - 1.0)).sqrt();
        let apart = (mean - theory[(i, j)]).abs();
        assert!(apart < 4.5 * error, "({i}, {j}): {mean} ± {error}, {}", theory[(i, j)]);
    }
}

#[test]
fn stationary_covariances_of_the_reference() {
    let want = golden("dimension/theory.npz");
    for case in ["lyap0", "lyap1"] {
        let m = |what: &str| matrix(&want, &format!("{case}__{what}"));
        let number = |what: &str| scalar(&want, &format!("{case}__{what}"));
        let (h, c) = (m("H"), m("C"));
        let (eta, batch) = (number("eta"), number("batch") as usize);
        let found = StationaryNoise::new(h.as_ref(), c.as_ref(), eta, batch).unwrap();
        assert_matrix(found.covariance.as_ref(), m("Sigma").as_ref(), 1e-9, case);
        assert_close(found.penalty, number("penalty"), 1e-9, case);
        let isotropic = StationaryNoise::new(h.as_ref(), h.as_ref(), eta, batch).unwrap();
        assert_matrix(isotropic.covariance.as_ref(), m("Sigma_iso").as_ref(), 1e-9, case);
        // What one step leaves of its own equation.
        let p = h.nrows();
        let step = Mat::from_fn(p, p, |i, j| f64::from(u8::from(i == j)) - eta * h[(i, j)]);
        let next =
            product(product(step.as_ref(), found.covariance.as_ref()).as_ref(), step.as_ref());
        let next = Mat::from_fn(p, p, |i, j| next[(i, j)] + eta * eta / batch as f64 * c[(i, j)]);
        assert_matrix(next.as_ref(), found.covariance.as_ref(), 1e-12, case);
    }
}

#[test]
fn descents_of_the_reference() {
    let want = golden("dimension/theory.npz");
    let of = |what: &str| &want[&format!("sgd0__{what}")].1;
    let m = |what: &str| matrix(&want, &format!("sgd0__{what}"));
    let order: Vec<usize> = of("idx").iter().map(|&i| i as usize).collect();
    let looks: Vec<u64> = of("steps").iter().map(|&s| s as u64).collect();
    let (x, w) = (m("X"), m("W0"));
    let descent = TwoLayerDescent::new(x.as_ref(), of("y"), w.as_ref(), of("r0"), of("eta")[0]);
    let descent = descent.unwrap();
    for (mode, how) in [
        ("sgd", Descent::Stochastic(&order)),
        ("frozen", Descent::FrozenReadout(&order)),
        ("full", Descent::FullBatch),
    ] {
        let run = descent.run(&how, &looks).unwrap();
        for (t, look) in run.looks.iter().enumerate() {
            let close = |got: f64, what: &str| {
                let what = format!("{mode}_{what}");
                assert_close(got, of(&what)[t], 1e-7, &format!("{what} at {}", look.step));
            };
            close(look.orthogonal_ratio, "orth_ratio");
            close(look.participation_ratio, "pr");
            // A loss near 0 is known to the rounding of its residuals.
            let loss = of(&format!("{mode}_loss"))[t];
            assert!((look.loss - loss).abs() <= 1e-7 * loss + 1e-20, "{mode} {}", look.step);
        }
        assert_matrix(run.w.as_ref(), m(&format!("{mode}_W")).as_ref(), 1e-7, mode);
        for (got, want) in run.r.iter().zip(of(&format!("{mode}_r"))) {
            assert_close(*got, *want, 1e-7, mode);
        }
        if mode == "frozen" {
            assert!(run.looks.iter().all(|look| (look.orthogonal_ratio - 1.0).abs() < 1e-13));
        }
    }
    let text = descent.run(&Descent::Stochastic(&order), &[3001]).unwrap_err().to_string();
    assert_eq!(text, "order of samples: expected 3001 or more, got 3000");
    let text = descent.run(&Descent::FullBatch, &[5, 5]).unwrap_err().to_string();
    assert_eq!(text, "looks: expected ascending steps, got [5, 5]");
}

#[test]
fn what_has_no_answer_is_refused() {
    let text = |error: hesse::Error| error.to_string();
    let eye = Mat::<f64>::identity(2, 2);
    let half = Mat::from_fn(2, 2, |i, j| if i == 0 && j == 0 { 1.0 } else { 0.0 });
    let unstable = StationaryNoise::new(eye.as_ref(), eye.as_ref(), 2.0, 1).unwrap_err();
    assert_eq!(text(unstable), "learning rate: expected below 2, got 2");
    let flat = StationaryNoise::new(half.as_ref(), eye.as_ref(), 0.5, 1).unwrap_err();
    assert!(text(flat).starts_with("gradient covariance: expected noise only where"));
    let along = StationaryNoise::new(half.as_ref(), half.as_ref(), 0.5, 1).unwrap();
    assert!(
        (along.covariance[(0, 0)] - 0.5 / 1.5).abs() < 1e-15 && along.covariance[(1, 1)] == 0.0
    );
    let saddle = Mat::from_fn(2, 2, |i, j| if i == j { 1.0 - 2.0 * i as f64 } else { 0.0 });
    let saddle = StationaryNoise::new(saddle.as_ref(), eye.as_ref(), 0.5, 1).unwrap_err();
    assert_eq!(text(saddle), "eigenvalues of the Hessian: expected 0 or more, got -1");
    let skew = Mat::from_fn(2, 2, |i, j| i as f64 - j as f64);
    let skew = LinearTask::from_moments(skew.as_ref(), eye.as_ref()).unwrap_err();
    assert_eq!(text(skew), "S_x: expected a symmetric matrix, got -1 at (0, 1) and 1 across");

    let task = LinearTask::from_moments(eye.as_ref(), eye.as_ref()).unwrap();
    let lame = EffectiveLoss::new(&task, 1.0, 0.0).unwrap();
    let error = text(lame.optimum(2).unwrap_err());
    assert!(error.starts_with("minimum under weight noise: not applicable"), "{error}");
    let error = text(lame.value(eye.as_ref(), eye.as_ref()).unwrap_err());
    assert_eq!(error, "loss of a linear map: not applicable: expected samples, got moments alone");
    let error = text(EffectiveLoss::new(&task, -1.0, 0.0).unwrap_err());
    assert_eq!(error, "σ_V: expected 0 or more, got -1");
    let error = text(ReadoutNoise::new(&task, eye.as_ref(), 0.0, 2.0).err().unwrap());
    assert_eq!(error, "learning rate: expected below 2, got 2");
}
