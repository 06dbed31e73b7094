//! The one error type of the house.

use std::path::PathBuf;

/// What can be wrong with input: every variant names the thing, what was expected and what came.
///
/// An iteration limit is not an error: solvers return their best iterate with a status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two sizes that must agree do not.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// The array or argument.
        what: String,
        /// The size that it must have.
        expected: String,
        /// The size that it has.
        got: String,
    },
    /// A NaN or an infinity where a number is needed.
    #[error("{what}: expected finite numbers, got {value} at index {index}")]
    NonFinite {
        /// The array.
        what: String,
        /// Position in memory order.
        index: usize,
        /// The value found there.
        value: f64,
    },
    /// Nothing where at least one thing is needed.
    #[error("{what}: expected at least one, got none")]
    Empty {
        /// What is empty.
        what: String,
    },
    /// A number outside its range.
    #[error("{what}: expected {expected}, got {got}")]
    Range {
        /// The argument.
        what: String,
        /// The range.
        expected: String,
        /// The value.
        got: String,
    },
    /// A target that the loss cannot use: a class index out of range, probabilities that do not
    /// sum to one.
    #[error("target of sample {row}: expected {expected}, got {got}")]
    Target {
        /// The sample.
        row: usize,
        /// What a target must be.
        expected: String,
        /// What it is.
        got: String,
    },
    /// An operator that must be symmetric is not.
    #[error(
        "operator: expected a symmetric one, got |u·Av − v·Au| = {defect:e} relative to its size"
    )]
    NotSymmetric {
        /// Relative defect on two random vectors.
        defect: f64,
    },
    /// A quantity that does not exist for this input.
    #[error("{what}: not applicable: expected {expected}, got {got}")]
    NotApplicable {
        /// The quantity.
        what: String,
        /// What it needs.
        expected: String,
        /// What there is.
        got: String,
    },
    /// More memory than allowed would be needed; nothing has been allocated.
    #[error("{what}: expected at most {limit} bytes of memory, {required} are required")]
    Memory {
        /// What needs it.
        what: String,
        /// Bytes needed.
        required: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Data that leave part of the answer open.
    #[error(
        "components: expected data that determine every pair, undetermined are {}",
        .components.join(", ")
    )]
    Unidentifiable {
        /// The pairs of components that are not determined.
        components: Vec<String>,
    },
    /// A file that is not what its format says.
    #[error("{file}: {}{message}", .array.as_ref().map(|a| format!("array {a:?}: ")).unwrap_or_default())]
    Format {
        /// The file, or a name for the bytes.
        file: String,
        /// The array in it, where one is concerned.
        array: Option<String>,
        /// What is wrong: expected and got.
        message: String,
    },
    /// The operating system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: std::io::Error,
    },
    /// `HESSE_ISA` asks for an instruction set that is not there.
    #[error(transparent)]
    Isa(#[from] hesse_kernels::IsaError),
}

/// `Result` with the error of the house.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A size that should be another one.
    pub fn shape(
        what: impl Into<String>,
        expected: impl std::fmt::Debug,
        got: impl std::fmt::Debug,
    ) -> Self {
        Error::Shape {
            what: what.into(),
            expected: format!("{expected:?}"),
            got: format!("{got:?}"),
        }
    }

    /// A number outside its range.
    pub fn range(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl std::fmt::Display,
    ) -> Self {
        Error::Range { what: what.into(), expected: expected.into(), got: got.to_string() }
    }

    /// Nothing where at least one thing is needed.
    pub fn empty(what: impl Into<String>) -> Self {
        Error::Empty { what: what.into() }
    }

    /// A quantity that does not exist for this input.
    pub fn not_applicable(
        what: impl Into<String>,
        expected: impl Into<String>,
        got: impl std::fmt::Display,
    ) -> Self {
        Error::NotApplicable { what: what.into(), expected: expected.into(), got: got.to_string() }
    }

    /// A file that is not what its format says.
    pub fn format(
        file: impl Into<String>,
        array: Option<&str>,
        message: impl Into<String>,
    ) -> Self {
        Error::Format {
            file: file.into(),
            array: array.map(str::to_owned),
            message: message.into(),
        }
    }

    /// The operating system refused.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source }
    }
}

/// Checks that every element of `values` is finite.
///
/// # Errors
/// [`Error::NonFinite`] with the first index that is not.
pub fn check_finite<T: crate::Real>(what: &str, values: &[T]) -> Result<()> {
    if hesse_kernels::level1::all_finite(crate::Isa::current(), values) {
        return Ok(());
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => {
            Err(Error::NonFinite { what: what.to_owned(), index, value: values[index].to_f64() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_thing_what_was_expected_and_what_came() {
        let cases = [
            (Error::shape("x", (2, 3), (3, 2)), "x: expected (2, 3), got (3, 2)"),
            (Error::range("k", "1 to 5", 9), "k: expected 1 to 5, got 9"),
            (Error::empty("samples"), "samples: expected at least one, got none"),
            (
                Error::not_applicable("joint bound", "widths of at least 3", 2),
                "joint bound: not applicable: expected widths of at least 3, got 2",
            ),
            (Error::format("a.npz", Some("X"), "bad"), "a.npz: array \"X\": bad"),
            (Error::format("a.npz", None, "bad"), "a.npz: bad"),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
        let error = check_finite("theta", &[1.0, f64::NAN]).unwrap_err().to_string();
        assert_eq!(error, "theta: expected finite numbers, got NaN at index 1");
    }
}
