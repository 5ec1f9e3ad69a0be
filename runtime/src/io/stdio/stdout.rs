//! [`Stdout`] and [`Stderr`]: the handles of standard output and standard error.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::output::{Output, STDERR, STDOUT, Wait};
use crate::io::AsyncWrite;

/// Returns a handle of the standard output of the process.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     wakeful::io::stdout().write_all(b"hello\n").await
/// }).unwrap();
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout { _private: () }
}

/// Returns a handle of the standard error of the process.
#[must_use]
pub fn stderr() -> Stderr {
    Stderr { _private: () }
}

/// The standard output of the process: a terminal, a pipe, a file or `/dev/null`.
///
/// A thread of the blocking pool writes, so a slow reader of the output delays no other task, and the
/// stream is not put into non-blocking mode. All handles, on all threads and runtimes, write into
/// one queue of 64 KiB, so bytes keep the order of the calls. `print!` and `println!` can be used as
/// well, but they block; what they have left in their buffer is written first. Do not keep
/// `std::io::stdout().lock()` across an `.await`: the thread waits for that lock.
///
/// [`write_all`](Self::write_all) waits until its bytes are written. [`write`](Self::write) and the
/// methods of [`AsyncWrite`] only queue them: call [`flush`](Self::flush) before the program ends,
/// because the end of the process does not wait for the thread. If a write fails later on, the next
/// operation returns the error, and the bytes that were queued are lost.
///
/// While a write is under way, a paused clock does not jump.
pub struct Stdout {
    _private: (),
}

impl Stdout {
    /// Waits until there is room in the queue and stores as much of `buf` as fits; returns the number
    /// of bytes. A thread writes them afterwards.
    ///
    /// # Errors
    ///
    /// That of an earlier write that failed, for example `BrokenPipe`; or that of starting a thread.
    /// The message names the operation; the errno is part of the message only.
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are stored only in the poll that returns their number.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a> {
        write(&STDOUT, ("Stdout::write", Location::caller()), buf)
    }

    /// Writes all of `buf` and waits until it is written.
    ///
    /// # Errors
    ///
    /// That of the write, for example `BrokenPipe`, or of an earlier one that was not reported; or
    /// that of starting a thread. The number of bytes written before the error is unknown. The message
    /// names the operation; the errno is part of the message only.
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Not safe: the number of bytes stored before the drop is unknown. These are written, in order.
    #[track_caller]
    pub fn write_all<'a>(
        &'a self,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + use<'a> {
        write_all(&STDOUT, ("Stdout::write_all", Location::caller()), buf)
    }

    /// Waits until all bytes are written that were stored before the first poll, by any handle.
    ///
    /// # Errors
    ///
    /// That of a write that failed, for example `BrokenPipe`; or that of starting a thread.
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Safe: the bytes are written anyway.
    #[track_caller]
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        flush(&STDOUT, ("Stdout::flush", Location::caller()))
    }
}

/// The standard error of the process: a terminal, a pipe, a file or `/dev/null`.
///
/// Has a queue of its own, and is otherwise the same as [`Stdout`]. `eprintln!` can be used as well.
pub struct Stderr {
    _private: (),
}

impl Stderr {
    /// As [`Stdout::write`]: waits for room, and queues.
    ///
    /// # Errors
    ///
    /// As [`Stdout::write`].
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + use<'a> {
        write(&STDERR, ("Stderr::write", Location::caller()), buf)
    }

    /// As [`Stdout::write_all`]: waits until all of `buf` is written.
    ///
    /// # Errors
    ///
    /// As [`Stdout::write_all`].
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    #[track_caller]
    pub fn write_all<'a>(
        &'a self,
        buf: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + use<'a> {
        write_all(&STDERR, ("Stderr::write_all", Location::caller()), buf)
    }

    /// As [`Stdout::flush`]: waits until the queue is written.
    ///
    /// # Errors
    ///
    /// As [`Stdout::flush`].
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    #[track_caller]
    pub fn flush(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        flush(&STDERR, ("Stderr::flush", Location::caller()))
    }
}

fn write<'a>(
    output: &'static Output,
    wait: Wait,
    buf: &'a [u8],
) -> impl Future<Output = io::Result<usize>> + use<'a> {
    let mut operation = output.operation();
    poll_fn(move |cx| {
        let accepted = output.poll_accept(cx, Some(&mut operation), wait, &[IoSlice::new(buf)]);
        accepted.map_ok(|accepted| length(&accepted))
    })
}

fn write_all<'a>(
    output: &'static Output,
    wait: Wait,
    buf: &'a [u8],
) -> impl Future<Output = io::Result<()>> + use<'a> {
    let mut rest = buf;
    let mut accepted: Option<Range<u64>> = None;
    let mut operation = output.operation();
    poll_fn(move |cx| {
        while !rest.is_empty() {
            let piece =
                ready!(output.poll_accept(cx, Some(&mut operation), wait, &[IoSlice::new(rest)]))?;
            rest = &rest[length(&piece)..];
            accepted.get_or_insert(piece.clone()).end = piece.end;
        }
        output.poll_written(cx, Some(&mut operation), wait, accepted.get_or_insert(0..0))
    })
}

fn flush(output: &'static Output, wait: Wait) -> impl Future<Output = io::Result<()>> {
    let mut unwritten = None;
    let mut operation = output.operation();
    poll_fn(move |cx| {
        let unwritten = unwritten.get_or_insert_with(|| output.unwritten_range());
        output.poll_written(cx, Some(&mut operation), wait, unwritten)
    })
}

/// Returns the number of accepted bytes, which is at most the length of the queue.
fn length(accepted: &Range<u64>) -> usize {
    usize::try_from(accepted.end - accepted.start).unwrap_or(usize::MAX)
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdout")
            .field("unwritten", &STDOUT.unwritten())
            .finish()
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stderr")
            .field("unwritten", &STDERR.unwritten())
            .finish()
    }
}

/// `poll_flush` and `poll_close` wait until everything that was stored is written, and fail with the
/// first error that was not reported yet.
impl AsyncWrite for Stdout {
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
        let wait = ("Stdout::poll_write", Location::caller());
        let accepted = STDOUT.poll_accept(cx, None, wait, bufs);
        accepted.map_ok(|accepted| length(&accepted))
    }

    #[track_caller]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wait = ("Stdout::poll_flush", Location::caller());
        STDOUT.poll_written(cx, None, wait, &STDOUT.unwritten_range())
    }

    #[track_caller]
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// As for [`Stdout`].
impl AsyncWrite for Stderr {
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
        let wait = ("Stderr::poll_write", Location::caller());
        let accepted = STDERR.poll_accept(cx, None, wait, bufs);
        accepted.map_ok(|accepted| length(&accepted))
    }

    #[track_caller]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wait = ("Stderr::poll_flush", Location::caller());
        STDERR.poll_written(cx, None, wait, &STDERR.unwritten_range())
    }

    #[track_caller]
    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
