//! Groups of neighbouring layers.

use super::pairwise::{Pairwise, Rdm};
use crate::{Error, Result};

/// Groups of layers, numbered from 0 in the order of their first layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerClusters {
    labels: Vec<usize>,
    count: usize,
}

/// Where a curve lies among groups of layers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClusterDepth {
    /// Mean score of each group.
    pub means: Vec<f64>,
    /// Mean index of the groups, weighted by the means; NaN where they sum to 0.
    pub depth: f64,
    /// (1 − mean²/mean of squares)/(1 − 1/groups): 0 for equal means, 1 where
    /// one group has all; NaN for a single group.
    pub selectivity: f64,
}

impl LayerClusters {
    /// Ward's clusters of layers by distances between them (1 − SSM), cut into `count` groups.
    ///
    /// Distances are taken for Euclidean ones: the two clusters are merged whose union adds least to
    /// the sum of squares, by the update d²(u, v) = [(|v| + |s|) d²(v, s) + (|v| + |t|) d²(v, t) −
    /// |v| d²(s, t)]/(|v| + |s| + |t|) for u = s ∪ t (Lance and Williams; SciPy's `linkage`). O(L³).
    ///
    /// # Errors
    /// [`Error::Range`] for a count outside 1 to the number of layers, or a negative distance.
    pub fn ward(distances: &Rdm, count: usize) -> Result<Self> {
        let layers = distances.stimuli();
        if !(1..=layers).contains(&count) {
            return Err(Error::range("groups of layers", format!("1 to {layers}"), count));
        }
        if let Some(d) = distances.upper().iter().find(|d| **d < 0.0) {
            return Err(Error::range("distance of layers", "0 or more", d));
        }
        let mut square = distances.to_mat();
        for j in 0..layers {
            (0..layers).for_each(|i| square[(i, j)] *= square[(i, j)]);
        }
        let mut members: Vec<Vec<usize>> = (0..layers).map(|layer| vec![layer]).collect();
        let mut alive: Vec<usize> = (0..layers).collect();
        while alive.len() > count {
            let (mut best, mut least) = ((0, 0), f64::INFINITY);
            for (a, &s) in alive.iter().enumerate() {
                for &t in &alive[a + 1..] {
                    if square[(s, t)] < least {
                        (best, least) = ((s, t), square[(s, t)]);
                    }
                }
            }
            let (s, t) = best;
            let size = |c: usize| members[c].len() as f64;
            for &v in alive.iter().filter(|&&v| v != s && v != t) {
                let sum = (size(v) + size(s)) * square[(v, s)]
                    + (size(v) + size(t)) * square[(v, t)]
                    - size(v) * least;
                let merged = sum / (size(v) + size(s) + size(t));
                square[(v, s)] = merged;
                square[(s, v)] = merged;
            }
            let gone = std::mem::take(&mut members[t]);
            members[s].extend(gone);
            alive.retain(|&c| c != t);
        }
        let mut labels = vec![0; layers];
        alive.sort_by_key(|&c| members[c].iter().min().copied());
        for (label, &c) in alive.iter().enumerate() {
            members[c].iter().for_each(|&layer| labels[layer] = label);
        }
        Ok(Self { labels, count })
    }

    /// The group of each layer.
    #[must_use]
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Number of groups.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The depth of a curve of scores: group means over the significant layers (all where `significant`
    /// is none; 0 for a group without), and their centre of mass.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of layers, [`Error::NonFinite`].
    pub fn depth(&self, curve: &[f64], significant: Option<&[bool]>) -> Result<ClusterDepth> {
        let layers = self.labels.len();
        if curve.len() != layers {
            return Err(Error::shape("curve: layers", layers, curve.len()));
        }
        crate::error::check_finite("curve", curve)?;
        if let Some(flags) = significant
            && flags.len() != layers
        {
            return Err(Error::shape("significant layers", layers, flags.len()));
        }
        let mean = |group: usize| {
            let counts = |layer: &usize| {
                self.labels[*layer] == group && significant.is_none_or(|flags| flags[*layer])
            };
            let chosen: Vec<f64> = (0..layers).filter(counts).map(|layer| curve[layer]).collect();
            match chosen.len() {
                0 => 0.0,
                count => chosen.iter().sum::<f64>() / count as f64,
            }
        };
        let means: Vec<f64> = (0..self.count).map(mean).collect();
        let total: f64 = means.iter().sum();
        let weighted: f64 = means.iter().enumerate().map(|(g, mean)| g as f64 * mean).sum();
        let groups = self.count as f64;
        let squares = means.iter().map(|m| m * m).sum::<f64>() / groups;
        let selectivity = (1.0 - (total / groups).powi(2) / squares) / (1.0 - 1.0 / groups);
        Ok(ClusterDepth { means, depth: weighted / total, selectivity })
    }
}
