//! Some inputs of the kernels' fuzz targets, so that every test run is a short run of them.

use hesse_kernels::Isa;
use hesse_kernels::philox::fill_bits;

fn pass(target: fn(&[u8]), count: u64) {
    for i in 0..count {
        let mut words = [0; 60];
        fill_bits(Isa::SCALAR, 1, i, 0, &mut words);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        target(&bytes);
    }
}

#[test]
fn elementary_functions_pass() {
    pass(hesse_fuzz::elementary, 2000);
}

#[test]
fn level1_passes() {
    pass(hesse_fuzz::level1, 500);
}

#[test]
fn panels_pass() {
    pass(hesse_fuzz::panel, 100);
}

#[test]
fn smallest_passes() {
    pass(hesse_fuzz::smallest, 200);
}

#[test]
fn softmax_passes() {
    pass(hesse_fuzz::softmax, 500);
}

#[test]
fn stencils_pass() {
    pass(hesse_fuzz::stencil, 300);
}
