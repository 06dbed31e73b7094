//! Shortest trees through all points.

use faer::MatRef;
use hesse_kernels::distance::squared_distances;

use super::rows::{Rows, into_range};
use crate::numerics::parallel;
use crate::{Isa, Real, Result};

/// Points whose distances one task computes.
const SHARD: usize = 2048;

/// An edge of a tree: two points and their distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// The point that was in the tree.
    pub from: u32,
    /// The point that it reached.
    pub to: u32,
    /// Their distance.
    pub length: f64,
}

/// The n − 1 edges of a Euclidean minimum spanning tree of the rows of x, in the order in which
/// Prim's method adds them, from row 0 on.
///
/// Distances are those of [`Knn`](super::Knn); where several trees are shortest, the smaller index is
/// added first (the lengths are the same for all of them). 3 n² d flops, O(n d) memory.
///
/// # Errors
/// No rows or no features, NaN or infinities.
///
/// ```
/// use hesse::faer::mat;
/// use hesse::neighbors::minimum_spanning_tree;
///
/// let x = mat![[0.0], [10.0], [1.0], [3.0_f64]];
/// let tree = minimum_spanning_tree(x.as_ref())?;
/// let lengths: Vec<f64> = tree.iter().map(|edge| edge.length).collect();
/// assert_eq!(lengths, [1.0, 2.0, 7.0]);
/// # Ok::<(), hesse::Error>(())
/// ```
pub fn minimum_spanning_tree<T: Real>(x: MatRef<'_, T>) -> Result<Vec<Edge>> {
    let mut rows = Rows::new("x", x)?;
    let shift = into_range(&mut [&mut rows]);
    let (n, d, isa) = (rows.n, rows.d, Isa::current());
    // The points outside the tree, with their nearest one in it. Rows move up as others leave.
    let mut outside: Vec<Reach> =
        (1..n as u32).map(|point| Reach { square: f64::INFINITY, from: 0, point }).collect();
    let mut newest = rows.row(0).to_vec();
    let mut rest = rows.data.split_off(d);
    let (mut from, mut edges) = (0, Vec::with_capacity(n - 1));
    let mut squares = vec![0.0; n - 1];
    while !outside.is_empty() {
        let squares = &mut squares[..outside.len()];
        parallel::for_each_piece(squares, SHARD, |s, piece| {
            let start = s * SHARD * d;
            squared_distances(isa, &newest, &rest[start..start + piece.len() * d], piece);
        });
        for (reach, square) in outside.iter_mut().zip(&*squares) {
            if *square < reach.square {
                (reach.square, reach.from) = (*square, from);
            }
        }
        let before = |a: &Reach, b: &Reach| (a.square, a.point) < (b.square, b.point);
        let mut best = 0;
        for (place, reach) in outside.iter().enumerate() {
            if before(reach, &outside[best]) {
                best = place;
            }
        }
        let found = outside.swap_remove(best);
        newest.copy_from_slice(&rest[best * d..(best + 1) * d]);
        let last = outside.len() * d;
        rest.copy_within(last..last + d, best * d);
        rest.truncate(last);
        let root = found.square.sqrt();
        let length = if shift == 0 { root } else { libm::ldexp(root, -shift) };
        edges.push(Edge { from: found.from, to: found.point, length });
        from = found.point;
    }
    Ok(edges)
}

/// A point outside the tree and the point in it that is nearest to it.
struct Reach {
    square: f64,
    from: u32,
    point: u32,
}
