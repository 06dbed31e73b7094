//! Cross entropy of any logits.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hesse_fuzz::softmax(bytes));
