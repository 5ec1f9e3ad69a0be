//! The copy of the libraries that has the bugs, each behind a switch: one build for all of them.
//!
//! Only files that differ are written, so that a later build compiles what has changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bug::Bug;
use crate::{Problem, root};

/// What the scenarios need.
const FOLDERS: [&str; 4] = ["runtime", "net", "extras/sim", "extras/trace"];
const FILES: [&str; 4] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "extras/Cargo.toml",
];

/// The function that the bugs ask, at the end of `runtime/src/lib.rs`. The environment chooses one of them.
const SWITCH: &str = r#"
/// Asks which planted bug is chosen.
pub mod planted {
    /// Returns whether it is the bug with this name.
    pub fn is(name: &str) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let chosen = CHOSEN.get_or_init(|| std::env::var("WAKEFUL_PLANTED").ok());
        chosen.as_deref() == Some(name)
    }
}
"#;

/// Returns the folder of the copy.
pub(crate) fn folder() -> PathBuf {
    root().join("target/sim-planted")
}

/// Writes the copy, builds the program that runs scenarios, and returns its path.
pub(crate) fn build(bugs: &[Bug]) -> Result<PathBuf, Problem> {
    write(bugs)?;
    let target = folder().join("target");
    let status = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "-p",
            "wakeful-sim",
            "--example",
            "scenario",
        ])
        .current_dir(folder())
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .status();
    match status {
        Ok(status) if status.success() => Ok(target.join("debug/examples/scenario")),
        Ok(status) => Err(format!("the copy in {}: {status}", folder().display())),
        Err(error) => Err(format!("cargo: {error}")),
    }
}

fn write(bugs: &[Bug]) -> Result<(), Problem> {
    let files = contents(bugs)?;
    write_changes(&files).map_err(|error| format!("{}: {error}", folder().display()))
}

/// Returns the contents of each file of the copy.
fn contents(bugs: &[Bug]) -> Result<BTreeMap<PathBuf, Vec<u8>>, Problem> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        read(Path::new(folder), &mut files).map_err(|error| format!("{folder}: {error}"))?;
    }
    for file in FILES {
        let text = fs::read(root().join(file)).map_err(|error| format!("{file}: {error}"))?;
        files.insert(file.into(), text);
    }
    for bug in bugs {
        change(&mut files, &bug.file, |text| bug.apply(text))?;
    }
    change(&mut files, "runtime/src/lib.rs", |text| {
        Ok(format!("{text}{SWITCH}"))
    })?;
    change(&mut files, "Cargo.toml", fewer_members)?;
    Ok(files)
}

fn change(
    files: &mut BTreeMap<PathBuf, Vec<u8>>,
    file: &str,
    change: impl FnOnce(&str) -> Result<String, Problem>,
) -> Result<(), Problem> {
    let text = files
        .get_mut(Path::new(file))
        .ok_or(format!("there is no file {file}"))?;
    *text = change(&String::from_utf8_lossy(text))?.into_bytes();
    Ok(())
}

/// Replaces the members of the workspace by those that are copied.
fn fewer_members(manifest: &str) -> Result<String, Problem> {
    let mut lines = manifest.lines();
    let members = lines.find(|line| line.starts_with("members = ["));
    let members = members.ok_or("Cargo.toml: no line begins with `members = [`")?;
    let fewer = r#"members = ["runtime", "runtime/macros", "net", "extras/sim"]"#;
    Ok(manifest.replace(members, fewer))
}

/// Reads a folder of the repository, without what is built or only needed to plant bugs.
fn read(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(root().join(folder))? {
        let name = entry?.file_name();
        let path = folder.join(&name);
        if name == "target" || name == "planted" {
            continue;
        }
        if root().join(&path).is_dir() {
            read(&path, files)?;
        } else {
            files.insert(path.clone(), fs::read(root().join(&path))?);
        }
    }
    Ok(())
}

fn write_changes(files: &BTreeMap<PathBuf, Vec<u8>>) -> io::Result<()> {
    for (path, text) in files {
        let path = folder().join(path);
        if fs::read(&path).ok().as_ref() != Some(text) {
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, text)?;
        }
    }
    let is_wanted = |path: &Path| files.contains_key(path);
    FOLDERS
        .iter()
        .try_for_each(|top| remove_others(Path::new(top), &is_wanted))
}

/// Removes what an earlier copy had.
fn remove_others(top: &Path, is_wanted: &impl Fn(&Path) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(folder().join(top))? {
        let path = top.join(entry?.file_name());
        if folder().join(&path).is_dir() {
            remove_others(&path, is_wanted)?;
        } else if !is_wanted(&path) {
            fs::remove_file(folder().join(&path))?;
        }
    }
    Ok(())
}
