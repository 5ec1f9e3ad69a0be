//! One connection: its socket, who is at the other end, and how many bytes came and went.
//!
//! Made by [`crate::server`], used by [`crate::echo`], watched by [`crate::drain`] and
//! [`crate::report`], which is why it is shared (`Rc`) between the task that serves it and the
//! table of [`crate::connections`].

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::rc::Rc;

use wakeful::task;
use wakeful_net::stream::{Readable, Writable};

use crate::stream::{Peer, Stream};

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    /// The address on which it was accepted. Not `Rc<str>`, which takes twice the room.
    via: Rc<String>,
    /// Bytes read. Written here only.
    received: Cell<u64>,
    /// Bytes that the kernel took for the peer. Written here only.
    sent: Cell<u64>,
    /// The task that serves it; set right after that was spawned.
    task: Cell<Option<task::Id>>,
}

impl Connection {
    pub(crate) fn new(stream: Stream, peer: Peer, via: Rc<String>) -> Connection {
        let (received, sent, task) = (Cell::new(0), Cell::new(0), Cell::new(None));
        Connection {
            stream,
            peer,
            via,
            received,
            sent,
            task,
        }
    }

    /// Waits until there is something to read: bytes, the end of input, or an error.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub(crate) fn readable(&self) -> Readable<'_> {
        self.stream.readable()
    }

    /// Waits until the peer takes bytes again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    #[track_caller]
    pub(crate) fn writable(&self) -> Writable<'_> {
        self.stream.writable()
    }

    /// Reads what is there: `None` when it is nothing, 0 at the end of input.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Lost> {
        match self.stream.try_read(buffer) {
            Ok(length) => {
                self.received.set(self.received.get() + length as u64);
                Ok(Some(length))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(Lost {
                while_doing: "read",
                error,
            }),
        }
    }

    /// Sends as much as the peer takes now, and says how much that was; it may be 0.
    #[inline(always)] // called once per message, from one place that matters
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Result<usize, Lost> {
        self.note(self.stream.try_write(bytes))
    }

    /// As [`Connection::try_write`], but asks the kernel even if it has told of no room.
    pub(crate) fn offer(&self, bytes: &[u8]) -> Result<usize, Lost> {
        self.note(self.stream.offer(bytes))
    }

    /// What sending came to.
    #[inline(always)]
    fn note(&self, sent: io::Result<usize>) -> Result<usize, Lost> {
        match sent {
            Ok(taken) => {
                self.sent.set(self.sent.get() + taken as u64);
                Ok(taken)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(Lost {
                while_doing: "write",
                error,
            }),
        }
    }

    /// Makes the handler believe that the peer has finished: it still reads what the kernel holds,
    /// gives it back, and then sees the end of input.
    ///
    /// # Errors
    ///
    /// When the connection is gone already, which the handler will notice by itself.
    pub(crate) fn end_input(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Read)
    }

    /// Tells the peer that nothing more will come, after everything that was sent.
    ///
    /// # Errors
    ///
    /// When the connection is gone already.
    pub(crate) fn end_output(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }

    /// Whether it holds bytes that the peer has not taken yet.
    pub(crate) fn owes(&self) -> bool {
        self.received.get() != self.sent.get()
    }

    pub(crate) fn via(&self) -> &str {
        &self.via
    }

    pub(crate) fn task(&self) -> Option<task::Id> {
        self.task.get()
    }

    pub(crate) fn set_task(&self, task: task::Id) {
        self.task.set(Some(task));
    }
}

/// Why a connection ended before its peer said that it had finished.
#[derive(Debug)]
pub(crate) struct Lost {
    /// `read`, `write` or `wait`.
    pub(crate) while_doing: &'static str,
    pub(crate) error: io::Error,
}

/// An error of a wait: the peer took too long, or the runtime is about to end.
impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Lost {
        Lost {
            while_doing: "wait",
            error,
        }
    }
}

/// Its peer, by which the log and the report name it.
impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}
