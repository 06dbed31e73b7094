//! Where bytes come from, for errors, and how many of them are allowed.

use std::io::{self, Read};

use crate::{Error, Result};

/// Bounds on what a reader takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most memory, in bytes, that the elements of all arrays read from one file may take:
    /// 16 GiB by default.
    ///
    /// While it is read, an array in Fortran order, or of a type that is converted, needs up to as
    /// much again.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 16 << 30 }
    }
}

/// The file and the array in it, as errors name them.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub array: Option<&'a str>,
}

impl<'a> Source<'a> {
    pub fn file(file: &'a str) -> Self {
        Self { file, array: None }
    }

    pub fn array(self, name: &'a str) -> Self {
        Self { array: Some(name), ..self }
    }

    /// The label of an array that was read from here.
    pub fn label(self) -> String {
        match self.array {
            None => self.file.to_owned(),
            Some(array) => format!("{}: array {array:?}", self.file),
        }
    }

    pub fn error(self, message: impl Into<String>) -> Error {
        Error::format(self.file, self.array, message)
    }

    /// What the operating system says is [`Error::Io`]; what a decoder says is [`Error::Format`].
    pub fn io(self, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            Error::io(self.file, error)
        } else {
            self.error(error.to_string())
        }
    }

    /// Fills `buffer` as far as the bytes go, and says how far that is.
    pub fn fill(self, reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io(e)),
            }
        }
        Ok(filled)
    }
}

/// What is left of [`Limits::max_bytes`].
pub(super) struct Budget {
    max: u64,
    left: u64,
}

impl Budget {
    pub fn new(limits: &Limits) -> Self {
        Self { max: limits.max_bytes, left: limits.max_bytes }
    }

    /// Takes `count` elements of `size` bytes in memory.
    pub fn take(&mut self, count: usize, size: usize, source: Source<'_>) -> Result<()> {
        let bytes = (count as u64).checked_mul(size as u64);
        match bytes.and_then(|bytes| self.left.checked_sub(bytes)) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(source.error(format!(
                "expected at most {} bytes of elements in the whole file, got {} before this array \
                 and {count} elements of {size} bytes in it",
                self.max,
                self.max - self.left
            ))),
        }
    }
}

/// The most axes that an array can have, as in NumPy.
const MAX_AXES: usize = 64;

/// The number of elements of `shape`, or (expected, got).
///
/// Also when an axis is empty, the product of the others must not overflow, so that strides exist.
pub(super) fn element_count(shape: &[usize]) -> Result<usize, (String, String)> {
    if shape.len() > MAX_AXES {
        return Err((format!("at most {MAX_AXES} axes"), shape.len().to_string()));
    }
    let filled = shape.iter().filter(|&&axis| axis != 0);
    match filled.copied().try_fold(1_usize, usize::checked_mul) {
        Some(product) if product <= isize::MAX as usize => {
            Ok(if shape.contains(&0) { 0 } else { product })
        }
        _ => Err((format!("axes whose product is at most {}", isize::MAX), format!("{shape:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_never_overflows() {
        let mut budget = Budget::new(&Limits { max_bytes: 100 });
        let source = Source::file("a.npz").array("x");
        budget.take(10, 8, source).unwrap();
        let error = budget.take(3, 8, source).unwrap_err().to_string();
        let text = "a.npz: array \"x\": expected at most 100 bytes of elements in the whole file, \
                    got 80 before this array and 3 elements of 8 bytes in it";
        assert_eq!(error, text);
        assert!(budget.take(usize::MAX, usize::MAX, source).is_err());
        budget.take(20, 1, source).unwrap();
        assert!(budget.take(1, 1, source).is_err());
    }

    #[test]
    fn element_counts_do_not_overflow() {
        assert_eq!(element_count(&[]), Ok(1));
        assert_eq!(element_count(&[3, 4]), Ok(12));
        assert_eq!(element_count(&[3, 0, 4]), Ok(0));
        assert!(element_count(&[1 << 32, 1 << 32, 16]).is_err());
        assert!(element_count(&[1 << 62, 2]).is_err());
        assert!(element_count(&[0, 1 << 40, 1 << 40]).is_err());
    }
}
