//! Figures for people: the line of `--stats`, and the list of tasks for SIGUSR1.
//!
//! Called by [`crate::program`] and [`crate::team`]. Everything here goes to the log under the
//! target [`REPORT`], which no level hides: it was asked for.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tracing::info;
use wakeful::task;
use wakeful::time::Instant;

use crate::connection::Connection;
use crate::log::REPORT;
use crate::server::Server;

/// What `--stats` is computed from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    open: u64,
    accepted: u64,
    failed: u64,
    messages: u64,
    bytes: u64,
    poll_p50: Option<Duration>,
    poll_p99: Option<Duration>,
}

impl Figures {
    /// The figures of the server on this thread.
    pub(crate) fn of(server: &Server) -> Figures {
        let metrics = wakeful::metrics();
        Figures {
            open: server.connections.open() as u64,
            accepted: server.counters.accepted.get(),
            failed: server.counters.failed.get(),
            messages: server.counters.messages.get(),
            bytes: server.counters.bytes.get(),
            poll_p50: metrics.poll_p50(),
            poll_p99: metrics.poll_p99(),
        }
    }

    /// Adds those of another thread. Of the poll times the longer ones are kept: the slowest thread
    /// is the one to look at.
    pub(crate) fn add(&mut self, more: &Figures) {
        self.open += more.open;
        self.accepted += more.accepted;
        self.failed += more.failed;
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.poll_p50 = self.poll_p50.max(more.poll_p50);
        self.poll_p99 = self.poll_p99.max(more.poll_p99);
    }
}

/// Turns figures that only grow into figures per second.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Figures,
    at: Instant,
}

impl Pulse {
    /// Starts to count now.
    pub(crate) fn start(figures: Figures) -> Pulse {
        Pulse {
            last: figures,
            at: Instant::now(),
        }
    }

    /// Writes one line about the time since the last one.
    pub(crate) fn beat(&mut self, now: Figures) {
        let seconds = self.at.elapsed().as_secs_f64().max(1e-9);
        let per_second = |now: u64, before: u64| ((now - before) as f64 / seconds).round() as u64;
        info!(
            target: REPORT,
            connections = now.open,
            accepted_per_s = per_second(now.accepted, self.last.accepted),
            bytes_per_s = per_second(now.bytes, self.last.bytes),
            messages_per_s = per_second(now.messages, self.last.messages),
            poll_p50 = %shown(now.poll_p50),
            poll_p99 = %shown(now.poll_p99),
            "stats"
        );
        *self = Pulse::start(now);
    }
}

fn shown(time: Option<Duration>) -> String {
    time.map_or("none".to_owned(), |time| format!("{time:?}"))
}

/// Writes this thread's counters and what each of its tasks waits on.
pub(crate) fn write(server: &Server) {
    let figures = Figures::of(server);
    info!(
        target: REPORT,
        connections = figures.open,
        accepted = figures.accepted,
        failed = figures.failed,
        messages = figures.messages,
        bytes = figures.bytes,
        "counters"
    );
    info!(target: REPORT, "{:?}", wakeful::metrics());
    let open = server.connections.all();
    let served: HashMap<task::Id, &Rc<Connection>> = open
        .iter()
        .filter_map(|one| Some((one.task()?, one)))
        .collect();
    let datagrams: HashMap<task::Id, _> = server.datagrams().into_iter().collect();
    for record in task::dump() {
        if let Some(socket) = datagrams.get(&record.id) {
            info!(target: REPORT, "{record}; serves {socket}");
            continue;
        }
        match served.get(&record.id) {
            Some(peer) => info!(
                target: REPORT,
                "{record}; serves {peer} via {}: {} bytes received, {} sent",
                peer.via(),
                peer.received(),
                peer.sent()
            ),
            None => info!(target: REPORT, "{record}"),
        }
    }
}
