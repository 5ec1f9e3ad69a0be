//! io_uring behind a safe interface: whoever starts an operation gives its buffer away, and has it
//! back with the outcome.
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
//! Invariant R1: from the moment an entry is pushed until its completion has been taken from the
//! completion queue, the memory that the entry points to and the socket that it names live in
//! `in_flight` and nobody touches them. A vector's bytes stay where they are when the vector moves, so
//! that the table may grow meanwhile.
//!
//! R1 is why a future that reads cannot be given up here by dropping it, as it can with epoll: the
//! kernel would write into memory that has become something else. A ring that is dropped with operations in
//! flight leaks their buffers for the same reason; the process is ending then.
//!
//! Called by `models::completion`. See io_uring(7), io_uring_enter(2). Source of the interface: what
//! compio and tokio-uring call owned buffers.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

/// Operations that may wait to be submitted; there may be any number in flight.
const ENTRIES: u32 = 256;

/// An operation that has ended.
#[derive(Debug)]
pub(crate) enum Completion {
    /// A client has come.
    Accepted(io::Result<TcpStream>),
    /// Bytes have come, 0 of them at the end of input.
    Received(u64, Vec<u8>, io::Result<usize>),
    /// Bytes have gone.
    Sent(u64, Vec<u8>, io::Result<usize>),
}

/// What the kernel has in hand.
#[derive(Debug)]
enum Operation {
    Accept,
    Receive(Rc<TcpStream>, Vec<u8>),
    Send(Rc<TcpStream>, Vec<u8>),
}

/// The number under which the one accept is in flight. Clients have others.
const ACCEPT: u64 = u64::MAX;

/// A pair of queues shared with the kernel.
pub(crate) struct Ring {
    ring: IoUring,
    in_flight: HashMap<u64, Operation>,
}

impl Ring {
    /// Makes a ring.
    ///
    /// # Errors
    ///
    /// `ENOSYS` from kernels without io_uring, `EPERM` where it is forbidden (io_uring_disabled,
    /// seccomp in containers).
    pub(crate) fn new() -> io::Result<Ring> {
        // Since Linux 6.1 the kernel can be told that one thread alone submits, and that it may do
        // its part when that thread waits: fewer interruptions.
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

    /// Starts to accept one client. At most one accept is in flight.
    ///
    /// # Errors
    ///
    /// When the kernel takes no more operations.
    pub(crate) fn accept(&mut self, listener: &'static TcpListener) -> io::Result<()> {
        let none = std::ptr::null_mut();
        let entry = opcode::Accept::new(Fd(listener.as_raw_fd()), none, std::ptr::null_mut())
            .flags(libc::SOCK_CLOEXEC)
            .build();
        self.start(ACCEPT, Operation::Accept, entry)
    }

    /// Starts to receive into `buffer[from..]`. At most one operation of an id is in flight.
    ///
    /// # Errors
    ///
    /// When the kernel takes no more operations.
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

    /// Starts to send `buffer[from..]`. At most one operation of an id is in flight.
    ///
    /// # Errors
    ///
    /// When the kernel takes no more operations.
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

    /// Hands over what was started, and waits for at least one completion, or the end of `timeout`, or
    /// a signal.
    ///
    /// # Errors
    ///
    /// When the ring is of no use any more.
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
                // The timeout; a signal; more completions than fit, to be taken first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The next operation that has ended, if one has.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        let (id, result) = (entry.user_data(), check(entry.result()));
        // The kernel is done with it: R1 ends here.
        let operation = self
            .in_flight
            .remove(&id)
            .expect("an operation completes once");
        Some(match operation {
            Operation::Accept => Completion::Accepted(result.map(|descriptor| {
                // SAFETY: a successful accept gives a descriptor that is open and that nobody else
                // has, because a completion is taken once.
                let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
                TcpStream::from(descriptor)
            })),
            Operation::Receive(_stream, buffer) => {
                Completion::Received(id, buffer, result.map(to_length))
            }
            Operation::Send(_stream, buffer) => Completion::Sent(id, buffer, result.map(to_length)),
        })
    }

    /// Whether nothing is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    fn start(&mut self, id: u64, operation: Operation, entry: squeue::Entry) -> io::Result<()> {
        let before = self.in_flight.insert(id, operation);
        // A second one would take the first one's place, and R1 would not hold.
        assert!(before.is_none(), "an operation of {id} is in flight");
        let entry = entry.user_data(id);
        loop {
            // SAFETY: what the entry points to lives in `in_flight` until the completion has been
            // taken (R1): it was put there above, nothing but `next` takes it out, and `drop` leaks
            // it. The descriptor is open as long: its owner is there, too, or never closes it.
            match unsafe { self.ring.submission().push(&entry) } {
                Ok(()) => return Ok(()),
                // The queue is full: the kernel takes what is in it, which makes room.
                Err(_full) => match self.ring.submit() {
                    Ok(_submitted) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        // It never became an entry: its buffer is nobody's but ours.
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
    usize::try_from(result).expect("errors have been sorted out")
}
