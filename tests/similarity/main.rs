//! Similarity of representations, against references, identities and plain loops.

mod errors;
mod golden;
mod identities;
#[path = "../npz/mod.rs"]
mod npz;
mod populations;

use faer::Mat;
use hesse::random::Stream;
use hesse::similarity::Pairwise;
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
