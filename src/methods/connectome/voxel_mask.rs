//! Sets of voxels of a grid.

use super::VoxelLaplacian;
use crate::{Error, Result};

/// Grids of no more cells than this: a mask holds a table of all of them.
const MOST_CELLS: usize = 1 << 31;

/// No voxel in the table of cells.
pub(super) const NONE: u32 = u32::MAX;

/// A set of voxels of a 1-, 2- or 3-dimensional grid, in an order of its own.
///
/// Cells of the grid are numbered row by row (C order: the last coordinate runs fastest). Voxels
/// are numbered from 0 in the order in which they were given; any order is as good as another as
/// long as data use the same, but products with the Laplacian are fast where most voxels follow
/// their neighbour along the last axis, as in C order or in C order region after region.
///
/// ```
/// use hesse::connectome::{Smoothing, VoxelMask};
/// // ■ ■
/// // ■ □
/// let mask = VoxelMask::from_bool_grid(&[2, 2], &[true, true, true, false])?;
/// let laplacian = mask.laplacian(Smoothing::free())?;
/// let mut y = [0.0_f64; 3];
/// laplacian.try_apply(&[1.0, 5.0, 7.0], &mut y)?;
/// assert_eq!(y, [(5.0 - 1.0) + (7.0 - 1.0), 1.0 - 5.0, 1.0 - 7.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoxelMask {
    shape: Vec<usize>,
    /// Cell of each voxel.
    cells: Vec<usize>,
    /// Voxel of each cell, or [`NONE`].
    voxels: Vec<u32>,
}

impl VoxelMask {
    /// The cells where `inside` holds, in C order.
    ///
    /// # Errors
    /// [`Error::Range`] unless the shape has one to three positive sizes with a product of at most
    /// 2³¹, [`Error::Shape`] unless `inside` has as many elements, [`Error::Empty`] if none holds.
    pub fn from_bool_grid(shape: &[usize], inside: &[bool]) -> Result<Self> {
        let cells = count_cells(shape)?;
        if inside.len() != cells {
            return Err(Error::shape("voxel mask", cells, inside.len()));
        }
        let chosen: Vec<usize> = (0..cells).filter(|&cell| inside[cell]).collect();
        Self::from_indices(shape, &chosen)
    }

    /// The voxels with these coordinates, one voxel after the other, as many coordinates for each
    /// as the grid has dimensions.
    ///
    /// # Errors
    /// As [`VoxelMask::from_indices`], with the coordinates of the voxel; [`Error::Shape`] unless
    /// the number of coordinates is a multiple of the dimensions.
    pub fn from_coordinates(shape: &[usize], coordinates: &[usize]) -> Result<Self> {
        count_cells(shape)?;
        let dimensions = shape.len();
        if !coordinates.len().is_multiple_of(dimensions) {
            let expected = format!("a multiple of {dimensions}");
            return Err(Error::range("number of voxel coordinates", expected, coordinates.len()));
        }
        let mut cells = Vec::with_capacity(coordinates.len() / dimensions);
        for (voxel, place) in coordinates.chunks_exact(dimensions).enumerate() {
            if let Some(axis) = (0..dimensions).find(|&axis| place[axis] >= shape[axis]) {
                let what = format!("coordinate {axis} of voxel {voxel}");
                return Err(Error::range(what, format!("below {}", shape[axis]), place[axis]));
            }
            cells.push(place.iter().zip(shape).fold(0, |cell, (place, size)| cell * size + place));
        }
        Self::from_indices(shape, &cells)
    }

    /// The voxels with these numbers of cells, in any order.
    ///
    /// # Errors
    /// [`Error::Range`] for the shape (see [`VoxelMask::from_bool_grid`]), for a cell outside the
    /// grid and for one that comes twice; [`Error::Empty`] for no voxel.
    pub fn from_indices(shape: &[usize], indices: &[usize]) -> Result<Self> {
        let cells = count_cells(shape)?;
        if indices.is_empty() {
            return Err(Error::empty("voxels of the mask"));
        }
        let mut voxels = vec![NONE; cells];
        for (voxel, &cell) in indices.iter().enumerate() {
            if cell >= cells {
                let what = format!("grid index of voxel {voxel}");
                return Err(Error::range(what, format!("below {cells}"), cell));
            }
            if voxels[cell] != NONE {
                let got = format!("cell {cell} again, as voxel {}", voxels[cell]);
                return Err(Error::range(format!("voxel {voxel}"), "a cell of its own", got));
            }
            // Below the number of cells, 2³¹ at most.
            voxels[cell] = u32::try_from(voxel).unwrap_or(NONE);
        }
        Ok(Self { shape: shape.to_vec(), cells: indices.to_vec(), voxels })
    }

    /// Every cell of a box, in C order.
    ///
    /// # Errors
    /// [`Error::Range`] for the shape, see [`VoxelMask::from_bool_grid`].
    pub fn full(shape: &[usize]) -> Result<Self> {
        let cells: Vec<usize> = (0..count_cells(shape)?).collect();
        Self::from_indices(shape, &cells)
    }

    /// The same set in another order: new voxel i is the old `order[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are as many numbers as voxels, [`Error::Range`] unless they are
    /// a permutation.
    pub fn reordered(&self, order: &[usize]) -> Result<Self> {
        if order.len() != self.len() {
            return Err(Error::shape("order of the voxels", self.len(), order.len()));
        }
        self.subset(order)
    }

    /// The voxels with these numbers, in the order given, on the same grid.
    ///
    /// # Errors
    /// [`Error::Empty`] for none, [`Error::Range`] for a number that is no voxel's and for one that
    /// comes twice.
    pub fn subset(&self, voxels: &[usize]) -> Result<Self> {
        let mut cells = Vec::with_capacity(voxels.len());
        for &voxel in voxels {
            let Some(&cell) = self.cells.get(voxel) else {
                return Err(Error::range("voxel", format!("below {}", self.len()), voxel));
            };
            cells.push(cell);
        }
        Self::from_indices(&self.shape, &cells)
    }

    /// The order that puts regions one after the other, by ascending label, voxels of a region in
    /// their present order: for [`VoxelMask::reordered`].
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one label a voxel.
    pub fn region_order(&self, labels: &[i64]) -> Result<Vec<usize>> {
        self.check_labels(labels)?;
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&voxel| labels[voxel]);
        Ok(order)
    }

    /// Number of voxels.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // Never empty.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Sizes of the grid.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The cell of each voxel, numbered in C order.
    #[must_use]
    pub fn indices(&self) -> &[usize] {
        &self.cells
    }

    /// The coordinates of a voxel; `None` if there is none of this number.
    #[must_use]
    pub fn coordinates(&self, voxel: usize) -> Option<Vec<usize>> {
        let mut cell = *self.cells.get(voxel)?;
        let mut place = vec![0; self.shape.len()];
        for (place, size) in place.iter_mut().zip(&self.shape).rev() {
            *place = cell % size;
            cell /= size;
        }
        Some(place)
    }

    /// The voxel at these coordinates; `None` outside the mask or the grid.
    #[must_use]
    pub fn voxel_at(&self, place: &[usize]) -> Option<usize> {
        if place.len() != self.shape.len() || place.iter().zip(&self.shape).any(|(p, s)| p >= s) {
            return None;
        }
        let cell = place.iter().zip(&self.shape).fold(0, |cell, (place, size)| cell * size + place);
        let voxel = self.voxels[cell];
        (voxel != NONE).then_some(voxel as usize)
    }

    /// Whether the voxel lies in the half of the grid with last coordinate ≥ size/2: in tracing
    /// data the injected hemisphere. False for a number that is no voxel's.
    #[must_use]
    pub fn is_ipsilateral(&self, voxel: usize) -> bool {
        let size = self.shape.last().copied().unwrap_or(1);
        self.cells.get(voxel).is_some_and(|cell| cell % size >= size / 2)
    }

    /// The voxels of the ipsilateral half (see [`VoxelMask::is_ipsilateral`]) and of the other.
    #[must_use]
    pub fn hemispheres(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.len()).partition(|&voxel| self.is_ipsilateral(voxel))
    }

    /// Whether the voxels are all cells of the grid, in C order.
    #[must_use]
    pub fn is_box(&self) -> bool {
        self.len() == self.voxels.len() && self.cells.iter().enumerate().all(|(i, &cell)| i == cell)
    }

    /// The graph Laplacian of the voxels.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the labels of [`Smoothing::blocked`] are one a voxel.
    pub fn laplacian(&self, smoothing: Smoothing<'_>) -> Result<VoxelLaplacian> {
        if let Some(labels) = smoothing.labels {
            self.check_labels(labels)?;
        }
        Ok(VoxelLaplacian::new(self, smoothing))
    }

    fn check_labels(&self, labels: &[i64]) -> Result<()> {
        if labels.len() == self.len() {
            return Ok(());
        }
        Err(Error::shape("region labels of the voxels", self.len(), labels.len()))
    }

    /// The voxels before and behind along each axis, last axis first, where they are.
    pub(super) fn neighbours(&self, voxel: usize) -> [Option<usize>; 6] {
        let mut near = [None; 6];
        let cell = self.cells[voxel];
        let mut step = 1;
        for (axis, &size) in self.shape.iter().rev().enumerate() {
            let place = cell / step % size;
            let at = |cell: usize| {
                let voxel = self.voxels[cell];
                (voxel != NONE).then_some(voxel as usize)
            };
            if place > 0 {
                near[2 * axis] = at(cell - step);
            }
            if place + 1 < size {
                near[2 * axis + 1] = at(cell + step);
            }
            step *= size;
        }
        near
    }
}

/// Which neighbours of the grid are neighbours of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Smoothing<'a> {
    pub(super) labels: Option<&'a [i64]>,
    pub(super) hemispheres_apart: bool,
}

impl<'a> Smoothing<'a> {
    /// All of them: one graph over the union of the regions.
    #[must_use]
    pub fn free() -> Self {
        Self::default()
    }

    /// Those with the same label, one label a voxel.
    #[must_use]
    pub fn blocked(labels: &'a [i64]) -> Self {
        Self { labels: Some(labels), ..Self::default() }
    }

    /// No edges between the halves of the grid that [`VoxelMask::is_ipsilateral`] tells apart.
    #[must_use]
    pub fn hemispheres_apart(self) -> Self {
        Self { hemispheres_apart: true, ..self }
    }
}

/// Number of cells of a grid.
pub(super) fn count_cells(shape: &[usize]) -> Result<usize> {
    if !(1..=3).contains(&shape.len()) {
        return Err(Error::range("dimensions of the voxel grid", "1, 2 or 3", shape.len()));
    }
    let cells = shape.iter().try_fold(1_usize, |cells, &size| cells.checked_mul(size));
    match cells {
        Some(cells) if (1..=MOST_CELLS).contains(&cells) => Ok(cells),
        _ => {
            let expected = "positive sizes with a product of at most 2^31";
            Err(Error::range("shape of the voxel grid", expected, format!("{shape:?}")))
        }
    }
}
