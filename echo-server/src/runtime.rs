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
    let mut builder = Builder::new().measure_polls(args.stats.is_some());
    if tracing::enabled!(Level::TRACE) {
        builder = builder.on_slow_poll(SLOW, tell_of_slow_poll);
    }
    builder.build()
}

fn tell_of_slow_poll(slow: &SlowPoll) {
    let SlowPoll {
        name,
        spawned_at,
        took,
        ..
    } = slow;
    warn!(
        ?name,
        ?spawned_at,
        ?took,
        "a task kept the thread to itself for too long"
    );
}
