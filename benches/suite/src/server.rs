//! A server process: starts it on its core, reads its address, stops it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::contestants::Contestant;
use crate::programs::Programs;
use crate::timeout::with_timeout;

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Process of the server itself; it differs from the child under strace.
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

/// Longest time for the start of a server, and for its exit after a signal.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a contestant on `cores` and waits until it listens. A non-empty `tool` is a command
    /// with arguments that runs the server, such as strace.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be started, or ends without printing its address.
    pub(crate) fn start(
        programs: &Programs,
        contestant: &Contestant,
        more_arguments: &[&str],
        tool: &[String],
        cores: &[usize],
    ) -> io::Result<Server> {
        let program = match contestant.program {
            Some(name) => programs.own(name),
            None => programs.echo_server.clone(),
        };
        let mut command = match tool {
            [] => Command::new(program),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(program);
                command
            }
        };
        command
            .args(contestant.arguments)
            .args(more_arguments)
            // Logging is off because the other servers have no log.
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = bench_common::pinned(cores, || command.spawn())?;
        match with_timeout(TIMEOUT, child.id(), || read_address(&mut child)) {
            Ok(address) => Ok(Server {
                pid: server_pid(child.id(), tool)?,
                child,
                address,
            }),
            Err(error) => {
                // Fails if the server has already ended.
                child.kill().ok();
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Stops the server and waits for its exit, and for that of the tool.
    ///
    /// # Errors
    ///
    /// Returns an error if the server ignores SIGTERM; dropping it then kills it.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        signal(self.pid, Signal::TERM)?;
        // A load stops the server between its measurements, and may have been killed.
        signal(self.pid, Signal::CONT)?;
        let start = Instant::now();
        while start.elapsed() < TIMEOUT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other("the server did not exit on SIGTERM"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Errors are ignored: the failure that led here is already reported.
            for outcome in [
                signal(self.pid, Signal::KILL),
                self.child.kill(),
                self.child.wait().map(drop),
            ] {
                drop(outcome);
            }
        }
    }
}

fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("no such process"))?;
    Ok(kill_process(pid, signal)?)
}

/// Reads the first line: `listening on tcp://127.0.0.1:PORT`, or `udp://`.
fn read_address(child: &mut Child) -> io::Result<SocketAddr> {
    let mut line = String::new();
    if let Some(stdout) = &mut child.stdout {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    ["listening on tcp://", "listening on udp://"]
        .iter()
        .find_map(|prefix| line.trim_end().strip_prefix(prefix))
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| io::Error::other(format!("first line of the server: '{}'", line.trim_end())))
}

/// Returns the process of the server. strace is its parent; valgrind runs it in its own process.
fn server_pid(child: u32, tool: &[String]) -> io::Result<u32> {
    if tool.first().is_none_or(|tool| tool != "strace") {
        return Ok(child);
    }
    let children = fs::read_to_string(format!("/proc/{child}/task/{child}/children"))?;
    children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| io::Error::other("strace has no child process"))
}
