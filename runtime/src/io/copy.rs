//! From one stream into another: one way, or both ways at once.
//!
//! Called by users: proxies, file senders, tests. Works on anything that has the two traits.
//!
//! ```text
//!             poll_read                    poll_write
//!   reader -------------> the lent buffer ------------> writer
//!                               |                         ^
//!                               | what the writer has     |
//!                               | no room for             |
//!                               +------> owed ------------+
//! ```
//!
//! The buffer is lent by the thread for the length of a poll, so a copy that waits for its reader
//! holds no memory; ten thousand idle connections of a proxy share one buffer. Only a writer that is
//! slow costs something: the bytes that are owed to it, and until they are gone nothing more is read
//! for it. Rejected: a buffer per copy, as it is usual; it is simpler, and it is most of what an idle
//! proxy consists of.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{AsyncRead, AsyncWrite};
use crate::context;
use crate::task::yield_after_turn;

/// The most that one read takes, and the most that a slow writer can be owed.
const BUFFER_SIZE: usize = 16 * 1024;

thread_local! {
    /// The buffer, while nobody uses it. A reader that copies in its own `poll_read` finds it gone
    /// and makes another.
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The thread's buffer, for as long as this lives.
struct Lent(Box<[u8]>);

impl Lent {
    fn new() -> Self {
        // A thread that is ending has none to lend any more.
        let lent = BUFFER.try_with(Cell::take).ok().flatten();
        Lent(lent.unwrap_or_else(|| vec![0; BUFFER_SIZE].into_boxed_slice()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        BUFFER.try_with(|place| place.set(Some(buffer))).ok();
    }
}

/// One direction of a copy.
#[derive(Default)]
struct Flow {
    /// Read, but not written yet.
    owed: Vec<u8>,
    /// How much of `owed` has been written.
    paid: usize,
    /// Bytes written so far.
    copied: u64,
    /// The writer may keep something back that was written since the last flush.
    unflushed: bool,
    /// The reader has come to its end.
    ended: bool,
}

impl Flow {
    /// Copies what can be copied now. Ready when the reader has ended and all of it is written and
    /// flushed; may be polled again then.
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
            ready!(self.pay(cx, writer))?;
            if self.ended {
                ready!(self.flush(cx, writer))?;
                return Poll::Ready(Ok(self.copied));
            }
            let mut lent = Lent::new();
            match Pin::new(&mut *reader).poll_read(cx, &mut lent.0) {
                Poll::Ready(read) => match read? {
                    0 => self.ended = true,
                    n => {
                        self.write(cx, writer, &lent.0[..n])?;
                        if !charge() {
                            yield_after_turn(cx);
                            return Poll::Pending;
                        }
                    }
                },
                Poll::Pending => {
                    // Nobody may wait for bytes that lie in a writer's buffer.
                    ready!(self.flush(cx, writer))?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes as much as the writer takes; the rest is owed.
    fn write<W>(&mut self, cx: &mut Context<'_>, writer: &mut W, mut bytes: &[u8]) -> io::Result<()>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while !bytes.is_empty() {
            match self.write_some(cx, writer, bytes) {
                Poll::Ready(n) => bytes = &bytes[n?..],
                Poll::Pending => {
                    self.owed.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes what is owed.
    fn pay<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        while self.paid < self.owed.len() {
            let owed = std::mem::take(&mut self.owed);
            let polled = self.write_some(cx, writer, &owed[self.paid..]);
            self.owed = owed;
            self.paid += ready!(polled)?;
        }
        (self.owed, self.paid) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

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
            let full = io::Error::new(io::ErrorKind::WriteZero, "the writer takes no more bytes");
            return Poll::Ready(Err(full));
        }
        self.copied += n as u64;
        self.unflushed = true;
        Poll::Ready(Ok(n))
    }

    fn flush<W>(&mut self, cx: &mut Context<'_>, writer: &mut W) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin + ?Sized,
    {
        if self.unflushed {
            ready!(Pin::new(&mut *writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes one round off the poll's budget. Streams in memory never wait, and those of other crates
/// know nothing of our budget.
fn charge() -> bool {
    context::with(|core| core.executor.charge()).unwrap_or(true)
}

/// Copies everything from a reader into a writer; returns how many bytes that was.
///
/// The writer is flushed whenever the reader has nothing more for now, and at the end. It is not
/// shut down.
///
/// While the copy waits for its reader, it holds no buffer; a slow writer is owed 16 KiB at most.
/// Each read that brings something takes one operation off the task's I/O budget, see
/// [`Builder::io_budget`](crate::runtime::Builder::io_budget).
///
/// # Errors
///
/// The reader's or the writer's; `WriteZero` when the writer takes no more bytes. What was read and
/// not written is lost then.
///
/// # Cancel safety
///
/// Not safe: dropping the future loses what was read and not written yet, and the count.
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
        flow: Flow::default(),
    }
}

/// The future of [`copy()`].
#[must_use = "futures do nothing unless awaited"]
pub struct Copy<'a, R: ?Sized, W: ?Sized> {
    reader: &'a mut R,
    writer: &'a mut W,
    flow: Flow,
}

impl<R, W> Future for Copy<'_, R, W>
where
    R: AsyncRead + Unpin + ?Sized,
    W: AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        this.flow.poll(cx, this.reader, this.writer)
    }
}

impl<R: ?Sized, W: ?Sized> fmt::Debug for Copy<'_, R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy")
            .field("copied", &self.flow.copied)
            .finish_non_exhaustive()
    }
}

/// Copies everything from `a` to `b` and from `b` to `a`, until both have ended; returns how many
/// bytes went each way.
///
/// When one side ends, the other is told so, by shutting its writing direction down, and the way
/// back stays open until it ends, too: a half close passes through as it came. Both ways go on
/// independently, so that one with a slow reader does not hold up the other.
///
/// Memory and budget as with [`copy()`], each way.
///
/// # Errors
///
/// The first error of either stream, which ends both ways; neither is shut down by it. Drop the
/// streams to tell their peers.
///
/// # Cancel safety
///
/// Not safe: dropping the future loses what was read and not written yet, and the counts.
///
/// # Examples
///
/// A client, a proxy that knows nothing of what it passes on, and a server:
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
        there: Way::default(),
        back: Way::default(),
    }
}

/// The future of [`copy_bidirectional`].
#[must_use = "futures do nothing unless awaited"]
pub struct CopyBidirectional<'a, A: ?Sized, B: ?Sized> {
    a: &'a mut A,
    b: &'a mut B,
    there: Way,
    back: Way,
}

/// One way of two.
#[derive(Default)]
struct Way {
    flow: Flow,
    /// The end has been passed on.
    shut_down: bool,
}

impl Way {
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
        if !self.shut_down {
            ready!(self.flow.poll(cx, reader, writer))?;
            ready!(Pin::new(writer).poll_shutdown(cx))?;
            self.shut_down = true;
        }
        Poll::Ready(Ok(self.flow.copied))
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
        // Both in every poll: whichever was woken for, the other keeps its waker.
        let there = this.there.poll(cx, this.a, this.b)?;
        let back = this.back.poll(cx, this.b, this.a)?;
        match (there, back) {
            (Poll::Ready(there), Poll::Ready(back)) => Poll::Ready(Ok((there, back))),
            _ => Poll::Pending,
        }
    }
}

impl<A: ?Sized, B: ?Sized> fmt::Debug for CopyBidirectional<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("there", &self.there.flow.copied)
            .field("back", &self.back.flow.copied)
            .finish_non_exhaustive()
    }
}
