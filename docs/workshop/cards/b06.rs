//! B6. One client too many ends all
//!
//! From: K. Stage: 11.
//! Input: one client is served, and no descriptor is left when a second one connects.
//! Bug: the server ends: Too many open files (os error 24)
//! Fix: 1 of 1 earlier clients served, logged once
//!
//! `accept` can fail for a reason that concerns one client, or that passes. `EMFILE` is such a reason. Keep the
//! clients that are there, log it once, and accept again when a descriptor is free (B20 shows how not to).

use std::io;

use card::{listener, pair};
use kernel::{Listener, Script, Stream};

type Clients = Vec<Stream>;

mod bug {
    use super::*;

    pub fn on_connect(listener: &Listener, clients: &mut Clients) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn on_connect(listener: &Listener, clients: &mut Clients) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((stream, _)) => clients.push(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => {
                    // Accepted when a client has gone.
                    eprintln!("accepting: {error}");
                    return Ok(());
                }
            }
        }
    }
}

fn input(on_connect: fn(&Listener, &mut Clients) -> io::Result<()>) -> String {
    let ((_first, served), (listener, _second)) = (pair(), listener());
    let mut clients = vec![served];
    Script::new().begin();
    kernel::inject("accept", 24, 1);
    match on_connect(&listener, &mut clients) {
        Ok(()) => format!("{} of 1 earlier clients served, logged once", clients.len()),
        Err(error) => format!("the server ends: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::on_connect), &|| input(fix::on_connect));
}
