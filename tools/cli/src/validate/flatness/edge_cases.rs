//! `edge_cases`: closed forms, dead networks, zero inputs, large logits, shared weights, degenerate and
//! negative spectra, and a table of activations.

use faer::{Mat, MatRef};
use hesse::Error;
use hesse::flatness::{ConvBound, Geometry, LogVolume, OverLayers};
use hesse::krylov::{DenseOperator, Lanczos, Status, Which};
use hesse::network::{
    Activation, Architecture, Dataset, Initializer, LayerSpec, Loss, Network, Objective, Targets,
};
use hesse_kernels::{Isa, activation};

use super::about;
use super::curvature::{ACTIVATIONS, eigenvalues};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// The layout.
pub(super) struct EdgeCases;

/// Of what is computed from a few numbers of size one.
const CLOSE: Rule = Rule::Relative(1e-12);

impl Layout for EdgeCases {
    fn name(&self) -> &'static str {
        "edge_cases"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["lin_X", "dead_theta", "zero_theta", "big_logits", "share_K", "two_value_Q", "act_z"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[
            "lin_W",
            "lin_b",
            "zero_X",
            "big_onehot",
            "share_x",
            "share_s",
            "neg_U",
        ]);
        let mut compute = || -> Result<(), Error> {
            linear(checks, arrays)?;
            dead(checks, arrays)?;
            zero(checks, arrays)?;
            large(checks, arrays)?;
            shared(checks, arrays)?;
            degenerate(checks, arrays)?;
            negative(checks, arrays)?;
            activations(checks, arrays)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

/// An array that must have this shape.
fn shaped<'a>(arrays: &'a Arrays, name: &str, shape: &[usize]) -> Result<&'a [f64], Error> {
    let array = arrays.get(name)?;
    if array.shape != shape {
        let message = format!("expected shape {shape:?}, got {:?}", array.shape);
        return Err(arrays.wrong(name, message));
    }
    Ok(&array.values)
}

/// One linear layer: everything in closed form.
fn linear(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let ([outputs, inputs], weight) = arrays.with_axes::<2>("lin_W")?;
    let ([_, _], x) = arrays.with_axes::<2>("lin_X")?;
    let network = Architecture::new([inputs]).dense(outputs, Activation::Identity).build()?;
    let theta = [weight, shaped(arrays, "lin_b", &[outputs])?].concat();
    let report = Geometry::of_rows(&network, &theta, x)?.run()?;
    // The Hessian of half the squared error, at any targets.
    let samples = x.len() / inputs;
    let targets = Targets::Rows { values: vec![0.0; samples * outputs], width: outputs };
    let data = Dataset::from_rows(x.to_vec(), inputs, targets)?;
    let objective = Objective::new(&network, &data, Loss::HalfSquaredError)?;
    let hessian = objective.at(&theta)?.hessian().to_matrix()?;
    let trace = (0..theta.len()).map(|i| hessian[(i, i)]).sum();
    checks.compare("lin_trace", CLOSE, &Numbers::scalar(trace));
    checks.compare("lin_trace", CLOSE, &Numbers::scalar(report.trace()));
    checks.compare("lin_mls", CLOSE, &Numbers::scalar(report.mls()));
    let volume = report.log_volume(LogVolume::All)?;
    checks.compare("lin_logvol", Rule::Absolute(1e-12), &Numbers::scalar(volume));
    checks.compare("lin_localdim", CLOSE, &Numbers::scalar(report.local_dimension()?));
    Ok(())
}

/// The network 3-4-2 of two cases, with parameters from the file.
fn small(
    arrays: &Arrays,
    name: &str,
    activation: Activation,
) -> Result<(Network<f64>, Vec<f64>), Error> {
    let network = Architecture::perceptron(&[3, 4, 2], activation).build()?;
    let theta = shaped(arrays, name, &[network.parameter_count()])?.to_vec();
    Ok((network, theta))
}

/// All units off: no sensitivity, no volume, no dimension.
fn dead(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let (network, theta) = small(arrays, "dead_theta", Activation::Relu)?;
    let ([_, _], x) = arrays.with_axes::<2>("lin_X")?;
    let report = Geometry::of_rows(&network, &theta, x)?.run()?;
    checks.compare("dead_mls", Rule::Exact, &Numbers::scalar(report.mls()));
    let volumes = report.input.log_volumes(LogVolume::All)?;
    checks.compare("dead_logvol", Rule::Exact, &Numbers::vector(volumes));
    let dimensions = report.input.local_dimensions()?;
    checks.compare("dead_localdim", Rule::Exact, &Numbers::vector(dimensions));
    checks.compare("dead_S", CLOSE, &Numbers::scalar(report.trace()));
    Ok(())
}

/// One input is zero: the bounds say nothing, what they bound stays finite.
fn zero(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let (network, theta) = small(arrays, "zero_theta", Activation::Tanh)?;
    let ([_, _], x) = arrays.with_axes::<2>("zero_X")?;
    let report = Geometry::of_rows(&network, &theta, x)?.weight_norms().run()?;
    checks.compare("zero_mls", CLOSE, &Numbers::scalar(report.mls()));
    checks.compare("zero_quad", CLOSE, &Numbers::scalar(report.input.inverse_norm()));
    let chain = report.bounds(ConvBound::Untied)?.mls()?.values();
    checks.compare("zero_chain", CLOSE, &Numbers::vector(chain));
    Ok(())
}

/// Cross entropy of logits of ±1000, as those of a network that passes its inputs on.
fn large(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let ([rows, width], logits) = arrays.with_axes::<2>("big_logits")?;
    let one_hot = shaped(arrays, "big_onehot", &[rows, width])?;
    let network = Architecture::new([width]).dense(width, Activation::Identity).build::<f64>()?;
    let mut theta = vec![0.0; network.parameter_count()];
    (0..width).for_each(|i| theta[i * width + i] = 1.0);
    let dataset = |range: std::ops::Range<usize>| {
        let part = |all: &[f64]| all[range.start * width..range.end * width].to_vec();
        let targets = Targets::Rows { values: part(one_hot), width };
        Dataset::from_rows(part(logits), width, targets)
    };
    let data = dataset(0..rows)?;
    let objective = Objective::new(&network, &data, Loss::CrossEntropy)?;
    checks.compare("big_ce", CLOSE, &Numbers::scalar(objective.value(&theta)?));
    // The gradient in the bias is that in the logits, sample by sample.
    let mut gradient = Vec::new();
    for row in 0..rows {
        let data = dataset(row..row + 1)?;
        let objective = Objective::new(&network, &data, Loss::CrossEntropy)?;
        let point = objective.at(&theta)?;
        gradient.extend(point.gradient()[width * width..].iter().map(|g| g / rows as f64));
    }
    checks.compare("big_grad", CLOSE, &Numbers::matrix(rows, width, gradient));
    Ok(())
}

/// A kernel of one number on four positions, read by weights orthogonal to the input: the gradient of
/// the shared weight cancels.
fn shared(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let kernel = arrays.scalar("share_K")?;
    let (x, s) = (shaped(arrays, "share_x", &[4])?, shaped(arrays, "share_s", &[4])?);
    let initializer = Initializer::default();
    let network = Architecture::new([1, 2, 2])
        .layer(LayerSpec::Convolution {
            outputs: 1,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            activation: Activation::Identity,
            bias: false,
            initializer,
        })
        .flatten()
        .layer(LayerSpec::Dense {
            outputs: 1,
            activation: Activation::Identity,
            bias: false,
            initializer,
        })
        .build::<f64>()?;
    let theta = [&[kernel], s].concat();
    let report = Geometry::of_rows(&network, &theta, x)?.weight_norms().run()?;
    checks.compare("share_S", CLOSE, &Numbers::scalar(report.trace()));
    checks.compare("share_mls", CLOSE, &Numbers::scalar(report.mls()));
    checks.compare("share_nmls", CLOSE, &Numbers::scalar(report.nmls(OverLayers::Sum)?));
    let code = report.bounds(ConvBound::ReferenceCode)?;
    checks.compare("share_bound", CLOSE, &Numbers::scalar(code.nmls()?.rhs()));
    checks.compare("share_mls_bound", CLOSE, &Numbers::scalar(code.mls()?.rhs()));
    Ok(())
}

/// Eigenvalues that are there many times are found so many times.
fn degenerate(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let ([n, copies], q) = arrays.with_axes::<2>("two_value_Q")?;
    let (high, low) = (arrays.scalar("two_value_hi")?, arrays.scalar("two_value_lo")?);
    let q = MatRef::from_row_major_slice(q, n, copies);
    let product = q * q.transpose();
    let matrix =
        Mat::from_fn(n, n, |i, j| (high - low) * product[(i, j)] + if i == j { low } else { 0.0 });
    let operator = DenseOperator::new(matrix.as_ref())?;
    let pairs = Lanczos::new(&operator).largest(copies + 1).seed(0).run()?;
    let converged = pairs.status == Status::Converged;
    let farthest = |values: &[f64], from: f64| {
        let far = |a: f64, &b: &f64| if (b - from).abs() > (a - from).abs() { b } else { a };
        if converged { values.iter().fold(from, far) } else { f64::NAN }
    };
    let (copies, next) = pairs.values.split_at(copies);
    checks.compare("two_value_hi", Rule::Relative(1e-10), &Numbers::scalar(farthest(copies, high)));
    checks.compare("two_value_lo", Rule::Relative(1e-8), &Numbers::scalar(farthest(next, low)));
    Ok(())
}

/// The largest in size is negative: the largest three are found all the same, and so is that one.
fn negative(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let ([n], want) = arrays.with_axes::<1>("neg_eig")?;
    let u = MatRef::from_row_major_slice(shaped(arrays, "neg_U", &[n, n])?, n, n);
    let scaled = Mat::from_fn(n, n, |i, j| u[(i, j)] * want[j]);
    let product = &scaled * u.transpose();
    let matrix = Mat::from_fn(n, n, |i, j| 0.5 * (product[(i, j)] + product[(j, i)]));
    let operator = DenseOperator::new(matrix.as_ref())?;
    let mut values = eigenvalues(matrix.as_ref());
    // Both ends by Lanczos, where it matters which end is which.
    let ends = |which, count| Lanczos::new(&operator).which(which, count).seed(0).run();
    let top = ends(Which::Largest, 3.min(n))?;
    for (k, value) in top.values.iter().enumerate() {
        values[n - 1 - k] = *value;
    }
    values[0] = ends(Which::Smallest, 1)?.values[0];
    // In the order of the file.
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| want[i].total_cmp(&want[j]));
    let mut got = vec![0.0; n];
    order.iter().zip(values).for_each(|(&i, value)| got[i] = value);
    checks.compare("neg_eig", Rule::Relative(1e-10), &Numbers::vector(got));
    Ok(())
}

/// An entry of the reference that is known to be wrong: its place, its bits, and the right value.
type Correction = (usize, u64, f64);

/// Where the reference loses digits of the approximate GELU: entries of act_df that are off by more
/// than the tolerance, against 40 digits (mpmath), rounded.
const GELU_TANH_DF: [Correction; 2] = [
    (449, 0xbe0b_343e_2ef1_4ba7, -7.917349950752716e-10),
    (462, 0x3ff0_0000_0000_0093, 1.0000000000000266),
];

/// The same of act_ddf.
const GELU_TANH_DDF: [Correction; 7] = [
    (448, 0xbd5d_50cf_9575_e4dc, -3.3449568219820194e-13),
    (449, 0xbe3e_125e_e90e_92ea, -7.001550953638578e-09),
    (450, 0xbee5_376e_60e5_13d8, -1.0116828943005888e-05),
    (451, 0xbf58_70e7_fc24_4f19, -0.0014917626836693499),
    (460, 0xbee4_74ed_045a_8b4c, -9.754534497959949e-06),
    (461, 0xbe3c_9122_6459_6b4a, -6.651273507600257e-09),
    (462, 0xbd5a_c5aa_1504_76cd, -3.1232705077755226e-13),
];

/// φ, φ' and φ'' of every activation on a grid.
fn activations(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<(), Error> {
    let ([n], grid) = arrays.with_axes::<1>("act_z")?;
    let mut tables = [Vec::new(), Vec::new(), Vec::new()];
    for phi in ACTIVATIONS {
        let (mut z, mut d1, mut d2) = (grid.to_vec(), vec![0.0; n], vec![0.0; n]);
        let isa = Isa::current();
        activation::bias_activation_derivatives(isa, phi, None, &mut z, &mut d1, Some(&mut d2));
        for (table, row) in tables.iter_mut().zip([z, d1, d2]) {
            table.extend(row);
        }
    }
    let corrections: [&[Correction]; 3] = [&[], &GELU_TANH_DF, &GELU_TANH_DDF];
    let names = ["act_f", "act_df", "act_ddf"];
    for ((name, table), corrections) in names.into_iter().zip(tables).zip(corrections) {
        let table = Numbers::matrix(ACTIVATIONS.len(), n, table);
        checks.compare_corrected(name, Rule::Absolute(5e-15), &table, corrections);
    }
    Ok(())
}
