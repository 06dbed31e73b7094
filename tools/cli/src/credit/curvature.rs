//! `hesse credit curvature`: the spectrum's ends and the alignment of rules at one θ.

use std::path::PathBuf;

use hesse::credit::{Alignment, Block, Curvature, Decay, Eigensolver, States};
use hesse::io::{Archive, Array, Format};
use hesse::network::Parameters;
use hesse::{Error, Result};
use serde::Serialize;

use super::problem::{NetworkArguments, Problem, TaskArguments};
use super::rules::{RuleArguments, RuleName};
use crate::failure::{Failure, Verdict};
use crate::figure::Figure;
use crate::output::{Output, to_json};
use crate::table::Table;
use crate::units::three;

/// Measure curvature, and how far each rule steps along the gradient
///
/// Prints the largest and smallest eigenvalue of the Hessian of the exact loss in W, with residuals, and
/// for each rule the cosine of its update of W with the gradient, ρ, and 2/(ρλ₁): the learning rate up
/// to which a minimum as sharp as this place would attract it. With --out, writes curvature.json,
/// curvature.npz and alignment.svg.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    task: TaskArguments,
    #[command(flatten)]
    network: NetworkArguments,
    #[command(flatten)]
    rule_arguments: RuleArguments,
    /// Parameters, as hesse credit train writes them; by default those that a training starts from
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// Rules
    #[arg(long, value_name = "RULES", value_delimiter = ',')]
    #[arg(default_value = "bptt,three-factor,mdgl,modprop,snap1")]
    rules: Vec<RuleName>,
    /// Print λ₁ η/2 for this learning rate
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Residual relative to the eigenvalue
    #[arg(long, value_name = "TOL", default_value_t = 1e-8, allow_negative_numbers = true)]
    tolerance: f64,
    /// End the search for eigenvalues after this many products
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_products: usize,
    /// Seed of first weights, feedback, noise and the search
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
}

/// What is printed and written.
#[derive(Debug, Serialize)]
struct Summary {
    loss: f64,
    largest_eigenvalue: f64,
    smallest_eigenvalue: Option<f64>,
    residuals: [f64; 2],
    products: usize,
    converged: bool,
    edge: Option<f64>,
    rules: Vec<Row>,
}

/// One rule.
#[derive(Debug, Serialize)]
struct Row {
    rule: String,
    cosine: Option<f64>,
    rho: Option<f64>,
    orthogonal_ratio: Option<f64>,
    /// 2/(ρλ₁), where both are positive.
    largest_rate: Option<f64>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> std::result::Result<Verdict, Failure> {
    let problem = Problem::new(&arguments.task, &arguments.network)?;
    let theta = parameters(arguments, &problem)?;
    if let Some(rate) = arguments.learning_rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
        let expected = "a positive finite number";
        return Err(Error::range("--learning-rate", expected, rate).into());
    }
    let decay = Decay::new(&problem.rnn, problem.l2)?;
    let (tolerance, max_products) = (arguments.tolerance, arguments.max_products);
    let ends = Curvature::new(&problem.rnn, &problem.train, &decay)?
        .solver(Eigensolver::Lanczos { tolerance, max_products })?
        .seed(arguments.seed)
        .memory_budget(problem.memory_budget)
        .at(&theta)?;
    let (loss, rules) = rules(arguments, &problem, &theta, ends.largest)?;
    let summary = Summary {
        loss,
        largest_eigenvalue: ends.largest,
        smallest_eigenvalue: ends.smallest,
        residuals: ends.residuals,
        products: ends.products,
        converged: ends.converged,
        edge: arguments.learning_rate.map(|rate| 0.5 * rate * ends.largest),
        rules,
    };
    if let Some(folder) = output.folder() {
        folder.write("curvature.json", (to_json(&summary)? + "\n").as_bytes())?;
        let column = |of: fn(&Row) -> Option<f64>| {
            Array::from_vector(
                summary.rules.iter().map(|r| of(r).unwrap_or(f64::NAN)).collect::<Vec<_>>(),
            )
        };
        let mut arrays = Archive::new();
        let names: Vec<String> = summary.rules.iter().map(|row| row.rule.clone()).collect();
        arrays.insert("rule", Array::from_vector(names));
        arrays.insert("cosine", column(|r| r.cosine));
        arrays.insert("rho", column(|r| r.rho));
        arrays.insert("largest_rate", column(|r| r.largest_rate));
        let smallest = summary.smallest_eigenvalue.unwrap_or(f64::NAN);
        arrays
            .insert("eigenvalues", Array::from_vector(vec![summary.largest_eigenvalue, smallest]));
        folder.write("curvature.npz", &arrays.to_bytes(Format::Npz)?)?;
        let mut figure =
            Figure::new("Alignment of the updates of W", "cosine with the gradient", "ρ");
        for row in &summary.rules {
            let points = [(row.cosine.unwrap_or(f64::NAN), row.rho.unwrap_or(f64::NAN))];
            figure = figure.points(&row.rule, points);
        }
        folder.write("alignment.svg", figure.to_svg().as_bytes())?;
    }
    if output.json {
        output.print_json(&summary)?;
    } else {
        output.print(&summary.text())?;
    }
    Ok(Verdict::Holds)
}

fn parameters(arguments: &Arguments, problem: &Problem) -> Result<Vec<f64>> {
    let Some(path) = &arguments.parameters else { return problem.rnn.initialize(arguments.seed) };
    let (steps, each) = (problem.train.steps(), problem.train.target().at_each_step());
    let network = problem.rnn.network::<f64>(steps, each)?;
    Ok(Parameters::load(&network, path)?.into_values())
}

/// The loss, and every rule.
fn rules(
    arguments: &Arguments,
    problem: &Problem,
    theta: &[f64],
    largest: f64,
) -> Result<(f64, Vec<Row>)> {
    let states = States::within(&problem.rnn, theta, &problem.train, problem.memory_budget)?;
    let w = problem.rnn.block(Block::Recurrent);
    let exact = states.gradient(&hesse::credit::Rule::Bptt)?;
    let row = |name: &RuleName| -> Result<Row> {
        let learner = name.learner(&arguments.rule_arguments, &problem.rnn, arguments.seed)?;
        let got = states.update(&learner.rule, &learner.scaling)?;
        let of = Alignment::between(&exact[w.clone()], &got[w.clone()])?;
        let product = of.rho.map(|rho| rho * largest).filter(|product| *product > 0.0);
        Ok(Row {
            rule: name.to_string(),
            cosine: of.cosine,
            rho: of.rho,
            orthogonal_ratio: of.orthogonal_ratio,
            largest_rate: product.map(|product| 2.0 / product),
        })
    };
    Ok((states.loss(), arguments.rules.iter().map(row).collect::<Result<_>>()?))
}

impl Summary {
    fn text(&self) -> String {
        let mut ends = Table::new().words("").numbers("").numbers("residual");
        ends.row(["loss".to_owned(), three(self.loss)]);
        let largest = three(self.largest_eigenvalue);
        ends.row(["largest eigenvalue".to_owned(), largest, three(self.residuals[0])]);
        if let Some(smallest) = self.smallest_eigenvalue {
            ends.row(["smallest eigenvalue".to_owned(), three(smallest), three(self.residuals[1])]);
        }
        if let Some(edge) = self.edge {
            ends.row(["λ₁ η/2".to_owned(), three(edge)]);
        }
        let mut table = Table::new().words("rule").numbers("cosine").numbers("ρ");
        table = table.numbers("orthogonal part").numbers("largest rate");
        let of = |x: Option<f64>| x.map_or(String::new(), three);
        for row in &self.rules {
            table.row([
                row.rule.clone(),
                of(row.cosine),
                of(row.rho),
                of(row.orthogonal_ratio),
                of(row.largest_rate),
            ]);
        }
        let status = if self.converged { "converged" } else { "not converged" };
        format!("{status} after {} products\n{ends}\n{table}", self.products)
    }
}
