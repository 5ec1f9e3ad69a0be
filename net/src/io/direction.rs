//! One direction of a relay: copies through a buffer, or moves through a pipe.
//!
//! Called by `super::copy_bidirectional`; calls `Readiness::poll_transfer` and `super::pipes`.
//!
//! ```text
//!           two reads in a row filled the buffer
//!     buffer  ----------------------------->  pipe
//!   recv, send                             splice, splice
//!             <-----------------------------
//!               a pipe got less than BULK bytes
//! ```
//!
//! So small pieces cost what they cost with `wakeful::io::copy_bidirectional`, and many bytes are not
//! copied to user space and back ([TRIED.md](../../../docs/TRIED.md)).
//!
//! What a direction reads, it writes before it reads again, from `pending` or from its pipe. It has one
//! of the two at most.
//!
//! A splice that finds nothing does not end a wait, and neither does one that returns the end of the
//! stream: a receive has to confirm it. TCP has more after urgent data, although splice(2) returns
//! `EAGAIN` before it.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, IoCount, Readiness};

use super::pipes::{LentPipe, Pipes};
use crate::budget::poll_proceed;
use crate::socket::{Io, Socket};
use crate::stream::poll::poll_shutdown;

/// Upper limit of one receive, and of the bytes pending for a slow writer without a pipe.
const BUFFER_SIZE: usize = 16 * 1024;

/// Fewer bytes are cheaper to copy than to splice.
const BULK: usize = BUFFER_SIZE;

/// Upper limit of one splice, and of the bytes in a pipe.
const PIPE_LIMIT: usize = 64 * 1024;

thread_local! {
    /// The thread's buffer while no direction uses it.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The thread's buffer; dropping this gives it back.
struct Scratch(Box<[u8]>);

impl Scratch {
    fn take() -> Self {
        // A thread that is ending has destroyed its thread-local.
        let buffer = BUFFER.try_with(Cell::take).ok().flatten();
        Scratch(buffer.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        BUFFER.try_with(|place| place.set(Some(buffer))).ok();
    }
}

/// How the next bytes are moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Buffer,
    Pipe,
    /// As `Buffer`, for the rest of the connection: one of the sockets does not support splice(2), or the
    /// system does not.
    BufferOnly,
}

/// The two ends of a direction, and the call that appears in the task info.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) from: &'a Io,
    pub(super) to: &'a Io,
    pub(super) location: &'static Location<'static>,
}

impl<'a> Ends<'a> {
    #[inline]
    fn wait(self, io: &'a Io, interest: Interest) -> Readiness<'a, Socket> {
        let readiness = io.ready(interest).operation("io::copy_bidirectional");
        readiness.location(self.location).by_waker()
    }

    #[inline]
    fn reader(self) -> Readiness<'a, Socket> {
        self.wait(self.from, Interest::READABLE)
    }

    #[inline]
    fn writer(self) -> Readiness<'a, Socket> {
        self.wait(self.to, Interest::WRITABLE)
    }
}

/// State of one direction.
#[derive(Default)]
pub(super) struct Direction {
    mode: Mode,
    /// Bytes that were received and not all sent yet.
    pending: Vec<u8>,
    /// Number of bytes of `pending` that were sent.
    sent: usize,
    /// The pipe, while bytes are in it.
    lent: Option<LentPipe>,
    /// The pipes of the thread, after the first use.
    pipes: Option<Arc<Pipes>>,
    /// Whether the last receive filled the buffer.
    was_full: bool,
    /// Number of operations that a large splice still takes off the budget.
    owed: usize,
    /// Number of bytes sent in total.
    copied: u64,
    /// Whether the reader has returned the end of the stream.
    read_done: bool,
    /// Whether the end of the stream was sent.
    closed: bool,
}

impl Direction {
    /// Returns the number of bytes sent.
    pub(super) fn copied(&self) -> u64 {
        self.copied
    }

    /// Copies until the end of the stream, then shuts down the writer. Can be polled again afterwards.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<u64>> {
        if !self.closed {
            let copied = self.poll_copy(cx, ends);
            self.give_back_empty_pipe();
            ready!(copied)?;
            ready!(poll_shutdown(ends.to, cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(self.copied))
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<()>> {
        let mut confirms = false;
        loop {
            ready!(self.poll_send_pending(cx, ends))?;
            ready!(self.poll_drain(cx, ends))?;
            while self.owed > 0 {
                ready!(poll_proceed(cx));
                self.owed -= 1;
            }
            if self.read_done {
                return Poll::Ready(Ok(()));
            }
            if self.mode == Mode::Pipe && !confirms {
                confirms = ready!(self.poll_fill(cx, ends))? == 0;
            } else {
                ready!(self.poll_receive(cx, ends))?;
                confirms = false;
            }
        }
    }

    /// Receives into the thread's buffer and sends as much of it as the kernel accepts.
    fn poll_receive(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<()>> {
        let mut scratch = Scratch::take();
        let receive = |socket: &Socket| socket.recv(&mut scratch.0);
        let received = ready!(ends.reader().poll_transfer(cx, receive))?;
        if received == 0 {
            self.read_done = true;
            return Poll::Ready(Ok(()));
        }
        if self.mode != Mode::BufferOnly {
            let is_full = received == BUFFER_SIZE;
            // A receive that confirms an empty socket leaves the mode if it finds as much again.
            let is_bulk = is_full && (self.was_full || self.mode == Mode::Pipe);
            self.mode = if is_bulk { Mode::Pipe } else { Mode::Buffer };
            self.was_full = is_full;
        }
        let mut bytes = &scratch.0[..received];
        while !bytes.is_empty() {
            match self.poll_send(cx, ends, bytes) {
                Poll::Ready(sent) => bytes = &bytes[sent?..],
                Poll::Pending => {
                    self.pending.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send_pending(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.pending.len() {
            let pending = std::mem::take(&mut self.pending);
            let polled = self.poll_send(cx, ends, &pending[self.sent..]);
            self.pending = pending;
            self.sent += ready!(polled)?;
        }
        (self.pending, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        ends: Ends<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let send = |socket: &Socket| socket.send(bytes);
        let sent = ready!(ends.writer().poll_transfer(cx, send))?;
        if sent == 0 {
            // The kernel never accepts 0 bytes of a buffer that is not empty. If it did, this would spin.
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.copied += sent as u64;
        Poll::Ready(Ok(sent))
    }

    /// Moves bytes from the reader into a pipe and returns their number. 0 shows nothing about the reader.
    fn poll_fill(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<usize>> {
        let pipes = self.pipes.get_or_insert_with(Pipes::of_thread);
        let (mode, lent) = (&mut self.mode, &mut self.lent);
        let fill = |socket: &Socket| {
            if lent.is_none() {
                *lent = pipes.take();
            }
            let Some(LentPipe { pipe, .. }) = lent else {
                *mode = Mode::Buffer;
                return Ok(IoCount::unknown(0));
            };
            match pipe.fill(socket.as_fd(), PIPE_LIMIT) {
                Ok(moved) => Ok(IoCount::unknown(moved)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(IoCount::unknown(0)),
                Err(error) if is_unsupported(&error) => {
                    *mode = Mode::BufferOnly;
                    Ok(IoCount::unknown(0))
                }
                Err(error) => Err(error),
            }
        };
        let moved = ready!(ends.reader().poll_transfer(cx, fill))?;
        if 0 < moved && moved < BULK {
            (self.mode, self.was_full) = (Mode::Buffer, false);
        }
        // One operation per buffer's worth of bytes; one of them is charged already.
        self.owed = (moved / BUFFER_SIZE).saturating_sub(1);
        Poll::Ready(Ok(moved))
    }

    /// Empties the pipe.
    fn poll_drain(&mut self, cx: &mut Context<'_>, ends: Ends<'_>) -> Poll<io::Result<()>> {
        while let Some(LentPipe { pipe, .. }) = &mut self.lent
            && pipe.len() > 0
        {
            let drain = |socket: &Socket| pipe.drain(socket.as_fd()).map(IoCount::unknown);
            match ready!(ends.writer().poll_transfer(cx, drain)) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(moved) => self.copied += moved as u64,
                Err(error) if is_unsupported(&error) => {
                    // The bytes are sent instead. That repeats an error that was another one.
                    self.mode = Mode::BufferOnly;
                    pipe.read(&mut self.pending)?;
                    return self.poll_send_pending(cx, ends);
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn give_back_empty_pipe(&mut self) {
        let is_empty = |lent: &mut LentPipe| lent.pipe.len() == 0;
        if let (Some(lent), Some(pipes)) = (self.lent.take_if(is_empty), &self.pipes) {
            pipes.give_back(lent);
        }
    }
}

/// Returns whether splice(2) is not available: for a kind of socket, in the kernel, or for this process
/// (seccomp).
fn is_unsupported(error: &io::Error) -> bool {
    let errnos = [libc::EINVAL, libc::ENOSYS, libc::EPERM, libc::EOPNOTSUPP];
    error
        .raw_os_error()
        .is_some_and(|errno| errnos.contains(&errno))
}
