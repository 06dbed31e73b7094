//! Noise of trials and of subjects: `07_noise_ceiling`.

use hesse::Result;
use hesse::similarity::{
    Comparator, Pairwise, Rdm, Rsm, SplitHalf, Trials, subject_ceiling, unit_reliability,
};

use super::tables::NAMED;
use super::{Golden, TABLE, elements};
use crate::failure::Failure;
use crate::validate::{Checks, Layout, Rule};

/// `07_noise_ceiling`.
pub(super) struct Ceilings;

impl Layout for Ceilings {
    fn name(&self) -> &'static str {
        "07_noise_ceiling"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["subject_rdms", "counts", "splits"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let subjects = file.rows("subject_rdms")?.into_iter().map(Rdm::from_upper);
            let subjects = subjects.collect::<Result<Vec<_>>>()?;
            for (name, comparator) in NAMED {
                if comparator != Comparator::WhitenedPearson {
                    let got = subject_ceiling(comparator, &subjects)?;
                    file.check(&format!("ceiling_{name}"), &[got.lower, got.upper], TABLE);
                }
            }
            let (shape, values) = file.trials("counts")?;
            let trials = Trials::from_array(shape, &values)?;
            let splits = file.indices("splits", shape[0])?;
            let halves = SplitHalf::new(splits.len()).with_orders(&trials, &splits)?;
            let slacks = splits.iter().map(|order| slack(shape, &values, order));
            let slacks = slacks.collect::<Result<Vec<f64>>>()?;
            let got = file.shaped("split_half_ssm", &halves.scores);
            // In units of what each draw may be off.
            file.checks.compare_scaled("split_half_ssm", Rule::Absolute(1.0), &got, &slacks);
            let slack = slacks.iter().copied().fold(0.0, |a, b| if b > a { b } else { a });
            file.check("split_half_mean", &[halves.mean], slack);
            file.check("split_half_sd", &[halves.sd], 2.0 * slack);
            file.check("spearman_brown", &[halves.spearman_brown], 2.0 * slack);
            file.check("model_ceiling", &[halves.model_ceiling], 2.0 * slack);
            if let Some(first) = splits.first() {
                let units = unit_reliability(&trials, first)?;
                file.check("neuron_reliability_first_split", &units, TABLE);
            }
            file.check("trial_mean", &elements(&trials.mean()), TABLE);
            file.check("trial_sem", &elements(&trials.standard_error()?), TABLE);
            Ok(())
        })
    }
}

/// How far the score of two halves may be from the reference.
///
/// Counts have correlations that are equal as fractions and differ by rounding: which of two has the
/// higher rank is arbitrary, here and in the reference. An exchange of neighbouring ranks moves
/// Spearman's coefficient of M pairs by 12 (M − 1)/(M³ − M) = 12/(M (M + 1)) at most.
fn slack([_, n, p]: [usize; 3], values: &[f64], order: &[usize]) -> Result<f64> {
    let pairs = (n * n.saturating_sub(1) / 2) as f64;
    let (first, second) = order.split_at(order.len() / 2);
    let mut exchanges = 0;
    for half in [first, second] {
        let rows = half.iter().flat_map(|t| values[t * n * p..][..n * p].iter().copied());
        let trials = Trials::from_array([half.len(), n, p], &rows.collect::<Vec<_>>())?;
        let mut upper = Rsm::pearson(trials.mean().as_ref())?.upper().to_vec();
        upper.sort_by(f64::total_cmp);
        exchanges += upper.windows(2).filter(|w| w[1] - w[0] <= 16.0 * f64::EPSILON).count();
    }
    Ok(TABLE + 12.0 / (pairs * (pairs + 1.0)) * exchanges as f64)
}
