//! How the distances between all pairs of points are distributed.

use super::estimate::not_estimable;
use crate::neighbors::{Geodesics, Graph, Neighbors, Sources};
use crate::numerics::parallel;
use crate::{Error, Result};

/// Distances that are kept between the pass that finds their range and the one that counts them;
/// more are computed twice, to the same numbers.
const KEPT: usize = 1 << 24;

/// Sources, or rows, of a task.
const ROWS: usize = 64;

/// Moments and a histogram of distances.
///
/// Bins are those of NumPy: equally wide between the smallest and the largest distance, each with
/// its lower edge, the last with both.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DistanceLaw {
    /// Number of pairs.
    pub pairs: u64,
    /// The smallest distance: the lower edge of the first bin.
    pub smallest: f64,
    /// The largest distance: the upper edge of the last bin.
    pub largest: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, by the number of pairs.
    pub deviation: f64,
    /// Pairs of each bin.
    pub counts: Vec<u64>,
}

impl DistanceLaw {
    /// Along the edges of a graph that is connected, from some sources: for each number of bins, the
    /// law of the distances r(s, j) from every source s to every vertex j, pairs of sources once.
    ///
    /// # Errors
    /// No bins, sources as in [`Geodesics::list`], fewer than two distances, distances that are all
    /// the same or infinite.
    pub(super) fn along(graph: &Graph, sources: Sources, bins: &[usize]) -> Result<Vec<Self>> {
        let geodesics = Geodesics::new(graph).sources(sources);
        let list = geodesics.list()?;
        let mut is_source = vec![false; graph.vertices()];
        list.iter().for_each(|&s| is_source[s] = true);
        let counted = |source: usize, j: usize| j > source || (j != source && !is_source[j]);
        Self::streamed(list.len(), graph.vertices(), bins, &|pass| {
            let add = |partial: &mut Partial, source: usize, row: &[f64]| {
                let others = row.iter().enumerate().filter(|(j, _)| counted(source, *j));
                others.for_each(|(_, &distance)| partial.add(pass, distance));
            };
            geodesics.fold(|| Partial::new(pass), add, Partial::merge)
        })
    }

    /// The law of the distances in a table of all other points.
    ///
    /// # Errors
    /// A table of fewer neighbours; otherwise as [`DistanceLaw::along`].
    pub(super) fn direct(table: &Neighbors, bins: &[usize]) -> Result<Vec<Self>> {
        let n = table.len();
        if !table.among_themselves() || table.k() + 1 != n {
            let expected = format!("all {} others of every point", n.saturating_sub(1));
            return Err(Error::range("neighbours of the table", expected, table.k()));
        }
        let shards = parallel::shards(n, ROWS);
        Self::streamed(n, n, bins, &|pass| {
            let rows = |s: usize| {
                let mut partial = Partial::new(pass);
                for i in shards[s].clone() {
                    for (&j, &distance) in table.indices(i).iter().zip(table.distances(i)) {
                        if j as usize > i {
                            partial.add(pass, distance);
                        }
                    }
                }
                partial
            };
            Ok(parallel::reduce(shards.len(), rows, Partial::merge)
                .unwrap_or_else(|| Partial::new(pass)))
        })
    }

    fn streamed(
        sources: usize,
        vertices: usize,
        bins: &[usize],
        run: &dyn Fn(&Pass) -> Result<Partial>,
    ) -> Result<Vec<Self>> {
        if bins.contains(&0) {
            return Err(Error::range("bins", "1 or more", 0));
        }
        let keep = sources.saturating_mul(vertices) <= KEPT;
        let moments = run(&Pass { keep, grids: Vec::new() })?;
        let Partial { pairs, smallest, largest, .. } = moments;
        if pairs < 2 {
            return Err(not_estimable(format!("{pairs} distances")));
        }
        if !(largest > smallest && largest.is_finite()) {
            return Err(not_estimable(format!("distances from {smallest} to {largest}")));
        }
        let grids: Vec<Grid> =
            bins.iter().map(|&bins| Grid::new(smallest, largest, bins)).collect();
        let counting = Pass { keep: false, grids };
        let counted = if keep {
            let shards = parallel::shards(moments.kept.len(), 1 << 14);
            let count = |s: usize| {
                let mut partial = Partial::new(&counting);
                moments.kept[shards[s].clone()].iter().for_each(|d| partial.add(&counting, *d));
                partial
            };
            parallel::reduce(shards.len(), count, Partial::merge)
                .unwrap_or_else(|| Partial::new(&counting))
        } else {
            run(&counting)?
        };
        let n = pairs as f64;
        let mean = moments.mean;
        let deviation = (moments.squares / n).sqrt();
        Ok(counted
            .counts
            .into_iter()
            .map(|counts| Self { pairs, smallest, largest, mean, deviation, counts })
            .collect())
    }

    /// The same distances in another unit: times 2 to this power.
    pub(super) fn times_power_of_two(self, power: i32) -> Self {
        let [smallest, largest, mean, deviation] =
            [self.smallest, self.largest, self.mean, self.deviation]
                .map(|distance| libm::ldexp(distance, power));
        Self { smallest, largest, mean, deviation, ..self }
    }

    /// Width of a bin.
    #[must_use]
    pub fn width(&self) -> f64 {
        let grid = Grid::new(self.smallest, self.largest, self.counts.len());
        grid.edge(1) - grid.edge(0)
    }

    /// The middle of a bin.
    #[must_use]
    pub fn centre(&self, bin: usize) -> f64 {
        let grid = Grid::new(self.smallest, self.largest, self.counts.len());
        grid.edge(bin) + 0.5 * self.width()
    }

    /// The lower edges of all bins and the upper one of the last.
    #[must_use]
    pub fn edges(&self) -> Vec<f64> {
        let grid = Grid::new(self.smallest, self.largest, self.counts.len());
        (0..=self.counts.len()).map(|b| grid.edge(b)).collect()
    }

    /// The middle of the fullest bin, the first of several.
    #[must_use]
    pub fn mode(&self) -> f64 {
        let fuller =
            |best: usize, b: usize| if self.counts[b] > self.counts[best] { b } else { best };
        self.centre((0..self.counts.len()).fold(0, fuller))
    }
}

/// What a pass over all distances does.
struct Pass {
    keep: bool,
    /// Where distances are counted; without any, moments are taken.
    grids: Vec<Grid>,
}

/// Equally wide bins.
struct Grid {
    low: f64,
    high: f64,
    bins: usize,
}

impl Grid {
    fn new(low: f64, high: f64, bins: usize) -> Self {
        Self { low, high, bins }
    }

    fn edge(&self, b: usize) -> f64 {
        if b == self.bins {
            self.high
        } else {
            b as f64 * ((self.high - self.low) / self.bins as f64) + self.low
        }
    }

    /// The bin by its edges, whatever the rounding of a division says.
    fn bin(&self, x: f64) -> usize {
        let place = (x - self.low) / (self.high - self.low) * self.bins as f64;
        let mut b = (place as usize).min(self.bins - 1);
        while b > 0 && x < self.edge(b) {
            b -= 1;
        }
        while b + 1 < self.bins && x >= self.edge(b + 1) {
            b += 1;
        }
        b
    }
}

struct Partial {
    pairs: u64,
    smallest: f64,
    largest: f64,
    mean: f64,
    /// Σ (r − mean)².
    squares: f64,
    kept: Vec<f64>,
    counts: Vec<Vec<u64>>,
}

impl Partial {
    fn new(pass: &Pass) -> Self {
        Self {
            pairs: 0,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            mean: 0.0,
            squares: 0.0,
            kept: Vec::new(),
            counts: pass.grids.iter().map(|grid| vec![0; grid.bins]).collect(),
        }
    }

    fn add(&mut self, pass: &Pass, distance: f64) {
        self.pairs += 1;
        for (counts, grid) in self.counts.iter_mut().zip(&pass.grids) {
            counts[grid.bin(distance)] += 1;
        }
        if !pass.grids.is_empty() {
            return;
        }
        // Distances are 0 or more and never NaN.
        self.smallest = if distance < self.smallest { distance } else { self.smallest };
        self.largest = if distance > self.largest { distance } else { self.largest };
        // Welford's update: no cancellation, whatever the mean.
        let before = distance - self.mean;
        self.mean += before / self.pairs as f64;
        self.squares += before * (distance - self.mean);
        if pass.keep {
            self.kept.push(distance);
        }
    }

    fn merge(&mut self, other: Self) {
        if other.pairs == 0 {
            return;
        }
        let (a, b) = (self.pairs as f64, other.pairs as f64);
        let apart = other.mean - self.mean;
        self.mean += apart * (b / (a + b));
        self.squares += other.squares + apart * apart * (a * b / (a + b));
        self.pairs += other.pairs;
        self.smallest = if other.smallest < self.smallest { other.smallest } else { self.smallest };
        self.largest = if other.largest > self.largest { other.largest } else { self.largest };
        self.kept.extend(other.kept);
        for (a, b) in self.counts.iter_mut().zip(other.counts) {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_lies_between_the_edges_of_its_bin() {
        for (low, high, bins) in [(0.0, 1.0, 10), (0.1, 0.7, 6), (1e5, 1e5 + 1.0, 49)] {
            let grid = Grid::new(low, high, bins);
            for b in 0..=bins {
                let edge = grid.edge(b);
                assert_eq!(grid.bin(edge), b.min(bins - 1), "{low} {high} {b}");
                if b > 0 {
                    assert_eq!(grid.bin(edge.next_down()), b - 1);
                }
            }
        }
    }

    #[test]
    fn distances_on_a_path_by_hand() {
        // 1 1 1 2 2 3 between four vertices in a row.
        let graph = Graph::from_edges(4, &[(0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0)]).unwrap();
        let laws = DistanceLaw::along(&graph, Sources::All, &[2, 4]).unwrap();
        let law = &laws[0];
        assert_eq!((law.pairs, law.smallest, law.largest), (6, 1.0, 3.0));
        assert_eq!((&law.counts[..], &laws[1].counts[..]), (&[3, 3][..], &[3, 0, 2, 1][..]));
        assert!((law.mean - 5.0 / 3.0).abs() < 1e-15);
        assert!((law.deviation - (5.0_f64 / 9.0).sqrt()).abs() < 1e-15);
        assert_eq!((law.mode(), law.edges()), (1.5, vec![1.0, 2.0, 3.0]));
        // Two landmarks: 0 and 2 see 1 2 3 and 1 1, their own pair once.
        let two = Sources::Vertices(vec![0, 2]);
        let law = &DistanceLaw::along(&graph, two, &[2]).unwrap()[0];
        assert_eq!((law.pairs, &law.counts[..]), (5, &[3, 2][..]));
        let text = DistanceLaw::along(&graph, Sources::All, &[0]).unwrap_err().to_string();
        assert_eq!(text, "bins: expected 1 or more, got 0");
    }
}
