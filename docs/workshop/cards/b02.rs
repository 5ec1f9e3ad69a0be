//! B2. Closed before it is read
//!
//! From: K. Stage: 6.
//! Input: a client writes "bye" and closes its sending side.
//! Bug: 0 bytes back, reset
//! Fix: 3 bytes back, end
//!
//! `IN | RDHUP` means: there are bytes, and no more will come. The close throws the three bytes away, and a
//! socket that is closed with unread bytes sends a reset. Read to the end of the stream, then close.

use std::io::{self, Write};
use std::net::Shutdown;

use card::{arrived, pair, rest};
use kernel::{ET, Epoll, Event, IN, RDHUP, Stream};

mod bug {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 512]);
        loop {
            for event in epoll.wait(&mut events, -1)? {
                if event.flags() & RDHUP != 0 {
                    // The client has gone: the caller closes.
                    return Ok(());
                }
                let n = stream.read(&mut buffer)?;
                stream.write(&buffer[..n])?;
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn serve(epoll: &Epoll, stream: &Stream) -> io::Result<()> {
        let (mut events, mut buffer) = ([Event::default(); 8], [0; 512]);
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
    client.write_all(b"bye").unwrap();
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
