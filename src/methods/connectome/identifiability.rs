//! Whether the data determine W.

use faer::Mat;

use super::data::TracingData;
use super::dense_factors;
use super::objective::check_operators;
use super::smoothing_operator::SmoothingOperator;
use crate::{Error, Result};

/// A pair of connected components between which the data leave a constant of W open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ComponentPair {
    /// The component of target voxels.
    pub target: usize,
    /// The component of source voxels.
    pub source: usize,
}

/// What [`identifiability`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifiabilityReport {
    /// The component of each target voxel.
    pub target_components: Vec<usize>,
    /// The component of each source voxel.
    pub source_components: Vec<usize>,
    /// Pairs between which constants are not determined, by target and source. Where the sums of
    /// injections over several source components are dependent, all of these are listed.
    pub undetermined: Vec<ComponentPair>,
}

impl IdentifiabilityReport {
    /// Whether W is unique for every λ > 0.
    #[must_use]
    pub fn is_identifiable(&self) -> bool {
        self.undetermined.is_empty()
    }

    /// The report, or an error where W is not unique.
    ///
    /// # Errors
    /// [`Error::Unidentifiable`] with the pairs.
    pub fn strict(self) -> Result<Self> {
        if self.is_identifiable() {
            return Ok(self);
        }
        let name = |p: &ComponentPair| format!("target {} with source {}", p.target, p.source);
        Err(Error::Unidentifiable { components: self.undetermined.iter().map(name).collect() })
    }
}

/// Whether the minimiser of P1 with λ > 0 is unique, and if not where it is not.
///
/// The penalty vanishes exactly on matrices that are constant on each pair of a target component and
/// a source component (all eigenvalues of L are ≤ 0, so that only 0 + 0 is 0). W is unique if and only
/// if for every target component q the matrix with a row for each experiment that has an observed
/// voxel in q, and in it the sums of that injection over the source components, has full column rank.
///
/// Cost: one singular value decomposition of experiments × source components for each different set
/// of experiments.
///
/// # Errors
/// [`Error::Shape`] for operators of another size, [`Error::Range`] for operators whose rows do not
/// sum to 0: their kernel is another one.
pub fn identifiability(
    data: &TracingData,
    lx: &SmoothingOperator,
    ly: &SmoothingOperator,
) -> Result<IdentifiabilityReport> {
    check_operators(data, lx, ly)?;
    for (what, l) in [("L_x", lx), ("L_y", ly)] {
        if !l.rows_sum_to_zero() || !l.is_symmetric() {
            let expected = "a graph Laplacian, symmetric with rows that sum to 0";
            return Err(Error::range(what, expected, "another operator"));
        }
    }
    let (target_components, targets) = ly.components();
    let (source_components, sources) = lx.components();
    let experiments = data.experiments();
    let mut sums = Mat::<f64>::zeros(experiments, sources);
    for (value, (s, e)) in data.injections().iter() {
        sums[(e, source_components[s])] += value;
    }
    let mut seen = vec![vec![false; experiments]; targets];
    for e in 0..experiments {
        for (t, &component) in target_components.iter().enumerate() {
            seen[component][e] |= data.observed().at(t, e);
        }
    }
    let mut undetermined = Vec::new();
    let mut known: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for (target, seen) in seen.into_iter().enumerate() {
        let open = match known.iter().find(|(other, _)| *other == seen) {
            Some((_, open)) => open.clone(),
            None => {
                let rows: Vec<usize> = (0..experiments).filter(|&e| seen[e]).collect();
                let open = undetermined_columns(&sums, &rows)?;
                known.push((seen, open.clone()));
                open
            }
        };
        undetermined.extend(open.into_iter().map(|source| ComponentPair { target, source }));
    }
    Ok(IdentifiabilityReport { target_components, source_components, undetermined })
}

/// The columns on which some vector of the kernel of these rows is not zero.
fn undetermined_columns(sums: &Mat<f64>, rows: &[usize]) -> Result<Vec<usize>> {
    let k = sums.ncols();
    if rows.is_empty() {
        return Ok((0..k).collect());
    }
    // Columns of norm 1, so that the size of a component does not count.
    let norm = |j: usize| rows.iter().map(|&e| sums[(e, j)] * sums[(e, j)]).sum::<f64>().sqrt();
    let norms: Vec<f64> = (0..k).map(norm).collect();
    let scaled = |j: usize, e: usize| if norms[j] > 0.0 { sums[(e, j)] / norms[j] } else { 0.0 };
    let matrix = |columns: &[usize]| {
        Mat::from_fn(rows.len(), columns.len(), |i, j| scaled(columns[j], rows[i]))
    };
    let all: Vec<usize> = (0..k).collect();
    let rank = dense_factors::rank(matrix(&all).as_ref())?;
    if rank == k {
        return Ok(Vec::new());
    }
    // A column is determined if the rank falls without it.
    let mut open = Vec::new();
    for j in 0..k {
        let others: Vec<usize> = (0..k).filter(|&i| i != j).collect();
        let determined = norms[j] > 0.0
            && (others.is_empty() || dense_factors::rank(matrix(&others).as_ref())? < rank);
        if !determined {
            open.push(j);
        }
    }
    Ok(open)
}
