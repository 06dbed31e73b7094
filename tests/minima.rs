//! Minimisers over boxes against SciPy's L-BFGS-B, exact active sets and known minima.

use std::ops::ControlFlow;

use hesse::faer::Mat;
use hesse::faer::linalg::solvers::Solve;
use hesse::optimize::{
    AcceleratedProjectedGradient, Bound, Bounds, Lbfgsb, MinimizeStatus, Minimum, SmoothObjective,
};
use hesse::random::Stream;
use hesse::{Real, Result};
use proptest::prelude::*;

#[path = "npz/mod.rs"]
mod npz;
#[path = "operators/mod.rs"]
mod operators;
use npz::golden;
use operators::on_threads;

/// A function, which checks that it is only asked inside its box.
struct Function<F> {
    n: usize,
    low: Vec<f64>,
    high: Vec<f64>,
    f: F,
}

impl<T: Real, F: FnMut(&[f64], &mut [f64]) -> f64> SmoothObjective<T> for Function<F> {
    fn dimension(&self) -> usize {
        self.n
    }
    fn value_and_gradient(&mut self, x: &[T], gradient: &mut [T]) -> Result<f64> {
        let wide: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
        for i in 0..self.n {
            assert!(wide[i] >= self.low[i] && wide[i] <= self.high[i], "{} leaves at {i}", wide[i]);
        }
        let mut g = vec![f64::NAN; self.n];
        let value = (self.f)(&wide, &mut g);
        gradient.iter_mut().zip(g).for_each(|(out, g)| *out = T::from_f64(g));
        Ok(value)
    }
}

/// The value at a point; writes the gradient.
type Value = Box<dyn FnMut(&[f64], &mut [f64]) -> f64>;

fn rosenbrock(x: &[f64], g: &mut [f64]) -> f64 {
    let n = x.len();
    g.fill(0.0);
    let mut f = 0.0;
    for i in 0..n - 1 {
        let a = x[i + 1] - x[i] * x[i];
        f += 100.0 * a * a + (1.0 - x[i]).powi(2);
        g[i] += -400.0 * x[i] * a - 2.0 * (1.0 - x[i]);
        g[i + 1] += 200.0 * a;
    }
    f
}

fn quadratic(a: &Mat<f64>, b: &[f64]) -> impl FnMut(&[f64], &mut [f64]) -> f64 {
    move |x, g| {
        let mut f = 0.0;
        for i in 0..x.len() {
            let product: f64 = (0..x.len()).map(|j| a[(i, j)] * x[j]).sum();
            g[i] = product - b[i];
            f += x[i] * (0.5 * product - b[i]);
        }
        f
    }
}

fn both<F: FnMut(&[f64], &mut [f64]) -> f64>(
    function: &mut Function<F>,
    start: &[f64],
    tolerance: f64,
) -> [Minimum<f64>; 2] {
    let (low, high) = (function.low.clone(), function.high.clone());
    let bounds = Bounds { lower: Bound::Each(&low), upper: Bound::Each(&high) };
    [
        Lbfgsb::new().tolerance(tolerance).minimize(function, bounds, start).unwrap(),
        AcceleratedProjectedGradient::new()
            .tolerance(tolerance)
            .minimize(function, bounds, start)
            .unwrap(),
    ]
}

#[test]
fn scipys_minima() {
    let arrays = golden("optimize/minima.npz");
    for name in
        ["rosenbrock_driver", "rosenbrock_box", "quadratic_0", "quadratic_1", "exponentials"]
    {
        let of = |key: &str| arrays[&format!("{name}_{key}")].1.clone();
        let n = of("x0").len();
        let f: Value = match name {
            "exponentials" => {
                let (a, b) = (of("A"), of("b"));
                Box::new(move |x, g| {
                    g.copy_from_slice(x);
                    let mut f = 0.5 * x.iter().map(|x| x * x).sum::<f64>();
                    for (row, b) in a.chunks_exact(x.len()).zip(&b) {
                        let e = (row.iter().zip(x).map(|(a, x)| a * x).sum::<f64>() - b).exp();
                        f += e;
                        g.iter_mut().zip(row).for_each(|(g, a)| *g += e * a);
                    }
                    f
                })
            }
            _ if name.starts_with("quadratic") => {
                let (a, b) = (of("A"), of("b"));
                Box::new(move |x, g| {
                    quadratic(&Mat::from_fn(x.len(), x.len(), |i, j| a[i * x.len() + j]), &b)(x, g)
                })
            }
            _ => Box::new(rosenbrock),
        };
        let mut function = Function { n, low: of("low"), high: of("high"), f };
        for (method, minimum) in
            ["L-BFGS-B", "accelerated"].iter().zip(both(&mut function, &of("x0"), 1e-7))
        {
            let case = format!("{name} by {method}");
            eprintln!(
                "{case}: {:?} {} {}",
                minimum.status, minimum.iterations, minimum.evaluations
            );
            assert_eq!(minimum.status, MinimizeStatus::Converged, "{case}: {minimum:?}");
            assert!(minimum.projected_gradient <= 1e-7);
            let (x, want) = (of("x"), of("f")[0]);
            assert!(
                (minimum.value - want).abs() <= 1e-10 * (1.0 + want.abs()),
                "{case}: {}",
                minimum.value
            );
            // Strong convexity at least 1 (Rosenbrock: smallest eigenvalue some 0.1 in these points).
            for (got, want) in minimum.x.iter().zip(&x) {
                assert!((got - want).abs() < 1e-5, "{case}: {got} for {want}");
            }
        }
    }
}

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, "test").normals(0, &mut values);
    values
}

/// B Bᵀ + I/2.
fn positive(seed: u64, n: usize) -> Mat<f64> {
    let values = normals(seed, n * n);
    let b = Mat::from_fn(n, n, |i, j| values[i * n + j]);
    let product = &b * b.transpose();
    Mat::from_fn(n, n, |i, j| product[(i, j)] + if i == j { 0.5 } else { 0.0 })
}

/// The minimiser over a box, by trying all active sets.
fn by_active_sets(a: &Mat<f64>, b: &[f64], low: &[f64], high: &[f64]) -> Vec<f64> {
    let n = b.len();
    for code in 0..3_usize.pow(n as u32) {
        let state: Vec<usize> = (0..n).map(|i| code / 3_usize.pow(i as u32) % 3).collect();
        let free: Vec<usize> = (0..n).filter(|&i| state[i] == 0).collect();
        let mut x: Vec<f64> = (0..n).map(|i| [0.0, low[i], high[i]][state[i]]).collect();
        if x.iter().any(|x| x.is_infinite()) {
            continue;
        }
        if !free.is_empty() {
            let part = Mat::from_fn(free.len(), free.len(), |i, j| a[(free[i], free[j])]);
            let right = Mat::from_fn(free.len(), 1, |i, _| {
                b[free[i]]
                    - (0..n).filter(|&j| state[j] != 0).map(|j| a[(free[i], j)] * x[j]).sum::<f64>()
            });
            let solution = part.partial_piv_lu().solve(&right);
            free.iter().enumerate().for_each(|(i, &j)| x[j] = solution[(i, 0)]);
        }
        let slope = |i: usize| (0..n).map(|j| a[(i, j)] * x[j]).sum::<f64>() - b[i];
        if (0..n).all(|i| match state[i] {
            0 => x[i] >= low[i] && x[i] <= high[i],
            1 => slope(i) >= 0.0,
            _ => slope(i) <= 0.0,
        }) {
            return x;
        }
    }
    unreachable!("a strictly convex function has a minimiser");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn quadratics_have_their_active_sets(n in 1..6_usize, seed in 0..10_000_u64) {
        let a = positive(seed, n);
        let b: Vec<f64> = normals(seed + 1, n).iter().map(|x| 5.0 * x).collect();
        let (mut low, mut high) = (normals(seed + 2, n), normals(seed + 3, n));
        for i in 0..n {
            (low[i], high[i]) = (low[i].min(high[i]), low[i].max(high[i]));
            if seed % 5 == i as u64 {
                high[i] = f64::INFINITY;
            }
            if seed % 7 == i as u64 {
                low[i] = f64::NEG_INFINITY;
            }
            if seed % 11 == i as u64 && low[i].is_finite() {
                high[i] = low[i];
            }
        }
        let want = by_active_sets(&a, &b, &low, &high);
        let mut function = Function { n, low, high, f: quadratic(&a, &b) };
        for minimum in both(&mut function, &normals(seed + 4, n), 1e-9) {
            // Values of terms of some 100 hide decreases of 10⁻¹³, gradients of √(2·30·10⁻¹³).
            let ended = matches!(minimum.status, MinimizeStatus::Converged | MinimizeStatus::Stalled);
            prop_assert!(ended && minimum.projected_gradient < 3e-6, "{:?}", minimum);
            for (got, want) in minimum.x.iter().zip(&want) {
                // ‖A⁻¹‖ ≤ 2, and the residual of up to five elements.
                let bound = 2.0 * 5.0_f64.sqrt() * minimum.projected_gradient + 1e-11;
                prop_assert!((got - want).abs() <= bound, "{} for {}", got, want);
            }
        }
    }
}

#[test]
fn single_precision_and_small_memory() {
    for memory in [1, 2, 5, 17] {
        let mut function =
            Function { n: 30, low: vec![-2.0; 30], high: vec![2.0; 30], f: rosenbrock };
        let bounds = Bounds { lower: Bound::Uniform(-2.0), upper: Bound::Uniform(2.0) };
        let least = Lbfgsb::new()
            .memory(memory)
            .tolerance(1e-8)
            .minimize(&mut function, bounds, &[-1.2_f64; 30])
            .unwrap();
        assert_eq!(least.status, MinimizeStatus::Converged, "{memory}");
        let bounds = Bounds { lower: Bound::Uniform(-2.0_f32), upper: Bound::Uniform(2.0) };
        let single = Lbfgsb::new()
            .memory(memory)
            .tolerance(2e-2)
            .minimize(&mut function, bounds, &[0.5_f32; 30])
            .unwrap();
        assert!(single.value < 1e-2, "{memory}: {} {:?}", single.value, single.status);
    }
}

#[test]
fn limits_give_the_best_point_and_say_so() {
    let make = || Function { n: 10, low: vec![-2.0; 10], high: vec![2.0; 10], f: rosenbrock };
    let bounds = Bounds { lower: Bound::Uniform(-2.0), upper: Bound::Uniform(2.0) };
    let start = [-1.2; 10];
    let mut g = [0.0; 10];
    let first = rosenbrock(&start, &mut g);
    let short = Lbfgsb::new().max_iterations(5).minimize(&mut make(), bounds, &start).unwrap();
    assert_eq!((short.status, short.iterations), (MinimizeStatus::IterationLimit, 5));
    assert!(
        short.value < first && short.value == rosenbrock(&short.x, &mut g) && short.gradient == g
    );
    let few = Lbfgsb::new().max_evaluations(3).minimize(&mut make(), bounds, &start).unwrap();
    assert_eq!((few.status, few.evaluations), (MinimizeStatus::IterationLimit, 3));
    let loose = Lbfgsb::new().relative_decrease(0.5).minimize(&mut make(), bounds, &start).unwrap();
    assert_eq!(loose.status, MinimizeStatus::SmallDecrease);
    let mut values = Vec::new();
    let stopped = Lbfgsb::new()
        .callback(|progress| {
            values.push(progress.value);
            if progress.iterations == 7 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .minimize(&mut make(), bounds, &start)
        .unwrap();
    assert_eq!(stopped.status, MinimizeStatus::Interrupted);
    assert!(values.len() == 7 && values.windows(2).all(|w| w[1] < w[0]));
    let short = AcceleratedProjectedGradient::new()
        .max_iterations(5)
        .minimize(&mut make(), bounds, &start)
        .unwrap();
    assert_eq!(short.status, MinimizeStatus::IterationLimit);
    assert!(short.value < first);
}

#[test]
fn functions_without_values_and_without_minima_end() {
    // ln-barrier: no value for x ≤ 0.5, which is inside the box.
    let barrier = |x: &[f64], g: &mut [f64]| {
        g[0] = 1.0 - 0.01 / (x[0] - 0.5);
        if x[0] > 0.5 { x[0] - 0.01 * (x[0] - 0.5).ln() } else { f64::NAN }
    };
    let mut function = Function { n: 1, low: vec![0.0], high: vec![f64::INFINITY], f: barrier };
    let least = Lbfgsb::new().minimize(&mut function, Bounds::nonnegative(), &[40.0_f64]).unwrap();
    assert!((least.x[0] - 0.51).abs() < 1e-8, "{least:?}");
    let least = AcceleratedProjectedGradient::new()
        .minimize(&mut function, Bounds::nonnegative(), &[40.0_f64])
        .unwrap();
    assert!((least.x[0] - 0.51).abs() < 1e-6, "{least:?}");
    // A gradient that lies: no step descends.
    let lie = |x: &[f64], g: &mut [f64]| {
        g[0] = -1.0;
        x[0]
    };
    let mut function =
        Function { n: 1, low: vec![f64::NEG_INFINITY], high: vec![f64::INFINITY], f: lie };
    let stalled = Lbfgsb::new().minimize(&mut function, Bounds::free(), &[1.0_f64]).unwrap();
    assert_eq!((stalled.status, stalled.x[0]), (MinimizeStatus::Stalled, 1.0));
    let stalled = AcceleratedProjectedGradient::new()
        .minimize(&mut function, Bounds::free(), &[1.0_f64])
        .unwrap();
    assert_eq!((stalled.status, stalled.x[0]), (MinimizeStatus::Stalled, 1.0));
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let n = 20_000;
    let run = |threads| {
        on_threads(threads, || {
            let mut function = Function {
                n,
                low: vec![0.0; n],
                high: vec![f64::INFINITY; n],
                f: |x: &[f64], g: &mut [f64]| {
                    let mut f = 0.0;
                    for i in 0..n {
                        let (curvature, centre) = (1.0 + (i % 50) as f64, (i as f64 * 0.7).sin());
                        g[i] = curvature * (x[i] - centre);
                        f += 0.5 * g[i] * (x[i] - centre);
                    }
                    f
                },
            };
            let start = vec![1.0_f64; n];
            let a = Lbfgsb::new().minimize(&mut function, Bounds::nonnegative(), &start).unwrap();
            let b = AcceleratedProjectedGradient::new()
                .minimize(&mut function, Bounds::nonnegative(), &start)
                .unwrap();
            assert_eq!(
                (a.status, b.status),
                (MinimizeStatus::Converged, MinimizeStatus::Converged)
            );
            [a.x, b.x].concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(3) == one);
}

#[test]
fn bad_input_is_named() {
    let make = || Function { n: 2, low: vec![-9.0; 2], high: vec![9.0; 2], f: rosenbrock };
    let free = Bounds { lower: Bound::Uniform(-9.0), upper: Bound::Uniform(9.0) };
    let text = |result: Result<Minimum<f64>>| result.unwrap_err().to_string();
    let crossed = Bounds { lower: Bound::Each(&[0.0, 2.0]), upper: Bound::Uniform(1.0) };
    let short = Bounds { lower: Bound::Each(&[0.0]), upper: Bound::Uniform(1.0) };
    let nan = Bounds { lower: Bound::Uniform(f64::NAN), upper: Bound::Uniform(1.0) };
    for (bounds, start, want) in [
        (free, &[1.0][..], "start of the minimisation: expected 2, got 1"),
        (
            free,
            &[1.0, f64::NAN],
            "start of the minimisation: expected finite numbers, got NaN at index 1",
        ),
        (crossed, &[0.0, 0.0], "bounds of variable 1: expected lower <= upper, got 2 and 1"),
        (short, &[0.0, 0.0], "lower bounds: expected 2, got 1"),
        (nan, &[0.0, 0.0], "bounds of variable 0: expected lower <= upper, got NaN and 1"),
    ] {
        assert_eq!(text(Lbfgsb::new().minimize(&mut make(), bounds, start)), want);
        let other = AcceleratedProjectedGradient::new().minimize(&mut make(), bounds, start);
        assert_eq!(text(other), want);
    }
    let start = [0.0; 2];
    assert_eq!(
        text(Lbfgsb::new().memory(0).minimize(&mut make(), free, &start)),
        "memory: expected at least 1, got 0"
    );
    assert_eq!(
        text(Lbfgsb::new().tolerance(-1.0).minimize(&mut make(), free, &start)),
        "tolerance: expected a finite number from 0, got -1"
    );
    assert_eq!(
        text(AcceleratedProjectedGradient::new().step(0.0).minimize(&mut make(), free, &start)),
        "step: expected a finite number above 0, got 0"
    );
    let mut nothing = Function {
        n: 2,
        low: vec![-9.0; 2],
        high: vec![9.0; 2],
        f: |_: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            f64::NAN
        },
    };
    assert_eq!(
        text(Lbfgsb::new().minimize(&mut nothing, free, &start)),
        "value of the objective at the start: expected finite numbers, got NaN at index 0"
    );
}
