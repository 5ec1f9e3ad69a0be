//! Figures for people and programs: the line of `--stats`, and the report of SIGUSR1. Each figure is
//! a field; the name of a duration ends in its unit.
//!
//! Called by [`crate::program`] and [`crate::workers`]. Everything here is logged with the target
//! [`REPORT`], which no level hides, because the user has asked for it.

use std::collections::HashMap;
use std::time::Duration;

use tracing::{field, info};
use wakeful::dump::{Dump, TaskGroup};
use wakeful::runtime::RuntimeMetrics;
use wakeful::task::{TaskInfo, TaskState, Waiting};
use wakeful::time::Instant;

use crate::args::Detail;
use crate::connection::Connection;
use crate::log::{REPORT, millis};
use crate::server::Served;

/// The figures from which the line of `--stats` is computed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    open: u64,
    accepted: u64,
    messages: u64,
    bytes: u64,
    poll_p50: Option<Duration>,
    poll_p99: Option<Duration>,
}

impl Stats {
    /// Returns the figures of this thread.
    pub(crate) fn of(served: &Served) -> Stats {
        let counters = &served.state.counters;
        let metrics = wakeful::metrics();
        Stats {
            open: served.connections.len() as u64,
            accepted: counters.accepted.get(),
            messages: counters.messages.get(),
            bytes: counters.bytes.get(),
            poll_p50: metrics.poll_p50(),
            poll_p99: metrics.poll_p99(),
        }
    }

    /// Adds those of another thread. Of the poll times the longer ones are kept, because the
    /// slowest thread is the one to look at.
    pub(crate) fn add(&mut self, more: &Stats) {
        self.open += more.open;
        self.accepted += more.accepted;
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.poll_p50 = self.poll_p50.max(more.poll_p50);
        self.poll_p99 = self.poll_p99.max(more.poll_p99);
    }
}

/// Turns figures that only grow into figures per second.
#[derive(Debug)]
pub(crate) struct StatsTicker {
    last: Stats,
    at: Instant,
}

impl StatsTicker {
    /// Starts a period now.
    pub(crate) fn start(stats: Stats) -> StatsTicker {
        StatsTicker {
            last: stats,
            at: Instant::now(),
        }
    }

    /// Logs one line about the period that ends now, and starts the next one.
    pub(crate) fn log(&mut self, now: Stats) {
        let seconds = self.at.elapsed().as_secs_f64().max(1e-9);
        let per_second = |now: u64, before: u64| ((now - before) as f64 / seconds).round() as u64;
        info!(
            target: REPORT,
            connections = now.open,
            accepted_per_s = per_second(now.accepted, self.last.accepted),
            bytes_per_s = per_second(now.bytes, self.last.bytes),
            messages_per_s = per_second(now.messages, self.last.messages),
            poll_p50_us = now.poll_p50.map(micros),
            poll_p99_us = now.poll_p99.map(micros),
            "stats"
        );
        *self = StatsTicker::start(now);
    }
}

/// Returns a duration as a field whose name ends in `_us`, to a tenth of a microsecond.
fn micros(time: Duration) -> f64 {
    (time.as_nanos() as f64 / 100.0).round() / 10.0
}

/// Logs this thread's counters, its datagram sockets, and what its tasks wait on.
pub(crate) fn report(served: &Served, detail: Detail) {
    let Served { state, connections } = served;
    let counters = &state.counters;
    info!(
        target: REPORT,
        connections = connections.len(),
        accepted = counters.accepted.get(),
        failed = counters.failed.get(),
        messages = counters.messages.get(),
        bytes = counters.bytes.get(),
        "counters"
    );
    report_runtime(&wakeful::metrics());
    for (task, socket) in state.udp_sockets.borrow().iter() {
        info!(
            target: REPORT,
            %task,
            local_addr = %socket.local_addr,
            received = socket.received.get(),
            answered = socket.answered.get(),
            "datagram socket"
        );
    }
    let connections = connections.iter();
    let connections: HashMap<_, _> = connections.map(|(task, peer)| (task.id(), peer)).collect();
    let dump = wakeful::dump();
    let peer_of = |task: &TaskInfo| connections.get(&task.id).map(|peer| &**peer);
    // The one that is running writes the report.
    let is_other = |task: &&TaskInfo| task.state != TaskState::Running;
    if let Some(root) = dump.root.as_ref().filter(is_other) {
        report_task("root", root, &dump, None);
    }
    match detail {
        Detail::Full => {
            for task in dump.tasks.iter().filter(is_other) {
                report_task("task", task, &dump, peer_of(task));
            }
        }
        Detail::Grouped => {
            for group in dump.groups() {
                if is_other(&group.longest) {
                    report_group(&group, &dump, peer_of(group.longest));
                }
            }
        }
    }
}

fn report_runtime(metrics: &RuntimeMetrics) {
    info!(
        target: REPORT,
        tasks = metrics.num_alive_tasks,
        spawned = metrics.spawned_tasks_count,
        polls = metrics.polls,
        wakes = metrics.wakes(),
        wakes_coalesced = metrics.wakes_coalesced,
        wakes_stale = metrics.wakes_stale,
        panics = metrics.panics,
        turns = metrics.turns,
        parks = metrics.parks,
        events = metrics.io_ready_count,
        events_stale = metrics.events_stale,
        sources = metrics.sources,
        waiting = metrics.waiting,
        timers_armed = metrics.timers_armed,
        timers_fired = metrics.timers_fired,
        poll_p50_us = metrics.poll_p50().map(micros),
        poll_p99_us = metrics.poll_p99().map(micros),
        "runtime"
    );
}

/// Returns the wait of a task, if it waits for an operation that the runtime knows.
fn wait_of(task: &TaskInfo) -> Option<Waiting> {
    task.waiting.filter(|_| task.state == TaskState::Waiting)
}

/// Returns the operation on which a task waits, or its state in brackets.
fn waits_on(task: &TaskInfo) -> &'static str {
    match task.state {
        TaskState::Waiting => wait_of(task).map_or("(unknown)", |wait| wait.operation),
        TaskState::Scheduled => "(run queue)",
        TaskState::Finished => "(finished)",
        _ => "(other)",
    }
}

fn elapsed(task: &TaskInfo) -> Option<Duration> {
    wait_of(task).map(|wait| wait.elapsed)
}

/// Returns the own address of a connection, or of the socket for which the task waits.
fn local_addr<'a>(
    task: &TaskInfo,
    dump: &'a Dump,
    peer: Option<&'a Connection>,
) -> Option<field::DisplayValue<&'a str>> {
    let of_source = || {
        let source = dump.source(wait_of(task)?.fd()?)?;
        source.local.as_deref()
    };
    let local = peer.map(Connection::local_addr).or_else(of_source);
    local.map(field::display)
}

/// Logs one group, with the task that has waited for the longest time as an example.
fn report_group(group: &TaskGroup<'_>, dump: &Dump, peer: Option<&Connection>) {
    let oldest = group.longest;
    info!(
        target: REPORT,
        count = group.tasks.len(),
        waits_on = %waits_on(oldest),
        at = wait_of(oldest).map(|wait| field::display(wait.location)),
        oldest = %oldest.id,
        oldest_ms = elapsed(oldest).map(millis),
        peer = peer.map(field::display),
        local_addr = local_addr(oldest, dump, peer),
        received = peer.map(Connection::received),
        sent = peer.map(Connection::sent),
        "tasks"
    );
}

/// Logs one task, or the root future.
fn report_task(message: &str, task: &TaskInfo, dump: &Dump, peer: Option<&Connection>) {
    info!(
        target: REPORT,
        id = %task.id,
        spawned_at = %task.spawned_at,
        polls = task.polls,
        waits_on = %waits_on(task),
        at = wait_of(task).map(|wait| field::display(wait.location)),
        fd = wait_of(task).and_then(|wait| wait.fd()),
        elapsed_ms = elapsed(task).map(millis),
        last_wake = %task.last_wake,
        peer = peer.map(field::display),
        local_addr = local_addr(task, dump, peer),
        received = peer.map(Connection::received),
        sent = peer.map(Connection::sent),
        "{message}"
    );
}
