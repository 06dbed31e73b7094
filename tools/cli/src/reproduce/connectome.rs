//! Connectomes from tracing data: the test problem on a line, low rank, regions, the choice of λ.

mod baselines;
mod low_rank;
mod references;
mod solvers;
mod toys;

use std::time::Instant;

use super::Size;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::report::Section;

/// How much of what is done.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// Voxels of random problems.
    voxels: usize,
    /// Random problems with five injections.
    spread: usize,
    /// Whether the weights of those problems are nonnegative.
    signs: bool,
    /// Random problems for each number of injections, and their voxels.
    consistency: usize,
    consistency_voxels: usize,
    injections: &'static [usize],
    /// Voxels of the problem that is preconditioned.
    preconditioned: usize,
    rank: usize,
    /// Steps of factors.
    steps: usize,
    /// Ranks of greedy corrections.
    greedy: &'static [usize],
    /// Random starts of each.
    starts: usize,
    /// Voxels along a side of the patch.
    patch: usize,
    /// Whether reference problems are solved as they are, or none of them.
    references: bool,
}

impl Sizes {
    fn of(size: Size) -> Self {
        let usual = Self {
            voxels: 200,
            spread: 7,
            signs: false,
            consistency: 3,
            consistency_voxels: 100,
            injections: &[5, 10, 20, 40],
            preconditioned: 100,
            rank: 20,
            steps: 10_000,
            greedy: &[5, 10, 15, 20, 26],
            starts: 8,
            patch: 14,
            references: true,
        };
        match size {
            Size::Quick => Self {
                voxels: 30,
                spread: 2,
                signs: true,
                consistency: 2,
                consistency_voxels: 30,
                injections: &[3, 6],
                preconditioned: 24,
                rank: 5,
                steps: 50,
                greedy: &[2, 4],
                starts: 3,
                patch: 6,
                references: false,
            },
            Size::Usual => usual,
            Size::Full => Self {
                spread: 16,
                signs: true,
                consistency: 8,
                consistency_voxels: 200,
                steps: 40_000,
                ..usual
            },
        }
    }
}

/// Solves, and says what came out.
pub fn section(size: Size, seed: u64, output: &Output) -> Result<Section, Failure> {
    let start = Instant::now();
    let sizes = Sizes::of(size);
    let bar = Progress::new(output, "connectome", 6);
    let step = |what: &str| {
        bar.say(what.to_owned());
        bar.step();
    };
    step("the toy");
    let toy = match sizes.references {
        true => references::toy()?,
        false => toys::drawn(sizes.voxels, 5, seed)?,
    };
    let solved = toys::Solved::of(&toy)?;
    step("other problems");
    let spread = toys::Spread::of(&sizes, seed)?;
    let consistency = toys::Consistency::of(&sizes, seed)?;
    step("low rank");
    let low_rank = low_rank::LowRank::of(&toy, &solved, &sizes)?;
    step("regions, λ");
    let baselines = baselines::Baselines::of(sizes.references)?;
    step("solvers");
    let solvers = solvers::Solvers::of(&sizes, seed)?;
    drop(bar);

    let mut claims = solved.claims(sizes.references);
    claims.extend(spread.claims());
    claims.extend(consistency.claims());
    claims.extend(low_rank.claims());
    claims.extend(baselines.claims());
    claims.extend(solvers.claims());
    let mut plates = solved.plates(&toy)?;
    plates.push(consistency.plate());
    plates.push(low_rank.plate());
    plates.extend(baselines.plates());
    plates.push(solvers.plate());
    Ok(Section {
        method: "connectome".to_owned(),
        title: "Connectivity between voxels from few experiments".to_owned(),
        source: "K. D. Harris, S. Mihalas, E. Shea-Brown, High resolution neural connectivity from \
                 incomplete tracing data using nonnegative spline regression, NIPS 2016, arXiv \
                 1605.08031; P. Kürschner, S. Dolgov, K. D. Harris, P. Benner, Greedy low-rank algorithm \
                 for spatial connectome regression, J. Math. Neuroscience 9:9, 2019."
            .to_owned(),
        setting: format!(
            "The test problem of the paper: {} voxels on a line, a band and a far bump as W, injections \
             of 12 to 22 % of the line, noise 0.1, λ = 100, five injections unless said otherwise. \
             Errors are ‖W − truth‖/‖truth‖. Reference problems are compiled in; random ones are drawn \
             from the seed. The mouse data themselves are not: `hesse connectome` takes them from files.",
            toy.truth.nrows(),
        ),
        claims,
        tables: vec![
            ("Errors of random problems by number of injections".to_owned(), consistency.table()),
            ("Low rank".to_owned(), low_rank.table()),
            (
                "MSE_rel when one experiment is left out, mean over experiments".to_owned(),
                baselines.table(),
            ),
        ],
        plates,
        seconds: start.elapsed().as_secs_f64(),
    })
}
