//! Files of recurrent networks with a linear readout.

use faer::Mat;
use hesse::Error;
use hesse::krylov::Trace;
use hesse::network::{Activation, Architecture, Dataset, Loss, Objective, Targets};

use super::about;
use super::curvature::{Case, LOSSES, code};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

/// h_t = tanh(W_hh h_{t−1} + W_xh x_t + b_h), y_t = W_o h_t + b_o: `dims` = [features, units,
/// outputs, steps, samples, whether y of all steps is the output], `theta` = W_hh, W_xh, b_h, W_o,
/// b_o.
pub(super) struct Recurrent;

/// Of everything but eigenvalues, relative to the largest entry.
const TOLERANCE: f64 = 1e-9;

/// More numbers than this in the Jacobians of all samples, and they are not made: 800 MB.
const MOST_NUMBERS: usize = 100_000_000;

impl Layout for Recurrent {
    fn name(&self) -> &'static str {
        "rnn"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["dims", "loss_code", "theta", "X", "Y"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&["V"]);
        let case = read(arrays)?;
        let compare = |checks: &mut Checks<'_>| {
            case.check(checks, arrays, TOLERANCE)?;
            jacobians(&case, checks)
        };
        compare(checks).map_err(|error| about(arrays, error))
    }
}

fn read(arrays: &Arrays) -> Result<Case<f64>, Failure> {
    let dims = arrays.counts("dims", 1 << 24)?;
    let [features, units, outputs, steps, samples, every] = dims[..] else {
        let message = format!("expected six numbers, got {}", dims.len());
        return Err(arrays.wrong("dims", message).into());
    };
    if every > 1 {
        let message = format!("expected 0 or 1 as the last number, got {every}");
        return Err(arrays.wrong("dims", message).into());
    }
    let recurrent = (units + features + 1).saturating_mul(units);
    let expected = recurrent.saturating_add((units + 1).saturating_mul(outputs));
    let theta = &arrays.get("theta")?.values;
    if theta.len() != expected {
        let message = format!("expected {expected} parameters, got {}", theta.len());
        return Err(arrays.wrong("theta", message).into());
    }
    let loss = code(arrays, "loss_code", &LOSSES)?;
    let (shape, x) = arrays.with_axes::<3>("X")?;
    if shape != [samples, steps, features] {
        let message = format!("expected shape {:?}, got {shape:?}", [samples, steps, features]);
        return Err(arrays.wrong("X", message).into());
    }
    let width = if every == 1 { steps * outputs } else { outputs };
    let (shape, y) = arrays.with_axes::<2>("Y")?;
    if shape != [samples, width] {
        let message = format!("expected shape {:?}, got {shape:?}", [samples, width]);
        return Err(arrays.wrong("Y", message).into());
    }
    let build = || {
        let network = Architecture::new([steps, features])
            .recurrent(units, Activation::Tanh, every == 1)
            .dense(outputs, Activation::Identity)
            .build()?;
        let targets = Targets::Rows { values: y.to_vec(), width };
        let data = Dataset::from_rows(x.to_vec(), steps * features, targets)?;
        Ok(Case { network, data, loss, theta: theta.clone() })
    };
    build().map_err(|error| about(arrays, error))
}

/// Compares the Jacobians of the outputs: S in all parameters, J_sv and mls in the input sequence.
fn jacobians(case: &Case<f64>, checks: &mut Checks<'_>) -> Result<(), Error> {
    let Case { network, data, theta, .. } = case;
    let (samples, inputs, outputs) = (data.len(), network.inputs(), network.outputs());
    let rule = Rule::Relative(TOLERANCE);
    if !checks.wants(&["S", "J_sv", "mls"]) {
        return Ok(());
    }
    // Of the raw outputs, whatever the loss of the file.
    let targets = Targets::Rows { values: vec![0.0; samples * outputs], width: outputs };
    let raw = Dataset::from_rows(data.inputs().to_vec(), inputs, targets)?;
    let objective = Objective::new(network, &raw, Loss::HalfSquaredError)?;
    let point = objective.at(theta)?;

    if checks.wants(&["S"]) {
        // (1/n) Σ ‖∂f/∂θ‖², the trace of the Gauss-Newton matrix of half the squared error.
        let trace = Trace::exact().run(&point.gauss_newton())?;
        checks.compare("S", rule, &Numbers::scalar(trace.value));
    }

    let each = outputs.saturating_mul(inputs);
    if samples.saturating_mul(each) > MOST_NUMBERS {
        checks.not_recomputed(&["J_sv", "mls"]);
        return Ok(());
    }
    let mut jacobians = vec![Mat::<f64>::zeros(outputs, inputs); samples];
    for output in 0..outputs {
        let mut cotangents = vec![0.0; samples * outputs];
        cotangents.iter_mut().skip(output).step_by(outputs).for_each(|x| *x = 1.0);
        let rows = point.transposed_input_jacobian_product(&cotangents)?;
        for (jacobian, row) in jacobians.iter_mut().zip(rows.chunks_exact(inputs)) {
            row.iter().enumerate().for_each(|(i, &x)| jacobian[(output, i)] = x);
        }
    }
    let rank = outputs.min(inputs);
    let values: Vec<f64> = jacobians.iter().flat_map(singular_values).collect();
    let largest = values.iter().step_by(rank);
    let mean = largest.sum::<f64>() / samples as f64;
    checks.compare("J_sv", rule, &Numbers::matrix(samples, rank, values));
    checks.compare("mls", rule, &Numbers::scalar(mean));
    Ok(())
}

/// Descending; NaN if the matrix is not finite.
fn singular_values(matrix: &Mat<f64>) -> Vec<f64> {
    let rank = matrix.nrows().min(matrix.ncols());
    matrix.singular_values().unwrap_or_else(|_| vec![f64::NAN; rank])
}
