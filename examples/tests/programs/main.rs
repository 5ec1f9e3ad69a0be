//! The example programs, run as a person would run them, against real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chat;
mod echo;
mod proxy;
mod small;
mod support;
