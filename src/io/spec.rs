//! Which array of which file: `X.npy`, `data.npz:X`, `model.safetensors:layer1.weight`.

use std::path::Path;

use super::archive::{Archive, Format};
use super::array::Array;
use super::source::Limits;
use crate::{Error, Result};

/// Reads the array that `spec` names, with the default [`Limits`]: `file.npy`, `file.npz:name` or
/// `file.safetensors:name`. A file with a single array needs no name.
///
/// Only the named array is read. Where several colons could be meant, the first that follows an
/// existing file is.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Format`] if it is not what its format says, if
/// the name is not there (with those that are), or is missing.
pub fn read(spec: &str) -> Result<Array> {
    read_with(spec, &Limits::default())
}

/// Reads the array that `spec` names (see [`read`]) within `limits`.
///
/// # Errors
/// As [`read`], and [`Error::Format`] beyond the limits.
pub fn read_with(spec: &str, limits: &Limits) -> Result<Array> {
    let (file, name) = split(spec);
    let extension = Path::new(file).extension().and_then(|e| e.to_str()).unwrap_or_default();
    if extension.eq_ignore_ascii_case("npy") {
        return match name {
            None => Array::read_npy_with(file, limits),
            Some(name) => Err(Error::format(
                file,
                Some(name),
                "expected no name, an .npy file holds one array without one",
            )),
        };
    }
    if Format::of(file).is_err() {
        let message = "expected FILE.npy, FILE.npz:NAME or FILE.safetensors:NAME";
        return Err(Error::format(spec, None, message));
    }
    if let Some(name) = name {
        let mut archive = Archive::read_wanted(file.as_ref(), limits, Some(name))?;
        return archive.take(name);
    }
    let mut archive = Archive::read_with(file, limits)?;
    let names: Vec<String> = archive.names().map(str::to_owned).collect();
    match names.as_slice() {
        [only] => archive.take(only),
        _ => {
            let shown = names.join(", ");
            let message = format!("expected {file}:NAME, one of: {shown}");
            Err(Error::format(file, None, message))
        }
    }
}

/// The file and the name in `spec`.
fn split(spec: &str) -> (&str, Option<&str>) {
    if Path::new(spec).is_file() {
        return (spec, None);
    }
    let lower = spec.to_ascii_lowercase();
    let ends = [".npy", ".npz", ".safetensors"];
    let mut colons = lower
        .match_indices(':')
        .map(|(at, _)| at)
        .filter(|&at| ends.iter().any(|end| lower[..at].ends_with(end)));
    let first = colons.clone().next();
    let at = colons.find(|&at| Path::new(&spec[..at]).is_file()).or(first);
    match at {
        Some(at) => (&spec[..at], Some(&spec[at + 1..])),
        None => (spec, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_extension() {
        assert_eq!(split("a.npz:x"), ("a.npz", Some("x")));
        assert_eq!(split("C:\\a.NPZ:x:y"), ("C:\\a.NPZ", Some("x:y")));
        assert_eq!(split("a:b.safetensors:l.w"), ("a:b.safetensors", Some("l.w")));
        assert_eq!(split("a.npy"), ("a.npy", None));
        assert_eq!(split("a.txt:x"), ("a.txt:x", None));
    }

    #[test]
    fn the_first_colon_after_a_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = Archive::new();
        archive.insert("x.npz:y", Array::from_scalar(1.5));
        archive.insert("z", Array::from_scalar(2.5));
        let path = folder.path().join("a.npz:b.npz");
        archive.write(&path).unwrap();
        let spec = |name: &str| format!("{}:{name}", path.display());
        assert_eq!(read(&spec("x.npz:y")).unwrap().scalar().unwrap(), 1.5);
        assert_eq!(read(&spec("z")).unwrap().scalar().unwrap(), 2.5);
        assert_eq!(read(&spec("z.npy")).unwrap().scalar().unwrap(), 2.5);
        let error = read(&spec("w")).unwrap_err().to_string();
        assert!(error.ends_with("\"w\": not there, the arrays are \"x.npz:y\", \"z\""), "{error}");
        let error = read(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with(":NAME, one of: x.npz:y, z"), "{error}");
        archive.take("z").unwrap();
        archive.write(&path).unwrap();
        assert_eq!(read(path.to_str().unwrap()).unwrap().scalar().unwrap(), 1.5);
    }

    #[test]
    fn other_files_are_refused() {
        let error = read("a.csv").unwrap_err().to_string();
        assert_eq!(error, "a.csv: expected FILE.npy, FILE.npz:NAME or FILE.safetensors:NAME");
        let error = read("a.npy:x").unwrap_err().to_string();
        assert!(error.contains("an .npy file holds one array without one"), "{error}");
        assert!(matches!(read("absent.npz:x"), Err(Error::Io { .. })));
    }
}
