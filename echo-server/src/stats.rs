//! Figures for people: the line of `--stats`, and the list of tasks for SIGUSR1.
//!
//! Called by [`crate::program`] and [`crate::workers`]. Everything here is logged with the target
//! [`REPORT`], which no level hides, because the user has asked for it.

use std::collections::HashMap;
use std::time::Duration;

use tracing::info;
use wakeful::task;
use wakeful::time::Instant;

use crate::log::REPORT;
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
            poll_p50 = %show(now.poll_p50),
            poll_p99 = %show(now.poll_p99),
            "stats"
        );
        *self = StatsTicker::start(now);
    }
}

fn show(time: Option<Duration>) -> String {
    time.map_or("none".to_owned(), |time| format!("{time:?}"))
}

/// Logs this thread's counters and what each of its tasks waits on.
pub(crate) fn report(served: &Served) {
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
    info!(target: REPORT, "{:?}", wakeful::metrics());
    let connections = connections.iter();
    let connections: HashMap<_, _> = connections.map(|(task, peer)| (task.id(), peer)).collect();
    for task in task::dump() {
        if let Some(socket) = state.udp_sockets.borrow().get(&task.id) {
            info!(target: REPORT, "{task}; serves {socket}");
        } else if let Some(peer) = connections.get(&task.id) {
            info!(
                target: REPORT,
                "{task}; serves {peer} at {}: {} bytes received, {} sent",
                peer.local_addr(),
                peer.received(),
                peer.sent()
            );
        } else {
            info!(target: REPORT, "{task}");
        }
    }
}
