//! B13. The wrong socket does not block
//!
//! From: V. Stage: 6.
//! Input: a client connects, and sends nothing.
//! Bug: `read` can block the thread
//! Fix: registered
//!
//! The flag is set on the listener a second time. The accepted socket blocks, and with `ET` the loop has to
//! read until `WouldBlock`: that read blocks the thread.

use std::io;

use card::{listener, outcome};
use kernel::{ET, Epoll, IN, Listener, Script, Stream};

mod bug {
    use super::*;

    pub fn on_accept(listener: &Listener, epoll: &Epoll) -> io::Result<Stream> {
        let (connection, _) = listener.accept()?;
        listener.set_nonblocking()?;
        epoll.add(&connection, IN | ET, 1)?;
        drain(&connection)?;
        Ok(connection)
    }
}

mod fix {
    use super::*;

    pub fn on_accept(listener: &Listener, epoll: &Epoll) -> io::Result<Stream> {
        let (connection, _) = listener.accept()?;
        connection.set_nonblocking()?;
        epoll.add(&connection, IN | ET, 1)?;
        drain(&connection)?;
        Ok(connection)
    }
}

/// Reads until `WouldBlock`.
fn drain(stream: &Stream) -> io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => drop(stream.write(&buffer[..n])?),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn input(on_accept: fn(&Listener, &Epoll) -> io::Result<Stream>) -> String {
    let (listener, _client) = listener();
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    let accepted = outcome(|| on_accept(&listener, &epoll).unwrap());
    accepted.map_or_else(|end| end, |_| "registered".into())
}

fn main() {
    card::run(&|| input(bug::on_accept), &|| input(fix::on_accept));
}
