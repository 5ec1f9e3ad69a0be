//! `excluded.toml`: every test of tokio's that is not run, or is not expected to pass, with its
//! reason; and where the files are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde::Deserialize;

use crate::Result;

/// The whole list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Files that test what needs no runtime of tokio's; they are counted by themselves.
    pub runtime_independent: Vec<String>,
    /// The reasons, by the names that the rest of the list uses.
    pub reasons: BTreeMap<String, Reason>,
    /// Files that are not taken at all.
    #[serde(default)]
    pub not_taken: Vec<NotTaken>,
    /// Exclusions within files that are taken.
    #[serde(default)]
    pub file: Vec<File>,
}

/// Why something is excluded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For the page.
    pub text: String,
    /// Whether its tests are about something that Wakeful has by its purpose. If so they count
    /// against it, although it is known that they do not pass.
    pub counts: bool,
}

/// Files that are not taken, for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotTaken {
    /// One line for the page.
    pub reason: String,
    /// Names of files, without `.rs`.
    pub files: Vec<String>,
}

/// What is special about a file that is taken.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The file's name, without `.rs`.
    pub name: String,
    /// Items other than tests that do not compile: imports (`use a::b`), functions, implementations.
    #[serde(default)]
    pub blank: Vec<String>,
    /// Tests that are excluded.
    #[serde(default)]
    pub exclude: Vec<Exclude>,
}

/// Tests that are excluded for one reason, in one manner.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// A name among [`List::reasons`].
    pub reason: String,
    /// What happens.
    pub how: How,
    /// Names as libtest prints them. `module::*` stands for what is left in a module.
    pub tests: Vec<String>,
}

/// What would happen without the exclusion.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It does not compile: the function is taken out of the file.
    Uncompiled,
    /// It is run, alone, and has to fail.
    Fails,
    /// It is run, alone, and must not end by itself within a second, or must fail.
    Hangs,
    /// It is not run: it would pass by the panic of what is missing, or passes by chance, when a signal
    /// arrives late enough.
    Unrun,
}

impl List {
    /// Reads the list.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or names a reason that it does not explain.
    pub fn read() -> Result<Self> {
        let path = root().join("excluded.toml");
        let list: List = toml::from_str(&fs::read_to_string(path)?)?;
        let mut names = BTreeSet::new();
        for file in &list.file {
            if !names.insert(&file.name) {
                return Err(format!("excluded.toml has {} twice", file.name).into());
            }
            for exclude in &file.exclude {
                if !list.reasons.contains_key(&exclude.reason) {
                    return Err(format!("excluded.toml: no reason {:?}", exclude.reason).into());
                }
            }
        }
        Ok(list)
    }

    /// What is special about a file; `None` when nothing is.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&File> {
        self.file.iter().find(|file| file.name == name)
    }
}

/// The folder `tests/tokio`.
///
/// # Panics
///
/// Never: this package has a parent.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is in a folder")
}

/// The names of the files that are taken: there is one in our `tests/` for each.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn taken() -> Result<BTreeSet<String>> {
    rust_files(&root().join("tests"))
}

/// The names of the Rust files in a folder, without `.rs`.
///
/// # Errors
///
/// When it cannot be read.
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

/// tokio as cargo has unpacked it.
#[derive(Debug)]
pub struct Tokio {
    /// Its version.
    pub version: String,
    /// Its folder.
    pub folder: PathBuf,
}

impl Tokio {
    /// Asks cargo where it is.
    ///
    /// # Errors
    ///
    /// When cargo does not know, or the package comes without tests.
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
            .ok_or("cargo metadata knows no tokio")?;
        let folder = package
            .manifest_path
            .parent()
            .ok_or("no folder")?
            .to_owned();
        if !folder.join("tests").is_dir() {
            return Err(format!("tokio {} comes without its tests", package.version).into());
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
