//! The command line.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

/// The answer to `--help`.
pub(crate) const USAGE: &str = "\
Shows recordings of the Wakeful runtime.

Usage:
  wakeful-trace convert IN... OUT  writes OUT; its ending is .txt, .json (Perfetto, Chrome), .svg or .html
  wakeful-trace text IN            prints a summary and all events      [--summary: without the events]
  wakeful-trace ps IN              prints all tasks at the last event   [--json]
  wakeful-trace top IN             shows the tasks of a process, again and again

IN is a file (.wtr), or the id of a process with a recording. A file named like a number is ./NUMBER.
Several are shown beside each other, on the time of day.

Options of top:
  --once             prints one table and exits
  --json             the same as JSON (with --once)
  --interval TIME    time between two tables: 0.1 to 3600 seconds (default: 1)
  --sort KEY         busy (default), polls, wakes or wait
  --runtime NUMBER   a runtime of the process, if it has several recordings

  -h, --help         prints this
  -V, --version      prints the version

Status: 0 done, 1 a recording could not be read or a file not written, 2 wrong usage.
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print a text.
    Print(String),
    /// Write a file.
    Convert {
        /// What to read: one or several.
        from: Vec<Source>,
        /// What to write.
        to: PathBuf,
    },
    /// Print a summary and the events.
    Text {
        /// What to read.
        from: Source,
        /// Whether to leave out the events.
        summary: bool,
    },
    /// Print the tasks.
    Ps {
        /// What to read.
        from: Source,
        /// Whether to print JSON.
        json: bool,
    },
    /// Show the tasks again and again.
    Top(Top),
}

/// Options of `top`.
#[derive(Debug)]
pub(crate) struct Top {
    /// What to read.
    pub(crate) from: Source,
    /// Whether to print one table only.
    pub(crate) once: bool,
    /// Whether to print JSON.
    pub(crate) json: bool,
    /// Time between two tables.
    pub(crate) interval: Duration,
    /// What to sort by.
    pub(crate) sort: Sort,
    /// Number of a runtime.
    pub(crate) runtime: Option<u64>,
}

/// Order of the lines of `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// By the part of the time spent in polls.
    Busy,
    /// By polls per second.
    Polls,
    /// By wakes per second.
    Wakes,
    /// By the length of the present wait.
    Wait,
}

/// A recording.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// A process.
    Process(u32),
}

impl Source {
    /// Returns the name of the source among others: that of the file without its ending.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => path.with_extension("").display().to_string(),
            Self::Process(_) => self.words(),
        }
    }

    /// Returns the source as it is named in errors.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Process(pid) => format!("process {pid}"),
        }
    }
}

/// Parses the command line.
pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    parse_from(lexopt::Parser::from_env())
}

fn parse_from(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut given = Given::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(USAGE.to_owned())),
            Short('V') | Long("version") => {
                let version = concat!("wakeful-trace ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Command::Print(version.to_owned()));
            }
            Long("once") => given.options.push("--once"),
            Long("json") => given.options.push("--json"),
            Long("summary") => given.options.push("--summary"),
            Long("interval") => {
                given.options.push("--interval");
                given.interval = Some(parser.value()?.parse_with(seconds)?);
            }
            Long("sort") => {
                given.options.push("--sort");
                given.sort = Some(parser.value()?.parse_with(order)?);
            }
            Long("runtime") => {
                given.options.push("--runtime");
                given.runtime = Some(parser.value()?.parse_with(number)?);
            }
            Value(value) => given.values.push_back(value),
            _ => return Err(argument.unexpected()),
        }
    }
    given.command()
}

/// The arguments, not yet checked against each other.
#[derive(Default)]
struct Given {
    values: VecDeque<OsString>,
    options: Vec<&'static str>,
    interval: Option<Duration>,
    sort: Option<Sort>,
    runtime: Option<u64>,
}

impl Given {
    fn command(mut self) -> Result<Command, lexopt::Error> {
        let command = self.value("a command is missing: convert, text, ps or top")?;
        let command = command.to_string_lossy();
        let command: &str = &command;
        let allowed: &[&str] = match command {
            "convert" => &[],
            "text" => &["--summary"],
            "ps" => &["--json"],
            "top" => &["--once", "--json", "--interval", "--sort", "--runtime"],
            _ => {
                let known = "known are convert, text, ps and top";
                return Err(format!("unknown command {command:?}: {known}").into());
            }
        };
        let unknown = |option: &&&str| !allowed.contains(option);
        if let Some(option) = self.options.iter().find(unknown) {
            let has = match allowed {
                [] => String::new(),
                _ => format!("; it has {}", allowed.join(", ")),
            };
            return Err(format!("{command} has no option {option}{has}").into());
        }
        if command == "convert" {
            return self.convert();
        }
        let from = self.source()?;
        let has = |option| self.options.contains(&option);
        let (json, once, summary) = (has("--json"), has("--once"), has("--summary"));
        let command = match command {
            "text" => Command::Text { from, summary },
            "ps" => Command::Ps { from, json },
            _ if json && !once => return Err("--json of top needs --once".into()),
            _ => Command::Top(Top {
                from,
                once,
                json,
                interval: self.interval.unwrap_or(Duration::from_secs(1)),
                sort: self.sort.unwrap_or(Sort::Busy),
                runtime: self.runtime,
            }),
        };
        match self.values.pop_front() {
            Some(more) => Err(Value(more).unexpected()),
            None => Ok(command),
        }
    }

    fn convert(mut self) -> Result<Command, lexopt::Error> {
        let mut from = vec![self.source()?];
        while self.values.len() > 1 {
            from.push(self.source()?);
        }
        let to = self.value("the file to write is missing")?.into();
        Ok(Command::Convert { from, to })
    }

    fn value(&mut self, missing: &str) -> Result<OsString, lexopt::Error> {
        self.values.pop_front().ok_or_else(|| missing.into())
    }

    fn source(&mut self) -> Result<Source, lexopt::Error> {
        let value = self.value("a file or the id of a process is missing")?;
        let pid = value.to_str().and_then(|text| text.parse().ok());
        Ok(pid.map_or_else(|| Source::File(value.into()), Source::Process))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .strip_suffix('s')
        .unwrap_or(text)
        .parse()
        .unwrap_or(0.0);
    match (0.1..=3600.0).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => Err("a time between two tables is 0.1 to 3600 seconds".to_owned()),
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "a runtime is a number, as ps prints it")
}

fn order(text: &str) -> Result<Sort, String> {
    match text {
        "busy" => Ok(Sort::Busy),
        "polls" => Ok(Sort::Polls),
        "wakes" => Ok(Sort::Wakes),
        "wait" => Ok(Sort::Wait),
        _ => Err("a key is busy, polls, wakes or wait".to_owned()),
    }
}
