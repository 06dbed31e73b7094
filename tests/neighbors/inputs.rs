//! Clouds of points of every kind that makes neighbours hard.

use faer::Mat;
use hesse::random::Stream;

#[derive(Clone, Copy, Debug)]
pub enum Cloud {
    Normal,
    /// Few tight clusters: distances within them are 10⁻⁵ of those between.
    Clustered,
    /// Small whole numbers: nearly all distances are tied.
    Lattice,
    /// Half of the points are copies.
    Duplicated,
    /// On one line through the origin.
    Collinear,
    /// Around 3 · 10⁷.
    Offset,
    /// One point 10¹² away.
    Outlier,
    /// All the same.
    Constant,
}

pub const CLOUDS: [Cloud; 8] = [
    Cloud::Normal,
    Cloud::Clustered,
    Cloud::Lattice,
    Cloud::Duplicated,
    Cloud::Collinear,
    Cloud::Offset,
    Cloud::Outlier,
    Cloud::Constant,
];

/// n points of d coordinates.
pub fn points(cloud: Cloud, n: usize, d: usize, seed: u64) -> Mat<f64> {
    let mut z = vec![0.0_f64; n * d + d + n];
    Stream::new(seed, "points").normals(0, &mut z);
    let at = |i: usize, j: usize| z[i * d + j];
    Mat::from_fn(n, d, |i, j| match cloud {
        Cloud::Normal => at(i, j),
        Cloud::Clustered => at(i % 5, j) + 1e-5 * at(i, j),
        Cloud::Lattice => (1.2_f64 * at(i, j)).round(),
        Cloud::Duplicated => at(i / 2, j),
        Cloud::Collinear => z[n * d + d + i] * z[n * d + j],
        Cloud::Offset => 3e7 + at(i, j),
        Cloud::Outlier => at(i, j) + if i == n / 2 { 1e12 } else { 0.0 },
        Cloud::Constant => at(0, j),
    })
}
