//! Builds the measured programs and returns their paths.

use std::collections::BTreeSet;
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
    /// Builds the programs that these parts need, in the release profile. A suite without optimizations
    /// builds them without as well, which is enough to check that everything works.
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
        if parts.iter().any(|part| part.needs_micro()) {
            cargo(&manifest, &["-p", "bench-micro"])?;
        }
        // A separate folder makes the path known, and keeps these flags out of other builds.
        let (target, profile) = match IS_RELEASE {
            true => (benches.join("target/main-workspace"), "release"),
            false => (benches.join("../target"), "debug"),
        };
        let servers: BTreeSet<Option<&str>> = parts
            .iter()
            .flat_map(|part| part.servers())
            .map(|server| server.program)
            .collect();
        if !servers.is_empty() {
            let mut arguments = vec!["-p", "bench-servers", "-p", "bench-load"];
            // Only the programs of these parts, because linking one takes half a minute.
            let own = servers.iter().copied().flatten();
            arguments.extend(own.chain(["bench-load"]).flat_map(|name| ["--bin", name]));
            cargo(&manifest, &arguments)?;
        }
        if servers.contains(&None) {
            let target_argument = format!("--target-dir={}", target.display());
            let manifest = benches.join("../Cargo.toml");
            cargo(&manifest, &["-p", "echo-server", &target_argument])?;
        }
        Ok(Programs {
            own: own.to_owned(),
            echo_server: target.join(profile).join("echo-server"),
        })
    }

    /// Returns the path of a program of this workspace.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }
}

/// Whether this program is built in the release profile.
pub(crate) const IS_RELEASE: bool = !cfg!(debug_assertions);

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
    command.arg("build");
    if IS_RELEASE {
        command.arg("--release");
    }
    let status = command
        .arg("--manifest-path")
        .arg(manifest)
        .args(arguments)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other("a program failed to build"))
    }
}
