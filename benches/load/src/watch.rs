//! What the kernel tells of the server and of ourselves: CPU time, memory, sleeps.

use std::fs;
use std::io;
use std::time::Instant;

use bench_load::Report;

use crate::sys::cpu_time;

/// The state of all clocks at one moment.
pub(crate) struct Moment {
    at: Instant,
    server: Option<f64>,
    load: f64,
    switches: u64,
}

impl Moment {
    pub(crate) fn now(server: Option<u32>) -> io::Result<Moment> {
        Ok(Moment {
            server: server
                .map(|pid| cpu_time(pid).map(|time| time.as_secs_f64()))
                .transpose()?,
            switches: server.map(switches).transpose()?.unwrap_or(0),
            load: cpu_time(std::process::id())?.as_secs_f64(),
            // Last, so that it is nearest to what is measured.
            at: Instant::now(),
        })
    }

    /// Writes what has passed between `self` and `end` to the report.
    pub(crate) fn until(&self, end: &Moment, report: &mut Report) {
        report.seconds = (end.at - self.at).as_secs_f64();
        report.load_cpu_seconds = end.load - self.load;
        report.switches = end.switches.saturating_sub(self.switches);
        if let (Some(before), Some(after)) = (self.server, end.server) {
            report.server_cpu_seconds = after - before;
        }
    }
}

/// The resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> io::Result<u64> {
    let kilobytes = status(pid, "VmRSS:")?;
    Ok(kilobytes * 1024)
}

/// How many times the process's main thread went to sleep.
fn switches(pid: u32) -> io::Result<u64> {
    status(pid, "voluntary_ctxt_switches:")
}

/// The number behind `name` in /proc/PID/status.
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
    fn the_kernel_tells_of_this_process() {
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0);
        let before = Moment::now(Some(own)).unwrap();
        let after = Moment::now(Some(own)).unwrap();
        let mut report = Report::default();
        before.until(&after, &mut report);
        assert!(report.server_cpu_seconds > 0.0);
        assert!(report.seconds > 0.0);
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        // Above the largest number that Linux gives to a process.
        assert!(resident(1 << 23).is_err());
        assert!(Moment::now(Some(1 << 23)).is_err());
    }
}
