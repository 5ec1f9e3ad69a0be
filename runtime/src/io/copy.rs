//! Copies one stream into another, in one direction or in both.
//!
//! Called by users: proxies, file senders, tests. Works on any type that implements the traits.
//!
//! ```text
//!             poll_read                       poll_write
//!   reader -------------> ScratchBuffer ---------------> writer
//!                               |                          ^
//!                               | bytes that the writer    | flush_pending
//!                               | does not accept now      |
//!                               +-----> pending -----------+
//! ```
//!
//! The scratch buffer belongs to the thread and is borrowed for one poll. So a copy that waits for
//! its reader holds no memory: ten thousand idle connections of a proxy share one buffer. Only a slow
//! writer costs memory, for the pending bytes, and nothing more is read until they are written.
//! Rejected: one buffer per copy, as is usual. It is simpler, but an idle proxy would consist mostly
//! of such buffers.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncRead, AsyncWrite};
use crate::defer::poll_proceed;

/// Upper limit of one read, and of the bytes pending for a slow writer.
const BUFFER_SIZE: usize = 16 * 1024;

thread_local! {
    /// The thread's buffer while no copy uses it. A reader that copies inside its own `poll_read`
    /// finds it taken and allocates another.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The thread's buffer, borrowed; dropping this gives it back. Its bytes are zero whenever it is taken: a faulty
/// reader can claim more bytes than it wrote, and must not pass on those of another stream.
struct ScratchBuffer {
    bytes: Box<[u8]>,
    /// The number of bytes that may have been written.
    used: usize,
}

impl ScratchBuffer {
    fn take() -> Self {
        // A thread that is ending has destroyed its thread-local.
        let buffer = BUFFER.try_with(Cell::take).ok().flatten();
        ScratchBuffer {
            bytes: buffer.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()),
            used: 0,
        }
    }
}

impl Drop for ScratchBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.bytes);
        buffer[..self.used].fill(0);
        BUFFER.try_with(|place| place.set(Some(buffer))).ok();
    }
}

/// State of a copy in one direction.
#[derive(Default)]
struct CopyBuffer {
    /// Bytes that were read and not all written yet.
    pending: Vec<u8>,
    /// Number of bytes of `pending` that were written.
    written: usize,
    /// Number of bytes written in total.
    copied: u64,
    /// Whether bytes were written since the last flush.
    needs_flush: bool,
    /// Whether the reader has returned its end.
    read_done: bool,
}

impl CopyBuffer {
    /// Copies until the reader or the writer returns `Pending`, or the budget is used up. Returns
    /// `Ready` when the reader has ended and everything is written and flushed; can be polled again
    /// afterwards.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        loop {
            ready!(self.flush_pending(cx, writer))?;
            if self.read_done {
                ready!(self.flush(cx, writer))?;
                return Poll::Ready(Ok(self.copied));
            }
            let mut scratch = ScratchBuffer::take();
            match Pin::new(&mut *reader).poll_read(cx, &mut scratch.bytes) {
                Poll::Ready(read) => match read? {
                    0 => {
                        self.read_done = true;
                        // A copy of nothing is an operation, too.
                        if self.copied == 0 {
                            ready!(poll_proceed(cx));
                        }
                    }
                    n => {
                        scratch.used = n;
                        self.write(cx, writer, &scratch.bytes[..n])?;
                        ready!(poll_proceed(cx));
                    }
                },
                Poll::Pending => {
                    // Otherwise the peer could wait for bytes that lie in the writer's buffer.
                    ready!(self.flush(cx, writer))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes as many bytes as the writer accepts; the rest becomes pending.
    fn write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W, mut bytes: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while !bytes.is_empty() {
            match self.write_some(cx, writer, bytes) {
                Poll::Ready(n) => bytes = &bytes[n?..],
                Poll::Pending => {
                    self.pending.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes the pending bytes.
    fn flush_pending<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while self.written < self.pending.len() {
            let pending = std::mem::take(&mut self.pending);
            let polled = self.write_some(cx, writer, &pending[self.written..]);
            self.pending = pending;
            self.written += ready!(polled)?;
        }
        (self.pending, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Calls `poll_write` once.
    fn write_some<W>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        let n = ready!(Pin::new(&mut *writer).poll_write(cx, bytes))?;
        if n == 0 {
            let full = io::Error::new(
                io::ErrorKind::WriteZero,
                "copy: the writer accepts no more bytes",
            );
            return Poll::Ready(Err(full));
        }
        self.copied += n as u64;
        self.needs_flush = true;
        Poll::Ready(Ok(n))
    }

    /// Flushes the writer if bytes were written since the last flush.
    fn flush<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if self.needs_flush {
            ready!(Pin::new(&mut *writer).poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Copies everything from a reader into a writer; returns the number of bytes.
///
/// The writer is flushed whenever the reader has no more bytes for now, and at the end. It is not
/// closed.
///
/// A copy that waits for its reader holds no buffer. For a slow writer it holds at most 16 KiB.
/// Each read takes one operation off the task's I/O budget, see
/// [`Builder::io_budget`](crate::runtime::Builder::io_budget).
///
/// # Errors
///
/// The reader's or the writer's; `WriteZero` when the writer accepts no more bytes. Bytes that were
/// read and not written are lost.
///
/// # Cancel safety
///
/// Not safe: dropping the future loses the bytes that were read and not written yet, and the count.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let mut reader: &[u8] = b"from here";
///     let mut writer = Vec::new();
///     let n = wakeful::io::copy(&mut reader, &mut writer).await?;
///     assert_eq!((n, &*writer), (9, &b"from here"[..]));
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub fn copy<'a, R, W>(reader: &'a mut R, writer: &'a mut W) -> Copy<'a, R, W>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    Copy {
        reader,
        writer,
        buffer: CopyBuffer::default(),
    }
}

/// Future returned by [`copy()`].
#[must_use = "futures do nothing unless awaited"]
pub struct Copy<'a, R: ?Sized, W: ?Sized> {
    reader: &'a mut R,
    writer: &'a mut W,
    buffer: CopyBuffer,
}

impl<R, W> Future for Copy<'_, R, W>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        this.buffer.poll(cx, this.reader, this.writer)
    }
}

impl<R: ?Sized, W: ?Sized> fmt::Debug for Copy<'_, R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy")
            .field("copied", &self.buffer.copied)
            .finish_non_exhaustive()
    }
}

/// Copies everything from `a` to `b` and from `b` to `a`, until both have ended; returns the number
/// of bytes in each direction.
///
/// When one stream ends, the other one is closed with `poll_close`, which shuts down its writing
/// direction. The opposite direction stays open until it ends as well, so a half close is passed on.
/// The directions are independent: one with a slow reader does not delay the other, and neither does one
/// that never has to wait.
///
/// Memory and budget are those of [`copy()`], for each direction.
///
/// There is no limit for the time without traffic. A `timeout` around the copy limits its whole length. For
/// an idle limit, wrap one stream in a type whose `poll_read` and `poll_write` note the time, and race the
/// copy with a `sleep_until` that looks at it: [the guide](crate::guide::companions#copying-with-an-idle-limit)
/// has the code.
///
/// # Errors
///
/// The first error of either stream, which ends both directions. Neither stream is closed then; drop
/// the streams to close their connections.
///
/// # Cancel safety
///
/// Not safe: dropping the future loses the bytes that were read and not written yet, and the counts.
///
/// # Examples
///
/// A client, a proxy that does not interpret the bytes, and a server:
///
/// ```
/// use wakeful::io::{copy_bidirectional, duplex};
///
/// wakeful::block_on(async {
///     let (mut client, mut outside) = duplex(64);
///     let (mut inside, mut server) = duplex(64);
///     let proxy = wakeful::spawn(async move {
///         copy_bidirectional(&mut outside, &mut inside).await
///     });
///
///     client.write_all(b"question").await?;
///     client.shutdown().await?;
///     let mut question = Vec::new();
///     server.read_to_end(&mut question).await?;
///     assert_eq!(question, b"question");
///
///     server.write_all(b"answer").await?;
///     drop(server);
///     let mut answer = Vec::new();
///     client.read_to_end(&mut answer).await?;
///     assert_eq!(answer, b"answer");
///     assert_eq!(proxy.await??, (8, 6));
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
pub fn copy_bidirectional<'a, A, B>(a: &'a mut A, b: &'a mut B) -> CopyBidirectional<'a, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    CopyBidirectional {
        a,
        b,
        a_to_b: Direction::default(),
        b_to_a: Direction::default(),
        b_first: false,
    }
}

/// Future returned by [`copy_bidirectional`].
#[must_use = "futures do nothing unless awaited"]
pub struct CopyBidirectional<'a, A: ?Sized, B: ?Sized> {
    a: &'a mut A,
    b: &'a mut B,
    a_to_b: Direction,
    b_to_a: Direction,
    /// Whether `b_to_a` is polled first next time. The directions take turns, because one that never
    /// waits uses up the budget of each poll.
    b_first: bool,
}

/// One of the two directions.
#[derive(Default)]
struct Direction {
    buffer: CopyBuffer,
    /// Whether the writer is closed.
    closed: bool,
}

impl Direction {
    /// Copies, then closes the writer.
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
        writer: &mut W,
    ) -> Poll<io::Result<u64>>
    where
        R: AsyncRead + Unpin + ?Sized,
        W: AsyncWrite + Unpin + ?Sized,
    {
        if !self.closed {
            ready!(self.buffer.poll(cx, reader, writer))?;
            ready!(Pin::new(writer).poll_close(cx))?;
            self.closed = true;
        }
        Poll::Ready(Ok(self.buffer.copied))
    }
}

impl<A, B> Future for CopyBidirectional<'_, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<(u64, u64)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<(u64, u64)>> {
        let this = &mut *self;
        // Every poll polls both, so that each has the current waker stored.
        let (a_to_b, b_to_a);
        if this.b_first {
            b_to_a = this.b_to_a.poll(cx, this.b, this.a)?;
            a_to_b = this.a_to_b.poll(cx, this.a, this.b)?;
        } else {
            a_to_b = this.a_to_b.poll(cx, this.a, this.b)?;
            b_to_a = this.b_to_a.poll(cx, this.b, this.a)?;
        }
        this.b_first = !this.b_first;
        match (a_to_b, b_to_a) {
            (Poll::Ready(sent), Poll::Ready(received)) => Poll::Ready(Ok((sent, received))),
            _ => Poll::Pending,
        }
    }
}

impl<A: ?Sized, B: ?Sized> fmt::Debug for CopyBidirectional<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("a_to_b", &self.a_to_b.buffer.copied)
            .field("b_to_a", &self.b_to_a.buffer.copied)
            .finish_non_exhaustive()
    }
}
