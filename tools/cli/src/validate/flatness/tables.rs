//! Files that hold no function of their inputs: the digits themselves, and tables of trainings.

use crate::digits::{SMALL_PIXELS, small_digits};
use crate::failure::Failure;
use crate::validate::{Arrays, Checks, Layout, Numbers, Rule};

use hesse::network::Targets;

/// `digits_permuted`: images and labels, which the program has as well.
pub(super) struct Digits;

impl Layout for Digits {
    fn name(&self) -> &'static str {
        "digits_permuted"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["X_u8", "labels"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let data = small_digits::<f64>(0..1797)?;
        let images = data.inputs().iter().map(|x| 16.0 * x).collect();
        let images = Numbers::matrix(data.len(), SMALL_PIXELS, images);
        checks.compare("X_u8", Rule::Exact, &images);
        if let Targets::Classes(labels) = data.targets() {
            let labels = labels.iter().map(|&label| label as f64).collect();
            checks.compare("labels", Rule::Exact, &Numbers::vector(labels));
        }
        Ok(())
    }
}

/// `sweep_*`: one row a training.
///
/// The trainings depend on the random generator of whoever ran them, so no entry can be computed
/// again; `hesse reproduce flatness` trains the same settings and holds means and correlations beside
/// these. What every row must satisfy whatever the generator is checked here, and named as such.
pub(super) struct Sweep;

/// Columns of the table.
const COLUMNS: usize = 18;

/// A statement about one row.
type Law = (&'static str, fn(&[f64]) -> bool);

/// Laws of a row: seed, rate, batch, train loss, train accuracy, test loss, test accuracy, √S, MLS,
/// NMLS, log volume, log volume of the top three, local dimension, D, NMLS bound, adaptive,
/// normalised MLS, relative flatness.
const LAWS: [Law; 9] = [
    ("numbers are finite", |r| r.iter().all(|x| x.is_finite())),
    ("seed, rate and batch are positive", |r| r[..3].iter().all(|&x| x > 0.0)),
    ("accuracies are shares", |r| [r[4], r[6]].iter().all(|x| (0.0..=1.0).contains(x))),
    ("losses and sharpness are not negative", |r| {
        [3, 5, 7, 8, 9, 15, 16, 17].iter().all(|&c| r[c] >= 0.0)
    }),
    ("MLS ≤ D", |r| r[8] <= r[13] * (1.0 + 1e-9)),
    ("NMLS ≤ its bound", |r| r[9] <= r[14] * (1.0 + 1e-9)),
    ("MLS ≤ NMLS", |r| r[8] <= r[9] * (1.0 + 1e-9)),
    ("1 ≤ local dimension ≤ 10", |r| (1.0 - 1e-9..=10.0 + 1e-9).contains(&r[12])),
    // No singular value is larger than the largest, and the mean of its logarithm is not larger than
    // the logarithm of its mean.
    ("log volumes ≤ 10 ln MLS and 3 ln MLS", |r| {
        let largest = r[8].ln();
        r[10] <= 10.0 * largest + 1e-9 && r[11] <= 3.0 * largest + 1e-9
    }),
];

impl Layout for Sweep {
    fn name(&self) -> &'static str {
        "sweep"
    }

    fn marks(&self) -> &'static [&'static str] {
        &["table"]
    }

    fn validate(&self, checks: &mut Checks<'_>) -> Result<(), Failure> {
        let arrays: &Arrays = checks.inputs(&["table"]);
        let ([rows, columns], values) = arrays.with_axes::<2>("table")?;
        if columns != COLUMNS {
            let message = format!("expected {COLUMNS} columns, got {columns}");
            return Err(arrays.wrong("table", message).into());
        }
        for (law, holds) in LAWS {
            let broken = values.chunks_exact(COLUMNS).filter(|row| !holds(row)).count();
            checks.law("table", &format!("{law}, in {rows} rows"), broken);
        }
        checks.not_recomputed(&["table"]);
        Ok(())
    }
}
