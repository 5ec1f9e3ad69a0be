//! A process that measures on request and is idle in between: a load with its server, or a
//! micro-benchmark. [`Bench::side_by_side`](crate::bench::Bench::side_by_side) runs many of them.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};

use crate::server::Server;
use crate::timeout::{LIMIT, with_timeout};

/// A running benchmark. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Benchmark {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    stderr: ChildStderr,
    /// The server that the child puts a load on, if any. It is stopped after the child.
    server: Option<Server>,
}

impl Benchmark {
    /// Starts the measuring program on `cores`.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be started.
    pub(crate) fn start(
        mut command: Command,
        cores: &[usize],
        server: Option<Server>,
    ) -> io::Result<Benchmark> {
        command
            .arg("--on-request")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = bench_common::pinned(cores, || command.spawn())?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(answers), Some(stderr)) = pipes else {
            unreachable!("all three are pipes");
        };
        Ok(Benchmark {
            child,
            requests: Some(requests),
            answers: BufReader::new(answers),
            stderr,
            server,
        })
    }

    /// Measures once and returns the answer, one line.
    ///
    /// # Errors
    ///
    /// Returns the first line that the program wrote to stderr, or a timeout. The program has ended
    /// in both cases.
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let length = with_timeout(LIMIT, self.child.id(), || {
            if let Some(requests) = &mut self.requests {
                // Fails if the program has ended; the reason is in its stderr.
                requests.write_all(b"\n").ok();
            }
            self.answers.read_line(&mut line)
        })?;
        if length > 0 {
            return Ok(line);
        }
        let mut message = String::new();
        self.stderr.read_to_string(&mut message)?;
        let first = message.lines().find(|line| !line.is_empty());
        Err(io::Error::other(first.unwrap_or("failed").to_owned()))
    }

    /// Stops the program, and then its server.
    ///
    /// # Errors
    ///
    /// Returns an error if one of them does not exit regularly.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        // The program exits at the end of its input.
        drop(self.requests.take());
        let status = with_timeout(LIMIT, self.child.id(), || self.child.wait())?;
        if !status.success() {
            return Err(io::Error::other(format!("failed: {status}")));
        }
        self.server.take().map_or(Ok(()), Server::stop)
    }
}

impl Drop for Benchmark {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Errors are ignored: the failure that led here is already reported.
            for outcome in [self.child.kill(), self.child.wait().map(drop)] {
                drop(outcome);
            }
        }
    }
}
