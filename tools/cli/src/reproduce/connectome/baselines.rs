//! The voxel model against the regional one, and the choice of λ.

use hesse::connectome::{NestedCv, SmoothingOperator};

use super::references::{regional, selection};
use crate::connectome_scores::leave_one_out_scores;
use crate::failure::Failure;
use crate::figure::Figure;
use crate::report::{Claim, Plate};
use crate::table::Table;
use crate::units::{percent, three};

/// Errors of both models, and of every λ.
pub(super) struct Baselines {
    /// Over voxels and regions of the voxel model, over voxels and regions of the regional one.
    scores: [Vec<f64>; 4],
    lambdas: Vec<f64>,
    /// Mean validation error by outer fold and λ.
    validation: Vec<Vec<f64>>,
    selected: Vec<usize>,
    wanted: Vec<usize>,
    test: f64,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Baselines {
    /// With all λ of the reference, or with four of them around its choices.
    pub(super) fn of(all: bool) -> Result<Self, Failure> {
        let problem = regional()?;
        let l = SmoothingOperator::of_box(&[problem.data.sources()])?;
        let scores = leave_one_out_scores(&problem.data, &problem.key, &l, &l, problem.lambda)?;
        let mut choice = selection()?;
        if !all && choice.lambdas.len() > 7 && choice.selected.iter().all(|at| *at >= 3) {
            choice.lambdas = choice.lambdas[3..7].to_vec();
            choice.selected.iter_mut().for_each(|at| *at -= 3);
        }
        let l = SmoothingOperator::of_box(&[choice.data.sources()])?;
        let cv = NestedCv::new().folds(4, 4).lambdas(choice.lambdas);
        let report = cv.run(&choice.data, &l, &l)?;
        let validation = report
            .validation_mse_rel
            .iter()
            .map(|inner| {
                let at = |l: usize| mean(&inner.iter().map(|e| e[l]).collect::<Vec<_>>());
                (0..report.lambdas.len()).map(at).collect()
            })
            .collect();
        Ok(Self {
            scores,
            test: report.mean_test_mse_rel(),
            lambdas: report.lambdas,
            validation,
            selected: report.selected,
            wanted: choice.selected,
        })
    }

    pub(super) fn claims(&self) -> Vec<Claim> {
        let [voxels, regions, coarse_voxels, coarse_regions] =
            [0, 1, 2, 3].map(|k| mean(&self.scores[k]));
        let cuts = [1.0 - voxels / coarse_voxels, 1.0 - regions / coarse_regions];
        let indices = |values: &[usize]| {
            values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let last = self.lambdas.len() - 1;
        let inside = self.selected.iter().all(|&at| at > 0 && at < last);
        vec![
            Claim::with_bar(
                "The voxel model predicts left-out experiments better than the regional one",
                "69 % over voxels, 67 % over regions less (section 5; MSE_rel 33 % and 16 % against 107 % \
                 and 48 %)",
                format!(
                    "{} and {} less: {} against {} over voxels, {} against {} over regions",
                    percent(cuts[0]),
                    percent(cuts[1]),
                    three(voxels),
                    three(coarse_voxels),
                    three(regions),
                    three(coarse_regions)
                ),
                "both errors cut by more than 60 %",
                cuts.iter().all(|cut| *cut > 0.6),
            ),
            Claim::with_bar(
                "Cross-validation chooses a λ between too rough and too smooth",
                format!(
                    "the same λ in every outer fold (section 5); positions {} in reference runs",
                    indices(&self.wanted)
                ),
                format!("positions {} of 0 to {last}", indices(&self.selected)),
                "none at an end, and those of the reference",
                inside && self.selected == self.wanted,
            ),
            Claim::reported(
                "Nested cross-validation: the error to be expected of new experiments",
                "",
                format!("MSE_rel {}", three(self.test)),
            ),
        ]
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new().words("model").numbers("over voxels").numbers("over regions");
        for (name, k) in [("voxels", 0), ("regions", 2)] {
            let errors = [&self.scores[k], &self.scores[k + 1]].map(|scores| three(mean(scores)));
            table.row([name.to_owned()].into_iter().chain(errors));
        }
        table
    }

    pub(super) fn plates(&self) -> Vec<Plate> {
        let mut choice = Figure::new("Error against λ", "λ", "MSE_rel of validation").log_x();
        for (k, errors) in self.validation.iter().enumerate() {
            let curve = self.lambdas.iter().copied().zip(errors.iter().copied());
            choice = choice.line(&format!("outer fold {k}"), curve);
        }
        let pairs =
            |a: usize, b: usize| self.scores[a].iter().copied().zip(self.scores[b].iter().copied());
        let most = self.scores.iter().flatten().copied().fold(0.0, f64::max);
        let least = self.scores.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let models = Figure::new(
            "Left-out experiments",
            "MSE_rel of the regional model",
            "MSE_rel of the voxel model",
        )
        .log_x()
        .log_y()
        .points("over voxels", pairs(2, 0))
        .points("over regions", pairs(3, 1))
        .line("equal", [(least, least), (most, most)]);
        vec![
            Plate::of(
                "connectome-lambda",
                "Mean validation error of every λ by outer fold: too rough on the left, too smooth on \
                 the right.",
                &choice,
            ),
            Plate::of(
                "connectome-regions",
                "Each experiment predicted from all others, by the voxel model and by the regional one. \
                 Below the line the voxel model is better.",
                &models,
            ),
        ]
    }
}
