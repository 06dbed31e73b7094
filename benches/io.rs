//! Reading and writing arrays in memory, against a copy of the bytes, which is the floor.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hesse::io::{Archive, Array, Format};

const ROWS: usize = 2048;
const COLUMNS: usize = 1024;

/// The bytes of `array` as `.npy` under another header of the same length.
fn relabelled(array: &Array, from: &str, to: &str) -> Vec<u8> {
    let mut bytes = array.to_npy_bytes().expect("an array of numbers is written");
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes());
    let at = at.expect("the header holds what is replaced");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

fn arrays(c: &mut Criterion) {
    let values: Vec<f64> = (0..ROWS * COLUMNS).map(|i| (i as f64).sin()).collect();
    let array = Array::new([ROWS, COLUMNS], values.clone()).expect("the shape fits");
    let mut archive = Archive::new();
    archive.insert("X", array.clone());
    let npy = array.to_npy_bytes().expect("an array of numbers is written");
    let swapped = relabelled(&array, "'<f8'", "'>f8'");
    let fortran = relabelled(&array, "False", "True ");
    let stored = archive.to_bytes(Format::Npz).expect("an array of numbers is written");
    let deflated = archive.to_compressed_bytes().expect("an array of numbers is written");
    let tensors = archive.to_bytes(Format::Safetensors).expect("an array of numbers is written");

    let read = |bytes: &[u8]| Array::from_npy_bytes(bytes, "a.npy").expect("it is sound");
    assert!(read(&npy).same_bits(&array));
    let column_major = read(&fortran);
    let first = column_major.as_slice::<f64>().expect("it is float64");
    assert_eq!(first[1], values[ROWS], "row 0, column 1");

    let mut group = c.benchmark_group(format!("io/f64/{ROWS}x{COLUMNS}"));
    group.throughput(Throughput::Bytes((ROWS * COLUMNS * 8) as u64));
    group.sample_size(10);
    group.bench_function("peer/copy", |b| b.iter(|| black_box(&values).clone()));
    for (name, bytes) in [("c", &npy), ("big_endian", &swapped), ("fortran", &fortran)] {
        group.bench_function(format!("hesse/read_npy/{name}"), |b| {
            b.iter(|| read(black_box(bytes)))
        });
    }
    let files = [("a.npz", &stored), ("deflated.npz", &deflated), ("a.safetensors", &tensors)];
    for (name, bytes) in files {
        group.bench_function(format!("hesse/read_archive/{name}"), |b| {
            b.iter(|| Archive::from_bytes(black_box(bytes), name));
        });
    }
    group.bench_function("hesse/write/a.npy", |b| b.iter(|| array.to_npy_bytes()));
    group.bench_function("hesse/write/a.npz", |b| b.iter(|| archive.to_bytes(Format::Npz)));
    group.finish();
}

criterion_group!(benches, arrays);
criterion_main!(benches);
