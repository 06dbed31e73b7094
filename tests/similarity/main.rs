//! Similarity of representations, against references, identities and plain loops.

mod errors;
mod golden;
mod golden_inference;
mod identities;
#[path = "../npz/mod.rs"]
mod npz;
mod numerics;
mod populations;
mod resampling;

use faer::Mat;
use hesse::random::Stream;
use hesse::similarity::{Comparator, Pairwise, RowVariance};
use npz::Arrays;

/// The arrays of a golden file.
struct Reference {
    name: &'static str,
    arrays: Arrays,
}

impl Reference {
    fn load(name: &'static str) -> Self {
        Self { name, arrays: npz::golden(&format!("similarity/{name}.npz")) }
    }

    fn vector(&self, key: &str) -> Vec<f64> {
        self.arrays.get(key).unwrap_or_else(|| panic!("{}: {key}", self.name)).1.clone()
    }

    fn scalar(&self, key: &str) -> f64 {
        let values = self.vector(key);
        assert_eq!(values.len(), 1, "{key}");
        values[0]
    }

    fn mat(&self, key: &str) -> Mat<f64> {
        let (shape, values) = &self.arrays[key];
        assert_eq!(shape.len(), 2, "{key}");
        Mat::from_fn(shape[0], shape[1], |i, j| values[i * shape[1] + j])
    }

    /// Rows of a matrix.
    fn rows(&self, key: &str) -> Vec<Vec<f64>> {
        let (shape, values) = &self.arrays[key];
        values.chunks(shape[1]).map(<[f64]>::to_vec).collect()
    }

    /// Rows of a matrix of whole numbers.
    fn indices(&self, key: &str) -> Vec<Vec<usize>> {
        let index = |v: &f64| {
            assert!(v.fract() == 0.0 && *v >= 0.0);
            *v as usize
        };
        self.rows(key).iter().map(|row| row.iter().map(index).collect()).collect()
    }

    /// |got − want| ≤ tolerance, entry by entry.
    fn check(&self, key: &str, got: &[f64], tolerance: f64) {
        let want = self.vector(key);
        assert_eq!(got.len(), want.len(), "{} {key}", self.name);
        for (index, (got, want)) in got.iter().zip(&want).enumerate() {
            let error = (got - want).abs();
            assert!(
                error <= tolerance,
                "{} {key}[{index}]: got {got}, want {want}, error {error:e}",
                self.name
            );
        }
    }
}

/// Elements in C order.
fn elements(m: &Mat<f64>) -> Vec<f64> {
    (0..m.nrows()).flat_map(|i| (0..m.ncols()).map(move |j| m[(i, j)])).collect()
}

fn whole(table: &impl Pairwise) -> Vec<f64> {
    elements(&table.to_mat())
}

/// Standard normals.
fn normals(n: usize, p: usize, seed: u64) -> Mat<f64> {
    let mut values = vec![0.0; n * p];
    Stream::new(seed, "similarity test").normals(0, &mut values);
    Mat::from_fn(n, p, |i, j| values[i * p + j])
}

fn text<T>(result: hesse::Result<T>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Every comparator: first the inner products, then those that need no whole table.
const COMPARATORS: [Comparator; 9] = [
    Comparator::Spearman,
    Comparator::Pearson,
    Comparator::Cosine,
    Comparator::RhoA,
    Comparator::TauA,
    Comparator::TauB,
    Comparator::WhitenedCosine,
    Comparator::WhitenedPearson,
    Comparator::Bures,
];

fn close(got: f64, want: f64, tolerance: f64, what: &str) {
    assert!((got - want).abs() <= tolerance, "{what}: got {got}, want {want}");
}

fn all_close(got: &[f64], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    got.iter().zip(want).for_each(|(got, want)| close(*got, *want, tolerance, what));
}

/// Responses of n stimuli that share three directions.
fn related(n: usize, p: usize, q: usize, seed: u64) -> (Mat<f64>, Mat<f64>) {
    let latent = normals(n, 3, seed);
    let mix = |units: usize, seed: u64| {
        let (weights, noise) = (normals(3, units, seed), normals(n, units, seed + 1));
        Mat::from_fn(n, units, |i, j| {
            (0..3).map(|k| latent[(i, k)] * weights[(k, j)]).sum::<f64>() + 0.8 * noise[(i, j)]
        })
    };
    (mix(p, seed + 10), mix(q, seed + 20))
}

/// An orthogonal p × p matrix: a product of reflections.
fn rotation(p: usize, seed: u64) -> Mat<f64> {
    let mut q = Mat::<f64>::identity(p, p);
    for k in 0..p as u64 {
        let v = normals(p, 1, seed + 100 * k);
        let norm = v.squared_norm_l2();
        let dots: Vec<f64> =
            (0..p).map(|j| (0..p).map(|i| q[(i, j)] * v[(i, 0)]).sum::<f64>()).collect();
        for j in 0..p {
            (0..p).for_each(|i| q[(i, j)] -= 2.0 * v[(i, 0)] * dots[j] / norm);
        }
    }
    q
}

/// What the authors' code adds to standard deviations.
const FLOOR: RowVariance = RowVariance::Floor(1e-7);
