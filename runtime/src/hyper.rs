//! Feature `hyper`: the traits of hyper 1 that a runtime implements (its module `rt`).
//!
//! [`WakefulExecutor`] spawns the tasks of HTTP/2, and [`WakefulTimer`] runs hyper's timeouts. The
//! streams of `wakeful-net` implement `Read` and `Write` directly, without a wrapper like `TokioIo`;
//! [`impl_hyper_io!`](crate::impl_hyper_io) does the same for other types.
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
//! `examples/ecosystem/src/bin/http.rs` is a complete server.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ::hyper::rt;

use crate::io::{AsyncFd, AsyncRead, DuplexStream};
use crate::task::spawn;
use crate::time;

/// The crate whose traits this feature implements. Because [`impl_hyper_io!`](crate::impl_hyper_io)
/// names it through this path, its callers need no dependency on hyper.
pub use ::hyper;

/// Spawns hyper's tasks on the thread's runtime; the futures need not be `Send`.
///
/// # Panics
///
/// `execute` panics if the thread runs no runtime.
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

impl WakefulExecutor {
    /// Creates the executor. It has no state.
    #[must_use]
    pub const fn new() -> Self {
        WakefulExecutor
    }
}

impl<F> rt::Executor<F> for WakefulExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        // Detached, because hyper controls its tasks through channels.
        drop(spawn(future));
    }
}

/// Runs hyper's timeouts on the runtime's clock, which tests can pause.
///
/// # Panics
///
/// Its methods panic if the thread runs no runtime.
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

impl WakefulTimer {
    /// Creates the timer. It has no state.
    #[must_use]
    pub const fn new() -> Self {
        WakefulTimer
    }
}

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
            Some(sleep) => sleep.reset(new_deadline.into()),
            None => *sleep = self.sleep_until(new_deadline),
        }
    }
}

// hyper requires `Send + Sync`, which `time::Sleep` is.
impl rt::Sleep for time::Sleep {}

/// Upper limit of one read. hyper asks for 8 KiB at first, and for more while reads fill its buffer.
const SCRATCH_SIZE: usize = 64 * 1024;

thread_local! {
    /// The thread's buffer between the kernel and hyper. Empty before the first read and during one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Reads into hyper's buffer through futures-io's [`AsyncRead`].
///
/// Called by the implementations that [`impl_hyper_io!`](crate::impl_hyper_io) writes. hyper's buffer
/// is memory that was never written, and `put_slice` is the only safe way to fill it. So the bytes
/// are read into a buffer of the thread and copied. The first read allocates that buffer; a buffer
/// on the stack would be filled with zeros in each read.
///
/// # Errors
///
/// Those of `stream`.
pub fn poll_read<T: AsyncRead + ?Sized>(
    stream: Pin<&mut T>,
    cx: &mut Context<'_>,
    mut buf: rt::ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // Taken, not borrowed, because a stream can be user code that reads from another stream.
    // A thread that is ending has destroyed its thread-local.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    scratch.resize(SCRATCH_SIZE, 0);
    let length = buf.remaining().min(SCRATCH_SIZE);
    let polled = stream.poll_read(cx, &mut scratch[..length]);
    if let Poll::Ready(Ok(read)) = polled {
        let read = &mut scratch[..length][..read];
        buf.put_slice(read);
        // A faulty stream can claim more bytes than it wrote, and must not pass on those of another one.
        read.fill(0);
    }
    SCRATCH.try_with(|place| place.set(scratch)).ok();
    ready!(polled)?;
    Poll::Ready(Ok(()))
}

/// Implements hyper's `Read` and `Write` for types that have futures-io's `AsyncRead` and
/// `AsyncWrite`. Feature `hyper`.
///
/// The syntax is that of `impl` blocks. The macro adds the methods, which call those of
/// [`wakeful::io::AsyncRead`](crate::io::AsyncRead) and
/// [`wakeful::io::AsyncWrite`](crate::io::AsyncWrite); hyper's `poll_shutdown` is `poll_close`. The
/// traits and hyper itself need not be imported.
///
/// - `is_write_vectored` returns `false`, as hyper's default does, because futures-io has no such
///   method. If `poll_write_vectored` uses more than the first buffer, write the method in the block.
/// - Generic parameters can have one bound each. `Self: wakeful::io::AsyncRead` (or `AsyncWrite`) is
///   added, so bounds of those implementations need no repetition.
///
/// # Examples
///
/// ```
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// /// Replaces every byte by an asterisk.
/// struct Masked<R>(R);
///
/// impl<R: wakeful::io::AsyncRead + Unpin> wakeful::io::AsyncRead for Masked<R> {
///     fn poll_read(
///         mut self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         buf: &mut [u8],
///     ) -> Poll<io::Result<usize>> {
///         let polled = Pin::new(&mut self.0).poll_read(cx, buf);
///         buf.fill(b'*');
///         polled
///     }
/// }
///
/// wakeful::impl_hyper_io! {
///     impl<R> Read for Masked<R> {}
/// }
///
/// fn accepted_by_hyper(_: impl hyper::rt::Read) {}
/// accepted_by_hyper(Masked(&b"secret"[..]));
/// ```
#[macro_export]
macro_rules! impl_hyper_io {
    () => {};
    (
        impl $(<$($param:tt $(: $bound:path)?),+>)? Read for $stream:ty {}
        $($rest:tt)*
    ) => {
        impl $(<$($param $(: $bound)?),+>)? $crate::hyper::hyper::rt::Read for $stream
        where
            Self: $crate::io::AsyncRead,
        {
            fn poll_read(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: $crate::hyper::hyper::rt::ReadBufCursor<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::hyper::poll_read(self, cx, buf)
            }
        }

        $crate::impl_hyper_io! { $($rest)* }
    };
    (
        impl $(<$($param:tt $(: $bound:path)?),+>)? Write for $stream:ty { $($method:tt)* }
        $($rest:tt)*
    ) => {
        impl $(<$($param $(: $bound)?),+>)? $crate::hyper::hyper::rt::Write for $stream
        where
            Self: $crate::io::AsyncWrite,
        {
            fn poll_write(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                buf: &[u8],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $crate::io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
                bufs: &[::std::io::IoSlice<'_>],
            ) -> ::std::task::Poll<::std::io::Result<usize>> {
                $crate::io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn poll_flush(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(
                self: ::std::pin::Pin<&mut Self>,
                cx: &mut ::std::task::Context<'_>,
            ) -> ::std::task::Poll<::std::io::Result<()>> {
                $crate::io::AsyncWrite::poll_close(self, cx)
            }

            $($method)*
        }

        $crate::impl_hyper_io! { $($rest)* }
    };
}

impl_hyper_io! {
    impl Read for DuplexStream {}
    impl Read for &DuplexStream {}
    impl<T: AsFd> Read for AsyncFd<T> {}
    impl<T: AsFd> Read for &AsyncFd<T> {}

    impl Write for DuplexStream { fn is_write_vectored(&self) -> bool { true } }
    impl Write for &DuplexStream { fn is_write_vectored(&self) -> bool { true } }
    // As in `io::tokio_io`: every descriptor has writev(2).
    impl<T: AsFd> Write for AsyncFd<T> { fn is_write_vectored(&self) -> bool { true } }
    impl<T: AsFd> Write for &AsyncFd<T> { fn is_write_vectored(&self) -> bool { true } }
}
