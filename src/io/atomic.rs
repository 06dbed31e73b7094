//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file so that its path names either what was there before or all of the new content,
/// also after a crash: a temporary file in the same folder is written, synchronised and renamed,
/// then the folder is synchronised.
///
/// A symbolic link is followed. The file's mode is what the process' mask leaves of `rw-rw-rw-`.
///
/// # Errors
/// What `write` returns, and [`Error::Io`]; the temporary file is removed.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let failed = |source: io::Error| Error::io(path, source);
    let target = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => fs::canonicalize(path).map_err(failed)?,
        _ => path.to_owned(),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".hesse-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(&folder).map_err(failed)?;
    let mut writer = BufWriter::with_capacity(1 << 18, file.as_file());
    write(&mut writer)?;
    writer.flush().map_err(failed)?;
    drop(writer);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|e| failed(e.error))?;
    synchronise(&folder).map_err(failed)
}

/// Makes the names in a folder last. Only Unix can open a folder, and not every file system there
/// can synchronise one.
fn synchronise(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        replace(&path, |w| w.write_all(b"old").map_err(|e| Error::io("a.bin", e))).unwrap();
        let failure = replace(&path, |w| {
            w.write_all(b"new").map_err(|e| Error::io("a.bin", e))?;
            Err(Error::empty("disk"))
        });
        assert!(matches!(failure, Err(Error::Empty { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let path = Path::new("no/such/folder/a.bin");
        let error = replace(path, |_| Ok(())).unwrap_err();
        assert!(matches!(&error, Error::Io { path: p, .. } if p == path), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_the_mask_decides_the_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a.bin"), folder.path().join("link"));
        File::create(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, |w| w.write_all(b"x").map_err(|e| Error::io("a.bin", e))).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode(), mode);
    }
}
