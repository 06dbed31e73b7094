//! Shortest distances along the edges of a graph, from all vertices, some or a sample.

use faer::Mat;

use super::graph::Graph;
use super::heap::Heap;
use crate::numerics::{parallel, random::Stream};
use crate::{Error, Result};

/// Sources of a task: a heap and a row of distances serve all of them.
const SOURCES: usize = 8;

/// Where distances start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sources {
    /// Every vertex.
    #[default]
    All,
    /// These vertices.
    Vertices(Vec<usize>),
    /// A sample of so many vertices without repetition, ascending: landmarks. The distances from m
    /// landmarks follow the same law as all of them, at m/n of the cost.
    Sample {
        /// Number of vertices.
        count: usize,
        /// Of the random numbers.
        seed: u64,
    },
}

/// Geodesic distances in a graph, one Dijkstra run a source, in parallel.
///
/// r(i, j) is the least sum of lengths along a path from i to j, added from the source on; +∞ where
/// there is no path. Since lengths are added in the order of the path, r(i, j) and r(j, i) may differ
/// in their last bits: where one number is needed, take that of the smaller source.
///
/// Cost: O((n + e) log n) a source. Sources are streamed ([`Geodesics::fold`]); only
/// [`Geodesics::matrix`] stores them.
///
/// ```
/// use hesse::neighbors::{Geodesics, Graph};
///
/// let path = Graph::from_edges(3, &[(0, 1, 1.0), (1, 2, 0.5)])?;
/// let distances = Geodesics::new(&path).matrix()?;
/// assert_eq!(distances[(0, 2)], 1.5);
/// # Ok::<(), hesse::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Geodesics<'a> {
    graph: &'a Graph,
    sources: Sources,
}

impl<'a> Geodesics<'a> {
    /// From every vertex.
    #[must_use]
    pub fn new(graph: &'a Graph) -> Self {
        Self { graph, sources: Sources::All }
    }

    /// From other sources.
    #[must_use]
    pub fn sources(self, sources: Sources) -> Self {
        Self { sources, ..self }
    }

    /// The sources, in order.
    ///
    /// # Errors
    /// No source, one that does not exist, a sample larger than the graph.
    pub fn list(&self) -> Result<Vec<usize>> {
        let n = self.graph.vertices();
        let sources = match &self.sources {
            Sources::All => (0..n).collect(),
            Sources::Vertices(vertices) => vertices.clone(),
            &Sources::Sample { count, seed } => {
                if count > n {
                    return Err(Error::range("landmarks", format!("at most {n}"), count));
                }
                let mut sample = Stream::new(seed, "landmarks").permutation(n);
                sample.truncate(count);
                sample.sort_unstable();
                sample
            }
        };
        if sources.is_empty() {
            return Err(Error::empty("sources"));
        }
        sources.iter().try_for_each(|&source| self.graph.check_vertex(source))?;
        Ok(sources)
    }

    /// Folds the distances from every source: `add` takes a partial result, a source and its
    /// distances to all vertices; `merge` joins partial results. Sources are cut in fixed pieces and
    /// pieces are merged in a fixed tree, so that the result does not depend on threads.
    ///
    /// # Errors
    /// As [`Geodesics::list`].
    pub fn fold<R: Send>(
        &self,
        start: impl Fn() -> R + Sync,
        add: impl Fn(&mut R, usize, &[f64]) + Sync,
        merge: impl Fn(&mut R, R) + Sync,
    ) -> Result<R> {
        let sources = self.list()?;
        let pieces: Vec<&[usize]> = sources.chunks(SOURCES).collect();
        let piece = |p: usize| {
            let n = self.graph.vertices();
            let (mut distances, mut heap, mut result) = (vec![0.0; n], Heap::new(n), start());
            for &source in pieces[p] {
                self.graph.shortest(source, &mut distances, &mut heap);
                add(&mut result, source, &distances);
            }
            result
        };
        Ok(parallel::reduce(pieces.len(), piece, merge).unwrap_or_else(start))
    }

    /// Sources × vertices: all distances from all sources.
    ///
    /// # Errors
    /// As [`Geodesics::list`], or no memory for so many numbers.
    pub fn matrix(&self) -> Result<Mat<f64>> {
        let (sources, n) = (self.list()?, self.graph.vertices());
        let mut rows: Vec<f64> = Vec::new();
        let room = sources.len().checked_mul(n);
        if room.is_none_or(|room| rows.try_reserve_exact(room).is_err()) {
            let got = format!("{} × {n}", sources.len());
            return Err(Error::range("geodesic distances", "a matrix that fits in memory", got));
        }
        rows.resize(sources.len() * n, 0.0);
        parallel::for_each_piece(&mut rows, SOURCES * n, |p, piece| {
            let mut heap = Heap::new(n);
            for (s, row) in piece.chunks_exact_mut(n).enumerate() {
                self.graph.shortest(sources[p * SOURCES + s], row, &mut heap);
            }
        });
        Ok(Mat::from_fn(sources.len(), n, |s, j| rows[s * n + j]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_checked_and_samples_do_not_repeat() {
        let edges: Vec<_> = (0..9).map(|i| (i, i + 1, 1.0)).collect();
        let path = Graph::from_edges(10, &edges).unwrap();
        let of = |sources| Geodesics::new(&path).sources(sources);
        let message = |sources| of(sources).matrix().unwrap_err().to_string();
        assert_eq!(message(Sources::Vertices(vec![])), "sources: expected at least one, got none");
        assert_eq!(message(Sources::Vertices(vec![10])), "source: expected below 10, got 10");
        let text = "landmarks: expected at most 10, got 11";
        assert_eq!(message(Sources::Sample { count: 11, seed: 1 }), text);
        let sample = of(Sources::Sample { count: 7, seed: 1 }).list().unwrap();
        assert!(sample.len() == 7 && sample.windows(2).all(|w| w[0] < w[1]), "{sample:?}");
        assert_ne!(sample, of(Sources::Sample { count: 7, seed: 2 }).list().unwrap());
        let all = Geodesics::new(&path);
        let matrix = all.matrix().unwrap();
        let sum = |s: &mut f64, i: usize, d: &[f64]| {
            assert!((0..10).all(|j| d[j] == i.abs_diff(j) as f64 && matrix[(i, j)] == d[j]));
            *s += d.iter().sum::<f64>();
        };
        assert_eq!(all.fold(|| 0.0, sum, |a, b| *a += b).unwrap(), 330.0);
    }
}
