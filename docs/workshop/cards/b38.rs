//! B38. A return that looks like success
//!
//! From: F. Stage: 11.
//! Input: `accept` fails once: a client gave up before it was accepted.
//! Bug: ends without a message, 0 clients served
//! Fix: 1 client served, 1 line logged
//!
//! The error ends the loop, and the function returns as if nothing had failed. `ECONNABORTED` concerns one client. Log
//! the error, and accept the next one; only an error of the listener itself ends the server, with a message.

use std::io::ErrorKind;

use card::listener;
use kernel::{Listener, Script, Stream};

mod bug {
    use super::*;

    pub fn start(listener: &Listener, _log: &mut Vec<String>) -> Vec<Stream> {
        let mut clients = Vec::new();
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(_) => return clients,
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn start(listener: &Listener, log: &mut Vec<String>) -> Vec<Stream> {
        let mut clients = Vec::new();
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return clients,
                Err(error) => log.push(format!("accepting: {error}")),
            }
        }
    }
}

fn input(start: fn(&Listener, &mut Vec<String>) -> Vec<Stream>) -> String {
    let (listener, _client) = listener();
    Script::new().begin();
    kernel::inject("accept", 103, 1);
    let mut log = Vec::new();
    let served = start(&listener, &mut log).len();
    let served = card::count(served, "client");
    match log.len() {
        0 => format!("ends without a message, {served} served"),
        lines => format!("{served} served, {} logged", card::count(lines, "line")),
    }
}

fn main() {
    card::run(&|| input(bug::start), &|| input(fix::start));
}
