//! Named arrays in one file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;

use super::array::Array;
use super::source::Limits;
use super::stored::size_hint;
use super::{npz, replace, safetensors};
use crate::{Error, Result};

/// How an [`Archive`] lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `.npz`: a zip archive of `.npy` arrays.
    Npz,
    /// `.safetensors`: a JSON header and the bytes of all tensors.
    Safetensors,
}

impl Format {
    /// The format that the end of a file's name says, in upper or lower case.
    ///
    /// # Errors
    /// [`Error::Format`] unless it is `.npz` or `.safetensors`.
    pub fn of(name: &str) -> Result<Self> {
        let extension = Path::new(name).extension().and_then(|e| e.to_str()).unwrap_or_default();
        if extension.eq_ignore_ascii_case("npz") {
            Ok(Format::Npz)
        } else if extension.eq_ignore_ascii_case("safetensors") {
            Ok(Format::Safetensors)
        } else {
            Err(Error::format(name, None, "expected a name that ends in .npz or .safetensors"))
        }
    }
}

/// Arrays by name, in their order, with strings for what is not an array.
#[derive(Clone, Debug)]
pub struct Archive {
    file: String,
    arrays: Vec<(String, Array)>,
    index: HashMap<String, usize>,
    /// Strings by key. Only `.safetensors` holds them.
    pub metadata: BTreeMap<String, String>,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// No arrays.
    #[must_use]
    pub fn new() -> Self {
        Self::of("archive", Vec::new(), BTreeMap::new())
    }

    fn of(file: &str, arrays: Vec<(String, Array)>, metadata: BTreeMap<String, String>) -> Self {
        let index = arrays.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        Self { file: file.to_owned(), arrays, index, metadata }
    }

    /// Reads all arrays of a `.npz` or `.safetensors` file, with the default [`Limits`].
    ///
    /// Cost: one pass over the file, a second copy in memory only where the order or
    /// the type changes.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Format`] if it is not what its format says.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path, &Limits::default())
    }

    /// Reads all arrays of a `.npz` or `.safetensors` file within `limits`.
    ///
    /// # Errors
    /// As [`Archive::read`], and [`Error::Format`] beyond the limits.
    pub fn read_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Self> {
        Self::read_wanted(path.as_ref(), limits, None)
    }

    /// Reads all arrays, or only those that `want` may mean.
    pub(super) fn read_wanted(path: &Path, limits: &Limits, want: Option<&str>) -> Result<Self> {
        let name = path.display().to_string();
        let format = Format::of(&name)?;
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
        if !metadata.is_file() {
            return Err(Error::format(name, None, "expected a regular file, got something else"));
        }
        match format {
            Format::Npz => {
                let arrays = npz::read_file(file, &name, limits, want)?;
                Ok(Self::of(&name, arrays, BTreeMap::new()))
            }
            Format::Safetensors => {
                let (arrays, strings) =
                    safetensors::read(file, metadata.len(), &name, limits, want)?;
                Ok(Self::of(&name, arrays, strings))
            }
        }
    }

    /// Reads the bytes of a file called `name`, whose end says the format, with the default
    /// [`Limits`].
    ///
    /// # Errors
    /// [`Error::Format`] if they are not what the format says.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::from_bytes_with(bytes, name, &Limits::default())
    }

    /// Reads the bytes of a file called `name`, whose end says the format, within `limits`.
    ///
    /// # Errors
    /// [`Error::Format`] if they are not what the format says, or beyond the limits.
    pub fn from_bytes_with(bytes: &[u8], name: &str, limits: &Limits) -> Result<Self> {
        match Format::of(name)? {
            Format::Npz => {
                let arrays = npz::read_bytes(bytes, name, limits, None)?;
                Ok(Self::of(name, arrays, BTreeMap::new()))
            }
            Format::Safetensors => {
                let length = bytes.len() as u64;
                let (arrays, strings) =
                    safetensors::read(Cursor::new(bytes), length, name, limits, None)?;
                Ok(Self::of(name, arrays, strings))
            }
        }
    }

    /// The array called `name`; a `.npy` at its end may be left on.
    ///
    /// # Errors
    /// [`Error::Format`] with the names that are there.
    pub fn get(&self, name: &str) -> Result<&Array> {
        match self.position(name) {
            Some(at) => Ok(&self.arrays[at].1),
            None => Err(not_there(&self.file, name, self.names())),
        }
    }

    /// There is an array called `name`.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    fn position(&self, name: &str) -> Option<usize> {
        let plain = || self.index.get(name.strip_suffix(".npy")?);
        self.index.get(name).or_else(plain).copied()
    }

    /// Adds an array at the end, or in the place of the one that has this name, which is returned.
    /// Errors about the array will call it by this name.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) -> Option<Array> {
        let name = name.into();
        let array = array.labelled(&name);
        if let Some(&at) = self.index.get(&name) {
            return Some(std::mem::replace(&mut self.arrays[at].1, array));
        }
        self.index.insert(name.clone(), self.arrays.len());
        self.arrays.push((name, array));
        None
    }

    /// Takes an array out, without a copy.
    ///
    /// # Errors
    /// [`Error::Format`] with the names that are there.
    pub fn take(&mut self, name: &str) -> Result<Array> {
        let Some(at) = self.position(name) else {
            return Err(not_there(&self.file, name, self.names()));
        };
        let (name, array) = self.arrays.remove(at);
        self.index.remove(&name);
        self.index.values_mut().filter(|i| **i > at).for_each(|i| *i -= 1);
        Ok(array)
    }

    /// The names in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.iter().map(|(name, _)| name.as_str())
    }

    /// The names and arrays in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.arrays.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// The number of arrays.
    #[must_use]
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    /// There are no arrays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.arrays.is_empty()
    }

    /// The same names in the same order, with arrays of the same bits, and the same strings.
    #[must_use]
    pub fn same_bits(&self, other: &Archive) -> bool {
        self.metadata == other.metadata
            && self.len() == other.len()
            && self.iter().zip(other.iter()).all(|(a, b)| a.0 == b.0 && a.1.same_bits(b.1))
    }

    /// Writes a `.npz` (stored) or `.safetensors` file, whole or not at all (see [`replace`]).
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for what the format cannot hold: metadata in `.npz`,
    /// complex numbers and text in `.safetensors`, a text that ends in a zero, a name that is
    /// too long, contains a zero or is neither ASCII nor a plain relative path.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_to(path.as_ref(), false)
    }

    /// Writes a `.npz` file with deflated members, whole or not at all.
    ///
    /// # Errors
    /// As [`Archive::write`], and [`Error::Format`] for `.safetensors`, which has no compression.
    pub fn write_compressed(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_to(path.as_ref(), true)
    }

    fn write_to(&self, path: &Path, deflate: bool) -> Result<()> {
        let name = path.display().to_string();
        let format = Format::of(&name)?;
        replace(path, |writer| self.write_as(format, deflate, writer, &name))
    }

    /// The bytes of a file with these arrays; the same arrays give the same bytes.
    ///
    /// # Errors
    /// [`Error::Format`] as [`Archive::write`].
    pub fn to_bytes(&self, format: Format) -> Result<Vec<u8>> {
        let size = self.arrays.iter().map(|(_, array)| size_hint(array.data())).sum();
        let mut bytes = Vec::with_capacity(size);
        self.write_as(format, false, &mut bytes, &self.file)?;
        Ok(bytes)
    }

    /// The bytes of a `.npz` file with these arrays, deflated.
    ///
    /// # Errors
    /// [`Error::Format`] as [`Archive::write`].
    pub fn to_compressed_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write_as(Format::Npz, true, &mut bytes, &self.file)?;
        Ok(bytes)
    }

    fn write_as(
        &self,
        format: Format,
        deflate: bool,
        writer: &mut dyn Write,
        file: &str,
    ) -> Result<()> {
        match format {
            Format::Npz if !self.metadata.is_empty() => {
                let message = "expected no metadata, which .npz cannot hold, got some";
                Err(Error::format(file, None, message))
            }
            Format::Npz => npz::write(self.iter(), deflate, writer, file),
            Format::Safetensors if deflate => {
                Err(Error::format(file, None, "expected .npz, the only format with compression"))
            }
            Format::Safetensors => safetensors::write(&self.arrays, &self.metadata, writer, file),
        }
    }
}

/// An array called `name` may be the one that `want` means, with or without `.npy` at its end.
pub(super) fn is_wanted(name: &str, want: &str) -> bool {
    name == want || want.strip_suffix(".npy") == Some(name)
}

/// The error for a name that is not there, with those that are.
pub(super) fn not_there<'a>(file: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Error {
    const MOST: usize = 20;
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    let shown = names[..names.len().min(MOST)].join(", ");
    let message = match names.len() {
        0 => "not there, there are no arrays".to_owned(),
        n if n > MOST => format!("not there, the arrays are {shown} and {} more", n - MOST),
        _ => format!("not there, the arrays are {shown}"),
    };
    Error::format(file, Some(name), message)
}
