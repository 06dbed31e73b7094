//! Two convolutional networks against reference files: outputs, loss, gradient, Hessian and
//! Gauss-Newton products, and both matrices with their traces and spectra.

use faer::{Mat, Side};
use hesse::krylov::LinearOperator;
use hesse::network::{Activation, Architecture, Dataset, Loss, Network, Objective, Targets};

mod npz;
use npz::{Arrays, golden};

/// conv - φ - pool - conv - φ - dense, as `spec` of the file says: channels and side of the image,
/// channels, kernel and padding of both convolutions, outputs, φ, kind of pool, first stride.
fn network(spec: &[f64]) -> Network<f64> {
    let at = |i: usize| spec[i] as usize;
    let activation = if at(9) == 1 { Activation::Tanh } else { Activation::Relu };
    assert_eq!(at(11), 1, "stride");
    let first =
        Architecture::new([at(0), at(1), at(1)]).convolution(at(2), at(3), at(4), activation);
    let pooled = if at(10) == 0 { first.average_pool(2) } else { first.max_pool(2) };
    let second = pooled.convolution(at(5), at(6), at(7), activation).flatten();
    second.dense(at(8), Activation::Identity).build().unwrap()
}

/// Within `bound` of the largest entry.
fn close(what: &str, got: &[f64], want: &[f64], bound: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let error = got.iter().zip(want).fold(0.0_f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(error <= bound * size, "{what}: {error:e} of {size:e}");
}

fn matrix(file: &Arrays, m: &Mat<f64>, name: &str) -> f64 {
    let n = m.nrows();
    let diagonal: Vec<f64> = (0..n).map(|i| m[(i, i)]).collect();
    close(name, &diagonal, &file[&format!("{name}_diag")].1, 1e-11);
    let trace: f64 = diagonal.iter().sum();
    close(name, &[trace], &file[&format!("{name}_trace")].1, 1e-11);
    let square: f64 = m.col_iter().map(|column| column.squared_norm_l2()).sum();
    close(name, &[square], &file[&format!("{name}_fro2")].1, 1e-11);
    let values = m.self_adjoint_eigenvalues(Side::Lower).unwrap();
    close(name, &values, &file[&format!("{name}_eig")].1, 1e-11);
    trace
}

fn holds(name: &str, loss: Loss) -> [f64; 3] {
    let file = golden(&format!("flatness/{name}.npz"));
    let array = |name: &str| file[name].1.as_slice();
    let network = network(array("spec"));
    let width = network.outputs();
    let targets = Targets::Rows { values: array("Y").to_vec(), width };
    let data = Dataset::from_rows(array("X").to_vec(), network.inputs(), targets).unwrap();
    let objective = Objective::new(&network, &data, loss).unwrap();
    let theta = array("theta");
    if let Some((_, out)) = file.get("out") {
        close("out", &objective.outputs(theta).unwrap(), out, 1e-11);
    }
    let point = objective.at(theta).unwrap();
    close("loss", &[point.value()], array("loss"), 1e-11);
    close("grad", point.gradient(), array("grad"), 1e-11);

    let (shape, v) = &file["V"];
    let columns = shape[1];
    let transposed = |x: &[f64], rows: usize, columns: usize| -> Vec<f64> {
        (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
    };
    let n = theta.len();
    let v = transposed(v, n, columns);
    let mut got = vec![f64::NAN; v.len()];
    point.hessian().apply_block(&v, &mut got);
    close("HV", &got, &transposed(array("HV"), n, columns), 1e-11);
    point.gauss_newton().apply_block(&v, &mut got);
    close("GV", &got, &transposed(array("GV"), n, columns), 1e-11);

    let (h, g) = (point.hessian().to_matrix().unwrap(), point.gauss_newton().to_matrix().unwrap());
    let triangle: Vec<f64> =
        (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|at| h[at]).collect();
    close("H_tri", &triangle, array("H_tri"), 1e-11);
    [matrix(&file, &h, "H"), matrix(&file, &g, "G"), array("S")[0]]
}

#[test]
fn average_pool_tanh_and_cross_entropy() {
    holds("conv_tanh_avg_ce", Loss::CrossEntropy);
}

#[test]
fn max_pool_relu_and_squared_error() {
    // f is affine in each parameter alone: both traces are the sharpness.
    let [h, g, sharpness] = holds("conv_relu_max_mse", Loss::HalfSquaredError);
    assert!(
        (h - g).abs() <= 1e-12 * g && (g - sharpness).abs() <= 1e-12 * g,
        "{h} {g} {sharpness}"
    );
}
