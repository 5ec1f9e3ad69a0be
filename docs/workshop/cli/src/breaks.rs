//! The changes of stage 17, which break Wakeful itself: one line each, with the test that fails then.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::stage::{Files, Stage};
use crate::wrong::{self, Wrong};
use crate::{End, Problem, layout};

/// The stage with the changes.
const STAGE: u32 = 17;

/// Returns a path of the repository.
fn in_repository(path: &str) -> PathBuf {
    layout::path("../..").join(path)
}

fn read(path: &str) -> Result<String, Problem> {
    fs::read_to_string(in_repository(path)).map_err(|error| format!("reading {path}: {error}"))
}

/// A change, the file that it changes, and the arguments of `cargo test`.
struct Break {
    change: Wrong,
    file: String,
    test: Vec<String>,
}

impl Break {
    fn parse(stage: &Stage, change: Wrong) -> Result<Break, Problem> {
        let path = stage.path(&format!("breaks/{}", change.name));
        let text = layout::read(&path)?;
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let test = line("test: ").ok_or_else(|| format!("{path}: needs `test:`"))?;
        let file = line("--- ").ok_or_else(|| format!("{path}: needs a change"))?;
        let test = test.split(' ').map(str::to_owned).collect();
        Ok(Break { file: file.to_owned(), test, change })
    }

    /// Returns the file before and after the change.
    fn apply(&self) -> Result<(String, String), Problem> {
        let before = read(&self.file)?;
        let files = Files::from([(self.file.clone(), before.clone())]);
        let place = format!("stages/s{STAGE}/breaks/{}", self.change.name);
        let mut after = self.change.apply_to(files, &place)?;
        Ok((before, after.remove(&self.file).unwrap_or_default()))
    }

    /// Runs its test. Returns whether cargo says that all went well.
    fn cargo(&self, more: &[&str]) -> Result<bool, Problem> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(in_repository("")).arg("test").args(more).args(&self.test);
        // Otherwise a test with generated input writes what made it fail into the repository.
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        if self.test.iter().any(|argument| argument.starts_with("loom_models")) {
            command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", "target-loom");
        }
        let status = command.status().map_err(|error| format!("starting cargo: {error}"))?;
        Ok(status.success())
    }
}

fn all() -> Result<Vec<Break>, Problem> {
    let stage = Stage::find(STAGE)?;
    let changes = wrong::read(&stage, "breaks")?;
    changes.into_iter().map(|change| Break::parse(&stage, change)).collect()
}

/// Returns what is wrong with the changes of a stage: they have to fit the source, and to name a test that
/// docs/INVARIANTS.md lists.
pub(crate) fn problems(stage: &Stage) -> Result<Vec<Problem>, Problem> {
    if stage.number != STAGE {
        return Ok(Vec::new());
    }
    let invariants = read("docs/INVARIANTS.md")?;
    let mut problems = Vec::new();
    for one in all()? {
        problems.extend(one.apply().err());
        let name = one.test.last().and_then(|name| name.rsplit("::").next()).unwrap_or_default();
        let section = invariants.split("\n## ").find(|text| text.starts_with(&one.change.id));
        if !section.is_some_and(|text| text.contains(&format!("`{name}`"))) {
            problems
                .push(format!("break {}: {} does not list {name}", one.change.name, one.change.id));
        }
    }
    Ok(problems)
}

/// Restores a file.
struct Restore(PathBuf, String);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.0, &self.1) {
            eprintln!("restoring {}: {error}; use git checkout", self.0.display());
        }
    }
}

/// Returns the first changed file of those that the changes are made in: an interrupted `break`, or the reader's
/// own work. Without git nothing is known to be changed.
fn changed_file(all: &[Break]) -> Option<&str> {
    let is_changed = |one: &&Break| {
        let mut git = Command::new("git");
        git.current_dir(in_repository("")).args(["diff", "--quiet", "HEAD", "--", &one.file]);
        git.stderr(Stdio::null()).status().is_ok_and(|status| status.code() == Some(1))
    };
    all.iter().find(is_changed).map(|one| one.file.as_str())
}

/// Breaks Wakeful, runs the test that should fail, and restores the file.
pub(crate) fn run(words: &[String]) -> Result<End, Problem> {
    let all = all()?;
    let names: Vec<&str> = all.iter().map(|one| one.change.name.as_str()).collect();
    let one = all.iter().find(|one| [one.change.name.as_str()] == words[..]);
    let one = one.ok_or_else(|| {
        let found = match words {
            [] => String::new(),
            _ => format!("; found `{}`", words.join(" ")),
        };
        format!("`break` needs one of {}{found}", names.join(", "))
    })?;
    if let Some(file) = changed_file(&all) {
        return Err(format!(
            "{file} has changes that are not committed, of a break that was interrupted or your own: git diff {file}"
        ));
    }
    let (before, after) = one.apply()?;
    println!("{}: {}", one.file, one.change.why);
    println!("(interrupted? git checkout {})\n", one.file);
    let path = in_repository(&one.file);
    let restore = Restore(path.clone(), before);
    fs::write(&path, after).map_err(|error| format!("writing {}: {error}", one.file))?;
    // A test that cannot be compiled, for lack of packages, is no test that failed.
    let compiled = one.cargo(&["--no-run"])?;
    let passed = compiled && one.cargo(&[])?;
    drop(restore);
    println!("\n{} is as before", one.file);
    let name = one.test.last().map_or("", String::as_str);
    if !compiled {
        return Err(format!("{name} could not be compiled: see above"));
    }
    if passed {
        println!("{name} did not fail: the break is not noticed");
        return Ok(End::Red);
    }
    println!("{name} went red: {}", one.change.id);
    Ok(End::Green)
}
