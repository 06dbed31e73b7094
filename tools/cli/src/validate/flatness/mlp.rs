//! Files of multilayer perceptrons, those on digits among them.

use hesse::flatness::Geometry;
use hesse::krylov::LinearOperator;
use hesse::network::{Architecture, Dataset, Objective, Targets};
use hesse::{Error, Real};

use super::about;
use super::curvature::{ACTIVATIONS, Case, LOSSES, code, columns};
use super::feature_space::{bounds, invariants, measures};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout};

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
        let arrays = checks.inputs(&["V", "n_geometry"]);
        let case = Case::<f64>::read(arrays, self.inputs, self.targets)?;
        let samples = seen(arrays, case.data.len())?;
        let mut compute = || {
            case.check(checks, arrays, self.tolerance)?;
            let inputs = &case.data.inputs()[..samples * case.data.features()];
            let report = Geometry::of_rows(&case.network, &case.theta, inputs)?;
            let report = report.weight_norms().run()?;
            measures(checks, &report, self.tolerance)?;
            bounds(checks, &report, self.tolerance)?;
            invariants(&case, checks, &report, self.tolerance)
        };
        compute().map_err(|error| about(arrays, error))
    }
}

/// Samples that feature space was looked at for: the first `n_geometry`, or all.
fn seen(arrays: &Arrays, samples: usize) -> Result<usize, Error> {
    if !arrays.numbers.contains_key("n_geometry") {
        return Ok(samples);
    }
    match arrays.counts("n_geometry", samples)?[..] {
        [seen] if seen > 0 => Ok(seen),
        _ => Err(arrays.wrong("n_geometry", format!("expected one number from 1 to {samples}"))),
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
