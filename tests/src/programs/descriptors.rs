//! Random programs of descriptors, checked against the kernel: after every step in which nothing can go
//! on, no task waits for a descriptor that is ready.
//!
//! Any number of tasks read and write any number of sockets. Peers write, read, shut down and close; tasks
//! are aborted; sockets are dropped and their numbers are used again.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wakeful::io::{AsyncFd, Interest};
use wakeful::task::{AbortHandle, yield_now};

use super::Choices;
use crate::trace::{Wakes, pair, poll_with};

/// Maximum numbers of sockets and of tasks that are alive.
const SOCKETS: usize = 8;
const TASKS: usize = 24;

/// A socket in the runtime, and its peer outside.
struct Connection {
    here: Rc<AsyncFd<UnixStream>>,
    /// `None` after it was closed.
    there: Option<UnixStream>,
    counts: Rc<Counts>,
    written_there: usize,
    read_there: usize,
}

/// Bytes that tasks have moved.
#[derive(Default)]
struct Counts {
    read: Cell<usize>,
    written: Cell<usize>,
}

/// A task that moves bytes in one direction.
struct Mover {
    abort: AbortHandle,
    here: Rc<AsyncFd<UnixStream>>,
    interest: Interest,
}

struct Program {
    choices: Choices,
    connections: Vec<Connection>,
    movers: Vec<Mover>,
}

/// A number of bytes: few, or more than a socket takes.
fn amount(choices: &mut Choices) -> usize {
    match choices.below(4) {
        0 => 1 + choices.below(3),
        1 => 1 + choices.below(60_000),
        _ => 1 + choices.below(256),
    }
}

async fn read_all(here: Rc<AsyncFd<UnixStream>>, counts: Rc<Counts>, at_once: usize) {
    let mut buf = vec![0; at_once];
    let operation = |fd: &UnixStream| { fd }.read(&mut buf);
    let mut operation = operation;
    while let Ok(read @ 1..) = here.async_io(Interest::READABLE, &mut operation).await {
        counts.read.set(counts.read.get() + read);
    }
}

async fn write_all(here: Rc<AsyncFd<UnixStream>>, counts: Rc<Counts>, mut left: usize) {
    let bytes = vec![0; left];
    while left > 0 {
        let operation = |fd: &UnixStream| { fd }.write(&bytes[..left]);
        let Ok(written) = here.async_io(Interest::WRITABLE, operation).await else {
            return;
        };
        counts.written.set(counts.written.get() + written);
        left -= written;
    }
}

/// Returns whether the kernel says that the descriptor is ready.
fn is_ready(fd: &impl AsFd, interest: Interest) -> bool {
    let flags = match interest.is_readable() {
        true => PollFlags::IN,
        false => PollFlags::OUT,
    };
    let mut polled = [PollFd::new(fd, flags)];
    let at_once = Timespec::default();
    poll(&mut polled, Some(&at_once)).expect("poll") > 0
}

impl Program {
    fn connect(&mut self) {
        if self.connections.len() == SOCKETS {
            return;
        }
        let (here, there) = pair();
        there.set_nonblocking(true).expect("non-blocking mode");
        self.connections.push(Connection {
            here: Rc::new(AsyncFd::new(here).expect("a registration")),
            there: Some(there),
            counts: Rc::default(),
            written_there: 0,
            read_there: 0,
        });
    }

    fn spawn(&mut self, nth: usize, interest: Interest) {
        if self.movers.len() == TASKS {
            return;
        }
        let bytes = amount(&mut self.choices);
        let connection = &self.connections[nth];
        let (here, counts) = (Rc::clone(&connection.here), Rc::clone(&connection.counts));
        let abort = match interest.is_readable() {
            true => wakeful::spawn(read_all(here, counts, bytes)).abort_handle(),
            false => wakeful::spawn(write_all(here, counts, bytes)).abort_handle(),
        };
        let here = Rc::clone(&connection.here);
        self.movers.push(Mover {
            abort,
            here,
            interest,
        });
    }

    /// Lets the peer of a connection act.
    fn act(&mut self, nth: usize) {
        let action = self.choices.below(8);
        let bytes = amount(&mut self.choices);
        let connection = &mut self.connections[nth];
        let Some(there) = &mut connection.there else {
            return;
        };
        let moved = match action {
            0..=2 => there.write(&vec![0; bytes]),
            3..=5 => there.read(&mut vec![0; bytes]),
            6 => there.shutdown(Shutdown::Write).map(|()| 0),
            _ => {
                connection.there = None;
                return;
            }
        };
        match moved {
            Ok(moved) if action <= 2 => connection.written_there += moved,
            Ok(moved) => connection.read_there += moved,
            Err(error) => assert!(is_expected(&error), "{error}"),
        }
    }

    /// Waits with another waker than a task's, and stops waiting.
    fn wait_for_a_moment(&mut self, nth: usize) {
        let interest = [Interest::READABLE, Interest::WRITABLE][self.choices.below(2)];
        let (here, wakes) = (&self.connections[nth].here, Wakes::default());
        let mut readiness = here.ready(interest);
        drop(poll_with(&mut readiness, &wakes.waker()));
    }

    async fn step(&mut self) {
        let kind = self.choices.below(16);
        if self.connections.is_empty() || kind == 0 {
            return self.connect();
        }
        let nth = self.choices.below(self.connections.len());
        match kind {
            1 => drop(self.connections.swap_remove(nth)),
            2..=4 => self.spawn(nth, Interest::READABLE),
            5..=6 => self.spawn(nth, Interest::WRITABLE),
            7 => self.wait_for_a_moment(nth),
            8 if !self.movers.is_empty() => {
                let nth = self.choices.below(self.movers.len());
                self.movers[nth].abort.abort();
            }
            9 => yield_now().await,
            10 => self.check().await,
            _ => self.act(nth),
        }
    }

    /// Runs the tasks until none goes on, and compares them with the kernel.
    async fn check(&mut self) {
        loop {
            let before = wakeful::metrics().polls;
            for _ in 0..4 {
                yield_now().await;
            }
            if wakeful::metrics().polls == before {
                break;
            }
        }
        self.movers.retain(|mover| !mover.abort.is_finished());
        for mover in &self.movers {
            let ready = is_ready(&*mover.here, mover.interest);
            assert!(!ready, "a task waits, but {:?} is ready", mover.interest);
        }
        for connection in &self.connections {
            connection.check();
        }
        let mut sources = Vec::new();
        let of_movers = self.movers.iter().map(|mover| &mover.here);
        let of_connections = self.connections.iter().map(|one| &one.here);
        sources.extend(of_movers.chain(of_connections).map(Rc::as_ptr));
        sources.sort_unstable();
        sources.dedup();
        assert_eq!(wakeful::metrics().sources, sources.len() as u64);
    }
}

impl Connection {
    /// What tasks have read was written by the peer, and the reverse.
    fn check(&self) {
        let (read, written) = (self.counts.read.get(), self.counts.written.get());
        assert!(read <= self.written_there && self.read_there <= written);
    }
}

fn is_expected(error: &io::Error) -> bool {
    let expected = [
        ErrorKind::WouldBlock,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
    ];
    expected.contains(&error.kind())
}

/// Runs the program that `bytes` choose.
///
/// # Panics
///
/// When a task waits although its descriptor is ready, or a source is left behind.
pub fn run(bytes: &[u8]) {
    crate::trace::runtime().block_on(async {
        let mut program = Program {
            choices: Choices::new(bytes),
            connections: Vec::new(),
            movers: Vec::new(),
        };
        while !program.choices.is_used_up() {
            program.step().await;
        }
        program.check().await;
        // Without their peers all tasks end.
        for connection in &mut program.connections {
            connection.there = None;
        }
        program.connections.clear();
        program.check().await;
        for mover in &program.movers {
            mover.abort.abort();
        }
        program.check().await;
        assert_eq!(program.movers.len(), 0);
    });
}
