//! Files of convolutional networks: convolution - φ - pool - convolution - φ - dense.

use hesse::Error;
use hesse::flatness::{Geometry, GeometryReport, LayerGeometry};
use hesse::network::{Architecture, Dataset, LayerSpec, Network, Targets};

use super::about;
use super::curvature::{ACTIVATIONS, Case, LOSSES, code};
use super::feature_space::{EPSILON, by_layer, measures};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// `conv_*`.
pub(super) struct Convolutional;

/// Of everything but eigenvalues, relative to the largest entry.
const TOLERANCE: f64 = 1e-11;

impl Layout for Convolutional {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["spec", "loss_code", "theta", "X", "Y"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["V"]);
        let case = read(arrays).map_err(|error| about(arrays, error))?;
        let mut compute = || {
            case.check(checks, arrays, TOLERANCE)?;
            geometry(&case, checks)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

/// The network, its samples and parameters.
fn read(arrays: &Arrays) -> Result<Case<f64>, Error> {
    let network = network(arrays)?;
    let loss = code(arrays, "loss_code", &LOSSES)?;
    let theta = arrays.get("theta")?.values.clone();
    if theta.len() != network.parameter_count() {
        let (expected, got) = (network.parameter_count(), theta.len());
        return Err(arrays.wrong("theta", format!("expected {expected} parameters, got {got}")));
    }
    let ([n, channels, height, width], x) = arrays.with_axes::<4>("X")?;
    if [channels, height, width] != network.input_shape() {
        let expected = network.input_shape();
        let got = [channels, height, width];
        return Err(arrays.wrong("X", format!("expected images {expected:?}, got {got:?}")));
    }
    let ([rows, outputs], y) = arrays.with_axes::<2>("Y")?;
    if (rows, outputs) != (n, network.outputs()) {
        let (expected, got) = ([n, network.outputs()], [rows, outputs]);
        return Err(arrays.wrong("Y", format!("expected shape {expected:?}, got {got:?}")));
    }
    let targets = Targets::Rows { values: y.to_vec(), width: outputs };
    let data = Dataset::from_rows(x.to_vec(), network.inputs(), targets)?;
    Ok(Case { network, data, loss, theta })
}

/// From `spec`: channels and side of the image; channels, kernel and padding of both convolutions;
/// outputs, φ, kind of pool, stride of the first convolution.
fn network(arrays: &Arrays) -> Result<Network<f64>, Error> {
    let spec = arrays.counts("spec", 1 << 12)?;
    let [c0, side, c1, k1, p1, c2, k2, p2, outputs, phi, pool, stride] = spec[..] else {
        let message = format!("expected 12 numbers, got {}", spec.len());
        return Err(arrays.wrong("spec", message));
    };
    let Some(&activation) = ACTIVATIONS.get(phi) else {
        return Err(arrays.wrong("spec", format!("expected an activation below 6, got {phi}")));
    };
    let convolution =
        |outputs, kernel: usize, padding: usize, stride: usize| LayerSpec::Convolution {
            outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            dilation: [1; 2],
            groups: 1,
            activation,
            bias: true,
            initializer: hesse::network::Initializer::default(),
        };
    let first = Architecture::new([c0, side, side]).layer(convolution(c1, k1, p1, stride));
    let pooled = match pool {
        0 => first.average_pool(2),
        1 => first.max_pool(2),
        kind => return Err(arrays.wrong("spec", format!("expected a pool 0 or 1, got {kind}"))),
    };
    pooled
        .layer(convolution(c2, k2, p2, 1))
        .flatten()
        .dense(outputs, hesse::network::Activation::Identity)
        .build()
}

fn geometry(case: &Case<f64>, checks: &mut Checks<'_>) -> Result<(), Error> {
    let report = Geometry::of_rows(&case.network, &case.theta, case.data.inputs())?;
    let report = report.weight_norms().run()?;
    measures(checks, &report, TOLERANCE)?;
    checks.compare("grad_block_fro2", Rule::Relative(TOLERANCE), &blocks(&report));
    let rule = Rule::Relative(TOLERANCE);
    let norm = |l: &LayerGeometry| l.weight_norm.unwrap_or(f64::NAN);
    checks.compare("op_spec_norm", rule, &by_layer(&report, norm));
    let code = |l: &LayerGeometry| l.weight_frobenius.powi(2) * l.positions as f64;
    checks.compare("code_norm2", rule, &by_layer(&report, code));
    let smallest: Vec<&Vec<f64>> = report
        .layers
        .iter()
        .filter(|layer| layer.shares_weights())
        .map(|layer| &layer.patch_smallest)
        .collect();
    let rows = (0..report.samples).flat_map(|i| smallest.iter().map(move |column| column[i]));
    let rows = Numbers::matrix(report.samples, smallest.len(), rows.collect());
    checks.compare("patch_smin", rule, &rows);
    // In these files the reference code's convention is ‖W‖_F for the dense layer too.
    let amplifier = |l: &LayerGeometry| -> f64 {
        let inverse = l.jacobian.norms.iter().map(|x| 1.0 / (x * x + EPSILON)).sum::<f64>();
        code(l) * inverse / report.samples as f64
    };
    let factor: f64 = report.layers.iter().map(amplifier).sum();
    checks.compare("harm_code", rule, &Numbers::scalar(factor));
    let bound = (factor * report.trace()).sqrt();
    checks.compare("nmls_bound_code", rule, &Numbers::scalar(bound));
    Ok(())
}

/// Squared gradients sample by sample: weights and biases of every layer.
fn blocks(report: &GeometryReport) -> Numbers {
    let columns: Vec<&Vec<f64>> =
        report.layers.iter().flat_map(|l| [&l.weight_squares, &l.bias_squares]).collect();
    let rows = (0..report.samples).flat_map(|i| columns.iter().map(move |column| column[i]));
    Numbers::matrix(report.samples, columns.len(), rows.collect())
}
