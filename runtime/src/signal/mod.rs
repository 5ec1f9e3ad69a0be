//! Unix signals as futures.
//!
//! Called by users; calls `sys::signal`, which catches the signals and writes an eventfd, and the
//! reactor, which watches it. Each runtime has one source for all its listeners. The first listener
//! for a signal replaces its default effect until the process ends, even after the listener is
//! dropped. The signal mask is not changed, so child processes inherit a clean one.
//!
//! # Examples
//!
//! A server should end on Ctrl-C and on SIGTERM, which service managers, container engines and `kill` send:
//!
//! ```
//! use wakeful::Shutdown;
//! use wakeful::signal::unix::{SignalKind, signal};
//!
//! fn shutdown_on_signals() -> std::io::Result<Shutdown> {
//!     let shutdown = Shutdown::new();
//!     for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
//!         let mut signal = signal(kind)?;
//!         let shutdown = shutdown.clone();
//!         wakeful::spawn(async move {
//!             signal.recv().await;
//!             shutdown.cancel();
//!         });
//!     }
//!     Ok(shutdown)
//! }
//!
//! wakeful::block_on(async {
//!     let shutdown = shutdown_on_signals()?;
//!     // In a program: `serve(..).with_graceful_shutdown(shutdown.cancelled()).await`.
//!     assert!(!shutdown.is_cancelled());
//!     std::io::Result::Ok(())
//! }).unwrap();
//! ```

use std::io;

pub mod unix;

/// Waits for the next SIGINT, which a terminal sends on Ctrl-C.
///
/// The call of this function creates the listener, not the first poll of its future.
///
/// From the first call on, Ctrl-C no longer ends the process, even where nothing awaits this future. `kill`
/// and service managers send SIGTERM instead, see the [module](self#examples).
///
/// # Errors
///
/// The errors of [`unix::signal`], if the handler cannot be installed.
///
/// # Panics
///
/// Panics when there is no runtime on this thread.
///
/// # Cancel safety
///
/// Cancel safe, but the next call does not receive a signal that arrives between two calls. To
/// receive every signal, keep a [`unix::Signal`].
///
/// # Examples
///
/// ```no_run
/// wakeful::block_on(async {
///     println!("press Ctrl-C to stop");
///     wakeful::signal::ctrl_c().await?;
///     println!("stopped");
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
