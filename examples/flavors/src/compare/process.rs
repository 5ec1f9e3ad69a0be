//! Server processes: started on a separate core, sampled through /proc, terminated in every case.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Time from SIGTERM to SIGKILL. A server's own shutdown timeout is one second.
const KILL_AFTER: Duration = Duration::from_secs(3);

/// Two cores, one for the server and one for the clients, so that they do not compete for CPU time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    server: usize,
    clients: usize,
}

impl Cores {
    /// Pins this process to the clients' core. Returns `None` on a machine with one core.
    pub(crate) fn take() -> Option<Cores> {
        let allowed = sched_getaffinity(None).ok()?;
        let mut free = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let (clients, server) = (free.next()?, free.next()?);
        pin(clients).ok()?;
        Some(Cores { server, clients })
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    /// The server, or strace that runs the server.
    child: Child,
    /// Process id of the server.
    pid: u32,
    pub(crate) address: SocketAddr,
    /// Output file of strace.
    counts: Option<PathBuf>,
    _stdout: BufReader<ChildStdout>,
}

/// A server, or the reason why it was skipped.
#[derive(Debug)]
pub(crate) enum Started {
    Server(Server),
    Skipped(String),
}

impl Server {
    /// Starts this program with the subcommand `serve`.
    pub(crate) fn start(arguments: &[&str], cores: Option<Cores>) -> io::Result<Started> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::launch(serve(&mut command, arguments), cores, None)
    }

    /// Starts a server under strace, which counts its system calls and writes them to a file.
    pub(crate) fn start_counted(
        arguments: &[&str],
        cores: Option<Cores>,
        counts: &Path,
    ) -> io::Result<Started> {
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(counts);
        command.arg(std::env::current_exe()?);
        Self::launch(serve(&mut command, arguments), cores, Some(counts))
    }

    fn launch(
        command: &mut Command,
        cores: Option<Cores>,
        counts: Option<&Path>,
    ) -> io::Result<Started> {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        command.stdout(Stdio::piped());
        // A child inherits the affinity of its parent.
        if let Some(cores) = cores {
            pin(cores.server)?;
        }
        let child = command.spawn();
        if let Some(cores) = cores {
            pin(cores.clients)?;
        }
        let mut child = child?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let line = line.trim_end();
        let Some(address) = line.strip_prefix("listening on tcp://") else {
            child.kill()?;
            child.wait()?;
            return match line.strip_prefix("skipped: ") {
                Some(reason) => Ok(Started::Skipped(reason.to_owned())),
                None => Err(io::Error::other(format!(
                    "start server: unexpected output {line:?}"
                ))),
            };
        };
        let address = address.parse().map_err(io::Error::other)?;
        let pid = match counts {
            None => child.id(),
            Some(_) => only_child_of(child.id())?,
        };
        Ok(Started::Server(Server {
            child,
            pid,
            address,
            counts: counts.map(Path::to_owned),
            _stdout: stdout,
        }))
    }

    /// Reads the statistics of the server.
    pub(crate) fn stats(&self) -> io::Result<Stats> {
        stats(self.pid)
    }

    /// Returns the number of open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }

    /// Terminates the server and returns its system calls, if it runs under strace.
    pub(crate) fn end(mut self) -> io::Result<BTreeMap<String, u64>> {
        self.terminate()?;
        match &self.counts {
            None => Ok(BTreeMap::new()),
            Some(path) => Ok(calls(&fs::read_to_string(path)?)),
        }
    }

    fn terminate(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + KILL_AFTER;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server can have ended already.
        self.terminate().ok();
    }
}

fn serve<'a>(command: &'a mut Command, arguments: &[&str]) -> &'a mut Command {
    command
        .args(["serve", "--bind", "127.0.0.1:0"])
        .args(arguments)
}

fn only_child_of(pid: u32) -> io::Result<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children.split_whitespace().next();
    child
        .and_then(|child| child.parse().ok())
        .ok_or_else(|| io::Error::other("start server: strace has no child process"))
}

/// Returns whether strace can be used on this machine.
pub(crate) fn can_count() -> bool {
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o", "/dev/null", "true"]);
    let outcome = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    outcome.is_ok_and(|status| status.success())
}

/// Parses the table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn calls(table: &str) -> BTreeMap<String, u64> {
    let mut calls = BTreeMap::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(count), Some(name)) = (fields.get(3), fields.last()) else {
            continue;
        };
        if let Ok(count) = count.parse()
            && *name != "total"
        {
            calls.insert((*name).to_owned(), count);
        }
    }
    calls
}

/// Statistics of a process from /proc, at one point in time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) cpu: Duration,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
    pub(crate) threads: u64,
    pub(crate) resident_kib: u64,
}

fn stats(pid: u32) -> io::Result<Stats> {
    let cpu = cpu(pid)?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut stats = Stats {
        cpu,
        threads: number(&status, "Threads:"),
        resident_kib: number(&status, "VmRSS:"),
        ..Stats::default()
    };
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread can end during the loop.
        if let Ok(status) = fs::read_to_string(thread?.path().join("status")) {
            stats.voluntary += number(&status, "voluntary_ctxt_switches:");
            stats.involuntary += number(&status, "nonvoluntary_ctxt_switches:");
        }
    }
    Ok(stats)
}

/// Returns the user and system CPU time of a process with all its threads.
pub(crate) fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(Duration::from_millis(ticks * 10))
}

/// Returns a number from a file like /proc/PID/status, or 0 if the field is missing.
fn number(status: &str, field: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_parsed_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300           3       100        50 recvfrom
 40.00    0.000200           4        50           sendto
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500           3       150        50 total
";
        let calls = calls(table);
        let calls: Vec<_> = calls.iter().map(|(name, n)| (&**name, *n)).collect();
        assert_eq!(calls, [("recvfrom", 100), ("sendto", 50)]);
    }

    #[test]
    fn the_statistics_of_this_process_are_read() {
        let stats = stats(std::process::id()).unwrap();
        assert!(stats.threads >= 1 && stats.resident_kib > 100, "{stats:?}");
    }
}
