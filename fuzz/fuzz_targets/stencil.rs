//! Graph Laplacians of any voxels.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::stencil(bytes));
