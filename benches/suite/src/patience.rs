//! Waiting for what ought to end by itself, but not for ever: one that hangs must not hold up the rest.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// More than any single run takes, on the slowest machine that one would measure on.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Waits for something that the process `pid` does, and kills it when that takes too long.
///
/// # Errors
///
/// Those of the wait; and when it took too long.
pub(crate) fn within<T>(
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
    // It fails when the process has ended, which is what is wanted.
    pid.map(|pid| kill_process(pid, Signal::KILL).ok());
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn sleep(seconds: &str, limit: Duration) -> io::Result<bool> {
        let mut child = Command::new("sleep").arg(seconds).spawn()?;
        within(limit, child.id(), || Ok(child.wait()?.success()))
    }

    #[test]
    fn who_ends_in_time_is_left_alone_and_who_does_not_is_ended() {
        assert!(sleep("0.01", LIMIT).unwrap());
        let error = sleep("1000", Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("20ms"), "{error}");
    }
}
