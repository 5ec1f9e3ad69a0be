//! Where files are.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Problem;

/// Returns the folder `docs/workshop`. Cargo names it when it runs the program.
pub(crate) fn root() -> PathBuf {
    let cli = std::env::var("CARGO_MANIFEST_DIR");
    let cli = cli.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Path::new(&cli).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Returns a path below the folder.
pub(crate) fn path(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Returns the folder for compiled stages, relative to the root.
pub(crate) const LAB: &str = "target/lab";

/// Reads a file below the folder.
pub(crate) fn read(relative: &str) -> Result<String, Problem> {
    fs::read_to_string(path(relative)).map_err(|error| format!("reading {relative}: {error}"))
}

/// Writes a file below the folder, and creates its folders.
pub(crate) fn write(relative: &str, text: &str) -> Result<(), Problem> {
    let path = path(relative);
    let result = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)),
        None => fs::write(&path, text),
    };
    result.map_err(|error| format!("writing {relative}: {error}"))
}

/// Returns the names in a folder, sorted; none if the folder does not exist.
pub(crate) fn names(relative: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path(relative)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}
