//! The runtime, with what the arguments ask of it. One is made per thread.

use std::io;
use std::time::Duration;

use tracing::{Level, warn};
use wakeful::runtime::{Builder, Runtime, SlowPoll};

use crate::args::Args;

/// A poll that takes longer than this keeps everybody else on its thread waiting noticeably.
const SLOW: Duration = Duration::from_millis(1);

/// Makes a runtime.
///
/// # Errors
///
/// When the system refuses it epoll or eventfd descriptors.
pub(crate) fn build(args: &Args) -> io::Result<Runtime> {
    // Measuring costs two clock readings per poll: only those who look at the times pay for them.
    let mut builder = Builder::new()
        .enable_metrics_poll_time_histogram(args.stats.is_some())
        .busy_poll(args.busy_poll.unwrap_or_default());
    if tracing::enabled!(Level::TRACE) {
        builder = builder.on_slow_poll(SLOW, tell_of_slow_poll);
    }
    builder.build()
}

fn tell_of_slow_poll(slow: &SlowPoll) {
    let name = slow.name.as_deref().unwrap_or("unnamed");
    let spawned_at = slow
        .spawned_at
        .map_or("unknown".to_owned(), ToString::to_string);
    warn!(name, %spawned_at, took = ?slow.took, "one poll kept everybody else waiting");
}
