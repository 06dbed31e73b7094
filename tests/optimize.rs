//! Optimisers and schedules against numbers that PyTorch computed.

use hesse::optimize::{
    Adam, AdamOptions, Optimizer, Schedule, Sgd, SgdOptions, State, WeightDecay,
};
use hesse::{Error, Real};

const START: [f64; 5] = [0.5, -1.25, 2.0, 0.0, -0.375];
const RATES: [f64; 6] = [0.1, 0.1, 0.05, 0.2, 0.025, 0.1];

/// Exact in both types.
fn gradient<T: Real>(step: usize) -> [T; 5] {
    std::array::from_fn(|i| T::from_f64((((7 * i + 3 * step) % 11) as f64 - 5.0) / 8.0))
}

fn run<T: Real>(optimizer: &mut impl Optimizer<T>, from: usize, parameters: &mut [T; 5]) {
    for (step, rate) in RATES.iter().enumerate().skip(from) {
        optimizer.step(parameters, &gradient(step), *rate).unwrap();
    }
}

fn check(name: &str, want: [f64; 5], make: (impl Fn() -> Box64, impl Fn() -> Box32)) {
    let mut double = START;
    run(&mut make.0(), 0, &mut double);
    for (got, want) in double.iter().zip(want) {
        // Six steps, each of a few operations on numbers up to 2 in size.
        assert!((got - want).abs() <= 1e-14 * want.abs().max(0.1), "{name}: {got} {want}");
    }
    let mut single = START.map(|x| x as f32);
    run(&mut make.1(), 0, &mut single);
    for (got, want) in single.iter().zip(want) {
        // Each step moves by at most 0.3 (the first moments of Adam: by its rate), with an error
        // of about ten roundings of that, and one of θ itself.
        let bound = 6.0 * f64::from(f32::EPSILON) * (want.abs() + 3.0);
        assert!((f64::from(*got) - want).abs() <= bound, "{name}, f32: {got} {want}");
    }
}

struct Box64(Box<dyn Optimizer<f64>>);
struct Box32(Box<dyn Optimizer<f32>>);

macro_rules! forward {
    ($name:ident, $t:ident) => {
        impl Optimizer<$t> for $name {
            fn step(&mut self, p: &mut [$t], g: &[$t], rate: f64) -> hesse::Result<()> {
                self.0.step(p, g, rate)
            }
            fn state(&self) -> State<'_, $t> {
                self.0.state()
            }
            fn restore(&mut self, state: &State<'_, $t>) -> hesse::Result<()> {
                self.0.restore(state)
            }
            fn reset(&mut self) {
                self.0.reset();
            }
        }
    };
}
forward!(Box64, f64);
forward!(Box32, f32);

/// `torch.optim` of PyTorch 2.15, `float64`: the parameters after the six steps.
#[test]
fn sgd_is_that_of_pytorch() {
    let plain = SgdOptions::default();
    let cases = [
        (
            "plain",
            plain,
            [
                0.5062500000000001,
                -1.2656249999999998,
                2.065625,
                -0.059375000000000004,
                -0.45624999999999993,
            ],
        ),
        (
            "weight decay",
            SgdOptions { weight_decay: 0.125, ..plain },
            [
                0.46817076566267013,
                -1.1745574188320638,
                1.9243744412994384,
                -0.05650133052349089,
                -0.42832102462232113,
            ],
        ),
        (
            "momentum",
            SgdOptions { momentum: 0.9, ..plain },
            [0.7579096875, -1.4666535, 2.0436335, -0.15271906249999997, -0.5186239375000001],
        ),
        (
            "momentum, dampening, weight decay",
            SgdOptions { momentum: 0.9, dampening: 0.25, weight_decay: 0.01, ..plain },
            [
                0.7559346051950295,
                -1.4227200729590683,
                2.0331901237786987,
                -0.18415815260507942,
                -0.4912609762908366,
            ],
        ),
        (
            "Nesterov, weight decay",
            SgdOptions { momentum: 0.9, nesterov: true, weight_decay: 0.01, ..plain },
            [
                0.7250617864268941,
                -1.4320467502607832,
                2.0625071768859575,
                -0.19461589977555066,
                -0.5764313922834968,
            ],
        ),
    ];
    for (name, options, want) in cases {
        check(
            name,
            want,
            (
                || Box64(Box::new(Sgd::new(5, options).unwrap())),
                || Box32(Box::new(Sgd::new(5, options).unwrap())),
            ),
        );
    }
}

#[test]
fn adam_is_that_of_pytorch() {
    let plain = AdamOptions::default();
    let coupled = AdamOptions { weight_decay: WeightDecay::Coupled(0.1), ..plain };
    let decoupled = AdamOptions { weight_decay: WeightDecay::Decoupled(0.1), ..plain };
    let cases = [
        (
            "Adam",
            plain,
            [
                0.7641840710829098,
                -1.523986516928717,
                2.1260767370099467,
                -0.18032770703542844,
                -0.5977118910921285,
            ],
        ),
        (
            "Adam, weight decay",
            AdamOptions { betas: (0.8, 0.99), epsilon: 1e-3, ..coupled },
            [
                0.6711942939547767,
                -1.3648443655100406,
                1.8520632695907262,
                -0.15072787461075254,
                -0.5398805565666476,
            ],
        ),
        (
            "AMSGrad, weight decay",
            AdamOptions { betas: (0.5, 0.6), amsgrad: true, ..coupled },
            [
                0.5658080603807845,
                -1.301423140276058,
                1.893205063087207,
                -0.10986272109839225,
                -0.5377671781341544,
            ],
        ),
        (
            "AdamW",
            decoupled,
            [
                0.7270053900351021,
                -1.4442583452821693,
                2.0084105733573736,
                -0.17379702944832914,
                -0.5687314066280645,
            ],
        ),
        (
            "AdamW with AMSGrad",
            AdamOptions { betas: (0.5, 0.6), amsgrad: true, ..decoupled },
            [
                0.5841105908600259,
                -1.3334311793578133,
                1.9987733002143968,
                -0.11333043837075849,
                -0.5475862790569416,
            ],
        ),
    ];
    for (name, options, want) in cases {
        check(
            name,
            want,
            (
                || Box64(Box::new(Adam::new(5, options).unwrap())),
                || Box32(Box::new(Adam::new(5, options).unwrap())),
            ),
        );
    }
}

/// `StepLR`, `ExponentialLR` and `CosineAnnealingLR` of PyTorch 2.15 from a rate of 0.4.
#[test]
fn schedules_are_those_of_pytorch() {
    let cases = [
        (Schedule::step(0.4, 0.8, 3).unwrap(), [0.4, 0.4, 0.4, 0.32, 0.32, 0.32, 0.256, 0.256]),
        (
            Schedule::exponential(0.4, 0.9).unwrap(),
            [0.4, 0.36, 0.324, 0.2916, 0.26244, 0.236196, 0.2125764, 0.19131876],
        ),
        (
            Schedule::cosine(0.4, 0.01, 7).unwrap(),
            [
                0.4,
                0.38068892924097175,
                0.3265805113624531,
                0.24839158212148135,
                0.16160841787851873,
                0.08341948863754697,
                0.029311070759028286,
                0.01,
            ],
        ),
        (Schedule::constant(0.4).unwrap(), [0.4; 8]),
        (Schedule::switched(0.4, 0.1, 3).unwrap(), [0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1]),
    ];
    for (schedule, want) in cases {
        for (step, want) in want.into_iter().enumerate() {
            let got = schedule.rate(step as u64);
            assert!((got - want).abs() <= 4.0 * f64::EPSILON * 0.4, "{schedule:?} {step}: {got}");
        }
        let warm = schedule.warm_up(3);
        for (step, part) in [(0, 0.25), (1, 0.5), (2, 0.75)] {
            assert!((warm.rate(step) - 0.4 * part).abs() < 1e-16);
        }
        for step in 0..10 {
            assert_eq!(warm.rate(step + 3), schedule.rate(step));
        }
    }
    assert_eq!(Schedule::cosine(0.4, 0.01, 7).unwrap().rate(u64::MAX), 0.01);
    assert_eq!(Schedule::constant(0.4).unwrap().warm_up(u64::MAX).rate(0), 0.4 / 2_f64.powi(64));
}

fn variants() -> Vec<Box64> {
    let momentum = SgdOptions { momentum: 0.9, dampening: 0.5, ..Default::default() };
    let amsgrad = AdamOptions { amsgrad: true, ..Default::default() };
    vec![
        Box64(Box::new(Sgd::new(5, SgdOptions::default()).unwrap())),
        Box64(Box::new(Sgd::new(5, momentum).unwrap())),
        Box64(Box::new(Adam::new(5, AdamOptions::default()).unwrap())),
        Box64(Box::new(Adam::new(5, amsgrad).unwrap())),
    ]
}

#[test]
fn a_restored_run_has_the_same_bits() {
    for (mut whole, mut resumed) in variants().into_iter().zip(variants()) {
        let mut want = START;
        run(&mut whole, 0, &mut want);

        for cut in 0..RATES.len() {
            whole.reset();
            let mut parameters = START;
            for step in 0..cut {
                whole.step(&mut parameters, &gradient(step), RATES[step]).unwrap();
            }
            // As a checkpoint would hold it, in another order.
            let state = whole.state();
            let saved: Vec<(String, Vec<f64>)> =
                state.arrays.iter().map(|(n, v)| ((*n).to_owned(), v.to_vec())).rev().collect();
            let steps = state.steps;
            assert_eq!(steps, cut as u64);
            let arrays = saved.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            resumed.restore(&State { steps, arrays }).unwrap();
            run(&mut resumed, cut, &mut parameters);
            assert_eq!(parameters.map(f64::to_bits), want.map(f64::to_bits));
        }
    }
}

#[test]
fn adam_without_gradient_and_epsilon_stays() {
    let options = AdamOptions { epsilon: 0.0, ..Default::default() };
    let mut adam = Adam::new(2, options).unwrap();
    let mut x = [1.0_f32, 1.0];
    adam.step(&mut x, &[0.0, 1e-12], 0.5).unwrap();
    assert_eq!(x, [1.0, 0.5]); // the first step is the rate, whatever the size of the gradient
}

#[test]
fn bad_input_is_named_and_changes_nothing() {
    fn message(error: hesse::Result<impl Sized>) -> String {
        error.err().map_or_else(String::new, |error: Error| error.to_string())
    }
    for mut optimizer in variants() {
        let mut x = START;
        optimizer.step(&mut x, &gradient(0), 0.1).unwrap();
        let before = (x, format!("{:?}", optimizer.state()));
        let mut bad = gradient::<f64>(1);
        bad[3] = f64::NAN;
        let cases = [
            (
                optimizer.step(&mut x, &bad, 0.1),
                "gradient: expected finite numbers, got NaN at index 3",
            ),
            (optimizer.step(&mut x[..4], &bad, 0.1), "parameters: expected 5, got 4"),
            (optimizer.step(&mut x, &bad[..2], 0.1), "gradient: expected 5, got 2"),
            (
                optimizer.step(&mut x, &gradient(1), f64::NAN),
                "learning rate: expected a finite number from 0, got NaN",
            ),
            (
                optimizer.step(&mut x, &gradient(1), -0.1),
                "learning rate: expected a finite number from 0, got -0.1",
            ),
            (
                optimizer.restore(&State { steps: 1, arrays: vec![("velocity", &START)] }),
                "arrays of the optimiser's state: expected",
            ),
        ];
        for (result, want) in cases {
            let got = message(result);
            assert!(got.starts_with(want), "{got}");
        }
        assert_eq!((x, format!("{:?}", optimizer.state())), before);
        // Infinite numbers of both signs must not hide each other.
        let mut bad = gradient::<f64>(1);
        (bad[0], bad[4]) = (f64::INFINITY, f64::NEG_INFINITY);
        assert!(message(optimizer.step(&mut x, &bad, 0.1)).contains("got inf at index 0"));
    }
    let mut adam = Adam::<f64>::new(1, AdamOptions::default()).unwrap();
    let short = State { steps: 1, arrays: vec![("first_moment", &[0.0]), ("second_moment", &[])] };
    assert_eq!(message(adam.restore(&short)), "optimiser's second_moment: expected 1, got 0");
    let arrays = vec![("first_moment", &[0.0][..]), ("second_moment", &[-1.0])];
    assert_eq!(
        message(adam.restore(&State { steps: 1, arrays })),
        "optimiser's second_moment: expected numbers from 0, got -1 at index 0"
    );
    // What was wrong with the last array must not have changed the first ones.
    let amsgrad = AdamOptions { amsgrad: true, ..Default::default() };
    let mut adam = Adam::<f64>::new(1, amsgrad).unwrap();
    let arrays = [
        ("largest_second_moment", &[f64::NAN][..]),
        ("second_moment", &[2.0]),
        ("first_moment", &[1.0]),
    ];
    let nan = State { steps: 1, arrays: arrays.to_vec() };
    assert_eq!(
        message(adam.restore(&nan)),
        "optimiser's largest_second_moment: expected numbers from 0, got NaN at index 0"
    );
    assert_eq!(adam.state().steps, 0);
    assert!(adam.state().arrays.iter().all(|(_, values)| values == &[0.0]));
    let sgd = |options| message(Sgd::<f32>::new(1, options));
    let adam = |options| message(Adam::<f32>::new(1, options));
    for (got, want) in [
        (
            sgd(SgdOptions { momentum: 1.0, ..Default::default() }),
            "momentum: expected 0 to below 1, got 1",
        ),
        (
            sgd(SgdOptions { dampening: 2.0, ..Default::default() }),
            "dampening: expected 0 to 1, got 2",
        ),
        (
            sgd(SgdOptions { nesterov: true, ..Default::default() }),
            "momentum: expected above 0 for Nesterov's, got 0",
        ),
        (
            sgd(SgdOptions { nesterov: true, momentum: 0.5, dampening: 0.5, ..Default::default() }),
            "dampening: expected 0 for Nesterov's momentum, got 0.5",
        ),
        (
            adam(AdamOptions { betas: (0.9, 1.0), ..Default::default() }),
            "beta 2: expected 0 to below 1, got 1",
        ),
        (
            adam(AdamOptions { epsilon: f64::NAN, ..Default::default() }),
            "epsilon: expected a finite number from 0, got NaN",
        ),
        (
            adam(AdamOptions { weight_decay: WeightDecay::Decoupled(-1.0), ..Default::default() }),
            "weight decay: expected a finite number from 0, got -1",
        ),
        (
            message(Schedule::step(0.1, 0.0, 1)),
            "factor of the learning rate: expected above 0, up to 1, got 0",
        ),
        (message(Schedule::step(0.1, 0.5, 0)), "steps between decays: expected 1 or more, got 0"),
        (
            message(Schedule::switched(0.1, -0.2, 5)),
            "later learning rate: expected a finite number from 0, got -0.2",
        ),
        (
            message(Schedule::cosine(0.1, 0.2, 5)),
            "lowest learning rate: expected 0 to 0.1, got 0.2",
        ),
        (
            message(Schedule::cosine(0.1, 0.0, 0)),
            "steps of the cosine schedule: expected 1 or more, got 0",
        ),
        (
            message(Schedule::constant(f64::INFINITY)),
            "learning rate: expected a finite number from 0, got inf",
        ),
    ] {
        assert_eq!(got, want);
    }
}
