//! What all echo servers of the comparison have in common: how they start, and what they say.
//!
//! Each server is a program in `src/bin`, named `server-RUNTIME`, written the way its own users
//! would write it. All of them behave alike:
//!
//! - they listen on a free port of 127.0.0.1 with a queue of [`BACKLOG`] clients, and the first line
//!   on stdout is `listening on tcp://127.0.0.1:PORT`;
//! - every accepted connection gets `TCP_NODELAY`, and all its bytes back, until it ends its input;
//! - a read takes at most `--buffer BYTES`, 16 KiB unless told; every connection has a buffer of its
//!   own, as is usual; only the raw epoll loop shares one among all of them;
//! - they run until they are ended by a signal.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// How many clients may wait to be accepted.
pub const BACKLOG: i32 = 4096;

/// What a server starts with.
#[derive(Debug)]
pub struct Start {
    /// A non-blocking socket that listens already.
    pub listener: TcpListener,
    /// The most that one read takes, in bytes.
    pub buffer: usize,
}

impl Start {
    /// Reads the command line, listens, and prints where.
    ///
    /// # Errors
    ///
    /// When the arguments are not `[--buffer BYTES]`, or no socket is to be had.
    pub fn from_command_line() -> Result<Start, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let mut buffer = 16 * 1024;
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), arguments.next()) {
                ("--buffer", Some(bytes)) => buffer = bytes.parse()?,
                _ => return Err("the only option is --buffer BYTES".into()),
            }
        }
        bench_common::raise_descriptor_limit()?;
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
        stdout.flush()?;
        Ok(Start { listener, buffer })
    }
}

/// What a server does about the end of one connection: nothing, unless it ended in an unusual way.
pub fn ended(outcome: io::Result<()>) {
    if let Err(error) = outcome
        && !matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    {
        eprintln!("a connection ended: {error}");
    }
}
