//! What the files of rate networks have in common: the network, its parameters and its data.

use hesse::credit::{Block, CellTypes, Leak, RateRnn, Sequences, Target};
use hesse::faer::Mat;
use hesse::krylov::LinearOperator;
use hesse::network::Activation;
use hesse::{Error, Result};

use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Numbers, Rule};

/// Of states and losses.
pub(super) const STATE: Rule = Rule::Relative(1e-12);
/// Of gradients.
pub(super) const GRADIENT: Rule = Rule::Relative(1e-10);
/// Of Hessian products.
pub(super) const PRODUCT: Rule = Rule::Relative(1e-9);
/// Of eigenvalues.
pub(super) const EIGENVALUE: Rule = Rule::Relative(1e-8);

/// Arrays that describe how a file was drawn and how large it is; sizes are those of its arrays.
pub(super) const DESCRIPTION: [&str; 21] = [
    "cfg_N",
    "cfg_n_in",
    "cfg_n_out",
    "cfg_T",
    "cfg_B",
    "cfg_act",
    "cfg_a",
    "cfg_kappa",
    "cfg_loss",
    "cfg_l2",
    "cfg_autapse",
    "cfg_bias",
    "cfg_leak",
    "cfg_n_types",
    "cfg_frac_inh",
    "cfg_mu",
    "cfg_seed",
    "cfg_gain",
    "cfg_dale",
    "cfg_density",
    "cfg_task",
];

const ACTIVATIONS: [(&str, Activation); 4] = [
    ("tanh", Activation::Tanh),
    ("relu", Activation::Relu),
    ("identity", Activation::Identity),
    ("softplus", Activation::Softplus),
];

/// More units than any file of full Hessians has.
const MOST: usize = 1 << 24;

pub(super) fn about(arrays: &Arrays, error: Error) -> Failure {
    match error {
        // It names the file itself.
        Error::Format { .. } => error.into(),
        error => Failure::input(format!("{}: {error}", arrays.file)),
    }
}

/// A network with its data.
pub(super) struct Case {
    pub(super) rnn: RateRnn,
    pub(super) theta: Vec<f64>,
    pub(super) data: Sequences<f64>,
    pub(super) l2: f64,
}

impl Case {
    /// The network that `cfg_*` describe, with W, U, b, O and c under `names`.
    pub(super) fn read(arrays: &Arrays, names: [&str; 5]) -> Result<Self> {
        let of = ACTIVATIONS.map(|(name, _)| name);
        let activation = ACTIVATIONS[arrays.text("cfg_act", &of)?].1;
        let leak = match arrays.text("cfg_leak", &["voltage", "rate"])? {
            0 => Leak::Voltage(arrays.get("cfg_a")?.values.clone()),
            _ => Leak::Rate(arrays.get("cfg_a")?.values.clone()),
        };
        let flag = |name: &str| Ok::<_, Error>(arrays.counts(name, 1)? == [1]);
        let ([units, inputs], _) = arrays.with_axes::<2>(names[1])?;
        let ([outputs, _], _) = arrays.with_axes::<2>(names[3])?;
        let rnn = RateRnn::new(inputs, units, outputs, activation, leak)?
            .readout_filter(arrays.scalar("cfg_kappa")?)?
            .autapses(flag("cfg_autapse")?);
        let mut theta = Vec::new();
        for name in names {
            theta.extend_from_slice(&arrays.get(name)?.values);
        }
        if theta.len() != rnn.parameter_count() {
            let message =
                format!("expected {} parameters, got {}", rnn.parameter_count(), theta.len());
            return Err(arrays.wrong(&names.join(", "), message));
        }
        let target = match arrays.text("cfg_loss", &["mse_all", "mse_last", "ce_last", "ce_all"])? {
            0 => Target::ValuesAtEachStep(arrays.get("target")?.values.clone()),
            1 => Target::ValuesAtEnd(arrays.get("target")?.values.clone()),
            2 => Target::ClassAtEnd(arrays.counts("target", outputs)?),
            _ => Target::ClassAtEachStep(arrays.counts("target", outputs)?),
        };
        let data = sequences(arrays, "x", target)?;
        Ok(Self { rnn, theta, data, l2: arrays.scalar("cfg_l2")? })
    }

    /// W as it counts.
    pub(super) fn weights(&self) -> Vec<f64> {
        let mut w = self.theta[self.rnn.block(Block::Recurrent)].to_vec();
        if !self.rnn.has_autapses() {
            w.iter_mut().step_by(self.rnn.units() + 1).for_each(|w| *w = 0.0);
        }
        w
    }
}

/// Sequences of shape samples × steps × inputs.
pub(super) fn sequences(
    arrays: &Arrays,
    name: &str,
    target: Target<f64>,
) -> Result<Sequences<f64>> {
    let (shape, x) = arrays.with_axes::<3>(name)?;
    Sequences::new(x.to_vec(), shape, target)
}

/// The types of neurons in the array `types`.
pub(super) fn types(arrays: &Arrays) -> Result<CellTypes> {
    CellTypes::new(arrays.counts("types", MOST)?)
}

/// Compares an output as it is, in the shape that the file has for as many numbers: [t][b][i].
pub(super) fn compare(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    name: &str,
    rule: Rule,
    got: &[f64],
) {
    let Some(want) = arrays.numbers.get(name) else { return };
    let shape = match want.values.len() == got.len() {
        true => want.shape.clone(),
        false => vec![got.len()],
    };
    checks.compare(name, rule, &Numbers { shape, values: got.to_vec() });
}

/// Compares the blocks W, U, b, O and c of a gradient as PREFIXdW, …
pub(super) fn gradient(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    rnn: &RateRnn,
    prefix: &str,
    got: &[f64],
) {
    let blocks = [
        (Block::Recurrent, "dW"),
        (Block::Input, "dU"),
        (Block::Bias, "db"),
        (Block::Readout, "dO"),
        (Block::ReadoutBias, "dc"),
    ];
    for (block, name) in blocks {
        compare(checks, arrays, &format!("{prefix}{name}"), GRADIENT, &got[rnn.block(block)]);
    }
}

/// A symmetric operator as a matrix, from products with unit vectors.
pub(super) fn matrix(operator: &impl LinearOperator<f64>) -> Mat<f64> {
    let n = operator.dimension();
    let mut unit = vec![0.0; n * n];
    unit.iter_mut().step_by(n + 1).for_each(|x| *x = 1.0);
    let mut columns = vec![0.0; n * n];
    operator.apply_block(&unit, &mut columns);
    Mat::from_fn(n, n, |i, j| 0.5 * (columns[j * n + i] + columns[i * n + j]))
}

/// The entries of a matrix, row-major.
pub(super) fn entries(matrix: &Mat<f64>) -> Vec<f64> {
    let n = matrix.ncols();
    (0..matrix.nrows() * n).map(|e| matrix[(e / n, e % n)]).collect()
}
