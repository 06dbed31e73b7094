//! The readers against files that NumPy wrote, and against files that lie.

use std::path::{Path, PathBuf};

use hesse::faer::c64;
use hesse::io::{Archive, Array, ArrayData, Dtype, Format, Limits};
use hesse::{Error, Result};
use proptest::prelude::*;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/io").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn npy(name: &str) -> Array {
    Array::read_npy(path(name)).unwrap()
}

// ---- files that NumPy wrote ----

/// 0, 1, ... 5 as 2 × 3 with the last two replaced, as tools/reference/make_io_fixtures.py does.
macro_rules! ramp {
    ($t:ty, $fifth:expr, $last:expr) => {
        Array::new([2, 3], vec![0 as $t, 1 as $t, 2 as $t, 3 as $t, $fifth, $last]).unwrap()
    };
}

#[test]
fn every_type_order_and_byte_order_reads_the_same() {
    let complex = [0.0, 1.0, 2.0, 3.0, 4.0].map(|re| c64::new(re, 0.0));
    let complex = || complex.into_iter().chain([c64::new(0.5, -2.0)]).collect::<Vec<_>>();
    let cases = [
        ("b1", Array::new([2, 3], vec![false, true, true, true, true, true]).unwrap()),
        ("i1", ramp!(i8, i8::MIN, i8::MAX)),
        ("i2", ramp!(i16, i16::MIN, i16::MAX)),
        ("i4", ramp!(i32, i32::MIN, i32::MAX)),
        ("i8", ramp!(i64, i64::MIN, i64::MAX)),
        ("u1", ramp!(u8, u8::MIN, u8::MAX)),
        ("u2", ramp!(u16, u16::MIN, u16::MAX)),
        ("u4", ramp!(u32, u32::MIN, u32::MAX)),
        ("u8", ramp!(u64, u64::MIN, u64::MAX)),
        ("f2", ramp!(f32, f32::NEG_INFINITY, 2_f32.powi(-24))),
        ("f4", ramp!(f32, f32::NEG_INFINITY, f32::from_bits(1))),
        ("f8", ramp!(f64, f64::NEG_INFINITY, f64::from_bits(1))),
        ("c8", Array::new([2, 3], complex()).unwrap()),
        ("c16", Array::new([2, 3], complex()).unwrap()),
    ];
    for (kind, want) in cases {
        for variant in ["le_c", "be_f"] {
            let got = npy(&format!("{kind}_{variant}.npy"));
            assert!(got.same_bits(&want), "{kind} {variant}: {got:?}");
        }
    }
    let words = ["a", "né", "", "日本語", "𝛼β", "ab c"].map(str::to_owned);
    for variant in ["le_c", "be_f"] {
        let got = npy(&format!("text_{variant}.npy"));
        assert_eq!((got.shape(), got.texts().unwrap()), (&[2, 3][..], &words[..]), "{variant}");
    }
    let cube = npy("cube_f.npy");
    assert_eq!(cube.shape(), [2, 3, 4]);
    assert_eq!(cube.to_indices().unwrap(), (0..24).collect::<Vec<_>>());
}

#[test]
fn every_version_and_the_smallest_shapes_read() {
    for version in 1..=3 {
        let got = npy(&format!("version_{version}.npy"));
        assert!(got.same_bits(&npy("f8_le_c.npy")), "version {version}");
    }
    assert!(npy("scalar.npy").same_bits(&Array::from_scalar(2.5)));
    assert!(npy("empty.npy").same_bits(&Array::new([3, 0, 2], Vec::<f32>::new()).unwrap()));
    assert!(npy("vector.npy").same_bits(&Array::from_vector(vec![1.5])));
}

#[test]
fn our_bytes_are_those_of_numpy() {
    let names =
        ["i4_le_c", "f8_le_c", "c16_le_c", "b1_le_c", "u1_le_c", "scalar", "empty", "vector"];
    for name in names.map(|name| format!("{name}.npy")) {
        assert_eq!(npy(&name).to_npy_bytes().unwrap(), bytes(&name), "{name}");
    }
    // NumPy keeps the width of the type, we write that of the longest text.
    let text = npy("text_le_c.npy").to_npy_bytes().unwrap();
    let again = Array::from_npy_bytes(&text, "again.npy").unwrap();
    assert!(again.same_bits(&npy("text_be_f.npy")));
}

#[test]
fn other_types_are_refused_by_name() {
    let cases = [
        ("object", "pickled Python objects"),
        ("bytes", "byte strings"),
        ("date", "dates"),
        ("span", "time differences"),
        ("struct", "one plain type, got a structured one"),
        ("longdouble", "floating point numbers of this size"),
        ("void", "raw or structured bytes"),
    ];
    for (name, want) in cases {
        let file = format!("refused_{name}.npy");
        let error = Array::from_npy_bytes(&bytes(&file), &file).unwrap_err().to_string();
        assert!(error.starts_with(&file) && error.contains(want), "{error}");
    }
    for (name, method) in [("bzip2", 12), ("lzma", 14)] {
        let file = format!("refused_{name}.npz");
        let error = Archive::from_bytes(&bytes(&file), &file).unwrap_err().to_string();
        let want = format!(
            "{file}: array \"a\": expected a stored or deflated member, got \
                            compression method {method}"
        );
        assert_eq!(error, want);
    }
}

#[test]
fn zip_archives_of_numpy_read_stored_and_deflated() {
    for name in ["stored.npz", "deflated.npz", "zip64.npz"] {
        for archive in [Archive::read(path(name)), Archive::from_bytes(&bytes(name), name)] {
            let archive = archive.unwrap();
            let names: Vec<_> = archive.names().collect();
            assert_eq!(names, ["X", "labels", "layer1/weight", "größe", "none"]);
            assert!(archive.get("X").unwrap().same_bits(&npy("f8_le_c.npy")));
            assert!(archive.get("layer1/weight.npy").unwrap().same_bits(&npy("f4_le_c.npy")));
            assert_eq!(archive.get("labels").unwrap().to_indices().unwrap(), [3, 1, 2]);
            assert_eq!(archive.get("größe").unwrap().scalar().unwrap(), 1.5);
            assert_eq!(archive.get("none").unwrap().shape(), [0, 4]);
            let error = archive.get("Y").unwrap_err().to_string();
            assert!(
                error.contains("array \"Y\": not there, the arrays are \"X\", \"la"),
                "{error}"
            );
        }
    }
    assert!(Archive::read(path("nothing.npz")).unwrap().is_empty());
    let streamed = Archive::read(path("streamed.npz")).unwrap();
    assert_eq!(streamed.names().collect::<Vec<_>>(), ["folder/a", "b"]);
    assert_eq!(streamed.get("folder/a").unwrap().to_indices().unwrap(), [0, 1, 2]);
    assert_eq!(streamed.get("b").unwrap().len(), 500);

    let spec = |name: &str| hesse::io::read(path(name).to_str().unwrap());
    assert_eq!(spec("single.npz").unwrap().to_indices().unwrap(), [0, 1, 2]);
    assert_eq!(spec("stored.npz:größe").unwrap().scalar().unwrap(), 1.5);
    assert_eq!(spec("mixed.safetensors:steps").unwrap().index().unwrap(), 7);
    assert_eq!(spec("f8_be_f.npy").unwrap().shape(), [2, 3]);
}

#[test]
fn safetensors_by_hand_reads_with_unaligned_data() {
    for archive in [
        Archive::read(path("mixed.safetensors")),
        Archive::from_bytes(&bytes("mixed.safetensors"), "mixed.safetensors"),
    ] {
        let archive = archive.unwrap();
        let names: Vec<_> = archive.names().collect();
        let want = ["layer1.weight", "bias", "steps", "mask", "half", "brain", "none", "bytes"];
        assert_eq!(names, want);
        let array = |name| archive.get(name).unwrap();
        assert!(array("layer1.weight").same_bits(&npy("f4_le_c.npy")));
        assert_eq!(array("bias").to_f64().unwrap(), [0.5, -1.5]);
        assert_eq!(array("mask").to_bools().unwrap(), [true, false, true]);
        assert_eq!(array("half").as_slice::<f32>().unwrap(), [1.5, -2.0]);
        assert_eq!(array("brain").as_slice::<f32>().unwrap(), [1.0, -3.140_625]);
        assert_eq!(array("none").shape(), [0, 2]);
        assert_eq!(array("bytes").to_indices().unwrap(), [1, 2, 255]);
        assert_eq!(archive.metadata["method"], "flatness");
        let again = archive.to_bytes(Format::Safetensors).unwrap();
        let again = Archive::from_bytes(&again, "again.safetensors").unwrap();
        assert!(again.same_bits(&archive), "names keep their order");
    }
}

/// The reference outputs of the flatness methods, where they are. `make_io_fixtures.py` lists them.
#[test]
fn golden_archives_read_as_numpy_lists_them() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.ancestors().map(|folder| folder.join("shared/golden/flatness"));
    let Some(folder) = folder.into_iter().find(|folder| folder.is_dir()) else {
        eprintln!("skipped: no shared/golden/flatness above {}", here.display());
        return;
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "npz"))
        .collect();
    files.sort();
    let listing: String = files
        .iter()
        .flat_map(|path| {
            let archive = Archive::read(path).unwrap();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let line = |(name, array): (&str, &Array)| {
                let ArrayData::F64(_) = array.data() else {
                    return format!("{stem} {name} {} {:?}\n", array.dtype(), array.shape());
                };
                let sum: f64 = array.to_f64().unwrap().iter().filter(|v| v.is_finite()).sum();
                format!("{stem} {name} float64 {:?} {sum:.6e}\n", array.shape())
            };
            archive.iter().map(line).collect::<Vec<_>>()
        })
        .collect();
    let want = std::fs::read_to_string(path("flatness_listing.txt")).unwrap();
    for (got, want) in listing.lines().zip(want.lines()) {
        assert_lines_agree(got, want);
    }
    assert_eq!(listing.lines().count(), want.lines().count());
}

/// NumPy adds pairwise and we do not, so the last digit of a printed sum may differ.
fn assert_lines_agree(got: &str, want: &str) {
    let parts = |line: &str| {
        let (head, tail) = line.rsplit_once(' ').unwrap();
        tail.parse::<f64>().map_or((line.to_owned(), 0.0), |sum| (head.to_owned(), sum))
    };
    let ((head, sum), (want_head, want_sum)) = (parts(got), parts(want));
    assert_eq!(head, want_head);
    assert!((sum - want_sum).abs() <= 1e-6 * want_sum.abs() + 1e-9, "{got} / {want}");
}

// ---- round trips ----

fn shape_and_len() -> impl Strategy<Value = (Vec<usize>, usize)> {
    prop::collection::vec(0_usize..5, 0..5).prop_map(|shape| {
        let count = shape.iter().product();
        (shape, count)
    })
}

fn data(count: usize) -> impl Strategy<Value = ArrayData> {
    macro_rules! of {
        ($($variant:ident $element:expr),* $(,)?) => {
            prop_oneof![$(
                prop::collection::vec($element, count).prop_map(ArrayData::$variant)
            ),*]
        };
    }
    let text = "[a-zé𝛼 ]{0,6}";
    let complex = || (any::<u64>(), any::<f64>());
    of![
        Bool any::<bool>(),
        I8 any::<i8>(),
        I16 any::<i16>(),
        I32 any::<i32>(),
        I64 any::<i64>(),
        U8 any::<u8>(),
        U16 any::<u16>(),
        U32 any::<u32>(),
        U64 any::<u64>(),
        F32 any::<u32>().prop_map(f32::from_bits),
        F64 any::<u64>().prop_map(f64::from_bits),
        C64 complex().prop_map(|(re, im)| c64::new(f64::from_bits(re), im)),
        Text text,
    ]
}

fn array() -> impl Strategy<Value = Array> {
    shape_and_len().prop_flat_map(|(shape, count)| {
        data(count).prop_map(move |data| Array::from_data(shape.clone(), data).unwrap())
    })
}

fn holds(array: &Array) -> bool {
    !matches!(array.dtype(), Dtype::C64 | Dtype::Text)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn npy_keeps_every_bit(array in array()) {
        let bytes = array.to_npy_bytes().unwrap();
        let elements = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        prop_assert_eq!(elements % 64, 0);
        let again = Array::from_npy_bytes(&bytes, "a.npy").unwrap();
        prop_assert!(again.same_bits(&array), "{:?}", again);
    }

    #[test]
    fn archives_keep_names_order_and_every_bit(
        arrays in prop::collection::btree_map("[ -~é]{0,8}", array(), 0..6),
        metadata in prop::collection::btree_map("[a-z]{1,3}", ".{0,4}", 0..3),
    ) {
        let mut archive = Archive::new();
        for (name, array) in arrays.iter().rev() {
            let plain = !name.contains([':', '\\', '/', '.']);
            if name.is_ascii() || plain {
                archive.insert(name.clone(), array.clone());
            }
        }
        for bytes in [archive.to_bytes(Format::Npz), archive.to_compressed_bytes()] {
            let again = Archive::from_bytes(&bytes.unwrap(), "a.npz").unwrap();
            prop_assert!(again.same_bits(&archive), "{:?}", again);
        }
        let mut tensors = Archive::new();
        for (name, array) in archive.iter().filter(|(_, array)| holds(array)) {
            tensors.insert(name, array.clone());
        }
        tensors.metadata = metadata;
        let bytes = tensors.to_bytes(Format::Safetensors).unwrap();
        prop_assert_eq!(&bytes, &tensors.to_bytes(Format::Safetensors).unwrap());
        let again = Archive::from_bytes(&bytes, "a.safetensors").unwrap();
        prop_assert!(again.same_bits(&tensors), "{:?}", again);
        let parsed = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        for (name, array) in tensors.iter() {
            let tensor = parsed.tensor(name).unwrap();
            prop_assert_eq!(tensor.shape(), array.shape());
        }
    }
}

#[test]
fn files_are_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = Archive::new();
    archive.insert("X", npy("f8_be_f.npy"));
    archive.insert("layer/y", npy("i2_le_c.npy"));
    for name in ["a.npz", "a.safetensors"] {
        let path = folder.path().join(name);
        archive.write(&path).unwrap();
        assert!(Archive::read(&path).unwrap().same_bits(&archive));
    }
    archive.insert("big", Array::from_vector(vec![0.25; 300_000]));
    let path = folder.path().join("b.npz");
    archive.write_compressed(&path).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 10_000);
    assert!(Archive::read(&path).unwrap().same_bits(&archive));
    let path = folder.path().join("x.npy");
    archive.get("big").unwrap().write_npy(&path).unwrap();
    assert!(Array::read_npy(&path).unwrap().same_bits(archive.get("big").unwrap()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4, "no temporary file is left");

    let before = archive.insert("X", Array::from_scalar(1.0)).unwrap();
    assert!(before.same_bits(&npy("f8_be_f.npy")));
    assert!(archive.take("layer/y").unwrap().same_bits(&npy("i2_le_c.npy")));
    assert_eq!(archive.names().collect::<Vec<_>>(), ["X", "big"]);
    assert_eq!(archive.get("big").unwrap().len(), 300_000);
}

#[test]
#[ignore = "writes and reads 4.3 GB"]
fn archives_beyond_4_gib_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.npz");
    let mut archive = Archive::new();
    let mut values = vec![0_u8; (1 << 32) + 1000];
    values.iter_mut().step_by(4093).for_each(|value| *value = 7);
    archive.insert("big", Array::from_vector(values));
    archive.insert("after", Array::from_scalar(2.5));
    archive.write(&path).unwrap();
    let spec = format!("{}:after", path.display());
    assert_eq!(hesse::io::read(&spec).unwrap().scalar().unwrap(), 2.5);
    assert!(Archive::read(&path).unwrap().same_bits(&archive));
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_is_read_as_it_comes() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let cube = bytes("cube_f.npy");
    for (extra, want) in [(0, None), (1, Some("expected 96 bytes of elements, got more"))] {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let sent = [&cube[..], &vec![0; extra][..]].concat();
        let sender = std::thread::spawn(move || {
            sent.chunks(7).for_each(|piece| writer.write_all(piece).unwrap());
        });
        let read = Array::read_npy(format!("/dev/fd/{}", reader.as_raw_fd()));
        sender.join().unwrap();
        match want {
            None => assert!(read.unwrap().same_bits(&npy("cube_f.npy"))),
            Some(want) => assert!(read.unwrap_err().to_string().ends_with(want)),
        }
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let error = |name: &str, array: Array, format| {
        let mut archive = Archive::new();
        archive.insert(name, array);
        archive.to_bytes(format).unwrap_err().to_string()
    };
    let text = || Array::from_scalar("tanh".to_owned());
    assert_eq!(
        error("act", text(), Format::Safetensors),
        "archive: array \"act\": expected bool, integers, float32 or float64 for .safetensors, \
         got str"
    );
    let one = || Array::from_scalar(1.0);
    assert!(error("__metadata__", one(), Format::Safetensors).contains("this one is reserved"));
    assert!(error("α/../β", one(), Format::Npz).contains("expected a name that is ASCII"));
    assert!(error("a\0b", one(), Format::Npz).contains("without a zero byte"));
    assert!(error(&"x".repeat(70_000), one(), Format::Npz).contains("at most 65531 bytes"));
    let padded = Array::from_scalar("a\0".to_owned());
    assert!(error("x", padded, Format::Npz).contains("no zero at its end"));
    let mut archive = Archive::new();
    archive.metadata.insert("k".to_owned(), "v".to_owned());
    assert!(archive.to_bytes(Format::Npz).is_err());
    assert!(archive.write("a.txt").unwrap_err().to_string().contains(".npz or .safetensors"));
}

// ---- files that lie ----

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

#[test]
fn absent_files_and_folders_are_input_errors() {
    assert!(matches!(Array::read_npy("absent.npy"), Err(Error::Io { .. })));
    assert!(matches!(Archive::read("absent.npz"), Err(Error::Io { .. })));
    let folder = tempfile::Builder::new().suffix(".npz").tempdir().unwrap();
    let error = Archive::read(folder.path()).unwrap_err().to_string();
    assert!(error.ends_with("expected a regular file, got something else"), "{error}");
}
