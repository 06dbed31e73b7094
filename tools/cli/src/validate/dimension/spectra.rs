//! Spectra of covariances: `<cloud>__eig`, `__pr_*`, `__effective_rank`, `__lpca_*`.

use hesse::Result;
use hesse::statistics::{ParticipationRatio, RankRule, Spectrum};

use super::{Clouds, about, compare, compare_exactly, compare_to_largest, prefixes};
use crate::failure::Failure;
use crate::validate::{Checks, Layout, Numbers, Rule};

/// `spectral`.
pub(super) struct Spectra;

const RULES: [(&str, RankRule); 7] = [
    ("fo", RankRule::FukunagaOlsen { share: 0.05 }),
    ("fan", RankRule::Fan),
    ("maxgap", RankRule::LargestGap),
    ("ratio90", RankRule::Ratio { share: 0.9 }),
    ("ratio95", RankRule::Ratio { share: 0.95 }),
    ("kaiser", RankRule::Kaiser),
    ("broken_stick", RankRule::BrokenStick),
];

impl Layout for Spectra {
    fn name(&self) -> &'static str {
        "spectral"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["swiss__eig", "swiss__pr_naive"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays = checks.inputs(&[]);
        let run = |checks: &mut Checks<'_>| -> Result<()> {
            let clouds = Clouds::of(arrays)?;
            for name in prefixes(arrays, "__") {
                let x = clouds.get(checks, &name)?;
                let of = |what: &str| format!("{name}__{what}");
                let spectrum = Spectrum::of(x.as_ref())?;
                let values = spectrum.values().to_vec();
                // Backward error: that of the reference's decomposition and of ours.
                let size = (x.nrows() + x.ncols()) as f64;
                compare_to_largest(checks, &of("eig"), 4.0 * size * f64::EPSILON, values);
                compare(checks, &of("effective_rank"), 1e-10, vec![spectrum.effective_rank()]);
                let pr = ParticipationRatio::of(x.as_ref())?;
                let number = |found: Result<f64, _>| found.unwrap_or(f64::NAN);
                for (form, value) in [
                    ("pr_naive", pr.naive),
                    ("pr_row", number(pr.row)),
                    ("pr_col", number(pr.column)),
                    ("pr_both", number(pr.both)),
                    ("pr_gauss", number(pr.gauss)),
                ] {
                    compare(checks, &of(form), 1e-10, vec![value]);
                }
                for (what, rule) in RULES {
                    let array = of(&format!("lpca_{what}"));
                    let rank = spectrum.rank(rule)? as f64;
                    let told = spectrum.significant().len() < spectrum.values().len();
                    if what == "maxgap" && told {
                        let reason =
                            "the reference takes gaps between eigenvalues that are rounding";
                        let shape = arrays.numbers.get(&array).map(|a| a.shape.clone());
                        let got = Numbers { shape: shape.unwrap_or_default(), values: vec![rank] };
                        checks.compare_where(&array, Rule::Exact, &got, &[false], reason);
                    } else {
                        compare_exactly(checks, &array, vec![rank]);
                    }
                }
                let others = ["mp", "gd", "kn", "minka"].map(|what| of(&format!("lpca_{what}")));
                checks.not_recomputed(&others.each_ref().map(String::as_str));
            }
            Ok(())
        };
        run(checks).map_err(|error| about(arrays, error))
    }
}
