//! An echo server: it sends every client back exactly the bytes that it sent.
//!
//! Start reading at [`echo`], the handler that serves one connection; it is what programs on the
//! Wakeful runtime look like. Around it, in the order in which a run of the program comes by:
//!
//! | file | job |
//! |---|---|
//! | `args`, `address` | the command line |
//! | `log`, `output` | log lines that never make the server wait |
//! | `limits` | how many descriptors there are |
//! | `runtime` | the runtime, with what the arguments ask of it |
//! | `program` | start, signals, end: the root future |
//! | `signals` | SIGINT, SIGTERM, SIGUSR1 |
//! | `listen`, `unix_socket` | listening sockets |
//! | `team` | one server per thread |
//! | `server`, `accept` | how a client becomes a task |
//! | `datagrams` | the echo of UDP: one task per socket |
//! | `connections`, `connection`, `stream` | what is known of each client |
//! | **`echo`**, `patience` | **the echo itself**, and its time limits |
//! | `drain` | the graceful end |
//! | `report` | figures and the list of tasks |
//! | `bell`, `race` | two small futures that the rest is built with |
//!
//! There is no `unsafe` code here, and one thread unless `--threads` asks for more.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

mod accept;
mod address;
mod args;
mod bell;
mod connection;
mod connections;
mod datagrams;
mod drain;
mod echo;
mod limits;
mod listen;
mod log;
mod output;
mod patience;
mod program;
mod race;
mod report;
mod runtime;
mod server;
mod signals;
mod stream;
mod team;
mod unix_socket;

use args::Args;
use output::Put;
use program::Failure;

fn main() -> ExitCode {
    let args = match Args::from_command_line() {
        Ok(args) => args,
        Err(answer) => return tell(&answer),
    };
    log::start(&args);
    let limit = limits::raise_descriptor_limit();
    let outcome = runtime::build(&args)
        .map_err(|error| Failure::System("make the runtime", error))
        .and_then(|runtime| runtime.block_on(program::run(&args, limit)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::complain(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Prints what `--help` and `--version` ask for (status 0), or what is wrong with the arguments
/// (status 2).
fn tell(answer: &clap::Error) -> ExitCode {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        // If stderr is gone, the status still tells.
        match output::put(rustix::stdio::stderr(), text.as_bytes()) {
            Put::Written | Put::Dropped => return ExitCode::from(2),
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
