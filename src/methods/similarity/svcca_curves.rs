//! Canonical correlations of populations with the layers of a network.

use faer::Mat;

use super::canonical::{Cca, Cut};
use super::principal::PrincipalDirections;
use crate::{Error, Result};

/// SVCCA of areas with the layers of a ladder.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SvccaCurves {
    /// Areas × layers: mean ρ.
    pub mean: Mat<f64>,
    /// Areas × layers: mean ρ² above its null level, see
    /// [`CanonicalCorrelations::adjusted`](super::CanonicalCorrelations::adjusted).
    pub adjusted: Mat<f64>,
    /// Dimensions kept of each area and layer, area by area.
    pub kept: Vec<(usize, usize)>,
    /// Whether the numbers of dimensions differ anywhere: then narrow layers win whatever they
    /// represent, and depths say little.
    pub unequal_dimensions: bool,
}

impl SvccaCurves {
    /// Mean canonical correlations of every area with every layer.
    ///
    /// [`Cut::Dim`] (k) is clipped to the smallest rank among all layers and areas, so that all
    /// comparisons have the same number of dimensions; 40 is usual for 118 stimuli. Other cuts may
    /// keep different numbers: [`SvccaCurves::unequal_dimensions`].
    ///
    /// # Errors
    /// [`Error::Empty`], and as [`Cca::of`].
    pub fn new(
        ladder: &[PrincipalDirections],
        areas: &[PrincipalDirections],
        cut: Cut,
    ) -> Result<Self> {
        for (what, count) in [("layers", ladder.len()), ("areas", areas.len())] {
            if count == 0 {
                return Err(Error::empty(what));
            }
        }
        let ranks = ladder.iter().chain(areas).map(PrincipalDirections::rank);
        let smallest = ranks.min().unwrap_or(0);
        let cut = match cut {
            Cut::Dim(k) => Cut::Dim(k.min(smallest)),
            cut => cut,
        };
        let cca = Cca::new().cut(cut);
        let mut mean = Mat::zeros(areas.len(), ladder.len());
        let mut adjusted = mean.clone();
        let mut kept = Vec::with_capacity(areas.len() * ladder.len());
        for (a, area) in areas.iter().enumerate() {
            for (l, layer) in ladder.iter().enumerate() {
                let found = cca.of(area, layer)?;
                mean[(a, l)] = found.mean();
                adjusted[(a, l)] = found.adjusted();
                kept.push(found.kept);
            }
        }
        let first = kept[0].0;
        let unequal_dimensions = kept.iter().any(|&(a, l)| a != first || l != first);
        Ok(Self { mean, adjusted, kept, unequal_dimensions })
    }
}
