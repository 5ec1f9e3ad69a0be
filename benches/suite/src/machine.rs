//! Describes the machine and the versions of a measurement.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// The machine, at the time of the measurement.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// Commit, with a suffix if the work tree had changes.
    #[serde(default)]
    pub(crate) revision: String,
    /// Settings of the release profile that environment variables changed.
    pub(crate) profile: Vec<String>,
    /// Load average of the last minute, taken before the measurement.
    pub(crate) load_average: f64,
    /// `name version` of every runtime.
    pub(crate) versions: Vec<String>,
}

/// Packages whose versions the results name.
const NAMED: [&str; 9] = [
    "wakeful",
    "tokio",
    "smol",
    "async-executor",
    "async-io",
    "monoio",
    "compio",
    "glommio",
    "mio",
];

impl Machine {
    /// Collects the description of this machine.
    ///
    /// # Errors
    ///
    /// Returns an error if /proc or the lock file cannot be read.
    pub(crate) fn detect(benches: &Path) -> io::Result<Machine> {
        let cpu = fs::read_to_string("/proc/cpuinfo")?;
        let memory = fs::read_to_string("/proc/meminfo")?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let lock = fs::read_to_string(benches.join("Cargo.lock"))?;
        let rustc = Command::new("rustc").arg("--version").output()?;
        // Without git, or outside of a repository, the revision stays empty.
        let revision = Command::new("git")
            .args(["describe", "--always", "--dirty", "--exclude=*"])
            .current_dir(benches)
            .output();
        let revision = revision.map_or_else(|_| Vec::new(), |output| output.stdout);
        let kilobytes: u64 = value(&memory, "MemTotal:")
            .split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0);
        Ok(Machine {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            cpu: value(&cpu, "model name\t:"),
            cores: bench_common::cores()?.len(),
            memory_gib: (kilobytes + (1 << 19)) >> 20,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .to_owned(),
            rustc: String::from_utf8_lossy(&rustc.stdout).trim().to_owned(),
            revision: String::from_utf8_lossy(&revision).trim().to_owned(),
            profile: env::vars()
                .filter(|(name, _)| {
                    name.starts_with("CARGO_PROFILE_RELEASE") || name == "RUSTFLAGS"
                })
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            load_average: load
                .split_whitespace()
                .next()
                .and_then(|number| number.parse().ok())
                .unwrap_or(0.0),
            versions: versions(&lock),
        })
    }
}

/// Returns the rest of the first line that begins with `name`.
fn value(text: &str, name: &str) -> String {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or("unknown")
        .trim()
        .to_owned()
}

/// Returns the versions of the named packages; a package can have several.
fn versions(lock: &str) -> Vec<String> {
    let mut lines = lock.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let name = line
            .strip_prefix("name = \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let Some(name) = name.filter(|name| NAMED.contains(name)) {
            let version = lines.next().unwrap_or_default();
            let version = version.trim_start_matches("version = ").trim_matches('"');
            found.push(format!("{name} {version}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_a_lock_file() {
        let lock = "[[package]]\nname = \"tokio\"\nversion = \"1.2.3\"\n\n\
                    [[package]]\nname = \"other\"\nversion = \"9.9.9\"\n";
        assert_eq!(versions(lock), ["tokio 1.2.3"]);
    }
}
