//! What the executors cost, without any socket: time, growth, allocations.
//!
//! Every process measures one runtime, on the server's core.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::contest::{RUNTIMES, Runtime, TOKIO};
use crate::patience::{LIMIT, within};
use crate::stage::{Gathered, Run, Stage};
use crate::stand::Stand;

/// The works of the micro-benchmarks, and what they are called in the results.
const WORKS: [(&str, &str); 11] = [
    ("chain:0", "spawn and finish, one by one"),
    ("bulk", "spawn and finish, 1,000 at once"),
    ("await", "spawn and await"),
    ("yield:1", "wake oneself, one task"),
    ("yield:1000", "wake oneself, among 1,000"),
    ("yield-now", "the runtime's own yield"),
    ("ping-pong", "ping-pong between two tasks"),
    ("arm:0", "arm and drop a timer"),
    ("thread", "wake from another thread, there and back"),
    ("arm:100000", "arm and drop a timer, beside 100,000"),
    ("fire:100000", "fire 100,000 timers, each"),
];

/// From here on one measurement takes long, or tells little: two cores that wake each other are at the
/// mercy of both their neighbours.
const LONG: usize = 8;

pub(crate) fn micro(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Every runtime does exactly the same work, written once and generic; all of it runs inside \
         a spawned task. \"Wake oneself\" is `wake_by_ref` and `Pending`, the same code for all; \
         \"the runtime's own yield\" may look for events first (tokio's does). Ping-pong is there \
         and back: two wakes, two polls. A timer is armed by one poll, and an earlier one is \
         pending, as in a server. Firing is CPU time of all threads of the process, after all \
         timers have fallen due: expiring, waking, polling and ending a task. glommio is on \
         io_uring: it has nothing else.",
    );
    let runtimes = stage.selected(&RUNTIMES);
    let (short, long) = WORKS.split_at(LONG);
    for (works, seconds) in [(short, 3.0), (long, 15.0)] {
        stage.side_by_side(
            stage.sittings("micro", 3, |_: &_| seconds),
            works,
            &runtimes,
            gathered,
            |(work, _), runtime| {
                let mut command = Command::new(stage.programs.own("bench-micro"));
                command.args(arguments(stage, runtime, 5)).arg(work);
                Stand::start(command, &[stage.server_core], None)
            },
            |(_, title), _, answer, run| {
                let line: Line = serde_json::from_str(answer)?;
                run.add(title, 0.0, "ns", line.nanoseconds_each);
                Ok(())
            },
        );
    }
}

pub(crate) fn curves(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "What is O(1) stays flat but for the caches: a million tasks do not fit into them. Timers \
         are fired from 1,000 on: with fewer the one wake-up from sleep is what one would measure. \
         Where a runtime does not let the others run (monoio, among very many), the figure is that \
         of one task alone. wakeful and tokio take part in every round, the others in one: a \
         million timers take some of them many seconds.",
    );
    let runtimes: Vec<Runtime> = stage
        .selected(&RUNTIMES)
        .into_iter()
        .filter(|runtime| !runtime.name.starts_with("tokio Local"))
        .collect();
    let sizes: &[u64] = stage.either(
        &[10, 1000, 100_000],
        &[10, 100, 1000, 10_000, 100_000, 1_000_000],
    );
    let kinds = [
        ("chain", "spawn and finish, beside waiting tasks", 10),
        ("yield", "wake oneself, among tasks", 10),
        ("arm", "arm and drop a timer, beside timers", 10),
        ("fire", "fire timers, each", 1000),
    ];
    let tasks: Vec<_> = kinds
        .iter()
        .flat_map(|kind| sizes.iter().map(move |&size| (kind, size)))
        .filter(|((_, _, from), size)| size >= from)
        .collect();
    let (rounds, millis) = (stage.rounds(1, 3), stage.either(10, 30));
    stage.in_turns(
        "curves",
        rounds,
        &tasks,
        &runtimes,
        gathered,
        |task, runtime, run| {
            if run.round > 0 && ![RUNTIMES[0].name, TOKIO].contains(&runtime.name) {
                return Ok(());
            }
            let ((work, title, _), size) = task;
            let mut arguments = arguments(stage, runtime, millis);
            arguments.push(format!("{work}:{size}"));
            let line: Line = serde_json::from_str(&output(stage, "bench-micro", &arguments)?)?;
            run.add(title, *size as f64, "ns", line.nanoseconds_each);
            Ok(())
        },
    );
}

pub(crate) fn allocations(stage: &Stage, gathered: &mut Gathered) {
    gathered.note(
        "Counted by an allocator that wraps the system's, over 100,000 operations or tasks. Bytes \
         are those asked for, tables of the runtime included, so a table that doubles when it is \
         full counts with its free places. The waiting task's future has 8 bytes of its own, the \
         sleeping task's also holds the timer.",
    );
    let runtimes = stage.selected(&RUNTIMES);
    stage.in_turns(
        "allocations",
        1,
        &[()],
        &runtimes,
        gathered,
        |(), runtime, run| count(stage, runtime, run),
    );
}

fn count(stage: &Stage, runtime: &Runtime, run: &mut Run<'_>) -> io::Result<()> {
    let output = output(stage, "bench-count", &[runtime.argument.to_owned()])?;
    let counts: BTreeMap<String, f64> = serde_json::from_str(&output)?;
    for (key, title) in [
        ("per_spawn", "allocations, spawn and finish"),
        ("per_spawn_await", "allocations, spawn and await"),
        ("per_wake", "allocations, wake and poll"),
        ("per_timer", "allocations, arm and drop a timer"),
        ("bytes_per_waiting_task", "bytes, waiting task"),
        ("bytes_per_sleeping_task", "bytes, sleeping task"),
    ] {
        let value = counts.get(key).copied();
        let value = value.ok_or_else(|| io::Error::other(format!("{key} was not counted")))?;
        run.add(title, 0.0, "count", value);
    }
    Ok(())
}

/// One line of the micro-benchmarks.
#[derive(Deserialize)]
struct Line {
    nanoseconds_each: f64,
}

/// How the micro-benchmarks of one runtime are called, but for the work.
fn arguments(stage: &Stage, runtime: &Runtime, millis: u32) -> Vec<String> {
    let (millis, helper) = (millis.to_string(), stage.load_core.to_string());
    let runtime = runtime.argument.to_owned();
    let [for_so_long, on] = ["--millis", "--helper-core"].map(str::to_owned);
    vec![runtime, for_so_long, millis, on, helper]
}

/// Runs a program on the server's core.
fn output(stage: &Stage, program: &str, arguments: &[String]) -> io::Result<String> {
    let mut command = Command::new(stage.programs.own(program));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = bench_common::pinned(&[stage.server_core], || command.spawn())?;
    let output = within(LIMIT, child.id(), || child.wait_with_output())?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        let first = complaint.lines().find(|line| !line.is_empty());
        return Err(io::Error::other(first.unwrap_or("failed").to_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
