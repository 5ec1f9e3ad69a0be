//! Runs each test binary in a process of its own, within a limit of time, and listens to what libtest
//! prints.

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

/// For a whole file; the longest takes a few seconds.
const FILE_LIMIT: Duration = Duration::from_secs(40);
/// For one test, run alone.
const TEST_LIMIT: Duration = Duration::from_secs(20);
/// For a test that is known to hang, to show that it does.
const HANG_LIMIT: Duration = Duration::from_secs(1);

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As tokio expects.
    Passed,
    /// As tokio expects, but only when it was run again, alone.
    PassedAlone,
    /// It failed, twice, or did not end within its limit.
    Failed,
    /// tokio says not to run it here (`#[ignore]`).
    Ignored,
    /// It is in the list, under this number among its file's exclusions.
    Excluded(usize),
}

/// What was found out about one file.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each test, by libtest's name.
    pub tests: BTreeMap<String, Verdict>,
    /// What is wrong with the list; a line of text each.
    pub errors: Vec<String>,
    /// What failing tests printed.
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
    let mut there = names(binary)?;
    let excludes = list.file(name).map_or(&[][..], |file| &file.exclude);
    for (index, exclude) in excludes.iter().enumerate() {
        for test in &expand(&exclude.tests, &there) {
            let compiled = there.remove(test);
            if compiled == (exclude.how == How::Uncompiled) {
                let state = if compiled { "has" } else { "has no" };
                outcome
                    .errors
                    .push(format!("{name}: the file {state} test {test}"));
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
                    "{name}: {test} is excluded ({}), but passes now",
                    exclude.reason
                )),
                None if exclude.how == How::Fails && ran.timed_out => outcome
                    .errors
                    .push(format!("{name}: {test} is said to fail, but it hangs")),
                _ => {}
            }
        }
    }
    let skipped = outcome.tests.keys().flat_map(|test| ["--skip", test]);
    let ran = run(binary, skipped.chain(["--test-threads=4"]), FILE_LIMIT)?;
    for test in there {
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

/// Replaces `module::*` by what is left in the module.
fn expand(tests: &[String], there: &BTreeSet<String>) -> Vec<String> {
    let mut all = Vec::new();
    for test in tests {
        match test.strip_suffix('*') {
            Some(module) => all.extend(there.iter().filter(|it| it.starts_with(module)).cloned()),
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
        // Where cargo would run them.
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
            // A pipe that breaks ends the output, and that is all there is to know.
            pipe.read_to_end(&mut text).ok();
            drop(sender);
            text
        }));
    }
    drop(sender);
    // Nothing is ever sent: both ends closed means that the process has ended.
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

/// libtest prints `test NAME ... ok`, with ` - should panic` after the name of such a test.
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
