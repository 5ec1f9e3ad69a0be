//! Shared by the programs: a tokio runtime beside Wakeful's, and the error output of a client.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use ecosystem_common::describe;

/// Starts a tokio runtime with one thread.
///
/// Call `enter` on it before `wakeful::block_on`. While the guard lives, crates on this thread find
/// tokio's reactor, timers and `tokio::spawn`. Their sockets and timers belong to tokio's thread,
/// which wakes the tasks on this one.
///
/// # Errors
///
/// Returns the error of a thread or of a descriptor that cannot be created.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let tokio = wakeful_beside_tokio::tokio()?;
/// let _context = tokio.enter();
/// wakeful::block_on(async {
///     wakeful::time::sleep(Duration::from_millis(1)).await;
///     // Created and polled on this thread, woken by tokio's.
///     tokio::time::sleep(Duration::from_millis(1)).await;
///     // Runs on tokio's thread, so it has to be `Send`.
///     assert_eq!(tokio::spawn(async { 7 }).await?, 7);
///     Ok::<(), tokio::task::JoinError>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tokio() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// Prints an error with its sources, which name the cause, and returns the exit code.
pub fn finish(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Compiles and runs the code of the page about these crates.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/CRATES.md")]
struct Crates;
