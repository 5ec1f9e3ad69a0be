//! Part `explain`: what recordings, watched loops and dumps cost, and how long a page needs to load.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bench_load::Report;
use serde::Deserialize;

use crate::bench::{Bench, Collected, Recorder};
use crate::benchmark::Benchmark;
use crate::contestants::{
    ECHO_SERVER, EXPLAINED, Named, RECORDED, RECORDED_SERVER, RUNTIMES, WATCHED,
};
use crate::parts::executor::output;
use crate::record::Sample;
use crate::timeout::{LIMIT, with_timeout};

/// Work items of the micro-benchmarks, with their titles in the results.
const POLLS: [(&str, &str); 3] = [
    ("yield:1", ONE_TASK),
    ("yield:61", "self-wake, 61 tasks"),
    ("yield:1000", MANY_TASKS),
];
const ONE_TASK: &str = "self-wake, one task";
const MANY_TASKS: &str = "self-wake, 1,000 tasks";

/// The events of a task that wakes itself: the wake, and both ends of the poll.
const EVENTS: f64 = 3.0;

/// What is added to a poll, with the contestant, the case of [`POLLS`] and the number of parts.
const ADDED: [(&str, &str, &str, f64); 3] = [
    (EVENT, RECORDED, ONE_TASK, EVENTS),
    (WATCHED_POLL, WATCHED, ONE_TASK, 1.0),
    (WATCHED_POLL_OF_MANY, WATCHED, MANY_TASKS, 1.0),
];
pub(crate) const EVENT: &str = "an event of a recording";
pub(crate) const WATCHED_POLL: &str = "a watched poll, one task";
pub(crate) const WATCHED_POLL_OF_MANY: &str = "a watched poll, 1,000 tasks";

pub(crate) const ECHO: &str = "64 B, 50 clients";

/// Arguments of `bench-explain`, with their titles.
const DESCRIPTIONS: [(&[&str], &str); 4] = [
    (&["joins", "10000"], JOINS),
    (&["sleeps", "10000"], SLEEPS),
    (&["text", "10000"], "the same, and its text by task"),
    (&["copy", "65536"], "copy of a recording of 65,536 events"),
];
pub(crate) const JOINS: &str = "dump of 10,000 tasks that await each other";
pub(crate) const SLEEPS: &str = "dump of 10,000 tasks that sleep";

/// The page, in `bench-explain` and in the results.
const PAGE_EVENTS: &str = "1000000";
pub(crate) const PAGE: &str = "page with 1,000,000 events, until it is loaded";

/// The status of a script that lacks a tool.
const SKIPPED: i32 = 77;

pub(crate) fn measure(bench: &Bench, collected: &mut Collected) -> io::Result<()> {
    collected.note(
        "Self-wake is `wake_by_ref` and `Pending`, by a runtime with its defaults, by one that records into \
         memory, and by one with a watch thread. What an event or a watched poll adds is the difference in \
         the same round; a poll of a task that wakes itself is three events. The recording of the server is a \
         file. The page is the last one million events of tasks that exchange messages; the time is that of \
         headless Chromium from the request to `DOMContentLoaded`, on the core of the load. Dumps and copies are \
         CPU time of the loop's thread, into fresh memory.",
    );
    polls(bench, collected);
    collected.samples.extend(added(&collected.samples));
    echo(bench, collected);
    descriptions(bench, collected);
    page(bench, collected)
}

fn polls(bench: &Bench, collected: &mut Collected) {
    bench.side_by_side(
        bench.runs("explain: polls", 3, |_: &_| 6.0),
        &POLLS,
        &bench.selected(&EXPLAINED),
        collected,
        |(work, _), runtime| {
            let mut command = Command::new(bench.programs.own("bench-micro"));
            command.args([runtime.argument, "--millis", "5", work]);
            Benchmark::start(command, &[bench.server_core], None)
        },
        |(_, title), _, answer, recorder| {
            let line: Poll = serde_json::from_str(answer)?;
            recorder.add(title, 0.0, "ns", line.nanoseconds_each);
            Ok(())
        },
    );
}

/// A line of `bench-micro`.
#[derive(Deserialize)]
struct Poll {
    nanoseconds_each: f64,
}

/// Returns the differences to the plain runtime in the same round.
fn added(samples: &[Sample]) -> Vec<Sample> {
    let plain = RUNTIMES[0].name;
    let mut added = Vec::new();
    for (title, contestant, case, parts) in ADDED {
        let of = |name: &'static str| {
            let polls = samples.iter().filter(move |one| one.metric == "ns");
            polls.filter(move |one| one.case == case && one.contestant == name)
        };
        for own in of(contestant) {
            if let Some(other) = of(plain).find(|other| other.round == own.round) {
                added.push(Sample {
                    case: title.to_owned(),
                    metric: "added".to_owned(),
                    // A hundredth of a nanosecond.
                    value: ((own.value - other.value) / parts * 100.0).round() / 100.0,
                    ..own.clone()
                });
            }
        }
    }
    added
}

fn echo(bench: &Bench, collected: &mut Collected) {
    let file = Temporary::new("wtr");
    let name = file.0.to_string_lossy();
    let arguments = |recorded: bool| match recorded {
        true => vec!["--trace", &*name],
        false => Vec::new(),
    };
    bench.side_by_side(
        bench.runs("explain: echo", 3, |_: &_| 10.0),
        &[()],
        &[Server(false), Server(true)],
        collected,
        |(), one| {
            let server = bench.server_with(&ECHO_SERVER, &arguments(one.0))?;
            bench.start_load(server, "echo --clients 50 --millis 10 --warm-up 2")
        },
        |(), _, answer, recorder| {
            let report: Report = serde_json::from_str(answer)?;
            let count = report.count as f64;
            recorder.add(ECHO, 0.0, "rate", count / report.seconds);
            recorder.add(ECHO, 0.0, "cpu", report.server_cpu_seconds * 1e6 / count);
            Ok(())
        },
    );
}

/// The server, with or without a recording.
#[derive(Clone, Copy)]
struct Server(bool);

impl Named for Server {
    fn name(&self) -> &'static str {
        if self.0 {
            RECORDED_SERVER
        } else {
            ECHO_SERVER.name
        }
    }
}

fn descriptions(bench: &Bench, collected: &mut Collected) {
    bench.side_by_side(
        bench.runs("explain: dumps", 2, |_: &_| 0.5),
        &DESCRIPTIONS,
        &[RUNTIMES[0]],
        collected,
        |(arguments, _), _| {
            let mut command = Command::new(bench.programs.own("bench-explain"));
            // Each copy and each dump gets fresh memory from the kernel, as the only one of a server would.
            command
                .args(*arguments)
                .env("MALLOC_MMAP_THRESHOLD_", "131072");
            Benchmark::start(command, &[bench.server_core], None)
        },
        |(_, title), _, answer, recorder| {
            let line: Description = serde_json::from_str(answer)?;
            recorder.add(title, 0.0, "time", line.milliseconds);
            Ok(())
        },
    );
}

/// A line of `bench-explain`.
#[derive(Deserialize)]
struct Description {
    milliseconds: f64,
}

/// Measures the page, or says why that is not possible.
fn page(bench: &Bench, collected: &mut Collected) -> io::Result<()> {
    let file = Temporary::new("html");
    let path = file.0.to_string_lossy().into_owned();
    let events = bench.quick_or_full("60000", PAGE_EVENTS);
    let arguments = ["page", events, &path].map(str::to_owned);
    output(bench, "bench-explain", &arguments)?;
    let mut skipped = None;
    bench.in_turn(
        "explain: page",
        bench.rounds(1, 9),
        &[()],
        &[RUNTIMES[0]],
        collected,
        |(), _, recorder| {
            if skipped.is_none() {
                skipped = load(bench, &file.0, recorder)?;
            }
            Ok(())
        },
    );
    if let Some(why) = skipped {
        collected.skip(format!("explain, {PAGE}: {why}"));
    }
    Ok(())
}

/// Loads the page once in a browser. Returns why it was skipped, if it was.
fn load(bench: &Bench, page: &Path, recorder: &mut Recorder<'_>) -> io::Result<Option<String>> {
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../extras/trace/tests/browser/load.py");
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(script)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = match bench_common::pinned(&[bench.load_core], || command.spawn()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some("/usr/bin/python3 is not installed".to_owned()));
        }
        child => child?,
    };
    let output = with_timeout(LIMIT, child.id(), || child.wait_with_output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(SKIPPED) {
        return Ok(Some(text.trim().trim_start_matches("SKIPPED: ").to_owned()));
    }
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().rfind(|line| !line.is_empty());
        return Err(io::Error::other(last.unwrap_or("failed").to_owned()));
    }
    let times: Loaded = serde_json::from_str(text.trim())?;
    recorder.add(PAGE, 0.0, "time", times.loaded_ms);
    recorder.add("the same, drawn again", 0.0, "time", times.drawn_ms);
    Ok(None)
}

/// A line of `load.py`.
#[derive(Deserialize)]
struct Loaded {
    loaded_ms: f64,
    drawn_ms: f64,
}

/// A file that is removed at the end.
struct Temporary(PathBuf);

impl Temporary {
    fn new(ending: &str) -> Temporary {
        let name = format!("bench-suite-{}.{ending}", std::process::id());
        Temporary(env::temp_dir().join(name))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It does not exist if nothing was measured.
        fs::remove_file(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_the_difference_in_the_same_round() {
        let sample = |contestant: &str, case: &str, round, value| Sample {
            case: case.to_owned(),
            x: 0.0,
            contestant: contestant.to_owned(),
            metric: "ns".to_owned(),
            round,
            value,
        };
        let samples = [
            sample(RUNTIMES[0].name, ONE_TASK, 0, 10.0),
            sample(RECORDED, ONE_TASK, 0, 70.0),
            sample(RUNTIMES[0].name, ONE_TASK, 1, 100.0),
            sample(WATCHED, ONE_TASK, 1, 101.5),
            sample(WATCHED, MANY_TASKS, 1, 50.0),
        ];
        let added: Vec<_> = added(&samples)
            .into_iter()
            .map(|one| (one.case, one.round, one.value))
            .collect();
        let expected = [(EVENT, 0, 20.0), (WATCHED_POLL, 1, 1.5)];
        assert_eq!(
            added,
            expected.map(|(case, round, value)| (case.to_owned(), round, value))
        );
    }
}
