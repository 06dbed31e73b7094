//! The arrays of the golden files.

use std::collections::BTreeMap;

use hesse::io::Archive;

/// Shape and values of each array, by name.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

/// Every array of the file `tests/golden/{name}`.
pub fn golden(name: &str) -> Arrays {
    let archive =
        Archive::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let entry = |(name, array): (&str, &hesse::io::Array)| {
        (name.to_owned(), (array.shape().to_vec(), array.to_f64().unwrap()))
    };
    archive.iter().map(entry).collect()
}
