//! Selection of the smallest values, and direct distances.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::smallest(bytes));
