//! A run of the load generator, on its core.

use std::io;
use std::process::{Child, Command, Stdio};

use bench_load::Report;

use crate::patience::{LIMIT, within};
use crate::programs::Programs;
use crate::server::Server;

/// The load generator with its arguments, which are separated by spaces.
pub(crate) fn command(programs: &Programs, server: &Server, arguments: &str) -> Command {
    let mut command = Command::new(programs.own("bench-load"));
    command
        .arg(server.address.to_string())
        .args(["--pid", &server.pid.to_string()])
        .args(arguments.split_whitespace());
    command
}

/// The load generator at work.
#[derive(Debug)]
pub(crate) struct Load(Child);

impl Load {
    /// Starts it on `cores`; `arguments` are separated by spaces.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
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

    /// Waits for its report. It ends by itself: its load is bounded, and so is its patience.
    ///
    /// # Errors
    ///
    /// What the load generator complained of.
    pub(crate) fn report(self) -> io::Result<Report> {
        let output = within(LIMIT, self.0.id(), || self.0.wait_with_output())?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(complaint.trim().to_owned()));
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
