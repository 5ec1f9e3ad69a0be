//! B19. One failed registration ends all
//!
//! From: V. Stage: 6.
//! Input: the second of three registrations fails: no watch is left.
//! Bug: the server ends: No space left on device (os error 28)
//! Fix: 2 of 3 clients served
//!
//! `epoll_ctl` fails for one descriptor, here because a limit is reached. The other clients have no part in it.
//! Drop the one client, log it, go on.

use std::io;

use card::pair;
use kernel::{ET, Epoll, IN, Script, Stream};

mod bug {
    use super::*;

    pub fn add_all(epoll: &Epoll, accepted: Vec<Stream>) -> io::Result<Vec<Stream>> {
        let mut clients = Vec::new();
        for (stream, token) in accepted.into_iter().zip(0..) {
            epoll.add(&stream, IN | ET, token)?;
            clients.push(stream);
        }
        Ok(clients)
    }
}

mod fix {
    use super::*;

    pub fn add_all(epoll: &Epoll, accepted: Vec<Stream>) -> io::Result<Vec<Stream>> {
        let mut clients = Vec::new();
        for (stream, token) in accepted.into_iter().zip(0..) {
            match epoll.add(&stream, IN | ET, token) {
                Ok(()) => clients.push(stream),
                Err(error) => eprintln!("registering client {token}: {error}"),
            }
        }
        Ok(clients)
    }
}

fn input(add_all: fn(&Epoll, Vec<Stream>) -> io::Result<Vec<Stream>>) -> String {
    let epoll = Epoll::new().unwrap();
    let (_peers, mut accepted): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
    Script::new().begin();
    let rest = accepted.split_off(1);
    let mut clients = add_all(&epoll, accepted).unwrap();
    kernel::inject("epoll_ctl(ADD)", 28, 1);
    match add_all(&epoll, rest) {
        Ok(more) => {
            clients.extend(more);
            format!("{} of 3 clients served", clients.len())
        }
        Err(error) => format!("the server ends: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::add_all), &|| input(fix::add_all));
}
