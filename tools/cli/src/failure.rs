//! What ends a command early, and the exit codes of the program.

use std::process::ExitCode;

/// How a command that ran to its end came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Everything holds: exit code 0.
    Holds,
    /// A bar, a tolerance or a check does not hold: exit code 1.
    Fails,
}

impl Verdict {
    /// [`Verdict::Holds`] if `holds`.
    pub fn from_bool(holds: bool) -> Self {
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        ExitCode::from(match verdict {
            Verdict::Holds => 0,
            Verdict::Fails => 1,
        })
    }
}

/// Exit code for bad input.
pub const BAD_INPUT: u8 = 2;

/// Bad input, or an operating system that refuses: exit code 2 and one line on standard error.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Named by the library.
    #[error(transparent)]
    Library(#[from] hesse::Error),
    /// `HESSE_ISA` asks for an instruction set that is not there.
    #[error(transparent)]
    Isa(#[from] hesse_kernels::IsaError),
    /// Named here.
    #[error("{0}")]
    Input(String),
    /// Results cannot be printed. A closed pipe is not a failure.
    #[error("standard output: {0}")]
    Stdout(std::io::Error),
}

impl Failure {
    /// Bad input, described by `message`: what, expected, got.
    pub fn input(message: impl Into<String>) -> Self {
        Failure::Input(message.into())
    }

    /// The message as one line without control characters, whatever names it quotes.
    #[must_use]
    pub fn line(&self) -> String {
        one_line(&self.to_string())
    }
}

/// `text` as one line: line breaks and tabs become spaces, other control characters are escaped,
/// so that a hostile array name cannot drive the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => line.push(' '),
            c if c.is_control() => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let failure = Failure::input("a.npz:\n\tarray \"\u{1b}[31m\" unknown");
        assert_eq!(failure.line(), "a.npz:  array \"\\u{1b}[31m\" unknown");
    }
}
