//! Points of known dimension.

use hesse::faer::Mat;
use hesse::random::Stream;

/// Uniform points of the unit ball in d dimensions.
pub fn ball(n: usize, d: usize, seed: u64) -> Mat<f64> {
    let mut u = vec![0.0_f64; n];
    Stream::new(seed, "radius").uniforms(0, &mut u);
    let sphere = sphere(n, d - 1, seed);
    Mat::from_fn(n, d, |i, j| sphere[(i, j)] * u[i].powf(1.0 / d as f64))
}

/// Uniform points of the unit sphere of d dimensions, in d + 1.
pub fn sphere(n: usize, d: usize, seed: u64) -> Mat<f64> {
    let z = gaussian(n, d + 1, seed);
    let length = |i: usize| z.row(i).iter().map(|z| z * z).sum::<f64>().sqrt();
    let lengths: Vec<f64> = (0..n).map(length).collect();
    Mat::from_fn(n, d + 1, |i, j| z[(i, j)] / lengths[i])
}

/// Standard normal points in d dimensions.
pub fn gaussian(n: usize, d: usize, seed: u64) -> Mat<f64> {
    let mut z = vec![0.0_f64; n * d];
    Stream::new(seed, "cloud").normals(0, &mut z);
    Mat::from_fn(n, d, |i, j| z[i * d + j])
}
