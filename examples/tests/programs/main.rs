//! Runs the example programs as processes and tests them with real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chat;
mod echo;
mod get;
mod handlers;
mod netcat;
mod proxy;
mod small;
mod support;
mod udp;
