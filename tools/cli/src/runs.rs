//! The folder of many trainings, which is gone on with under the same options only.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{Folder, to_json};

/// Makes the folder of the trainings. An earlier sweep there, whose file `earlier` is one, is neither
/// overwritten nor gone on with under other options than `shared`, which are kept in options.json.
///
/// # Errors
/// An earlier training without `resume`, or one under other options; files that cannot be read or
/// written.
pub fn prepare(
    runs: &Path,
    earlier: Option<PathBuf>,
    shared: &impl Serialize,
    resume: bool,
) -> Result<Folder, Failure> {
    let folder = Folder::create(runs)?;
    let json = |error| Failure::input(format!("JSON: {error}"));
    let wanted = serde_json::to_value(shared).map_err(json)?;
    let path = runs.join("options.json");
    match (earlier, resume) {
        (Some(earlier), false) => {
            let message = "expected no earlier training without --resume, got one";
            return Err(Failure::input(format!("{}: {message}", earlier.display())));
        }
        (Some(_), true) => {
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| hesse::Error::io(&path, error))?;
            let found: Value = serde_json::from_str(&text)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?;
            let fields = wanted.as_object().into_iter().flatten();
            if let Some((name, value)) =
                fields.into_iter().find(|(name, value)| found.get(name) != Some(value))
            {
                let got = found.get(name).unwrap_or(&Value::Null);
                let message = format!("{name}: expected {value} to go on, got {got}");
                return Err(Failure::input(format!("{}: {message}", path.display())));
            }
        }
        (None, _) => {
            folder.write("options.json", (to_json(shared)? + "\n").as_bytes())?;
        }
    }
    Ok(folder)
}
