//! Files of multilayer perceptrons, those on digits among them.

use hesse::Real;
use hesse::krylov::LinearOperator;
use hesse::network::{Activation, Architecture, Dataset, Objective, Targets};

use super::about;
use super::curvature::{Case, LOSSES, code, columns};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

/// Outputs of the feature space (Jacobians of the outputs in the inputs, and bounds made of them).
const FEATURE_SPACE: &[&str] = &[
    "J_fro",
    "J_fro2_mean",
    "J_logvol",
    "J_smax",
    "J_sv",
    "S",
    "S_W",
    "S_b",
    "W_fro",
    "W_spec",
    "adapt_G",
    "adapt_G_W1",
    "adapt_H",
    "chain",
    "gradW_fro2",
    "gradb_fro2",
    "harm",
    "harm_eps",
    "iimls_bound",
    "iimls_dir",
    "iimls_elem",
    "in_norm",
    "lnorm_sharp",
    "local_dim",
    "local_dim_mean",
    "logvol3_mean",
    "logvol_mean",
    "ma_ying",
    "mls",
    "n_geometry",
    "nmls",
    "nmls_bound",
    "nmls_bound_eps",
    "nmls_bound_weights",
    "nonuniformity",
    "norm_mls",
    "nvr",
    "nvr_bound",
    "nvr_bound_layers",
    "quad",
    "relflat_G",
    "relflat_H",
    "relflat_maxeig",
    "vol_chain",
    "vol_rank",
];

/// Multilayer perceptrons: `sizes`, `act_code`, `loss_code`, `theta` and samples.
pub(super) struct Perceptron {
    pub(super) name: &'static str,
    pub(super) inputs: &'static str,
    pub(super) targets: &'static str,
    /// Of everything but eigenvalues, relative to the largest entry.
    pub(super) tolerance: f64,
}

impl Layout for Perceptron {
    fn name(&self) -> &'static str {
        self.name
    }

    fn marks(&self) -> &'static [&'static str] {
        match self.targets {
            "labels" => &["sizes", "act_code", "loss_code", "theta", "X_u8", "labels"],
            _ => &["sizes", "act_code", "loss_code", "theta", "X", "Y"],
        }
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["V"]);
        let case = Case::<f64>::read(arrays, self.inputs, self.targets)?;
        checks.not_recomputed(FEATURE_SPACE);
        case.check(checks, arrays, self.tolerance).map_err(|error| about(arrays, error))
    }
}

/// The gradient and, column by column, the Hessian products with `V` of the `mlp_*` file `arrays`,
/// computed in `T`.
///
/// # Errors
/// Inputs that are missing or wrong.
pub fn gradient_and_products<T: Real>(arrays: &Arrays) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let case = Case::<T>::read(arrays, "X", "Y")?;
    let compute = || {
        let objective = Objective::new(&case.network, &case.data, case.loss)?;
        let point = objective.at(&case.theta)?;
        let v = columns::<T>(arrays, "V", case.theta.len())?;
        let mut hv = vec![T::ZERO; v.len()];
        point.hessian().apply_block(&v, &mut hv);
        let f64s = |values: &[T]| values.iter().map(|x| x.to_f64()).collect();
        Ok((f64s(point.gradient()), f64s(&hv)))
    };
    compute().map_err(|error| about(arrays, error))
}

impl<T: Real> Case<T> {
    fn read(arrays: &Arrays, inputs: &str, targets: &str) -> Result<Self, Failure> {
        let sizes = arrays.counts("sizes", 1 << 24)?;
        let [first, .., last] = sizes[..] else {
            return Err(arrays.wrong("sizes", "expected at least two widths, got fewer").into());
        };
        let layers = sizes.windows(2).map(|w| (w[0] + 1).saturating_mul(w[1]));
        let expected = layers.fold(0, usize::saturating_add);
        let theta = &arrays.get("theta")?.values;
        if theta.len() != expected {
            let message = format!("expected {expected} parameters, got {}", theta.len());
            return Err(arrays.wrong("theta", message).into());
        }
        let activation = code(arrays, "act_code", &ACTIVATIONS)?;
        let loss = code(arrays, "loss_code", &LOSSES)?;
        let ([n, width], x) = arrays.with_axes::<2>(inputs)?;
        if width != first {
            let message = format!("expected {first} columns, got {width}");
            return Err(arrays.wrong(inputs, message).into());
        }
        let real = |values: &[f64]| values.iter().map(|&x| T::from_f64(x)).collect::<Vec<T>>();
        let (x, targets) = if targets == "labels" {
            let labels = arrays.counts(targets, last.saturating_sub(1))?;
            (x.iter().map(|x| T::from_f64(x / 16.0)).collect(), Targets::Classes(labels))
        } else {
            let ([rows, width], y) = arrays.with_axes::<2>(targets)?;
            if (rows, width) != (n, last) {
                let message = format!("expected shape {:?}, got {:?}", [n, last], [rows, width]);
                return Err(arrays.wrong(targets, message).into());
            }
            (real(x), Targets::Rows { values: real(y), width })
        };
        let build = || {
            Ok(Self {
                network: Architecture::perceptron(&sizes, activation).build()?,
                data: Dataset::from_rows(x, first, targets)?,
                loss,
                theta: real(theta),
            })
        };
        build().map_err(|error| about(arrays, error))
    }
}

/// By their codes. The rectifier has derivative 0 at 0 in the files as here.
const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Relu,
    Activation::Softplus,
    Activation::GeluTanh,
];
