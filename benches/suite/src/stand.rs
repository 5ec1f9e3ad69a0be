//! Something that measures whenever it is asked to, and rests in between: a server with its load, or a
//! micro-benchmark. Many of them stand side by side, and are asked in turns.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use crate::patience::{LIMIT, within};
use crate::server::Server;

/// One that has been started. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Stand {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    complaints: ChildStderr,
    /// Whom the child puts a load on, if it does; ended after it.
    server: Option<Server>,
}

impl Stand {
    /// Starts the program that measures, on `cores`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(
        mut command: Command,
        cores: &[usize],
        server: Option<Server>,
    ) -> io::Result<Stand> {
        command
            .arg("--on-request")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = bench_common::pinned(cores, || command.spawn())?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(answers), Some(complaints)) = pipes else {
            unreachable!("all three are pipes");
        };
        Ok(Stand {
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
            complaints,
            server,
        })
    }

    /// Has it measure once, and gives its answer: one line.
    ///
    /// # Errors
    ///
    /// What it complained of, or that it took too long. It has ended then.
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let answer = within(LIMIT, self.child.id(), || {
            if let Some(requests) = &mut self.requests {
                // It fails when the program has ended; why, it has said elsewhere.
                requests.write_all(b"\n").ok();
            }
            self.answers.read_line(&mut line)
        })?;
        if answer > 0 {
            return Ok(line);
        }
        let mut complaint = String::new();
        self.complaints.read_to_string(&mut complaint)?;
        let first = complaint.lines().find(|line| !line.is_empty());
        Err(io::Error::other(first.unwrap_or("failed").to_owned()))
    }

    /// Ends it, and its server.
    ///
    /// # Errors
    ///
    /// When one of them does not end in order.
    pub(crate) fn end(mut self) -> io::Result<()> {
        // The end of its input is the end of its work.
        drop(self.requests.take());
        let status = within(LIMIT, self.child.id(), || self.child.wait())?;
        if !status.success() {
            return Err(io::Error::other("it did not end in order"));
        }
        self.server.take().map_or(Ok(()), Server::stop)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Whatever fails here, there is nobody left to be told, and nothing left to be done.
            for outcome in [self.child.kill(), self.child.wait().map(drop)] {
                drop(outcome);
            }
        }
    }
}
