//! Undirected graphs with lengths, and the graphs of nearest neighbours.

use std::collections::VecDeque;

use super::heap::Heap;
use super::table::Neighbors;
use crate::{Error, Result};

/// An undirected graph whose edges have lengths, as compressed rows: each edge is stored at both of
/// its ends, ends in ascending order.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    starts: Vec<usize>,
    ends: Vec<u32>,
    lengths: Vec<f64>,
}

/// The connected parts of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Components {
    /// The part of each vertex; parts are numbered in the order of their first vertices.
    pub labels: Vec<usize>,
    /// Vertices of each part.
    pub sizes: Vec<usize>,
}

impl Components {
    /// The largest part, the first of several.
    #[must_use]
    pub fn largest(&self) -> usize {
        (0..self.sizes.len()).rev().max_by_key(|&part| self.sizes[part]).unwrap_or(0)
    }

    /// The vertices of a part, ascending.
    #[must_use]
    pub fn vertices(&self, part: usize) -> Vec<usize> {
        (0..self.labels.len()).filter(|&v| self.labels[v] == part).collect()
    }
}

impl Graph {
    /// The union graph of the k nearest neighbours: i and j are joined if one is among the k nearest
    /// of the other, by an edge as long as their distance.
    ///
    /// # Errors
    /// Queries of other points, k = 0 or more neighbours than the table has.
    pub fn union(table: &Neighbors, k: usize) -> Result<Self> {
        let (n, edges) = directed(table, k)?;
        Self::from_edges(n, &edges)
    }

    /// The mutual graph of the k nearest neighbours: i and j are joined if each is among the k
    /// nearest of the other.
    ///
    /// # Errors
    /// As [`Graph::union`].
    pub fn mutual(table: &Neighbors, k: usize) -> Result<Self> {
        let (n, edges) = directed(table, k)?;
        let listed = |i: u32, j: u32| table.indices(i as usize)[..k].contains(&j);
        let mutual: Vec<_> = edges.into_iter().filter(|&(i, j, _)| listed(j, i)).collect();
        Self::from_edges(n, &mutual)
    }

    /// A graph of n vertices with these edges (i, j, length), in any order; of several edges between
    /// two vertices the longest counts. Edges of length 0 join their ends like others.
    ///
    /// # Errors
    /// No vertex, an end out of range, an edge from a vertex to itself, a length that is negative or
    /// not finite.
    pub fn from_edges(n: usize, edges: &[(u32, u32, f64)]) -> Result<Self> {
        if n == 0 {
            return Err(Error::empty("vertices"));
        }
        if n >= u32::MAX as usize {
            return Err(Error::range("vertices", "fewer than 2³² − 1", n));
        }
        for (e, &(i, j, length)) in edges.iter().enumerate() {
            if i as usize >= n || j as usize >= n || i == j {
                let expected = format!("two different vertices below {n}");
                return Err(Error::range(
                    format!("ends of edge {e}"),
                    expected,
                    format!("{i}, {j}"),
                ));
            }
            if !length.is_finite() || length < 0.0 {
                return Err(Error::range(format!("length of edge {e}"), "0 or more", length));
            }
        }
        let mut starts = vec![0; n + 1];
        for &(i, j, _) in edges {
            starts[i as usize + 1] += 1;
            starts[j as usize + 1] += 1;
        }
        (0..n).for_each(|i| starts[i + 1] += starts[i]);
        let mut places = starts.clone();
        let mut halves = vec![(0, 0.0); 2 * edges.len()];
        for &(i, j, length) in edges {
            for (from, to) in [(i, j), (j, i)] {
                halves[places[from as usize]] = (to, length);
                places[from as usize] += 1;
            }
        }
        let mut graph = Self {
            starts: vec![0; n + 1],
            ends: Vec::with_capacity(halves.len()),
            lengths: Vec::with_capacity(halves.len()),
        };
        for i in 0..n {
            let row = &mut halves[starts[i]..starts[i + 1]];
            // The longest of several first.
            row.sort_unstable_by(|a: &(u32, f64), b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
            for (place, &(end, length)) in row.iter().enumerate() {
                if place == 0 || row[place - 1].0 != end {
                    graph.ends.push(end);
                    graph.lengths.push(length);
                }
            }
            graph.starts[i + 1] = graph.ends.len();
        }
        Ok(graph)
    }

    /// Number of vertices.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.starts.len() - 1
    }

    /// Number of edges.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.ends.len() / 2
    }

    /// The other ends of the edges at a vertex, ascending, and their lengths.
    ///
    /// # Panics
    /// If there is no such vertex.
    #[must_use]
    pub fn at(&self, vertex: usize) -> (&[u32], &[f64]) {
        let row = self.starts[vertex]..self.starts[vertex + 1];
        (&self.ends[row.clone()], &self.lengths[row])
    }

    /// The longest edge; 0 without edges.
    #[must_use]
    pub fn longest_edge(&self) -> f64 {
        self.lengths.iter().copied().fold(0.0, f64::max)
    }

    /// The connected parts.
    #[must_use]
    pub fn components(&self) -> Components {
        let n = self.vertices();
        let (mut labels, mut sizes, mut stack) = (vec![usize::MAX; n], Vec::new(), Vec::new());
        for first in 0..n {
            if labels[first] != usize::MAX {
                continue;
            }
            let (label, mut size) = (sizes.len(), 0);
            labels[first] = label;
            stack.push(first);
            while let Some(vertex) = stack.pop() {
                size += 1;
                for &end in self.at(vertex).0 {
                    if labels[end as usize] == usize::MAX {
                        labels[end as usize] = label;
                        stack.push(end as usize);
                    }
                }
            }
            sizes.push(size);
        }
        Components { labels, sizes }
    }

    /// The graph on some of the vertices, in the order given.
    ///
    /// # Errors
    /// No vertex, one that does not exist, or one twice.
    pub fn induced(&self, vertices: &[usize]) -> Result<Self> {
        let mut new = vec![None; self.vertices()];
        for (place, &vertex) in vertices.iter().enumerate() {
            match new.get_mut(vertex) {
                Some(slot @ None) => *slot = Some(place as u32),
                _ => {
                    let expected = format!("different ones below {}", self.vertices());
                    return Err(Error::range("vertices", expected, vertex));
                }
            }
        }
        let mut edges = Vec::new();
        for (place, &vertex) in vertices.iter().enumerate() {
            let (ends, lengths) = self.at(vertex);
            for (&end, &length) in ends.iter().zip(lengths) {
                if let Some(end) = new[end as usize].filter(|&end| (place as u32) < end) {
                    edges.push((place as u32, end, length));
                }
            }
        }
        Self::from_edges(vertices.len(), &edges)
    }

    /// Shortest distances from one vertex to all, +∞ where there is no path, by Dijkstra's method.
    /// O((n + e) log n).
    pub(super) fn shortest(&self, source: usize, distances: &mut [f64], heap: &mut Heap) {
        distances.fill(f64::INFINITY);
        distances[source] = 0.0;
        heap.lower(source as u32, 0.0);
        while let Some((distance, vertex)) = heap.pop() {
            let (ends, lengths) = self.at(vertex as usize);
            for (&end, &length) in ends.iter().zip(lengths) {
                let through = distance + length;
                // A vertex that has left the heap is no further than any later one.
                if through < distances[end as usize] {
                    distances[end as usize] = through;
                    heap.lower(end, through);
                }
            }
        }
    }

    /// Numbers of edges from one vertex to all, `None` where there is no path, breadth first.
    /// O(n + e).
    ///
    /// # Errors
    /// No such vertex.
    pub fn hops(&self, source: usize) -> Result<Vec<Option<u32>>> {
        self.check_vertex(source)?;
        let mut hops = vec![None; self.vertices()];
        let mut queue = VecDeque::from([(source, 0)]);
        hops[source] = Some(0);
        while let Some((vertex, count)) = queue.pop_front() {
            for &end in self.at(vertex).0 {
                if hops[end as usize].is_none() {
                    hops[end as usize] = Some(count + 1);
                    queue.push_back((end as usize, count + 1));
                }
            }
        }
        Ok(hops)
    }

    pub(super) fn check_vertex(&self, vertex: usize) -> Result<()> {
        match vertex < self.vertices() {
            true => Ok(()),
            false => Err(Error::range("source", format!("below {}", self.vertices()), vertex)),
        }
    }
}

/// Two vertices and the length between them.
type Edge = (u32, u32, f64);

/// Number of points, and the edges from each to its k nearest.
fn directed(table: &Neighbors, k: usize) -> Result<(usize, Vec<Edge>)> {
    if !table.among_themselves() {
        return Err(Error::range("table", "neighbours of points among themselves", "of queries"));
    }
    if k == 0 || k > table.k() {
        return Err(Error::range("neighbours k", format!("1 to {}", table.k()), k));
    }
    let mut edges = Vec::with_capacity(table.len() * k);
    for i in 0..table.len() {
        let row = table.indices(i).iter().zip(table.distances(i)).take(k);
        edges.extend(row.map(|(&j, &distance)| (i as u32, j, distance)));
    }
    Ok((table.len(), edges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_graphs_are_refused() {
        let message = |n, edges: &[_]| Graph::from_edges(n, edges).unwrap_err().to_string();
        assert_eq!(message(0, &[]), "vertices: expected at least one, got none");
        let text = "ends of edge 1: expected two different vertices below 2, got 1, 2";
        assert_eq!(message(2, &[(0, 1, 1.0), (1, 2, 1.0)]), text);
        let text = "ends of edge 0: expected two different vertices below 2, got 1, 1";
        assert_eq!(message(2, &[(1, 1, 1.0)]), text);
        for length in [-1.0, f64::NAN, f64::INFINITY] {
            let text = format!("length of edge 0: expected 0 or more, got {length}");
            assert_eq!(message(2, &[(0, 1, length)]), text);
        }
        let graph = Graph::from_edges(3, &[(0, 1, 1.0)]).unwrap();
        assert_eq!(graph.hops(3).unwrap_err().to_string(), "source: expected below 3, got 3");
        let text = "vertices: expected different ones below 3, got 1";
        assert_eq!(graph.induced(&[1, 1]).unwrap_err().to_string(), text);
    }

    #[test]
    fn several_edges_count_as_the_longest_and_zero_lengths_join() {
        let edges = [(2, 0, 0.0), (0, 1, 1.0), (1, 0, 3.0), (0, 1, 2.0)];
        let graph = Graph::from_edges(4, &edges).unwrap();
        assert_eq!((graph.vertices(), graph.edges(), graph.longest_edge()), (4, 2, 3.0));
        assert_eq!(graph.at(0), (&[1, 2][..], &[3.0, 0.0][..]));
        let parts = graph.components();
        assert_eq!((parts.labels.as_slice(), parts.largest()), (&[0, 0, 0, 1][..], 0));
        assert_eq!(graph.hops(2).unwrap(), [Some(1), Some(2), Some(0), None]);
        let induced = graph.induced(&[1, 3, 0]).unwrap();
        assert_eq!((induced.at(0), induced.edges()), ((&[2][..], &[3.0][..]), 1));
    }

    #[test]
    fn union_and_mutual_graphs_of_points_on_a_line() {
        // 0, 1, 3, 7: the nearest are 1, 0, 1, 2.
        let table = Neighbors::from_parts(vec![1.0, 1.0, 2.0, 4.0], vec![1, 0, 1, 2], 1).unwrap();
        let union = Graph::union(&table, 1).unwrap();
        assert_eq!((union.edges(), union.at(1)), (3, (&[0, 2][..], &[1.0, 2.0][..])));
        let mutual = Graph::mutual(&table, 1).unwrap();
        assert_eq!((mutual.edges(), mutual.at(1)), (1, (&[0][..], &[1.0][..])));
        assert_eq!(mutual.components().sizes, [2, 1, 1]);
        let text = "neighbours k: expected 1 to 1, got 2";
        assert_eq!(Graph::union(&table, 2).unwrap_err().to_string(), text);
    }
}
