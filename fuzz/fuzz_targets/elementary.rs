//! Elementary functions at any numbers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::elementary(bytes));
