//! `.npy`: a magic string, a version, a header and the elements.
//!
//! Source: NumPy's format description, `numpy/lib/format.py`, versions 1.0 (header of at most
//! 65535 bytes, Latin-1), 2.0 (at most 2³² − 1) and 3.0 (UTF-8). Departures: a file that goes on
//! after its elements is refused, where NumPy leaves the rest unread; so is a `bool` other than 0
//! and 1, and a header longer than 1 MiB.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use super::array::Array;
use super::npy_header::{Header, dictionary};
use super::source::{Budget, Limits, Source, element_count};
use super::{order, replace, stored};
use crate::{Error, Result};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The longest header that is read: 64 axes need less than 2 KiB.
const MAX_HEADER: usize = 1 << 20;

/// How many bytes there are in a source of a `.npy` array.
#[derive(Clone, Copy)]
pub(super) enum Length {
    /// So many, which are there.
    Present(u64),
    /// So many, says a header that may lie.
    Claimed(u64),
    /// As many as come.
    Unknown,
}

impl Length {
    fn bytes(self) -> Option<u64> {
        match self {
            Length::Present(bytes) | Length::Claimed(bytes) => Some(bytes),
            Length::Unknown => None,
        }
    }
}

/// Reads one array, and all of what `length` says.
pub(super) fn read(
    reader: &mut dyn Read,
    length: Length,
    budget: &mut Budget,
    source: Source<'_>,
) -> Result<Array> {
    let mut start = [0; 8];
    let filled = source.fill(reader, &mut start)?;
    if !start[..filled].starts_with(MAGIC) {
        let got = start[..filled.min(MAGIC.len())].escape_ascii();
        return Err(source.error(format!(
            "expected an .npy array that starts with \
             \"\\x93NUMPY\", got \"{got}\""
        )));
    }
    let too_short = |what: &str| source.error(format!("expected {what}, the data end before it"));
    if filled < start.len() {
        return Err(too_short("the version"));
    }
    let (major, minor) = (start[6], start[7]);
    let width = match (major, minor) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => {
            return Err(
                source.error(format!("expected .npy version 1.0, 2.0 or 3.0, got {major}.{minor}"))
            );
        }
    };
    let mut header_length = [0; 4];
    if source.fill(reader, &mut header_length[..width])? < width {
        return Err(too_short("the length of the header"));
    }
    let header_length = u32::from_le_bytes(header_length) as usize;
    if header_length > MAX_HEADER {
        return Err(source.error(format!(
            "expected a header of at most {MAX_HEADER} bytes, got {header_length}"
        )));
    }
    let mut header = Vec::new();
    let mut piece = reader.take(header_length as u64);
    piece.read_to_end(&mut header).map_err(|e| source.io(e))?;
    if header.len() < header_length {
        return Err(source.error(format!(
            "expected a header of {header_length} bytes, got {}: the data end too early",
            header.len()
        )));
    }
    let header = Header::parse(&header).map_err(|message| source.error(message))?;
    let count = element_count(&header.shape).map_err(|(expected, got)| {
        source.error(format!("shape: expected {expected}, got {got}"))
    })?;
    let size = header.stored.size();
    let bytes = count.checked_mul(size).filter(|&bytes| bytes <= isize::MAX as usize);
    let Some(bytes) = bytes else {
        return Err(source.error(format!(
            "shape: expected at most {} bytes, got {:?} elements of {size} bytes",
            isize::MAX,
            header.shape
        )));
    };
    let before = (start.len() + width + header_length) as u64;
    if let Some(length) = length.bytes() {
        let got = length.saturating_sub(before);
        if got != bytes as u64 {
            return Err(source.error(format!(
                "expected {bytes} bytes of elements for shape {:?} of {size}-byte elements, \
                 got {got}",
                header.shape
            )));
        }
    }
    let present = matches!(length, Length::Present(_));
    let data = header.stored.read(reader, count, header.swap, present, budget, source)?;
    if length.bytes().is_none() && source.fill(reader, &mut [0])? > 0 {
        return Err(source.error(format!("expected {bytes} bytes of elements, got more")));
    }
    let data =
        if header.fortran { order::c_order_data(&header.shape, data, source)? } else { data };
    Ok(Array::from_data(header.shape, data)?.labelled(source.label()))
}

/// Writes one array: version 1.0 unless the header is too long for it, elements from a multiple of
/// 64 bytes on.
pub(super) fn write(array: &Array, writer: &mut dyn Write, source: Source<'_>) -> Result<()> {
    let (text, width) = dictionary(array).map_err(|message| source.error(message))?;
    // The header ends with a line feed at a multiple of 64 bytes from the start.
    let padded = |before: usize| (before + text.len() + 1).next_multiple_of(64) - before;
    let mut head = MAGIC.to_vec();
    match u16::try_from(padded(10)) {
        Ok(length) => {
            head.extend([1, 0]);
            head.extend(length.to_le_bytes());
        }
        Err(_) => {
            let length = u32::try_from(padded(12)).map_err(|_| {
                source.error(format!("expected a shorter header, got {} bytes", text.len()))
            })?;
            head.extend([2, 0]);
            head.extend(length.to_le_bytes());
        }
    }
    head.extend(text.as_bytes());
    head.resize((head.len() + 1).next_multiple_of(64) - 1, b' ');
    head.push(b'\n');
    writer.write_all(&head).map_err(|e| source.io(e))?;
    stored::write(array.data(), width, writer).map_err(|e| source.io(e))
}

impl Array {
    /// Reads a `.npy` file, with the default [`Limits`].
    ///
    /// Pipes and other files without a length are read as they come. Cost: one pass over the file,
    /// a second copy in memory only where the order or
    /// the type changes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is not what its format says.
    pub fn read_npy(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_npy_with(path, &Limits::default())
    }

    /// Reads a `.npy` file within `limits`.
    ///
    /// # Errors
    /// As [`Array::read_npy`], and [`Error::Format`] beyond the limits.
    pub fn read_npy_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
        let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
        let length =
            if metadata.is_file() { Length::Present(metadata.len()) } else { Length::Unknown };
        let name = path.display().to_string();
        read(&mut file, length, &mut Budget::new(limits), Source::file(&name))
    }

    /// Reads the bytes of a `.npy` file; errors call them `name`.
    ///
    /// # Errors
    /// [`Error::Format`] if they are not what the format says, or beyond the default [`Limits`].
    pub fn from_npy_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::from_npy_bytes_with(bytes, name, &Limits::default())
    }

    /// Reads the bytes of a `.npy` file within `limits`; errors call them `name`.
    ///
    /// # Errors
    /// [`Error::Format`] if they are not what the format says, or beyond the limits.
    pub fn from_npy_bytes_with(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self> {
        let length = Length::Present(bytes.len() as u64);
        read(&mut &*bytes, length, &mut Budget::new(limits), Source::file(name))
    }

    /// Writes a `.npy` file, whole or not at all (see [`replace`]).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a text that ends in a zero.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.display().to_string();
        replace(path, |writer| write(self, writer, Source::file(&name)))
    }

    /// The bytes of a `.npy` file with this array; the same array gives the same bytes everywhere.
    ///
    /// # Errors
    /// [`Error::Format`] for a text that ends in a zero.
    pub fn to_npy_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(stored::size_hint(self.data()));
        write(self, &mut bytes, Source::file(self.label()))?;
        Ok(bytes)
    }
}
