//! Responses from files, and what the commands that compare them have in common.

use std::path::Path;

use clap::ValueEnum;
use hesse::error::check_finite;
use hesse::faer::{Mat, MatRef};
use hesse::io::{self, Archive, Array};
use hesse::similarity::{Comparator, Region, RowVariance, Rsm, RsmKind, Trials};
use hesse::{Error, Result};
use serde::Serialize;

use crate::failure::{Failure, one_line};

/// Responses of one population or layer.
pub(super) struct Responses {
    pub(super) name: String,
    /// Stimuli × units, the mean over trials.
    pub(super) mean: Mat<f64>,
    pub(super) trials: Option<Trials>,
}

impl Responses {
    fn of(name: &str, array: &Array) -> Result<Self> {
        let values = array.to_f64()?;
        check_finite(array.label(), &values)?;
        let name = one_line(name);
        if values.is_empty() {
            return Err(Error::empty(array.label()));
        }
        match *array.shape() {
            [n, p] => {
                let mean = MatRef::from_row_major_slice(&values, n, p).to_owned();
                Ok(Self { name, mean, trials: None })
            }
            [t, n, p] => {
                let trials = Trials::from_array([t, n, p], &values)?;
                Ok(Self { name, mean: trials.mean(), trials: Some(trials) })
            }
            ref shape => {
                let expected = "stimuli × units, or trials × stimuli × units";
                Err(Error::range(array.label(), expected, format!("{} axes", shape.len())))
            }
        }
    }

    pub(super) fn stimuli(&self) -> usize {
        self.mean.nrows()
    }

    pub(super) fn units(&self) -> usize {
        self.mean.ncols()
    }
}

/// The responses that these arguments name, all for the same number of stimuli.
pub(super) fn read(specs: &[String]) -> std::result::Result<Vec<Responses>, Failure> {
    let mut all: Vec<Responses> = Vec::new();
    for spec in specs {
        let file = Path::new(spec);
        let single = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy"));
        if file.is_file() && !single {
            let archive = Archive::read(file)?;
            if archive.is_empty() {
                return Err(Error::empty(format!("{spec}: arrays")).into());
            }
            for (name, array) in archive.iter() {
                all.push(Responses::of(name, array)?);
            }
        } else {
            all.push(Responses::of(spec, &io::read(spec)?)?);
        }
    }
    same_stimuli(&all, &all)?;
    Ok(all)
}

/// Both have the stimuli of the first.
pub(super) fn same_stimuli(left: &[Responses], right: &[Responses]) -> Result<()> {
    let Some(first) = left.first() else { return Ok(()) };
    match right.iter().find(|other| other.stimuli() != first.stimuli()) {
        None => Ok(()),
        Some(other) => {
            let what = format!("{}: stimuli", other.name);
            let expected = format!("{}, as {} has", first.stimuli(), first.name);
            Err(Error::range(what, expected, other.stimuli()))
        }
    }
}

/// How similarity matrices are computed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct MatrixArguments {
    /// Similarity of the responses to two stimuli
    #[arg(long, value_enum, default_value_t = Kind::Pearson)]
    pub(super) kind: Kind,
    /// Add this to the standard deviation of every stimulus, so that one without variance is like no
    /// other instead of an error; 1e-7 in published code
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    floor: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Pearson's correlation across units
    Pearson,
    /// Cosine of the angle between responses
    Cosine,
    /// Pearson's correlation of ranks of units
    Spearman,
}

impl MatrixArguments {
    pub(super) fn rsm(&self, responses: &Responses) -> std::result::Result<Rsm, Failure> {
        let kind = match self.kind {
            Kind::Pearson => RsmKind::Pearson,
            Kind::Cosine => RsmKind::Cosine,
            Kind::Spearman => RsmKind::Spearman,
        };
        let variance = self.floor.map_or(RowVariance::Error, RowVariance::Floor);
        let found = Rsm::of(responses.mean.as_ref(), kind, variance);
        found.map_err(|error| about(&responses.name, &error))
    }

    pub(super) fn rsms(&self, all: &[Responses]) -> std::result::Result<Vec<Rsm>, Failure> {
        all.iter().map(|responses| self.rsm(responses)).collect()
    }
}

/// Says whose responses are wrong.
pub(super) fn about(name: &str, error: &Error) -> Failure {
    Failure::input(format!("{name}: {error}"))
}

/// A comparator as it is called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ComparatorName {
    /// Pearson's correlation of ranks of pairs of stimuli
    Spearman,
    /// Pearson's correlation over pairs of stimuli
    Pearson,
    /// Cosine over pairs of stimuli
    Cosine,
    /// Spearman's expectation when ties are broken at random
    RhoA,
    /// Kendall's τ_a
    TauA,
    /// Kendall's τ_b
    TauB,
    /// Cosine that knows how errors of distances depend on each other
    WhitenedCosine,
    /// The same after the mean of each matrix is taken away
    WhitenedPearson,
    /// Cosine of the Procrustes angle between the patterns behind squared distances
    Bures,
}

/// [`Region`] as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RegionName {
    /// The strict upper triangle: every pair of stimuli once
    Upper,
    /// All entries, the diagonal too: as the authors of the method did, which lifts the score
    Full,
}

impl RegionName {
    pub(super) fn region(self) -> Region {
        match self {
            RegionName::Upper => Region::Upper,
            RegionName::Full => Region::Full,
        }
    }
}

impl ComparatorName {
    pub(super) fn comparator(self) -> Comparator {
        match self {
            ComparatorName::Spearman => Comparator::Spearman,
            ComparatorName::Pearson => Comparator::Pearson,
            ComparatorName::Cosine => Comparator::Cosine,
            ComparatorName::RhoA => Comparator::RhoA,
            ComparatorName::TauA => Comparator::TauA,
            ComparatorName::TauB => Comparator::TauB,
            ComparatorName::WhitenedCosine => Comparator::WhitenedCosine,
            ComparatorName::WhitenedPearson => Comparator::WhitenedPearson,
            ComparatorName::Bures => Comparator::Bures,
        }
    }
}

/// Checks a confidence.
pub(super) fn check_confidence(confidence: f64) -> Result<()> {
    if confidence > 0.0 && confidence < 1.0 {
        return Ok(());
    }
    Err(Error::range("--confidence", "more than 0 and less than 1", confidence))
}

/// Checks a number of draws.
pub(super) fn check_draws(what: &str, draws: usize, fewest: usize) -> Result<()> {
    if (fewest..=1_000_000).contains(&draws) {
        return Ok(());
    }
    Err(Error::range(what, format!("{fewest} to 1000000"), draws))
}
