//! B4. The greeting that stops the server
//!
//! From: K. Stage: 6.
//! Input: a client connects and reads nothing.
//! Bug: `write` can block the thread
//! Fix: greeted
//!
//! The listener does not block, but an accepted socket has none of its flags. When the client's buffer is
//! full, `write` blocks the only thread, and all other clients wait. Each accepted socket needs `O_NONBLOCK`.

use std::io;

use card::{listener, outcome};
use kernel::{ET, Epoll, IN, Listener, OUT, Script, Stream};

mod bug {
    use super::*;

    pub fn accept(listener: &Listener, epoll: &Epoll) -> io::Result<Stream> {
        listener.set_nonblocking()?;
        let (stream, _) = listener.accept()?;
        epoll.add(&stream, IN | OUT | ET, 1)?;
        stream.write(b"welcome\n")?;
        Ok(stream)
    }
}

mod fix {
    use super::*;

    pub fn accept(listener: &Listener, epoll: &Epoll) -> io::Result<Stream> {
        listener.set_nonblocking()?;
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking()?;
        epoll.add(&stream, IN | OUT | ET, 1)?;
        stream.write(b"welcome\n")?;
        Ok(stream)
    }
}

fn input(accept: fn(&Listener, &Epoll) -> io::Result<Stream>) -> String {
    let (listener, _client) = listener();
    let epoll = Epoll::new().unwrap();
    Script::new().begin();
    let accepted = outcome(|| accept(&listener, &epoll).unwrap());
    accepted.map_or_else(|end| end, |_| "greeted".into())
}

fn main() {
    card::run(&|| input(bug::accept), &|| input(fix::accept));
}
