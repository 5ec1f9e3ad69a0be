//! Copying between two streams of this package.
//!
//! `direction` is one of the two ways, `pipes` the pipes that it can use.

mod direction;
mod pipes;

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::stream::Split;
use direction::{Direction, Ends};

/// Copies everything from `a` to `b` and from `b` to `a`, until both have ended; returns the number of
/// bytes in each direction.
///
/// This is [`wakeful::io::copy_bidirectional`] for two streams of this package, TCP or Unix. Many bytes at
/// once are moved from socket to socket inside the kernel (splice(2)), for about half of the CPU time.
/// Small pieces cost the same. For other streams, such as TLS, use that function.
///
/// When one stream ends, the writing direction of the other one is shut down. The opposite direction stays
/// open until it ends as well, so a half close is passed on. The directions are independent: one with a
/// slow reader does not delay the other, and neither does one that never has to wait.
///
/// A relay that waits for its readers holds no buffer. For a slow writer it holds at most 16 KiB, or a
/// pipe with at most 64 KiB, which the kernel's buffers of the reader have held before. The relays of a
/// thread share their pipes. They have at most 64 open at once (two descriptors each), of which 8 are kept
/// until the last relay ends. Without another pipe, and where the system or a socket does not support
/// splice(2), bytes are copied.
///
/// Each transfer takes one operation off the task's I/O budget, and one for every 16 KiB; see
/// [`Builder::io_budget`](wakeful::runtime::Builder::io_budget).
///
/// There is no limit for the time without traffic. For one, copy with [`wakeful::io::copy_bidirectional`],
/// whose documentation says how.
///
/// # Errors
///
/// The first error of either stream, as its `read` or `write` returns it, which ends both directions.
/// Neither stream is closed then; drop the streams to close their connections. No `SIGPIPE` is raised.
///
/// # Panics
///
/// As the operations of the streams, when polled on a thread that does not run their runtime.
///
/// # Cancel safety
///
/// Not safe: dropping the future loses the bytes that were read and not written yet, from its buffer or
/// its pipe, and the counts. A pipe with bytes is closed and never used for another connection.
///
/// # Examples
///
/// A client, a proxy that does not interpret the bytes, and a server:
///
/// ```
/// use wakeful_net::UnixStream;
/// use wakeful_net::io::copy_bidirectional;
///
/// wakeful::block_on(async {
///     let (client, outside) = UnixStream::pair()?;
///     let (inside, server) = UnixStream::pair()?;
///     let proxy = wakeful::spawn(async move { copy_bidirectional(&outside, &inside).await });
///
///     client.write_all(b"question").await?;
///     client.shutdown().await?;
///     let mut buf = [0; 64];
///     assert_eq!(server.read(&mut buf).await?, 8);
///     assert_eq!(server.read(&mut buf).await?, 0); // the half close
///
///     server.write_all(b"answer").await?;
///     drop(server);
///     assert_eq!(client.read(&mut buf).await?, 6);
///     assert_eq!(proxy.await??, (8, 6));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[track_caller]
pub fn copy_bidirectional<'a, A: Split, B: Split>(
    a: &'a A,
    b: &'a B,
) -> CopyBidirectional<'a, A, B> {
    CopyBidirectional {
        a,
        b,
        a_to_b: Direction::default(),
        b_to_a: Direction::default(),
        b_first: false,
        location: Location::caller(),
    }
}

/// Future returned by [`copy_bidirectional`].
#[must_use = "futures do nothing unless polled or awaited"]
pub struct CopyBidirectional<'a, A, B> {
    a: &'a A,
    b: &'a B,
    a_to_b: Direction,
    b_to_a: Direction,
    /// Whether `b_to_a` is polled first next time. The directions take turns, because one that never
    /// waits uses up the budget of each poll.
    b_first: bool,
    location: &'static Location<'static>,
}

impl<A: Split, B: Split> Future for CopyBidirectional<'_, A, B> {
    type Output = io::Result<(u64, u64)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<(u64, u64)>> {
        let this = &mut *self;
        let (a, b) = (this.a.io(), this.b.io());
        let ends = |from, to| Ends {
            from,
            to,
            location: this.location,
        };
        // Every poll polls both, so that each has the current waker stored.
        let (a_to_b, b_to_a);
        if this.b_first {
            b_to_a = this.b_to_a.poll(cx, ends(b, a))?;
            a_to_b = this.a_to_b.poll(cx, ends(a, b))?;
        } else {
            a_to_b = this.a_to_b.poll(cx, ends(a, b))?;
            b_to_a = this.b_to_a.poll(cx, ends(b, a))?;
        }
        this.b_first = !this.b_first;
        match (a_to_b, b_to_a) {
            (Poll::Ready(sent), Poll::Ready(received)) => Poll::Ready(Ok((sent, received))),
            _ => Poll::Pending,
        }
    }
}

impl<A, B> fmt::Debug for CopyBidirectional<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("a_to_b", &self.a_to_b.copied())
            .field("b_to_a", &self.b_to_a.copied())
            .finish_non_exhaustive()
    }
}
