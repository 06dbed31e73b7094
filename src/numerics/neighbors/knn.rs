//! Exact k nearest neighbours.

use faer::MatRef;
use hesse_kernels::smallest::Entry;

use super::bound::{Frame, Points, holds};
use super::direct;
use super::distinct::{first_copies, select};
use super::plan::{Search, plan};
use super::problem::{Problem, Squares};
use super::rows::{Rows, into_range};
use super::screening::{self, Numbers};
use super::table::{Arithmetic, Neighbors, Report};
use super::tiles::{self, Certified};
use super::tree;
use crate::numerics::parallel;
use crate::{Error, Isa, Real, Result};

/// Bytes of a point, at most, of which panels stay in the second-level cache.
const PANEL: usize = 16 << 10;

/// What a distance is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Metric {
    /// |x − y|.
    #[default]
    Euclidean,
    /// 1 − x·y/(|x||y|), computed as half the squared distance of the unit vectors, which does not
    /// cancel for directions that nearly agree.
    Cosine,
}

/// The arithmetic of the search. The table does not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precision {
    /// Matrix products in `f64`.
    Double,
    /// Matrix products of 16-bit integers, four times as fast, where a sample of the points shows that
    /// they are fine enough, and otherwise in `f32`. Rows for which their error bound cannot exclude
    /// that a neighbour was missed are searched for again in `f64`.
    #[default]
    MixedCertified,
}

/// What to do with points that are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Duplicates {
    /// They are neighbours at distance 0.
    #[default]
    Keep,
    /// The first copy of each point is kept; the table is one of distinct points,
    /// [`Neighbors::kept`] says which.
    Merge,
    /// They are an error.
    Refuse,
}

/// Exact k nearest neighbours of points, by Euclidean or cosine distance.
///
/// d² = Σ (xᵢ − yᵢ)², summed in `f64` by direct differences in a fixed order: relative error at most
/// (d/16 + 8) 2⁻⁵³, without cancellation at any offset. Neighbours are ordered by (d², index), and a
/// point is never a neighbour of itself, by index. The table is the same for every precision and
/// search, bit for bit, and for any number of threads. Coordinates whose squares would overflow or
/// vanish are rescaled by a power of two; only differences below 2⁻¹⁰⁰⁰ of the largest coordinate
/// count as 0.
///
/// Cost for n points of d coordinates: n² d flops in matrix products (m queries: 2 m n d), or
/// O(n log n) in few dimensions; [`plan`] chooses. Memory beside the input: two copies of the
/// points and about 50 k bytes a point, never n².
///
/// ```
/// use hesse::faer::mat;
/// use hesse::neighbors::Knn;
///
/// let x = mat![[0.0], [1.0], [3.0_f64]];
/// let table = Knn::new(2).build(x.as_ref())?;
/// assert_eq!(table.indices(1), [0, 2]);
/// assert_eq!(table.distances(1), [1.0, 2.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knn {
    k: usize,
    metric: Metric,
    precision: Precision,
    duplicates: Duplicates,
    search: Option<Search>,
}

impl Knn {
    /// A search for k neighbours: Euclidean, [`Precision::MixedCertified`], copies kept.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self {
            k,
            metric: Metric::default(),
            precision: Precision::default(),
            duplicates: Duplicates::default(),
            search: None,
        }
    }

    /// What a distance is.
    #[must_use]
    pub fn metric(self, metric: Metric) -> Self {
        Self { metric, ..self }
    }

    /// The arithmetic of the search.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// What to do with points that are the same. In a [`Knn::query`], reference points.
    #[must_use]
    pub fn duplicates(self, duplicates: Duplicates) -> Self {
        Self { duplicates, ..self }
    }

    /// A given search instead of the planned one, for benchmarks and tests.
    #[must_use]
    pub fn search(self, search: Search) -> Self {
        Self { search: Some(search), ..self }
    }

    /// The k nearest of the other rows of x for each row of x, samples × features.
    ///
    /// # Errors
    /// No rows or no features, NaN or infinities, k = 0 or no k other points, copies that are
    /// refused, a zero row for cosine distances.
    pub fn build<T: Real>(&self, x: MatRef<'_, T>) -> Result<Neighbors> {
        let rows = Rows::new("x", x)?;
        let (rows, kept) = self.distinct("x", rows)?;
        self.check_k(rows.n - 1)?;
        match self.metric {
            Metric::Euclidean => self.run(rows, None, kept),
            Metric::Cosine => self.run(rows.unit("x")?, None, kept),
        }
    }

    /// The k nearest rows of `reference` for each row of `queries`.
    ///
    /// # Errors
    /// As [`Knn::build`], and other features in the two.
    pub fn query<T: Real>(
        &self,
        queries: MatRef<'_, T>,
        reference: MatRef<'_, T>,
    ) -> Result<Neighbors> {
        let queries = Rows::new("queries", queries)?;
        let reference = Rows::new("reference", reference)?;
        if queries.d != reference.d {
            return Err(Error::shape("features of queries", reference.d, queries.d));
        }
        let (reference, kept) = self.distinct("reference", reference)?;
        self.check_k(reference.n)?;
        match self.metric {
            Metric::Euclidean => self.run(reference, Some(queries), kept),
            Metric::Cosine => {
                self.run(reference.unit("reference")?, Some(queries.unit("queries")?), kept)
            }
        }
    }

    fn check_k(&self, others: usize) -> Result<()> {
        if (1..=others).contains(&self.k) {
            return Ok(());
        }
        let expected = match others {
            0 => "other points to choose from".to_owned(),
            _ => format!("1 to {others}, the points to choose from"),
        };
        Err(Error::range("neighbours k", expected, self.k))
    }

    /// The points without copies, as asked.
    fn distinct<T: Real>(
        &self,
        what: &str,
        rows: Rows<T>,
    ) -> Result<(Rows<T>, Option<Vec<usize>>)> {
        if self.duplicates == Duplicates::Keep {
            return Ok((rows, None));
        }
        let kept = first_copies(&rows);
        if self.duplicates == Duplicates::Refuse && kept.len() < rows.n {
            let got = format!("{} distinct ones of {}", kept.len(), rows.n);
            return Err(Error::range(format!("rows of {what}"), "distinct ones", got));
        }
        Ok((if kept.len() < rows.n { select(&rows, &kept) } else { rows }, Some(kept)))
    }

    fn run<T: Real>(
        &self,
        mut reference: Rows<T>,
        mut queries: Option<Rows<T>>,
        kept: Option<Vec<usize>>,
    ) -> Result<Neighbors> {
        Isa::from_env()?;
        let mut all: Vec<&mut Rows<T>> = vec![&mut reference];
        all.extend(queries.as_mut());
        let shift = into_range(&mut all);
        let problem = Problem {
            queries: queries.as_ref().unwrap_or(&reference),
            reference: &reference,
            own: queries.is_none(),
            k: self.k,
        };
        let search = self.search.unwrap_or_else(|| plan(reference.n, reference.d, self.k));
        let mut report = Report {
            search,
            arithmetic: Arithmetic::Double,
            repeated_in_double: 0,
            repeated_directly: 0,
        };
        let everything: Vec<u32> = (0..problem.queries.n as u32).collect();
        let mut found = Squares::new(problem.queries.n, self.k);
        match search {
            Search::Direct => put(&mut found, &everything, direct::search(&problem, &everything)),
            Search::Tree => put(&mut found, &everything, tree::search(&problem)),
            Search::Tiles => self.tiles(&problem, &everything, &mut found, &mut report),
        }
        let Squares { squares, indices, .. } = found;
        let mut distances = squares;
        let metric = self.metric;
        parallel::for_each_piece(&mut distances, 1 << 14, |_, piece| {
            piece.iter_mut().for_each(|d| {
                *d = match metric {
                    Metric::Euclidean if shift == 0 => d.sqrt(),
                    Metric::Euclidean => libm::ldexp(d.sqrt(), -shift),
                    Metric::Cosine => 0.5 * *d,
                }
            });
        });
        let (k, points, own) = (self.k, reference.n, problem.own);
        Ok(Neighbors { distances, indices, k, points, own, kept, report: Some(report) })
    }

    /// In the asked precision, then what is not certified in `f64`, then directly.
    fn tiles<T: Real>(
        &self,
        problem: &Problem<'_, T>,
        everything: &[u32],
        found: &mut Squares,
        report: &mut Report,
    ) {
        let frame = Frame::of(problem.reference, (!problem.own).then_some(problem.queries));
        let narrow = self.precision == Precision::MixedCertified;
        let mut rest = everything.to_vec();
        let mut screened = None;
        if narrow && problem.own && panels_fit::<i32>(problem.reference.d) {
            screened = screening::among_themselves::<T, i32>(problem, &frame);
            report.arithmetic = Arithmetic::Integers;
        }
        if narrow && screened.is_none() && holds::<f32>(problem.reference.d) {
            screened = first_pass::<T, f32>(problem, &frame, everything);
            report.arithmetic = Arithmetic::Single;
        }
        if let Some(nearest) = screened {
            rest = put_certified(found, &rest, nearest);
        }
        if narrow {
            report.repeated_in_double = rest.len();
        } else {
            report.arithmetic = Arithmetic::Double;
        }
        // A few rows are measured in one pass, in less than another copy of the points takes.
        if rest.len() > direct::QUERIES
            && let Some(nearest) = first_pass::<T, f64>(problem, &frame, &rest)
        {
            rest = put_certified(found, &rest, nearest);
        }
        report.repeated_directly = rest.len();
        put(found, &rest, direct::search(problem, &rest));
    }
}

/// Whether points are screened in panels of these numbers: they stay in the second-level cache.
fn panels_fit<U: Numbers>(d: usize) -> bool {
    U::hold(d) && d.div_ceil(U::TOGETHER) * size_of::<U>() <= PANEL
}

/// Tiles in the type U, for all rows or some; none if a sample shows that nearly no row could be
/// certified.
fn first_pass<T: Real, U: Real + Numbers>(
    problem: &Problem<'_, T>,
    frame: &Frame,
    rows: &[u32],
) -> Option<Vec<Certified>> {
    let all = problem.own && rows.len() == problem.reference.n;
    if all && panels_fit::<U>(problem.reference.d) {
        return screening::among_themselves::<T, U>(problem, frame);
    }
    let reference: Points<U> = frame.prepare(problem.reference);
    Some(if all {
        tiles::among_themselves(problem, frame, &reference)
    } else if problem.own {
        tiles::of_queries(problem, frame, &reference, &reference, rows)
    } else {
        let queries = frame.prepare(problem.queries);
        tiles::of_queries(problem, frame, &queries, &reference, rows)
    })
}

fn put(found: &mut Squares, rows: &[u32], nearest: Vec<Vec<Entry<f64>>>) {
    rows.iter().zip(nearest).for_each(|(&i, nearest)| found.set(i as usize, &nearest));
}

/// Takes what is certified and returns the rows that are not.
fn put_certified(found: &mut Squares, rows: &[u32], nearest: Vec<Certified>) -> Vec<u32> {
    let mut rest = Vec::new();
    for (&i, nearest) in rows.iter().zip(nearest) {
        match nearest {
            Some(nearest) => found.set(i as usize, &nearest),
            None => rest.push(i),
        }
    }
    rest
}
