//! Tables over pairs of stimuli, and how they are compared: `01_rsm_rdm`, `02_comparators`,
//! `03_ssm_digits`.

use hesse::Result;
use hesse::similarity::{
    Comparator, NoiseCovariance, Pairwise, Rdm, Region, RowVariance, Rsm, RsmKind, Shrinkage, Ssm,
    Trials, Whitening, full_from_upper, squared_bures_distance,
};
use hesse::statistics::average_ranks;

use super::{FLOOR, Golden, TABLE, elements, whole};
use crate::failure::Failure;
use crate::validate::{Checks, Layout, Rule};

/// `01_rsm_rdm`.
pub(super) struct Tables;

/// `02_comparators`.
pub(super) struct Comparators;

/// `03_ssm_digits`: pairs of three representations.
pub(super) struct Digits;

/// Comparators by their names in the files.
pub(super) const NAMED: [(&str, Comparator); 8] = [
    ("cosine", Comparator::Cosine),
    ("pearson", Comparator::Pearson),
    ("spearman", Comparator::Spearman),
    ("rho_a", Comparator::RhoA),
    ("tau_a", Comparator::TauA),
    ("tau_b", Comparator::TauB),
    ("whitened_cosine", Comparator::WhitenedCosine),
    ("whitened_pearson", Comparator::WhitenedPearson),
];

impl Layout for Tables {
    fn name(&self) -> &'static str {
        "01_rsm_rdm"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["x", "pearson_rsm"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let x = file.mat("x")?;
            let x = x.as_ref();
            file.check("pearson_rsm", &whole(&Rsm::pearson(x)?), TABLE);
            let floored = Rsm::of(x, RsmKind::Pearson, FLOOR)?;
            file.check("pearson_rsm_eps", &whole(&floored), TABLE);
            if file.wants(&["cosine_rsm"]) {
                file.check("cosine_rsm", &whole(&Rsm::cosine(x)?), TABLE);
            }
            file.check("spearman_rsm", &whole(&Rsm::spearman(x)?), TABLE);
            file.check("rdm_correlation", Rdm::correlation(x)?.upper(), TABLE);
            file.check("rdm_sqeuclid_per_unit", Rdm::squared_euclidean(x)?.upper(), TABLE);
            if file.wants(&["rdm_sqmahalanobis_per_unit"]) {
                let precision = file.mat("precision")?;
                let got = Rdm::squared_mahalanobis(x, precision.as_ref())?;
                file.check("rdm_sqmahalanobis_per_unit", got.upper(), TABLE);
            }
            if file.wants(&["rdm_poisson"]) {
                let counts = file.mat("counts")?;
                let got = Rdm::poisson(counts.as_ref(), (1.0, 0.1))?;
                file.check("rdm_poisson", got.upper(), TABLE);
            }
            if file.wants(&["pearson_rsm_offset"]) {
                let offset = file.mat("x_offset")?;
                let got = Rsm::pearson(offset.as_ref())?;
                file.check("pearson_rsm_offset", &whole(&got), TABLE);
            }
            repeats(file)
        })
    }
}

/// Noise of repeated measurements, and distances that it does not bias.
fn repeats(file: &mut Golden<'_, '_>) -> Result<()> {
    if !file.wants(&["repeats"]) {
        return Ok(());
    }
    let (shape, values) = file.trials("repeats")?;
    let trials = Trials::from_array(shape, &values)?;
    let [folds, conditions, _] = shape;
    file.check("rdm_crossnobis_identity", Rdm::crossnobis(&trials, None)?.upper(), TABLE);
    let (residuals, dof) = trials.residuals()?;
    let default = (conditions as f64 - 1.0) * folds as f64;
    for (suffix, dof) in [("", dof), ("_default_dof", default)] {
        for (name, shrinkage) in [
            ("full", Shrinkage::None),
            ("diag", Shrinkage::Diagonal),
            ("shrinkage_eye", Shrinkage::Identity),
            ("shrinkage_diag", Shrinkage::TowardsDiagonal),
        ] {
            let got = NoiseCovariance::with_dof(residuals.as_ref(), dof, shrinkage)?;
            file.check(&format!("cov_{name}{suffix}"), &elements(&got.covariance), TABLE);
            if shrinkage == Shrinkage::TowardsDiagonal {
                file.check(&format!("lambda_diag{suffix}"), &[got.weight], TABLE);
            }
        }
    }
    let noise = NoiseCovariance::of_trials(&trials, Shrinkage::TowardsDiagonal)?;
    let precision = noise.precision()?;
    file.check("prec_shrinkage_diag", &elements(&precision), TABLE);
    let distances = Rdm::crossnobis(&trials, Some(precision.as_ref()))?;
    file.check("rdm_crossnobis_shrinkage_diag", distances.upper(), TABLE);
    Ok(())
}

impl Layout for Comparators {
    fn name(&self) -> &'static str {
        "02_comparators"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["rdm", "rdm_tied"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            file.checks.inputs(&["n"]);
            let untied = rdms(file, "rdm")?;
            let tied = rdms(file, "rdm_tied")?;
            for (rdms, suffix) in [(&untied, ""), (&tied, "_tied")] {
                for (name, comparator) in NAMED {
                    let got = all(rdms, |a, b| comparator.compare(a, b))?;
                    file.check(&format!("{name}{suffix}"), &got, TABLE);
                }
            }
            // The reference takes roots of eigenvalues that are rounding: √(n ε) is what that costs.
            let n = untied.first().map_or(0, Rdm::stimuli) as f64;
            let root = (n * f64::EPSILON).sqrt();
            let got = all(&untied, |a, b| Comparator::Bures.compare(a, b))?;
            file.check("bures_similarity", &got, root);
            let traces = untied.iter().map(|rdm| rdm.upper().iter().sum::<f64>() / n);
            let trace = traces.fold(0.0, |a: f64, b| if b > a { b } else { a });
            let got = all(&untied, squared_bures_distance)?;
            let got = file.shaped("bures_sq_metric", &got);
            file.checks.compare("bures_sq_metric", Rule::Absolute(2.0 * trace * root), &got);
            if file.wants(&["whitened_cosine_sigma_k"]) {
                let whitening = Whitening::new(file.mat("sigma_k")?.as_ref())?;
                let got = all(&untied, |a, b| whitening.cosine(a, b))?;
                file.check("whitened_cosine_sigma_k", &got, TABLE);
            }
            let ranks = tied.iter().map(|rdm| average_ranks("rdm_tied", rdm.upper()));
            let ranks = ranks.collect::<Result<Vec<_>>>()?.concat();
            file.exact("ranks_tied", &ranks);
            Ok(())
        })
    }
}

fn rdms(file: &mut Golden<'_, '_>, name: &str) -> Result<Vec<Rdm>> {
    file.rows(name)?.into_iter().map(Rdm::from_upper).collect()
}

/// Each with each.
fn all(rdms: &[Rdm], score: impl Fn(&Rdm, &Rdm) -> Result<f64>) -> Result<Vec<f64>> {
    rdms.iter().flat_map(|a| rdms.iter().map(move |b| (a, b))).map(|(a, b)| score(a, b)).collect()
}

impl Layout for Digits {
    fn name(&self) -> &'static str {
        "03_ssm_digits"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["a", "b", "t"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let responses = [file.mat("a")?, file.mat("b")?, file.mat("t")?];
            let of = |variance| -> Result<Vec<Rsm>> {
                responses.iter().map(|x| Rsm::of(x.as_ref(), RsmKind::Pearson, variance)).collect()
            };
            let (plain, floored) = (of(RowVariance::Error)?, of(FLOOR)?);
            let scores = |rsms: &[Rsm], comparator, region| -> Result<Vec<f64>> {
                let ssm = Ssm::new(comparator).region(region);
                PAIRS.iter().map(|&(i, j)| ssm.score(&rsms[i], &rsms[j])).collect()
            };
            use Comparator::{Cosine, Pearson, Spearman, TauB};
            let upper = scores(&plain, Spearman, Region::Upper)?;
            file.check("spearman_upper", &upper, TABLE);
            file.check("pearson_upper", &scores(&plain, Pearson, Region::Upper)?, TABLE);
            file.check("tau_b_upper", &scores(&plain, TauB, Region::Upper)?, TABLE);
            file.check("spearman_full", &scores(&plain, Spearman, Region::Full)?, TABLE);
            file.check("pearson_full", &scores(&plain, Pearson, Region::Full)?, TABLE);
            file.check("spearman_full_eps", &scores(&floored, Spearman, Region::Full)?, TABLE);
            let rdms: Vec<Rdm> = plain.iter().map(Rsm::to_rdm).collect();
            let cosines = PAIRS.iter().map(|&(i, j)| Cosine.compare(&rdms[i], &rdms[j]));
            file.check("cosine_rdm_upper", &cosines.collect::<Result<Vec<_>>>()?, TABLE);
            let n = responses[0].nrows();
            let closed = upper.iter().map(|&r| full_from_upper(r, n));
            let closed = closed.collect::<Result<Vec<_>>>()?;
            file.check("full_from_upper_closed_form", &closed, TABLE);
            file.check("null_offset_full", &[full_from_upper(0.0, n)?], TABLE);
            Ok(())
        })
    }
}

/// (a, b), (a, t), (b, t).
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];
