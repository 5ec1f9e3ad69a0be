//! An echo server: it sends every client back exactly the bytes that the client sent.
//!
//! Files in the order in which a newcomer reads them. Imports only lead from a later entry of the
//! second list to an earlier one.
//!
//! 1. [`echo`]: the handler of one connection, which is what a program on Wakeful looks like. Its
//!    waits have the time limits of [`timeouts`].
//! 2. [`accept`]: `wakeful_net::serve` turns each client into a task that runs the handler.
//!    [`connection`] is what is known of that client, [`state`] what all connections share.
//! 3. [`udp`]: the echo of datagrams, one task per socket.
//! 4. [`program`]: start, signals and end, as the root future.
//!    [`server`], [`shutdown`] and [`workers`] are what it starts and stops.
//! 5. [`args`], [`log`], [`setup`], [`listen`], [`stats`] and [`trace`]: the command line, log lines
//!    that never block, runtime and descriptor limit, listening sockets, counters and task list, the
//!    recording, whose name is a [`trace_file`].
//!
//! From the bottom: `trace_file`, `args`, `log`, `trace`, `setup`, `listen`, `timeouts`, `state`, `connection`, `echo`,
//! `accept`, `udp`, `server`, `stats`, `shutdown`, `workers`, `program`, `main`.
//!
//! There is no `unsafe` code here, and one thread unless `--threads` or `--watch` asks for more.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

mod accept;
mod args;
mod connection;
mod echo;
mod listen;
mod log;
mod program;
mod server;
mod setup;
mod shutdown;
mod state;
mod stats;
mod timeouts;
mod trace;
mod trace_file;
mod udp;
mod workers;

use args::Args;
use log::WriteOutcome;
use program::StartError;

fn main() -> ExitCode {
    let args = match Args::from_command_line() {
        Ok(args) => args,
        Err(answer) => return print_usage(&answer),
    };
    log::start(&args);
    let limit = setup::raise_descriptor_limit();
    let outcome = setup::build_runtime(&args, 1)
        .map_err(|error| StartError::System("create the runtime", error))
        .and_then(|runtime| runtime.block_on(program::run(&args, limit)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::print_error(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Prints the text of `--help` and `--version` (status 0), or a usage error (status 2).
fn print_usage(answer: &clap::Error) -> ExitCode {
    let text = answer.render().to_string();
    if answer.use_stderr() {
        // If stderr is closed, the status still reports the error.
        match log::try_write_line(rustix::stdio::stderr(), text.as_bytes()) {
            WriteOutcome::Written | WriteOutcome::Dropped => return ExitCode::from(2),
        }
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
