//! CPU time, memory and sleeps of the server and of this process, as reported by the kernel.

use std::fs;
use std::io;
use std::time::Instant;

use bench_load::Report;

use crate::sys::cpu_time;

/// A snapshot of all clocks.
pub(crate) struct Usage {
    at: Instant,
    server: Option<f64>,
    load: f64,
    switches: u64,
}

impl Usage {
    pub(crate) fn now(server: Option<u32>) -> io::Result<Usage> {
        Ok(Usage {
            server: server
                .map(|pid| cpu_time(pid).map(|time| time.as_secs_f64()))
                .transpose()?,
            switches: server.map(switches).transpose()?.unwrap_or(0),
            load: cpu_time(std::process::id())?.as_secs_f64(),
            // Last, so that it is closest to the measured work.
            at: Instant::now(),
        })
    }

    /// Writes the differences between `self` and `end` to the report.
    pub(crate) fn until(&self, end: &Usage, report: &mut Report) {
        report.seconds = (end.at - self.at).as_secs_f64();
        report.load_cpu_seconds = end.load - self.load;
        report.switches = end.switches.saturating_sub(self.switches);
        if let (Some(before), Some(after)) = (self.server, end.server) {
            report.server_cpu_seconds = after - before;
        }
    }
}

/// Returns the resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> io::Result<u64> {
    let kilobytes = status(pid, "VmRSS:")?;
    Ok(kilobytes * 1024)
}

/// Returns the number of sleeps (voluntary context switches) of the process's main thread.
fn switches(pid: u32) -> io::Result<u64> {
    status(pid, "voluntary_ctxt_switches:")
}

/// Returns the number after `name` in /proc/PID/status.
fn status(pid: u32, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/status has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_this_process_is_reported() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0);
        let before = Usage::now(Some(own)).unwrap();
        let after = Usage::now(Some(own)).unwrap();
        let mut report = Report::default();
        before.until(&after, &mut report);
        assert!(report.server_cpu_seconds > 0.0);
        assert!(report.seconds > 0.0);
    }

    #[test]
    fn a_missing_process_is_an_error() {
        // Above the largest process ID of Linux.
        assert!(resident(1 << 23).is_err());
        assert!(Usage::now(Some(1 << 23)).is_err());
    }
}
