//! Reads the arrays of an uncompressed `.npz` of `<f8` values: just enough for the golden files.

use std::collections::BTreeMap;

/// Shape and values of each array, by name.
pub type Arrays = BTreeMap<String, (Vec<usize>, Vec<f64>)>;

fn number(bytes: &[u8], at: usize, length: usize) -> usize {
    (0..length).rev().fold(0, |n, i| n << 8 | usize::from(bytes[at + i]))
}

/// Every array of the file `tests/golden/{name}`.
pub fn golden(name: &str) -> Arrays {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut arrays = Arrays::new();
    let mut at = 0;
    while file[at..].starts_with(b"PK\x03\x04") {
        assert_eq!(number(&file, at + 8, 2), 0, "stored members only");
        let (name_length, extra) = (number(&file, at + 26, 2), number(&file, at + 28, 2));
        let name = String::from_utf8(file[at + 30..at + 30 + name_length].to_vec()).unwrap();
        let mut size = number(&file, at + 18, 4);
        if size == 0xffff_ffff {
            // The 64-bit sizes: tag and length, then the size before and after compression.
            size = number(&file, at + 30 + name_length + 4, 8);
        }
        let start = at + 30 + name_length + extra;
        let array = &file[start..start + size];
        let header_length = number(array, 8, 2);
        let header = std::str::from_utf8(&array[10..10 + header_length]).unwrap();
        assert!(header.contains("'<f8'") && header.contains("False"), "{name}: {header}");
        let shape = header.split(['(', ')']).nth(1).unwrap();
        let shape = shape.split(',').filter_map(|s| s.trim().parse().ok()).collect();
        let values = array[10 + header_length..]
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        arrays.insert(name.trim_end_matches(".npy").to_owned(), (shape, values));
        at = start + size;
    }
    arrays
}
