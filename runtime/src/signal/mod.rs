//! Unix signals as futures.
//!
//! Called by users; calls `sys::signal`, which catches the signals and writes an eventfd, and the
//! reactor, which watches it. Each runtime has one source for all its listeners. The first listener
//! for a signal replaces its default effect until the process ends, even after the listener is
//! dropped.
//!
//! A listener unblocks its signal on the thread that creates it, because a process inherits the mask of its
//! parent, and a signal that all threads block is never delivered. Otherwise the signal mask is not changed, so
//! child processes inherit a clean one. Code that blocks the signal again later, on all threads, gets none.
//!
//! # Examples
//!
//! A server that ends on Ctrl-C, and on SIGTERM, which service managers, container engines and `kill` send:
//!
//! ```no_run
//! use wakeful::Shutdown;
//! use wakeful::signal::shutdown_signal;
//!
//! wakeful::block_on(async {
//!     let shutdown = Shutdown::new();
//!     let signal = shutdown_signal();
//!     wakeful::spawn({
//!         let shutdown = shutdown.clone();
//!         async move {
//!             signal.await.ok();
//!             shutdown.cancel();
//!         }
//!     });
//!     // In a program: `serve(..).with_graceful_shutdown(shutdown.cancelled()).await`.
//!     shutdown.cancelled().await;
//! });
//! ```

use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::task::Poll;

pub mod unix;

/// Waits for the next SIGINT, which a terminal sends on Ctrl-C.
///
/// The call of this function creates the listener, not the first poll of its future.
///
/// From the first call on, Ctrl-C no longer ends the process, even where nothing awaits this future. `kill`
/// and service managers send SIGTERM instead: [`shutdown_signal`] waits for both.
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
    let listeners = [unix::signal(unix::SignalKind::interrupt())];
    wait_for_any(listeners, Location::caller())
}

/// Waits for the next SIGINT or SIGTERM, with which a terminal, `kill` and service managers ask a program to end.
///
/// The call of this function creates both listeners, not the first poll of its future. From the first call on,
/// neither signal ends the process any more, even where nothing awaits this future. So a program that awaits it
/// once and then takes long to end should await it a second time and give up then, as
/// `Serve::with_forced_shutdown(shutdown_signal)` of `wakeful-net` does.
///
/// # Errors
///
/// The errors of [`unix::signal`], if a handler cannot be installed.
///
/// # Panics
///
/// Panics when there is no runtime on this thread.
///
/// # Cancel safety
///
/// As [`ctrl_c`].
///
/// # Examples
///
/// ```no_run
/// wakeful::block_on(async {
///     wakeful::signal::shutdown_signal().await?;
///     println!("stopped");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[track_caller]
pub fn shutdown_signal() -> impl Future<Output = io::Result<()>> {
    let interrupt = unix::signal(unix::SignalKind::interrupt());
    let terminate = unix::signal(unix::SignalKind::terminate());
    wait_for_any([interrupt, terminate], Location::caller())
}

/// Waits for the first signal. The task info has `location`, the line of the user's call.
async fn wait_for_any<const N: usize>(
    listeners: [io::Result<unix::Signal>; N],
    location: &'static Location<'static>,
) -> io::Result<()> {
    let mut listeners = listeners.into_iter().collect::<io::Result<Vec<_>>>()?;
    poll_fn(|cx| {
        let mut polls = listeners.iter_mut();
        match polls.any(|listener| listener.poll_at(cx, location).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    Ok(())
}
