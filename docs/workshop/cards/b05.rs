//! B5. A signal ends the server
//!
//! From: K. Stage: 6.
//! Input: the process is stopped and continued (SIGSTOP, SIGCONT) while it waits.
//! Bug: ends: Interrupted system call (os error 4)
//! Fix: 5 bytes back
//!
//! `epoll_wait` returns `EINTR` when a signal came, and after SIGCONT also without a handler. Nothing has
//! failed: call it again.

use std::io::{self, Write};

use card::{arrived, pair};
use kernel::{Epoll, Event, IN, Script, Stream};

mod bug {
    use super::*;

    pub fn serve_one(epoll: &Epoll, stream: &Stream) -> io::Result<usize> {
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 512]);
        epoll.wait(&mut events, -1)?;
        let n = stream.read(&mut buffer)?;
        stream.write(&buffer[..n])
    }
}

mod fix {
    use super::*;

    pub fn serve_one(epoll: &Epoll, stream: &Stream) -> io::Result<usize> {
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 512]);
        loop {
            match epoll.wait(&mut events, -1) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let n = stream.read(&mut buffer)?;
        stream.write(&buffer[..n])
    }
}

fn input(serve_one: fn(&Epoll, &Stream) -> io::Result<usize>) -> String {
    let (mut client, server) = pair();
    client.write_all(b"hello").unwrap();
    arrived(&server, IN);
    let epoll = Epoll::new().unwrap();
    epoll.add(&server, IN, 0).unwrap();
    Script::new().begin();
    kernel::inject("epoll_wait", 4, 1);
    match serve_one(&epoll, &server) {
        Ok(n) => format!("{n} bytes back"),
        Err(error) => format!("ends: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::serve_one), &|| input(fix::serve_one));
}
