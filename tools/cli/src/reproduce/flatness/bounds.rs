//! The bounds, on reference networks and on random ones (experiment E1): no violation.

use hesse::flatness::{Bounds, Chain, ConvBound, Geometry};
use hesse::network::{Activation, Architecture, Network};
use hesse::random::Stream;
use hesse::{Error, parallel};

use super::references::{Reference, perceptrons};
use crate::failure::Failure;
use crate::report::Claim;
use crate::table::Table;
use crate::units::three;

const ACTIVATIONS: [Activation; 6] = [
    Activation::Identity,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Relu,
    Activation::Softplus,
    Activation::Silu,
];

/// What became of one bound over many networks.
#[derive(Clone, Debug)]
struct Tally {
    name: &'static str,
    networks: usize,
    violations: usize,
    /// log of the last side over the first, where both are positive and finite.
    slacks: Vec<f64>,
}

/// What became of all bounds.
pub struct Tallies {
    references: usize,
    random: usize,
    tallies: Vec<Tally>,
}

/// Every chain of one network that applies to it.
fn chains(bounds: &Bounds<'_>, layers: usize) -> Result<Vec<(&'static str, Chain)>, Error> {
    let mut chains = vec![
        ("Ma and Ying, k = 1", bounds.ma_ying(1.0)),
        ("Ma and Ying, k = 2", bounds.ma_ying(2.0)),
        ("Ma and Ying, k = 4", bounds.ma_ying(4.0)),
        ("MLS", bounds.mls()),
        ("NMLS", bounds.nmls()),
        ("volume", bounds.volume()),
        ("NVR, joint", bounds.nvr()),
        ("NVR by layers", bounds.nvr_by_layers()),
        ("IIMLS", bounds.iimls()),
    ];
    chains.extend((0..layers).map(|l| ("relative flatness", bounds.relative_flatness(l))));
    let mut there = Vec::new();
    for (name, chain) in chains {
        match chain {
            Ok(chain) => there.push((name, chain)),
            // A layer narrower than the outputs has no joint bound.
            Err(Error::NotApplicable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

fn of(
    network: &Network<f64>,
    parameters: &[f64],
    inputs: &[f64],
) -> Result<Vec<(&'static str, Chain)>, Error> {
    let report = Geometry::of_rows(network, parameters, inputs)?.weight_norms().run()?;
    chains(&report.bounds(ConvBound::Untied)?, report.layers.len())
}

/// Network number `index`: one to four layers up to nine wide, one to six samples, weights of a scale
/// from 0.1 to 10.
fn random(seed: u64, index: usize) -> Result<Vec<(&'static str, Chain)>, Error> {
    let stream = Stream::new(seed, "networks for bounds").child(index as u64);
    let mut choices = [0.0_f64; 9];
    stream.uniforms(0, &mut choices);
    let choose = |k: usize, from: usize, to: usize| {
        (from + (choices[k] * (to - from + 1) as f64) as usize).min(to)
    };
    let depth = choose(0, 1, 4);
    let widths: Vec<usize> = (0..=depth).map(|l| choose(1 + l, 1, 9)).collect();
    let activation = ACTIVATIONS[choose(6, 0, ACTIVATIONS.len() - 1)];
    let samples = choose(7, 1, 6);
    let scale = 10f64.powf(2.0 * choices[8] - 1.0);
    let network = Architecture::perceptron(&widths, activation).build::<f64>()?;
    let mut parameters = vec![0.0; network.parameter_count()];
    stream.child(0).normals(0, &mut parameters);
    parameters.iter_mut().for_each(|p| *p *= scale);
    let mut inputs = vec![0.0; samples * widths[0]];
    stream.child(1).normals(0, &mut inputs);
    of(&network, &parameters, &inputs)
}

impl Tallies {
    /// Checks every bound on the reference networks and on `count` random ones.
    ///
    /// # Errors
    /// Those of the library.
    pub fn of(count: usize, seed: u64) -> Result<Self, Failure> {
        let references = perceptrons()?;
        let all = references.len() + count;
        let results = parallel::map(all, |i| match references.get(i) {
            Some(Reference { network, parameters, data, .. }) => {
                of(network, parameters, data.inputs())
            }
            None => random(seed, i - references.len()),
        });
        let mut tallies: Vec<Tally> = Vec::new();
        for result in results {
            for (name, chain) in result? {
                let at = tallies.iter().position(|tally| tally.name == name);
                let at = at.unwrap_or_else(|| {
                    let slacks = Vec::new();
                    tallies.push(Tally { name, networks: 0, violations: 0, slacks });
                    tallies.len() - 1
                });
                let tally = &mut tallies[at];
                tally.networks += 1;
                tally.violations += usize::from(!chain.holds());
                let slack = chain.log_slack();
                if slack.is_finite() {
                    tally.slacks.push(slack);
                }
            }
        }
        Ok(Self { references: references.len(), random: count, tallies })
    }

    /// No bound is violated.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        let chains: usize = self.tallies.iter().map(|tally| tally.networks).sum();
        let violations: usize = self.tallies.iter().map(|tally| tally.violations).sum();
        vec![Claim::with_bar(
            format!(
                "Every bound holds on {} reference networks and {} random ones",
                self.references, self.random
            ),
            "theorems",
            format!("{violations} of {chains} chains violated"),
            "none, at 1e-9 relative",
            violations == 0 && chains > 0,
        )]
    }

    /// What each bound leaves.
    #[must_use]
    pub fn table(&self) -> (String, Table) {
        let mut table = Table::new().words("bound").numbers("chains").numbers("violated");
        for header in ["least", "median", "most"] {
            table = table.numbers(header);
        }
        for Tally { name, networks, violations, slacks } in &self.tallies {
            let mut slacks = slacks.clone();
            slacks.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let last = slacks.len().saturating_sub(1) as f64;
                slacks.get((share * last) as usize).map_or(String::new(), |s| three(s.exp()))
            };
            let (networks, violations) = (networks.to_string(), violations.to_string());
            table.row([(*name).to_owned(), networks, violations, at(0.0), at(0.5), at(1.0)]);
        }
        ("What the bounds leave: bound over measure".to_owned(), table)
    }
}
