//! The programs that take part: builds them, and knows where they are.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parts::Part;

/// Where the built programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    /// Ours: the servers, the load, the micro-benchmarks.
    own: PathBuf,
    /// Wakeful's own program, built from the main workspace.
    pub(crate) echo_server: PathBuf,
}

impl Programs {
    /// Builds what these parts need, in the release profile.
    ///
    /// # Errors
    ///
    /// When something does not build; cargo has then said why.
    pub(crate) fn build(benches: &Path, parts: &[Part]) -> io::Result<Programs> {
        let own = env::current_exe()?;
        let own = own
            .parent()
            .ok_or_else(|| io::Error::other("the program is in no folder"))?;
        let manifest = benches.join("Cargo.toml");
        if parts.iter().any(|part| part.is_executor()) {
            cargo(&manifest, &["-p", "bench-micro"])?;
        }
        // A folder of its own, so that it is known, and so that nobody's flags are shared.
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

    /// The program of this name.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.own.join(name)
    }
}

/// The release profile of benches/Cargo.toml, for the other workspace too. Who sets one of these
/// variables chooses another profile, for everybody.
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
        Err(io::Error::other("a program could not be built"))
    }
}
