//! Tables over pairs of stimuli.

use std::borrow::Cow;

use faer::{Mat, MatRef};

use super::rsm::RsmKind;
use crate::error::check_finite;
use crate::{Error, Result};

/// A symmetric table over pairs of n stimuli that comparators read: [`Rsm`] or [`Rdm`].
pub trait Pairwise: sealed::Sealed + Sync {
    /// n.
    fn stimuli(&self) -> usize;

    /// The strict upper triangle row by row: (0,1), (0,2), …, (1,2), ….
    fn upper(&self) -> &[f64];

    /// The diagonal.
    fn diagonal(&self) -> Cow<'_, [f64]>;

    /// The strict upper triangle of dissimilarities: 1 − C of similarities C.
    fn dissimilarities(&self) -> Cow<'_, [f64]>;

    /// Entry (i, j).
    ///
    /// # Panics
    /// If i or j is not below n.
    fn at(&self, i: usize, j: usize) -> f64 {
        if i == j { self.diagonal()[i] } else { self.upper()[pair(self.stimuli(), i, j)] }
    }

    /// The whole matrix.
    fn to_mat(&self) -> Mat<f64> {
        let (n, diagonal, upper) = (self.stimuli(), self.diagonal(), self.upper());
        Mat::from_fn(n, n, |i, j| if i == j { diagonal[i] } else { upper[pair(n, i, j)] })
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Rsm {}
    impl Sealed for super::Rdm {}
    impl Sealed for super::Table {}
}

/// Representational similarity matrix: similarities of the responses to n stimuli.
#[derive(Clone, Debug, PartialEq)]
pub struct Rsm {
    pub(super) kind: RsmKind,
    pub(super) diagonal: Vec<f64>,
    pub(super) upper: Vec<f64>,
}

/// Representational dissimilarity matrix: distances between the responses to n stimuli, 0 on the
/// diagonal.
#[derive(Clone, Debug, PartialEq)]
pub struct Rdm {
    stimuli: usize,
    upper: Vec<f64>,
}

/// Any table, or a part of one.
pub(super) struct Table {
    upper: Vec<f64>,
    diagonal: Vec<f64>,
    dissimilarities: Vec<f64>,
}

impl Table {
    pub fn of(table: &impl Pairwise) -> Self {
        Self {
            upper: table.upper().to_vec(),
            diagonal: table.diagonal().into_owned(),
            dissimilarities: table.dissimilarities().into_owned(),
        }
    }

    /// The table of these different stimuli, in this order.
    pub fn select(&self, stimuli: &[usize]) -> Self {
        let n = self.diagonal.len();
        let of = |upper: &[f64]| {
            let at = |(a, b): (usize, usize)| upper[pair(n, stimuli[a], stimuli[b])];
            pairs(stimuli.len()).map(at).collect()
        };
        Self {
            upper: of(&self.upper),
            diagonal: stimuli.iter().map(|&i| self.diagonal[i]).collect(),
            dissimilarities: of(&self.dissimilarities),
        }
    }
}

impl Pairwise for Table {
    fn stimuli(&self) -> usize {
        self.diagonal.len()
    }

    fn upper(&self) -> &[f64] {
        &self.upper
    }

    fn diagonal(&self) -> Cow<'_, [f64]> {
        Cow::Borrowed(&self.diagonal)
    }

    fn dissimilarities(&self) -> Cow<'_, [f64]> {
        Cow::Borrowed(&self.dissimilarities)
    }
}

impl Rsm {
    /// From the strict upper triangle, row by row; 1 on the diagonal.
    ///
    /// # Errors
    /// [`Error::Shape`] for a length that is not n(n − 1)/2, [`Error::NonFinite`].
    pub fn from_upper(kind: RsmKind, upper: Vec<f64>) -> Result<Self> {
        let n = stimuli_of(upper.len())?;
        check_finite("similarities", &upper)?;
        Ok(Self { kind, diagonal: vec![1.0; n], upper })
    }

    /// From a symmetric matrix; the upper triangle is kept.
    ///
    /// # Errors
    /// [`Error::Shape`] unless square, [`Error::NonFinite`], [`Error::Range`] unless symmetric to
    /// 10⁻¹² of its largest entry.
    pub fn from_matrix(kind: RsmKind, matrix: MatRef<'_, f64>) -> Result<Self> {
        let upper = upper_of("similarities", matrix)?;
        let diagonal = (0..matrix.nrows()).map(|i| matrix[(i, i)]).collect();
        Ok(Self { kind, diagonal, upper })
    }

    /// How it was computed.
    #[must_use]
    pub fn kind(&self) -> RsmKind {
        self.kind
    }

    /// The table of some of the stimuli, in this order.
    ///
    /// # Errors
    /// [`Error::Range`] for an index that is not below n, or one that comes twice: the similarity of
    /// a stimulus with its copy says nothing.
    pub fn select(&self, stimuli: &[usize]) -> Result<Self> {
        let upper = selected(self.stimuli(), &self.upper, stimuli)?;
        let diagonal = stimuli.iter().map(|&i| self.diagonal[i]).collect();
        Ok(Self { kind: self.kind, diagonal, upper })
    }

    /// The distances 1 − C.
    #[must_use]
    pub fn to_rdm(&self) -> Rdm {
        Rdm { stimuli: self.stimuli(), upper: self.dissimilarities().into_owned() }
    }
}

impl Pairwise for Rsm {
    fn stimuli(&self) -> usize {
        self.diagonal.len()
    }

    fn upper(&self) -> &[f64] {
        &self.upper
    }

    fn diagonal(&self) -> Cow<'_, [f64]> {
        Cow::Borrowed(&self.diagonal)
    }

    fn dissimilarities(&self) -> Cow<'_, [f64]> {
        Cow::Owned(self.upper.iter().map(|c| 1.0 - c).collect())
    }
}

impl Rdm {
    /// From the strict upper triangle, row by row.
    ///
    /// # Errors
    /// [`Error::Shape`] for a length that is not n(n − 1)/2, [`Error::NonFinite`].
    pub fn from_upper(upper: Vec<f64>) -> Result<Self> {
        let stimuli = stimuli_of(upper.len())?;
        check_finite("distances", &upper)?;
        Ok(Self { stimuli, upper })
    }

    /// From a symmetric matrix with a diagonal of zeros.
    ///
    /// # Errors
    /// [`Error::Shape`] unless square, [`Error::NonFinite`], [`Error::Range`] unless symmetric to
    /// 10⁻¹² of its largest entry with zeros on the diagonal.
    pub fn from_matrix(matrix: MatRef<'_, f64>) -> Result<Self> {
        let upper = upper_of("distances", matrix)?;
        if let Some(i) = (0..matrix.nrows()).find(|&i| matrix[(i, i)] != 0.0) {
            return Err(Error::range(
                format!("distance of stimulus {i} to itself"),
                "0",
                matrix[(i, i)],
            ));
        }
        Ok(Self { stimuli: matrix.nrows(), upper })
    }

    pub(super) fn new(stimuli: usize, upper: Vec<f64>) -> Self {
        Self { stimuli, upper }
    }

    /// The table of some of the stimuli, in this order.
    ///
    /// # Errors
    /// As [`Rsm::select`].
    pub fn select(&self, stimuli: &[usize]) -> Result<Self> {
        let upper = selected(self.stimuli, &self.upper, stimuli)?;
        Ok(Self { stimuli: stimuli.len(), upper })
    }
}

impl Pairwise for Rdm {
    fn stimuli(&self) -> usize {
        self.stimuli
    }

    fn upper(&self) -> &[f64] {
        &self.upper
    }

    fn diagonal(&self) -> Cow<'_, [f64]> {
        Cow::Owned(vec![0.0; self.stimuli])
    }

    fn dissimilarities(&self) -> Cow<'_, [f64]> {
        Cow::Borrowed(&self.upper)
    }
}

/// Place of (i, j), i ≠ j, in the strict upper triangle.
pub(super) fn pair(n: usize, i: usize, j: usize) -> usize {
    let (i, j) = (i.min(j), i.max(j));
    i * (2 * n - i - 1) / 2 + j - i - 1
}

/// All i < j, row by row.
pub(super) fn pairs(n: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (i + 1..n).map(move |j| (i, j)))
}

/// n of n(n − 1)/2 pairs.
fn stimuli_of(pairs: usize) -> Result<usize> {
    let mut n = (2.0 * pairs as f64).sqrt() as usize;
    while n > 0 && n * (n - 1) / 2 > pairs {
        n -= 1;
    }
    while n * n.saturating_sub(1) / 2 < pairs {
        n += 1;
    }
    match pairs > 0 && n * (n - 1) / 2 == pairs {
        true => Ok(n),
        false => Err(Error::shape("pairs of stimuli", "n(n − 1)/2", pairs)),
    }
}

fn upper_of(what: &str, matrix: MatRef<'_, f64>) -> Result<Vec<f64>> {
    let (n, columns) = matrix.shape();
    if n != columns {
        return Err(Error::shape(what, "a square matrix", (n, columns)));
    }
    let mut largest = 0.0_f64;
    for i in 0..n {
        for j in 0..n {
            let value = matrix[(i, j)];
            if !value.is_finite() {
                return Err(Error::NonFinite { what: what.to_owned(), index: i * n + j, value });
            }
            largest = largest.max(value.abs());
        }
    }
    for (i, j) in pairs(n) {
        let defect = (matrix[(i, j)] - matrix[(j, i)]).abs();
        if defect > 1e-12 * largest {
            let what = format!("{what}: difference of entries ({i}, {j}) and ({j}, {i})");
            return Err(Error::range(what, "0", defect));
        }
    }
    Ok(pairs(n).map(|(i, j)| matrix[(i, j)]).collect())
}

fn selected(n: usize, upper: &[f64], stimuli: &[usize]) -> Result<Vec<f64>> {
    let mut seen = vec![false; n];
    for &i in stimuli {
        match seen.get_mut(i) {
            None => return Err(Error::range("stimulus", format!("below {n}"), i)),
            Some(true) => {
                return Err(Error::range(format!("stimulus {i}"), "once in a selection", "again"));
            }
            Some(seen) => *seen = true,
        }
    }
    Ok(pairs(stimuli.len()).map(|(a, b)| upper[pair(n, stimuli[a], stimuli[b])]).collect())
}
