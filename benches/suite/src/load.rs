//! Runs the load generator on its core.

use std::io;
use std::process::{Child, Command, Stdio};

use bench_load::Report;

use crate::programs::Programs;
use crate::server::Server;
use crate::timeout::{LIMIT, with_timeout};

/// Returns the command of the load generator; `arguments` are separated by spaces.
pub(crate) fn command(programs: &Programs, server: &Server, arguments: &str) -> Command {
    let mut command = Command::new(programs.own("bench-load"));
    command
        .arg(server.address.to_string())
        .args(["--pid", &server.pid.to_string()])
        .args(arguments.split_whitespace());
    command
}

/// A running load generator.
#[derive(Debug)]
pub(crate) struct Load(Child);

impl Load {
    /// Starts the load generator on `cores`; `arguments` are separated by spaces.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be started.
    pub(crate) fn start(
        programs: &Programs,
        server: &Server,
        arguments: &str,
        cores: &[usize],
    ) -> io::Result<Load> {
        let mut command = command(programs, server, arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        bench_common::pinned(cores, || command.spawn()).map(Load)
    }

    /// Waits for the report. The program ends by itself: its load and its timeouts are bounded.
    ///
    /// # Errors
    ///
    /// Returns what the load generator wrote to stderr.
    pub(crate) fn report(self) -> io::Result<Report> {
        let output = with_timeout(LIMIT, self.0.id(), || self.0.wait_with_output())?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(stderr.trim().to_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
