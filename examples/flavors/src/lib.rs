//! One key/value server, six I/O models, measured side by side.
//!
//! ```text
//!                    args --> serve --------> models::blocking     one client at a time
//!                              |              models::threads      a thread per client
//!   protocol, store, end  <----+----------->  models::busy_wait    asks again and again
//!   (the same for all)         |              models::event_loop   epoll, a state machine per client
//!                              |              models::tasks        Wakeful: async, a task per client
//!                              |              models::completion   io_uring: the kernel does it, and tells
//!                            compare: starts each of them, loads it, measures, draws
//! ```
//!
//! Every model takes the same steps, in the same words: *accept* a client, *answer* the whole frames
//! that its [`Decoder`](protocol::Decoder) holds, *write* each answer, *read* into the decoder's room,
//! and *end*. What differs between two models is how they wait; read two of them with `diff`.
//!
//! `unsafe` stands in `sys`: what a signal handler does, and what io_uring is given.

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
    reason = "signal handlers, and buffers lent to the kernel"
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
