//! A safe interface to io_uring: starting an operation moves its buffer into the ring, and the
//! completion returns it.
//!
//! ```text
//!   model                     Ring                               kernel
//!     |  recv(id, buffer) ---> in_flight[id] = buffer, socket
//!     |                        submission queue: pointer -------> writes into the buffer
//!     |                                                             |
//!     |                        completion queue: id, result <-------+
//!     |  <-- Completion        in_flight.remove(id)
//!          (id, result, buffer)
//! ```
//!
//! Invariant R1: from the push of an entry until its completion is taken from the completion queue,
//! the memory and the socket of the entry are in `in_flight` and are not accessed. The table can
//! grow during that time, because moving a vector does not move its bytes.
//!
//! Because of R1, dropping a future cannot cancel a read here, as it can with epoll: the kernel
//! would write into memory that is used for something else. For the same reason a ring that is
//! dropped with operations in flight leaks their buffers. The process is ending then.
//!
//! Called by `models::completion`. See io_uring(7), io_uring_enter(2). The interface follows the
//! owned buffers of compio and tokio-uring.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

/// Size of the submission queue. The number of operations in flight is not limited.
const ENTRIES: u32 = 256;

/// A completed operation.
#[derive(Debug)]
pub(crate) enum Completion {
    /// Result of an accept.
    Accepted(io::Result<TcpStream>),
    /// Id, buffer and result of a receive; 0 bytes at the end of input.
    Received(u64, Vec<u8>, io::Result<usize>),
    /// Id, buffer and result of a send.
    Sent(u64, Vec<u8>, io::Result<usize>),
}

/// An operation in flight, with the memory and the socket that the kernel uses.
#[derive(Debug)]
enum Operation {
    Accept,
    Receive(Rc<TcpStream>, Vec<u8>),
    Send(Rc<TcpStream>, Vec<u8>),
}

/// Id of the accept in flight. Clients have smaller ids.
const ACCEPT: u64 = u64::MAX;

/// A submission queue and a completion queue, shared with the kernel.
pub(crate) struct Ring {
    ring: IoUring,
    in_flight: HashMap<u64, Operation>,
}

impl Ring {
    /// Creates a ring.
    ///
    /// # Errors
    ///
    /// `ENOSYS` from kernels without io_uring, `EPERM` where it is forbidden (io_uring_disabled,
    /// seccomp in containers).
    pub(crate) fn new() -> io::Result<Ring> {
        // Since Linux 6.1: only one thread submits, and the kernel defers its work until that
        // thread waits, which interrupts it less often. Older kernels return `EINVAL`.
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .build(ENTRIES);
        let ring = match ring {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES),
            other => other,
        }?;
        Ok(Ring {
            ring,
            in_flight: HashMap::new(),
        })
    }

    /// Starts to accept one client. At most one accept can be in flight.
    ///
    /// # Errors
    ///
    /// If the kernel accepts no more operations.
    pub(crate) fn accept(&mut self, listener: &'static TcpListener) -> io::Result<()> {
        let none = std::ptr::null_mut();
        let entry = opcode::Accept::new(Fd(listener.as_raw_fd()), none, std::ptr::null_mut())
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.start(ACCEPT, Operation::Accept, entry)
    }

    /// Starts to receive into `buffer[from..]`. At most one operation per id can be in flight.
    ///
    /// # Errors
    ///
    /// If the kernel accepts no more operations.
    pub(crate) fn receive(
        &mut self,
        id: u64,
        stream: &Rc<TcpStream>,
        mut buffer: Vec<u8>,
        from: usize,
    ) -> io::Result<()> {
        let room = &mut buffer[from..];
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let entry = opcode::Recv::new(Fd(stream.as_raw_fd()), room.as_mut_ptr(), length).build();
        self.start(id, Operation::Receive(Rc::clone(stream), buffer), entry)
    }

    /// Starts to send `buffer[from..]`. At most one operation per id can be in flight.
    ///
    /// # Errors
    ///
    /// If the kernel accepts no more operations.
    pub(crate) fn send(
        &mut self,
        id: u64,
        stream: &Rc<TcpStream>,
        buffer: Vec<u8>,
        from: usize,
    ) -> io::Result<()> {
        let rest = &buffer[from..];
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(stream.as_raw_fd()), rest.as_ptr(), length)
            .flags(libc::MSG_NOSIGNAL)
            .build();
        self.start(id, Operation::Send(Rc::clone(stream), buffer), entry)
    }

    /// Submits all started operations and waits for a completion, a signal or the end of `timeout`.
    ///
    /// # Errors
    ///
    /// If the ring cannot be used any more.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let submitter = self.ring.submitter();
        let outcome = match timeout {
            None => submitter.submit_and_wait(1),
            Some(timeout) => {
                let timeout = Timespec::from(timeout);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
        };
        match outcome {
            Ok(_submitted) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // The timeout; a signal; a full completion queue, which the caller empties next.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Takes the next completion, if there is one.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        let (id, result) = (entry.user_data(), check(entry.result()));
        // The kernel no longer uses its memory: R1 ends here.
        let operation = self
            .in_flight
            .remove(&id)
            .expect("an operation completes once");
        Some(match operation {
            Operation::Accept => Completion::Accepted(result.map(|descriptor| {
                // SAFETY: a successful accept returns an open descriptor. It has no other owner,
                // because a completion is taken once.
                let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
                TcpStream::from(descriptor)
            })),
            Operation::Receive(_stream, buffer) => {
                Completion::Received(id, buffer, result.map(to_length))
            }
            Operation::Send(_stream, buffer) => Completion::Sent(id, buffer, result.map(to_length)),
        })
    }

    /// Returns whether no operation is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    fn start(&mut self, id: u64, operation: Operation, entry: squeue::Entry) -> io::Result<()> {
        let before = self.in_flight.insert(id, operation);
        // A second operation would replace the first and break R1.
        assert!(before.is_none(), "an operation with id {id} is in flight");
        let entry = entry.user_data(id);
        loop {
            // SAFETY: the memory of the entry is in `in_flight` until the completion has been taken
            // (R1): it was inserted above, only `next` removes it, and `drop` leaks it. The
            // descriptor is open as long: its owner is in `in_flight` too, or is the listener,
            // which is `'static`.
            match unsafe { self.ring.submission().push(&entry) } {
                Ok(()) => return Ok(()),
                // The queue is full. Submitting its entries empties it.
                Err(_full) => match self.ring.submit() {
                    Ok(_submitted) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        // The entry was not pushed, so the kernel does not use the buffer.
                        self.in_flight.remove(&id);
                        return Err(error);
                    }
                },
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        for (_, operation) in self.in_flight.drain() {
            if let Operation::Receive(_, buffer) | Operation::Send(_, buffer) = operation {
                buffer.leak();
            }
        }
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::from_raw_os_error(-result))
    } else {
        Ok(result)
    }
}

fn to_length(result: i32) -> usize {
    usize::try_from(result).expect("an error was returned before")
}
