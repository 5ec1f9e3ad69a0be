//! What the cards share: a connection whose reads are given, a table of descriptors, and the runner.
//!
//! A card is a program. `bug` and `fix` run its two modules with the same input, and print what is seen in
//! one line. Nothing here sleeps or reads a clock, so the line is the same in each run.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::panic::{self, AssertUnwindSafe};

use kernel::{Epoll, Event, Listener, Stream, Stuck};

/// Calls in a row without an effect, after which a loop counts as one that never ends.
const CALLS_WITHOUT_EFFECT: usize = 1_000;

/// A program and what it makes of the input, as one line.
pub type Program<'p> = &'p dyn Fn() -> String;

/// Runs the version that the first argument names, and prints what is seen.
pub fn run(bug: Program<'_>, fix: Program<'_>) {
    let version = match std::env::args().nth(1).as_deref() {
        Some("bug") => bug,
        Some("fix") => fix,
        _ => panic!("the argument must be `bug` or `fix`"),
    };
    println!("{}", outcome(version).unwrap_or_else(|end| end));
}

/// Returns a number and what it counts: `1 byte`, `2 bytes`.
#[must_use]
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Runs a part of a card. The error says how it ended instead of with a result: in a panic, or never.
pub fn outcome<T>(part: impl FnOnce() -> T) -> Result<T, String> {
    panic::set_hook(Box::new(|_| ()));
    let result = panic::catch_unwind(AssertUnwindSafe(part));
    result.map_err(|payload| match payload.downcast::<Stuck>() {
        Ok(stuck) => match *stuck {
            Stuck::AsleepForever => "asleep forever".to_owned(),
            Stuck::NeverSleeps => "never sleeps".to_owned(),
            Stuck::MayBlock { call } => format!("`{call}` can block the thread"),
        },
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            let text = text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.into()));
            format!("panics: {}", text.unwrap_or_default())
        }
    })
}

/// The result of one read of a [`Conn`].
#[derive(Clone)]
pub enum Got {
    /// Bytes; a reader with a smaller buffer gets the rest with the next read.
    Bytes(&'static [u8]),
    /// An error of that kind, once.
    Error(ErrorKind),
}

/// A connection whose reads return the given results in order, and then the end of the stream.
pub struct Conn {
    reads: VecDeque<Got>,
    ends: usize,
    silent: bool,
    /// Bytes that one write takes at most.
    pub room: usize,
    /// All that was written.
    pub written: Vec<u8>,
    /// Whether `close` was called.
    pub closed: bool,
}

impl Conn {
    /// Returns a connection with these reads.
    #[must_use]
    pub fn new(reads: &[Got]) -> Conn {
        let reads = reads.iter().cloned().collect();
        Conn { reads, ends: 0, silent: false, room: usize::MAX, written: vec![], closed: false }
    }

    /// Returns a connection with these bytes, one read each.
    #[must_use]
    pub fn of(chunks: &[&'static [u8]]) -> Conn {
        Conn::new(&chunks.iter().map(|&bytes| Got::Bytes(bytes)).collect::<Vec<_>>())
    }

    /// Lets the peer wait after the last read, instead of ending the stream.
    #[must_use]
    pub fn then_silent(self) -> Conn {
        Conn { silent: true, ..self }
    }

    /// Closes it.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether the peer gets an answer, and whether the connection is open.
    #[must_use]
    pub fn state(&self) -> String {
        let open = if self.closed { "closed" } else { "open" };
        format!("{} back, {open}", count(self.written.len(), "byte"))
    }
}

impl Read for Conn {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reads.pop_front() {
            Some(Got::Error(kind)) => Err(kind.into()),
            Some(Got::Bytes(bytes)) => {
                let n = bytes.len().min(buffer.len());
                buffer[..n].copy_from_slice(&bytes[..n]);
                if n < bytes.len() {
                    self.reads.push_front(Got::Bytes(&bytes[n..]));
                }
                Ok(n)
            }
            None if self.silent => panic::panic_any(Stuck::AsleepForever),
            None => {
                self.ends += 1;
                if self.ends > CALLS_WITHOUT_EFFECT {
                    panic::panic_any(Stuck::NeverSleeps);
                }
                Ok(0)
            }
        }
    }
}

impl io::Write for Conn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(self.room);
        self.written.extend(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A table of descriptors, as a process has one: a new one gets the lowest vacant number.
#[derive(Default)]
pub struct Table {
    open: Vec<Option<&'static str>>,
    /// What was done, in words.
    pub log: String,
}

impl Table {
    /// Opens a descriptor, and returns its number.
    pub fn open(&mut self, what: &'static str) -> usize {
        let vacant = self.open.iter().position(Option::is_none);
        let fd = vacant.unwrap_or_else(|| {
            self.open.push(None);
            self.open.len() - 1
        });
        self.open[fd] = Some(what);
        fd
    }

    /// Closes a descriptor, whatever it stands for at this moment.
    pub fn close(&mut self, fd: usize) {
        let what = self.open.get_mut(fd).and_then(Option::take);
        let comma = if self.log.is_empty() { "" } else { ", " };
        let _ = write!(self.log, "{comma}closes {}", what.unwrap_or("nothing"));
    }

    /// Returns how many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.iter().flatten().count()
    }
}

/// Returns how many descriptors this process has open.
///
/// # Panics
///
/// If /proc is not there.
#[must_use]
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc is needed").count()
}

/// Returns the loopback address with a port that the kernel chooses.
#[must_use]
pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Returns a client and the server's socket that is connected to it. The socket does not block.
///
/// # Panics
///
/// If the loopback interface is down.
#[must_use]
pub fn pair() -> (TcpStream, Stream) {
    let listener = TcpListener::bind(loopback()).expect("bind");
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    let stream = Stream::new(listener.accept().expect("accept").0);
    stream.set_nonblocking().expect("set_nonblocking");
    (client, stream)
}

/// Returns a listener that does not block, and a client whose connection it can accept.
///
/// # Panics
///
/// If the loopback interface is down.
#[must_use]
pub fn listener() -> (Listener, TcpStream) {
    let listener = Listener::bind(loopback()).expect("bind");
    listener.set_nonblocking().expect("set_nonblocking");
    let client = connect(&listener);
    (listener, client)
}

/// Connects a client, and returns when the listener can accept it.
///
/// # Panics
///
/// If the loopback interface is down.
#[must_use]
pub fn connect(listener: &Listener) -> TcpStream {
    let client = TcpStream::connect(listener.local_addr().expect("address")).expect("connect");
    arrived(listener, kernel::IN);
    client
}

/// Blocks until one of the events has arrived; an error and a reset always count. Not inside a script.
///
/// # Panics
///
/// If no descriptor is left.
pub fn arrived(socket: &impl AsRawFd, flags: u32) {
    let epoll = Epoll::new().expect("epoll_create1");
    epoll.add(socket, flags, 0).expect("epoll_ctl");
    epoll.wait(&mut [Event::default()], -1).expect("epoll_wait");
}

/// Closes a client's socket with a byte unread, and so resets the connection. Not inside a script.
///
/// # Panics
///
/// If the server cannot write one byte.
pub fn reset(client: TcpStream, server: &Stream) {
    server.write(b"x").expect("write");
    client.peek(&mut [0]).expect("peek");
    drop(client);
    arrived(server, 0);
}

/// Counts the bytes that a client has got, after the server's socket is closed.
#[must_use]
pub fn received(mut client: TcpStream) -> usize {
    let mut bytes = Vec::new();
    // A reset comes after the bytes.
    let _ = client.read_to_end(&mut bytes);
    bytes.len()
}

/// Reads to the end of the stream, after the server has closed it.
#[must_use]
pub fn rest(mut client: TcpStream) -> String {
    let mut bytes = Vec::new();
    let end = match client.read_to_end(&mut bytes) {
        Ok(_) => "end",
        Err(error) if error.kind() == ErrorKind::ConnectionReset => "reset",
        Err(_) => "error",
    };
    format!("{} back, {end}", count(bytes.len(), "byte"))
}
