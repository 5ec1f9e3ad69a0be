//! B33. The end before the request
//!
//! From: F. Stage: 6.
//! Input: a client sends its last request and closes its sending side at once.
//! Bug: 0 bytes back, reset
//! Fix: 7 bytes back, end
//!
//! The event has both flags, and the flag of the end is tested first. So the request is never read, and the close
//! becomes a reset. Handle bytes first: `read` reports the end by itself, after the last byte.

use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;

use card::{arrived, pair, rest};
use kernel::{ET, Epoll, Event, IN, RDHUP, Stream};

mod bug {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        let mut events = [Event::default(); 8];
        loop {
            for event in epoll.wait(&mut events, -1)? {
                if event.is_read_end() {
                    return Ok(());
                } else if event.is_readable() {
                    answer(stream)?;
                }
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        let mut events = [Event::default(); 8];
        loop {
            for event in epoll.wait(&mut events, -1)? {
                if event.is_readable() && !answer(stream)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Answers all requests that are there. Returns whether more can come.
fn answer(stream: &Stream) -> io::Result<bool> {
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(_) => drop(stream.write(b"not set")?),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn input(serve: fn(&Epoll, &Stream) -> io::Result<()>) -> String {
    let (mut client, server) = pair();
    client.write_all(b"get color").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    arrived(&server, RDHUP);
    let epoll = Epoll::new().unwrap();
    epoll.add(&server, IN | RDHUP | ET, 0).unwrap();
    serve(&epoll, &server).unwrap();
    drop(server);
    rest(client)
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
