//! `G`: which step sizes a minimum without residuals tolerates.

use hesse::Result;
use hesse::credit::{Block, Rule, Stability, States};
use hesse::krylov::BlockOf;

use super::network::{Case, DESCRIPTION, GRADIENT, PRODUCT, about, compare, entries, matrix};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule as Close};

/// The layout.
pub(super) struct Theorem;

/// Of each residual on its way to or from the minimum.
const RESIDUAL: Close = Close::Relative(1e-6);

impl Layout for Theorem {
    fn name(&self) -> &'static str {
        "theorem"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["G"]
    }

    fn marks(&self) -> &'static [&'static str] {
        &["W", "U", "b", "O", "c", "x", "target", "J", "J_trunc"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> std::result::Result<(), Failure> {
        let arrays = checks.inputs(&DESCRIPTION);
        checks.inputs(&["perturbation"]);
        compute(checks, arrays).map_err(|error| about(arrays, error))
    }
}

fn compute(checks: &mut Checks<'_>, arrays: &Arrays) -> Result<()> {
    let case = Case::read(arrays, ["W", "U", "b", "O", "c"])?;
    let rule = Rule::three_factor();
    let of = Stability::new(&case.rnn, &case.theta, &case.data, &rule)?;
    compare(checks, arrays, "J", GRADIENT, &of.jacobian);
    compare(checks, arrays, "J_trunc", GRADIENT, &of.rule_jacobian);
    compare(checks, arrays, "lambda_exact", GRADIENT, &of.exact);
    let real: Vec<f64> = of.rule.iter().map(|mu| mu.re).collect();
    let imaginary: Vec<f64> = of.rule.iter().map(|mu| mu.im).collect();
    compare(checks, arrays, "eig_trunc_re", GRADIENT, &real);
    // To the largest eigenvalue: zeros are zeros to its rounding.
    let size = real.iter().zip(&imaginary).map(|(re, im)| re.hypot(*im)).fold(0.0, f64::max);
    let absolute = Close::Absolute(GRADIENT.tolerance() * size);
    compare(checks, arrays, "eig_trunc_im", absolute, &imaginary);
    let first = |values: &[f64]| values.first().copied().unwrap_or(f64::NAN);
    let [rho, limits @ ..] = [of.rho, of.exact_limit, of.rule_limit].map(|x| x.unwrap_or(f64::NAN));
    compare(checks, arrays, "rho", GRADIENT, &[rho]);
    compare(checks, arrays, "lambda1", GRADIENT, &[first(&of.exact)]);
    compare(checks, arrays, "lambda_hat", GRADIENT, &[first(&real)]);
    if checks.wants(&["hessW"]) {
        let network = case.rnn.network(case.data.steps(), false)?;
        let objective = case.data.objective(&network)?;
        let point = objective.at(&case.theta)?;
        let block = BlockOf::new::<f64>(point.hessian(), case.rnn.block(Block::Recurrent))?;
        compare(checks, arrays, "hessW", PRODUCT, &entries(&matrix(&block)));
    }
    for ((name, rule), limit) in
        [("bptt", Rule::Bptt), ("three_factor", rule)].into_iter().zip(limits)
    {
        for (side, factor) in [("below", 0.9), ("above", 1.1)] {
            let eta = format!("eta_{name}_{side}");
            compare(checks, arrays, &eta, GRADIENT, &[factor * limit]);
            let residual = format!("residual_{name}_{side}");
            if let Some(want) = arrays.numbers.get(&residual) {
                let count = want.values.len();
                let got = residuals(&case, arrays, &rule, arrays.scalar(&eta)?, count)?;
                // Each to itself: the last ones below the limit are 10⁻³ of the first.
                let scales = checks.magnitudes(&residual);
                checks.compare_scaled(&residual, RESIDUAL, &Numbers::vector(got), &scales);
            }
        }
    }
    Ok(())
}

/// y_T − y* along descent in W alone, from W and the perturbation.
fn residuals(
    case: &Case,
    arrays: &Arrays,
    rule: &Rule<f64>,
    eta: f64,
    count: usize,
) -> Result<Vec<f64>> {
    let w = case.rnn.block(Block::Recurrent);
    let mut theta = case.theta.clone();
    let perturbation = &arrays.get("perturbation")?.values;
    theta[w.clone()].iter_mut().zip(perturbation).for_each(|(x, d)| *x += d);
    let target = arrays.scalar("target")?;
    let mut residuals = Vec::new();
    for _ in 0..count {
        let states = States::new(&case.rnn, &theta, &case.data)?;
        residuals.push(states.outputs().last().copied().unwrap_or(f64::NAN) - target);
        let gradient = states.gradient(rule)?;
        let moved = theta[w.clone()].iter_mut().zip(&gradient[w.clone()]);
        moved.for_each(|(x, g)| *x -= eta * g);
    }
    Ok(residuals)
}
