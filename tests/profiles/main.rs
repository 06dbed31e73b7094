//! Dimensions beyond neighbours: graph distances, layers of networks, the theory of noise.

mod geodesic;
mod layers;
mod noise_theory;

#[path = "../npz/mod.rs"]
mod npz;

use faer::Mat;
use hesse::random::Stream;
use npz::Arrays;

/// One of the reference's clouds, or any other array of rows.
fn matrix(arrays: &Arrays, name: &str) -> Mat<f64> {
    let (shape, values) = &arrays[name];
    Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
}

fn assert_close(got: f64, want: f64, relative: f64, what: &str) {
    assert!((got - want).abs() <= relative * want.abs(), "{what}: {got} {want}");
}

/// n uniform points of the sphere of d dimensions in a space of `ambient` ones, turned.
fn sphere(n: usize, d: usize, ambient: usize, seed: u64) -> Mat<f64> {
    let mut z = vec![0.0_f64; n * (d + 1) + ambient * (d + 1)];
    Stream::new(seed, "sphere").normals(0, &mut z);
    let (points, frame) = z.split_at(n * (d + 1));
    // Gram and Schmidt.
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for axis in frame.chunks_exact(ambient) {
        let mut axis = axis.to_vec();
        for other in &axes {
            let dot: f64 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
            axis.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
        }
        let norm = axis.iter().map(|a| a * a).sum::<f64>().sqrt();
        axes.push(axis.into_iter().map(|a| a / norm).collect());
    }
    Mat::from_fn(n, ambient, |i, j| {
        let point = &points[i * (d + 1)..(i + 1) * (d + 1)];
        let norm = point.iter().map(|x| x * x).sum::<f64>().sqrt();
        point.iter().zip(&axes).map(|(x, axis)| x / norm * axis[j]).sum()
    })
}
