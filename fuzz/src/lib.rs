//! What the fuzz targets check, callable from tests: `fuzz_targets/*.rs` only hand over the bytes.
//!
//! `README.md` says how to run them.

mod elementary;
mod exact;
mod level1;
mod numbers;
mod panel;
mod smallest;
mod softmax;
mod stencil;

pub use elementary::elementary;
pub use level1::level1;
pub use panel::panel;
pub use smallest::smallest;
pub use softmax::softmax;
pub use stencil::stencil;

use hesse::io::{Archive, Array, Format, Limits};

/// A small bound, so that a decompression bomb costs milliseconds.
const LIMITS: Limits = Limits { max_bytes: 1 << 20 };

/// A `.npy` array that can be read can be written, and reads back with the same bits.
///
/// # Panics
/// If it does not.
pub fn read_npy(bytes: &[u8]) {
    let Ok(array) = Array::from_npy_bytes_with(bytes, "a.npy", &LIMITS) else { return };
    convert(&array);
    let written = array.to_npy_bytes().expect("what was read can be written");
    let again = Array::from_npy_bytes(&written, "b.npy").expect("what was written can be read");
    assert!(array.same_bits(&again), "{array:?} became {again:?}");
    assert_eq!(again.to_npy_bytes().expect("as before"), written);
}

/// A `.npz` archive that can be read can be written, stored and deflated, and reads back with the
/// same names and bits.
///
/// # Panics
/// If it does not.
pub fn read_npz(bytes: &[u8]) {
    let Ok(archive) = Archive::from_bytes_with(bytes, "a.npz", &LIMITS) else { return };
    archive.iter().for_each(|(_, array)| convert(array));
    let written = [archive.to_bytes(Format::Npz), archive.to_compressed_bytes()];
    for written in written {
        let written = match written {
            Ok(written) => written,
            // Names that other programs write, but that a zip archive cannot mark as UTF-8 here.
            Err(e) if archive.names().any(|name| !name.is_ascii()) => {
                assert!(e.to_string().contains("expected a name that is ASCII"), "{e}");
                continue;
            }
            Err(e) => panic!("what was read can be written: {e}"),
        };
        let again = Archive::from_bytes(&written, "b.npz").expect("what was written can be read");
        assert!(archive.same_bits(&again), "{archive:?} became {again:?}");
    }
}

/// A `.safetensors` file that can be read can be written, and reads back with the same names,
/// metadata and bits.
///
/// # Panics
/// If it does not.
pub fn read_safetensors(bytes: &[u8]) {
    let Ok(archive) = Archive::from_bytes_with(bytes, "a.safetensors", &LIMITS) else { return };
    archive.iter().for_each(|(_, array)| convert(array));
    let written = match archive.to_bytes(Format::Safetensors) {
        Ok(written) => written,
        Err(e) => {
            // complex64 is read as complex128, for which the format has no type.
            assert!(archive.iter().any(|(_, array)| array.as_slice::<Complex>().is_some()), "{e}");
            return;
        }
    };
    let again = Archive::from_bytes(&written, "b.safetensors").expect("what was written is read");
    assert!(archive.same_bits(&again), "{archive:?} became {again:?}");
}

type Complex = hesse::faer::c64;

/// No conversion panics, and those that succeed lose nothing.
fn convert(array: &Array) {
    if let Ok(values) = array.to_f64() {
        assert_eq!(values.len(), array.len());
    }
    if let Ok(indices) = array.to_indices() {
        let floats = array.to_f64();
        let equal = |floats: Vec<f64>| floats.iter().zip(&indices).all(|(f, &i)| *f == i as f64);
        assert!(floats.map_or(true, equal), "indices {indices:?} of {array:?}");
    }
    if let (Ok(matrix), [rows, columns]) = (array.to_mat::<f32>(), array.shape()) {
        assert_eq!(matrix.shape(), (*rows, *columns));
    }
    let _ = (array.to_bools(), array.to_complex(), array.scalar(), array.index(), array.text());
}
