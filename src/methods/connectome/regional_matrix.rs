//! Sums of a voxel matrix over pairs of regions.

use faer::{Mat, MatRef};

use super::dense_products;
use super::fitted::Weights;
use crate::{Error, Result};

/// Connection strengths between regions, sources × targets, four ways.
///
/// With W targets × sources, and regions r of sources and q of targets:
/// strength(r, q) = Σ W(t, s) over s in r and t in q; density = strength/|q|; normalised strength =
/// strength/|r|; normalised density = strength/(|r||q|). Region 0 is left out. Rows and columns carry
/// the numbers of their regions, in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionalMatrix {
    /// Sums over pairs of voxels.
    pub strength: Mat<f64>,
    /// strength / voxels of the target region.
    pub density: Mat<f64>,
    /// strength / voxels of the source region.
    pub normalized_strength: Mat<f64>,
    /// strength / (voxels of the source region · voxels of the target region).
    pub normalized_density: Mat<f64>,
    /// The region of each row.
    pub source_ids: Vec<i64>,
    /// The region of each column.
    pub target_ids: Vec<i64>,
    /// Voxels of each source region.
    pub source_counts: Vec<usize>,
    /// Voxels of each target region.
    pub target_counts: Vec<usize>,
}

/// Regions and which of them each voxel belongs to.
#[derive(Clone, Debug)]
pub(super) struct Regions {
    pub ids: Vec<i64>,
    pub counts: Vec<usize>,
    /// Position of each voxel's region in `ids`; `None` for region 0.
    pub of: Vec<Option<usize>>,
}

impl Regions {
    /// The regions of `key`, ascending, without 0.
    pub fn new(what: &str, key: &[i64], voxels: usize) -> Result<Self> {
        if key.is_empty() {
            return Err(Error::empty(format!("regions of {what}")));
        }
        if key.len() != voxels {
            return Err(Error::shape(format!("regions of {what}"), voxels, key.len()));
        }
        let mut ids: Vec<i64> = key.iter().copied().filter(|k| *k != 0).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Err(Error::empty(format!("regions of {what} other than 0")));
        }
        let of: Vec<_> = key.iter().map(|k| ids.binary_search(k).ok()).collect();
        let mut counts = vec![0; ids.len()];
        of.iter().flatten().for_each(|&r| counts[r] += 1);
        Ok(Self { ids, counts, of })
    }

    /// P A: rows of `a` (voxels × columns) summed by region.
    pub fn sum_rows(&self, a: MatRef<'_, f64>) -> Mat<f64> {
        let mut out = Mat::<f64>::zeros(self.ids.len(), a.ncols());
        for j in 0..a.ncols() {
            for (i, region) in self.of.iter().enumerate() {
                if let Some(r) = region {
                    out[(*r, j)] += a[(i, j)];
                }
            }
        }
        out
    }

    /// P⁺ A: each row of `a` (regions × columns) spread evenly over the voxels of its region; 0 for
    /// voxels of no region.
    pub fn spread_rows(&self, a: MatRef<'_, f64>) -> Mat<f64> {
        Mat::from_fn(self.of.len(), a.ncols(), |i, j| match self.of[i] {
            Some(r) => a[(r, j)] / self.counts[r] as f64,
            None => 0.0,
        })
    }
}

impl RegionalMatrix {
    /// Sums of W over pairs of regions: the keys hold the region of each voxel, 0 for voxels to be left
    /// out. Factors are summed as such; W is not formed.
    ///
    /// # Errors
    /// [`Error::Shape`] for keys of another length, [`Error::Empty`] for keys without a region.
    pub fn from_weights(weights: &Weights, source_key: &[i64], target_key: &[i64]) -> Result<Self> {
        let (targets, sources) = match weights {
            Weights::Full(w) => (w.targets(), w.sources()),
            Weights::Factors { u, v } => (u.nrows(), v.nrows()),
        };
        let source = Regions::new("source voxels", source_key, sources)?;
        let target = Regions::new("target voxels", target_key, targets)?;
        let strength = match weights {
            Weights::Full(w) => {
                let by_target = target.sum_rows(w.as_mat());
                source.sum_rows(by_target.transpose())
            }
            Weights::Factors { u, v } => {
                let (u, v) = (target.sum_rows(u.as_ref()), source.sum_rows(v.as_ref()));
                dense_products::times(v.as_ref(), u.transpose())
            }
        };
        Ok(Self::from_strength(strength, &source, &target))
    }

    fn from_strength(strength: Mat<f64>, source: &Regions, target: &Regions) -> Self {
        let scaled = |by: &dyn Fn(usize, usize) -> f64| {
            Mat::from_fn(strength.nrows(), strength.ncols(), |i, j| strength[(i, j)] / by(i, j))
        };
        let (rows, columns) = (&source.counts, &target.counts);
        Self {
            density: scaled(&|_, j| columns[j] as f64),
            normalized_strength: scaled(&|i, _| rows[i] as f64),
            normalized_density: scaled(&|i, j| rows[i] as f64 * columns[j] as f64),
            strength,
            source_ids: source.ids.clone(),
            target_ids: target.ids.clone(),
            source_counts: source.counts.clone(),
            target_counts: target.counts.clone(),
        }
    }

    /// The strength from one region to another, by their numbers.
    ///
    /// # Errors
    /// [`Error::Range`] for a region that is not there, with those that are.
    pub fn strength_between(&self, source: i64, target: i64) -> Result<f64> {
        let find = |what: &str, ids: &[i64], id: i64| {
            ids.binary_search(&id).map_err(|_| {
                Error::range(format!("region of {what}"), format!("one of {ids:?}"), id)
            })
        };
        let row = find("source voxels", &self.source_ids, source)?;
        let column = find("target voxels", &self.target_ids, target)?;
        Ok(self.strength[(row, column)])
    }
}
