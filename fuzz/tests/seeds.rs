//! The fixtures of the readers' tests pass what the fuzz targets check, so a corpus may start there.

use std::path::Path;

#[test]
fn seeds_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/io");
    let mut counts = [0; 3];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (kind, check): (usize, fn(&[u8])) = match path.extension().unwrap().to_str().unwrap() {
            "npy" => (0, hesse_fuzz::read_npy),
            "npz" => (1, hesse_fuzz::read_npz),
            "safetensors" => (2, hesse_fuzz::read_safetensors),
            _ => continue,
        };
        check(&std::fs::read(&path).unwrap());
        counts[kind] += 1;
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}
