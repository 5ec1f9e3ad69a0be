//! The floor: a hand-written echo server on epoll(7), without a runtime.
//!
//! The cost of a runtime is the difference to this program. It is edge-triggered, registers a
//! connection once, accepts until the backlog is empty, and reads into one buffer that all connections
//! share. A read that does not fill the buffer means that the socket is drained. It is not a complete
//! server: a connection that never stops sending is never interrupted, and an error of the listener
//! ends the program.
//!
//! ```text
//! epoll_wait --> listener: accept4 until EAGAIN, each: TCP_NODELAY, epoll_ctl ADD
//!            \-> connection: recv --> send --> short read: next event
//!                                       \----> short send: keep the rest, read again after the
//!                                              peer has received it (next EPOLLOUT)
//! ```

#![deny(unsafe_code)]

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bench_servers::{Start, log_outcome};

#[expect(unsafe_code, reason = "the system calls of the hand-written loop")]
mod sys;

use sys::{Epoll, Event};

/// Token of the listener. The token of a connection is its descriptor.
const LISTENER: u64 = u64::MAX;
const EVENTS: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Start::from_command_line()?;
    let epoll = Epoll::new()?;
    epoll.add(start.listener.as_fd(), sys::IN, LISTENER)?;
    let mut server = Server {
        epoll,
        listener: start.listener,
        buffer: vec![0; start.buffer],
        connections: Vec::new(),
    };
    let mut events = [Event::EMPTY; EVENTS];
    loop {
        let count = server.epoll.wait(&mut events)?;
        for event in &events[..count] {
            match event.token() {
                LISTENER => server.accept()?,
                token => server.serve(token as usize, event.flags()),
            }
        }
    }
}

struct Server {
    epoll: Epoll,
    listener: TcpListener,
    /// Bytes between `recv` and `send`, for all connections.
    buffer: Vec<u8>,
    /// Connections, indexed by descriptor.
    connections: Vec<Option<Connection>>,
}

struct Connection {
    socket: OwnedFd,
    /// Bytes that the kernel has not accepted yet. Usually empty, without allocated memory.
    unsent: Vec<u8>,
}

impl Server {
    fn accept(&mut self) -> io::Result<()> {
        while let Some(socket) = would_block(sys::accept4(self.listener.as_fd()))? {
            sys::set_nodelay(socket.as_fd())?;
            let number = socket.as_raw_fd() as usize;
            let interest = sys::IN | sys::OUT | sys::RDHUP | sys::EDGE;
            self.epoll.add(socket.as_fd(), interest, number as u64)?;
            if self.connections.len() <= number {
                self.connections.resize_with(number + 1, || None);
            }
            self.connections[number] = Some(Connection {
                socket,
                unsent: Vec::new(),
            });
        }
        Ok(())
    }

    fn serve(&mut self, number: usize, flags: u32) {
        let Some(connection) = &mut self.connections[number] else {
            return;
        };
        match connection.echo(&mut self.buffer, flags & sys::RDHUP != 0) {
            Ok(false) => {}
            Ok(true) => self.connections[number] = None,
            Err(error) => {
                log_outcome(Err(error));
                self.connections[number] = None;
            }
        }
    }
}

impl Connection {
    /// Echoes until the socket is drained or accepts no more bytes. Returns whether the end of input has
    /// been reached. If `closing`, the end of input follows without another event, so a short read does
    /// not end the loop.
    fn echo(&mut self, buffer: &mut [u8], closing: bool) -> io::Result<bool> {
        if !self.unsent.is_empty() {
            let sent = would_block(sys::send(self.socket.as_fd(), &self.unsent))?.unwrap_or(0);
            self.unsent.drain(..sent);
        }
        while self.unsent.is_empty() {
            let Some(length) = would_block(sys::recv(self.socket.as_fd(), buffer))? else {
                break;
            };
            if length == 0 {
                return Ok(true);
            }
            let message = &buffer[..length];
            let sent = would_block(sys::send(self.socket.as_fd(), message))?.unwrap_or(0);
            if sent < length {
                // The next edge of EPOLLOUT sends the rest and then continues to read.
                self.unsent = message[sent..].to_vec();
            } else if length < buffer.len() && !closing {
                break;
            }
        }
        Ok(false)
    }
}

fn would_block<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
