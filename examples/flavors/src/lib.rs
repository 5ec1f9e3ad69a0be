//! A key/value server on six I/O models, measured side by side.
//!
//! ```text
//!                  args --> serve -------> models::blocking     one client at a time
//!                            |             models::threads      a thread per client
//!   protocol, store, end <---+-----------> models::busy_wait    retries without waiting
//!   (shared by all models)   |             models::event_loop   epoll, a state machine per client
//!                            |             models::tasks        Wakeful: async, a task per client
//!                            |             models::completion   io_uring: completed operations
//!                          compare: starts each model, measures it under load, draws plots
//! ```
//!
//! Every model takes the same steps under the same names: *accept* a client, *answer* the complete
//! frames in its [`Decoder`](protocol::Decoder), *write* each answer, *read* into the decoder's
//! spare room, and *end*. Two models differ only in how they wait: compare them with `diff`.
//!
//! The module `sys` has the only `unsafe` code: the signal handlers and io_uring.

#![deny(unsafe_code)]

mod args;
mod client;
mod compare;
mod end;
mod models;
pub mod protocol;
mod serve;
pub mod store;
#[expect(
    unsafe_code,
    reason = "signal handlers, and buffers owned by the kernel during an operation"
)]
mod sys;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> ExitCode {
    let outcome = match Args::parse().command {
        Command::Serve(args) => serve::serve(&args),
        Command::Put {
            key,
            value,
            connect,
        } => client::put(connect, key, value),
        Command::Get { key, connect } => client::get(connect, key),
        Command::Compare(args) => compare::compare(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}").ok();
            ExitCode::FAILURE
        }
    }
}
