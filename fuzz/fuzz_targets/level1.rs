//! Inner products, norms and updates of any vectors.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::level1(bytes));
