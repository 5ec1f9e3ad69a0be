//! A server process: started on its core, asked for its address, ended for certain.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::contest::Contestant;
use crate::patience::within;
use crate::programs::Programs;

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// The server itself, which is not the child when a tool watches it.
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

/// After its start, or after a signal, until it is taken for hanging.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Starts a contestant on `cores`, under a tool if `tool` names one with its arguments, and
    /// waits until it listens.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or ends without having said where it listens.
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
            // Nobody logs anything: the rivals have no log.
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = bench_common::pinned(cores, || command.spawn())?;
        match within(PATIENCE, child.id(), || listening(&mut child)) {
            Ok(address) => Ok(Server {
                pid: watched(child.id(), tool)?,
                child,
                address,
            }),
            Err(error) => {
                // It may have ended by itself.
                child.kill().ok();
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Ends the server, and waits until its process, and the tool's, is gone.
    ///
    /// # Errors
    ///
    /// When it did not react to SIGTERM in time; it has then been killed.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        signal(self.pid, Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Err(io::Error::other("the server did not end on SIGTERM"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Whatever fails here, there is nobody left to be told, and nothing left to be done.
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

/// Reads the first line: `listening on tcp://127.0.0.1:PORT`.
fn listening(child: &mut Child) -> io::Result<SocketAddr> {
    let mut line = String::new();
    if let Some(stdout) = &mut child.stdout {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    line.trim_end()
        .strip_prefix("listening on tcp://")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| io::Error::other(format!("its first line is '{}'", line.trim_end())))
}

/// The server's own process: strace is its parent, valgrind has become it.
fn watched(child: u32, tool: &[String]) -> io::Result<u32> {
    if tool.first().is_none_or(|tool| tool != "strace") {
        return Ok(child);
    }
    let children = fs::read_to_string(format!("/proc/{child}/task/{child}/children"))?;
    children
        .split_whitespace()
        .next()
        .and_then(|pid| pid.parse().ok())
        .ok_or_else(|| io::Error::other("strace has no child"))
}
