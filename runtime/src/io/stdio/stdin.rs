//! [`Stdin`]: the handle of standard input.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSliceMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::input::{self, Operation};
use crate::io::AsyncRead;

/// Returns a handle of the standard input of the process.
///
/// # Examples
///
/// ```no_run
/// wakeful::block_on(async {
///     let stdin = wakeful::io::stdin();
///     let mut buffer = [0; 1024];
///     loop {
///         match stdin.read(&mut buffer).await? {
///             0 => break,
///             n => println!("{n} bytes"),
///         }
///     }
///     std::io::Result::Ok(())
/// }).unwrap();
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin { _private: () }
}

/// The standard input of the process: a terminal, a pipe, a file or `/dev/null`.
///
/// A thread of the blocking pool reads, so the stream stays as it was: it is not put into
/// non-blocking mode. The thread starts at the first read and waits until bytes arrive. It occupies
/// one of [`Builder::max_blocking_threads`](crate::runtime::Builder::max_blocking_threads) meanwhile.
/// Neither the end of the runtime nor that of the process waits for it.
///
/// All handles, on all threads and runtimes, read from one queue. A read that was dropped loses
/// nothing: the bytes that arrive for it go to the next read. `std::io::stdin` does not find them,
/// so do not read through it as well. Until the thread's read returns, calls of `std::io::stdin`
/// wait for it.
///
/// Lines are read with a buffered reader of another crate, such as `futures_lite::io::BufReader`.
/// Such a reader has a buffer of its own, and dropping it loses what is in there.
///
/// While a read is under way, also one whose future was dropped, a paused clock does not jump.
pub struct Stdin {
    _private: (),
}

impl Stdin {
    /// Waits until bytes are available and reads them into `buf`; returns their number, or zero at
    /// the end of the input. After the end of a terminal's input (Ctrl-D) the next read waits again.
    ///
    /// # Errors
    ///
    /// Those of `read(2)`, or of starting a thread. The message names the operation; the errno is
    /// part of the message only.
    ///
    /// # Panics
    ///
    /// Polling panics when there is no runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are taken only in the poll that returns them.
    #[track_caller]
    pub fn read<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let wait = ("Stdin::read", Location::caller());
        let mut operation = Operation::default();
        poll_fn(move |cx| {
            let bufs = &mut [IoSliceMut::new(buf)];
            input::poll_read(cx, wait, Some(&mut operation), bufs)
        })
    }
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buffered, waiting) = input::counts();
        f.debug_struct("Stdin")
            .field("buffered", &buffered)
            .field("waiting", &waiting)
            .finish()
    }
}

impl AsyncRead for Stdin {
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
        let wait = ("Stdin::poll_read", Location::caller());
        input::poll_read(cx, wait, None, bufs)
    }
}
