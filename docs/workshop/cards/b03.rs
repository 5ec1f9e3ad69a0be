//! B3. One read per edge
//!
//! From: K. Stage: 6.
//! Input: a client writes 10,000 bytes and closes its sending side.
//! Bug: asleep forever, 4096 bytes back
//! Fix: ends, 10000 bytes back
//!
//! `ET` reports a change once. The bytes beyond the buffer are no change, so no event speaks of them again.
//! With `ET`, read until `WouldBlock` or until the end.

use std::io::{self, Write};
use std::net::Shutdown;

use card::{arrived, outcome, pair, received};
use kernel::{ET, Epoll, Event, IN, RDHUP, Script, Stream};

mod bug {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        epoll.add(stream, IN | ET, 0)?;
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 4096]);
        loop {
            epoll.wait(&mut events, -1)?;
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            stream.write(&buffer[..n])?;
        }
    }
}

mod fix {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        epoll.add(stream, IN | ET, 0)?;
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 4096]);
        loop {
            epoll.wait(&mut events, -1)?;
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => drop(stream.write(&buffer[..n])?),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

fn input(serve: fn(&Epoll, &Stream) -> io::Result<()>) -> String {
    let (mut client, server) = pair();
    client.write_all(&[7; 10_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    arrived(&server, RDHUP);
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    let end =
        outcome(|| serve(&epoll, &server).unwrap()).map_or_else(|end| end, |()| "ends".into());
    drop(server);
    format!("{end}, {} bytes back", received(client))
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
