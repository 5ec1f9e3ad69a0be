//! A planted bug: a change of a source file, in a file of `bugs/`.
//!
//! ```text
//! bug: what goes wrong
//! why: why somebody writes that
//! scenario: the scenario that finds it
//! --- runtime/src/io/io_count.rs
//! lines to find, which the file has once
//! +++
//! lines instead; `PLANTED` is true while this bug is chosen
//! ```
//!
//! The tape beside it, `NAME.tape`, has the choices with which the scenario fails.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Problem;

/// A planted bug.
#[derive(Debug)]
pub(crate) struct Bug {
    pub(crate) name: String,
    /// What goes wrong.
    pub(crate) what: String,
    /// The name of the scenario that finds it.
    pub(crate) scenario: String,
    /// The source file, from the root of the repository.
    pub(crate) file: String,
    find: String,
    replace: String,
}

/// Returns the folder of the bugs and their tapes.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bugs")
}

/// Reads all bugs, by name.
pub(crate) fn all() -> Result<Vec<Bug>, Problem> {
    let mut bugs = Vec::new();
    for entry in fs::read_dir(folder()).map_err(|error| format!("{error}"))? {
        let path = entry.map_err(|error| format!("{error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "bug") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let text = fs::read_to_string(&path);
            let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
            bugs.push(parse(&name, &text)?);
        }
    }
    bugs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(bugs)
}

fn parse(name: &str, text: &str) -> Result<Bug, Problem> {
    let wrong = |what: &str| format!("{name}.bug: {what}");
    let (head, change) = text
        .split_once("\n--- ")
        .ok_or(wrong("no line `--- FILE`"))?;
    let field = |field: &str| {
        let mut lines = head.lines();
        let value = lines.find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        value
            .map(str::to_owned)
            .ok_or(wrong(&format!("no line `{field}: ..`")))
    };
    field("why")?;
    let (file, change) = change.split_once('\n').ok_or(wrong("no line to find"))?;
    let (find, replace) = change.split_once("\n+++\n").ok_or(wrong("no line `+++`"))?;
    let replace = replace.strip_suffix('\n').unwrap_or(replace);
    if find.trim().is_empty() || !replace.contains("PLANTED") {
        return Err(wrong(
            "needs lines to find, and `PLANTED` in the lines instead",
        ));
    }
    Ok(Bug {
        name: name.to_owned(),
        what: field("bug")?,
        scenario: field("scenario")?,
        file: file.to_owned(),
        find: find.to_owned(),
        replace: replace.to_owned(),
    })
}

impl Bug {
    /// Returns the text of the source file with the bug behind its switch.
    pub(crate) fn apply(&self, text: &str) -> Result<String, Problem> {
        let count = text.matches(&self.find).count();
        if count != 1 {
            return Err(format!(
                "{}.bug: {} has these lines {count} times, not once:\n{}",
                self.name, self.file, self.find
            ));
        }
        let library = if self.file.starts_with("runtime/") {
            "crate"
        } else {
            "wakeful"
        };
        let switch = format!("{library}::planted::is({:?})", self.name);
        let replace = self.replace.replace("PLANTED", &switch);
        Ok(text.replace(&self.find, &replace))
    }

    pub(crate) fn tape(&self) -> PathBuf {
        folder().join(format!("{}.tape", self.name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::root;

    #[test]
    fn every_bug_fits_its_source_file_and_has_a_scenario_and_a_tape() {
        let list = fs::read_to_string(root().join("extras/sim/tests/scenarios/mod.rs")).unwrap();
        let words: Vec<_> = list
            .split_whitespace()
            .map(|word| word.trim_end_matches(';'))
            .collect();
        let bugs = all().unwrap();
        assert!(bugs.len() >= 20, "{} bugs", bugs.len());
        for bug in bugs {
            let source = fs::read_to_string(root().join(&bug.file)).unwrap();
            let broken = bug.apply(&source).unwrap();
            assert!(broken.contains(&format!("planted::is({:?})", bug.name)));
            assert!(words.contains(&bug.scenario.as_str()), "{}", bug.scenario);
            let tape = fs::read_to_string(bug.tape()).unwrap();
            let line = format!("test scenarios::{}", bug.scenario);
            assert!(tape.lines().any(|found| found == line), "{}", bug.name);
        }
    }

    #[test]
    fn a_change_that_does_not_fit_is_an_error_that_shows_the_lines() {
        let text = "bug: b\nwhy: w\nscenario: s\n--- net/src/lib.rs\nfirst\n  second\n+++\nPLANTED || first\n";
        let bug = parse("name", text).unwrap();
        let applied = bug.apply("zero\nfirst\n  second\nthird").unwrap();
        assert_eq!(
            applied,
            "zero\nwakeful::planted::is(\"name\") || first\nthird"
        );
        for source in ["first", "first\n  second\nfirst\n  second"] {
            let error = bug.apply(source).unwrap_err();
            assert!(
                error.contains("times, not once:\nfirst\n  second"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_without_a_part_is_an_error_that_names_it() {
        let text = "bug: b\nwhy: w\nscenario: s\n--- file\nfind\n+++\nPLANTED\n";
        assert!(parse("name", text).is_ok());
        for part in [
            "bug: b",
            "why: w",
            "scenario: s",
            "--- file",
            "+++",
            "PLANTED",
        ] {
            let error = parse("name", &text.replace(part, "gone")).unwrap_err();
            assert!(error.starts_with("name.bug: "), "{part}: {error}");
        }
    }
}
