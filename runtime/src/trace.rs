//! Recordings: the timeline of what a runtime did.
//!
//! A recording answers what happened: which task ran when and for how long, what woke it, for what it waited, and
//! what the loop did meanwhile. It is a ring of 16-byte events in shared memory. The runtime writes it without a
//! lock, and another process can read it at any time, also after a crash if it is in a file. The package
//! `wakeful-trace` shows it as a page, a picture, a list of tasks, or JSON for Perfetto. `docs/TRACE-FORMAT.md`
//! in the repository defines the format.
//!
//! ```
//! use wakeful::runtime::Builder;
//! use wakeful::trace::{self, Recording};
//!
//! let runtime = Builder::new().record(Recording::new()).build()?;
//! let bytes = runtime.block_on(async {
//!     let parse = trace::span("parse");
//!     let parsed = "7".parse::<u32>();
//!     drop(parse);
//!     if parsed.is_ok() {
//!         trace::mark("parsed");
//!     }
//!     trace::snapshot().expect("this runtime records")
//! });
//! std::fs::write(std::env::temp_dir().join("program.wtr"), bytes)?;
//! # std::io::Result::Ok(())
//! ```
//!
//! A recording begins with [`Builder::record`](crate::runtime::Builder::record) or [`start`], and ends with
//! [`stop`] or with its runtime. The functions of this module concern the runtime of the thread. Outside of
//! `block_on` that is the one entered by [`Runtime::enter`](crate::runtime::Runtime::enter).
//!
//! # What is recorded
//!
//! Spawns with their place, names, polls with their cause and their end, what a task waits for after a poll, wakes
//! by tasks and other threads, turns of the loop, timers, transfers and other operations of `wakeful-net` with their
//! result, closures of [`spawn_blocking`](crate::task::spawn_blocking()), messages of other threads,
//! descriptors, and the marks and spans of the program. A ring has room for a number of events, and the oldest
//! ones are overwritten. No bytes of a program's data are recorded, but names of tasks and addresses of peers are.
//!
//! # Costs
//!
//! Without a recording: the test of one byte for each system call, spawn and timer. With one: 8 to 26
//! nanoseconds per event where the kernel's clock is the processor's counter (docs/PERFORMANCE.md of the repository
//! has the command), and more with other clocks, which take longer to read. While one runtime records, the others of
//! the process make the test on a slower path.
//!
//! # Times
//!
//! A recording that begins while the runtime's clock is [paused](crate::time), or whose clock is that of an
//! installed [kernel](crate::kernel), has the times of that clock. So a test with a paused clock and a seed records
//! the same events each time it runs.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;

use crate::context::{self, Core};
use crate::hooks;
use crate::recorder::event::Kind;
use crate::recorder::time::TraceTime;

pub use crate::recorder::event::Operation;
pub use crate::recorder::recording::Recording;

/// Begins a recording of this thread's runtime. It begins with a list of the tasks and descriptors that exist.
///
/// # Errors
///
/// `AlreadyExists` if this runtime records already. The error of making the file, with its path: `NotFound` if its
/// folder does not exist, `PermissionDenied`, `StorageFull` without room for the whole recording, `InvalidInput`
/// if the path is that of a folder or a device. `OutOfMemory` without memory for the mapping.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use wakeful::trace::{self, Recording};
///
/// wakeful::block_on(async {
///     trace::start(&Recording::new().events(1 << 10))?;
///     wakeful::task::yield_now().await;
///     let bytes = trace::snapshot().expect("this runtime records");
///     assert!(trace::stop());
///     assert!(bytes.len() > 16 << 10);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn start(recording: &Recording) -> io::Result<()> {
    begin(&context::require("trace::start"), recording)
}

/// Begins the recording of a runtime.
pub(crate) fn begin(core: &Core, recording: &Recording) -> io::Result<()> {
    let clock = &core.timers.clock;
    let time = TraceTime::start_with(clock.is_virtual().then(|| clock.now_ns()));
    let recorder = core.executor.recorder();
    recorder.start(recording, core.id.serial(), time)?;
    core.executor.update_observed();
    core.reactor.for_each_source(|key, source| {
        let fd = source.fd().cast_unsigned();
        recorder.event(Kind::SourceAdded, 0, fd, key.index());
    });
    core.executor.record_start();
    Ok(())
}

/// Ends the recording of this thread's runtime. Returns `false` if there is none.
///
/// A file stays. A recording in memory is gone: call [`snapshot`] before.
pub fn stop() -> bool {
    let stop = |core: &Core| {
        core.executor.record_last_keyframe();
        let stopped = core.executor.recorder().stop();
        core.executor.update_observed();
        stopped
    };
    context::with_current(stop).unwrap_or(false)
}

/// Returns the recording of this thread's runtime, as a file would have it. `None` if there is none.
///
/// It copies the whole ring, in which the loop does nothing else. If events were overwritten, it first records the
/// tasks that exist, with name and place, unless they would take more than a quarter of the ring.
#[must_use]
pub fn snapshot() -> Option<Vec<u8>> {
    let copy = |core: &Core| {
        core.executor.record_last_keyframe();
        core.executor.recorder().to_bytes()
    };
    context::with_current(copy).flatten()
}

/// Returns whether this thread's runtime records. Costs the test of one byte if none does.
#[must_use]
#[inline]
pub fn is_recording() -> bool {
    hooks::any() && has_recording()
}

#[cold]
fn has_recording() -> bool {
    context::with_current(|core| core.executor.recorder().is_on()).unwrap_or(false)
}

/// Records that the current task has come to a point of the program. Does nothing without a recording.
///
/// # Examples
///
/// ```
/// # let hit = true;
/// if hit {
///     wakeful::trace::mark("cache hit");
/// }
/// ```
#[inline]
pub fn mark(text: &'static str) {
    if hooks::any() {
        record_text(Kind::Mark, text);
    }
}

/// Records that a part of the program begins, and ends when the result is dropped.
///
/// The part belongs to the task that is polled when it begins. It can last over an `.await`.
///
/// # Examples
///
/// ```
/// let numbers: Vec<u32> = {
///     let _span = wakeful::trace::span("squares");
///     (1..100).map(|n| n * n).collect()
/// };
/// # assert_eq!(numbers.len(), 99);
/// ```
#[inline]
pub fn span(text: &'static str) -> Span {
    if hooks::any() {
        record_text(Kind::SpanBegin, text);
    }
    Span {
        text,
        _not_send: PhantomData,
    }
}

/// A part of the program that is recorded; made by [`span`]. Dropping it ends the part.
#[must_use = "dropping it ends the span"]
pub struct Span {
    text: &'static str,
    /// A span ends on the thread on which it begins.
    _not_send: PhantomData<*const ()>,
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if hooks::any() {
            record_text(Kind::SpanEnd, self.text);
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Span").field(&self.text).finish()
    }
}

#[cold]
fn record_text(kind: Kind, text: &'static str) {
    context::with_current(|core| core.executor.record_text(kind, text));
}

/// Records an operation on a descriptor and its result: a number of bytes, the descriptor of an accepted
/// connection, or an error. Does nothing without a recording.
///
/// For libraries that make system calls of their own, as `wakeful-net` does.
///
/// # Examples
///
/// ```
/// use std::io::Read;
/// use std::os::fd::AsRawFd;
/// use wakeful::trace::{self, Operation};
///
/// # let mut buf = [0; 8];
/// let mut file = std::fs::File::open("/proc/self/stat")?;
/// let result = file.read(&mut buf);
/// trace::operation(file.as_raw_fd(), Operation::Receive, result.as_ref().copied());
/// # std::io::Result::Ok(())
/// ```
#[inline]
pub fn operation(fd: RawFd, operation: Operation, result: Result<usize, &io::Error>) {
    if hooks::any() {
        record_operation(fd, operation, result);
    }
}

#[cold]
fn record_operation(fd: RawFd, operation: Operation, result: Result<usize, &io::Error>) {
    context::with_current(|core| core.executor.recorder().operation(fd, operation, result));
}

/// Records the address of the peer of a descriptor. Does nothing without a recording.
#[inline]
pub fn peer(fd: RawFd, peer: &dyn fmt::Display) {
    if is_recording() {
        record_peer(fd, &peer.to_string());
    }
}

#[cold]
fn record_peer(fd: RawFd, peer: &str) {
    context::with_current(|core| core.executor.recorder().peer(fd.cast_unsigned(), peer));
}
