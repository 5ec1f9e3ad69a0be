//! Tests the workshop: references, starts, wrong solutions, pages. Each is checked on an idle machine and
//! beside one spinner per core.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::check::{Checked, lay_out, run_cases};
use crate::layout::LAB;
use crate::stage::{Files, STAGES, Stage};
use crate::{End, Problem, breaks, cards, compile, draw, layout, page, run, wrong};

/// Runs of a reference in each of the two rounds.
const RUNS: usize = 3;

/// What must come of a job.
#[derive(Clone, PartialEq)]
enum Wanted {
    Green,
    Id(String),
}

/// One set of files to compile and to run.
struct Job {
    stage: Stage,
    name: String,
    files: Files,
    wanted: Wanted,
}

impl Job {
    fn folder(&self) -> String {
        format!("{LAB}/{}-{}", self.stage.folder(), self.name)
    }

    /// Compiles it.
    fn compile(&self) -> Result<(), Problem> {
        let source = format!("{}/src", self.folder());
        lay_out(&self.files, &source)?;
        let check = self.stage.path("check.rs");
        let compiled = compile::stage(&source, &check, &self.folder(), false)?;
        match compiled.success {
            true => Ok(()),
            false => Err(format!("{}: does not compile\n{}", self.folder(), compiled.messages)),
        }
    }

    /// Runs it, and returns what is wrong.
    fn run(&self) -> Result<(), Problem> {
        let source = format!("{}/src", self.folder());
        let checked = run_cases(&source, &self.folder(), false, true)?;
        let failed = match checked {
            Checked::Ran { failed, .. } => failed,
            Checked::Skipped(reason) => {
                println!("  skipped: {}: {reason}", self.folder());
                return Ok(());
            }
            Checked::DoesNotCompile => return Err(format!("{}: was not run", self.folder())),
        };
        let (seen, text) = match &failed {
            None => (Wanted::Green, "green".to_owned()),
            Some((case, report)) => {
                let text = format!("{} in \"{case}\": {}; {}", report.id, report.what, report.seen);
                (Wanted::Id(report.id.clone()), text)
            }
        };
        let wanted = match &self.wanted {
            Wanted::Green => "green",
            Wanted::Id(id) => id,
        };
        match seen == self.wanted {
            true => Ok(()),
            false => Err(format!("{}: must be {wanted}, is {text}", self.folder())),
        }
    }
}

/// Counts and collects problems.
#[derive(Default)]
pub(crate) struct Tally {
    problems: Vec<Problem>,
}

impl Tally {
    pub(crate) fn line(&mut self, what: &str, of: usize, problems: Vec<Problem>) {
        println!("{what:<44} {} of {of}", of - problems.len().min(of));
        self.none_or(problems);
    }

    pub(crate) fn zero(&mut self, what: &str, problems: Vec<Problem>) {
        println!("{what:<44} {}", problems.len());
        self.none_or(problems);
    }

    /// Prints how many problems there are.
    pub(crate) fn end(&self) -> End {
        match self.problems.len() {
            0 => {
                println!("the workshop holds");
                End::Green
            }
            n => {
                println!("{n} problems");
                End::Red
            }
        }
    }

    fn none_or(&mut self, problems: Vec<Problem>) {
        problems.iter().for_each(|problem| println!("  {}", problem.replace('\n', "\n    ")));
        self.problems.extend(problems);
    }
}

fn stages(numbers: &[u32]) -> Result<Vec<Stage>, Problem> {
    match numbers {
        [] => Ok(STAGES.to_vec()),
        _ => numbers.iter().map(|&number| Stage::find(number)).collect(),
    }
}

/// Runs the references of the given stages `runs` times, half of it beside a spinner per core.
pub(crate) fn many_runs(numbers: &[u32], runs: usize) -> Result<End, Problem> {
    let mut tally = Tally::default();
    compile::prepare()?;
    let jobs = jobs(&stages(numbers)?)?;
    for job in jobs.iter().filter(|job| job.name == "reference") {
        job.compile()?;
        let many = |runs: usize| (0..runs).filter_map(|_| job.run().err()).collect::<Vec<_>>();
        let mut failures = many(runs / 2);
        beside_spinners(|| failures.extend(many(runs - runs / 2)));
        tally.line(&format!("stage {}, runs", job.stage.number), runs, failures);
    }
    Ok(tally.end())
}

/// Verifies the given stages, or all. With `write`, rewrites `start` and the code on the pages. With
/// `quick`, runs each once and beside no spinner.
pub(crate) fn verify(numbers: &[u32], write: bool, quick: bool) -> Result<End, Problem> {
    let stages = stages(numbers)?;
    let mut tally = Tally::default();
    files(&stages, write, &mut tally)?;
    compile::prepare()?;
    let jobs = jobs(&stages)?;
    // The cards belong to no stage's files: only a run of all stages verifies them.
    let cards = if numbers.is_empty() { cards::verify(write, &mut tally)? } else { Vec::new() };
    let broken = parallel(&jobs, Job::compile);
    let all_compiled = broken.is_empty();
    tally.line("compiled: references, starts, others", jobs.len(), broken);
    if all_compiled {
        diagnoses(&stages, &mut tally)?;
        pictures(&stages, write, &mut tally)?;
        echo_servers(&stages, &mut tally)?;
        round("idle", &jobs, if quick { 1 } else { RUNS }, &mut tally);
        cards::round(&cards, &mut tally);
        if !quick {
            beside_spinners(|| {
                round("beside a spinner per core", &jobs, RUNS, &mut tally);
                cards::round(&cards, &mut tally);
            });
        }
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

fn jobs(stages: &[Stage]) -> Result<Vec<Job>, Problem> {
    let mut jobs = Vec::new();
    for &stage in stages {
        let mut add = |name: &str, files: Files, wanted: Wanted| {
            jobs.push(Job { stage, name: name.to_owned(), files, wanted });
        };
        add("reference", stage.solution()?, Wanted::Green);
        add("start", stage.start()?, Wanted::Id(format!("{}.0", stage.number)));
        for wrong in wrong::all(&stage)? {
            add(&wrong.name, wrong.apply(&stage)?, Wanted::Id(wrong.id.clone()));
        }
        for right in wrong::right(&stage)? {
            add(&right.name, right.apply(&stage)?, Wanted::Green);
        }
    }
    Ok(jobs)
}

/// Runs jobs on several threads; returns the problems.
pub(crate) fn parallel<J: Sync>(
    jobs: &[J],
    run: impl Fn(&J) -> Result<(), Problem> + Sync,
) -> Vec<Problem> {
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let (Err(problem), Ok(mut problems)) = (run(job), problems.lock()) {
                problems.push(problem);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(8);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    problems.into_inner().unwrap_or_default()
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
    println!("{:<44} {count}", "ids");
    tally.zero("ids without a wrong solution", unused);
    tally.zero("ids without their heading on the page", without);
    tally.zero("ids without their function", unknown);
    tally.zero("stages with fewer than 4 wrong solutions", few);
    Ok(())
}

/// Compiles the echo server with each reference that has sockets.
fn echo_servers(stages: &[Stage], tally: &mut Tally) -> Result<(), Problem> {
    let (mut count, mut problems) = (0, Vec::new());
    for stage in stages {
        if stage.solution()?.contains_key("net.rs") {
            count += 1;
            let compiled = compile::echo(&format!("{LAB}/{}-reference", stage.folder()))?;
            if !compiled.success {
                problems.push(format!("stage {}: echo.rs\n{}", stage.number, compiled.messages));
            }
        }
    }
    tally.line("echo servers that compile", count, problems);
    Ok(())
}

/// Draws the pictures again, and compares them and their lists on the pages.
fn pictures(stages: &[Stage], write: bool, tally: &mut Tally) -> Result<(), Problem> {
    let (mut count, mut problems) = (0, Vec::new());
    for stage in stages {
        let Some(picture) = draw::trace(&format!("{LAB}/{}-reference", stage.folder()))? else {
            continue;
        };
        count += 1;
        let (path, svg) = (stage.path("picture.svg"), draw::svg(&[("", &picture)]));
        let page = page::with_picture(stage, &picture.markdown())?;
        if write {
            layout::write(&path, &svg)?;
            layout::write(&stage.path("page.md"), &page)?;
        }
        if layout::read(&path).unwrap_or_default() != svg || stage.page()? != page {
            problems.push(format!("{path} or its list: run `cargo workshop verify --write`"));
        }
    }
    tally.line("pictures that are drawn again equal", count, problems);
    Ok(())
}

fn round(name: &str, jobs: &[Job], runs: usize, tally: &mut Tally) {
    let problems = |jobs: Vec<&Job>, runs: usize| -> (usize, Vec<Problem>) {
        let results = jobs.iter().flat_map(|job| (0..runs).map(|_| job.run()));
        let results: Vec<_> = results.collect();
        (results.len(), results.into_iter().filter_map(Result::err).collect())
    };
    println!("{name}:");
    let of = |wanted: fn(&Job) -> bool| jobs.iter().filter(|job| wanted(job)).collect::<Vec<_>>();
    let (count, red) = problems(of(|job| job.name == "reference"), runs);
    tally.line("  references green, runs", count, red);
    let is_right = |job: &Job| job.wanted == Wanted::Green && job.name != "reference";
    let (count, red) = problems(of(is_right), 1);
    tally.line("  other right solutions green", count, red);
    let (count, green) = problems(of(|job| job.name == "start"), 1);
    tally.line("  starts red, with the place", count, green);
    let (count, wrong) = problems(of(|job| job.name != "start" && job.wanted != Wanted::Green), 1);
    tally.line("  wrong solutions with their id", count, wrong);
}

/// Runs `f` while one thread per core computes.
fn beside_spinners(f: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        f();
        stop.store(true, Ordering::Relaxed);
    });
}
