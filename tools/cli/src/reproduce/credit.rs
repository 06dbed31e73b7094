//! Learning rules of recurrent networks: where they end, how sharp it is there, and how far it carries
//! (the method's experiments E1 to E10).

mod digits;
mod integration;
mod results;
mod theory;

use std::time::Instant;

use super::Size;
use crate::failure::Failure;
use crate::output::{Folder, Output};
use crate::report::Section;

/// How much of what is done.
#[derive(Clone, Copy)]
struct Sizes {
    /// Trainings of each rule on integration, on digits, at the edge and with schedules.
    integration: u64,
    digits: u64,
    edge: u64,
    remedy: u64,
    /// Steps at most, and those of the schedules' trainings.
    steps: u64,
    remedy_steps: u64,
    /// Sequences to test integration on.
    test: usize,
    /// Images to train on with a target loss, and at the edge.
    images: (usize, usize),
}

impl Sizes {
    fn of(size: Size) -> Self {
        let usual = Self {
            integration: 20,
            digits: 5,
            edge: 3,
            // Accuracy spreads by 0.03 from seed to seed, as much as the effect is large: 5 do not show it.
            remedy: 20,
            steps: 3000,
            remedy_steps: 2500,
            test: 1000,
            images: (200, 600),
        };
        match size {
            Size::Quick => Self {
                integration: 3,
                digits: 2,
                edge: 1,
                remedy: 1,
                steps: 60,
                remedy_steps: 60,
                test: 100,
                images: (100, 100),
            },
            Size::Usual => usual,
            Size::Full => Self { integration: 100, digits: 20, edge: 10, ..usual },
        }
    }
}

/// Trains, measures, and says what came out.
pub fn section(
    size: Size,
    seed: u64,
    output: &Output,
    folder: &Folder,
) -> Result<Section, Failure> {
    let start = Instant::now();
    let sizes = Sizes::of(size);
    let runs = match size {
        Size::Full => Some(folder.subfolder("runs")?.subfolder(format!("credit seed {seed}"))?),
        _ => None,
    };
    let integration = integration::Integrations::run(&sizes, seed, runs.as_ref(), output)?;
    let digits = digits::Digits::run(&sizes, seed, runs.as_ref(), output)?;
    let mut claims = integration.claims()?;
    claims.extend(digits.claims()?);
    claims.extend(theory::claims()?);
    let mut tables = integration.tables()?;
    tables.extend(digits.tables()?);
    let mut plates = integration.plates();
    plates.extend(digits.plates());
    Ok(Section {
        method: "credit".to_owned(),
        title: "Learning rules that a synapse could follow end in sharper places".to_owned(),
        source: "Y. H. Liu, A. Ghosh, B. A. Richards, E. Shea-Brown, G. Lajoie, Beyond accuracy: \
                 generalization properties of bio-plausible temporal credit assignment rules, NeurIPS \
                 2022, arXiv 2206.00823. Bars are those of the same small experiments in NumPy and JAX, \
                 whose random numbers are others."
            .to_owned(),
        setting: format!(
            "Rectifier networks with voltage leak 0.6. Integration: 24 units learn the sign of a sum of \
             15 numbers from 64 sequences, all at once, to a loss of 0.05; {} networks a rule. Digits: \
             32 units read {} images of 8 × 8 pixels row by row, in batches of 64, to a loss of 0.3; {} \
             networks a rule. λ₁ is the largest eigenvalue of the Hessian of the exact loss in the \
             recurrent weights on the training data, by Lanczos to 10⁻⁶, whatever rule trained.",
            sizes.integration, sizes.images.0, sizes.digits,
        ),
        claims,
        tables,
        plates,
        seconds: start.elapsed().as_secs_f64(),
    })
}
