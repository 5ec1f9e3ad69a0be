//! The report of a check. A check is a program; it runs one case per process, so that a case that
//! crashes or hangs ends no other.

use std::fmt::Write as _;
use std::fs;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::process;
use std::sync::Mutex;

use kernel::Stuck;

/// A mistake that a check recognizes.
#[derive(Clone, Copy)]
pub struct Diagnosis {
    /// Stage and number: `4.4`.
    pub id: &'static str,
    /// What is wrong, in one line.
    pub what: &'static str,
    /// What in the code causes it.
    pub why: &'static str,
    /// The heading on the page that explains it.
    pub section: &'static str,
    /// The function in the learner's file.
    pub function: &'static str,
}

/// One case of a check.
#[derive(Clone, Copy)]
pub struct Case {
    /// What must hold: a sentence.
    pub name: &'static str,
    /// Runs it.
    pub run: fn() -> Outcome,
}

/// All cases of a stage.
pub struct Stage {
    /// The number of the stage.
    pub number: u32,
    /// The mistakes that the cases recognize.
    pub diagnoses: &'static [Diagnosis],
    /// The cases.
    pub cases: &'static [Case],
    /// Parts of the text of a panic, and the id that they mean.
    pub panics: &'static [(&'static str, &'static str)],
    /// A run that is drawn.
    pub picture: Option<Picture>,
}

/// A run that is drawn.
#[derive(Clone, Copy)]
pub struct Picture {
    /// What the picture shows.
    pub title: &'static str,
    /// The same in a sentence, for readers who do not see it.
    pub description: &'static str,
    /// The lanes, from left to right.
    pub lanes: &'static [&'static str],
    /// Runs it. Returns the steps, each with its lane.
    pub run: fn() -> Vec<(usize, String)>,
}

/// What a case saw instead of what must hold.
#[derive(Debug, Default)]
pub struct Failure {
    /// The id of a diagnosis; empty if no diagnosis fits.
    pub id: &'static str,
    /// The steps until then.
    pub steps: Vec<String>,
    /// What must be seen.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

/// The result of a case.
pub type Outcome = Result<(), Failure>;

/// Fails with a diagnosis.
///
/// # Errors
///
/// Always.
pub fn fail<T>(
    id: &'static str,
    steps: Vec<String>,
    expected: impl Into<String>,
    seen: impl Into<String>,
) -> Result<T, Failure> {
    Err(Failure { id, steps, expected: expected.into(), seen: seen.into() })
}

/// Ends the check, because this machine lacks something.
///
/// # Errors
///
/// Always.
pub fn skip(reason: impl Into<String>) -> Outcome {
    Err(Failure { id: "skip", seen: reason.into(), ..Failure::default() })
}

/// Compares, and fails without a diagnosis.
///
/// # Errors
///
/// If the two differ.
pub fn expect(steps: Vec<String>, expected: &str, seen: &str) -> Outcome {
    if expected == seen { Ok(()) } else { fail("", steps, expected, seen) }
}

/// Runs what a script drives, and turns an end by the kernel into a failure with one of two ids: for a
/// loop that sleeps forever, and for one that never sleeps.
///
/// # Errors
///
/// If the kernel ended the run.
pub fn run_scripted<T>(
    f: impl FnOnce() -> T,
    asleep: &'static str,
    never: &'static str,
    blocks: &'static str,
) -> Result<T, Failure> {
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    let steps = kernel::steps();
    match kernel::stuck() {
        Some(Stuck::AsleepForever) => {
            fail(asleep, steps, "the run ends", "asleep forever in epoll_wait")
        }
        Some(Stuck::NeverSleeps) => fail(
            never,
            shorten(steps),
            "the loop blocks when there is nothing to do",
            "1,000 turns in a row without a poll, a read or a write",
        ),
        Some(Stuck::MayBlock { call }) => {
            let seen = format!("{call} on a descriptor without O_NONBLOCK");
            fail(blocks, steps, "no call can block", seen)
        }
        None => Ok(result.unwrap_or_else(|panic| panic::resume_unwind(panic))),
    }
}

/// Keeps the steps before a long repetition.
fn shorten(mut steps: Vec<String>) -> Vec<String> {
    if steps.len() > 24 {
        let more = steps.len() - 24;
        steps.truncate(24);
        steps.push(format!("and {more} more"));
    }
    steps
}

/// The text and the place of the last panic.
static PANIC: Mutex<Option<(String, String)>> = Mutex::new(None);

/// Runs the case whose number is the program's argument, and writes its report to the file that the
/// environment names. With the argument `list` it writes the diagnoses and cases.
pub fn stage(stage: &'static Stage) -> ! {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "list" {
        write(&list(stage));
        process::exit(0);
    }
    if argument == "draw" {
        print!("{}", stage.picture.map(draw).unwrap_or_default());
        process::exit(0);
    }
    let Some(case) = argument.parse().ok().and_then(|n: usize| stage.cases.get(n)) else {
        eprintln!("usage: check NUMBER|list (cases: {})", stage.cases.len());
        process::exit(2);
    };
    panic::set_hook(Box::new(|info| on_panic(stage, info)));
    let outcome = panic::catch_unwind(AssertUnwindSafe(case.run));
    match outcome {
        Ok(Ok(())) => {
            write("ok\n");
            process::exit(0);
        }
        Ok(Err(failure)) if failure.id == "skip" => {
            write(&format!("skip\t{}\n", failure.seen));
            process::exit(0);
        }
        Ok(Err(failure)) => finish(stage, &failure, ""),
        Err(_) => {
            let (text, at) = PANIC.lock().ok().and_then(|mut p| p.take()).unwrap_or_default();
            finish(stage, &panic_failure(stage, &text), &at)
        }
    }
}

/// Notes a panic. One in the learner's file ends the case, on whatever thread it happens.
fn on_panic(stage: &Stage, info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    if payload.is::<Stuck>() {
        return;
    }
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (None, Some(text)) => text.clone(),
        (None, None) => "a panic without a message".to_owned(),
    };
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let source = std::env::var("WORKSHOP_SOURCE").unwrap_or_default();
    if !source.is_empty() && at.starts_with(&source) {
        finish(stage, &panic_failure(stage, &text), &at);
    }
    if let Ok(mut last) = PANIC.lock() {
        last.get_or_insert((text, at));
    }
}

fn panic_failure(stage: &Stage, text: &str) -> Failure {
    if let Some(what) = text.strip_prefix("not yet implemented") {
        let seen = what.trim_start_matches([':', ' ']).to_owned();
        return Failure { id: "todo", seen, ..Failure::default() };
    }
    let known = stage.panics.iter().find(|(part, _)| text.contains(part));
    Failure {
        id: known.map_or("", |(_, id)| id),
        steps: kernel::steps(),
        expected: "no panic".to_owned(),
        seen: format!("panic: {text}"),
    }
}

fn finish(stage: &Stage, failure: &Failure, at: &str) -> ! {
    let mut report = String::from("fail\n");
    let mut line = |key: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(report, "{key}\t{}", value.replace(['\n', '\t'], " "));
        }
    };
    let known = stage.diagnoses.iter().find(|diagnosis| diagnosis.id == failure.id);
    match (known, failure.id) {
        (Some(diagnosis), _) => {
            line("id", diagnosis.id);
            line("what", diagnosis.what);
            line("why", diagnosis.why);
            line("section", diagnosis.section);
            line("function", diagnosis.function);
        }
        (None, "todo") => {
            line("id", &format!("{}.0", stage.number));
            line("what", "not written yet");
        }
        (None, id) => {
            line("id", &format!("{}.x", stage.number));
            line("what", if id.is_empty() { "something else than what must hold" } else { id });
        }
    }
    line("expected", &failure.expected);
    line("seen", &failure.seen);
    line("at", at);
    for step in &failure.steps {
        line("step", step);
    }
    write(&report);
    process::exit(1);
}

/// Steps of a picture, at most. A wrong solution can have any number.
const DRAWN: usize = 40;

fn draw(picture: Picture) -> String {
    let mut steps = (picture.run)();
    if steps.len() > DRAWN {
        let more = steps.len() - DRAWN;
        steps.truncate(DRAWN);
        steps.push((0, format!("and {more} more")));
    }
    let mut text = format!("title\t{}\ndescription\t{}\n", picture.title, picture.description);
    for lane in picture.lanes {
        let _ = writeln!(text, "lane\t{lane}");
    }
    for (lane, step) in steps {
        let _ = writeln!(text, "step\t{lane}\t{step}");
    }
    text
}

/// Sorts steps into lanes. The first word of a step is the name of its lane; others are in the first lane.
#[must_use]
pub fn lanes(steps: &[String], names: &[&str]) -> Vec<(usize, String)> {
    let place = |step: &String| {
        let (name, text) = step.split_once(' ').unwrap_or(("", step));
        match names.iter().position(|lane| *lane == name) {
            Some(lane) => (lane, text.to_owned()),
            None => (0, step.clone()),
        }
    };
    steps.iter().map(place).collect()
}

/// Sorts the steps of the kernel into two lanes: the runtime's calls, and the peers. Leaves out numbers of
/// descriptors, which differ from run to run.
#[must_use]
pub fn kernel_lanes() -> Vec<(usize, String)> {
    let is_call = |step: &str| ["blocks", "clock"].iter().any(|word| step.starts_with(word));
    let lane = |step: String| match step.split_once(" = ") {
        Some((call, result)) => {
            let name = call.split(' ').next().unwrap_or_default();
            let result = if name == "accept" && result != "EAGAIN" { "a socket" } else { result };
            // A success without a number says nothing more than the name.
            match (name.starts_with("epoll_c"), result) {
                (true, "0") => (0, name.to_owned()),
                _ => (0, format!("{name} = {result}")),
            }
        }
        None if is_call(&step) => (0, step),
        None => (1, step.trim_start_matches("the peer ").to_owned()),
    };
    kernel::steps().into_iter().map(lane).collect()
}

fn list(stage: &Stage) -> String {
    let mut text = String::new();
    for case in stage.cases {
        let _ = writeln!(text, "case\t{}", case.name);
    }
    for d in stage.diagnoses {
        let _ = writeln!(text, "id\t{}\t{}\t{}\t{}", d.id, d.section, d.function, d.what);
    }
    text
}

fn write(report: &str) {
    match std::env::var_os("WORKSHOP_REPORT") {
        Some(path) => {
            if let Err(error) = fs::write(&path, report) {
                eprintln!("the report could not be written to {}: {error}", path.display());
            }
        }
        None => print!("{report}"),
    }
}
