//! Permutations, bootstraps and subsets with given indices: `08_resampling`.

use hesse::similarity::{
    Comparator, Multiplicities, Region, RowVariance, Rsm, RsmKind, Ssm, multiplicities,
    spearman_brown,
};
use hesse::statistics::{quantile, standard_deviation};
use hesse::{Error, Result};

use super::{Golden, SPECTRAL, TABLE};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `08_resampling`.
pub(super) struct Resampling;

impl Layout for Resampling {
    fn name(&self) -> &'static str {
        "08_resampling"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["a", "t", "boot_idx"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let (a, t) = (file.mat("a")?, file.mat("t")?);
            let (of_a, of_t) = (Rsm::pearson(a.as_ref())?, Rsm::pearson(t.as_ref())?);
            let (n, ssm) = (a.nrows(), Ssm::default());
            let observed = ssm.score(&of_a, &of_t)?;
            file.check("ssm", &[observed], TABLE);
            if file.wants(&["ssm_perm", "p_perm"]) {
                let null = ssm.permuted(&of_a, &of_t, &file.indices("perm", n)?)?;
                file.check("ssm_perm", &null, TABLE);
                let as_large = null.iter().filter(|&&score| score >= observed).count();
                let p = (1 + as_large) as f64 / (1 + null.len()) as f64;
                file.check("p_perm", &[p], TABLE);
            }
            let exact = ssm.exact_null(&of_a, &of_t)?;
            file.check("mantel_mean", &[exact.mean], TABLE);
            file.check("mantel_sd", &[exact.sd], TABLE);
            file.check("mantel_z", &[exact.z], SPECTRAL);

            let boot = samples(file, "boot_idx", n)?;
            let scores = ssm.resampled(&of_a, &of_t, &boot)?;
            file.check("ssm_boot", &scores, TABLE);
            let pairs: Vec<f64> = boot.iter().map(different_pairs).collect();
            file.exact("boot_pairs", &pairs);
            file.check("boot_se", &[standard_deviation(&scores)], TABLE);
            let ends = [quantile(&scores, 0.025)?, quantile(&scores, 0.975)?];
            file.check("boot_percentile_95", &ends, TABLE);
            if file.wants(&["ssm_stim_sub"]) {
                let subsets = ssm.resampled(&of_a, &of_t, &samples(file, "stim_idx", n)?)?;
                file.check("ssm_stim_sub", &subsets, TABLE);
            }
            let jackknife = ssm.jackknife(&of_a, &of_t)?;
            file.check("ssm_jackknife", &jackknife.scores, TABLE);
            file.check("jackknife_se", &[jackknife.standard_error()], TABLE);
            file.check("ssm_folds4", &ssm.folds(&of_a, &of_t, 4)?, TABLE);
            let full = ssm.region(Region::Full);
            file.check("ssm_folds4_full", &full.folds(&of_a, &of_t, 4)?, TABLE);

            let of_units = |units: &[usize]| {
                Rsm::of_units(a.as_ref(), units, RsmKind::Pearson, RowVariance::Error)
            };
            for (indices, output) in
                [("unit_idx", "ssm_unit_sub"), ("unit_boot_idx", "ssm_unit_boot")]
            {
                if file.wants(&[output]) {
                    let draws = file.indices(indices, a.ncols())?;
                    let scores = draws.iter().map(|units| ssm.score(&of_units(units)?, &of_t));
                    file.check(output, &scores.collect::<Result<Vec<f64>>>()?, TABLE);
                }
            }
            if file.wants(&["unit_split_pearson", "unit_split_reliability"]) {
                let most = a.ncols().saturating_sub(1);
                let order = file.source("unit_split").counts("unit_split", most)?;
                if order.len() != a.ncols() {
                    return Err(Error::shape("unit_split: units", a.ncols(), order.len()));
                }
                let (first, second) = order.split_at(order.len() / 2);
                let r = Comparator::Pearson.compare(&of_units(first)?, &of_units(second)?)?;
                file.check("unit_split_pearson", &[r], TABLE);
                file.check("unit_split_reliability", &[spearman_brown(r)], TABLE);
            }
            Ok(())
        })
    }
}

/// Samples of n stimuli by their indices.
pub(super) fn samples(
    file: &mut Golden<'_, '_>,
    name: &str,
    n: usize,
) -> Result<Vec<Multiplicities>> {
    file.indices(name, n)?.iter().map(|draw| multiplicities(n, draw)).collect()
}

/// Pairs of the sample whose stimuli are not copies of one: ((Σ w)² − Σ w²)/2.
fn different_pairs(sample: &Multiplicities) -> f64 {
    let total: u64 = sample.iter().map(|&w| u64::from(w)).sum();
    let squares: u64 = sample.iter().map(|&w| u64::from(w) * u64::from(w)).sum();
    (total * total - squares) as f64 / 2.0
}
