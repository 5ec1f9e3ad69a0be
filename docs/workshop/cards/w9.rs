//! W9. "Busy waiting serves well where responsiveness is a priority"
//!
//! From: F. Stage: 2.
//! Input: client a is silent, client b sends 5 bytes.
//! Bug: never sleeps, 0 bytes back
//! Fix: ends, 5 bytes back
//!
//! The loop asks a again and again, and so never comes to b: it uses a core, and answers none. A wait
//! for an event of any client costs nothing while nothing happens, and then names the client that is ready.

use std::io::{self, ErrorKind, Write};

use card::{arrived, outcome, pair, received};
use kernel::{Epoll, Event, IN, Script, Stream};

mod bug {
    use super::*;

    pub fn answer_one(clients: &[Stream; 2]) -> io::Result<()> {
        let mut buffer = [0; 512];
        for client in clients {
            loop {
                match client.read(&mut buffer) {
                    // Nothing yet: ask again at once.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    other => return client.write(&buffer[..other?]).map(drop),
                }
            }
        }
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn answer_one(clients: &[Stream; 2]) -> io::Result<()> {
        let (epoll, mut buffer) = (Epoll::new()?, [0; 512]);
        for (client, token) in clients.iter().zip(0..) {
            epoll.add(client, IN, token)?;
        }
        let mut events = [Event::default(); 1];
        let ready = epoll.wait(&mut events, -1)?;
        let client = &clients[ready[0].token() as usize];
        let n = client.read(&mut buffer)?;
        client.write(&buffer[..n]).map(drop)
    }
}

fn input(answer_one: fn(&[Stream; 2]) -> io::Result<()>) -> String {
    let ((_a, server_a), (mut b, server_b)) = (pair(), pair());
    b.write_all(b"hello").unwrap();
    arrived(&server_b, IN);
    let clients = [server_a, server_b];
    Script::new().begin();
    let end = outcome(|| answer_one(&clients).unwrap());
    let end = end.map_or_else(|end| end, |()| "ends".to_owned());
    drop(clients);
    format!("{end}, {} bytes back", received(b))
}

fn main() {
    card::run(&|| input(bug::answer_one), &|| input(fix::answer_one));
}
