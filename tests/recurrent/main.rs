//! The recurrent layer, held to reference files and to its equations as they stand.

mod prototype;

use hesse::Real;
use hesse::faer::{Mat, Side};
use hesse::io::Archive;
use hesse::krylov::LinearOperator;
use hesse::network::layer::Layer;
use hesse::network::layers::{Dense, Recurrent, Sequential};
use hesse::network::{
    Activation, Architecture, Dataset, Loss, Network, Objective, Parameters, Targets,
};
use hesse::random::Stream;
use prototype::Prototype;

fn normals(seed: u64, n: usize) -> Vec<f64> {
    let mut values = vec![0.0; n];
    Stream::new(seed, "recurrent").normals(0, &mut values);
    values
}

fn products<T: Real>(operator: &impl LinearOperator<T>, x: &[T]) -> Vec<T> {
    let mut y = vec![T::ZERO; x.len()];
    operator.apply_block(x, &mut y);
    y
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, x| if x.abs() > m { x.abs() } else { m })
}

/// Asserts |got − want| ≤ `tolerance` in the largest entry.
fn near(name: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{name}");
    let difference: Vec<f64> = got.iter().zip(want).map(|(a, b)| a - b).collect();
    assert!(difference.iter().all(|d| d.is_finite()), "{name}: {got:?}");
    let error = largest(&difference);
    assert!(error <= tolerance, "{name}: {error:e} of {:e}, allowed {tolerance:e}", largest(want));
}

/// Eigenvalues, ascending.
fn eigenvalues(matrix: &Mat<f64>) -> Vec<f64> {
    matrix.self_adjoint_eigenvalues(Side::Lower).unwrap()
}

/// The network of a reference file and its samples.
fn reference(file: &Archive) -> (Network<f64>, Dataset<f64>) {
    let array = |name: &str| file.get(name).unwrap().to_f64().unwrap();
    let dims = file.get("dims").unwrap().to_indices().unwrap();
    let [m, h, n, steps, _, every] = dims[..] else { panic!("dims") };
    let architecture = Architecture::new([steps, m])
        .recurrent(h, Activation::Tanh, every == 1)
        .dense(n, Activation::Identity);
    let width = if every == 1 { steps * n } else { n };
    let targets = Targets::Rows { values: array("Y"), width };
    (architecture.build().unwrap(), Dataset::from_rows(array("X"), steps * m, targets).unwrap())
}

fn golden(name: &str) -> Archive {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/flatness/");
    Archive::read(format!("{folder}{name}.npz")).unwrap()
}

/// Loss, gradient, products, matrices, spectra and Jacobians. Stricter than the reference asks for,
/// where 1e-9 of the largest entry is allowed; for eigenvalues 1e-10 of the largest.
#[test]
fn curvature_through_time_equals_the_reference() {
    for name in ["rnn_final_mse", "rnn_all_mse"] {
        let file = golden(name);
        let array = |name: &str| file.get(name).unwrap().to_f64().unwrap();
        let check = |what: &str, got: &[f64]| {
            let want = array(what);
            near(&format!("{name}: {what}"), got, &want, 1e-11 * largest(&want));
        };
        let (network, data) = reference(&file);
        let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
        let theta = array("theta");
        let point = objective.at(&theta).unwrap();
        check("loss", &[point.value()]);
        check("grad", point.gradient());
        check("out", &objective.outputs(&theta).unwrap());
        // V is P × k; a block is k vectors of P.
        let (p, v) = (theta.len(), array("V"));
        let k = v.len() / p;
        let block: Vec<f64> =
            (0..k).flat_map(|j| (0..p).map(move |i| i * k + j)).map(|i| v[i]).collect();
        let by_rows = |y: Vec<f64>| -> Vec<f64> {
            (0..p).flat_map(|i| (0..k).map(move |j| j * p + i)).map(|i| y[i]).collect()
        };
        check("HV", &by_rows(products(&point.hessian(), &block)));
        check("GV", &by_rows(products(&point.gauss_newton(), &block)));
        let matrices =
            [point.hessian().to_matrix().unwrap(), point.gauss_newton().to_matrix().unwrap()];
        let mut traces = Vec::new();
        for (of, matrix) in ["H", "G"].into_iter().zip(&matrices) {
            let diagonal: Vec<f64> = (0..p).map(|i| matrix[(i, i)]).collect();
            let trace = diagonal.iter().sum();
            check(&format!("{of}_diag"), &diagonal);
            check(&format!("{of}_trace"), &[trace]);
            let squares = (0..p).flat_map(|j| (0..p).map(move |i| matrix[(i, j)] * matrix[(i, j)]));
            check(&format!("{of}_fro2"), &[squares.sum()]);
            let (got, want) = (eigenvalues(matrix), array(&format!("{of}_eig")));
            near(&format!("{name}: {of}_eig"), &got, &want, 1e-10 * largest(&want));
            traces.push(trace);
        }
        let h = &matrices[0];
        let triangle: Vec<f64> =
            (0..p).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| h[(i, j)]).collect();
        check("H_tri", &triangle);
        // tr G is the mean squared norm of the outputs' gradients; with weights tied over time the
        // Hessian has another trace, also where the network is linear in each single weight.
        check("S", &[traces[1]]);
        assert!((traces[0] - traces[1]).abs() > 0.1 * traces[1], "{name}: {traces:?}");

        // Singular values of the outputs in the whole input sequence, sample by sample.
        let (n, width) = (data.len(), network.outputs());
        let inputs = network.inputs();
        let mut jacobians = vec![Mat::<f64>::zeros(width, inputs); n];
        for output in 0..width {
            let mut unit = vec![0.0; n * width];
            (0..n).for_each(|sample| unit[sample * width + output] = 1.0);
            let rows = point.transposed_input_jacobian_product(&unit).unwrap();
            for (jacobian, row) in jacobians.iter_mut().zip(rows.chunks(inputs)) {
                row.iter().enumerate().for_each(|(i, &x)| jacobian[(output, i)] = x);
            }
        }
        let values: Vec<Vec<f64>> =
            jacobians.iter().map(|jacobian| jacobian.singular_values().unwrap()).collect();
        check("J_sv", &values.concat());
        check("mls", &[values.iter().map(|s| s[0]).sum::<f64>() / n as f64]);
    }
    let values = golden("rnn_final_mse").get("H_eig").unwrap().to_f64().unwrap();
    assert!(-values[0] > values[values.len() - 1], "the largest in magnitude is negative");
}

/// A linear recurrent network is linear in each single weight only over one step.
#[test]
fn the_trace_of_the_hessian_is_that_of_gauss_newton_over_one_step_alone() {
    let traces = |steps: usize| {
        let network = Architecture::new([steps, 2])
            .recurrent(3, Activation::Identity, false)
            .dense(2, Activation::Identity)
            .build::<f64>()
            .unwrap();
        let targets = Targets::Rows { values: normals(2, 10), width: 2 };
        let data = Dataset::from_rows(normals(1, 10 * steps), 2 * steps, targets).unwrap();
        let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
        let theta = normals(3, network.parameter_count());
        let point = objective.at(&theta).unwrap();
        let trace = |m: Mat<f64>| (0..m.nrows()).map(|i| m[(i, i)]).sum::<f64>();
        let hessian = trace(point.hessian().to_matrix().unwrap());
        (hessian, trace(point.gauss_newton().to_matrix().unwrap()))
    };
    let (hessian, gauss_newton) = traces(1);
    assert!((hessian - gauss_newton).abs() <= 1e-13 * gauss_newton);
    let (hessian, gauss_newton) = traces(3);
    assert!((hessian - gauss_newton).abs() > 1e-2 * gauss_newton, "{hessian}, {gauss_newton}");
}

/// The same network with the layer and with its prototype: recurrence alone, or between dense layers
/// so that its input has tangents and errors.
fn pair(
    shape: [usize; 2],
    units: usize,
    activation: Activation,
    every: bool,
    between: bool,
) -> [Network<f64>; 2] {
    [false, true].map(|naive| {
        let mut layers: Vec<Box<dyn Layer<f64>>> = Vec::new();
        let mut input = shape;
        if between {
            input = [shape[0], 3];
            layers.push(Box::new(Dense::new(&shape, 3, Activation::Tanh).unwrap()));
        }
        layers.push(if naive {
            Box::new(Prototype::new(input, units, activation, every))
        } else {
            Box::new(Recurrent::new(&input, units, activation).unwrap().every_step(every))
        });
        if between {
            let shape = layers[1].output_shape().to_vec();
            layers.push(Box::new(Dense::new(&shape, 2, Activation::Identity).unwrap()));
        }
        Network::new(Sequential::new(layers).unwrap())
    })
}

#[test]
fn every_pass_is_the_equations_as_they_stand() {
    // [time, features], units, samples: among them one of each.
    let shapes = [
        ([1, 1], 1, 1),
        ([1, 4], 3, 5),
        ([5, 1], 2, 3),
        ([4, 3], 1, 2),
        ([7, 2], 5, 1),
        ([6, 5], 9, 33),
        ([3, 8], 17, 12),
    ];
    let activations = [
        Activation::Tanh,
        Activation::Identity,
        Activation::Relu,
        Activation::Gelu,
        Activation::Sigmoid,
        Activation::Elu { alpha: 0.7 },
    ];
    for (case, (shape, units, samples)) in shapes.into_iter().enumerate() {
        for (i, activation) in activations.into_iter().enumerate() {
            for every in [false, true] {
                let between = (case + i) % 2 == 0;
                let name = format!("{shape:?}, {units} units, {activation}, {every}, {between}");
                let seed = (case * 100 + i) as u64;
                compare(&name, pair(shape, units, activation, every, between), samples, seed);
            }
        }
    }
}

fn compare(name: &str, networks: [Network<f64>; 2], samples: usize, seed: u64) {
    let [got, want] = networks.map(|network| {
        let width = network.outputs();
        let targets = Targets::Rows { values: normals(seed + 1, samples * width), width };
        let inputs = normals(seed, samples * network.inputs());
        let data = Dataset::from_rows(inputs, network.inputs(), targets).unwrap();
        let objective = Objective::new(&network, &data, Loss::HalfSquaredError).unwrap();
        let theta = Parameters::initialize(&network, seed).into_values();
        let point = objective.at(&theta).unwrap();
        let v = normals(seed + 2, 5 * theta.len());
        let cotangents = normals(seed + 3, samples * width);
        let inputs = normals(seed + 4, samples * network.inputs());
        [
            vec![point.value(), objective.value(&theta).unwrap()],
            objective.outputs(&theta).unwrap(),
            point.gradient().to_vec(),
            products(&point.hessian(), &v),
            products(&point.gauss_newton(), &v),
            point.jacobian_product(&v[..theta.len()]).unwrap(),
            point.input_jacobian_product(&inputs).unwrap(),
            point.transposed_jacobian_product(&cotangents).unwrap(),
            point.transposed_input_jacobian_product(&cotangents).unwrap(),
        ]
    });
    let passes = ["value", "outputs", "gradient", "HV", "GV", "J v", "Jx v", "Jᵀ u", "Jxᵀ u"];
    for ((pass, got), want) in passes.iter().zip(&got).zip(&want) {
        // Sums of a few hundred products of numbers around 1, through at most 7 steps.
        near(&format!("{name}: {pass}"), got, want, 1e-13 * largest(want).max(1.0));
    }
}

fn setting<T: Real>(samples: usize) -> (Network<T>, Dataset<T>, Vec<T>) {
    let network = Architecture::new([9, 4])
        .recurrent(12, Activation::Tanh, true)
        .recurrent(7, Activation::Softplus, false)
        .dense(3, Activation::Identity)
        .build::<T>()
        .unwrap();
    let of = |x: Vec<f64>| x.into_iter().map(T::from_f64).collect::<Vec<T>>();
    let classes = Targets::Classes((0..samples).map(|i| i % 3).collect());
    let data = Dataset::from_rows(of(normals(1, samples * 36)), 36, classes).unwrap();
    let theta = of(normals(2, network.parameter_count()).iter().map(|x| 0.3 * x).collect());
    (network, data, theta)
}

#[test]
fn neither_threads_nor_the_memory_budget_change_a_bit() {
    let (network, data, theta) = setting::<f64>(1300);
    let v = normals(1, 6 * theta.len());
    let on = |threads: usize, budget: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
            let objective = objective.memory_budget(budget);
            let point = objective.at(&theta).unwrap();
            let all = [
                vec![point.value()],
                point.gradient().to_vec(),
                products(&point.hessian(), &v),
                products(&point.gauss_newton(), &v),
                point.jacobian_product(&v[..theta.len()]).unwrap(),
            ];
            all.concat().into_iter().map(f64::to_bits).collect::<Vec<_>>()
        })
    };
    let one = on(1, usize::MAX);
    assert!(on(2, usize::MAX) == one && on(3, usize::MAX) == one, "threads");
    assert!(on(2, 0) == one, "memory budget");
}

#[test]
fn single_precision_keeps_its_digits() {
    let (network, data, theta) = setting::<f32>(50);
    let (network64, data64, _) = setting::<f64>(50);
    let double = |x: &[f32]| x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    // The same numbers in both.
    let data64 = Dataset::from_rows(double(data.inputs()), 36, data64.targets().clone()).unwrap();
    let v: Vec<f32> = normals(3, theta.len()).iter().map(|&x| x as f32).collect();
    let objective = Objective::new(&network, &data, Loss::CrossEntropy).unwrap();
    let objective64 = Objective::new(&network64, &data64, Loss::CrossEntropy).unwrap();
    let (theta64, v64) = (double(&theta), double(&v));
    let (point, point64) = (objective.at(&theta).unwrap(), objective64.at(&theta64).unwrap());
    let pairs = [
        ("gradient", double(point.gradient()), point64.gradient().to_vec()),
        ("HV", double(&products(&point.hessian(), &v)), products(&point64.hessian(), &v64)),
        (
            "GV",
            double(&products(&point.gauss_newton(), &v)),
            products(&point64.gauss_newton(), &v64),
        ),
    ];
    for (name, got, want) in pairs {
        // 9 steps of sums of up to 16 products, in second derivatives twice there and back.
        let bound = 100.0 * f64::from(f32::EPSILON) * largest(&want);
        near(name, &got, &want, bound);
        let difference: Vec<f64> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
        assert!(largest(&difference) > 1e-10 * largest(&want), "{name}: not in 32 bits");
    }
}

#[test]
fn parameters_are_named_and_bad_shapes_refused() {
    let network = Architecture::new([6, 3]).recurrent(4, Activation::Tanh, false).build::<f64>();
    let network = network.unwrap();
    let names: Vec<_> =
        network.parameter_specs().iter().map(|s| (s.name.clone(), s.shape.clone())).collect();
    let want = [
        ("layer1.recurrent_weight".to_owned(), vec![4, 4]),
        ("layer1.input_weight".to_owned(), vec![4, 3]),
        ("layer1.bias".to_owned(), vec![4]),
    ];
    assert_eq!(names, want);
    // Limits of the uniform start: 1/√units and 1/√features.
    let theta = Parameters::initialize(&network, 1);
    for (name, limit) in [("recurrent_weight", 0.5), ("input_weight", 3f64.sqrt().recip())] {
        let values = theta.get(&format!("layer1.{name}")).unwrap().values;
        let most = largest(values);
        assert!(most <= limit && most > 0.7 * limit, "{name}: {most}");
    }
    let text = |shape: &[usize], units| {
        Recurrent::new(shape, units, Activation::Tanh).unwrap_err().to_string()
    };
    assert_eq!(text(&[3], 2), "recurrent layer: input: expected [time, features], got [3]");
    assert_eq!(text(&[3, 0], 2), "recurrent layer: input: expected positive widths, got [3, 0]");
    assert_eq!(text(&[3, 1], 0), "recurrent layer: units: expected a positive number, got 0");
    let without = Recurrent::new(&[3, 2], 2, Activation::Tanh).unwrap().bias(false);
    assert_eq!(Layer::<f64>::parameters(&without).len(), 2);
}
