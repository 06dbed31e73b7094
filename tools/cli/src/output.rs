//! Where results go: standard output, and files written whole or not at all.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hesse::Error;
use hesse::io::replace;
use serde::Serialize;

use crate::failure::Failure;

/// The program's channels: results on standard output, progress on standard error, files in the
/// folder of `--out`.
#[derive(Debug)]
pub struct Output {
    /// One JSON object instead of tables.
    pub json: bool,
    /// No progress.
    pub quiet: bool,
    folder: Option<Folder>,
    /// Whether the folder was made here.
    made: bool,
    closed: AtomicBool,
}

impl Output {
    /// Channels with the folder `out`, which is made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(json: bool, quiet: bool, out: Option<PathBuf>) -> Result<Self, Failure> {
        let made = out.as_ref().is_some_and(|path| !path.exists());
        let folder = out.map(Folder::create).transpose()?;
        Ok(Self { json, quiet, folder, made, closed: AtomicBool::new(false) })
    }

    /// Takes the folder back if it was made here and nothing was written to it: after bad input
    /// nothing is left behind.
    pub fn withdraw(&self) {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.made) {
            // Refused where the folder is not empty.
            let _ = std::fs::remove_dir(folder.path());
        }
    }

    /// The folder of `--out`, if there is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Folder> {
        self.folder.as_ref()
    }

    /// Whether progress is to be shown: standard error is a terminal and nobody asked for quiet.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether the reader of standard output has gone away, so that further results are wasted.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Prints `text` on standard output. A reader that has gone away (`hesse ... | head`) is no
    /// failure: what follows is dropped, and the command still ends with its own exit code.
    ///
    /// # Errors
    /// Standard output cannot be written for another reason.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        if self.is_closed() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(Failure::Stdout(error)),
        }
    }

    /// Prints `value` as one line of JSON. Numbers that JSON does not know (NaN, infinities) are
    /// `null`.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub fn print_json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = to_json(value)?;
        line.push('\n');
        self.print(&line)
    }
}

/// `value` as JSON on one line.
///
/// # Errors
/// A value that JSON cannot hold, such as a map whose keys are not strings.
pub fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::input(format!("JSON: {error}")))
}

/// A folder whose files are replaced atomically: written beside their name, synced, renamed.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`, made with its parents if it is missing.
    ///
    /// # Errors
    /// The operating system refuses, for example because `path` is a file, or because files in it
    /// may not be made: better known before hours of work than behind them.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        let path = path.into();
        std::fs::create_dir_all(&path).map_err(|error| Error::io(&path, error))?;
        writable(&path)?;
        Ok(Self(path))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder `name` in this one, made if it is missing.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn subfolder(&self, name: impl AsRef<OsStr>) -> Result<Self, Failure> {
        Self::create(self.0.join(name.as_ref()))
    }

    /// Writes `bytes` to the file `name` and returns its path. A reader sees the old file or the
    /// new one, never a part, even if the machine stops in between.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn write(&self, name: impl AsRef<OsStr>, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.0.join(name.as_ref());
        replace(&path, |file| file.write_all(bytes).map_err(|error| Error::io(&path, error)))?;
        Ok(path)
    }
}

/// Checks that files can be made in the folder at `path`, by making one without a name.
///
/// # Errors
/// The operating system refuses.
pub fn writable(path: &Path) -> Result<(), Failure> {
    tempfile::tempfile_in(path).map_err(|error| Error::io(path, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_whole_and_leave_nothing_behind() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::create(temporary.path().join("a/b")).unwrap();
        let path = folder.write("x.txt", b"first, longer").unwrap();
        folder.write("x.txt", b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_withdrawn_only_if_it_was_made_and_is_empty() {
        let temporary = tempfile::tempdir().unwrap();
        let output = |path: &Path| Output::new(false, true, Some(path.to_owned())).unwrap();
        let path = temporary.path().join("new");
        output(&path).withdraw();
        assert!(!path.exists());
        std::fs::create_dir(&path).unwrap();
        output(&path).withdraw();
        assert!(path.exists(), "it was there before");
        let full = temporary.path().join("full");
        let made = output(&full);
        made.folder().unwrap().write("x.txt", b"x").unwrap();
        made.withdraw();
        assert!(full.join("x.txt").exists());
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = Folder::create(file.path()).unwrap_err().line();
        assert!(message.starts_with(&file.path().display().to_string()), "{message}");
    }
}
