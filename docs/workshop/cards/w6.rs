//! W6. "The program is not blocking"
//!
//! From: K. Stage: 6.
//! Input: a client is accepted, and the loop reads from it before it has sent a byte.
//! Bug: `read` can block the thread
//! Fix: waits for an event
//!
//! `O_NONBLOCK` belongs to one open socket. The listener has it, and the socket from `accept` does not. The only
//! proof is to look at each descriptor, in `/proc/PID/fdinfo` or with `fcntl`.

use std::io;

use card::{listener, outcome};
use kernel::{Listener, Script, Stream};

mod bug {
    use super::*;

    /// Accepts. Not blocking, because the listener is not.
    pub fn accept(listener: &Listener) -> io::Result<Stream> {
        listener.set_nonblocking()?;
        let (stream, _) = listener.accept()?;
        Ok(stream)
    }
}

mod fix {
    use super::*;

    /// Accepts. The new socket has none of the listener's flags.
    pub fn accept(listener: &Listener) -> io::Result<Stream> {
        listener.set_nonblocking()?;
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking()?;
        Ok(stream)
    }
}

fn input(accept: fn(&Listener) -> io::Result<Stream>) -> String {
    let (listener, _client) = listener();
    Script::new().begin();
    let stream = accept(&listener).unwrap();
    match outcome(|| stream.read(&mut [0; 16])) {
        Err(end) => end,
        Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => "waits for an event".into(),
        Ok(other) => format!("{other:?}"),
    }
}

fn main() {
    card::run(&|| input(bug::accept), &|| input(fix::accept));
}
