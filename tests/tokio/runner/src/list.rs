//! `excluded.toml`: every test of tokio that is not run or not expected to pass, with its reason.
//! Also locates the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::Deserialize;

use crate::Result;

/// Contents of `excluded.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Files that test parts of tokio that need no runtime; they are counted separately.
    pub runtime_independent: Vec<String>,
    /// Reasons, by the names that the exclusions use.
    pub reasons: BTreeMap<String, Reason>,
    /// Files that are not included.
    #[serde(default)]
    pub not_included: Vec<NotIncluded>,
    /// Exclusions within included files.
    #[serde(default)]
    pub file: Vec<File>,
}

/// Reason of an exclusion.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// Text for the page.
    pub text: String,
    /// Whether its tests are about something that Wakeful is meant to have. If so, they count
    /// against it, although it is known that they do not pass.
    pub counts: bool,
    /// Whether its tests are about more than one thread.
    #[serde(default)]
    pub threads: bool,
}

/// Files that are not included, for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotIncluded {
    /// One line for the page.
    pub reason: String,
    /// Names of files, without `.rs`.
    pub files: Vec<String>,
}

/// Exclusions of an included file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Name of the file, without `.rs`.
    pub name: String,
    /// Items other than tests that do not compile: imports (`use a::b`), functions, implementations.
    #[serde(default)]
    pub blank: Vec<String>,
    /// Excluded tests.
    #[serde(default)]
    pub exclude: Vec<Exclude>,
}

/// Tests that are excluded for one reason and have one result.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// Name in [`List::reasons`].
    pub reason: String,
    /// Result without the exclusion.
    pub how: How,
    /// Names as libtest prints them. `module::*` matches all remaining tests of a module.
    pub tests: Vec<String>,
}

/// Result of a test without the exclusion.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A compile error: the function is removed from the file.
    Uncompiled,
    /// A failure: the test is run alone and must fail.
    Fails,
    /// A hang: the test is run alone and must not pass within a second.
    Hangs,
    /// A pass without meaning: the test is not run, because it repeats another one on the same
    /// scheduler, or passes by chance when a signal arrives late enough.
    Unrun,
}

impl List {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or an exclusion names an unknown reason.
    pub fn read() -> Result<Self> {
        let path = root().join("excluded.toml");
        let list: List = toml::from_str(&fs::read_to_string(path)?)?;
        let mut names = BTreeSet::new();
        for file in &list.file {
            if !names.insert(&file.name) {
                return Err(format!("excluded.toml lists {} twice", file.name).into());
            }
            for exclude in &file.exclude {
                if !list.reasons.contains_key(&exclude.reason) {
                    return Err(
                        format!("excluded.toml: unknown reason {:?}", exclude.reason).into(),
                    );
                }
            }
        }
        Ok(list)
    }

    /// Returns the exclusions of a file, or `None` if it has none.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&File> {
        self.file.iter().find(|file| file.name == name)
    }
}

/// Returns the folder `tests/tokio`.
///
/// # Panics
///
/// Never, because this package has a parent folder.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in a folder")
}

/// Returns the names of the included files: each has a file of the same name in `tests/`.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn included() -> Result<BTreeSet<String>> {
    rust_files(&root().join("tests"))
}

/// Returns the names of the Rust files in a folder, without `.rs`.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn rust_files(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "rs")
            && let Some(name) = path.file_stem()
        {
            names.insert(name.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// tokio's package as unpacked by cargo.
#[derive(Debug)]
pub struct Tokio {
    /// Version of the package.
    pub version: String,
    /// Folder of the package.
    pub folder: PathBuf,
}

impl Tokio {
    /// Finds the package with `cargo metadata`.
    ///
    /// # Errors
    ///
    /// When cargo does not list it, or the package has no tests.
    pub fn find() -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--manifest-path"])
            .arg(root().join("Cargo.toml"))
            .output()?;
        if !output.status.success() {
            return Err(format!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr)
            )
            .into());
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)?;
        // The shim has the same name, but does not come from a registry.
        let package = metadata
            .packages
            .into_iter()
            .find(|it| it.name == "tokio" && it.source.is_some())
            .ok_or("cargo metadata lists no tokio")?;
        let folder = package
            .manifest_path
            .parent()
            .ok_or("tokio's manifest has no parent folder")?
            .to_owned();
        if !folder.join("tests").is_dir() {
            return Err(format!("package tokio {} has no tests", package.version).into());
        }
        Ok(Tokio {
            version: package.version,
            folder,
        })
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    manifest_path: PathBuf,
}
