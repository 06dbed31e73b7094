//! `.npz`: a zip archive of `.npy` arrays.
//!
//! Strict where archives are used for attacks: members that overlap, appear twice, are encrypted,
//! are called one thing in the directory and another in place, or do not have the size and the
//! CRC-32 that the directory promises are refused, and so is any method but stored and deflated.
//! Folders, which hold no data, are passed over.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Write};

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use rawzip::path::{EntryPath, ZipFilePath};
use rawzip::{
    CompressionMethod, DataDescriptorOutput, MAX_CENTRAL_DIRECTORY_RECORD_SIZE, ReaderAt,
    ZipArchive, ZipArchiveEntryWayfinder, ZipArchiveWriter, ZipEntryWriter,
};

use super::archive::{is_wanted, not_there};
use super::array::Array;
use super::npy::{self, Length};
use super::source::{Budget, Limits, Source};
use crate::Result;

/// The longest name of an array: with `.npy` it fills what a zip archive has room for.
const MAX_NAME: usize = u16::MAX as usize - EXTENSION.len();

const EXTENSION: &str = ".npy";

/// Reads the arrays of a file, or only those that `want` may mean.
pub(super) fn read_file(
    file: File,
    name: &str,
    limits: &Limits,
    want: Option<&str>,
) -> Result<Vec<(String, Array)>> {
    let source = Source::file(name);
    let length = file.metadata().map_err(|e| source.io(e))?.len();
    let mut buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    let zip = ZipArchive::from_file(file, &mut buffer).map_err(|e| broken(e, source))?;
    Reader { zip, length, buffer, source }.read(limits, want)
}

/// Reads the arrays of the bytes of a file, or only those that `want` may mean.
pub(super) fn read_bytes(
    bytes: &[u8],
    name: &str,
    limits: &Limits,
    want: Option<&str>,
) -> Result<Vec<(String, Array)>> {
    let source = Source::file(name);
    let zip = ZipArchive::from_slice(bytes).map_err(|e| broken(e, source))?.into_reader_archive();
    let buffer = vec![0; MAX_CENTRAL_DIRECTORY_RECORD_SIZE];
    Reader { zip, length: bytes.len() as u64, buffer, source }.read(limits, want)
}

/// What `rawzip` says, as the error of the house.
fn broken(error: rawzip::Error, source: Source<'_>) -> crate::Error {
    match error.into_kind() {
        rawzip::ErrorKind::IO(error) if error.raw_os_error().is_some() => source.io(error),
        other => source.error(format!("expected a sound zip archive: {other}")),
    }
}

struct Reader<'a, R> {
    zip: ZipArchive<R>,
    length: u64,
    buffer: Vec<u8>,
    source: Source<'a>,
}

/// A member, as the directory describes it.
struct Member {
    /// Without `.npy`.
    name: String,
    path: Vec<u8>,
    start: u64,
    place: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
    crc: u32,
    compressed: u64,
    size: u64,
}

impl<R: ReaderAt> Reader<'_, R> {
    fn read(mut self, limits: &Limits, want: Option<&str>) -> Result<Vec<(String, Array)>> {
        let members = self.directory()?;
        self.check_places(&members)?;
        let mut budget = Budget::new(limits);
        let wanted = |member: &&Member| want.is_none_or(|want| is_wanted(&member.name, want));
        let arrays: Vec<_> = members
            .iter()
            .filter(wanted)
            .map(|member| Ok((member.name.clone(), self.member(member, &mut budget)?)))
            .collect::<Result<_>>()?;
        match want {
            Some(want) if arrays.is_empty() => {
                let names = members.iter().map(|member| member.name.as_str());
                Err(not_there(self.source.file, want, names))
            }
            _ => Ok(arrays),
        }
    }

    /// The members in the order of the central directory.
    fn directory(&mut self) -> Result<Vec<Member>> {
        let source = self.source;
        let mut members = Vec::new();
        let mut names = HashSet::new();
        let mut count = 0;
        let mut entries = self.zip.entries(&mut self.buffer);
        while let Some(entry) = entries.next_entry().map_err(|e| broken(e, source))? {
            count += 1;
            let path = entry.file_path().as_bytes().to_vec();
            if entry.is_dir() && entry.uncompressed_size_hint() == 0 {
                continue;
            }
            let Ok(name) = std::str::from_utf8(&path) else {
                let got = path.escape_ascii();
                return Err(source.error(format!("expected names in UTF-8, got \"{got}\"")));
            };
            let name = name.strip_suffix(EXTENSION).unwrap_or(name).to_owned();
            check_name(&name).map_err(|message| source.error(message))?;
            if !names.insert(name.clone()) {
                return Err(source.array(&name).error("expected one such array, got two"));
            }
            members.push(Member {
                name,
                start: entry.local_header_offset(),
                place: entry.wayfinder(),
                method: entry.compression_method(),
                encrypted: entry.flags().is_encrypted(),
                crc: entry.crc32(),
                compressed: entry.compressed_size_hint(),
                size: entry.uncompressed_size_hint(),
                path,
            });
        }
        // Without zip64 the count is kept modulo 2¹⁶.
        let hint = self.zip.entries_hint();
        if hint != count && (hint > 0xffff || hint != count & 0xffff) {
            return Err(
                source.error(format!("zip directory: expected {hint} members, got {count}"))
            );
        }
        Ok(members)
    }

    /// Checks that the members lie between the start of the file and its directory, apart from each
    /// other, under the names that the directory gives them.
    fn check_places(&mut self, members: &[Member]) -> Result<()> {
        let mut places = Vec::with_capacity(members.len());
        let limit = self.zip.directory_offset().min(self.length);
        for (index, member) in members.iter().enumerate() {
            let source = self.source.array(&member.name);
            let entry = self.zip.get_entry(member.place).map_err(|e| broken(e, source))?;
            let header = entry.local_header(&mut self.buffer).map_err(|e| broken(e, source))?;
            if header.file_path().as_bytes() != member.path {
                return Err(source.error(format!(
                    "expected the name of the zip directory before the data, got \"{}\"",
                    header.file_path().as_bytes().escape_ascii()
                )));
            }
            let (_, end) = entry.compressed_data_range();
            if end > limit {
                return Err(source.error(format!(
                    "expected its data to end before byte {limit} of the file, got {end}"
                )));
            }
            places.push((member.start, end, index));
        }
        places.sort_unstable();
        for pair in places.windows(2) {
            let ((_, end, first), (start, _, second)) = (pair[0], pair[1]);
            if start < end {
                return Err(self.source.array(&members[second].name).error(format!(
                    "expected data of its own, got bytes that belong to {:?}",
                    members[first].name
                )));
            }
        }
        Ok(())
    }

    fn member(&self, member: &Member, budget: &mut Budget) -> Result<Array> {
        let source = self.source.array(&member.name);
        if member.encrypted {
            return Err(source.error("expected a plain member, got an encrypted one"));
        }
        let entry = self.zip.get_entry(member.place).map_err(|e| broken(e, source))?;
        match member.method {
            CompressionMethod::STORE => {
                if member.compressed != member.size {
                    return Err(source.error(format!(
                        "stored: expected {} bytes, got {}",
                        member.size, member.compressed
                    )));
                }
                contents(entry.reader(), Length::Present(member.size), member, budget, source)
            }
            CompressionMethod::DEFLATE => {
                let decoder = DeflateDecoder::new(entry.reader());
                contents(decoder, Length::Claimed(member.size), member, budget, source)
            }
            other => Err(source.error(format!(
                "expected a stored or deflated member, got compression method {}",
                other.as_u16()
            ))),
        }
    }
}

/// Reads a member through to its end, and checks size and CRC.
fn contents(
    reader: impl Read,
    length: Length,
    member: &Member,
    budget: &mut Budget,
    source: Source<'_>,
) -> Result<Array> {
    let mut summed = Summed { inner: reader, crc: Crc::new(), bytes: 0 };
    let array = npy::read(&mut summed, length, budget, source)?;
    let crc = summed.crc.sum();
    if source.fill(&mut summed, &mut [0])? > 0 {
        return Err(source.error(format!("expected {} bytes, got more", member.size)));
    }
    // A fuzzer cannot guess checksums, and would never get past this line.
    if crc != member.crc && !cfg!(fuzzing) {
        return Err(source.error(format!("CRC-32: expected {:08x}, got {crc:08x}", member.crc)));
    }
    Ok(array)
}

/// Sums and counts the bytes that pass ([`Crc`] itself counts no further than 2³²).
struct Summed<T> {
    inner: T,
    crc: Crc,
    bytes: u64,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.crc.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.crc.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A name must fit into a zip archive, and every reader must see the same name.
fn check_name(name: &str) -> Result<(), String> {
    if name.len() > MAX_NAME {
        return Err(format!(
            "expected names of at most {MAX_NAME} bytes, got one of {}",
            name.len()
        ));
    }
    if name.contains('\0') {
        return Err(format!("expected names without a zero byte, got {name:?}"));
    }
    Ok(())
}

/// Writes `arrays` in their order, stored or deflated. The same arrays give the same bytes: members
/// carry no time.
pub(super) fn write<'a>(
    arrays: impl Iterator<Item = (&'a str, &'a Array)>,
    deflate: bool,
    writer: &mut dyn Write,
    file: &str,
) -> Result<()> {
    let mut zip = ZipArchiveWriter::new(writer);
    for (name, array) in arrays {
        let source = Source::file(file).array(name);
        check_name(name).map_err(|message| source.error(message))?;
        let path = format!("{name}{EXTENSION}");
        let member = if path.is_ascii() {
            EntryPath::verbatim(path.as_bytes())
        } else {
            // Only a normal path gets the flag that says UTF-8.
            if ZipFilePath::from_str(&path).as_str() != path {
                return Err(source.error(
                    "expected a name that is ASCII, or a relative path without ':', '\\', '//', \
                     '.' and '..'",
                ));
            }
            EntryPath::conformant(path.as_str())
        };
        let method = if deflate { CompressionMethod::DEFLATE } else { CompressionMethod::STORE };
        let (entry, _) = zip
            .new_file(member)
            .compression_method(method)
            .start()
            .map_err(|e| broken(e, source))?;
        let (entry, sums) = if deflate {
            let encoder = DeflateEncoder::new(entry, Compression::default());
            let (encoder, sums) = fill(encoder, array, source)?;
            (encoder.finish().map_err(|e| source.io(e))?, sums)
        } else {
            fill::<ZipEntryWriter<'_, _>>(entry, array, source)?
        };
        entry.finish(sums).map_err(|e| broken(e, source))?;
    }
    zip.finish().map_err(|e| broken(e, Source::file(file)))?;
    Ok(())
}

/// Writes an array into a member, and sums it up.
fn fill<W: Write>(
    writer: W,
    array: &Array,
    source: Source<'_>,
) -> Result<(W, DataDescriptorOutput)> {
    let mut summed = Summed { inner: writer, crc: Crc::new(), bytes: 0 };
    npy::write(array, &mut summed, source)?;
    Ok((summed.inner, DataDescriptorOutput::new(summed.crc.sum(), summed.bytes)))
}
