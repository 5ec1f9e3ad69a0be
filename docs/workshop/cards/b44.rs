//! B44. An error that is not EAGAIN
//!
//! From: evio. Stage: 11.
//! Input: `accept` fails with EPROTO, then a client connects.
//! Bug: the loop ends: Protocol error (os error 71)
//! Fix: 1 client served
//!
//! All errors but one end the loop, and with it all connections. accept(2) also returns errors of the connection
//! that it was about to accept. Sort the errors: try again, skip this client, wait for descriptors; the rest ends.

use std::io::{self, ErrorKind};

use card::listener;
use kernel::{Listener, Script, Stream};

mod bug {
    use super::*;

    pub fn accept_all(listener: &Listener, clients: &mut Vec<Stream>) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn accept_all(listener: &Listener, clients: &mut Vec<Stream>) -> io::Result<()> {
        const EPROTO: i32 = 71;
        const ECONNABORTED: i32 = 103;
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => match error.raw_os_error() {
                    Some(EPROTO | ECONNABORTED) => eprintln!("accepting: {error}"),
                    _ => return Err(error),
                },
            }
        }
    }
}

fn input(accept_all: fn(&Listener, &mut Vec<Stream>) -> io::Result<()>) -> String {
    let (listener, _client) = listener();
    Script::new().begin();
    kernel::inject("accept", 71, 1);
    let mut clients = Vec::new();
    match accept_all(&listener, &mut clients) {
        Ok(()) => format!("{} served", card::count(clients.len(), "client")),
        Err(error) => format!("the loop ends: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::accept_all), &|| input(fix::accept_all));
}
