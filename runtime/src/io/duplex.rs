//! Two streams that are connected in memory.
//!
//! Used by tests, and by programs that put a layer (a proxy, a protocol) between two of their own
//! parts. It is two pipes, crosswise, each a bounded queue of bytes with those who wait for it:
//!
//! ```text
//!   a.write --> [ pipe: at most `max` bytes ] --> b.read
//!   a.read  <-- [ pipe: at most `max` bytes ] <-- b.write
//! ```
//!
//! Behind locks, so the two ends may be on two threads, whatever runs there.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, ready};

use super::{AsyncRead, AsyncWrite};
use crate::context;
use crate::reactor::waiters::{WaiterId, Waiters};
use crate::sync::{Mutex, MutexGuard};
use crate::task::yield_after_turn;
use crate::wait_list::{set_wait, wake_all};

/// Makes two streams that are connected to each other, each with room for `max` bytes in the other's
/// direction.
///
/// What is written to one is read from the other. Writing waits while there is no room; reading
/// waits while there is nothing. Dropping one end, or shutting its writing direction down, ends
/// the other's reading once it has read what is left; writing to an end that was dropped is an error.
///
/// # Panics
///
/// When `max` is zero: no byte could ever pass.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let (client, server) = wakeful::io::duplex(16);
///     wakeful::spawn(async move {
///         let mut buffer = [0; 16];
///         let n = server.read(&mut buffer).await?;
///         server.write_all(&buffer[..n]).await
///     });
///     client.write_all(b"echo").await?;
///     let mut buffer = [0; 4];
///     client.read_exact(&mut buffer).await?;
///     assert_eq!(&buffer, b"echo");
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[must_use]
pub fn duplex(max: usize) -> (DuplexStream, DuplexStream) {
    assert!(max > 0, "io::duplex: a buffer of no bytes lets none pass");
    let there = Arc::new(Pipe::new(max));
    let back = Arc::new(Pipe::new(max));
    let a = DuplexStream {
        input: Arc::clone(&back),
        output: Arc::clone(&there),
    };
    let b = DuplexStream {
        input: there,
        output: back,
    };
    (a, b)
}

/// One end of a [`duplex`].
///
/// Has the methods of a socket, and the traits [`AsyncRead`] and [`AsyncWrite`]. All of them work
/// through a shared reference, so one task can read while another writes; when several wait for the
/// same, all are woken.
///
/// It belongs to no runtime: it may be used anywhere, under any executor. Inside a Wakeful runtime
/// every transfer takes one operation off the task's I/O budget.
pub struct DuplexStream {
    input: Arc<Pipe>,
    output: Arc<Pipe>,
}

/// One direction.
struct Pipe {
    max: usize,
    state: Mutex<State>,
}

/// No foreign code runs while this is locked.
#[derive(Default)]
struct State {
    /// Written, but not read yet; at most `max`.
    bytes: VecDeque<u8>,
    /// Nothing more will be written: the writer was dropped or shut down.
    ended: bool,
    /// Nothing more will be read: the reader was dropped.
    abandoned: bool,
    readers: Waiters,
    writers: Waiters,
}

/// Which list of waiters.
type Side = fn(&mut State) -> &mut Waiters;
const READERS: Side = |state| &mut state.readers;
const WRITERS: Side = |state| &mut state.writers;

impl Pipe {
    fn new(max: usize) -> Self {
        Pipe {
            max,
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits on `side` until `is_ready`; then does `transfer` and wakes the `other` side.
    fn poll(
        &self,
        cx: &Context<'_>,
        wait: (&'static str, &'static Location<'static>),
        (side, other): (Side, Side),
        is_ready: impl Fn(&State) -> bool,
        transfer: impl FnOnce(&mut State) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if !is_ready(&state) {
            drop(state);
            // Cloned outside of the lock (I3), during which another thread may be quick.
            let waker = cx.waker().clone();
            state = self.lock();
            if !is_ready(&state) {
                let displaced = side(&mut state).store(WaiterId::ANONYMOUS, waker);
                drop(state);
                displaced.let_go();
                set_wait(wait.0, wait.1);
                return Poll::Pending;
            }
        }
        if !context::with(|core| core.executor.charge()).unwrap_or(true) {
            drop(state);
            yield_after_turn(cx);
            return Poll::Pending;
        }
        let result = transfer(&mut state);
        let mut woken = Vec::new();
        other(&mut state).take_all(|waker| woken.push(waker));
        drop(state);
        wake_all(woken);
        Poll::Ready(result)
    }

    fn poll_read(
        &self,
        cx: &Context<'_>,
        wait: (&'static str, &'static Location<'static>),
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let is_ready = |state: &State| !state.bytes.is_empty() || state.ended;
        self.poll(cx, wait, (READERS, WRITERS), is_ready, |state| {
            state.read(bufs)
        })
    }

    fn poll_write(
        &self,
        cx: &Context<'_>,
        wait: (&'static str, &'static Location<'static>),
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let is_ready = |state: &State| state.is_broken() || state.bytes.len() < self.max;
        self.poll(cx, wait, (WRITERS, READERS), is_ready, |state| {
            if state.is_broken() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(state.write(bufs, self.max))
        })
    }

    /// Changes how it is to go on, and wakes everybody: each finds something new.
    fn finish(&self, change: impl FnOnce(&mut State)) {
        let mut woken = Vec::new();
        let mut state = self.lock();
        change(&mut state);
        state.readers.take_all(|waker| woken.push(waker));
        state.writers.take_all(|waker| woken.push(waker));
        drop(state);
        wake_all(woken);
    }
}

impl State {
    fn is_broken(&self) -> bool {
        self.abandoned || self.ended
    }

    fn read(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for buf in bufs {
            let mut filled = 0;
            // The queue may lie in two pieces.
            while filled < buf.len() && !self.bytes.is_empty() {
                filled += self.bytes.read(&mut buf[filled..])?;
            }
            total += filled;
        }
        Ok(total)
    }

    fn write(&mut self, bufs: &[IoSlice<'_>], max: usize) -> usize {
        let before = self.bytes.len();
        for buf in bufs {
            let room = max - self.bytes.len();
            self.bytes.extend(&buf[..buf.len().min(room)]);
        }
        self.bytes.len() - before
    }
}

impl DuplexStream {
    /// Reads what is there into `buf`, waiting until there is something; zero at the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is read unless it returns.
    #[track_caller]
    pub fn read<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read", Location::caller());
        poll_fn(move |cx| self.input.poll_read(cx, wait, &mut [IoSliceMut::new(buf)]))
    }

    /// Reads until `buf` is full; returns its length.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends before that.
    ///
    /// # Cancel safety
    ///
    /// Not safe: what was read already is in `buf`, and how much that is, nobody knows.
    #[track_caller]
    pub fn read_exact<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read_exact", Location::caller());
        let mut filled = 0;
        poll_fn(move |cx| {
            while filled < buf.len() {
                let rest = &mut [IoSliceMut::new(&mut buf[filled..])];
                match ready!(self.input.poll_read(cx, wait, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    n => filled += n,
                }
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Reads until the end of the stream and appends it to `to`; returns how much that was.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// What was read already is in `to`, and reading can be taken up again.
    #[track_caller]
    pub fn read_to_end<'a>(
        &'a self,
        to: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read_to_end", Location::caller());
        let mut total = 0;
        poll_fn(move |cx| {
            loop {
                let mut piece = [0; 256];
                let bufs = &mut [IoSliceMut::new(&mut piece)];
                match ready!(self.input.poll_read(cx, wait, bufs))? {
                    0 => return Poll::Ready(Ok(total)),
                    n => {
                        to.extend_from_slice(&piece[..n]);
                        total += n;
                    }
                }
            }
        })
    }

    /// Writes as much of `buf` as there is room for, waiting until there is some.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the other end was dropped or this one was shut down.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is written unless it returns.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::write", Location::caller());
        poll_fn(move |cx| self.output.poll_write(cx, wait, &[IoSlice::new(buf)]))
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` when the other end was dropped or this one was shut down; how much was written
    /// before is not known then.
    ///
    /// # Cancel safety
    ///
    /// Not safe: how much was written already, nobody knows.
    #[track_caller]
    pub fn write_all<'a>(
        &'a self,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + use<'a> {
        let wait = ("DuplexStream::write_all", Location::caller());
        let mut written = 0;
        poll_fn(move |cx| {
            while written < buf.len() {
                let rest = &[IoSlice::new(&buf[written..])];
                written += ready!(self.output.poll_write(cx, wait, rest))?;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Ends the writing direction: the other end reads what is left, and then the end of the stream.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is done in one step.
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        poll_fn(move |_| {
            self.output.finish(|state| state.ended = true);
            Poll::Ready(Ok(()))
        })
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.output.finish(|state| state.ended = true);
        self.input.finish(|state| {
            state.abandoned = true;
            state.bytes = VecDeque::new();
        });
    }
}

impl fmt::Debug for DuplexStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexStream")
            .field("readable", &self.input.lock().bytes.len())
            .field("unread", &self.output.lock().bytes.len())
            .finish_non_exhaustive()
    }
}

impl AsyncRead for &DuplexStream {
    #[track_caller]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_vectored(cx, &mut [IoSliceMut::new(buf)])
    }

    #[track_caller]
    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let wait = ("DuplexStream::poll_read", Location::caller());
        self.input.poll_read(cx, wait, bufs)
    }
}

impl AsyncWrite for &DuplexStream {
    #[track_caller]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    #[track_caller]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wait = ("DuplexStream::poll_write", Location::caller());
        self.output.poll_write(cx, wait, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.finish(|state| state.ended = true);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for DuplexStream {
    #[track_caller]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }

    #[track_caller]
    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
    }
}

impl AsyncWrite for DuplexStream {
    #[track_caller]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    #[track_caller]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_shutdown(cx)
    }
}
