//! Parts `micro`, `curves` and `allocations`: executors and timers, without sockets.
//!
//! Every process measures one runtime, on the server's core.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::bench::{Bench, Collected, Recorder};
use crate::benchmark::Benchmark;
use crate::contestants::{RUNTIMES, Runtime, TOKIO};
use crate::timeout::{LIMIT, with_timeout};

/// Work items of the micro-benchmarks, with their titles in the results.
const WORKS: [(&str, &str); 11] = [
    ("chain:0", "spawn and finish, one by one"),
    ("bulk", "spawn and finish, 1,000 at once"),
    ("await", "spawn and await"),
    ("yield:1", "self-wake, one task"),
    ("yield:1000", "self-wake, 1,000 tasks"),
    ("yield-now", "yield_now of the runtime"),
    ("ping-pong", "ping-pong between two tasks"),
    ("arm:0", "arm and drop a timer"),
    ("thread", "wake from another thread, round trip"),
    ("arm:100000", "arm and drop a timer, 100,000 pending"),
    ("fire:100000", "fire 100,000 timers, each"),
];

/// Index of the first work item that needs a longer run. Either one measurement is long, or it is
/// noisy: wakes between two cores depend on the neighbors of both on a virtual machine.
const LONG: usize = 8;

pub(crate) fn micro(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "Every runtime runs the same generic code, inside a spawned task. \"Self-wake\" is \
         `wake_by_ref` and `Pending`, the same code for all runtimes; the runtime's `yield_now` can \
         poll for events first (tokio's does). Ping-pong is one round trip: two wakes, two polls. A \
         timer is armed by one poll while an earlier timer is pending, as in a server. \"Fire\" is CPU \
         time of all threads of the process after all timers are due: expire, wake, poll and finish \
         a task. glommio runs on io_uring because it supports nothing else.",
    );
    let runtimes = bench.selected(&RUNTIMES);
    let (short, long) = WORKS.split_at(LONG);
    for (works, seconds) in [(short, 3.0), (long, 15.0)] {
        bench.side_by_side(
            bench.runs("micro", 3, |_: &_| seconds),
            works,
            &runtimes,
            collected,
            |(work, _), runtime| {
                let mut command = Command::new(bench.programs.own("bench-micro"));
                command.args(arguments(bench, runtime, 5)).arg(work);
                Benchmark::start(command, &[bench.server_core], None)
            },
            |(_, title), _, answer, recorder| {
                let line: Line = serde_json::from_str(answer)?;
                recorder.add(title, 0.0, "ns", line.nanoseconds_each);
                Ok(())
            },
        );
    }
}

pub(crate) fn curves(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "A cost of O(1) is flat except for cache misses: a million tasks do not fit into the caches. \
         \"Fire\" starts at 1,000 timers, because with fewer the single wake-up from sleep dominates. If \
         a runtime does not run the other tasks (monoio, with very many), the figure is that of one \
         task. wakeful and tokio take part in every round, the others in one round, because a million \
         timers take some of them many seconds.",
    );
    let runtimes: Vec<Runtime> = bench
        .selected(&RUNTIMES)
        .into_iter()
        .filter(|runtime| !runtime.name.starts_with("tokio Local"))
        .collect();
    let sizes: &[u64] = bench.quick_or_full(
        &[10, 1000, 100_000],
        &[10, 100, 1000, 10_000, 100_000, 1_000_000],
    );
    let kinds = [
        ("chain", "spawn and finish, with waiting tasks", 10),
        ("yield", "self-wake, many tasks", 10),
        ("arm", "arm and drop a timer, with pending timers", 10),
        ("fire", "fire timers, each", 1000),
    ];
    let tasks: Vec<_> = kinds
        .iter()
        .flat_map(|kind| sizes.iter().map(move |&size| (kind, size)))
        .filter(|((_, _, from), size)| size >= from)
        .collect();
    let (rounds, millis) = (bench.rounds(1, 3), bench.quick_or_full(10, 30));
    bench.in_turn(
        "curves",
        rounds,
        &tasks,
        &runtimes,
        collected,
        |task, runtime, recorder| {
            if recorder.round > 0 && ![RUNTIMES[0].name, TOKIO].contains(&runtime.name) {
                return Ok(());
            }
            let ((work, title, _), size) = task;
            let mut arguments = arguments(bench, runtime, millis);
            arguments.push(format!("{work}:{size}"));
            let line: Line = serde_json::from_str(&output(bench, "bench-micro", &arguments)?)?;
            recorder.add(title, *size as f64, "ns", line.nanoseconds_each);
            Ok(())
        },
    );
}

pub(crate) fn allocations(bench: &Bench, collected: &mut Collected) {
    collected.note(
        "Counted by an allocator that wraps the system's, over 100,000 operations or tasks. Bytes are \
         requested bytes, with the tables of the runtime. A table that doubles when it is full counts \
         with its free entries. The future of a waiting task has 8 bytes; that of a sleeping task also \
         holds the timer.",
    );
    let runtimes = bench.selected(&RUNTIMES);
    bench.in_turn(
        "allocations",
        1,
        &[()],
        &runtimes,
        collected,
        |(), runtime, recorder| count(bench, runtime, recorder),
    );
}

fn count(bench: &Bench, runtime: &Runtime, recorder: &mut Recorder<'_>) -> io::Result<()> {
    let output = output(bench, "bench-count", &[runtime.argument.to_owned()])?;
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
        recorder.add(title, 0.0, "count", value);
    }
    Ok(())
}

/// One line of the micro-benchmarks.
#[derive(Deserialize)]
struct Line {
    nanoseconds_each: f64,
}

/// Returns the arguments of the micro-benchmarks for a runtime, without the work item.
fn arguments(bench: &Bench, runtime: &Runtime, millis: u32) -> Vec<String> {
    let (millis, helper) = (millis.to_string(), bench.load_core.to_string());
    let runtime = runtime.argument.to_owned();
    let [millis_option, helper_option] = ["--millis", "--helper-core"].map(str::to_owned);
    vec![runtime, millis_option, millis, helper_option, helper]
}

/// Runs a program on the server's core and returns its output.
pub(super) fn output(bench: &Bench, program: &str, arguments: &[String]) -> io::Result<String> {
    let mut command = Command::new(bench.programs.own(program));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = bench_common::pinned(&[bench.server_core], || command.spawn())?;
    let output = with_timeout(LIMIT, child.id(), || child.wait_with_output())?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let first = stderr.lines().find(|line| !line.is_empty());
        return Err(io::Error::other(first.unwrap_or("failed").to_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
