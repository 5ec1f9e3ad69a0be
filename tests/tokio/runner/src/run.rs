//! Runs each test binary in its own process with a time limit, and parses the output of libtest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::Result;
use crate::list::{How, List, root};

/// Time limit of a file; the longest takes a few seconds.
const FILE_LIMIT: Duration = Duration::from_secs(40);
/// Time limit of one test that is run alone.
const TEST_LIMIT: Duration = Duration::from_secs(20);
/// Time after which a test that is listed as hanging counts as hung.
const HANG_LIMIT: Duration = Duration::from_secs(1);

/// Result of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A pass.
    Passed,
    /// A failure among the other tests, and a pass when run again alone.
    PassedAlone,
    /// Two failures, or no end within the time limit.
    Failed,
    /// A test that tokio marks with `#[ignore]`.
    Ignored,
    /// An excluded test, with the index among the exclusions of its file.
    Excluded(usize),
}

/// Results of one file.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Verdict of each test, by libtest's name.
    pub tests: BTreeMap<String, Verdict>,
    /// Errors in the list, one line of text each.
    pub errors: Vec<String>,
    /// Output of the failing tests.
    pub output: String,
}

/// Builds all test binaries.
///
/// # Errors
///
/// When one does not compile.
pub fn build() -> Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "test",
            "--tests",
            "--no-run",
            "--locked",
            "--message-format=json-render-diagnostics",
        ])
        .args(["--package", "tokio-tests", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("tokio's tests do not compile".into());
    }
    let mut binaries = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        if let Ok(Message {
            executable: Some(path),
            target,
        }) = serde_json::from_slice(line)
        {
            binaries.insert(target.name, path);
        }
    }
    Ok(binaries)
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Runs one file's tests.
///
/// # Errors
///
/// When its binary cannot be started.
pub fn file(name: &str, binary: &Path, list: &List) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut present = names(binary)?;
    let excludes = list.file(name).map_or(&[][..], |file| &file.exclude);
    for (index, exclude) in excludes.iter().enumerate() {
        for test in &expand(&exclude.tests, &present) {
            let compiled = present.remove(test);
            if compiled == (exclude.how == How::Uncompiled) {
                let state = if compiled { "has" } else { "has no" };
                outcome
                    .errors
                    .push(format!("{name}: the binary {state} test {test}"));
                continue;
            }
            outcome.tests.insert(test.clone(), Verdict::Excluded(index));
            let limit = match exclude.how {
                How::Fails => TEST_LIMIT,
                How::Hangs => HANG_LIMIT,
                How::Uncompiled | How::Unrun => continue,
            };
            let ran = alone(binary, test, limit)?;
            match ran.verdicts.get(test) {
                Some(Verdict::Passed) => outcome.errors.push(format!(
                    "{name}: {test} is excluded ({}) but passes",
                    exclude.reason
                )),
                None if exclude.how == How::Fails && ran.timed_out => outcome
                    .errors
                    .push(format!("{name}: {test} is listed as failing but hangs")),
                _ => {}
            }
        }
    }
    let skipped = outcome.tests.keys().flat_map(|test| ["--skip", test]);
    let ran = run(binary, skipped.chain(["--test-threads=4"]), FILE_LIMIT)?;
    for test in present {
        let verdict = match ran.verdicts.get(&test) {
            Some(Verdict::Failed) | None => {
                let again = alone(binary, &test, TEST_LIMIT)?;
                if again.verdicts.get(&test) == Some(&Verdict::Passed) {
                    Verdict::PassedAlone
                } else {
                    let why = if again.timed_out {
                        "did not end"
                    } else {
                        "failed"
                    };
                    outcome.output += &format!("--- {name}: {test} {why}\n{}\n", again.output);
                    Verdict::Failed
                }
            }
            Some(verdict) => *verdict,
        };
        outcome.tests.insert(test, verdict);
    }
    Ok(outcome)
}

/// Replaces `module::*` with the remaining tests of the module.
fn expand(tests: &[String], present: &BTreeSet<String>) -> Vec<String> {
    let mut all = Vec::new();
    for test in tests {
        match test.strip_suffix('*') {
            Some(module) => all.extend(present.iter().filter(|it| it.starts_with(module)).cloned()),
            None => all.push(test.clone()),
        }
    }
    all
}

fn names(binary: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new(binary)
        .args(["--list", "--format=terse"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(tests.map(str::to_owned).collect())
}

struct Ran {
    verdicts: BTreeMap<String, Verdict>,
    output: String,
    timed_out: bool,
}

fn alone(binary: &Path, test: &str, limit: Duration) -> Result<Ran> {
    run(binary, [test], limit)
}

fn run<'a>(
    binary: &Path,
    arguments: impl IntoIterator<Item = &'a str>,
    limit: Duration,
) -> Result<Ran> {
    let mut child = Command::new(binary)
        .arg("--exact")
        .args(arguments)
        // The folder in which cargo would run the tests.
        .current_dir(root())
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, chunks) = mpsc::channel();
    let mut readers = Vec::new();
    for pipe in [
        child
            .stdout
            .take()
            .map(|it| Box::new(it) as Box<dyn Read + Send>),
        child
            .stderr
            .take()
            .map(|it| Box::new(it) as Box<dyn Read + Send>),
    ] {
        let (Some(mut pipe), sender) = (pipe, sender.clone()) else {
            continue;
        };
        readers.push(thread::spawn(move || {
            let mut text = Vec::new();
            // An error ends the output like EOF; the verdicts show what is missing.
            pipe.read_to_end(&mut text).ok();
            drop(sender);
            text
        }));
    }
    drop(sender);
    // No message is ever sent. The channel is closed when both pipes are, at the end of the process.
    let ended: Result<(), _> = chunks.recv_timeout(limit);
    let timed_out = ended == Err(RecvTimeoutError::Timeout);
    if timed_out {
        child.kill()?;
    }
    child.wait()?;
    let mut output = String::new();
    for reader in readers {
        let text = reader.join().map_err(|_| "a reader panicked")?;
        output += &String::from_utf8_lossy(&text);
    }
    Ok(Ran {
        verdicts: verdicts(&output),
        output,
        timed_out,
    })
}

/// Parses the output of libtest: `test NAME ... ok`, with ` - should panic` after the name of a test
/// that must panic.
fn verdicts(output: &str) -> BTreeMap<String, Verdict> {
    let mut verdicts = BTreeMap::new();
    for line in output.lines() {
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|it| it.split_once(" ... "))
        else {
            continue;
        };
        let verdict = match result {
            "ok" => Verdict::Passed,
            _ if result.starts_with("ignored") => Verdict::Ignored,
            _ => Verdict::Failed,
        };
        let name = name.strip_suffix(" - should panic").unwrap_or(name);
        verdicts.insert(name.to_owned(), verdict);
    }
    verdicts
}
