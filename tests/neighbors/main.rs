//! Nearest neighbours, their graphs and geodesics, against brute force, references and `petgraph`.

mod geodesics;
mod golden;
mod inputs;
mod pairs_and_trees;
mod properties;

#[path = "../npz/mod.rs"]
mod npz;

use faer::Mat;
use hesse::neighbors::Neighbors;

/// The k nearest rows of `reference` for each row of `queries` by sorting all direct squared
/// distances, with the sixteen partial sums of the definition.
fn brute_force(
    queries: &Mat<f64>,
    reference: &Mat<f64>,
    own: bool,
    k: usize,
) -> (Vec<f64>, Vec<u32>) {
    let square = |i: usize, j: usize| {
        let mut sums = [0.0_f64; 16];
        for c in 0..queries.ncols() {
            let difference = queries[(i, c)] - reference[(j, c)];
            sums[c % 16] += difference * difference;
        }
        for width in [8, 4, 2, 1] {
            (0..width).for_each(|s| sums[s] += sums[s + width]);
        }
        sums[0]
    };
    let (mut distances, mut indices) = (Vec::new(), Vec::new());
    for i in 0..queries.nrows() {
        let others = (0..reference.nrows()).filter(|&j| !own || i != j);
        let mut row: Vec<(f64, usize)> = others.map(|j| (square(i, j), j)).collect();
        row.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        distances.extend(row[..k].iter().map(|(square, _)| square.sqrt()));
        indices.extend(row[..k].iter().map(|(_, j)| *j as u32));
    }
    (distances, indices)
}

fn assert_same(table: &Neighbors, (distances, indices): &(Vec<f64>, Vec<u32>), what: &str) {
    for i in 0..table.len() {
        let row = i * table.k()..(i + 1) * table.k();
        assert_eq!(table.indices(i), &indices[row.clone()], "{what}: indices of row {i}");
        assert_eq!(table.distances(i), &distances[row], "{what}: distances of row {i}");
    }
}
