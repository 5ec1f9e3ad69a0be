//! The program `wakeful-trace`: converts recordings, and shows what a process does.
//!
//! Status: 0 if it worked, 1 if a recording could not be read or written, 2 for a usage error.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::slice;
use std::time::Duration;

use wakeful_trace::{Error, Format, Model, Trace, live, table, text};

mod args;
mod screen;
mod top;

use args::{Command, Source};

fn main() -> ExitCode {
    let command = match args::parse() {
        Ok(Command::Print(answer)) => return finish(print(&answer)),
        Ok(command) => command,
        Err(error) => {
            // If stderr is closed, the status still reports the error.
            writeln!(
                io::stderr(),
                "wakeful-trace: {error}\n\n{}",
                args::USAGE.trim_end()
            )
            .ok();
            return ExitCode::from(2);
        }
    };
    finish(run(command))
}

/// How long `ps` and `top` wait for a keyframe: a loop that is busy writes it in its next turn.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the program ends with status 1.
#[derive(Debug)]
enum Failure {
    Recording(Error),
    Output(io::Error),
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Recording(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn finish(outcome: Result<(), Failure>) -> ExitCode {
    let message = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        // The reader of a pipe has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(Failure::Output(error)) => format!("cannot write the output: {error}"),
        Err(Failure::Recording(error)) => error.to_string(),
        Err(Failure::Other(message)) => message,
    };
    writeln!(io::stderr(), "wakeful-trace: {message}").ok();
    ExitCode::FAILURE
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Print(answer) => print(&answer),
        Command::Convert { from, to } => convert(&from, &to),
        Command::Text { from, summary } => {
            let trace = read_all(slice::from_ref(&from))?;
            let model = Model::new(&trace);
            print(&match summary {
                true => text::summary(&trace, &model),
                false => text::render(&trace, &model),
            })
        }
        Command::Ps { from, json } => {
            for path in paths(&from)? {
                ps(&path, json)?;
            }
            Ok(())
        }
        Command::Top(options) => top::run(&options),
    }
}

/// Returns the files of a source: one, or one for each runtime of a process.
fn paths(source: &Source) -> Result<Vec<PathBuf>, Error> {
    match source {
        Source::File(path) => Ok(vec![path.clone()]),
        Source::Process(pid) => live::of_process(*pid),
    }
}

/// Reads a recording, the first one of a process.
fn read(source: &Source) -> Result<Trace, Failure> {
    let paths = paths(source)?;
    let trace = live::open(&paths[0]).map_err(|error| unreadable(&source.words(), error))?;
    if paths.len() > 1 {
        writeln!(
            io::stderr(),
            "wakeful-trace: the process has {} recordings; this is that of runtime {}",
            paths.len(),
            trace.runtime
        )
        .ok();
    }
    Ok(trace)
}

/// Returns the failure to read a recording. An error of a system call has operation and file already.
fn unreadable(source: &str, error: Error) -> Failure {
    match error {
        Error::Io(..) | Error::NoRecording(_) => Failure::Recording(error),
        _ => Failure::Other(format!("cannot read {source}: {error}")),
    }
}

/// Writes the warnings of a recording to stderr.
fn warn(trace: &Trace) {
    for warning in &trace.warnings {
        writeln!(io::stderr(), "wakeful-trace: warning: {warning}").ok();
    }
}

/// Reads recordings, and puts several on one axis by the time of day at which they began. Writes their warnings to
/// stderr.
fn read_all(sources: &[Source]) -> Result<Trace, Failure> {
    if let [source] = sources {
        let trace = read(source)?;
        warn(&trace);
        return Ok(trace);
    }
    let mut parts = Vec::new();
    for source in sources {
        parts.push((source.name(), read(source)?));
    }
    let begins = parts.iter().map(|(_, trace)| trace.wall_clock);
    let first = begins.min().unwrap_or(0);
    for (_, trace) in &mut parts {
        let offset = trace.wall_clock - first;
        trace.map_times(|ns| ns.saturating_add(offset));
    }
    let merged = Trace::merge(parts);
    let merged = merged.ok_or_else(|| Failure::Other("there is no recording".to_owned()))?;
    warn(&merged);
    Ok(merged)
}

fn convert(from: &[Source], to: &Path) -> Result<(), Failure> {
    let format = Format::of_path(to)
        .map_err(|error| Failure::Other(format!("cannot write the output: {error}")))?;
    let failed = |error| Error::Io("write", to.to_owned(), error);
    let trace = read_all(from)?;
    if from.iter().any(|source| is_same_file(source, to)) {
        let same = "it is the recording that is read";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, same)).into());
    }
    fs::write(to, format.render(&trace)).map_err(|error| failed(error).into())
}

fn is_same_file(source: &Source, other: &Path) -> bool {
    let Source::File(source) = source else {
        return false;
    };
    let file = |path: &Path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((file(source), file(other)), (Ok(one), Ok(other)) if one == other)
}

/// Prints the table of a recording at its last event.
fn ps(path: &Path, json: bool) -> Result<(), Failure> {
    let recording = live::Live::open(path)?;
    let read = || {
        let named = |error| unreadable(&path.display().to_string(), error);
        recording.read().map_err(named)
    };
    let mut trace = read()?;
    // The ring forgets a task that has not been polled for long. The file of a dead process stays as it is.
    if live::thread_state(&trace).is_some()
        && !trace.ended
        && recording.keyframe(PATIENCE)? == Some(true)
    {
        trace = read()?;
    }
    let model = Model::new(&trace);
    let mut rows = table::rows(&trace, &model);
    let state = live::thread_state(&trace);
    let age = live::age(&trace).filter(|_| state.is_some() && !trace.ended);
    if let Some(age) = age {
        table::add_age(&mut rows, age);
    }
    if json {
        warn(&trace);
        return print(&table::to_json(&trace, &rows, 0));
    }
    let mut out = table::loop_line(&trace, &model);
    out.push('\n');
    match state {
        _ if trace.ended => {}
        Some(state) => match age {
            Some(age) => out.push_str(&format!(
                "{state}; its last event is {} old\n",
                wakeful_trace::words::duration(age)
            )),
            None => out.push_str(&format!("{state}; the times are those of its own clock\n")),
        },
        None => out.push_str("the process has ended; this is its last event\n"),
    }
    for warning in &trace.warnings {
        out.push_str(&format!("warning: {warning}\n"));
    }
    out.push('\n');
    out.push_str(&table::render(&rows));
    print(&out)
}
