//! The load generator: from the command line to one line of JSON.
//!
//! It is a raw, non-blocking epoll client of its own and stands on none of the measured runtimes, so
//! that it favours none.
//!
//! | file | job |
//! |---|---|
//! | `pattern` | the bytes that are sent, and what must come back |
//! | `open` | opens connections, each proven by one message |
//! | `echo` | messages over a fixed set of connections |
//! | `churn` | connections that live for one message |
//! | `rest` | connections that do nothing |
//! | `watch` | CPU time, memory and sleeps of the server, as the kernel tells them |
//! | `times` | round-trip times |

#![deny(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bench_load::{Mode, Plan, Report};
use clap::Parser;

mod churn;
mod echo;
mod open;
mod pattern;
mod rest;
#[expect(unsafe_code, reason = "the CPU clock of another process")]
mod sys;
mod times;
mod watch;

/// When nothing at all has come back for so long, the server is taken for dead.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match run(&Plan::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> io::Result<()> {
    if !plan.server.ip().is_loopback() {
        return Err(io::Error::other("only loopback addresses are allowed"));
    }
    bench_common::raise_descriptor_limit()?;
    match &plan.mode {
        Mode::Echo(echo) => echo::run(plan, echo, print),
        Mode::Connections(connections) => print(&churn::run(plan, connections)?),
        Mode::Idle(idle) => print(&rest::run(plan, idle)?),
    }
}

fn print(report: &Report) -> io::Result<()> {
    let line = serde_json::to_string(report)?;
    writeln!(io::stdout(), "{line}")
}

/// The error of a server that did not behave.
fn misbehaved(what: &str) -> io::Error {
    io::Error::other(format!("the server {what}"))
}
