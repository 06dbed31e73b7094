//! `.safetensors`: a JSON header with types, shapes and places, then the bytes of all tensors.
//!
//! Source: the `safetensors` crate, which parses each tensor's entry and validates them together
//! (no gaps, no overlap, sizes that fit). Departures: a name that appears twice is refused, and the
//! names keep the order of the header. Data need not be aligned: they are copied, never cast.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{Read, Seek, SeekFrom, Write};

use ::safetensors::Dtype as Tag;
use ::safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::archive::{is_wanted, not_there};
use super::array::{Array, ArrayData};
use super::source::{Budget, Limits, Source, element_count};
use super::stored::{self, Stored};
use crate::Result;

/// The longest header, as in the `safetensors` crate.
const MAX_HEADER: u64 = 100_000_000;

/// The key of the strings that are not tensors.
const METADATA: &str = "__metadata__";

/// Tensors in the order of the header, and the strings with them.
type Contents = (Vec<(String, Array)>, BTreeMap<String, String>);

/// What the header holds, in its order.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format!("expected {name:?} once, got two")));
                    }
                    if name == METADATA {
                        header.metadata = map.next_value()?;
                    } else {
                        header.tensors.push((name, map.next_value()?));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA, &self.metadata)?;
        }
        for (name, info) in &self.tensors {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

/// Reads the tensors out of `length` bytes, which are there, or only those that `want` may mean.
pub(super) fn read<R: Read + Seek>(
    mut reader: R,
    length: u64,
    file: &str,
    limits: &Limits,
    want: Option<&str>,
) -> Result<Contents> {
    let source = Source::file(file);
    let mut start = [0; 8];
    let filled = source.fill(&mut reader, &mut start)?;
    if filled < start.len() {
        return Err(source.error(format!("expected the 8 bytes of a length, got {filled} bytes")));
    }
    let header_length = u64::from_le_bytes(start);
    let most = MAX_HEADER.min(length.saturating_sub(8));
    if header_length > most {
        return Err(
            source.error(format!("expected a header of at most {most} bytes, got {header_length}"))
        );
    }
    let mut text = Vec::new();
    let mut piece = reader.by_ref().take(header_length);
    piece.read_to_end(&mut text).map_err(|e| source.io(e))?;
    let header: Header =
        serde_json::from_slice(&text).map_err(|e| source.error(format!("header: {e}")))?;
    let Header { metadata, mut tensors } = header;

    // Data are read in the order of their places, and returned in the order of the header.
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    order.sort_by_key(|&i| tensors[i].1.data_offsets);
    let sorted = order.iter().map(|&i| tensors[i].clone()).collect();
    let valid = Metadata::new(None, sorted).map_err(|e| source.error(format!("header: {e}")))?;
    let (data_start, data_length) = (8 + header_length, length - 8 - header_length);
    if valid.data_len() as u64 != data_length {
        return Err(source
            .error(format!("expected {} bytes of tensors, got {data_length}", valid.data_len())));
    }
    if let Some(want) = want {
        order.retain(|&i| is_wanted(&tensors[i].0, want));
        if order.is_empty() {
            let names = tensors.iter().map(|(name, _)| name.as_str());
            return Err(not_there(file, want, names));
        }
    }

    let mut budget = Budget::new(limits);
    let mut arrays: Vec<Option<Array>> = vec![None; tensors.len()];
    for i in order {
        let (name, info) = &tensors[i];
        let place = data_start + info.data_offsets.0 as u64;
        reader.seek(SeekFrom::Start(place)).map_err(|e| source.io(e))?;
        arrays[i] = Some(tensor(&mut reader, info, &mut budget, source.array(name))?);
    }
    let names = tensors.drain(..).map(|(name, _)| name);
    Ok((names.zip(arrays).filter_map(|(name, array)| Some((name, array?))).collect(), metadata))
}

fn tensor(
    reader: &mut dyn Read,
    info: &TensorInfo,
    budget: &mut Budget,
    source: Source<'_>,
) -> Result<Array> {
    let stored = match info.dtype {
        Tag::BOOL => Stored::Bool,
        Tag::I8 => Stored::I8,
        Tag::I16 => Stored::I16,
        Tag::I32 => Stored::I32,
        Tag::I64 => Stored::I64,
        Tag::U8 => Stored::U8,
        Tag::U16 => Stored::U16,
        Tag::U32 => Stored::U32,
        Tag::U64 => Stored::U64,
        Tag::F16 => Stored::F16,
        Tag::BF16 => Stored::Bf16,
        Tag::F32 => Stored::F32,
        Tag::F64 => Stored::F64,
        Tag::C64 => Stored::Complex64,
        other => {
            return Err(source.error(format!(
                "type {other}: expected BOOL, I8 to I64, U8 to U64, F16, BF16, F32, F64 or C64"
            )));
        }
    };
    let count = element_count(&info.shape).map_err(|(expected, got)| {
        source.error(format!("shape: expected {expected}, got {got}"))
    })?;
    // The places are valid: count × size bytes are there.
    let swap = cfg!(target_endian = "big");
    let data = stored.read(reader, count, swap, true, budget, source)?;
    Ok(Array::from_data(info.shape.clone(), data)?.labelled(source.label()))
}

/// The type of `array` and its size in bytes, or what is wrong with it.
fn tag(array: &Array) -> Result<(Tag, usize), String> {
    Ok(match array.data() {
        ArrayData::Bool(_) => (Tag::BOOL, 1),
        ArrayData::I8(_) => (Tag::I8, 1),
        ArrayData::I16(_) => (Tag::I16, 2),
        ArrayData::I32(_) => (Tag::I32, 4),
        ArrayData::I64(_) => (Tag::I64, 8),
        ArrayData::U8(_) => (Tag::U8, 1),
        ArrayData::U16(_) => (Tag::U16, 2),
        ArrayData::U32(_) => (Tag::U32, 4),
        ArrayData::U64(_) => (Tag::U64, 8),
        ArrayData::F32(_) => (Tag::F32, 4),
        ArrayData::F64(_) => (Tag::F64, 8),
        ArrayData::C64(_) | ArrayData::Text(_) => {
            return Err(format!(
                "expected bool, integers, float32 or float64 for .safetensors, got {}",
                array.dtype()
            ));
        }
    })
}

/// Writes `arrays` with their header in their order and their data by size of element, so that
/// every tensor is aligned. The same arrays give the same bytes.
pub(super) fn write(
    arrays: &[(String, Array)],
    metadata: &BTreeMap<String, String>,
    writer: &mut dyn Write,
    file: &str,
) -> Result<()> {
    let file = Source::file(file);
    let mut tags = Vec::with_capacity(arrays.len());
    for (name, array) in arrays {
        let source = file.array(name);
        if name == METADATA {
            return Err(source.error("expected another name, this one is reserved"));
        }
        tags.push(tag(array).map_err(|message| source.error(message))?);
    }
    let mut order: Vec<usize> = (0..arrays.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(tags[i].1));
    let mut places = vec![(0, 0); arrays.len()];
    let mut end = 0;
    for &i in &order {
        let start = end;
        end += arrays[i].1.len() * tags[i].1;
        places[i] = (start, end);
    }
    let tensors = arrays.iter().zip(&tags).zip(&places).map(|(((name, array), tag), place)| {
        let shape = array.shape().to_vec();
        (name.clone(), TensorInfo { dtype: tag.0, shape, data_offsets: *place })
    });
    let header = Header { metadata: metadata.clone(), tensors: tensors.collect() };
    let mut text = serde_json::to_vec(&header).map_err(|e| file.error(format!("header: {e}")))?;
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() as u64 > MAX_HEADER {
        return Err(file.error(format!(
            "expected a header of at most {MAX_HEADER} bytes, got {}",
            text.len()
        )));
    }
    let mut put = |bytes: &[u8]| writer.write_all(bytes).map_err(|e| file.io(e));
    put(&(text.len() as u64).to_le_bytes())?;
    put(&text)?;
    for i in order {
        stored::write(arrays[i].1.data(), 1, writer).map_err(|e| file.io(e))?;
    }
    Ok(())
}
