//! Builds the measured programs and returns their paths.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::part::Part;

/// Paths of the built programs.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Folder of this workspace's programs: servers, load, micro-benchmarks.
    own: PathBuf,
    /// Wakeful's own program, built from the main workspace.
    pub(crate) echo_server: PathBuf,
}

impl Programs {
    /// Builds the programs that these parts need, in the release profile.
    ///
    /// # Errors
    ///
    /// Returns an error if a build fails; cargo has printed the reason.
    pub(crate) fn build(benches: &Path, parts: &[Part]) -> io::Result<Programs> {
        let own = env::current_exe()?;
        let own = own
            .parent()
            .ok_or_else(|| io::Error::other("the program has no parent folder"))?;
        let manifest = benches.join("Cargo.toml");
        if parts.iter().any(|part| part.is_executor()) {
            cargo(&manifest, &["-p", "bench-micro"])?;
        }
        // A separate folder makes the path known, and keeps these flags out of other builds.
        let target = benches.join("target").join("main-workspace");
        if parts.iter().any(|part| !part.is_executor()) {
            cargo(&manifest, &["-p", "bench-servers", "-p", "bench-load"])?;
            let target_argument = format!("--target-dir={}", target.display());
            let manifest = benches.join("../Cargo.toml");
            cargo(&manifest, &["-p", "echo-server", &target_argument])?;
        }
        Ok(Programs {
            own: own.to_owned(),
            echo_server: target.join("release/echo-server"),
        })
    }

    /// Returns the path of a program of this workspace.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }
}

/// The release profile of benches/Cargo.toml, for the main workspace too. Setting one of these
/// variables changes the profile of all contestants.
const PROFILE: [(&str, &str); 2] = [
    ("CARGO_PROFILE_RELEASE_LTO", "fat"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
];

fn cargo(manifest: &Path, arguments: &[&str]) -> io::Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    for (name, value) in PROFILE {
        if env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let status = command
        .args(["build", "--release", "--manifest-path"])
        .arg(manifest)
        .args(arguments)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("a program failed to build"))
    }
}
