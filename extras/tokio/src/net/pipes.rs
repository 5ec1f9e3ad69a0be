//! Pipes and FIFO files, over Wakeful's [`AsyncFd`]. Public as `net::unix::pipe`.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BufMut;
use real_tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use wakeful::io::{AsyncFd, Interest, Ready};

use super::datagram::fill;

/// Creates a pipe.
///
/// # Errors
///
/// As pipe(2), and when an end cannot be registered with epoll.
///
/// # Panics
///
/// When there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let (mut sender, mut receiver) = tokio::net::unix::pipe::pipe()?;
/// sender.write_all(b"hello").await?;
/// drop(sender);
/// let mut text = String::new();
/// receiver.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn pipe() -> io::Result<(Sender, Receiver)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let sender = Sender::from_owned_fd_unchecked(write)?;
    Ok((sender, Receiver::from_owned_fd_unchecked(read)?))
}

/// How a FIFO file is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    read_write: bool,
    unchecked: bool,
}

impl OpenOptions {
    /// Creates the options: the end's own access only, and the type of the file is checked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether the file is opened for both reading and writing, so that opening never fails for
    /// want of the other end, and the end never sees that the other one was closed.
    pub fn read_write(&mut self, value: bool) -> &mut Self {
        self.read_write = value;
        self
    }

    /// Sets whether the check that the file is a FIFO is left out.
    pub fn unchecked(&mut self, value: bool) -> &mut Self {
        self.unchecked = value;
        self
    }

    /// Opens the reading end of a FIFO file.
    ///
    /// # Errors
    ///
    /// As open(2); `InvalidInput` when the file is not a FIFO.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn open_receiver<P: AsRef<Path>>(&self, path: P) -> io::Result<Receiver> {
        Receiver::from_file_unchecked(self.open(path.as_ref(), true, false)?)
    }

    /// Opens the writing end of a FIFO file.
    ///
    /// # Errors
    ///
    /// As open(2), such as `ENXIO` when no process has the reading end open; `InvalidInput` when the
    /// file is not a FIFO.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread.
    #[track_caller]
    pub fn open_sender<P: AsRef<Path>>(&self, path: P) -> io::Result<Sender> {
        Sender::from_file_unchecked(self.open(path.as_ref(), false, true)?)
    }

    fn open(&self, path: &Path, read: bool, write: bool) -> io::Result<File> {
        let file = std::fs::OpenOptions::new()
            .read(read || self.read_write)
            .write(write || self.read_write)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        if !self.unchecked {
            check_type(&file)?;
        }
        Ok(file)
    }
}

/// Fails if the file is not a pipe.
fn check_type(file: &File) -> io::Result<()> {
    if file.metadata()?.file_type().is_fifo() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a pipe"))
}

/// Fails if the file is not open in one of two modes.
fn check_access(file: &File, allowed: OFlags, name: &str) -> io::Result<()> {
    let mode = fcntl_getfl(file)? & OFlags::RWMODE;
    if mode == allowed || mode == OFlags::RDWR {
        return Ok(());
    }
    let message = format!("the pipe is not open for {name}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

fn set_nonblocking(file: &File, on: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::NONBLOCK, on);
    Ok(fcntl_setfl(file, flags)?)
}

macro_rules! pipe_end {
    ($(#[$doc:meta])* $name:ident, $interest:expr, $flag:expr, $access:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(AsyncFd<File>);

        impl $name {
            /// Takes over an open pipe and makes it non-blocking.
            ///
            /// # Errors
            ///
            /// `InvalidInput` when the file is not a pipe or not open in this direction; when it
            /// cannot be registered with epoll.
            ///
            /// # Panics
            ///
            /// When there is no runtime on this thread.
            #[track_caller]
            pub fn from_file(file: File) -> io::Result<Self> {
                check_type(&file)?;
                check_access(&file, $flag, $access)?;
                set_nonblocking(&file, true)?;
                Self::from_file_unchecked(file)
            }

            /// Takes over the descriptor of an open pipe and makes it non-blocking.
            ///
            /// # Errors
            ///
            /// As [`from_file`](Self::from_file).
            ///
            /// # Panics
            ///
            /// When there is no runtime on this thread.
            #[track_caller]
            pub fn from_owned_fd(fd: OwnedFd) -> io::Result<Self> {
                Self::from_file(fd.into())
            }

            /// Takes over an open pipe that is non-blocking already.
            ///
            /// # Errors
            ///
            /// When it cannot be registered with epoll.
            ///
            /// # Panics
            ///
            /// When there is no runtime on this thread.
            #[track_caller]
            pub fn from_file_unchecked(file: File) -> io::Result<Self> {
                AsyncFd::with_interest(file, $interest).map(Self)
            }

            /// Takes over the descriptor of an open pipe that is non-blocking already.
            ///
            /// # Errors
            ///
            /// When it cannot be registered with epoll.
            ///
            /// # Panics
            ///
            /// When there is no runtime on this thread.
            #[track_caller]
            pub fn from_owned_fd_unchecked(fd: OwnedFd) -> io::Result<Self> {
                Self::from_file_unchecked(fd.into())
            }

            /// Waits until the pipe is ready for an interest.
            ///
            /// # Errors
            ///
            /// When the runtime has ended.
            ///
            /// # Cancel safety
            ///
            /// Cancel safe.
            pub async fn ready(&self, interest: Interest) -> io::Result<Ready> {
                Ok(self.0.ready(interest).await?.ready())
            }

            /// Calls an operation if the pipe is ready, and clears readiness if it would block.
            ///
            /// # Errors
            ///
            /// `WouldBlock` when the pipe is not ready; else the operation's.
            pub fn try_io<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
                self.0.try_io($interest, |_| operation())
            }

            /// Deregisters the pipe and makes it blocking.
            ///
            /// # Errors
            ///
            /// When the flag cannot be changed.
            pub fn into_blocking_fd(self) -> io::Result<OwnedFd> {
                let file = self.0.into_inner();
                set_nonblocking(&file, false)?;
                Ok(file.into())
            }

            /// Deregisters the pipe, which stays non-blocking.
            ///
            /// # Errors
            ///
            /// None at present.
            pub fn into_nonblocking_fd(self) -> io::Result<OwnedFd> {
                Ok(self.0.into_inner().into())
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }
    };
}

pipe_end!(
    /// The writing end of a pipe.
    Sender,
    Interest::WRITABLE,
    OFlags::WRONLY,
    "writing"
);

pipe_end!(
    /// The reading end of a pipe.
    Receiver,
    Interest::READABLE,
    OFlags::RDONLY,
    "reading"
);

impl Sender {
    /// Waits until the pipe is writable.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn writable(&self) -> io::Result<()> {
        self.0.writable().await.map(drop)
    }

    /// Polls for writability.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(cx).map_ok(drop)
    }

    /// Writes without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the pipe is not writable; else as write(2).
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.0
            .try_io(Interest::WRITABLE, |mut file| file.write(buf))
    }

    /// Writes several buffers without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0
            .try_io(Interest::WRITABLE, |mut file| file.write_vectored(bufs))
    }
}

impl Receiver {
    /// Waits until the pipe is readable.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await.map(drop)
    }

    /// Polls for readability.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx).map_ok(drop)
    }

    /// Reads without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the pipe is not readable; else as read(2).
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_io(Interest::READABLE, |mut file| file.read(buf))
    }

    /// Reads into several buffers without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0
            .try_io(Interest::READABLE, |mut file| file.read_vectored(bufs))
    }

    /// Reads and appends to a buffer without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    pub fn try_read_buf<B: BufMut>(&self, buf: &mut B) -> io::Result<usize> {
        fill(buf, |room| self.try_read(room), |n| *n)
    }
}

impl AsyncWrite for Sender {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0
            .writable()
            .by_waker()
            .poll_io(cx, |mut file| file.write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Receiver {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buf.initialize_unfilled();
        let read = self
            .0
            .readable()
            .by_waker()
            .poll_io(cx, |mut file| file.read(room));
        let n = ready!(read)?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}
