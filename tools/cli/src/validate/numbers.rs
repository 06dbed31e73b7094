//! Arrays of a reference file as the layouts see them: real numbers with a shape.

use std::collections::BTreeMap;
use std::path::Path;

use hesse::io::Archive;
use hesse::{Error, Result};

/// A named array: real numbers in C order. Integers up to 2⁵³ are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// Length of every axis.
    pub shape: Vec<usize>,
    /// The elements in C order.
    pub values: Vec<f64>,
}

impl Numbers {
    /// One number, of shape (1,), as the reference files write scalars.
    #[must_use]
    pub fn scalar(value: f64) -> Self {
        Self::vector(vec![value])
    }

    /// A vector.
    #[must_use]
    pub fn vector(values: Vec<f64>) -> Self {
        Self { shape: vec![values.len()], values }
    }

    /// A rows × columns matrix from its elements in C order.
    #[must_use]
    pub fn matrix(rows: usize, columns: usize, values: Vec<f64>) -> Self {
        Self { shape: vec![rows, columns], values }
    }
}

/// The arrays of one file by name.
#[derive(Clone, Debug, Default)]
pub struct Arrays {
    /// Name of the file, for messages.
    pub file: String,
    /// Numeric arrays.
    pub numbers: BTreeMap<String, Numbers>,
    /// Arrays that are not real numbers.
    pub others: Vec<String>,
    /// Those of them that are text.
    pub texts: BTreeMap<String, Vec<String>>,
}

impl Arrays {
    /// Reads all arrays of the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not what its name says.
    pub fn read(path: &Path) -> Result<Self> {
        let mut arrays = Self { file: path.display().to_string(), ..Self::default() };
        for (name, array) in Archive::read(path)?.iter() {
            // Text, complex numbers and integers that no f64 equals are nothing to compare.
            match array.to_f64() {
                Ok(values) => {
                    let numbers = Numbers { shape: array.shape().to_vec(), values };
                    arrays.numbers.insert(name.to_owned(), numbers);
                }
                Err(_) => {
                    arrays.others.push(name.to_owned());
                    if let Ok(texts) = array.texts() {
                        arrays.texts.insert(name.to_owned(), texts.to_vec());
                    }
                }
            }
        }
        Ok(arrays)
    }

    /// The array `name`.
    ///
    /// # Errors
    /// It is not in the file, or does not consist of real numbers.
    pub fn get(&self, name: &str) -> Result<&Numbers> {
        self.numbers.get(name).ok_or_else(|| self.wrong(name, "expected an array, got none"))
    }

    /// The array `name`, which must have this many axes, as (shape, elements).
    ///
    /// # Errors
    /// As [`Arrays::get`], and another number of axes.
    pub fn with_axes<const N: usize>(&self, name: &str) -> Result<([usize; N], &[f64])> {
        let array = self.get(name)?;
        let shape: [usize; N] = array.shape.as_slice().try_into().map_err(|_| {
            self.wrong(name, format!("expected {N} axes, got shape {:?}", array.shape))
        })?;
        Ok((shape, &array.values))
    }

    /// The one number in the array `name`.
    ///
    /// # Errors
    /// As [`Arrays::get`], and more or fewer than one element.
    pub fn scalar(&self, name: &str) -> Result<f64> {
        match self.get(name)?.values[..] {
            [value] => Ok(value),
            ref values => {
                Err(self.wrong(name, format!("expected one number, got {}", values.len())))
            }
        }
    }

    /// The one text in the array `name`, which must be among `expected`; its place there.
    ///
    /// # Errors
    /// No such text, or another one.
    pub fn text(&self, name: &str, expected: &[&str]) -> Result<usize> {
        let all = || expected.join(", ");
        let Some([text]) = self.texts.get(name).map(Vec::as_slice) else {
            return Err(self.wrong(name, format!("expected one of {}, got no text", all())));
        };
        let place = expected.iter().position(|known| known == text);
        place.ok_or_else(|| self.wrong(name, format!("expected one of {}, got {text:?}", all())))
    }

    /// The array `name` as whole numbers from 0 to `most`.
    ///
    /// # Errors
    /// As [`Arrays::get`], and any other number.
    pub fn counts(&self, name: &str, most: usize) -> Result<Vec<usize>> {
        let count = |&value: &f64| {
            // Exact: `most` and every accepted value are far below 2⁵³.
            if value.fract() == 0.0 && (0.0..=most as f64).contains(&value) {
                Ok(value as usize)
            } else {
                let message = format!("expected whole numbers from 0 to {most}, got {value}");
                Err(self.wrong(name, message))
            }
        };
        self.get(name)?.values.iter().map(count).collect()
    }

    /// An error about the array `name` of this file.
    pub fn wrong(&self, name: &str, message: impl Into<String>) -> Error {
        Error::format(&self.file, Some(name), message)
    }
}
