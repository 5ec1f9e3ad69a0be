//! B32. The answer that a slow reader gets
//!
//! From: F. Stage: 6.
//! Input: an answer of 4,000 bytes, and room for 1,000 of them.
//! Bug: 1000 of 4000 bytes back
//! Fix: 4000 of 4000 bytes back
//!
//! One `write` takes what fits, and the rest is gone: the client gets an answer that ends in the middle. Keep the rest
//! with the connection, watch for `OUT`, and go on when there is room.

use std::io::{self, ErrorKind};

use card::{pair, received};
use kernel::{ET, Epoll, Event, OUT, Script, Stream};

mod bug {
    use super::*;

    pub fn answer(_epoll: &Epoll, stream: &Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write(bytes)?;
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn answer(epoll: &Epoll, stream: &Stream, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // In a server: kept with the connection until this event.
                    epoll.modify(stream, OUT | ET, 0)?;
                    epoll.wait(&mut [Event::default()], -1)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn input(answer: fn(&Epoll, &Stream, &[u8]) -> io::Result<()>) -> String {
    let (client, server) = pair();
    let epoll = Epoll::new().unwrap();
    epoll.add(&server, 0, 0).unwrap();
    Script::new().begin();
    kernel::limit("write", 1_000, 1);
    answer(&epoll, &server, &[7; 4_000]).unwrap();
    drop(server);
    format!("{} of 4000 bytes back", received(client))
}

fn main() {
    card::run(&|| input(bug::answer), &|| input(fix::answer));
}
