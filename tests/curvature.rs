//! Properties of gradients, Jacobian products, Hessians and Gauss-Newton matrices of networks.

use hesse::krylov::LinearOperator;
use hesse::network::{
    Activation, Architecture, Dataset, LayerSpec, Loss, Network, Objective, Parameters, Reduction,
    Targets,
};
use hesse::random::Stream;
use proptest::prelude::*;

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, "test").normals(0, &mut values);
    values
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn dataset(network: &Network<f64>, loss: Loss, samples: usize, seed: u64) -> Dataset<f64> {
    let inputs = normals(seed, samples * network.inputs());
    let outputs = network.outputs();
    let targets = match loss {
        Loss::CrossEntropy if seed.is_multiple_of(2) => {
            Targets::Classes((0..samples).map(|i| i % outputs).collect())
        }
        Loss::CrossEntropy => {
            let mut values: Vec<f64> =
                normals(seed + 1, samples * outputs).into_iter().map(f64::exp).collect();
            for row in values.chunks_exact_mut(outputs) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|y| *y /= sum);
            }
            Targets::Rows { values, width: outputs }
        }
        _ => Targets::Rows { values: normals(seed + 1, samples * outputs), width: outputs },
    };
    Dataset::from_rows(inputs, network.inputs(), targets).unwrap()
}

fn dense(outputs: usize, activation: Activation) -> LayerSpec {
    LayerSpec::Dense { outputs, activation, bias: true, initializer: Default::default() }
}

/// Every kind of layer, next to different others.
fn architecture(activation: Activation, shape: usize) -> Architecture {
    let linear = Activation::Identity;
    match shape {
        0 => Architecture::perceptron(&[4, 3], activation),
        1 => Architecture::perceptron(&[3, 5, 4, 2], activation),
        2 => Architecture::new([2, 3])
            .dense(4, activation)
            .flatten()
            .residual(vec![dense(5, activation), dense(8, linear)])
            .dense(3, linear),
        4 => Architecture::new([2, 5, 4])
            .layer(LayerSpec::Convolution {
                outputs: 4,
                kernel: [3, 2],
                stride: [2, 1],
                padding: [1, 1],
                dilation: [1, 2],
                groups: 2,
                activation,
                bias: true,
                initializer: Default::default(),
            })
            .average_pool(2)
            .flatten()
            .dense(2, linear),
        5 => Architecture::new([1, 4, 4])
            .convolution(3, 3, 1, activation)
            .convolution(2, 1, 0, activation)
            .global_average_pool()
            .dense(2, linear),
        3 => Architecture::new([3, 2])
            .dense(3, activation)
            .recurrent(4, activation, true)
            .recurrent(3, activation, false)
            .dense(2, linear),
        _ => Architecture::new([4])
            .layer(LayerSpec::Activation { activation })
            .residual(vec![dense(4, activation)])
            .layer(LayerSpec::Dense {
                outputs: 3,
                activation: linear,
                bias: false,
                initializer: Default::default(),
            })
            .layer(LayerSpec::Activation { activation }),
    }
}

fn products(operator: &impl LinearOperator<f64>, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    operator.apply_block(x, &mut y);
    y
}

/// Largest |difference| relative to the largest |entry|.
fn relative(got: &[f64], want: &[f64]) -> f64 {
    let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let error = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    if error == 0.0 { 0.0 } else { error / size }
}

/// The derivative at 0 of a vector function of one number, by central differences extrapolated twice.
fn derivative(f: impl Fn(f64) -> Vec<f64>, step: f64) -> Vec<f64> {
    let central =
        |h: f64| -> Vec<f64> { f(h).iter().zip(f(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect() };
    let (a, b, c) = (central(step), central(step / 2.0), central(step / 4.0));
    (0..a.len())
        .map(|i| {
            let (ab, bc) = ((4.0 * b[i] - a[i]) / 3.0, (4.0 * c[i] - b[i]) / 3.0);
            (16.0 * bc - ab) / 15.0
        })
        .collect()
}

fn moved(theta: &[f64], direction: &[f64], t: f64) -> Vec<f64> {
    theta.iter().zip(direction).map(|(a, b)| a + t * b).collect()
}

const LOSSES: [Loss; 3] = [Loss::CrossEntropy, Loss::HalfSquaredError, Loss::MeanSquaredError];

/// Activations whose second derivative has no jump: differences of gradients converge.
fn smooth() -> Vec<Activation> {
    let jump = |a: &Activation| a.is_piecewise_linear() || matches!(a, Activation::Elu { .. });
    Activation::ALL.into_iter().filter(|a| !jump(a)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_are_derivatives(
        activation in prop::sample::select(smooth()),
        shape in 0_usize..7,
        loss in prop::sample::select(LOSSES.to_vec()),
        seed in 0_u64..1000,
        samples in 1_usize..20,
    ) {
        let network = architecture(activation, shape).build::<f64>().unwrap();
        let data = dataset(&network, loss, samples, seed);
        let weights = normals(seed + 9, samples).into_iter().map(f64::exp).collect();
        let objective = Objective::new(&network, &data, loss).unwrap().weights(weights).unwrap();
        let theta = Parameters::initialize(&network, seed).into_values();
        let v = normals(seed + 2, theta.len());
        let point = objective.at(&theta).unwrap();

        let mut gradient = vec![0.0; theta.len()];
        let value = objective.gradient(&theta, &mut gradient).unwrap();
        prop_assert_eq!(value.to_bits(), point.value().to_bits());
        prop_assert_eq!(&gradient, point.gradient());
        prop_assert!((value - objective.value(&theta).unwrap()).abs() <= 1e-13 * value.abs());

        let slope = derivative(|t| vec![objective.value(&moved(&theta, &v, t)).unwrap()], 1e-2);
        prop_assert!((slope[0] - dot(&gradient, &v)).abs() <= 1e-7 * norm(&gradient) * norm(&v));
        let want =
            derivative(|t| objective.at(&moved(&theta, &v, t)).unwrap().gradient().to_vec(), 1e-2);
        let got = products(&point.hessian(), &v);
        prop_assert!(relative(&got, &want) <= 1e-7, "{}", relative(&got, &want));
        let want = derivative(|t| objective.outputs(&moved(&theta, &v, t)).unwrap(), 1e-2);
        let got = point.jacobian_product(&v).unwrap();
        prop_assert!(relative(&got, &want) <= 1e-7);
    }

    #[test]
    fn operators_are_symmetric_linear_and_columnwise(
        activation in prop::sample::select(Activation::ALL.to_vec()),
        shape in 0_usize..7,
        loss in prop::sample::select(LOSSES.to_vec()),
        seed in 0_u64..1000,
    ) {
        let network = architecture(activation, shape).build::<f64>().unwrap();
        let data = dataset(&network, loss, 13, seed);
        let objective = Objective::new(&network, &data, loss).unwrap();
        let theta = Parameters::initialize(&network, seed).into_values();
        let point = objective.at(&theta).unwrap();
        let n = theta.len();
        let block = normals(seed + 3, 11 * n);
        check(&point.hessian(), &block, n, false)?;
        check(&point.gauss_newton(), &block, n, true)?;

        // ⟨f̄, J v⟩ = ⟨Jᵀ f̄, v⟩, for parameters and for inputs.
        let cotangents = normals(seed + 4, 13 * network.outputs());
        let adjoint = |forward: &[f64], back: &[f64], v: &[f64]| {
            let size = norm(&cotangents) * norm(forward) + norm(back) * norm(v);
            (dot(&cotangents, forward) - dot(back, v)).abs() <= 1e-13 * size
        };
        let forward = point.jacobian_product(&block[..n]).unwrap();
        let back = point.transposed_jacobian_product(&cotangents).unwrap();
        prop_assert!(adjoint(&forward, &back, &block[..n]));
        let tangents = normals(seed + 5, 13 * network.inputs());
        let inputs = point.input_jacobian_product(&tangents).unwrap();
        let back = point.transposed_input_jacobian_product(&cotangents).unwrap();
        prop_assert!(adjoint(&inputs, &back, &tangents));

        // The Gauss-Newton product put together from its factors.
        if loss == Loss::HalfSquaredError {
            let scaled: Vec<f64> = forward.iter().map(|f| f / 13.0).collect();
            let want = point.transposed_jacobian_product(&scaled).unwrap();
            prop_assert!(relative(&products(&point.gauss_newton(), &block[..n]), &want) <= 1e-12);
        }
    }
}

fn check(
    operator: &impl LinearOperator<f64>,
    block: &[f64],
    n: usize,
    semidefinite: bool,
) -> Result<(), TestCaseError> {
    let images = products(operator, block);
    let size = images.chunks(n).map(norm).fold(0.0, f64::max);
    for (x, y) in block.chunks(n).zip(images.chunks(n)) {
        let error: Vec<f64> = products(operator, x).iter().zip(y).map(|(a, b)| a - b).collect();
        prop_assert!(norm(&error) <= 1e-13 * size);
        if semidefinite {
            prop_assert!(dot(x, y) >= -1e-12 * norm(x) * size);
        }
    }
    let (u, v) = (&block[..n], &block[n..2 * n]);
    let defect = (dot(u, &images[n..2 * n]) - dot(v, &images[..n])).abs();
    prop_assert!(defect <= 1e-12 * norm(u).max(norm(v)) * size);
    let combine = |u: &[f64], v: &[f64]| -> Vec<f64> {
        u.iter().zip(v).map(|(a, b)| 2.0 * a - 3.0 * b).collect()
    };
    let image = products(operator, &combine(u, v));
    let want = combine(&images[..n], &images[n..2 * n]);
    let error: Vec<f64> = image.iter().zip(&want).map(|(a, b)| a - b).collect();
    prop_assert!(norm(&error) <= 1e-12 * size);
    Ok(())
}

fn setting(samples: usize) -> (Network<f64>, Dataset<f64>, Vec<f64>) {
    let network = architecture(Activation::Tanh, 1).build::<f64>().unwrap();
    let data = dataset(&network, Loss::CrossEntropy, samples, 4);
    let theta = Parameters::initialize(&network, 5).into_values();
    (network, data, theta)
}

#[test]
fn memory_budget_does_not_change_a_bit() {
    let (network, data, theta) = setting(1500);
    let v = normals(1, 3 * theta.len());
    let new = || Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let with = |budget| {
        let objective = new().memory_budget(budget);
        let point = objective.at(&theta).unwrap();
        let (h, g) = (products(&point.hessian(), &v), products(&point.gauss_newton(), &v));
        (point.kept_shards(), (h, g, point.gradient().to_vec(), point.value().to_bits()))
    };
    let (all, none) = (with(usize::MAX), with(0));
    let some = with(new().memory_estimate() / 2);
    assert_eq!((all.0.0, none.0.0), (all.0.1, 0));
    assert!(some.0.0 > 0 && some.0.0 < some.0.1, "{:?}", some.0);
    assert_eq!(all.1, none.1);
    assert_eq!(all.1, some.1);
}

#[test]
fn threads_do_not_change_a_bit() {
    let (network, data, theta) = setting(3000);
    let v = normals(1, 2 * theta.len());
    let batch: Vec<usize> = (0..2000).map(|i| (i * 7) % 3000).collect();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
            let point = objective.at(&theta).unwrap();
            let mut gradient = vec![0.0; theta.len()];
            let loss = objective.batch_gradient(&theta, &batch, &mut gradient).unwrap();
            let all: Vec<f64> = [
                products(&point.hessian(), &v),
                products(&point.gauss_newton(), &v),
                point.gradient().to_vec(),
                point.jacobian_product(&v[..theta.len()]).unwrap(),
                objective.outputs(&theta).unwrap(),
                objective.per_sample_gradients(&theta).unwrap(),
                gradient,
                vec![point.value(), loss, objective.value(&theta).unwrap()],
            ]
            .concat();
            all.into_iter().map(f64::to_bits).collect::<Vec<_>>()
        })
    };
    let one = on(1);
    assert!(on(2) == one && on(3) == one);
}

#[test]
fn samples_weights_and_reductions_agree() {
    let (network, data, theta) = setting(7);
    let new = || Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let v = normals(8, theta.len());
    let all = |objective: &Objective<'_, f64>| {
        let point = objective.at(&theta).unwrap();
        [vec![point.value()], point.gradient().to_vec(), products(&point.hessian(), &v)].concat()
    };
    // A sample of weight 2 is a sample twice; weight 0 is absence.
    let weighted = new().weights(vec![2.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).unwrap();
    let repeated = new().samples(&[0, 0, 1, 4]).unwrap();
    assert!(relative(&all(&weighted), &all(&repeated)) < 1e-13);
    let sum = new().reduction(Reduction::Sum);
    let scaled: Vec<f64> = all(&new()).iter().map(|x| 7.0 * x).collect();
    assert!(relative(&all(&sum), &scaled) < 1e-13);
    // The mean of the samples' gradients is the gradient.
    let rows = new().per_sample_gradients(&theta).unwrap();
    let mean: Vec<f64> = (0..theta.len())
        .map(|j| rows.chunks(theta.len()).map(|row| row[j]).sum::<f64>() / 7.0)
        .collect();
    assert!(relative(&mean, new().at(&theta).unwrap().gradient()) < 1e-13);
    // A batch is the same samples.
    let mut gradient = vec![0.0; theta.len()];
    let value = new().batch_gradient(&theta, &[0, 0, 1, 4], &mut gradient).unwrap();
    let repeated = repeated.at(&theta).unwrap();
    assert_eq!((value, gradient.as_slice()), (repeated.value(), repeated.gradient()));
}

#[test]
fn linear_networks_have_the_gauss_newton_matrix_as_hessian() {
    let network = Architecture::perceptron(&[5, 3], Activation::Identity).build::<f64>().unwrap();
    let data = dataset(&network, Loss::HalfSquaredError, 9, 1);
    let theta = Parameters::initialize(&network, 2).into_values();
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
    let point = objective.at(&theta).unwrap();
    let (h, g) = (point.hessian().to_matrix().unwrap(), point.gauss_newton().to_matrix().unwrap());
    // By hand: the trace is N (mean |x|² + 1).
    let trace: f64 = (0..theta.len()).map(|i| h[(i, i)]).sum();
    let mean = dot(data.inputs(), data.inputs()) / 9.0;
    assert!((trace - 3.0 * (mean + 1.0)).abs() < 1e-13 * trace);
    for j in 0..theta.len() {
        for i in 0..theta.len() {
            assert!((h[(i, j)] - g[(i, j)]).abs() < 1e-13 * trace);
        }
    }
}

#[test]
fn confident_samples_keep_their_digits() {
    // Two classes, logits ±20: the gradient is ∓q and the second derivatives are ±p q.
    let network = Architecture::perceptron(&[1, 2], Activation::Identity).build::<f64>().unwrap();
    let data = Dataset::from_rows(vec![1.0], 1, Targets::Classes(vec![0])).unwrap();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    // Parameters: two weights, two biases.
    let point = objective.at(&[20.0, -20.0, 0.0, 0.0]).unwrap();
    let e = (-40.0_f64).exp();
    let (p, q) = (1.0 / (1.0 + e), e / (1.0 + e));
    let close = |a: f64, b: f64| (a - b).abs() <= 4.0 * f64::EPSILON * b.abs();
    assert!(close(point.value(), e.ln_1p()));
    assert!(close(point.gradient()[0], -q) && close(point.gradient()[1], q));
    let column = products(&point.hessian(), &[1.0, 0.0, 0.0, 0.0]);
    assert!(close(column[0], p * q) && close(column[1], -p * q), "{column:?}");
}

#[test]
fn bad_input_is_named() {
    let (network, data, theta) = setting(5);
    let text = |error: hesse::Error| error.to_string();
    let new = || Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let objective = new();
    let n = theta.len();
    assert_eq!(
        text(objective.at(&theta[1..]).unwrap_err()),
        format!("parameters: expected {n}, got {}", n - 1)
    );
    let mut bad = theta.clone();
    bad[3] = f64::NAN;
    let want = "parameters: expected finite numbers, got NaN at index 3";
    assert_eq!(text(objective.at(&bad).unwrap_err()), want);
    assert_eq!(text(objective.value(&bad).unwrap_err()), want);
    let rows = |inputs, targets| text(Dataset::from_rows(inputs, 3, targets).unwrap_err());
    let classes = |n: usize| Targets::<f64>::Classes(vec![0; n]);
    assert_eq!(rows(vec![], classes(0)), "inputs: samples: expected at least one, got none");
    assert_eq!(rows(vec![0.0; 6], classes(1)), "targets: samples: expected 2, got 1");
    assert_eq!(
        rows(vec![0.0, f64::INFINITY, 0.0], classes(1)),
        "inputs: expected finite numbers, got inf at index 1"
    );
    let with = |targets| {
        let data = Dataset::from_rows(vec![0.5; 6], 3, targets).unwrap();
        text(Objective::new(&network, &data, Loss::CrossEntropy).unwrap_err())
    };
    assert_eq!(
        with(Targets::Classes(vec![1, 2])),
        "target of sample 1: expected a class below 2, got 2"
    );
    assert_eq!(
        with(Targets::Rows { values: vec![0.5, 0.5, 0.75, 0.5], width: 2 }),
        "target of sample 1: expected probabilities that sum to 1, got a sum of 1.25"
    );
    assert_eq!(
        with(Targets::Rows { values: vec![0.0; 6], width: 3 }),
        "targets: width: expected 2, got 3"
    );
    let narrow = Dataset::from_rows(vec![0.5; 4], 2, Targets::Classes(vec![0, 1])).unwrap();
    assert_eq!(
        text(Objective::new(&network, &narrow, Loss::CrossEntropy).unwrap_err()),
        "inputs: features: expected 3, got 2"
    );
    assert_eq!(
        text(objective.per_sample_gradients(&[]).unwrap_err()),
        format!("parameters: expected {n}, got 0")
    );
    assert_eq!(text(new().samples(&[]).unwrap_err()), "samples: expected at least one, got none");
    assert_eq!(text(new().samples(&[5]).unwrap_err()), "samples: index: expected below 5, got 5");
    assert_eq!(text(new().weights(vec![1.0]).unwrap_err()), "weights: expected 5, got 1");
    assert_eq!(
        text(new().weights(vec![0.0; 5]).unwrap_err()),
        "weights: sum: expected positive and finite, got 0"
    );
    let build = |a: Architecture| text(a.build::<f64>().unwrap_err());
    assert_eq!(build(Architecture::new([3])), "network: layers: expected at least one, got none");
    assert_eq!(
        build(Architecture::new([3]).dense(0, Activation::Tanh)),
        "dense layer: outputs: expected a positive number, got 0"
    );
    assert_eq!(
        build(Architecture::new([3]).residual(vec![dense(2, Activation::Tanh)])),
        "residual: output of the branch: expected [3], got [2]"
    );
    let objective = new().memory_budget(0);
    let point = objective.at(&theta).unwrap();
    assert_eq!(
        text(point.hessian().to_matrix().unwrap_err()),
        format!("matrix: bytes: expected at most the memory budget of 0, got {}", 8 * n * n)
    );
}
