//! Products with panels of any shape.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::panel(bytes));
