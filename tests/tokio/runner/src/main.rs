//! Runs tokio's tests against Wakeful, counts the passes, and compares the pages with the counts.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use runner::list::{List, Tokio, included, rust_files};
use runner::report::Report;
use runner::run::{self, Verdict};
use runner::{Result, list};

const USAGE: &str = "\
usage: runner            run everything; fail if the pages differ from the results
       runner --write    the same, and write the pages
       runner FILE...    run some files only";

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
    let mut errors = check_files(&list, &tokio)?;
    let mut outcomes = BTreeMap::new();
    for (name, binary) in run::build()? {
        if !wanted.is_empty() && !wanted.contains(&name) {
            continue;
        }
        let start = Instant::now();
        let outcome = run::file(&name, &binary, &list)?;
        print!("{}", outcome.output);
        let count =
            |wanted: fn(&Verdict) -> bool| outcome.tests.values().filter(|&it| wanted(it)).count();
        println!(
            "{name}: {} passed, {} failed, {} excluded, {:.1} s",
            count(|it| matches!(it, Verdict::Passed | Verdict::PassedAlone)),
            count(|it| matches!(it, Verdict::Failed)),
            count(|it| matches!(it, Verdict::Excluded(_))),
            start.elapsed().as_secs_f32(),
        );
        for (test, verdict) in &outcome.tests {
            if *verdict == Verdict::PassedAlone {
                println!("{name}: {test} failed among the others and passed alone");
            }
        }
        outcomes.insert(name, outcome);
    }
    let report = Report::new(&list, &tokio, &outcomes);
    println!("\n{}", report.line());
    if wanted.is_empty() {
        errors.extend(report.errors());
        errors.extend(report.too_few());
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

/// Returns an error for each test file of tokio that is neither included nor listed with a reason,
/// or both.
fn check_files(list: &List, tokio: &Tokio) -> Result<Vec<String>> {
    let present = rust_files(&tokio.folder.join("tests"))?;
    let included = included()?;
    let listed: BTreeSet<&String> = list.not_included.iter().flat_map(|it| &it.files).collect();
    let mut errors = Vec::new();
    for name in &present {
        if included.contains(name) == listed.contains(name) {
            errors.push(format!(
                "{name} must either be included or be listed as not included"
            ));
        }
    }
    for name in listed.iter().filter(|it| !present.contains(**it)) {
        errors.push(format!(
            "excluded.toml: tokio {} has no file {name}",
            tokio.version
        ));
    }
    let with_exclusions = list.file.iter().map(|it: &list::File| &it.name);
    for name in with_exclusions.chain(&list.runtime_independent) {
        if !included.contains(name) {
            errors.push(format!("excluded.toml: {name} is not included"));
        }
    }
    Ok(errors)
}
