//! What the process needs before it serves: the descriptor limit, the signals that its parent
//! ignores, and a runtime per thread.
//!
//! Called by `main`, [`crate::program`] and, for further threads, by [`crate::workers`]. Most systems give a process a
//! low soft limit on descriptors (1024) for the sake of programs that use select(2), and a high
//! hard limit that a program has to request. This server requests it.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use rlimit::{INFINITY, Resource, increase_nofile_limit};
use tracing::{Level, field, warn};
use wakeful::dump::LoopState;
use wakeful::runtime::{Builder, Runtime, SlowPoll, Stall};

use crate::args::Args;
use crate::log::{REPORT, millis};
use crate::trace;

/// Descriptors that connections must leave free: the standard streams, name lookups, and the
/// moment in which a connection has been accepted but another is not yet closed.
const RESERVE: u64 = 12;

/// Descriptors of one runtime: epoll and its eventfd. The process's eventfd of signals and a spare one
/// are counted for each runtime as well, to be on the safe side.
const PER_RUNTIME: u64 = 4;

/// A poll that takes longer noticeably delays the other tasks of its thread.
const SLOW_POLL: Duration = Duration::from_millis(1);

/// The soft limit on open descriptors, before and after it was raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DescriptorLimit {
    before: u64,
    now: u64,
}

/// Raises the soft limit to the hard limit. If that fails, the limit stays as it is.
pub(crate) fn raise_descriptor_limit() -> DescriptorLimit {
    let before = Resource::NOFILE.get_soft().unwrap_or(INFINITY);
    let now = increase_nofile_limit(INFINITY).unwrap_or(before);
    DescriptorLimit { before, now }
}

impl DescriptorLimit {
    /// Returns the limit, unless there is none.
    pub(crate) fn now(self) -> Option<u64> {
        (self.now != INFINITY).then_some(self.now)
    }

    /// Returns the limit before it was raised, if it was.
    pub(crate) fn raised_from(self) -> Option<u64> {
        (self.now != self.before).then_some(self.before)
    }

    /// Returns how many connections fit beside `listeners` sockets and `runtimes` runtimes; at
    /// least one.
    pub(crate) fn max_connections(self, listeners: usize, runtimes: u32) -> usize {
        if self.now == INFINITY {
            return usize::MAX;
        }
        let taken = RESERVE + PER_RUNTIME * u64::from(runtimes) + listeners as u64;
        usize::try_from(self.now.saturating_sub(taken).max(1)).unwrap_or(usize::MAX)
    }
}

/// Returns whether a signal was ignored when the program started. Ask before a handler is installed.
///
/// sigaction(2) reports it as well, but only through an `unsafe` call. Without /proc the signal
/// counts as not ignored.
pub(crate) fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal as i32 - 1) & 1 == 1)
}

/// Creates the runtime of a thread, counted from 1, with the settings of the arguments.
///
/// # Errors
///
/// Returns an error if the system refuses epoll or eventfd descriptors, the file of `--trace`, or the thread of
/// `--watch`.
pub(crate) fn build_runtime(args: &Args, thread: u32) -> io::Result<Runtime> {
    // Measuring costs two clock readings per poll, so it is on only if the times are shown.
    let mut builder = Builder::new()
        .enable_metrics_poll_time_histogram(args.stats.is_some())
        .busy_poll(args.busy_poll.unwrap_or_default());
    if tracing::enabled!(Level::TRACE) {
        builder = builder.on_slow_poll(SLOW_POLL, log_slow_poll);
    }
    if let Some(limit) = args.watch {
        builder = builder.watch(limit).on_stall(log_stall);
    }
    if let Some(recording) = trace::recording(args, thread)? {
        builder = builder.record(recording);
    }
    builder.build()
}

fn log_slow_poll(slow: &SlowPoll) {
    let name = slow.name.as_deref().unwrap_or("unnamed");
    let spawned_at = slow
        .spawned_at
        .map_or("unknown".to_owned(), ToString::to_string);
    warn!(name, %spawned_at, took_us = slow.took.as_nanos() as f64 / 1e3, "slow poll");
}

/// Logs that a loop does not go on, whatever the level is. Called by the thread that watches it.
fn log_stall(stall: &Stall) {
    let task = match stall.loop_state {
        LoopState::Polling(id) => id.to_string(),
        LoopState::PollingRoot => "root".to_owned(),
        _ => "(between two polls)".to_owned(),
    };
    warn!(
        target: REPORT,
        runtime = stall.runtime,
        task = %task,
        name = stall.name.as_deref(),
        spawned_at = stall.spawned_at.map(field::display),
        lasted_ms = millis(stall.lasted),
        thread = stall.thread.as_deref().unwrap_or("unknown"),
        waiting = stall.waiting,
        "stuck"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_at_least_one_connection() {
        let limit = |now| DescriptorLimit { before: now, now };
        assert_eq!(limit(64).max_connections(1, 1), 47);
        assert_eq!(limit(5).max_connections(3, 1), 1);
        assert_eq!(limit(INFINITY).max_connections(1, 1), usize::MAX);
    }
}
