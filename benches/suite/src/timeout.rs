//! Timeouts for child processes, so that one that hangs does not block the other measurements.
//!
//! The crate wait-timeout does not fit: it waits for the exit of a child, while most waits here are
//! reads from its pipes. Killing the child ends either kind of wait.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any single measurement, even on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Runs `wait`, which waits for process `pid`, and kills the process after `limit`.
///
/// # Errors
///
/// Returns the error of `wait`, or a timeout.
pub(crate) fn with_timeout<T>(
    limit: Duration,
    pid: u32,
    wait: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    thread::scope(|scope| {
        let (over, watch) = mpsc::channel::<()>();
        let watchdog = scope.spawn(move || {
            let late = watch.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if late {
                kill(pid);
            }
            late
        });
        let outcome = wait();
        drop(over);
        match watchdog.join() {
            Ok(true) => Err(io::Error::other(format!("took longer than {limit:?}"))),
            _ => outcome,
        }
    })
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Fails only if the process has already ended.
    pid.map(|pid| kill_process(pid, Signal::KILL).ok());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn sleep(seconds: &str, limit: Duration) -> io::Result<bool> {
        let mut child = Command::new("sleep").arg(seconds).spawn()?;
        with_timeout(limit, child.id(), || Ok(child.wait()?.success()))
    }

    #[test]
    fn a_process_is_killed_only_after_its_timeout() {
        assert!(sleep("0.01", LIMIT).unwrap());
        let error = sleep("1000", Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("20ms"), "{error}");
    }
}
