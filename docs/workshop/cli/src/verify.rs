//! Tests the workshop: references, starts, wrong solutions, pages. Each is checked without
//! spinners and beside one spinner per core.

use std::collections::BTreeSet;

use crate::job::{self, Job};
use crate::layout::LAB;
use crate::rounds::{self, Runs, parallel};
use crate::stage::{STAGES, Stage};
use crate::tally::{Tally, print_line};
use crate::{End, Problem, breaks, cards, compile, draw, layout, page, run, suite, wrong};

/// Runs of each reference; half of them beside a spinner per core.
const RUNS: usize = 200;

/// What `verify` does besides its checks, and what it leaves out.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Rewrites what is derived: `start`, the code on the pages, pictures, the list of cards.
    pub(crate) write: bool,
    /// Runs each job once, and beside no spinner.
    pub(crate) quick: bool,
}

fn stages(numbers: &[u32]) -> Result<Vec<Stage>, Problem> {
    match numbers {
        [] => Ok(STAGES.to_vec()),
        _ => numbers.iter().map(|&number| Stage::find(number)).collect(),
    }
}

/// Runs the references of the given stages `count` times, and nothing else.
pub(crate) fn many_runs(numbers: &[u32], count: usize) -> Result<End, Problem> {
    let mut tally = Tally::default();
    compile::prepare()?;
    let references = job::references(&stages(numbers)?)?;
    rounds::costs(&references, &mut tally);
    let mut runs = Runs::new(&references);
    runs.add(count / 2, false);
    rounds::beside_spinners(|| runs.add(count - count / 2, true));
    runs.print(&mut tally);
    rounds::skipped(&references);
    Ok(tally.end())
}

/// Verifies the given stages, or all.
pub(crate) fn verify(numbers: &[u32], extent: Extent) -> Result<End, Problem> {
    let stages = stages(numbers)?;
    let mut tally = Tally::default();
    files(&stages, extent.write, &mut tally)?;
    compile::prepare()?;
    let jobs = job::all(&stages)?;
    let (references, others) = jobs.split_at(stages.len());
    // The cards belong to no stage's files: only a run of all stages verifies them.
    let cards = match numbers {
        [] => cards::verify(extent.write, &mut tally)?,
        _ => Vec::new(),
    };
    rounds::costs(references, &mut tally);
    let broken = parallel(others, Job::compile);
    let all_compiled = broken.is_empty() && references.iter().all(Job::is_compiled);
    tally.line("compiled: starts, other solutions", others.len(), broken);
    if all_compiled {
        diagnoses(&stages, &mut tally)?;
        pictures(&stages, extent.write, &mut tally)?;
        echo_servers(&stages, &mut tally)?;
        let mut runs = Runs::new(references);
        let half = if extent.quick { 1 } else { RUNS / 2 };
        let mut round = |name: &str, beside: bool| {
            runs.add(half, beside);
            rounds::round(name, others, &mut tally);
            cards::round(&cards, &mut tally);
        };
        round("without spinners", false);
        if !extent.quick {
            rounds::beside_spinners(|| round("beside a spinner per core", true));
        }
        runs.print(&mut tally);
        rounds::skipped(&jobs);
    }
    Ok(tally.end())
}

/// Compares generated files, and checks the pages.
fn files(stages: &[Stage], write: bool, tally: &mut Tally) -> Result<(), Problem> {
    let (mut starts, mut code, mut limits, mut blocks) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut broken = Vec::new();
    for stage in stages {
        let derived = stage.derive_start()?;
        if write {
            for (name, text) in &derived {
                layout::write(&stage.path(&format!("start/{name}")), text)?;
            }
        }
        if stage.own_start()? != derived {
            starts.push(format!("{}: run `cargo workshop verify --write`", stage.path("start")));
        }
        let (text, count) = page::with_code(stage)?;
        blocks += count;
        if write {
            layout::write(&stage.path("page.md"), &text)?;
        }
        if stage.page()? != text {
            code.push(format!("{}: run `cargo workshop verify --write`", stage.path("page.md")));
        }
        limits.extend(page::problems(stage)?);
        broken.extend(breaks::problems(stage)?);
    }
    tally.line("starts that equal solution and blanks", stages.len(), starts);
    tally.line(&format!("pages with the code of the files ({blocks})"), stages.len(), code);
    tally.zero("pages over a limit, or incomplete", limits);
    tally.zero("breaks that do not fit the source", broken);
    Ok(())
}

/// Checks that ids, sections and wrong solutions belong together.
fn diagnoses(stages: &[Stage], tally: &mut Tally) -> Result<(), Problem> {
    let (mut unused, mut without, mut unknown, mut few) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for stage in stages {
        let list = run::list(&format!("{LAB}/{}-reference", stage.folder()))?;
        let wrong = wrong::all(stage)?;
        let used: BTreeSet<&str> = wrong.iter().map(|wrong| wrong.id.as_str()).collect();
        let sections = page::sections(&stage.page()?);
        let solution = stage.solution()?;
        for line in list.lines().filter_map(|line| line.strip_prefix("id\t")) {
            let fields: Vec<&str> = line.split('\t').collect();
            let &[id, section, function, _] = fields.as_slice() else { continue };
            count += 1;
            if !used.contains(id) {
                unused.push(format!("{id} has no wrong solution"));
            }
            if !sections.iter().any(|(heading, _)| heading == section) {
                without
                    .push(format!("{id}: {} has no heading \"{section}\"", stage.path("page.md")));
            }
            let name = format!("fn {function}");
            if !solution.values().any(|text| text.contains(&name)) {
                unknown.push(format!("{id}: there is no function {function}"));
            }
        }
        if wrong.len() < 4 {
            few.push(format!("stage {}: {} wrong solutions", stage.number, wrong.len()));
        }
    }
    print_line("ids", &count.to_string());
    tally.zero("ids without a wrong solution", unused);
    tally.zero("ids without their heading on the page", without);
    tally.zero("ids without their function", unknown);
    tally.zero("stages with fewer than 4 wrong solutions", few);
    Ok(())
}

/// Compiles the echo server with each reference that has sockets, and lets real clients use it.
fn echo_servers(stages: &[Stage], tally: &mut Tally) -> Result<(), Problem> {
    let (mut servers, mut problems) = (Vec::new(), Vec::new());
    for stage in stages {
        let files = stage.solution()?;
        if files.contains_key("net.rs") {
            let out = format!("{LAB}/{}-reference", stage.folder());
            let compiled = compile::echo(&stage.echo(), &out)?;
            if !compiled.success {
                problems.push(format!("stage {}: echo.rs\n{}", stage.number, compiled.messages));
            }
            servers.push((format!("{out}/echo"), files.contains_key("serve.rs")));
        }
    }
    let all_compiled = problems.is_empty();
    tally.line("echo servers that compile", servers.len(), problems);
    if !all_compiled || servers.is_empty() {
        return Ok(());
    }
    let programs: Vec<&String> = servers.iter().map(|(program, _)| program).collect();
    for case in suite::CASES {
        let problems = parallel(&programs, |program| case.run(program));
        tally.line(&format!("  real clients: {}", case.name), programs.len(), problems);
    }
    let serving = servers.iter().filter(|(_, has_serve)| *has_serve);
    let serving: Vec<&String> = serving.map(|(program, _)| program).collect();
    let problems = parallel(&serving, |program| suite::SHORTAGE.run(program));
    tally.line(&format!("  real clients: {}", suite::SHORTAGE.name), serving.len(), problems);
    Ok(())
}

/// Draws the pictures again, and compares them and their lists on the pages.
fn pictures(stages: &[Stage], write: bool, tally: &mut Tally) -> Result<(), Problem> {
    let (mut count, mut problems, mut without) = (0, Vec::new(), Vec::new());
    for stage in stages {
        let Some(picture) = draw::trace(&format!("{LAB}/{}-reference", stage.folder()))? else {
            without.push(stage.number.to_string());
            if page::has_picture(stage)? {
                problems.push(format!("{}: the check draws no picture", stage.path("page.md")));
            }
            continue;
        };
        count += 1;
        let (path, svg) = (stage.path("picture.svg"), draw::for_page(&picture));
        let page = page::with_picture(stage, &picture.markdown())?;
        if picture.narrow_width() > draw::NARROW {
            let (width, limit) = (picture.narrow_width(), draw::NARROW);
            problems.push(format!("{path}: a step is too long: {width} px, at most {limit}"));
        }
        if write {
            layout::write(&path, &svg)?;
            layout::write(&stage.path("page.md"), &page)?;
        }
        if layout::read(&path).unwrap_or_default() != svg || stage.page()? != page {
            problems.push(format!("{path} or its list: run `cargo workshop verify --write`"));
        }
    }
    tally.line("pictures that are drawn again equal", count, problems);
    let without = if without.is_empty() { "none".to_owned() } else { without.join(", ") };
    print_line("stages without a picture", &without);
    Ok(())
}
