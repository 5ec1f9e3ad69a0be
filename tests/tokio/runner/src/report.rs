//! Counts results, prints them, and writes or compares the pages that state them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::list::{List, Tokio, root};
use crate::run::{Outcome, Verdict};

/// Percentage of the counted tests about what Wakeful implements that must pass.
const OWN_AT_LEAST: usize = 97;

/// Percentage of all tests that must pass, except those about more than one thread.
const ONE_THREAD_AT_LEAST: usize = 92;

/// Numbers of tests by result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Tests that pass.
    pub passed: usize,
    /// Tests that count: passes, failures, and exclusions for a reason that counts.
    pub counted: usize,
    /// Tests that are excluded for a reason that does not count.
    pub not_counted: usize,
    /// Those of them that are about more than one thread.
    pub threads: usize,
    /// Tests that tokio itself ignores on this platform.
    pub ignored: usize,
}

impl Count {
    fn add(&mut self, outcome: &Outcome, name: &str, list: &List) {
        for verdict in outcome.tests.values() {
            match verdict {
                Verdict::Passed | Verdict::PassedAlone => {
                    self.passed += 1;
                    self.counted += 1;
                }
                Verdict::Failed => self.counted += 1,
                Verdict::Ignored => self.ignored += 1,
                Verdict::Excluded(index) => {
                    let reason = reason(list, name, *index);
                    self.counted += usize::from(reason.counts);
                    self.not_counted += usize::from(!reason.counts);
                    self.threads += usize::from(reason.threads);
                }
            }
        }
    }

    fn percent(self) -> String {
        percent(self.passed, self.counted)
    }

    /// Returns the number of tests, counted or not, except those about more than one thread.
    fn of_one_thread(self) -> usize {
        self.counted + self.not_counted - self.threads
    }
}

fn percent(passed: usize, of: usize) -> String {
    let tenths = (passed * 1000).checked_div(of).unwrap_or(0);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn reason<'a>(list: &'a List, file: &str, index: usize) -> &'a crate::list::Reason {
    let file = list.file(file).expect("the file is in the list");
    &list.reasons[&file.exclude[index].reason]
}

/// Results of a run.
#[derive(Debug)]
pub struct Report<'a> {
    list: &'a List,
    tokio: &'a Tokio,
    outcomes: &'a BTreeMap<String, Outcome>,
    /// Counts of the files about what Wakeful implements.
    own: Count,
    /// Counts of the files about tokio's runtime-independent parts.
    independent: Count,
}

impl<'a> Report<'a> {
    /// Counts the outcomes.
    #[must_use]
    pub fn new(
        list: &'a List,
        tokio: &'a Tokio,
        outcomes: &'a BTreeMap<String, Outcome>,
    ) -> Report<'a> {
        let (mut own, mut independent) = (Count::default(), Count::default());
        for (name, outcome) in outcomes {
            if list.runtime_independent.contains(name) {
                independent.add(outcome, name, list);
            } else {
                own.add(outcome, name, list);
            }
        }
        Report {
            list,
            tokio,
            outcomes,
            own,
            independent,
        }
    }

    fn all(&self) -> Count {
        Count {
            passed: self.own.passed + self.independent.passed,
            counted: self.own.counted + self.independent.counted,
            not_counted: self.own.not_counted + self.independent.not_counted,
            threads: self.own.threads + self.independent.threads,
            ignored: self.own.ignored + self.independent.ignored,
        }
    }

    /// Returns a summary of one line.
    #[must_use]
    pub fn line(&self) -> String {
        let all = self.all();
        format!(
            "{} of {} pass ({}); of these {} of {} in files about what Wakeful implements ({}); \
             {} of all that are not about many threads; {} not counted, {} ignored by tokio",
            all.passed,
            all.counted,
            all.percent(),
            self.own.passed,
            self.own.counted,
            self.own.percent(),
            percent(all.passed, all.of_one_thread()),
            all.not_counted,
            all.ignored,
        )
    }

    /// Returns the errors of the run, one line of text each.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for (name, outcome) in self.outcomes {
            errors.extend(outcome.errors.iter().cloned());
            for (test, verdict) in &outcome.tests {
                if *verdict == Verdict::Failed {
                    errors.push(format!("{name}: {test} fails and is not in excluded.toml"));
                }
            }
        }
        errors
    }

    /// Returns an error for each percentage that is too low. For runs of all files.
    #[must_use]
    pub fn too_few(&self) -> Vec<String> {
        let all = self.all();
        [
            (
                "tests about what Wakeful implements",
                self.own.passed,
                self.own.counted,
                OWN_AT_LEAST,
            ),
            (
                "tests of one thread",
                all.passed,
                all.of_one_thread(),
                ONE_THREAD_AT_LEAST,
            ),
        ]
        .into_iter()
        .filter(|(_, passed, of, at_least)| passed * 100 < of * at_least)
        .map(|(what, passed, of, at_least)| {
            let percent = percent(passed, of);
            format!("only {percent} of the {what} pass, expected at least {at_least} %")
        })
        .collect()
    }

    /// Writes the marked sections of the pages, or compares them if `write` is not set.
    ///
    /// # Errors
    ///
    /// When a page cannot be read or written, or when a compared section differs.
    pub fn pages(&self, write: bool) -> Result<()> {
        let repository = root()
            .ancestors()
            .nth(2)
            .ok_or("tests/tokio has no repository")?;
        page(&repository.join("README.md"), &self.for_readme(), write)?;
        page(
            &repository.join("docs/TOKIO-TESTS.md"),
            &self.for_docs(),
            write,
        )
    }

    fn for_readme(&self) -> String {
        let all = self.all();
        format!(
            "{} of {} tests of tokio {} pass on [`wakeful-tokio`](extras/tokio/README.md), unchanged ({}). {} of\n\
             {} are in files about what Wakeful implements ({}), the others in files about tokio's channels,\n\
             locks, macros and I/O utilities, which are tokio's own here. {} more tests of these files are\n\
             not counted, because they need what Wakeful leaves out on purpose, above all a second thread.\n\
             Of all tests that are not about many threads, {} pass. Each exclusion and its reason:\n\
             [tokio's tests](docs/TOKIO-TESTS.md).\n",
            all.passed,
            all.counted,
            self.tokio.version,
            all.percent(),
            self.own.passed,
            self.own.counted,
            self.own.percent(),
            all.not_counted,
            percent(all.passed, all.of_one_thread()),
        )
    }

    fn for_docs(&self) -> String {
        let mut text = format!(
            "Measured with tokio {}; {} of its test files are included:\n\n\
             | files about | pass | of | | not counted |\n|---|---:|---:|---:|---:|\n",
            self.tokio.version,
            self.outcomes.len(),
        );
        for (what, count) in [
            ("what Wakeful implements", self.own),
            ("tokio's runtime-independent parts", self.independent),
            ("both", self.all()),
        ] {
            let Count {
                passed,
                counted,
                not_counted,
                ..
            } = count;
            text += &format!(
                "| {what} | {passed} | {counted} | {} | {not_counted} |\n",
                count.percent()
            );
        }
        let all = self.all();
        text += &format!(
            "\nOf all {} tests, counted or not, that are not about many threads, {} pass.\n",
            all.of_one_thread(),
            percent(all.passed, all.of_one_thread()),
        );
        text += "\n## Tests that count and do not pass\n\nThe test ...\n\n";
        text += &self.exclusions(true);
        text += "\n## Tests that are not counted\n\nThe test ...\n\n";
        text += &self.exclusions(false);
        text += "\n## Files that are not included\n\nThe file ...\n\n";
        for group in &self.list.not_included {
            text += &format!("- {}: {}.\n", group.reason, quoted(&group.files));
        }
        text
    }

    fn exclusions(&self, counts: bool) -> String {
        let mut by_reason: BTreeMap<&str, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
        for (file, outcome) in self.outcomes {
            for (test, verdict) in &outcome.tests {
                if let Verdict::Excluded(index) = verdict
                    && let Some(listed) = self.list.file(file)
                {
                    let reason = listed.exclude[*index].reason.as_str();
                    let files = by_reason.entry(reason).or_default();
                    files.entry(file).or_default().push(test.clone());
                }
            }
        }
        let mut text = String::new();
        for (name, files) in by_reason {
            let reason = &self.list.reasons[name];
            if reason.counts != counts {
                continue;
            }
            let number: usize = files.values().map(Vec::len).sum();
            text += &format!("- {} ({number})\n", reason.text);
            for (file, tests) in files {
                // A module with many excluded tests is named once.
                let excluded =
                    |module: &str| tests.iter().filter(|it| it.starts_with(module)).count();
                let mut names = Vec::new();
                for test in &tests {
                    match test.split_once("::") {
                        Some((module, _)) if excluded(module) > 20 => {
                            let name = format!("{module}::*");
                            if names.last() != Some(&name) {
                                names.push(name);
                            }
                        }
                        _ => names.push(test.clone()),
                    }
                }
                text += &format!("  - {file}: {}\n", quoted(&names));
            }
        }
        text
    }
}

fn quoted(names: &[String]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(text, "{comma}`{name}`").expect("writing to a String cannot fail");
    }
    text
}

const BEGIN: &str = "<!-- begin: written by tests/tokio -->\n";
const END: &str = "<!-- end: written by tests/tokio -->\n";

fn page(path: &Path, section: &str, write: bool) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (current, after) = rest.split_once(END)?;
        Some((before, current, after))
    });
    let (before, current, after) =
        parts.ok_or_else(|| format!("{} has no marked section", path.display()))?;
    if current == section {
        return Ok(());
    }
    if !write {
        return Err(format!(
            "{} differs from the results; expected:\n{section}",
            path.display()
        )
        .into());
    }
    fs::write(path, format!("{before}{BEGIN}{section}{END}{after}"))?;
    println!("wrote {}", path.display());
    Ok(())
}
