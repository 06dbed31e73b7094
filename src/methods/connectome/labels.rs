//! What rows and columns mean.

use crate::{Error, Result};

/// Names that data and results carry along: of experiments, and the region of each voxel.
///
/// A region is a number as in an atlas; 0 is no region, and such voxels are left out of sums by
/// region. An empty list says that nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// One name an experiment.
    pub experiments: Vec<String>,
    /// The region of each source voxel.
    pub source_regions: Vec<i64>,
    /// The region of each target voxel.
    pub target_regions: Vec<i64>,
}

impl Labels {
    pub(super) fn check(&self, sources: usize, targets: usize, experiments: usize) -> Result<()> {
        let check = |what: &str, got: usize, expected: usize| {
            if got == 0 || got == expected {
                return Ok(());
            }
            Err(Error::shape(what, expected, got))
        };
        check("names of experiments", self.experiments.len(), experiments)?;
        check("regions of source voxels", self.source_regions.len(), sources)?;
        check("regions of target voxels", self.target_regions.len(), targets)
    }

    pub(super) fn select(&self, experiments: &[usize]) -> Self {
        let names = experiments.iter().filter_map(|&e| self.experiments.get(e).cloned());
        Self { experiments: names.collect(), ..self.clone() }
    }
}
