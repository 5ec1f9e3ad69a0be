//! Unix signals as futures.
//!
//! Calls `sys::signal`, which catches them and writes an eventfd, and the reactor, which watches it:
//! one source per runtime, however many listeners there are. The first listener for a signal
//! replaces the signal's default effect for the rest of the process's life, also after the listener
//! is gone. The signal mask is left alone, so child processes are born with a clean one.

use std::io;

pub mod unix;

/// Waits for the next SIGINT, which a terminal sends on Ctrl-C.
///
/// The listener exists from the call of this function on, not from the first poll of its future.
///
/// # Errors
///
/// When the handler cannot be installed; see [`unix::signal`].
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Cancel safety
///
/// Safe; but a signal that comes between two calls is not seen by the second. To miss none, keep a
/// [`unix::Signal`].
///
/// # Examples
///
/// ```no_run
/// wakeful::block_on(async {
///     println!("Ctrl-C ends this");
///     wakeful::signal::ctrl_c().await?;
///     println!("goodbye");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    let listener = unix::signal(unix::SignalKind::interrupt());
    async move {
        listener?.recv().await;
        Ok(())
    }
}
