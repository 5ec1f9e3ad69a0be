//! Start and logging of all echo servers of the comparison.
//!
//! Each server is a program in `src/bin`, named `server-RUNTIME`, in the usual style of its runtime.
//! All of them behave in the same way:
//!
//! - they listen on a free port of 127.0.0.1 with a backlog of [`BACKLOG`] clients, and the first line
//!   on stdout is `listening on tcp://127.0.0.1:PORT`;
//! - they set `TCP_NODELAY` on every accepted connection and echo its bytes until the end of input;
//! - a read takes at most `--buffer BYTES`, by default 16 KiB. Every connection has its own buffer, as
//!   is usual; only the raw epoll loop shares one buffer among all connections;
//! - they run until a signal ends them.
//!
//! The relays are named `server-relay-..`. They connect every two connections that they accept to each
//! other, and copy in both directions.
//!
//! The servers of datagrams are named `server-udp-..`. They print `listening on udp://127.0.0.1:PORT`
//! and send each datagram back to its sender. The servers of HTTP are named `server-http-..`
//! ([`http`]), and those that do other work beside the echo `server-mixed-..` ([`mixed`]).

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Socket, Type};

pub mod http;
pub mod mixed;

/// Number of clients that can wait for accept(2).
pub const BACKLOG: i32 = 4096;

/// Listener and settings of a server.
#[derive(Debug)]
pub struct Start {
    /// A non-blocking socket that is already listening.
    pub listener: TcpListener,
    /// Maximum number of bytes per read.
    pub buffer: usize,
}

impl Start {
    /// Parses the command line, listens, and prints the address.
    ///
    /// # Errors
    ///
    /// Returns an error if the arguments are not `[--buffer BYTES]`, or if no socket can be opened.
    pub fn from_command_line() -> Result<Start, Box<dyn Error>> {
        let mut arguments = std::env::args().skip(1);
        let mut buffer = 16 * 1024;
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), arguments.next()) {
                ("--buffer", Some(bytes)) => buffer = bytes.parse()?,
                _ => return Err("the only option is --buffer BYTES".into()),
            }
        }
        let listener = listen()?;
        Ok(Start { listener, buffer })
    }
}

/// Listens on a free port, and prints the address. The socket is non-blocking.
///
/// # Errors
///
/// Returns an error if no socket can be opened.
pub fn listen() -> io::Result<TcpListener> {
    bench_common::raise_descriptor_limit()?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from(socket);
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on tcp://{}", listener.local_addr()?)?;
    stdout.flush()?;
    Ok(listener)
}

/// Room for any datagram, and for any number of them in one call.
pub const LONGEST_DATAGRAM: usize = 65_535;

/// Binds a datagram socket to a free port, and prints its address.
///
/// # Errors
///
/// Returns an error if no socket can be opened.
pub fn bind_udp() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on udp://{}", socket.local_addr()?)?;
    stdout.flush()?;
    Ok(socket)
}

/// Logs the outcome of a connection, unless it is a usual one.
pub fn log_outcome(outcome: io::Result<()>) {
    if let Err(error) = outcome
        && !matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        )
    {
        eprintln!("connection failed: {error}");
    }
}
