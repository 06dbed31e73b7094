//! Tasks in time: timings, draws, answers, and what is refused.

use hesse::credit::Sequences;
use hesse::temporal_tasks::{
    Answer, DelayedComparison, EvidenceAccumulation, Integration, PatternGeneration, Trials,
    image_rows,
};

fn classes(trials: &Trials) -> &[usize] {
    match &trials.answer {
        Answer::ClassAtEnd(classes) | Answer::ClassAtSteps { classes, .. } => classes,
        Answer::Values(_) => panic!("values"),
    }
}

fn sample(trials: &Trials, k: usize) -> &[f64] {
    let size = trials.shape[1] * trials.shape[2];
    &trials.inputs[k * size..][..size]
}

/// One input over time.
fn input(trials: &Trials, k: usize, i: usize) -> Vec<f64> {
    sample(trials, k).iter().skip(i).step_by(trials.shape[2]).copied().collect()
}

#[test]
fn integration_asks_for_the_sign_of_a_sum() {
    let trials = Integration::default().draw(2000, 3).unwrap();
    assert_eq!((trials.shape, trials.outputs), ([2000, 15, 2], 2));
    for k in 0..2000 {
        let sum: f64 = input(&trials, k, 0).iter().sum();
        assert_eq!(classes(&trials)[k], usize::from(sum > 0.0));
    }
    // 60,000 normals: mean and variance within five standard errors.
    let n = trials.inputs.len() as f64;
    let mean = trials.inputs.iter().sum::<f64>() / n;
    let square = trials.inputs.iter().map(|x| x * x).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 / n.sqrt() && (square - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
    let ones = classes(&trials).iter().sum::<usize>() as f64;
    assert!((ones - 1000.0).abs() < 5.0 * 500f64.sqrt(), "{ones}");
    // Trials do not depend on how many there are; seeds differ.
    let few = Integration::default().draw(3, 3).unwrap();
    assert_eq!(sample(&few, 2), sample(&trials, 2));
    assert_ne!(sample(&Integration::default().draw(3, 4).unwrap(), 2), sample(&few, 2));
}

#[test]
fn cues_come_first_and_last_with_a_delay_between() {
    let task = DelayedComparison::default();
    assert_eq!(task.steps(), 900);
    let trials = task.draw(60, 1).unwrap();
    let other = DelayedComparison { exclusive_or: true, ..task }.draw(60, 1).unwrap();
    assert_eq!((trials.shape, &other.inputs), ([60, 900, 2], &trials.inputs));
    let mut kinds = [0; 4];
    for k in 0..60 {
        let [first, second] = [input(&trials, k, 0), input(&trials, k, 1)];
        let came = [first[50] > 1.0, second[850] > 1.0];
        kinds[usize::from(came[0]) + 2 * usize::from(came[1])] += 1;
        let matched = usize::from(came[0] == came[1]);
        assert_eq!((classes(&trials)[k], classes(&other)[k]), (matched, 1 - matched));
        // Everything but the cues is the baseline with noise of 0.01.
        let quiet = first[100..].iter().chain(&second[..800]);
        assert!(quiet.into_iter().all(|x| (x - 0.02).abs() < 0.06));
        if came[0] {
            // At both ends t = ∓50: exp(−2) of the height; at its middle, steps 49 and 50, all of it.
            let middle = 2.0 * (-0.5 * (50.0 / 99.0 / 25.0_f64).powi(2)).exp() + 0.02;
            let end = 2.0 * (-2.0_f64).exp() + 0.02;
            for (step, want) in [(0, end), (49, middle), (50, middle), (99, end)] {
                assert!((first[step] - want).abs() < 0.06, "{step}: {}", first[step]);
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 4), "{kinds:?}");
}

#[test]
fn a_pattern_is_the_same_for_ever() {
    let task = PatternGeneration { outputs: 2, ..PatternGeneration::default() };
    let trials = task.draw(5).unwrap();
    assert_eq!((trials.shape, trials.outputs), ([1, 1000, 100], 2));
    assert_eq!(task.draw(5).unwrap(), trials);
    let spikes = trials.inputs.iter().filter(|&&x| x == 1.0).count();
    assert!(trials.inputs.iter().all(|&x| x == 0.0 || x == 1.0));
    // 100,000 draws of chance 0.05, within five standard deviations.
    assert!((spikes as f64 - 5000.0).abs() < 5.0 * 4750f64.sqrt(), "{spikes}");
    let Answer::Values(values) = &trials.answer else { panic!("values") };
    for output in 0..2 {
        let y: Vec<f64> = values.iter().skip(output).step_by(2).copied().collect();
        let largest = y.iter().fold(0.0, |m: f64, y| if y.abs() > m { y.abs() } else { m });
        assert_eq!((y.len(), largest), (1000, 1.0));
        // All power is at 1, 2, 3 and 5 cycles.
        let power = |f: usize| {
            let angle = |t: usize| std::f64::consts::TAU * (f * t) as f64 / 1000.0;
            let of = |w: fn(f64) -> f64| -> f64 {
                y.iter().enumerate().map(|(t, y)| y * w(angle(t))).sum()
            };
            of(f64::cos).hypot(of(f64::sin))
        };
        for f in 0..10 {
            assert_eq!(power(f) > 1e-6, [1, 2, 3, 5].contains(&f), "{f}: {}", power(f));
        }
    }
}

#[test]
fn evidence_is_clicks_on_two_sides() {
    let task = EvidenceAccumulation::default();
    assert_eq!(task.steps(), 2000);
    let trials = task.draw(20, 2).unwrap();
    assert_eq!((trials.shape, trials.outputs), ([20, 2000, 40], 2));
    let Answer::ClassAtSteps { weights, .. } = &trials.answer else { panic!("classes") };
    assert!(weights[..1850].iter().all(|&w| w == 0.0));
    assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    for k in 0..20 {
        let x = sample(&trials, k);
        let count = |steps: std::ops::Range<usize>, group: usize| {
            let inputs = move |t: usize| (10 * group..10 * (group + 1)).map(move |i| 40 * t + i);
            steps.flat_map(inputs).filter(|&i| x[i] == 1.0).count()
        };
        let mut right = 0;
        for cue in 0..7 {
            let (silent, active) = (150 * cue..150 * cue + 50, 150 * cue + 50..150 * (cue + 1));
            assert_eq!(count(silent.clone(), 0) + count(silent, 1), 0);
            let sides = [count(active.clone(), 0), count(active, 1)];
            // 1000 chances of 0.04 on one side.
            assert!(sides.iter().min() == Some(&0) && sides.iter().max() > Some(&10), "{sides:?}");
            right += usize::from(sides[1] > 0);
        }
        assert_eq!(count(1050..1850, 0) + count(1050..1850, 1) + count(0..1850, 2), 0);
        assert!(count(1850..2000, 2) > 20 && count(0..2000, 3) > 100);
        assert_eq!(classes(&trials)[k], usize::from(right > 3));
    }
}

#[test]
fn images_are_read_by_rows_and_all_trials_are_sequences() {
    let pixels: Vec<f64> = (0..12).map(f64::from).collect();
    let trials = image_rows(pixels, [3, 2], vec![1, 0], 4).unwrap();
    assert_eq!((trials.shape, trials.outputs), ([2, 3, 2], 4));
    assert_eq!(sample(&trials, 1)[2..4], [8.0, 9.0]);
    let evidence = EvidenceAccumulation { delay: 5, group: 1, ..Default::default() };
    for trials in [
        trials,
        Integration::default().draw(2, 0).unwrap(),
        PatternGeneration::default().draw(0).unwrap(),
        evidence.draw(2, 0).unwrap(),
    ] {
        let sequences = Sequences::<f64>::of(&trials).unwrap();
        let shape = [sequences.samples(), sequences.steps(), sequences.features()];
        assert_eq!((shape, sequences.inputs()), (trials.shape, &trials.inputs[..]));
    }
}

fn refused<R>(result: hesse::Result<R>, text: &str) {
    match result {
        Ok(_) => panic!("expected: {text}"),
        Err(error) => assert_eq!(error.to_string(), text),
    }
}

#[test]
fn what_is_refused() {
    let integration = Integration::default();
    refused(integration.draw(0, 1), "trials: expected at least one, got none");
    let long = Integration { steps: usize::MAX, inputs: 2 };
    let text = format!(
        "trials × steps × inputs: expected numbers that memory can hold, got 1 × {} × 2",
        usize::MAX
    );
    refused(long.draw(1, 1), &text);
    let delayed = DelayedComparison::default();
    let of = |task: DelayedComparison| task.draw(1, 1);
    refused(
        of(DelayedComparison { cue: 0, ..delayed }),
        "steps of a cue: expected at least one, got none",
    );
    let text = "width of a cue: expected a positive finite number, got 0";
    refused(of(DelayedComparison { width: 0.0, ..delayed }), text);
    let text = "noise: expected a finite number from 0, got -1";
    refused(of(DelayedComparison { noise: -1.0, ..delayed }), text);
    let text = "height and baseline: expected finite numbers, got NaN at index 0";
    refused(of(DelayedComparison { height: f64::NAN, ..delayed }), text);
    let evidence = EvidenceAccumulation::default();
    let of = |task: EvidenceAccumulation| task.draw(1, 1);
    refused(
        of(EvidenceAccumulation { cues: 4, ..evidence }),
        "cues: expected an odd number, got 4",
    );
    let text = "chance of a spike: expected a number from 0 to 1, got 1.5";
    refused(of(EvidenceAccumulation { chance: 1.5, ..evidence }), text);
    let text = "steps of the response: expected at least one, got none";
    refused(of(EvidenceAccumulation { response: 0, ..evidence }), text);
    let pattern = PatternGeneration { period: 0, ..PatternGeneration::default() };
    refused(pattern.draw(1), "steps of a period: expected at least one, got none");
    let rows = |pixels: usize, label: usize| image_rows(vec![0.0; pixels], [2, 2], vec![label], 3);
    refused(rows(5, 0), "pixels: expected (1, 2, 2), got 5");
    refused(rows(4, 3), "target of sample 0: expected a class below 3, got 3");
}
