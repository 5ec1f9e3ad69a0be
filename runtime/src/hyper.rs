//! Feature `hyper`: what hyper 1 asks of a runtime (its module `rt`).
//!
//! [`WakefulExecutor`] runs the tasks that HTTP/2 needs, [`WakefulTimer`] keeps hyper's time-outs, and
//! `wakeful-net`'s streams are its `Read` and `Write` as they are, without a wrapper like `TokioIo`.
//!
//! ```text
//! let io: wakeful_net::TcpStream = ...;
//! hyper::server::conn::http1::Builder::new()
//!     .timer(WakefulTimer)
//!     .serve_connection(io, service)       // the service need not be Send
//! hyper::server::conn::http2::Builder::new(WakefulExecutor)
//!     .timer(WakefulTimer)
//!     .serve_connection(io, service)
//! ```
//!
//! `examples/ecosystem/src/bin/http.rs` is a whole server.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::hyper::rt;

use crate::io::{AsyncFd, AsyncRead, AsyncWrite, DuplexStream};
use crate::task::spawn;
use crate::time;

/// Spawns hyper's tasks on the runtime of the thread; the futures need not be `Send`.
///
/// # Panics
///
/// `execute` panics when there is no runtime on the thread.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
/// use hyper::rt::Executor;
/// use wakeful::hyper::WakefulExecutor;
///
/// wakeful::block_on(async {
///     let shared = Rc::new(());
///     let kept = Rc::clone(&shared);
///     WakefulExecutor.execute(async move { drop(kept) });
///     wakeful::task::yield_now().await;
///     assert_eq!(Rc::strong_count(&shared), 1);
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulExecutor;

impl<F> rt::Executor<F> for WakefulExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        // Detached: hyper keeps hold of its tasks by channels of its own.
        drop(spawn(future));
    }
}

/// Gives hyper the runtime's time, so that a paused clock governs its time-outs, too.
///
/// # Panics
///
/// Its methods panic when there is no runtime on the thread.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use hyper::rt::Timer;
/// use wakeful::hyper::WakefulTimer;
///
/// let runtime = wakeful::runtime::Builder::new().start_paused(true).build()?;
/// runtime.block_on(async {
///     let begin = WakefulTimer.now();
///     WakefulTimer.sleep(Duration::from_secs(3600)).await;
///     assert_eq!(WakefulTimer.now() - begin, Duration::from_secs(3600));
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WakefulTimer;

impl rt::Timer for WakefulTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep_until(deadline.into()))
    }

    fn now(&self) -> Instant {
        time::Instant::now().into()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, new_deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<time::Sleep>() {
            Some(ours) => ours.reset(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

// hyper wants it `Send + Sync`; ours is, being a deadline and a number.
impl rt::Sleep for time::Sleep {}

/// The most that one read takes. hyper asks for 8 KiB at first, and for more while reads fill that.
const SCRATCH: usize = 64 * 1024;

thread_local! {
    /// Where bytes lie between the kernel and hyper's buffer. Empty before the first read, and while one
    /// is under way.
    static LENT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads into hyper's buffer by means of our [`AsyncRead`]; for streams of yours that have it.
///
/// hyper's buffer is memory that was never written, and the only safe way to say how much of it was
/// filled is `put_slice`. So the bytes are read into a buffer of the thread and copied. It is made by
/// the first read and lent to each: a buffer on the stack would be filled with zeros every time.
///
/// # Errors
///
/// Those of `stream`.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// struct Zeros;
///
/// impl wakeful::io::AsyncRead for Zeros {
///     fn poll_read(
///         self: Pin<&mut Self>,
///         _cx: &mut Context<'_>,
///         buf: &mut [u8],
///     ) -> Poll<io::Result<usize>> {
///         buf.fill(0);
///         Poll::Ready(Ok(buf.len()))
///     }
/// }
///
/// impl hyper::rt::Read for Zeros {
///     fn poll_read(
///         self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         buf: hyper::rt::ReadBufCursor<'_>,
///     ) -> Poll<io::Result<()>> {
///         wakeful::hyper::poll_read(self, cx, buf)
///     }
/// }
/// ```
pub fn poll_read<T: AsyncRead + ?Sized>(
    stream: Pin<&mut T>,
    cx: &mut Context<'_>,
    mut buf: rt::ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // Taken, not borrowed: a stream may be anybody's code, and may read from another stream.
    let mut scratch = LENT.take();
    scratch.resize(SCRATCH, 0);
    let length = buf.remaining().min(SCRATCH);
    let polled = stream.poll_read(cx, &mut scratch[..length]);
    if let Poll::Ready(Ok(read)) = polled {
        buf.put_slice(&scratch[..read]);
    }
    LENT.set(scratch);
    ready!(polled)?;
    Poll::Ready(Ok(()))
}

/// Hands the calls of `hyper::rt::Read` on to our `AsyncRead` of the same type.
macro_rules! reads {
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> rt::Read for $stream
        where
            $($bounds)*
        {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: rt::ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                poll_read(self, cx, buf)
            }
        }
    )*};
}

/// Hands the calls of `hyper::rt::Write` on to our `AsyncWrite` of the same type.
macro_rules! writes {
    ($([$($generics:tt)*] $stream:ty [$($bounds:tt)*])*) => {$(
        impl<$($generics)*> rt::Write for $stream
        where
            $($bounds)*
        {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                AsyncWrite::is_write_vectored(self)
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                AsyncWrite::poll_shutdown(self, cx)
            }
        }
    )*};
}

reads! {
    [] DuplexStream []
    [] &DuplexStream []
    [T: AsFd] AsyncFd<T> [for<'a> &'a T: io::Read]
    [T: AsFd] &AsyncFd<T> [for<'a> &'a T: io::Read]
}

writes! {
    [] DuplexStream []
    [] &DuplexStream []
    [T: AsFd] AsyncFd<T> [for<'a> &'a T: io::Write]
    [T: AsFd] &AsyncFd<T> [for<'a> &'a T: io::Write]
}
