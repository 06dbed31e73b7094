//! Files that lie: each is an error that names it, without a panic, much memory or much time.

use hesse::io::{Archive, Array, Limits};
use hesse::{Error, Result};

use super::{bytes, npy};

/// Reads any file by its name.
fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<()> {
    if name.ends_with(".npy") {
        Array::from_npy_bytes_with(bytes, name, limits).map(|_| ())
    } else {
        Archive::from_bytes_with(bytes, name, limits).map(|_| ())
    }
}

/// Checks that an error is about the format and names the file.
fn assert_named(error: &Error, name: &str) {
    match error {
        Error::Format { file, .. } => assert_eq!(file, name),
        other => panic!("{name}: {other:?}"),
    }
}

const SMALL: Limits = Limits { max_bytes: 1 << 16 };

const HOSTS: [&str; 10] = [
    "f8_be_f.npy",
    "text_le_c.npy",
    "version_3.npy",
    "stored.npz",
    "deflated.npz",
    "streamed.npz",
    "zip64.npz",
    "single.npz",
    "nothing.npz",
    "mixed.safetensors",
];

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    for name in HOSTS {
        let whole = bytes(name);
        parse(&whole, name, &SMALL).unwrap();
        for length in 0..whole.len() {
            match parse(&whole[..length], name, &SMALL) {
                Err(error) => assert_named(&error, name),
                Ok(()) => panic!("{name} cut at byte {length} was read"),
            }
        }
    }
}

#[test]
fn changed_bytes_are_read_or_refused() {
    // A linear congruential generator: the same changes in every run.
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    for name in HOSTS {
        let whole = bytes(name);
        for _ in 0..3000 {
            let mut changed = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(changed.len());
                changed[at] = match random(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => changed[at] ^ 1 << random(8),
                    _ => random(256) as u8,
                };
            }
            if let Err(error) = parse(&changed, name, &SMALL) {
                assert_named(&error, name);
            }
        }
    }
}

fn npy_file(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(elements);
    file
}

fn npy_error(shape: &str, descr: &str, elements: &[u8]) -> String {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}");
    let error = Array::from_npy_bytes(&npy_file(&header, elements), "lie.npy").unwrap_err();
    assert_named(&error, "lie.npy");
    error.to_string()
}

#[test]
fn lies_about_shapes_are_refused_before_any_memory_is_taken() {
    let error = npy_error("(4294967296, 4294967296, 16)", "<f8", &[]);
    assert!(error.contains("expected axes whose product is at most"), "{error}");
    let error = npy_error("(2305843009213693952,)", "<f8", &[0; 16]);
    assert!(error.contains("expected at most 9223372036854775807 bytes"), "{error}");
    let error = npy_error("(1000000000000,)", "<f8", &[0; 16]);
    assert!(error.contains("expected 8000000000000 bytes of elements for shape"), "{error}");
    let error = npy_error("(1,)", "<U4611686018427387904", &[0; 16]);
    assert!(error.contains("expected"), "{error}");
    let error = npy_error("(1,)", "<U99999999999999999999", &[0; 16]);
    assert!(error.contains("unknown type"), "{error}");
    let error = npy_error("(3,)", "<f8", &[0; 25]);
    assert!(error.ends_with("of 8-byte elements, got 25"), "{error}");
    let error = npy_error(&format!("({})", "1, ".repeat(65)), "<f8", &[0; 8]);
    assert!(error.contains("expected at most 64 axes, got 65"), "{error}");
    let error = npy_error("(-1, -1)", "<f8", &[0; 8]);
    assert!(error.contains("got a negative one"), "{error}");

    let deep = format!("{{'shape': {}", "(".repeat(60_000));
    let error = Array::from_npy_bytes(&npy_file(&deep, &[]), "deep.npy").unwrap_err().to_string();
    assert!(error.contains("expected an axis"), "{error}");
    let mut long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    long.extend([b' '; 100]);
    let error = Array::from_npy_bytes(&long, "long.npy").unwrap_err().to_string();
    assert_eq!(error, "long.npy: expected a header of at most 1048576 bytes, got 4294967295");
    let error = Array::from_npy_bytes(b"\x93NUMPY\x04\x00", "new.npy").unwrap_err().to_string();
    assert_eq!(error, "new.npy: expected .npy version 1.0, 2.0 or 3.0, got 4.0");
    let error = Array::from_npy_bytes(b"PK\x03\x04abcdef", "zip.npy").unwrap_err().to_string();
    assert!(error.contains("got \"PK\\x03\\x04ab\""), "{error}");
}

#[test]
fn limits_bound_what_a_bomb_unpacks() {
    let bomb = bytes("bomb.npz");
    let error = |max_bytes| {
        let error = Archive::from_bytes_with(&bomb, "bomb.npz", &Limits { max_bytes });
        error.map(|archive| archive.get("zeros").unwrap().len()).map_err(|e| e.to_string())
    };
    assert_eq!(
        error((1 << 24) - 1).unwrap_err(),
        "bomb.npz: array \"zeros\": expected at most 16777215 bytes of elements in the whole file, \
         got 0 before this array and 2097152 elements of 8 bytes in it"
    );
    assert_eq!(error(1 << 24), Ok(1 << 21));
}

/// Where `what` starts in `bytes`, counted from the end if `last`.
fn find(bytes: &[u8], what: &[u8], last: bool) -> usize {
    let mut places = bytes.windows(what.len()).enumerate().filter(|(_, window)| *window == what);
    if last { places.next_back() } else { places.next() }.unwrap().0
}

const DIRECTORY: &[u8] = b"PK\x01\x02";

fn npz_error(bytes: &[u8]) -> String {
    let error = Archive::from_bytes(bytes, "lie.npz").unwrap_err();
    assert_named(&error, "lie.npz");
    error.to_string()
}

#[test]
fn zip_archives_that_lie_are_refused() {
    let whole = bytes("single.npz");
    let directory = find(&whole, DIRECTORY, false);
    let with = |at: usize, value: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + value.len()].copy_from_slice(value);
        npz_error(&changed)
    };
    let error = with(directory + 16, &[1, 2, 3, 4]);
    assert!(error.contains("array \"only\": CRC-32: expected 04030201, got "), "{error}");
    let error = with(directory + 8, &[1, 0]);
    assert!(error.contains("expected a plain member, got an encrypted one"), "{error}");
    let error = with(directory + 46, b"fake");
    assert!(error.contains("\"fake\": expected the name of the zip directory before"), "{error}");
    let error = with(directory + 24, &[1, 1]);
    assert!(error.contains("stored: expected 257 bytes, got 152"), "{error}");
    let error = with(directory + 20, &[0xf0, 0xff, 0, 0]);
    assert!(error.contains("expected its data to end before byte"), "{error}");
    let error = with(directory + 42, &[9, 9, 9, 9]);
    assert!(error.contains("array \"only\": expected a sound zip archive"), "{error}");
    let data = find(&whole, b"\x93NUMPY", false);
    let error = with(data + 130, &[9]);
    assert!(error.contains("CRC-32: expected"), "{error}");
    let end = find(&whole, b"PK\x05\x06", true);
    let error = with(end + 10, &[2, 0]);
    assert!(error.contains("expected 2 members, got 1"), "{error}");

    let deflated = bytes("deflated.npz");
    let directory = find(&deflated, DIRECTORY, false);
    for (size, text) in [(50_u32, "got "), (1 << 30, "expected 48 bytes of elements")] {
        let mut changed = deflated.clone();
        changed[directory + 24..directory + 28].copy_from_slice(&size.to_le_bytes());
        let error = npz_error(&changed);
        assert!(error.contains("array \"X\": ") && error.contains(text), "{error}");
    }
}

/// A zip archive of stored members, whose directory says what it is told.
fn zip_of(members: &[(&str, &[u8], Option<usize>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, content, start) in members {
        let at = start.unwrap_or(file.len()) as u32;
        let mut sums = flate2::Crc::new();
        sums.update(content);
        let mut fields = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        fields.extend(sums.sum().to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
        if start.is_none() {
            file.extend(b"PK\x03\x04");
            file.extend(&fields);
            file.extend(name.as_bytes());
            file.extend(*content);
        }
    }
    let (start, count) = (file.len() as u32, members.len() as u16);
    file.extend(&directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count.to_le_bytes());
    file.extend(count.to_le_bytes());
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0, 0]);
    file
}

#[test]
fn members_that_overlap_or_share_a_name_are_refused() {
    let one = npy("scalar.npy").to_npy_bytes().unwrap();
    let good = zip_of(&[("a.npy", &one, None), ("b.npy", &one, None)]);
    assert_eq!(Archive::from_bytes(&good, "good.npz").unwrap().len(), 2);

    let error = npz_error(&zip_of(&[("a.npy", &one, None), ("a.npy", &one, Some(0))]));
    assert_eq!(error, "lie.npz: array \"a\": expected one such array, got two");
    let error = npz_error(&zip_of(&[("a", &one, None), ("a.npy", &one, None)]));
    assert_eq!(error, "lie.npz: array \"a\": expected one such array, got two");

    // The second member starts inside the first, which holds a whole local header and array.
    let inner = zip_of(&[("b.npy", &one, None)]);
    let mut outer = npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (400,)}", &[]);
    let place = 30 + "a.npy".len() + outer.len();
    outer.extend(&inner);
    outer.resize(outer.len() + 400 - inner.len(), 0);
    let error = npz_error(&zip_of(&[("a.npy", &outer, None), ("b.npy", &one, Some(place))]));
    let want = "lie.npz: array \"b\": expected data of its own, got bytes that belong to \"a\"";
    assert_eq!(error, want);

    let error = npz_error(&zip_of(&[("a\0b.npy", &one, None)]));
    assert!(error.contains("expected names without a zero byte"), "{error}");
    let mut latin = zip_of(&[("aXb.npy", &one, None)]);
    while let Some(at) = latin.windows(3).position(|window| window == b"aXb") {
        latin[at + 1] = 0xe9;
    }
    assert!(npz_error(&latin).contains("expected names in UTF-8, got \"a\\xe9b.npy\""));
    let error = npz_error(&zip_of(&[("a.txt", b"hello, world", None)]));
    assert!(error.contains("array \"a.txt\": expected an .npy array that starts with"), "{error}");
}

fn safetensors_error(header: &str, data: &[u8]) -> String {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    let error = Archive::from_bytes(&file, "lie.safetensors").unwrap_err();
    assert_named(&error, "lie.safetensors");
    error.to_string()
}

#[test]
fn safetensors_that_lie_are_refused() {
    let tensor = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        let places = format!("\"data_offsets\": [{start}, {end}]");
        format!("{name:?}: {{\"dtype\": {dtype:?}, \"shape\": {shape}, {places}}}")
    };
    let one = |dtype: &str, shape: &str, start, end| {
        format!("{{{}}}", tensor("a", dtype, shape, start, end))
    };
    let two = |a: String, b: String| format!("{{{a}, {b}}}");
    let cases = [
        (one("F64", "[2]", 0, 8), 8, "invalid shape, data type, or offset"),
        (one("F64", "[1]", 8, 16), 16, "invalid offset for tensor `a`"),
        (one("F64", "[1]", 0, 8), 9, "expected 8 bytes of tensors, got 9"),
        (one("F64", "[1]", 0, 8), 7, "expected 8 bytes of tensors, got 7"),
        (one("F64", "[4294967296, 4294967296, 16]", 0, 8), 8, "overflow"),
        (one("F64", "[-1]", 0, 8), 8, "invalid value: integer `-1`"),
        (one("F99", "[1]", 0, 8), 8, "unknown variant `F99`"),
        (one("F8_E4M3", "[1]", 0, 1), 1, "array \"a\": type F8_E4M3: expected BOOL"),
        (one("BOOL", "[1]", 0, 1), 1, "bool at index 0: expected 0 or 1, got 2"),
        (one("U8", &format!("[{}1]", "1, ".repeat(64)), 0, 1), 1, "at most 64 axes, got 65"),
        (two(tensor("a", "U8", "[1]", 0, 1), tensor("a", "U8", "[1]", 1, 2)), 2, "\"a\" once"),
        (two(tensor("a", "U8", "[2]", 0, 2), tensor("b", "U8", "[1]", 1, 2)), 2, "invalid offset"),
        // Sizes that add up to more than 2⁶⁴: in debug builds the crate's own sum would panic.
        (
            format!(
                "{{{}}}",
                (0..8_u64)
                    .map(|i| {
                        let size = (1 << 61) - 1;
                        tensor(&i.to_string(), "U8", &format!("[{size}]"), i * size, (i + 1) * size)
                    })
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            16,
            "expected 18446744073709551608 bytes of tensors, got 16",
        ),
        ("[]".to_owned(), 0, "expected an object of tensors"),
        ("{".to_owned(), 0, "header: EOF"),
        ("[".repeat(100_000), 0, "header:"),
        (format!("{{\"a\": {}", "[".repeat(100_000)), 0, "header:"),
    ];
    for (header, length, want) in cases {
        let error = safetensors_error(&header, &vec![2; length]);
        assert!(error.contains(want), "{error}");
    }
    let error = Archive::from_bytes(&[0xff; 20], "lie.safetensors").unwrap_err().to_string();
    let want = "lie.safetensors: expected a header of at most 12 bytes, got 18446744073709551615";
    assert_eq!(error, want);
    let limits = Limits { max_bytes: 40 };
    let mixed = bytes("mixed.safetensors");
    assert!(Archive::from_bytes_with(&mixed, "mixed.safetensors", &limits).is_err());
}
