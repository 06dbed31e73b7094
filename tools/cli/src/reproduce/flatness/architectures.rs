//! Networks of many widths and depths (experiment E7): only measures that do not change when weights
//! are rescaled can be compared between them.

use hesse::network::{Activation, Architecture, SweepSetting};
use hesse::statistics::{Correlation, spearman};

use super::measures::{Images, Measures};
use super::training::Desk;
use crate::digits::{CLASSES, SMALL_PIXELS};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};

/// Networks of many shapes after the same training.
pub struct Architectures {
    /// Whether it is a rectifier network, and what was measured.
    ends: Vec<(bool, Measures)>,
}

/// Which shapes, how long.
pub struct Plan<'a> {
    /// Widths of hidden layers.
    pub widths: &'a [usize],
    /// Numbers of hidden layers.
    pub depths: &'a [usize],
    /// Seeds of every shape.
    pub seeds: &'a [u64],
    /// Steps.
    pub steps: u64,
}

const RATE: f64 = 1.0;
const BATCH: usize = 20;

impl Architectures {
    /// Trains every shape with tanh and with rectifiers.
    ///
    /// # Errors
    /// Those of the library.
    pub fn run(plan: &Plan<'_>, images: &Images, desk: &Desk<'_>) -> Result<Self, Failure> {
        let mut ends = Vec::new();
        for (rectifier, activation) in [(false, Activation::Tanh), (true, Activation::Relu)] {
            for &depth in plan.depths {
                for &width in plan.widths {
                    let hidden = vec![width; depth];
                    let widths = [vec![SMALL_PIXELS], hidden, vec![CLASSES]].concat();
                    let network = Architecture::perceptron(&widths, activation).build()?;
                    let settings: Vec<_> = plan
                        .seeds
                        .iter()
                        .map(|&seed| SweepSetting { learning_rate: RATE, batch: BATCH, seed })
                        .collect();
                    let widths: Vec<String> = widths.iter().map(ToString::to_string).collect();
                    let name = format!("{activation} {} {} steps", widths.join("-"), plan.steps);
                    let trained =
                        desk.train(&name, &network, &images.train, &settings, plan.steps)?;
                    let outcomes = images.measure(&network, &trained)?;
                    ends.extend(outcomes.iter().map(|outcome| (rectifier, outcome.measures)));
                }
            }
        }
        Ok(Self { ends })
    }

    fn of(&self, rectifier: Option<bool>) -> Vec<Measures> {
        let ends = self.ends.iter().filter(|end| rectifier.is_none_or(|wanted| wanted == end.0));
        ends.map(|end| end.1).collect()
    }

    /// Rank correlations of the invariant pair, and of the plain one.
    fn ranks(&self, rectifier: Option<bool>) -> Result<[Correlation; 2], Failure> {
        let ends = self.of(rectifier);
        let column = |of: fn(&Measures) -> f64| ends.iter().map(of).collect::<Vec<_>>();
        Ok([
            spearman(&column(|m| m.adaptive), &column(|m| m.normalized_mls))?,
            spearman(&column(|m| m.sqrt_trace), &column(|m| m.mls))?,
        ])
    }

    /// The invariant measures go together within an activation, and better than the plain ones.
    ///
    /// # Errors
    /// Measures that are not numbers.
    pub fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let mut claims = Vec::new();
        for (rectifier, name, reference) in
            [(false, "tanh", "0.66 and 0.07"), (true, "ReLU", "0.77 and 0.25")]
        {
            let [invariant, plain] = self.ranks(Some(rectifier))?;
            claims.push(Claim::with_bar(
                format!(
                    "{} {name} networks: adaptive sharpness goes with normalised MLS, √S less with MLS",
                    invariant.pairs
                ),
                format!("positive where plain ones are not comparable; reference {reference}"),
                format!("Spearman {:.2} and {:.2}", invariant.value, plain.value),
                "the first at least 0.4 and larger",
                invariant.value >= 0.4 && invariant.value > plain.value,
            ));
        }
        let [invariant, plain] = self.ranks(None)?;
        claims.push(Claim::reported(
            "Both activations pooled",
            "not when activations are pooled; reference 0.21",
            format!("Spearman {:.2} and {:.2}", invariant.value, plain.value),
        ));
        Ok(claims)
    }

    /// The invariant pair, and the plain one.
    #[must_use]
    pub fn plates(&self) -> Vec<Plate> {
        let figure = |title: &str, x: &str, y: &str, of: fn(&Measures) -> (f64, f64)| {
            let points = |rectifier| self.of(Some(rectifier)).iter().map(of).collect::<Vec<_>>();
            Figure::new(title, x, y).points("tanh", points(false)).points("ReLU", points(true))
        };
        let invariant = figure(
            "Widths and depths: invariant measures",
            "adaptive sharpness",
            "normalised MLS",
            |m| (m.adaptive, m.normalized_mls),
        );
        let plain =
            figure("Widths and depths: plain measures", "√S", "MLS", |m| (m.sqrt_trace, m.mls));
        vec![
            Plate::of(
                "flatness-architectures-invariant",
                "Networks of many shapes after the same training. Measures that do not change when \
                 weights are rescaled go together within each activation.",
                &invariant,
            ),
            Plate::of(
                "flatness-architectures-plain",
                "The plain measures of the same networks.",
                &plain,
            ),
        ]
    }
}
