//! Random start vectors: every element a function of (seed, stream, index) alone.

use crate::Real;
use crate::random::Stream;

/// Independent standard normals in `vector`.
pub(super) fn fill_normal<T: Real>(seed: u64, stream: u64, vector: &mut [T]) {
    Stream::new(seed, "Krylov start vectors").child(stream).normals(0, vector);
}
