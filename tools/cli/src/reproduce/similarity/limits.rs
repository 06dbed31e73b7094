//! Levels of chance of subspaces and kernels, and of few units (E7 to E9).

use hesse::Result;
use hesse::faer::{Mat, MatRef};
use hesse::random::Stream;
use hesse::similarity::{Cca, Cka, CkaEstimator, Cut};

use super::{Sizes, mean, standard_error};
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::units::three;

const STIMULI: usize = 118;
const DIMENSIONS: usize = 40;
/// Units of both sides, and their share of the draws.
const WIDTHS: [(usize, u64); 4] = [(10, 5), (118, 5), (1000, 10), (10_000, 50)];
/// Latent variables of the populations of E9.
const LATENT: usize = 5;
const SAMPLES: [usize; 2] = [20, 100];

pub(super) struct Limits {
    /// Mean ρ² and mean ρ of every pair.
    squares: Vec<f64>,
    correlations: Vec<f64>,
    /// For each width: biased and debiased alignments.
    kernels: Vec<[Vec<f64>; 2]>,
    /// For each number of units: debiased and unit-unbiased alignments.
    few: Vec<[Vec<f64>; 2]>,
}

impl Limits {
    pub(super) fn run(sizes: &Sizes, seed: u64) -> Result<Self, Failure> {
        let stream = Stream::new(seed, "reproduce similarity: limits");
        let (mut squares, mut correlations) = (Vec::new(), Vec::new());
        for draw in 0..sizes.independent {
            let [x, y] = pair(&stream.child(0).child(draw), DIMENSIONS);
            let svcca = Cca::new().cut(Cut::Dim(DIMENSIONS)).fit(x.as_ref(), y.as_ref())?;
            squares.push(svcca.mean_square());
            correlations.push(svcca.mean());
        }
        let mut kernels = Vec::new();
        for (k, &(units, divisor)) in WIDTHS.iter().enumerate() {
            let stream = stream.child(1).child(k as u64);
            let mut found = [Vec::new(), Vec::new()];
            for draw in 0..(sizes.independent / divisor).max(4) {
                let [x, y] = pair(&stream.child(draw), units);
                let estimators = [CkaEstimator::Biased, CkaEstimator::Debiased];
                push(&mut found, estimators, x.as_ref(), y.as_ref())?;
            }
            kernels.push(found);
        }
        let mut few = Vec::new();
        for (k, &units) in SAMPLES.iter().enumerate() {
            let stream = stream.child(2).child(k as u64);
            let mut found = [Vec::new(), Vec::new()];
            for draw in 0..sizes.aligned {
                let stream = stream.child(draw);
                let latent = normals(STIMULI, LATENT, &stream.child(0));
                let (x, y) = (
                    population(&latent, units, &stream.child(1)),
                    population(&latent, units, &stream.child(2)),
                );
                let estimators = [CkaEstimator::Debiased, CkaEstimator::UnitUnbiased];
                push(&mut found, estimators, x.as_ref(), y.as_ref())?;
            }
            few.push(found);
        }
        Ok(Self { squares, correlations, kernels, few })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let [square, correlation] = [mean(&self.squares), mean(&self.correlations)];
        let expected = WIDTHS.map(|(units, _)| chance(units));
        let biased: Vec<f64> = self.kernels.iter().map(|[biased, _]| mean(biased)).collect();
        let apart =
            |values: &[f64], want: f64| (mean(values) - want).abs() / standard_error(values);
        let debiased: Vec<f64> =
            self.kernels.iter().map(|[_, debiased]| apart(debiased, 0.0)).collect();
        let near = biased.iter().zip(&expected).all(|(b, e)| (b - e).abs() < 0.02 * e + 0.005);
        let low =
            |[debiased, _]: &[Vec<f64>; 2]| mean(debiased) < 1.0 - 4.0 * standard_error(debiased);
        let unbiased: Vec<f64> =
            self.few.iter().map(|[_, unbiased]| apart(unbiased, 1.0)).collect();
        let values = |side: usize| {
            let values = self.few.iter().map(|found| format!("{:.3}", mean(&found[side])));
            values.collect::<Vec<_>>().join(", ")
        };
        vec![
            Claim::with_bar(
                "SVCCA of independent responses, 40 dimensions of 118 stimuli: mean ρ² (E7)",
                "0.342 = 40/117",
                format!("{square:.4} ± {}", three(standard_error(&self.squares))),
                "0.342 within 0.003",
                (square - 40.0 / 117.0).abs() <= 0.003,
            ),
            Claim::with_bar(
                "The same: mean ρ (E7)",
                "0.515",
                format!("{correlation:.4}"),
                "0.515 within 0.003",
                (correlation - 0.515).abs() <= 0.003,
            ),
            Claim::with_bar(
                "Biased CKA of independent responses of 10, 118, 1000, 10000 units (E8)",
                "0.08, 0.50, 0.89, 0.99 = √(pq/((p + n)(q + n)))",
                numbers(&biased),
                "within 2 % and 0.005",
                near,
            ),
            Claim::with_bar(
                "Debiased CKA of the same is 0 (E8)",
                "0",
                format!("off by {} standard errors", numbers(&debiased)),
                "4 standard errors",
                debiased.iter().all(|apart| *apart <= 4.0),
            ),
            Claim::with_bar(
                "Debiased CKA of samples of 20 and 100 units of one population is low (E9)",
                "below 1",
                values(0),
                "below 1 by 4 standard errors",
                self.few.iter().all(low),
            ),
            Claim::with_bar(
                "Unit-unbiased CKA of the same is that of the whole population (E9)",
                "1",
                format!("{}, off by {} standard errors", values(1), numbers(&unbiased)),
                "4 standard errors",
                unbiased.iter().all(|apart| *apart <= 4.0),
            ),
        ]
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut biased = Vec::new();
        let mut debiased = Vec::new();
        for ((units, _), [b, d]) in WIDTHS.iter().zip(&self.kernels) {
            biased.push((*units as f64, mean(b)));
            debiased.push((*units as f64, mean(d)));
        }
        let law = (0..=60).map(|k| 10.0 * 10_f64.powf(f64::from(k) / 20.0));
        let law: Vec<(f64, f64)> =
            law.map(|units| (units, units / (units + STIMULI as f64))).collect();
        let figure = Figure::new("Alignment of independent responses", "units", "CKA")
            .log_x()
            .line("√(pq/((p + n)(q + n)))", law)
            .points("biased", biased)
            .points("debiased", debiased);
        vec![Plate::of(
            "similarity-chance",
            "Biased CKA of responses of many units to few stimuli is near 1 although nothing is shared.",
            &figure,
        )]
    }
}

fn push(
    found: &mut [Vec<f64>; 2],
    estimators: [CkaEstimator; 2],
    x: MatRef<'_, f64>,
    y: MatRef<'_, f64>,
) -> Result<()> {
    for (found, estimator) in found.iter_mut().zip(estimators) {
        found.push(Cka::linear().estimator(estimator).score(x, y)?);
    }
    Ok(())
}

/// Of biased CKA for as many units on both sides.
fn chance(units: usize) -> f64 {
    units as f64 / (units + STIMULI) as f64
}

fn numbers(values: &[f64]) -> String {
    values.iter().map(|v| three(*v)).collect::<Vec<_>>().join(", ")
}

fn normals(rows: usize, columns: usize, stream: &Stream) -> Mat<f64> {
    let mut values = vec![0.0; rows * columns];
    stream.normals(0, &mut values);
    MatRef::from_row_major_slice(&values, rows, columns).to_owned()
}

fn pair(stream: &Stream, units: usize) -> [Mat<f64>; 2] {
    [0, 1].map(|side| normals(STIMULI, units, &stream.child(side)))
}

/// Units that mix the latent variables, with noise of their own.
fn population(latent: &Mat<f64>, units: usize, stream: &Stream) -> Mat<f64> {
    let weights = normals(LATENT, units, &stream.child(0));
    let noise = normals(STIMULI, units, &stream.child(1));
    latent * weights + noise
}
