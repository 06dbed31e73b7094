//! `A`, `B`, `C`, `D`, `I`: one network with states, gradients under every rule, alignments, Hessians.

use hesse::Result;
use hesse::credit::{
    Alignment, BackWeights, Block, CellTypes, Decay, Eligibility, Feedback, OnlineDescent,
    Propagation, Rule, States,
};
use hesse::faer::Side;
use hesse::krylov::{BlockOf, LinearOperator, Sum};

use super::network::{
    Case, DESCRIPTION, EIGENVALUE, GRADIENT, PRODUCT, STATE, about, compare, entries, gradient,
    matrix, types,
};
use crate::failure::Failure;
use crate::validate::flatness::eigenvalues;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule as Close};

/// The layout.
pub(super) struct Rules;

/// Of means of weights.
const MEAN: Close = Close::Relative(1e-13);

/// Eigenvalues nearer than this share of the largest count as one; their vectors are compared as a
/// space.
const CLUSTER: f64 = 1e-6;

/// Of eigenvectors: rounding of products over [`CLUSTER`].
const VECTOR: Close = Close::Absolute(1e-8);

/// More parameters than this, and no full matrix is made: 128 MB.
const MOST_PARAMETERS: usize = 4000;

/// Bytes that influence matrices may take.
const MOST_BYTES: usize = 1 << 30;

impl Layout for Rules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["A", "B", "C", "D", "I"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &[
            "W",
            "U",
            "b",
            "O",
            "c",
            "x",
            "target",
            "FB",
            "types",
            "bptt_dW",
            "align_cos_rho_normratio",
        ]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&DESCRIPTION);
        checks.inputs(&["align_names", "probe", "online_eta"]);
        // Marks that are outputs, and so compared.
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let case = Case::read(arrays, ["W", "U", "b", "O", "c"])?;
    let (rnn, types) = (&case.rnn, types(arrays)?);
    let states = States::new(rnn, &case.theta, &case.data)?;
    compare(checks, arrays, "loss", STATE, &[states.loss()]);
    for (name, got) in [("V", states.voltages()), ("H", states.rates()), ("Y", states.outputs())] {
        compare(checks, arrays, name, STATE, got);
    }
    let fixed = Feedback::Fixed(arrays.get("FB")?.values.clone());
    for (name, feedback) in [("g_sym", &Feedback::Symmetric), ("g_fb", &fixed)] {
        compare(checks, arrays, name, STATE, &states.learning_signal(feedback)?);
    }
    let w = case.weights();
    for (name, gated) in [("Wbar_mean", false), ("Wbar_gated", true)] {
        compare(checks, arrays, name, MEAN, &types.block_means(&w, gated)?);
    }
    let exact = states.gradient(&Rule::Bptt)?;
    gradient(checks, arrays, rnn, "bptt_", &exact);
    let rule = |name: &str| named(name, arrays, &types, &fixed);
    for name in NAMES {
        if checks.wants(
            &["dW", "dU", "db"]
                .map(|block| format!("{name}_{block}"))
                .each_ref()
                .map(String::as_str),
        ) {
            let got = states.gradient(&rule(name)?)?;
            gradient(checks, arrays, rnn, &format!("{name}_"), &got);
        }
    }
    if checks.wants(&["eligibility_final"]) {
        let mut online = Eligibility::new(rnn, Feedback::Symmetric, case.data.samples())?;
        for t in 0..case.data.steps() {
            online.advance(&case.theta, &at(&case, t))?;
        }
        compare(checks, arrays, "eligibility_final", GRADIENT, &online.traces(0)?);
    }
    if let Some(names) = arrays.texts.get("align_names") {
        let block = rnn.block(Block::Recurrent);
        let mut table = Vec::new();
        for name in names {
            let got = states.gradient(&rule(name)?)?;
            let of = Alignment::between(&exact[block.clone()], &got[block.clone()])?;
            table.extend([of.cosine, of.rho, of.norm_ratio].map(|x| x.unwrap_or(f64::NAN)));
        }
        checks.compare(
            "align_cos_rho_normratio",
            GRADIENT,
            &Numbers::matrix(names.len(), 3, table),
        );
    }
    online(checks, arrays, &case, &fixed)?;
    curvature(checks, arrays, &case)
}

/// Rules in the files, beside BPTT.
const NAMES: [&str; 13] = [
    "rtrl",
    "three_factor",
    "eprop_random",
    "mdgl_cell",
    "mdgl_type_gated",
    "mdgl_type_mean",
    "modprop_code_cell",
    "modprop_code_type",
    "modprop_taps_cell",
    "modprop_taps_type",
    "modprop_taps3_cell",
    "modprop_taps3_type",
    "snap1",
];

/// The rule that the files call `name`.
pub(super) fn named(
    name: &str,
    arrays: &Arrays,
    types: &CellTypes,
    fixed: &Feedback<f64>,
) -> Result<Rule<f64>> {
    let weights = match name.rsplit('_').next() {
        Some("type" | "mean") => BackWeights::TypeMean(types.clone()),
        Some("gated") => BackWeights::TypeMeanGated(types.clone()),
        _ => BackWeights::Exact,
    };
    let modprop = |propagation| -> Result<Rule<f64>> {
        let mu = arrays.scalar("cfg_mu")?;
        Ok(Rule::ModProp { mu, weights: weights.clone(), propagation })
    };
    match name {
        "bptt" => Ok(Rule::Bptt),
        "rtrl" => Ok(Rule::Rtrl { memory_limit: MOST_BYTES }),
        "three_factor" => Ok(Rule::three_factor()),
        "eprop_random" => Ok(Rule::ThreeFactor { feedback: fixed.clone() }),
        "snap1" => Ok(Rule::SnAp1),
        _ if name.starts_with("mdgl_") => Ok(Rule::Mdgl { weights }),
        _ if name.starts_with("modprop_code_") => modprop(Propagation::Code),
        _ if name.starts_with("modprop_taps_") => modprop(Propagation::Taps { hops: None }),
        _ if name.starts_with("modprop_taps3_") => modprop(Propagation::Taps { hops: Some(3) }),
        _ => {
            Err(arrays.wrong("align_names", format!("expected rules that are known, got {name:?}")))
        }
    }
}

/// Inputs of all samples at one step.
fn at(case: &Case, t: usize) -> Vec<f64> {
    let (width, steps) = (case.data.features(), case.data.steps());
    let rows = case.data.inputs().chunks_exact(width).skip(t).step_by(steps);
    rows.flatten().copied().collect()
}

/// RFLO: a change of weights after every step of the first sample.
fn online(
    checks: &mut Checks<'_>,
    arrays: &Arrays,
    case: &Case,
    fixed: &Feedback<f64>,
) -> Result<()> {
    if !checks.wants(&["online_W", "online_U", "online_O", "online_Y"]) {
        return Ok(());
    }
    let (rnn, width) = (&case.rnn, case.rnn.outputs());
    let rate = arrays.scalar("online_eta")?;
    let mut online = OnlineDescent::new(rnn, fixed.clone(), &case.theta, rate)?;
    let target = &arrays.get("target")?.values;
    let mut outputs = Vec::new();
    for (t, target) in target.chunks_exact(width).take(case.data.steps()).enumerate() {
        outputs.extend(online.step(&at(case, t)[..case.data.features()], target)?);
    }
    compare(checks, arrays, "online_Y", GRADIENT, &outputs);
    let blocks =
        [(Block::Recurrent, "online_W"), (Block::Input, "online_U"), (Block::Readout, "online_O")];
    for (block, name) in blocks {
        compare(checks, arrays, name, GRADIENT, &online.parameters()[rnn.block(block)]);
    }
    Ok(())
}

/// Hessian products, the Hessian of W and of all parameters, their spectra and leading vectors.
fn curvature(checks: &mut Checks<'_>, arrays: &Arrays, case: &Case) -> Result<()> {
    let names =
        ["hvp", "hessW", "hessW_eigvals", "hessW_top_vecs", "hess_full", "hess_full_eigvals"];
    if !checks.wants(&names) {
        return Ok(());
    }
    let rnn = &case.rnn;
    let network = rnn.network(case.data.steps(), case.data.target().at_each_step())?;
    let objective = case.data.objective(&network)?;
    let point = objective.at(&case.theta)?;
    let decay = Decay::new(rnn, case.l2)?;
    let hessian = Sum::new::<f64>(point.hessian(), decay.hessian()?)?;
    if checks.wants(&["hvp"]) {
        let ([_, n], probe) = arrays.with_axes::<2>("probe")?;
        if n != case.theta.len() {
            let message = format!("expected rows of {}, got {n}", case.theta.len());
            return Err(arrays.wrong("probe", message));
        }
        let mut products = vec![0.0; probe.len()];
        hessian.apply_block(probe, &mut products);
        compare(checks, arrays, "hvp", PRODUCT, &products);
    }
    if checks.wants(&["hess_full", "hess_full_eigvals"]) {
        if case.theta.len() > MOST_PARAMETERS {
            checks.not_recomputed(&["hess_full", "hess_full_eigvals"]);
        } else {
            let full = matrix(&hessian);
            compare(checks, arrays, "hess_full", PRODUCT, &entries(&full));
            compare(checks, arrays, "hess_full_eigvals", EIGENVALUE, &eigenvalues(full.as_ref()));
        }
    }
    let block = BlockOf::new::<f64>(hessian, rnn.block(Block::Recurrent))?;
    let names = ["hessW", "hessW_eigvals", "hessW_top_vecs"];
    if !checks.wants(&names) {
        return Ok(());
    }
    if LinearOperator::<f64>::dimension(&block) > MOST_PARAMETERS {
        checks.not_recomputed(&names);
        return Ok(());
    }
    let of_w = matrix(&block);
    compare(checks, arrays, "hessW", PRODUCT, &entries(&of_w));
    let values = eigenvalues(of_w.as_ref());
    compare(checks, arrays, "hessW_eigvals", EIGENVALUE, &values);
    if !checks.wants(&["hessW_top_vecs"]) {
        return Ok(());
    }
    // Signs are arbitrary, and so are directions within a cluster: what is compared is the part of each
    // vector in the space of its own eigenvalue.
    let ([n, count], vectors) = arrays.with_axes::<2>("hessW_top_vecs")?;
    let Ok(eigen) = of_w.self_adjoint_eigen(Side::Lower) else {
        checks.not_recomputed(&["hessW_top_vecs"]);
        return Ok(());
    };
    let size = values.iter().fold(0.0, |m: f64, x| if x.abs() > m { x.abs() } else { m });
    let (q, lambda) = (eigen.U(), eigen.S().column_vector());
    let mut got = vec![0.0; vectors.len()];
    for k in 0..count.min(values.len()) {
        let own = values[values.len() - 1 - k];
        for j in (0..lambda.nrows()).filter(|&j| (lambda[j] - own).abs() <= CLUSTER * size) {
            let share: f64 =
                (0..n.min(q.nrows())).map(|i| q[(i, j)] * vectors[i * count + k]).sum();
            (0..n.min(q.nrows())).for_each(|i| got[i * count + k] += share * q[(i, j)]);
        }
    }
    compare(checks, arrays, "hessW_top_vecs", VECTOR, &got);
    Ok(())
}
