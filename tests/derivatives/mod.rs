//! Checks of derivatives that any network must pass.

use hesse::krylov::LinearOperator;
use hesse::network::{Dataset, Loss, Network, Objective, Parameters, Targets};
use hesse::random::Stream;

pub fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, "test").normals(0, &mut values);
    values
}

pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// Normal inputs, classes in turn or normal targets.
pub fn dataset(network: &Network<f64>, loss: Loss, samples: usize, seed: u64) -> Dataset<f64> {
    let outputs = network.outputs();
    let targets = match loss {
        Loss::CrossEntropy => Targets::Classes((0..samples).map(|i| i % outputs).collect()),
        _ => Targets::Rows { values: normals(seed + 1, samples * outputs), width: outputs },
    };
    let inputs = normals(seed, samples * network.inputs());
    Dataset::from_rows(inputs, network.inputs(), targets).unwrap()
}

pub fn products(operator: &impl LinearOperator<f64>, x: &[f64]) -> Vec<f64> {
    let mut y = vec![f64::NAN; x.len()];
    operator.apply_block(x, &mut y);
    y
}

/// Largest |difference| relative to the largest |entry|.
pub fn relative(got: &[f64], want: &[f64]) -> f64 {
    let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let error = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(got.len() == want.len() && got.iter().all(|x| x.is_finite()));
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

/// θ at which no parameter is special: scales are not 1, shifts not 0.
fn theta(network: &Network<f64>) -> Vec<f64> {
    let theta = Parameters::initialize(network, 3).into_values();
    moved(&theta, &normals(11, theta.len()), 0.1)
}

/// Gradient against the loss, Hessian product against the gradient, Jacobian product against the
/// outputs.
pub fn check_derivatives(name: &str, network: &Network<f64>) {
    check_derivatives_on(name, network, &dataset(network, Loss::CrossEntropy, 5, 2));
}

/// The same on given data of classes.
pub fn check_derivatives_on(name: &str, network: &Network<f64>, data: &Dataset<f64>) {
    let objective = Objective::new(network, data, Loss::CrossEntropy).unwrap();
    let theta = theta(network);
    let v = normals(2, theta.len());
    let v: Vec<f64> = v.iter().map(|x| x / norm(&v)).collect();
    let point = objective.at(&theta).unwrap();
    let mut gradient = vec![0.0; theta.len()];
    let value = objective.gradient(&theta, &mut gradient).unwrap();
    assert_eq!(value.to_bits(), point.value().to_bits(), "{name}");
    assert_eq!(&gradient, point.gradient(), "{name}");
    assert!((value - objective.value(&theta).unwrap()).abs() <= 1e-13 * value.abs(), "{name}");
    // The error of the differences: ε/step of the function, and step⁶ of its seventh derivative.
    let step = 0.05;
    let slope = derivative(|t| vec![objective.value(&moved(&theta, &v, t)).unwrap()], step);
    let error = (slope[0] - dot(&gradient, &v)).abs();
    assert!(error <= 1e-8 * norm(&gradient), "{name}: gradient {error:e}");
    let want =
        derivative(|t| objective.at(&moved(&theta, &v, t)).unwrap().gradient().to_vec(), step);
    let error = relative(&products(&point.hessian(), &v), &want);
    assert!(error <= 1e-7, "{name}: Hessian {error:e}");
    let want = derivative(|t| objective.outputs(&moved(&theta, &v, t)).unwrap(), step);
    let error = relative(&point.jacobian_product(&v).unwrap(), &want);
    assert!(error <= 1e-7, "{name}: Jacobian {error:e}");
}

/// Symmetry, linearity, blocks and adjoints, to rounding.
pub fn check_operators(name: &str, network: &Network<f64>) {
    check_operators_on(name, network, &dataset(network, Loss::CrossEntropy, 13, 2));
}

/// The same on given data of classes.
pub fn check_operators_on(name: &str, network: &Network<f64>, data: &Dataset<f64>) {
    let objective = Objective::new(network, data, Loss::CrossEntropy).unwrap();
    let theta = theta(network);
    let n = theta.len();
    let point = objective.at(&theta).unwrap();
    let block = normals(3, 6 * n);
    check(name, &point.hessian(), &block, n, false);
    check(name, &point.gauss_newton(), &block, n, true);
    // ⟨f̄, J v⟩ = ⟨Jᵀ f̄, v⟩, for parameters and for inputs.
    let cotangents = normals(4, data.len() * network.outputs());
    let adjoint = |forward: &[f64], back: &[f64], v: &[f64]| {
        let size = norm(&cotangents) * norm(forward) + norm(back) * norm(v);
        let defect = (dot(&cotangents, forward) - dot(back, v)).abs();
        assert!(defect <= 1e-13 * size, "{name}: adjoint {defect:e} of {size:e}");
    };
    let forward = point.jacobian_product(&block[..n]).unwrap();
    let back = point.transposed_jacobian_product(&cotangents).unwrap();
    adjoint(&forward, &back, &block[..n]);
    let tangents = normals(5, data.len() * network.inputs());
    let forward = point.input_jacobian_product(&tangents).unwrap();
    let back = point.transposed_input_jacobian_product(&cotangents).unwrap();
    adjoint(&forward, &back, &tangents);
}

fn check(
    name: &str,
    operator: &impl LinearOperator<f64>,
    block: &[f64],
    n: usize,
    semidefinite: bool,
) {
    let images = products(operator, block);
    let size = images.chunks(n).map(norm).fold(0.0, f64::max);
    for (x, y) in block.chunks(n).zip(images.chunks(n)) {
        let error: Vec<f64> = products(operator, x).iter().zip(y).map(|(a, b)| a - b).collect();
        assert!(norm(&error) <= 1e-13 * size, "{name}: block {:e}", norm(&error));
        if semidefinite {
            assert!(dot(x, y) >= -1e-12 * norm(x) * size, "{name}");
        }
    }
    let (u, v) = (&block[..n], &block[n..2 * n]);
    let defect = (dot(u, &images[n..2 * n]) - dot(v, &images[..n])).abs();
    assert!(defect <= 1e-12 * norm(u).max(norm(v)) * size, "{name}: symmetry {defect:e}");
    let combine = |u: &[f64], v: &[f64]| -> Vec<f64> {
        u.iter().zip(v).map(|(a, b)| 2.0 * a - 3.0 * b).collect()
    };
    let image = products(operator, &combine(u, v));
    let want = combine(&images[..n], &images[n..2 * n]);
    let error: Vec<f64> = image.iter().zip(&want).map(|(a, b)| a - b).collect();
    assert!(norm(&error) <= 1e-12 * size, "{name}: linearity {:e}", norm(&error));
}
