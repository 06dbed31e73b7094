//! Sweeps: the bits of trainings alone, for any number of threads, and after an interruption.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use hesse::network::{
    Activation, Architecture, Dataset, Loss, Network, Parameters, Sweep, SweepRun, SweepSetting,
    Targets, Trainer, TrainingStatus,
};
use hesse::optimize::{Optimizer, Schedule, Sgd, SgdOptions};
use hesse::random::Stream;

const LOSS: Loss = Loss::MeanSquaredError;
const STEPS: u64 = 120;

fn setting() -> (Network<f64>, Dataset<f64>) {
    let network = Architecture::perceptron(&[3, 8, 4], Activation::Tanh).build().unwrap();
    let mut inputs = vec![0.0; 3 * 40];
    Stream::new(1, "sweep").normals(0, &mut inputs);
    let targets = Targets::Classes((0..40).map(|i| i * i % 4).collect());
    (network, Dataset::from_rows(inputs, 3, targets).unwrap())
}

/// Two rates that learn, one that cannot, of two seeds each.
fn sweep<'a>(network: &'a Network<f64>, data: &'a Dataset<f64>) -> Sweep<'a, f64> {
    let new = || -> hesse::Result<Box<dyn Optimizer<f64>>> {
        let options = SgdOptions { momentum: 0.5, ..SgdOptions::default() };
        Ok(Box::new(Sgd::new(network.parameter_count(), options)?))
    };
    Sweep::new(network, data, LOSS)
        .grid(&[0.1, 0.3, 1e9], &[7], &[1, 2])
        .settings([SweepSetting { learning_rate: 0.2, batch: 40, seed: 3 }])
        .steps(STEPS)
        .record(10)
        .optimizer(new)
}

/// Everything that a training left, as bits.
fn bits(run: &SweepRun<f64>) -> (TrainingStatus, u64, u64, Vec<u64>, Vec<(u64, u64)>) {
    let training = run.training.as_ref().unwrap();
    let theta = training.parameters.values().iter().map(|x| x.to_bits()).collect();
    let curve = training.curve.iter().map(|&(step, loss)| (step, loss.to_bits())).collect();
    (training.status, training.steps, training.batch_loss.to_bits(), theta, curve)
}

#[test]
fn trainings_are_those_of_the_trainer_for_any_number_of_threads() {
    let (network, data) = setting();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| sweep(&network, &data).run().unwrap())
    };
    let one = on(1);
    for threads in [2, 5] {
        assert!(on(threads).iter().map(bits).eq(one.iter().map(bits)), "{threads} threads");
    }
    for run in &one {
        let SweepSetting { learning_rate, batch, seed } = run.setting;
        let rate = Schedule::constant(learning_rate).unwrap();
        let trainer = Trainer::new(&network, &data, LOSS, rate).unwrap().batch(batch).unwrap();
        let options = SgdOptions { momentum: 0.5, ..SgdOptions::default() };
        let mut sgd = Sgd::new(network.parameter_count(), options).unwrap();
        let start = Parameters::initialize(&network, seed);
        let alone = trainer.seed(seed).steps(STEPS).record(10).run(start, &mut sgd).unwrap();
        let alone = SweepRun { setting: run.setting, training: Some(alone) };
        assert_eq!(bits(run), bits(&alone), "{}", run.setting);
    }
    let status: Vec<_> = one.iter().map(|run| bits(run).0).collect();
    assert_eq!(status[..4], [TrainingStatus::StepLimit; 4]);
    assert_eq!(status[4..6], [TrainingStatus::Diverged; 2]);
    assert_eq!(status[6], TrainingStatus::StepLimit);
    let curve: Vec<u64> = bits(&one[0]).4.iter().map(|point| point.0).collect();
    assert_eq!(curve, [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120]);
}

#[test]
fn an_interrupted_sweep_goes_on_to_the_same_bits_and_repeats_nothing() {
    let (network, data) = setting();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let whole = pool.install(|| sweep(&network, &data).run().unwrap());
    let folder = tempfile::tempdir().unwrap();
    // 50 steps of one training or the other, somewhere between two checkpoints.
    let steps = AtomicU64::new(0);
    let first = pool.install(|| {
        sweep(&network, &data)
            .folder(folder.path(), 7)
            .callback(1, |_| match steps.fetch_add(1, Ordering::Relaxed) {
                50 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .run()
            .unwrap()
    });
    assert!(first.iter().any(|run| run.training.is_none()), "some have not begun");
    let interrupted = |run: &SweepRun<f64>| {
        run.training.as_ref().is_some_and(|t| t.status == TrainingStatus::Interrupted)
    };
    assert!(first.iter().any(interrupted));
    let resumed = || {
        let steps = AtomicU64::new(0);
        let runs = pool.install(|| {
            sweep(&network, &data)
                .folder(folder.path(), 7)
                .resume(true)
                .callback(1, |progress| {
                    steps.fetch_add(u64::from(progress.status.is_none()), Ordering::Relaxed);
                    ControlFlow::Continue(())
                })
                .run()
                .unwrap()
        });
        (runs, steps.into_inner())
    };
    let (second, steps) = resumed();
    assert!(second.iter().map(bits).eq(whole.iter().map(bits)));
    assert!(steps > 0);
    let (third, steps) = resumed();
    assert!(third.iter().map(bits).eq(whole.iter().map(bits)));
    assert_eq!(steps, 0, "finished trainings are not repeated");
    for run in &whole {
        assert!(Sweep::<f64>::checkpoint(folder.path(), &run.setting).is_file());
    }
}

#[test]
fn what_is_wrong_is_named_before_the_first_step() {
    let (network, data) = setting();
    let new = || Sweep::new(&network, &data, LOSS);
    let text = |sweep: Sweep<'_, f64>| sweep.run().unwrap_err().to_string();
    assert_eq!(text(new()), "sweep: settings: expected at least one, got none");
    assert_eq!(text(new().grid(&[0.1], &[41], &[1])), "batch size: expected 1 to 40, got 41");
    assert_eq!(text(new().grid(&[0.1], &[0], &[1])), "batch size: expected 1 to 40, got 0");
    assert_eq!(
        text(new().grid(&[f64::NAN], &[4], &[1])),
        "learning rate: expected a finite number from 0, got NaN"
    );
    assert_eq!(
        text(new().grid(&[0.5, 0.5], &[4], &[1])),
        "sweep: settings: expected each once, got rate0.5-batch4-seed1 twice"
    );
    // A checkpoint of another training stops the sweep with its reason.
    let folder = tempfile::tempdir().unwrap();
    let small = |batch| new().grid(&[0.1], &[batch], &[1]).steps(5).folder(folder.path(), 5);
    small(4).run().unwrap();
    let [four, five] = [4, 5].map(|batch| {
        let setting = SweepSetting { learning_rate: 0.1, batch, seed: 1 };
        Sweep::<f64>::checkpoint(folder.path(), &setting)
    });
    std::fs::create_dir_all(five.parent().unwrap()).unwrap();
    std::fs::copy(four, five).unwrap();
    let message = text(small(5).resume(true));
    assert!(message.starts_with("checkpoint: [version, seed"), "{message}");
}
