//! Arrays in files: `.npy`, `.npz` and `.safetensors`, read within stated bounds and written whole
//! or not at all.
//!
//! | Format         | Reads                                                        | Writes                |
//! |----------------|--------------------------------------------------------------|-----------------------|
//! | `.npy`         | versions 1.0 to 3.0, either byte order, C and Fortran order   | version 1.0, `<`, C   |
//! | `.npz`         | stored and deflated members, zip64, CRC checked               | stored, or deflated   |
//! | `.safetensors` | named tensors and the string metadata                         | the same              |
//!
//! Whatever the file holds, an [`Array`] is in C order and native byte order. Booleans, integers,
//! `f32`, `f64`, complex numbers and (in `.npy` and `.npz`) Unicode text keep their type; `float16`
//! and `bfloat16` become `f32`, `complex64` becomes `complex128`, exactly. Everything else (pickled
//! objects, structured types, dates, byte strings, `longdouble`) is refused by name.
//!
//! Files are not trusted. Sizes are computed with overflow checks, nothing is allocated on the word
//! of a header (only for bytes that are there, or as they come out of the decompressor), the total
//! is bounded by [`Limits`], and every error names the file, the array, what was expected and what
//! came. The readers are fuzzed.
//!
//! ```
//! use hesse::io::{Archive, Array, Format};
//!
//! let mut archive = Archive::new();
//! archive.insert("X", Array::new([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?);
//! archive.insert("labels", Array::new([2], vec![7_i64, 9])?);
//!
//! let bytes = archive.to_bytes(Format::Npz)?;
//! let again = Archive::from_bytes(&bytes, "data.npz")?;
//! assert_eq!(again.get("X")?.to_mat::<f64>()?[(1, 2)], 6.0);
//! assert_eq!(again.get("labels")?.to_indices()?, [7, 9]);
//! let missing = again.get("Y").unwrap_err().to_string();
//! assert_eq!(missing, "data.npz: array \"Y\": not there, the arrays are \"X\", \"labels\"");
//! # Ok::<(), hesse::Error>(())
//! ```

mod archive;
mod array;
mod atomic;
mod conversions;
mod half;
mod npy;
mod npy_header;
mod npz;
mod order;
mod safetensors;
mod source;
mod spec;
mod stored;

pub use archive::{Archive, Format};
pub use array::{Array, ArrayData, Dtype, Element};
pub use atomic::replace;
pub use source::Limits;
pub use spec::{read, read_with};
