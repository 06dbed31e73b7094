//! Sharpness and feature-space measures against references, properties, and naive passes.

mod bounds;
mod convolution;
mod errors;
mod golden;
#[path = "../npz/mod.rs"]
mod npz;
mod properties;
mod spectrum;

use hesse::Real;
use hesse::network::{Activation, Architecture, Dataset, Loss, Network, Targets};
use hesse::random::Stream;
use npz::Arrays;

/// Standard normals.
fn normals<T: Real>(seed: u64, n: usize) -> Vec<T> {
    let mut values = vec![T::ZERO; n];
    Stream::new(seed, "flatness test").normals(0, &mut values);
    values
}

/// Largest |difference| relative to the largest |entry|; infinite where one is NaN and the other not.
fn relative(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let size = want.iter().filter(|x| x.is_finite()).fold(0.0_f64, |m, x| m.max(x.abs()));
    got.iter()
        .zip(want)
        .map(|(a, b)| match a == b || (a.is_nan() && b.is_nan()) {
            true => 0.0,
            false if a.is_finite() && b.is_finite() => (a - b).abs() / size,
            false => f64::INFINITY,
        })
        .fold(0.0, f64::max)
}

/// A reference network of a golden file.
struct Reference {
    name: String,
    arrays: Arrays,
    network: Network<f64>,
    theta: Vec<f64>,
    inputs: Vec<f64>,
}

impl Reference {
    fn load(name: &str) -> Self {
        let arrays = npz::golden(&format!("flatness/{name}.npz"));
        let get = |key: &str| arrays[key].1.clone();
        let sizes: Vec<usize> = get("sizes").iter().map(|&s| s as usize).collect();
        let activation = activation(get("act_code")[0] as usize);
        let network = Architecture::perceptron(&sizes, activation).build().unwrap();
        let (theta, mut inputs) = (get("theta"), Vec::new());
        if arrays.contains_key("X") {
            inputs = get("X");
        } else {
            let count = get("n_geometry")[0] as usize * sizes[0];
            inputs.extend(get("X_u8")[..count].iter().map(|x| x / 16.0));
        }
        Self { name: name.to_owned(), network, theta, inputs, arrays }
    }

    fn get(&self, key: &str) -> &[f64] {
        &self.arrays[key].1
    }

    fn loss(&self) -> Loss {
        [Loss::HalfSquaredError, Loss::CrossEntropy][self.loss_code()]
    }

    /// All samples with their targets.
    fn dataset(&self) -> Dataset<f64> {
        let width = self.network.outputs();
        if self.arrays.contains_key("Y") {
            let targets = Targets::Rows { values: self.get("Y").to_vec(), width };
            return Dataset::from_rows(self.inputs.clone(), self.network.inputs(), targets)
                .unwrap();
        }
        let classes = self.get("labels").iter().map(|&y| y as usize).collect();
        let inputs = self.get("X_u8").iter().map(|x| x / 16.0).collect();
        Dataset::from_rows(inputs, self.network.inputs(), Targets::Classes(classes)).unwrap()
    }

    fn loss_code(&self) -> usize {
        self.get("loss_code")[0] as usize
    }

    /// Compares with the array `key`, relative to its largest entry.
    fn check(&self, key: &str, got: &[f64], tolerance: f64) {
        let error = relative(got, self.get(key));
        let name = &self.name;
        assert!(
            error <= tolerance,
            "{name} {key}: {error:e}, got {got:?}, want {:?}",
            self.get(key)
        );
    }
}

fn activation(code: usize) -> Activation {
    [
        Activation::Identity,
        Activation::Tanh,
        Activation::Gelu,
        Activation::Relu,
        Activation::Softplus,
        Activation::GeluTanh,
    ][code]
}

/// The perceptrons of the golden files, with the tolerance of their README.
const FILES: [(&str, f64); 10] = [
    ("mlp_tanh_mse", 1e-11),
    ("mlp_tanh_ce", 1e-11),
    ("mlp_gelu_mse", 1e-11),
    ("mlp_gelu_ce", 1e-11),
    ("mlp_relu_mse", 1e-11),
    ("mlp_relu_ce", 1e-11),
    ("mlp_softplus_mse", 1e-11),
    ("mlp_softplus_ce", 1e-11),
    ("mlp_interpolated", 1e-11),
    ("digits_tanh_mse", 1e-9),
];
