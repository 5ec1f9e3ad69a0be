//! A dump at each signal.
//!
//! Called by users; calls [`crate::signal`], and publishes for the watch thread which signals were received.

use std::future::poll_fn;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::atomic::Ordering;

use crate::context;
use crate::signal::unix::{SignalKind, signal};
use crate::sys;

/// Writes a dump to stderr each time that the process gets a signal. For a task of its own; the future ends with its
/// runtime, or when it is dropped.
///
/// The signal loses its default effect with the call. It does not end `block_on`: a program whose only wait is that of
/// this future goes on for as long as its root future. It is also never in a deadlock, because the signal can wake a
/// task.
///
/// The loop writes the dump, as `eprintln!` does: a pipe that is full and that no one reads blocks it.
///
/// A loop that does not come to this task within a second answers nothing by itself. If the runtime is
/// [watched](crate::runtime::Builder::watch), the watch thread then writes what the loop does instead, in one line.
///
/// # Errors
///
/// The errors of [`signal::unix::signal`](crate::signal::unix::signal).
///
/// # Panics
///
/// When there is no runtime on this thread. The future panics on a thread that is not running its runtime.
///
/// # Cancel safety
///
/// Dropping the future ends the dumps. A signal that has arrived is then lost.
///
/// # Examples
///
/// ```no_run
/// use wakeful::dump;
/// use wakeful::signal::unix::SignalKind;
///
/// wakeful::block_on(async {
///     wakeful::spawn(dump::on_signal(SignalKind::user_defined1())?);
///     // the program: `kill -USR1` shows what it does
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn on_signal(kind: SignalKind) -> io::Result<impl Future<Output = ()>> {
    let location = Location::caller();
    let core = context::require("dump::on_signal");
    let mut signal = signal(kind)?;
    let number = kind.as_raw_value();
    let is_of_process = sys::signal::caught_by_kernel(number).is_none();
    let watch = core.watch.as_ref().filter(|_| is_of_process);
    let awaited = watch.map(|watch| watch.await_signal(number, signal.received_count()));
    // The future must not keep the runtime alive.
    drop(core);
    Ok(async move {
        while poll_fn(|cx| signal.poll_at(cx, location)).await.is_some() {
            if let Some(awaited) = &awaited {
                awaited.store(signal.received_count(), Ordering::Relaxed);
            }
            // A failure to write is ignored, because there is no other place for the report.
            writeln!(io::stderr(), "{}", super::dump()).ok();
        }
    })
}
