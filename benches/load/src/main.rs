//! The load generator. Prints one line of JSON per measurement.
//!
//! It is a raw, non-blocking epoll client and uses none of the measured runtimes, so that it favors
//! none of them.
//!
//! | file | job |
//! |---|---|
//! | `pattern` | the bytes that are sent and must be echoed |
//! | `open` | opens connections and verifies each with one message |
//! | `echo` | messages over a fixed set of connections |
//! | `churn` | short connections with one message each |
//! | `idle` | idle connections |
//! | `udp` | datagrams |
//! | `relay` | bytes through a relay |
//! | `mixed` | small messages at a fixed rate beside streams of bytes |
//! | `request` | one HTTP request per connection |
//! | `http` | HTTP requests by wrk and h2load |
//! | `usage` | CPU time, memory and sleeps of the server |
//! | `latencies` | round-trip times |

#![deny(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bench_load::{Mode, Plan, Report};
use clap::Parser;

mod churn;
mod echo;
mod http;
mod idle;
mod latencies;
mod mixed;
mod open;
mod pattern;
mod relay;
mod request;
#[expect(
    unsafe_code,
    reason = "the CPU clock of another process, options of datagram sockets"
)]
mod sys;
mod udp;
mod usage;

/// Time without any progress after which the server counts as hung.
const TIMEOUT: Duration = Duration::from_secs(20);

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
        Mode::Idle(idle) => print(&idle::run(plan, idle)?),
        Mode::Udp(udp) => udp::run(plan, udp, print),
        Mode::Relay(relay) => relay::run(plan, relay, print),
        Mode::Mixed(mixed) => mixed::run(plan, mixed, print),
        Mode::Http(http) => http::run(plan, http, print),
    }
}

fn print(report: &Report) -> io::Result<()> {
    let line = serde_json::to_string(report)?;
    writeln!(io::stdout(), "{line}")
}

/// Returns the error of a server that violates the protocol.
fn server_error(what: &str) -> io::Error {
    io::Error::other(format!("the server {what}"))
}
