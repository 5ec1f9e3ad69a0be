//! The page `docs/SIMULATED-TESTS.md` against the examples that it shows: their output, their code, and the names
//! that it refers to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "guide/bank.rs"]
mod bank;
#[path = "guide/lines.rs"]
mod lines;
#[path = "guide/payments.rs"]
mod payments;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PAGE: &str = "docs/SIMULATED-TESTS.md";
const COMMAND: &str = "$ cargo test ";
/// A line of the examples that the page leaves out, because there the test fails.
const FAILS: &str = "    #[should_panic";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap()
}

/// Returns all Rust files of a folder and those of its folders.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text.push_str(&sources(&path));
        } else {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// Returns the code blocks of a page that begin with this line.
fn blocks<'a>(page: &'a str, head: &str) -> Vec<&'a str> {
    let begin = format!("```{head}\n");
    let blocks = page.split(&*begin).skip(1);
    blocks
        .map(|rest| rest.split_once("\n```").unwrap().0)
        .collect()
}

/// Returns the report of an example that fails, as the page shows it: with paths below the workspace.
fn report(module: &str, test: &str) -> String {
    let mut child = Command::new(env::current_exe().unwrap());
    for name in ["WAKEFUL_SEED", "WAKEFUL_SEEDS", "WAKEFUL_TAPE"] {
        child.env_remove(name);
    }
    let name = format!("{module}::{test}");
    child.args(["--exact", &name, "--nocapture"]);
    let output = child.output().unwrap();
    // The test expects the panic.
    assert!(output.status.success(), "{name} did not fail as it should");
    let text = String::from_utf8(output.stderr).unwrap();
    let begin = text.find(&format!("guide::{name}: seed ")).unwrap();
    let mut lines = Vec::new();
    for line in text[begin..].trim_end().lines() {
        let file = line.split_once("/wakeful-sim/");
        let line = match (file, line.split_once(": ")) {
            (Some((_, file)), Some((head, path))) => {
                let spaces = path.len() - path.trim_start().len();
                format!("{head}: {}target/wakeful-sim/{file}", " ".repeat(spaces))
            }
            _ => line.to_owned(),
        };
        lines.push(line);
    }
    lines.join("\n")
}

/// Returns a report with the line of the page about shrinking, if that has ended at its limit of time: on a slow
/// machine it has fewer runs.
fn as_far_as_shrunk(real: String, page: &str) -> String {
    let shrunk = |text: &str| {
        let lines = text.lines();
        let line = lines.into_iter().find(|line| line.starts_with("shrunk: "));
        line.map(ToOwned::to_owned)
    };
    match (shrunk(&real), shrunk(page)) {
        (Some(line), Some(of_page)) if line.contains("shrinking ended at its limit") => {
            real.replace(&line, &of_page)
        }
        _ => real,
    }
}

/// Returns a text without its numbers, but for those of lines in a source. A change of the simulation can give a seed
/// other times and other counts.
fn without_numbers(text: &str) -> String {
    let plain = |word: &str| {
        if word.contains(".rs:") {
            return word.to_owned();
        }
        let word = match word.split_once("0x") {
            Some((head, _)) => format!("{head}0"),
            None => word.to_owned(),
        };
        let mut plain = String::new();
        for c in word.chars() {
            match c.is_ascii_digit() || c == '.' && plain.ends_with('N') {
                true if plain.ends_with('N') => {}
                true => plain.push('N'),
                false => plain.push(c),
            }
        }
        // The unit depends on the number.
        let end = plain.strip_prefix('N').unwrap_or_default();
        match ["ns", "µs", "ms"]
            .into_iter()
            .find(|unit| end.starts_with(unit))
        {
            Some(unit) => format!("Ns{}", &end[unit.len()..]),
            None => plain,
        }
    };
    let words: Vec<_> = text.split(' ').map(plain).collect();
    words.join(" ")
}

/// Set to have the outputs on the page replaced by those of the examples.
const UPDATE: &str = "WAKEFUL_UPDATE_PAGE";

#[test]
fn each_output_on_the_page_is_that_of_its_example() {
    let page = read(PAGE);
    let mut updated = page.clone();
    let mut shown = Vec::new();
    for block in blocks(&page, "console") {
        let Some((test, output)) = block
            .strip_prefix(COMMAND)
            .and_then(|rest| rest.split_once('\n'))
        else {
            continue;
        };
        let module = ["bank", "lines", "payments"].into_iter().find(|module| {
            let source = read(&format!("extras/sim/tests/guide/{module}.rs"));
            source.contains(&format!("fn {test}("))
        });
        let real = as_far_as_shrunk(report(module.unwrap(), test), output);
        updated = updated.replacen(output, &real, 1);
        shown.push(test);
    }
    if env::var_os(UPDATE).is_some() {
        fs::write(workspace().join(PAGE), &updated).unwrap();
    } else {
        let alike = without_numbers(&updated) == without_numbers(&page);
        assert!(alike, "set {UPDATE}=1: the outputs are now\n{updated}");
    }
    let tests = [
        "every_line_is_answered",
        "every_payment_is_booked_once",
        "transfers_never_hang",
    ];
    assert_eq!(shown, tests);
}

#[test]
fn the_code_on_the_page_is_that_of_the_examples() {
    let source = sources(&workspace().join("extras/sim/tests/guide"));
    let lines = source.lines().filter(|line| !line.starts_with(FAILS));
    let source: String = lines.flat_map(|line| [line, "\n"]).collect();
    let page = read(PAGE);
    let blocks = blocks(&page, "rust,ignore");
    assert!(blocks.len() >= 6, "{blocks:?}");
    for block in blocks {
        assert!(
            source.contains(&format!("{block}\n")),
            "not in the examples:\n{block}"
        );
    }
}

#[test]
fn each_promise_on_the_page_has_a_man_page_and_scripts_that_exist() {
    let page = read(PAGE);
    let (_, section) = page.split_once("\n## What a fault keeps").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let tests = sources(&workspace().join("extras/sim/tests")) + &read("tests/tests/kernel.rs");
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<Vec<&str>> = rows.skip(1).map(|row| row.split('|').collect()).collect();
    assert!(rows.len() >= 8, "{section}");
    let mut scripts = BTreeSet::new();
    for row in &rows {
        let [_, _, manual, names, _] = row[..] else {
            panic!("{row:?}");
        };
        assert!(manual.contains('(') && manual.contains(')'), "{row:?}");
        let names: Vec<_> = names.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row:?}");
        scripts.extend(names);
    }
    for name in scripts {
        let is_there = tests.contains(&format!("fn {name}("));
        assert!(is_there, "no script or test has the name {name}");
    }
}
