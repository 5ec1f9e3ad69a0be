//! An echo on one connection, driven by the events of epoll, without futures.

use std::io::{self, ErrorKind};

use kernel::{ET, Epoll, Event, IN, OUT, RDHUP, Stream};

/// How epoll reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// As long as a descriptor is ready, each wait reports it.
    Level,
    /// Each change is reported once.
    Edge,
}

/// Bytes that are kept for a peer that reads slowly.
pub const ROOM: usize = 64 * 1024;

/// A connection.
struct Echo {
    stream: Stream,
    /// Bytes that were read and not written yet.
    buffer: Vec<u8>,
    /// The peer will send no more.
    ended: bool,
    echoed: usize,
}

/// Echoes until the peer has closed its side and has got everything. Returns the number of bytes.
pub fn serve(stream: Stream, trigger: Trigger) -> io::Result<usize> {
    stream.set_nonblocking()?;
    let mut echo = Echo { stream, buffer: Vec::new(), ended: false, echoed: 0 };
    let epoll = Epoll::new()?;
    let mut interest = echo.interest(trigger);
    epoll.add(&echo.stream, interest, 0)?;
    let mut events = [Event::default(); 8];
    loop {
        match epoll.wait(&mut events, -1) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        if echo.advance()? {
            return Ok(echo.echoed);
        }
        let wanted = echo.interest(trigger);
        if wanted != interest {
            epoll.modify(&echo.stream, wanted, 0)?;
            interest = wanted;
        }
    }
}

impl Echo {
    /// Returns the events for which the connection waits.
    fn interest(&self, trigger: Trigger) -> u32 {
        if trigger == Trigger::Edge {
            return IN | OUT | RDHUP | ET;
        }
        let mut interest = 0;
        if !self.ended && self.buffer.len() < ROOM {
            interest |= IN;
        }
        if !self.buffer.is_empty() {
            interest |= OUT;
        }
        interest
    }

    /// Reads and writes until neither is possible. Returns whether the connection is done.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            let read = self.read()?;
            let written = self.write()?;
            if self.ended && self.buffer.is_empty() {
                return Ok(true);
            }
            if read + written == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads until there is no byte, or no room. Returns the number of bytes.
    fn read(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let mut count = 0;
        while !self.ended && self.buffer.len() < ROOM {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    self.buffer.extend_from_slice(&bytes[..n]);
                    count += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    /// Writes until the buffer is empty, or the peer's is full. Returns the number of bytes.
    fn write(&mut self) -> io::Result<usize> {
        let mut count = 0;
        while !self.buffer.is_empty() {
            match self.stream.write(&self.buffer) {
                Ok(n) => {
                    self.buffer.drain(..n);
                    count += n;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.echoed += count;
        Ok(count)
    }
}
