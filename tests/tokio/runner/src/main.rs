//! Runs tokio's tests against Wakeful, counts those that pass, and holds the pages to the count.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use runner::list::{List, Tokio, rust_files, taken};
use runner::report::Report;
use runner::run::{self, Verdict};
use runner::{Result, list};

const USAGE: &str = "\
usage: runner            runs everything; fails when the pages say something else
       runner --write    the same, and writes the pages
       runner FILE...    runs some files only";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let write = arguments == ["--write"];
    let wanted = if write { &[][..] } else { &arguments[..] };
    if wanted.iter().any(|it| it.starts_with('-')) {
        eprintln!("{USAGE}");
        return Ok(ExitCode::from(2));
    }
    let list = List::read()?;
    let tokio = Tokio::find()?;
    let mut errors = every_file_is_accounted_for(&list, &tokio)?;
    let mut outcomes = BTreeMap::new();
    for (name, binary) in run::build()? {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let begin = Instant::now();
        let outcome = run::file(&name, &binary, &list)?;
        print!("{}", outcome.output);
        let count =
            |wanted: fn(&Verdict) -> bool| outcome.tests.values().filter(|&it| wanted(it)).count();
        println!(
            "{name}: {} passed, {} failed, {} excluded, {:.1} s",
            count(|it| matches!(it, Verdict::Passed | Verdict::PassedAlone)),
            count(|it| matches!(it, Verdict::Failed)),
            count(|it| matches!(it, Verdict::Excluded(_))),
            begin.elapsed().as_secs_f32(),
        );
        for (test, verdict) in &outcome.tests {
            if *verdict == Verdict::PassedAlone {
                println!("{name}: {test} failed among the others, and passed when run again");
            }
        }
        outcomes.insert(name, outcome);
    }
    let report = Report::new(&list, &tokio, &outcomes);
    println!("\n{}", report.line());
    if wanted.is_empty() {
        errors.extend(report.errors());
        if let Err(error) = report.pages(write) {
            errors.push(error.to_string());
        }
    } else {
        errors = report.errors();
    }
    for error in &errors {
        eprintln!("error: {error}");
    }
    Ok(if errors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Every test file of tokio is taken, or is in the list with a reason, and not both.
fn every_file_is_accounted_for(list: &List, tokio: &Tokio) -> Result<Vec<String>> {
    let there = rust_files(&tokio.folder.join("tests"))?;
    let taken = taken()?;
    let listed: BTreeSet<&String> = list.not_taken.iter().flat_map(|it| &it.files).collect();
    let mut errors = Vec::new();
    for name in &there {
        if taken.contains(name) == listed.contains(name) {
            errors.push(format!(
                "{name} has to be taken, or to be listed as not taken"
            ));
        }
    }
    for name in listed.iter().filter(|it| !there.contains(**it)) {
        errors.push(format!(
            "excluded.toml: tokio {} has no file {name}",
            tokio.version
        ));
    }
    let special = list.file.iter().map(|it: &list::File| &it.name);
    for name in special.chain(&list.runtime_independent) {
        if !taken.contains(name) {
            errors.push(format!("excluded.toml: {name} is not taken"));
        }
    }
    Ok(errors)
}
