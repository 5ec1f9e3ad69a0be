//! Measures how long a runtime takes to describe itself; prints one line of JSON, or one for each line on stdin.
//!
//! `page` measures nothing: it writes a page with a large recording, for a browser to load.

use std::error::Error;
use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use wakeful::io::duplex;
use wakeful::runtime::Builder;
use wakeful::task::{JoinHandle, yield_now};
use wakeful::time::sleep;
use wakeful::trace::{self, Recording};
use wakeful_trace::{Format, Trace};

#[derive(Debug, Parser)]
#[command(name = "bench-explain", version, about)]
struct Args {
    #[command(subcommand)]
    work: Work,
    /// Measure once for every line on stdin
    #[arg(long, global = true)]
    on_request: bool,
}

#[derive(Clone, Debug, Subcommand)]
enum Work {
    /// A dump of tasks each of which awaits the next one
    Joins { tasks: usize },
    /// A dump of tasks that sleep
    Sleeps { tasks: usize },
    /// A dump of tasks that sleep, and its text with a line for each
    Text { tasks: usize },
    /// A copy of a recording whose ring is full
    Copy { events: usize },
    /// Write a page with a recording of at least this number of events
    Page { events: usize, file: PathBuf },
}

fn main() -> Result<(), Box<dyn Error>> {
    let Args { work, on_request } = Args::parse();
    match work {
        Work::Joins { tasks } => wakeful::block_on(async {
            let _tasks = chain(tasks).await;
            answer(on_request, || drop(black_box(wakeful::dump())))
        }),
        Work::Sleeps { tasks } => wakeful::block_on(async {
            let _tasks = sleepers(tasks).await;
            answer(on_request, || drop(black_box(wakeful::dump())))
        }),
        Work::Text { tasks } => wakeful::block_on(async {
            let _tasks = sleepers(tasks).await;
            answer(on_request, || {
                drop(black_box(format!("{:#}", wakeful::dump())))
            })
        }),
        Work::Copy { events } => recorded(events, async {
            exchange(events as u64 / 4).await;
            answer(on_request, || drop(black_box(trace::snapshot())))
        }),
        Work::Page { events, file } => recorded(events, async { page(events, &file).await }),
    }
}

/// Measures once, or once for each line on stdin.
fn answer(on_request: bool, mut work: impl FnMut()) -> Result<(), Box<dyn Error>> {
    // The first time needs memory that the others use again.
    work();
    let mut measure = || {
        let before = cpu_time();
        work();
        let milliseconds = (cpu_time() - before).as_secs_f64() * 1e3;
        writeln!(io::stdout(), "{}", json!({ "milliseconds": milliseconds }))
    };
    if !on_request {
        return Ok(measure()?);
    }
    for request in io::stdin().lines() {
        request?;
        measure()?;
    }
    Ok(())
}

/// Returns the CPU time of this thread: the loop stands still for as long, if it has a core.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .expect("it does not run backwards")
}

/// Runs a future on a runtime that records.
fn recorded<T>(
    events: usize,
    future: impl Future<Output = Result<T, Box<dyn Error>>>,
) -> Result<T, Box<dyn Error>> {
    let recording = Recording::new().events(events);
    Builder::new().record(recording).build()?.block_on(future)
}

/// Spawns tasks of which each awaits the next one, and the last one waits for a timer.
async fn chain(tasks: usize) -> JoinHandle<()> {
    let mut next = wakeful::spawn(sleep(HOUR));
    for _ in 1..tasks {
        next = wakeful::spawn(async move { next.await.expect("it does not panic") });
    }
    settle(tasks).await;
    next
}

async fn sleepers(tasks: usize) -> Vec<JoinHandle<()>> {
    let each = |task| wakeful::spawn(sleep(HOUR + Duration::from_millis(task)));
    let all = (0..tasks as u64).map(each).collect();
    settle(tasks).await;
    all
}

/// Longer than any measurement.
const HOUR: Duration = Duration::from_secs(3600);

/// Lets every task be polled.
async fn settle(tasks: usize) {
    for _ in 0..tasks {
        yield_now().await;
    }
}

/// Fills the ring with events, and writes the page.
async fn page(events: usize, file: &Path) -> Result<(), Box<dyn Error>> {
    exchange(events as u64 / 4).await;
    let bytes = trace::snapshot().ok_or("this runtime does not record")?;
    let recording = Trace::from_bytes(&bytes)?;
    let found = recording.events.len();
    if found < events {
        return Err(format!("{found} events were recorded instead of {events}").into());
    }
    Ok(fs::write(file, Format::Html.render(&recording))?)
}

/// Pairs of tasks pass messages back and forth. Each message is at least four events.
async fn exchange(messages: u64) {
    const PAIRS: u64 = 25;
    let pairs = (0..PAIRS).map(|_| {
        let (near, far) = duplex(64);
        let echoes = wakeful::spawn(async move {
            let mut message = [0; 8];
            while far.read_exact(&mut message).await.is_ok() {
                far.write_all(&message).await.expect("the other end reads");
            }
        });
        let sends = wakeful::spawn(async move {
            for message in 0..messages / PAIRS + 1 {
                let sent = message.to_le_bytes();
                near.write_all(&sent).await.expect("the other end reads");
                let mut message = [0; 8];
                near.read_exact(&mut message)
                    .await
                    .expect("the other end writes");
                assert_eq!(message, sent, "the message comes back");
            }
        });
        (echoes, sends)
    });
    for (echoes, sends) in pairs.collect::<Vec<_>>() {
        sends.await.expect("it does not panic");
        echoes.await.expect("it does not panic");
    }
}
