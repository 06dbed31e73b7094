//! A k-d tree, for few dimensions.
//!
//! Nodes split the widest coordinate at the median position, so that equal coordinates do no harm. A
//! branch is left out only if its distance exceeds the k-th one by more than any rounding, and
//! leaves are measured by direct differences: the search is exact.

use hesse_kernels::distance::squared_distances;
use hesse_kernels::smallest::Entry;

use super::problem::{Nearest, Problem};
use super::rows::Rows;
use crate::numerics::parallel;
use crate::{Isa, Real};

/// Points of a leaf at most.
const LEAF: usize = 24;
/// Queries of a task.
const QUERIES: usize = 64;
/// Relative excess of a branch's distance that rounding cannot explain: a bound is updated once a
/// level, each time with an error of a few 2⁻⁵³.
const SLACK: f64 = 1e-12;

enum Node {
    Leaf {
        start: usize,
        end: usize,
    },
    /// Points up to the split are below, from it on above.
    Split {
        coordinate: usize,
        at: f64,
        below: usize,
        above: usize,
    },
}

struct Tree<T> {
    nodes: Vec<Node>,
    /// The points in the order of leaves, and their indices.
    points: Rows<T>,
    indices: Vec<u32>,
}

/// The nearest reference points of all queries.
pub(super) fn search<T: Real>(problem: &Problem<'_, T>) -> Vec<Vec<Entry<f64>>> {
    let tree = Tree::new(problem.reference);
    let shards = parallel::shards(problem.queries.n, QUERIES);
    let found = parallel::map(shards.len(), |s| {
        let mut squares = vec![0.0; tree.largest_leaf()];
        let mut offsets = vec![0.0; problem.reference.d];
        let nearest = |i: usize| {
            let mut query = Query {
                x: problem.queries.row(i),
                excluded: problem.excluded(i),
                nearest: Nearest::new(problem.k),
                squares: &mut squares,
                offsets: &mut offsets,
                isa: Isa::current(),
            };
            query.visit(&tree, 0, 0.0);
            query.nearest.entries
        };
        shards[s].clone().map(nearest).collect::<Vec<_>>()
    });
    found.into_iter().flatten().collect()
}

impl<T: Real> Tree<T> {
    fn new(points: &Rows<T>) -> Self {
        let mut indices: Vec<u32> = (0..points.n as u32).collect();
        let mut nodes = Vec::new();
        split(points, &mut indices, 0, &mut nodes);
        let mut data = Vec::with_capacity(points.data.len());
        indices.iter().for_each(|&i| data.extend_from_slice(points.row(i as usize)));
        Self { nodes, points: Rows { data, n: points.n, d: points.d }, indices }
    }

    fn largest_leaf(&self) -> usize {
        let size = |node: &Node| match node {
            Node::Leaf { start, end } => end - start,
            Node::Split { .. } => 0,
        };
        self.nodes.iter().map(size).max().unwrap_or(0)
    }
}

/// Adds the tree over these points and returns its root. The depth is at most 32.
fn split<T: Real>(
    points: &Rows<T>,
    indices: &mut [u32],
    start: usize,
    nodes: &mut Vec<Node>,
) -> usize {
    let node = nodes.len();
    nodes.push(Node::Leaf { start, end: start + indices.len() });
    if indices.len() <= LEAF {
        return node;
    }
    let at = |i: u32, c: usize| points.data[i as usize * points.d + c].to_f64();
    let spread = |c: usize| {
        let ends = indices.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &i| {
            (low.min(at(i, c)), high.max(at(i, c)))
        });
        ends.1 - ends.0
    };
    let widest = (0..points.d).map(|c| (spread(c), c)).max_by(|a, b| a.0.total_cmp(&b.0));
    let Some((width, coordinate)) = widest else { return node };
    if width == 0.0 {
        // All the same point.
        return node;
    }
    let middle = indices.len() / 2;
    let order = |a: &u32, b: &u32| at(*a, coordinate).total_cmp(&at(*b, coordinate));
    let (_, median, _) = indices.select_nth_unstable_by(middle, order);
    let split_at = at(*median, coordinate);
    let (low, high) = indices.split_at_mut(middle);
    let below = split(points, low, start, nodes);
    let above = split(points, high, start + middle, nodes);
    nodes[node] = Node::Split { coordinate, at: split_at, below, above };
    node
}

struct Query<'a, T> {
    x: &'a [T],
    excluded: Option<u32>,
    nearest: Nearest,
    squares: &'a mut [f64],
    /// Distance from the current branch, coordinate by coordinate.
    offsets: &'a mut [f64],
    isa: Isa,
}

impl<T: Real> Query<'_, T> {
    /// Visits a branch at this squared distance.
    fn visit(&mut self, tree: &Tree<T>, node: usize, square: f64) {
        match tree.nodes[node] {
            Node::Leaf { start, end } => {
                let squares = &mut self.squares[..end - start];
                let rows = &tree.points.data[start * tree.points.d..end * tree.points.d];
                squared_distances(self.isa, self.x, rows, squares);
                for (&square, &index) in squares.iter().zip(&tree.indices[start..end]) {
                    if square <= self.nearest.limit() && Some(index) != self.excluded {
                        self.nearest.offer(square, index);
                    }
                }
            }
            Node::Split { coordinate, at, below, above } => {
                let offset = self.x[coordinate].to_f64() - at;
                let (near, far) = if offset < 0.0 { (below, above) } else { (above, below) };
                self.visit(tree, near, square);
                let old = self.offsets[coordinate];
                let further = (square - old * old + offset * offset).max(square);
                // A tie may have a smaller index.
                if further * (1.0 - SLACK) <= self.nearest.limit() {
                    self.offsets[coordinate] = offset;
                    self.visit(tree, far, further);
                    self.offsets[coordinate] = old;
                }
            }
        }
    }
}
