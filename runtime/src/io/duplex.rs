//! Two streams that are connected in memory.
//!
//! Called by tests, and by programs that put a layer (a proxy, a protocol) between two of their own
//! parts. Calls the waiter lists of the reactor. Each direction is a pipe: a bounded queue of bytes
//! with the wakers of its readers and writers.
//!
//! ```text
//!   a.write --> [ pipe: at most `max` bytes ] --> b.read
//!   a.read  <-- [ pipe: at most `max` bytes ] <-- b.write
//! ```
//!
//! Each pipe is behind a lock, so the ends can be on two threads, under any executor.

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
use crate::defer::{defer_current, poll_proceed, try_consume};
use crate::id::WaiterId;
use crate::reactor::waiters::Waiters;
use crate::std_or_loom::{Mutex, MutexGuard};
use crate::wait_list::{next_operation, set_wait, wake_all};

/// Creates two streams that are connected to each other. Each direction buffers at most `max` bytes.
///
/// Bytes that are written to one stream are read from the other. A write waits while the buffer is
/// full, a read waits while it is empty. After one end is dropped or its writing direction is shut
/// down, the other end reads the remaining bytes and then the end of the stream. Writing to an end
/// that was dropped is an error.
///
/// The streams work under any executor. There is one exception: the `block_on` of another executor
/// inside a task of this runtime waits forever once the budget of the task's poll is used up (see
/// [`Builder::io_budget`](crate::runtime::Builder::io_budget)), because the runtime makes no turn
/// meanwhile. The same holds for [`yield_now`](crate::task::yield_now).
///
/// # Panics
///
/// If `max` is zero, because no byte could ever be transferred.
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
    assert!(max > 0, "io::duplex: the buffer size must not be zero");
    let a_to_b = Arc::new(Pipe::new(max));
    let b_to_a = Arc::new(Pipe::new(max));
    let a = DuplexStream {
        input: Arc::clone(&b_to_a),
        output: Arc::clone(&a_to_b),
    };
    let b = DuplexStream {
        input: a_to_b,
        output: b_to_a,
    };
    (a, b)
}

/// One end of a [`duplex`].
///
/// Has the methods of a socket, and implements [`AsyncRead`] and [`AsyncWrite`]. All of them take a
/// shared reference, so one task can read while another writes. Any number of futures can wait for the same
/// direction; all of them are woken.
///
/// It belongs to no runtime and works on any thread, under any executor. Inside a Wakeful runtime
/// every transfer takes one operation off the task's I/O budget.
pub struct DuplexStream {
    input: Arc<Pipe>,
    output: Arc<Pipe>,
}

/// One direction of a duplex stream.
struct Pipe {
    max: usize,
    queue: Mutex<Queue>,
}

/// The bytes of a pipe and its waiters. No user code runs while it is locked (I3).
#[derive(Default)]
struct Queue {
    /// Bytes that were written and not read yet; at most `max`.
    bytes: VecDeque<u8>,
    /// Whether the writer was dropped or shut down.
    write_closed: bool,
    /// Whether the reader was dropped.
    read_closed: bool,
    readers: Waiters,
    writers: Waiters,
}

/// A future that reads or writes, with its id once it waits. Dropping it removes its waker.
struct Operation<'a> {
    pipe: &'a Pipe,
    side: Side,
    id: Option<WaiterId>,
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        let mut queue = self.pipe.lock();
        let removed = (self.side)(&mut queue).remove(id);
        drop(queue);
        drop(removed);
    }
}

/// Selects one of the two lists of waiters.
type Side = fn(&mut Queue) -> &mut Waiters;
const READERS: Side = |queue| &mut queue.readers;
const WRITERS: Side = |queue| &mut queue.writers;

impl Pipe {
    fn new(max: usize) -> Self {
        Pipe {
            max,
            queue: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn operation(&self, side: Side) -> Operation<'_> {
        Operation {
            pipe: self,
            side,
            id: None,
        }
    }

    /// Waits on `side` until `is_ready` holds, then runs `transfer` and wakes the `other` side. Without
    /// an `operation`, the waiter is identified by its waker.
    fn poll(
        &self,
        cx: &Context<'_>,
        operation: Option<&mut Operation<'_>>,
        wait: (&'static str, &'static Location<'static>),
        (side, other): (Side, Side),
        is_ready: impl Fn(&Queue) -> bool,
        transfer: impl FnOnce(&mut Queue) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.lock();
        if !is_ready(&queue) {
            drop(queue);
            // Cloned without the lock (I3). Another thread can change the queue meanwhile, so
            // readiness is checked again.
            let waker = cx.waker().clone();
            queue = self.lock();
            if !is_ready(&queue) {
                let id = match operation {
                    Some(operation) => *operation.id.get_or_insert_with(next_operation),
                    None => context::waiter_id(&waker),
                };
                let replaced = side(&mut queue).store(id, waker);
                drop(queue);
                drop(replaced);
                set_wait(wait.0, wait.1);
                return Poll::Pending;
            }
        }
        if !try_consume() {
            drop(queue);
            defer_current(cx);
            return Poll::Pending;
        }
        let result = transfer(&mut queue);
        let mut woken = Vec::new();
        other(&mut queue).take().for_each(|waker| woken.push(waker));
        drop(queue);
        wake_all(woken);
        Poll::Ready(result)
    }

    fn poll_read(
        &self,
        cx: &Context<'_>,
        operation: Option<&mut Operation<'_>>,
        wait: (&'static str, &'static Location<'static>),
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        let is_ready = |queue: &Queue| !queue.bytes.is_empty() || queue.write_closed;
        self.poll(cx, operation, wait, (READERS, WRITERS), is_ready, |queue| {
            queue.read(bufs)
        })
    }

    fn poll_write(
        &self,
        cx: &Context<'_>,
        operation: Option<&mut Operation<'_>>,
        wait: (&'static str, &'static Location<'static>),
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return poll_proceed(cx).map(|()| Ok(0));
        }
        let is_ready = |queue: &Queue| queue.is_broken() || queue.bytes.len() < self.max;
        self.poll(cx, operation, wait, (WRITERS, READERS), is_ready, |queue| {
            if queue.is_broken() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(queue.write(bufs, self.max))
        })
    }

    /// Closes the writing side: readers receive the remaining bytes and then the end.
    fn close_write(&self) {
        self.close(|queue| queue.write_closed = true);
    }

    /// Applies a change that ends a direction, and wakes all readers and writers.
    fn close(&self, change: impl FnOnce(&mut Queue)) {
        let mut woken = Vec::new();
        let mut queue = self.lock();
        change(&mut queue);
        queue.readers.take().for_each(|waker| woken.push(waker));
        queue.writers.take().for_each(|waker| woken.push(waker));
        drop(queue);
        wake_all(woken);
    }
}

impl Queue {
    /// Reports whether a write fails.
    fn is_broken(&self) -> bool {
        self.read_closed || self.write_closed
    }

    fn read(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut total = 0;
        for buf in bufs {
            let mut filled = 0;
            // A `VecDeque` can be stored in two pieces; each read takes one.
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
    /// Waits until bytes are available and reads them into `buf`; returns their number, or zero at
    /// the end of the stream.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are read only in the poll that returns them.
    #[track_caller]
    pub fn read<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read", Location::caller());
        let mut operation = self.input.operation(READERS);
        poll_fn(move |cx| {
            self.input
                .poll_read(cx, Some(&mut operation), wait, &mut [IoSliceMut::new(buf)])
        })
    }

    /// Reads until `buf` is full; returns its length.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends first.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the bytes that were read already are in `buf`, and their number is unknown.
    #[track_caller]
    pub fn read_exact<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read_exact", Location::caller());
        let mut operation = self.input.operation(READERS);
        let mut filled = 0;
        poll_fn(move |cx| {
            if buf.is_empty() {
                ready!(poll_proceed(cx));
            }
            while filled < buf.len() {
                let rest = &mut [IoSliceMut::new(&mut buf[filled..])];
                match ready!(self.input.poll_read(cx, Some(&mut operation), wait, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                    n => filled += n,
                }
            }
            Poll::Ready(Ok(filled))
        })
    }

    /// Reads until the end of the stream and appends the bytes to `to`; returns their number.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Safe: the bytes that were read already are in `to`, and a second call continues after them.
    #[track_caller]
    pub fn read_to_end<'a>(
        &'a self,
        to: &'a mut Vec<u8>,
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::read_to_end", Location::caller());
        let mut operation = self.input.operation(READERS);
        let mut total = 0;
        poll_fn(move |cx| {
            loop {
                let mut piece = [0; 256];
                let bufs = &mut [IoSliceMut::new(&mut piece)];
                match ready!(self.input.poll_read(cx, Some(&mut operation), wait, bufs))? {
                    0 => return Poll::Ready(Ok(total)),
                    n => {
                        to.extend_from_slice(&piece[..n]);
                        total += n;
                    }
                }
            }
        })
    }

    /// Waits until there is room and writes as much of `buf` as fits; returns the number of bytes.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the other end was dropped or this one was shut down.
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are written only in the poll that returns their number.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("DuplexStream::write", Location::caller());
        let mut operation = self.output.operation(WRITERS);
        poll_fn(move |cx| {
            self.output
                .poll_write(cx, Some(&mut operation), wait, &[IoSlice::new(buf)])
        })
    }

    /// Writes all of `buf`.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the other end was dropped or this one was shut down. The number of bytes
    /// written before the error is unknown.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the number of bytes written before the drop is unknown.
    #[track_caller]
    pub fn write_all<'a>(
        &'a self,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + use<'a> {
        let wait = ("DuplexStream::write_all", Location::caller());
        let mut operation = self.output.operation(WRITERS);
        let mut written = 0;
        poll_fn(move |cx| {
            if buf.is_empty() {
                ready!(poll_proceed(cx));
            }
            while written < buf.len() {
                let rest = &[IoSlice::new(&buf[written..])];
                written += ready!(self.output.poll_write(cx, Some(&mut operation), wait, rest))?;
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Shuts down the writing direction: the other end reads the remaining bytes and then the end of
    /// the stream. Reading from this end continues to work.
    ///
    /// # Errors
    ///
    /// None today.
    ///
    /// # Cancel safety
    ///
    /// Safe: the first poll shuts the direction down.
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        poll_fn(move |cx| {
            self.output.close_write();
            poll_proceed(cx).map(Ok)
        })
    }
}

impl Drop for DuplexStream {
    fn drop(&mut self) {
        self.output.close_write();
        self.input.close(|queue| {
            queue.read_closed = true;
            queue.bytes = VecDeque::new();
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
        self.input.poll_read(cx, None, wait, bufs)
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
        self.output.poll_write(cx, None, wait, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_proceed(cx).map(|()| {
            self.output.close_write();
            Ok(())
        })
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

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}
