//! Degenerate and tiny cases: `10_edge`.

use hesse::similarity::{CkaEstimator, Comparator, Pairwise, Rdm, Rsm, RsmKind, Ssm, hsic};
use hesse::statistics::{SortedSample, average_ranks};
use hesse::{Error, Result};

use super::{FLOOR, Golden, TABLE, whole};
use crate::failure::Failure;
use crate::validate::{Checks, Layout};

/// `10_edge`.
pub(super) struct Edges;

impl Layout for Edges {
    fn name(&self) -> &'static str {
        "10_edge"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["constant_row", "duplicate_rows"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        Golden::run(checks, None, |file| {
            let constant = file.mat("constant_row")?;
            let refused = matches!(Rsm::pearson(constant.as_ref()), Err(Error::Range { .. }));
            let law = "a stimulus without variance is an error";
            file.checks.law("constant_row", law, usize::from(!refused));
            let floored = Rsm::of(constant.as_ref(), RsmKind::Pearson, FLOOR)?;
            file.check("constant_row_eps", &whole(&floored), TABLE);
            let copies = Rsm::pearson(file.mat("duplicate_rows")?.as_ref())?;
            file.check("duplicate_rows_rsm", &whole(&copies), TABLE);
            if copies.stimuli() > 2 {
                let off = usize::from(copies.at(0, 2) != 1.0);
                file.checks.law("duplicate_rows", "rows 0 and 2 have similarity 1, exactly", off);
            }
            if file.wants(&["base_rsm"]) {
                for name in ["base", "scaled_huge", "scaled_tiny"] {
                    if file.wants(&[name]) {
                        let got = Rsm::pearson(file.mat(name)?.as_ref())?;
                        file.check("base_rsm", &whole(&got), TABLE);
                    }
                }
            }
            ties(file)?;
            if file.wants(&["hsic_n4"]) {
                let (x, y) = (file.mat("hsic_n4_x")?, file.mat("hsic_n4_y")?);
                let got = hsic(x.as_ref(), y.as_ref(), CkaEstimator::Debiased)?;
                file.check("hsic_n4", &[got], TABLE);
            }
            if file.wants(&["mantel5_mean", "mantel5_var"]) {
                let (x, y) = (file.mat("mantel5_x")?, file.mat("mantel5_y")?);
                let (x, y) = (Rsm::pearson(x.as_ref())?, Rsm::pearson(y.as_ref())?);
                let exact = Ssm::new(Comparator::Pearson).exact_null(&x, &y)?;
                file.check("mantel5_mean", &[exact.mean], TABLE);
                file.check("mantel5_var", &[exact.sd * exact.sd], TABLE);
            }
            Ok(())
        })
    }
}

/// Vectors with ties, plain and with entries repeated.
fn ties(file: &mut Golden<'_, '_>) -> Result<()> {
    if !file.wants(&["tie_a"]) {
        return Ok(());
    }
    let (a, b) = (file.vector("tie_a")?, file.vector("tie_b")?);
    file.exact("tie_rank_a", &average_ranks("tie_a", &a)?);
    file.exact("tie_rank_b", &average_ranks("tie_b", &b)?);
    let (of_a, of_b) = (Rdm::from_upper(a.clone())?, Rdm::from_upper(b.clone())?);
    for (name, comparator) in [
        ("tie_spearman", Comparator::Spearman),
        ("tie_tau_a", Comparator::TauA),
        ("tie_tau_b", Comparator::TauB),
        ("tie_rho_a", Comparator::RhoA),
    ] {
        file.check(name, &[comparator.compare(&of_a, &of_b)?], TABLE);
    }
    if file.wants(&["tie_weighted_spearman"]) {
        let weights = file.vector("tie_weights")?;
        if weights.len() != a.len() {
            return Err(Error::shape("tie_weights", a.len(), weights.len()));
        }
        let weights: Vec<[f64; 1]> = weights.into_iter().map(|w| [w]).collect();
        let scores = |values: &[f64]| -> Result<Vec<f64>> {
            let mut scores = vec![[0.0]; values.len()];
            SortedSample::new("ties", values)?.scores(&weights, &mut scores)?;
            Ok(scores.into_iter().map(|[score]| score).collect())
        };
        let (a, b) = (scores(&a)?, scores(&b)?);
        let sum = |x: &[f64], y: &[f64]| -> f64 {
            x.iter().zip(y).zip(&weights).map(|((x, y), [w])| w * x * y).sum()
        };
        let got = sum(&a, &b) / (sum(&a, &a) * sum(&b, &b)).sqrt();
        file.check("tie_weighted_spearman", &[got], TABLE);
    }
    Ok(())
}
