//! Arrays of the golden files, and the problems that they hold.

use hesse::connectome::{Observed, SmoothingOperator, TracingData};
use hesse::faer::{Mat, MatRef};
use hesse::io::Archive;

/// A golden file.
pub struct Golden(Archive);

impl Golden {
    /// `tests/golden/connectome/{name}.npz`.
    pub fn read(name: &str) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        Self(Archive::read(format!("{root}/tests/golden/connectome/{name}.npz")).unwrap())
    }

    /// A file outside the repository, where it is there; else says that it is skipped.
    #[allow(clippy::print_stderr)]
    pub fn read_shared(name: &str) -> Option<Self> {
        let root = env!("CARGO_MANIFEST_DIR");
        for up in ["../shared", "../../shared"] {
            let path = format!("{root}/{up}/golden/connectome/{name}.npz");
            if let Ok(archive) = Archive::read(&path) {
                return Some(Self(archive));
            }
        }
        eprintln!("skipped: ../shared/golden/connectome/{name}.npz is not there");
        None
    }

    pub fn mat(&self, name: &str) -> Mat<f64> {
        let array = self.0.get(name).unwrap();
        let values = array.to_f64().unwrap();
        let (rows, columns) = match *array.shape() {
            [rows, columns] => (rows, columns),
            ref other => panic!("{name}: {other:?}"),
        };
        Mat::from_fn(rows, columns, |i, j| values[i * columns + j])
    }

    pub fn vector(&self, name: &str) -> Vec<f64> {
        self.0.get(name).unwrap().to_f64().unwrap()
    }

    pub fn scalar(&self, name: &str) -> f64 {
        self.0.get(name).unwrap().scalar().unwrap()
    }

    /// Shape and elements in C order.
    pub fn array(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let array = self.0.get(name).unwrap();
        (array.shape().to_vec(), array.to_f64().unwrap())
    }

    /// The problem under `{prefix}X`, `{prefix}Y`, `{prefix}Omega`.
    pub fn data(&self, prefix: &str) -> TracingData {
        let of = |name: &str| self.mat(&format!("{prefix}{name}"));
        problem(of("X").as_ref(), of("Y").as_ref(), of("Omega").as_ref())
    }
}

pub fn problem(x: MatRef<f64>, y: MatRef<f64>, omega: MatRef<f64>) -> TracingData {
    TracingData::builder()
        .injections_dense(x)
        .projections(y)
        .observed(Observed::from_ones(omega).unwrap())
        .build()
        .unwrap()
}

/// Column-major elements.
pub fn columns(a: MatRef<f64>) -> Vec<f64> {
    (0..a.ncols()).flat_map(|j| a.col(j).iter().copied().collect::<Vec<_>>()).collect()
}

pub fn path(n: usize) -> SmoothingOperator {
    SmoothingOperator::of_box(&[n]).unwrap()
}

/// max |a − b|.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// max |a|.
pub fn size(a: &[f64]) -> f64 {
    a.iter().map(|a| a.abs()).fold(0.0, f64::max)
}

/// |a − b| ≤ tolerance · |b|.
pub fn close(what: &str, a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * b.abs(), "{what}: got {a:e}, expected {b:e}");
}

/// max |a − b| ≤ tolerance · max |b|.
pub fn all_close(what: &str, a: &[f64], b: &[f64], tolerance: f64) {
    let (error, bound) = (distance(a, b), tolerance * size(b));
    assert!(error <= bound, "{what}: error {error:e}, bound {bound:e}");
}
