//! `UnixStream`: one connection within this machine; connecting, reading and writing.
//!
//! Counterpart of `tcp::stream`; the operations are implemented in `crate::stream`. Splitting,
//! waiting and conversions are in `convert`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::path::Path;

use super::{Connect, SocketAddr, UCred};
use crate::socket::{Family, Io, new_pair};
use crate::stream::{self, Peek, Read, ReadExact, ReadVectored, Write, WriteAll, WriteVectored};
use crate::sys;

/// A connection between two processes, or two parts of one, on this machine.
///
/// It reads and writes as a [`TcpStream`](crate::TcpStream), with the same errors, panics and
/// cancel safety of each method. Descriptors and credentials that a peer sends are not received;
/// the kernel closes the descriptors.
///
/// # Examples
///
/// ```
/// use wakeful_net::UnixStream;
///
/// wakeful::block_on(async {
///     let (near, far) = UnixStream::pair()?;
///     near.write_all(b"hello").await?;
///     let mut buf = [0; 64];
///     let n = far.read(&mut buf).await?;
///     assert_eq!(&buf[..n], b"hello");
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct UnixStream {
    pub(super) io: Io,
}

impl UnixStream {
    pub(super) fn from_io(io: Io) -> Self {
        Self { io }
    }

    /// Connects to a listening socket at a path, or under an abstract name if the path begins with
    /// a NUL byte.
    ///
    /// When the listener's backlog is full, the kernel returns EAGAIN and reports no event when
    /// there is room again. Then the attempt is repeated after 1 ms, 2 ms, 4 ms and so on up to
    /// every 64 ms, without a limit. Wrap the future in `wakeful::time::timeout` to set one.
    ///
    /// # Errors
    ///
    /// `NotFound` when the path does not exist; `ConnectionRefused` when no socket listens on it (a
    /// stale socket file, or another file); `PermissionDenied` without write permission;
    /// `InvalidInput` for a path that cannot be an address. The message names the path; see
    /// [`SocketError`](crate::SocketError) for the errno. Nothing stays open.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes its socket.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # wakeful::block_on(async {
    /// let stream = wakeful_net::UnixStream::connect("/run/echo").await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(path: P) -> Connect {
        let path = path.as_ref();
        Connect::new(path.display().to_string(), SocketAddr::from_user(path))
    }

    /// As [`connect`](Self::connect), to an address.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect); `InvalidInput` when the address is unnamed.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes its socket.
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> Connect {
        Connect::new(address.to_string(), Ok(address.clone()))
    }

    /// Creates two streams that are connected to each other.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when they cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// let (near, far) = wakeful_net::UnixStream::pair()?;
    /// near.write_all(b"hello").await?;
    /// far.read_exact(&mut [0; 5]).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (near, far) = new_pair(Family::Unix)?;
        Ok((Self::from_io(near), Self::from_io(far)))
    }

    /// Returns the process, user and group at the other end.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn peer_cred(&self) -> io::Result<UCred> {
        sys::peer_cred(self.io.get_ref().as_fd()).map(UCred::new)
    }

    /// Reads some bytes; as [`TcpStream::read`](crate::TcpStream::read). Cancel safe.
    #[inline]
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> Read<'a> {
        Read::new(&self.io, buf)
    }

    /// Reads some bytes into several buffers; as
    /// [`TcpStream::read_vectored`](crate::TcpStream::read_vectored). Cancel safe.
    #[track_caller]
    pub fn read_vectored<'a, 'b>(&'a self, bufs: &'a mut [IoSliceMut<'b>]) -> ReadVectored<'a, 'b> {
        ReadVectored::new(&self.io, bufs)
    }

    /// Fills the buffer; as [`TcpStream::read_exact`](crate::TcpStream::read_exact). Not cancel
    /// safe: a future dropped before it completes leaves the bytes it read in the buffer.
    #[track_caller]
    pub fn read_exact<'a>(&'a self, buf: &'a mut [u8]) -> ReadExact<'a> {
        ReadExact::new(&self.io, buf)
    }

    /// Copies bytes, which the next read returns again; as
    /// [`TcpStream::peek`](crate::TcpStream::peek). Cancel safe.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Peek<'a> {
        Peek::new(&self.io, buf)
    }

    /// Writes some bytes; as [`TcpStream::write`](crate::TcpStream::write). Cancel safe: a future
    /// dropped before it completes has written nothing.
    #[inline]
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> Write<'a> {
        Write::new(&self.io, buf)
    }

    /// Writes some bytes from several buffers; as
    /// [`TcpStream::write_vectored`](crate::TcpStream::write_vectored). Cancel safe: a future
    /// dropped before it completes has written nothing.
    #[track_caller]
    pub fn write_vectored<'a, 'b>(&'a self, bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> {
        WriteVectored::new(&self.io, bufs)
    }

    /// Writes the whole buffer; as [`TcpStream::write_all`](crate::TcpStream::write_all). Not
    /// cancel safe: a future dropped before it completes has written an unknown part.
    #[inline]
    #[track_caller]
    pub fn write_all<'a>(&'a self, buf: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(&self.io, buf)
    }

    /// Shuts down the writing direction, see [`TcpStream::shutdown`](crate::TcpStream::shutdown).
    ///
    /// # Errors
    ///
    /// Those of shutdown(2), except `NotConnected`.
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        stream::shutdown(&self.io)
    }

    /// Shuts down one or both directions immediately, see
    /// [`TcpStream::shutdown_now`](crate::TcpStream::shutdown_now).
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) if the stream is not connected.
    pub fn shutdown_now(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }

    /// Reads available bytes, without waiting; as
    /// [`TcpStream::try_read`](crate::TcpStream::try_read).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when no data is known to be available; otherwise as [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        stream::try_read(&self.io, buf)
    }

    /// Reads available bytes into several buffers, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[track_caller]
    pub fn try_read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        stream::try_read_vectored(&self.io, bufs)
    }

    /// Writes as many bytes as the kernel accepts, without waiting; as
    /// [`TcpStream::try_write`](crate::TcpStream::try_write).
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as [`write`](Self::write).
    #[inline]
    #[track_caller]
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        stream::try_write(&self.io, buf)
    }

    /// Writes as many bytes from several buffers as the kernel accepts, without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    #[track_caller]
    pub fn try_write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        stream::try_write_vectored(&self.io, bufs)
    }

    /// Reads and clears the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.io.get_ref().take_error()
    }
}
