//! Exact nearest neighbours, the graphs of neighbours and distances along them.
//!
//! A table of neighbours is defined without reference to how it was found: d² is the sum of squared
//! differences in one fixed order of additions ([`hesse_kernels::distance`]), and neighbours are
//! ordered by (d², index). Every search ends in those numbers, so a table has the same bits whatever
//! the method, the precision of the search, the instruction set and the number of threads.

mod bound;
mod direct;
mod distinct;
mod geodesic;
mod graph;
mod heap;
mod knn;
mod pair_counts;
mod plan;
mod problem;
mod rows;
mod screening;
mod spanning_tree;
mod table;
mod tiles;
mod tree;

pub use geodesic::{Geodesics, Sources};
pub use graph::{Components, Graph};
pub use knn::{Duplicates, Knn, Metric, Precision};
pub use pair_counts::pairs_within;
pub use plan::{Search, plan};
pub use spanning_tree::{Edge, minimum_spanning_tree};
pub use table::{Arithmetic, Neighbors, Report};
