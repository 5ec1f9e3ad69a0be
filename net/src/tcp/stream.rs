//! `TcpStream`: one connection, and how to connect, read and write.
//!
//! What happens on the wire is in `crate::stream`; this file says what each operation promises.
//! Waiting without transferring is in `ready`, splitting and changing owners in `convert`, socket
//! options in `options`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::time::Duration;

use super::{Connect, ConnectTimeout};
use crate::lookup::ToSocketAddrs;
use crate::socket::Io;
use crate::stream::{Peek, Read, ReadExact, ReadVectored, Write, WriteAll, WriteVectored};

/// A TCP connection.
///
/// All operations take `&self`: one task may read while another writes, and several may wait for
/// the same direction. Dropping the stream closes the connection; bytes that were written are
/// still delivered.
///
/// # Errors
///
/// Reading and writing hand errors on as the kernel gives them: `ConnectionReset` (ECONNRESET),
/// `TimedOut` (ETIMEDOUT), and for writing `BrokenPipe` (EPIPE; no signal is ever raised). They end
/// this connection only. `Interrupted` and (but for the `try_` methods) `WouldBlock` never appear.
/// Operations on a stream whose runtime has ended fail.
///
/// # Panics
///
/// Operations panic when polled on a thread that does not run the stream's runtime.
///
/// # Examples
///
/// ```
/// use wakeful_net::{TcpListener, TcpStream};
///
/// wakeful::block_on(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let client = TcpStream::connect(listener.local_addr()?).await?;
///     let (server, _peer) = listener.accept().await?;
///
///     client.write_all(b"hello").await?;
///     client.shutdown(std::net::Shutdown::Write)?;
///
///     let mut buf = [0; 64];
///     assert_eq!(server.read(&mut buf).await?, 5);
///     assert_eq!(server.read(&mut buf).await?, 0); // the end of the stream
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream {
    pub(super) io: Io,
}

impl TcpStream {
    pub(super) fn from_io(io: Io) -> Self {
        Self { io }
    }

    /// Connects to the first of the addresses that answers, trying them in order.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and others, as the
    /// kernel gives them; when several addresses failed, that of the last one that got further than
    /// this machine. `InvalidInput` or the resolver's error as of
    /// [`lookup_host`](crate::lookup_host). The message names the address; see
    /// [`SocketError`](crate::SocketError) for the errno. Nothing stays open.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, the attempt is given up and its socket closed.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful_net::TcpStream;
    ///
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let port = listener.local_addr()?.port();
    /// let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    /// stream.set_nodelay(true)?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(address: A) -> Connect {
        Connect::new(address)
    }

    /// As [`connect`](Self::connect), but gives up after `limit`, look-up and all addresses
    /// included. The time runs from the first poll.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the limit has passed; else as [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, the attempt is given up and its socket closed.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # wakeful::block_on(async {
    /// let limit = Duration::from_secs(3);
    /// let stream = wakeful_net::TcpStream::connect_timeout("example.org:80", limit).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect_timeout<A: ToSocketAddrs>(address: A, limit: Duration) -> ConnectTimeout {
        ConnectTimeout::new(address, limit)
    }

    /// Reads some bytes, as soon as there are any, and says how many.
    ///
    /// `Ok(0)` is the end of the stream: the peer has shut its writing direction down. An empty
    /// `buf` gives `Ok(0)` at once and means nothing.
    ///
    /// # Errors
    ///
    /// See [`TcpStream`]. After `ConnectionReset` the stream reads as ended.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are taken only in the poll that returns them.
    ///
    /// # Examples
    ///
    /// See [`TcpStream`].
    #[inline]
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> Read<'a> {
        Read::new(&self.io, buf)
    }

    /// Reads some bytes into several buffers, filling one after another (at most 1,024 of them).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe: bytes are taken only in the poll that returns them.
    #[track_caller]
    pub fn read_vectored<'a, 'b>(&'a self, bufs: &'a mut [IoSliceMut<'b>]) -> ReadVectored<'a, 'b> {
        ReadVectored::new(&self.io, bufs)
    }

    /// Fills the buffer and returns its length.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends first; the message says after how many bytes, and they
    /// are in the buffer. Else as [`read`](Self::read), and how many bytes were read is not known.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped early, it has taken bytes out of the stream, and nothing tells how many of
    /// them lie in the buffer.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let (a, b) = wakeful_net::UnixStream::pair()?;
    /// # b.write_all(&[0, 0, 0, 2, 7, 8]).await?;
    /// let mut length = [0; 4];
    /// a.read_exact(&mut length).await?;
    /// let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    /// a.read_exact(&mut frame).await?;
    /// # assert_eq!(frame, [7, 8]); std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn read_exact<'a>(&'a self, buf: &'a mut [u8]) -> ReadExact<'a> {
        ReadExact::new(&self.io, buf)
    }

    /// Copies bytes that the next read will return, as soon as there are any.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe: it takes nothing.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Peek<'a> {
        Peek::new(&self.io, buf)
    }

    /// Writes some bytes, as soon as the kernel takes any, and says how many.
    ///
    /// An empty `buf` gives `Ok(0)` at once.
    ///
    /// # Errors
    ///
    /// See [`TcpStream`].
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, it wrote nothing.
    #[inline]
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> Write<'a> {
        Write::new(&self.io, buf)
    }

    /// Writes some bytes out of several buffers, one after another (at most 1,024 of them).
    ///
    /// # Errors
    ///
    /// See [`TcpStream`].
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, it wrote nothing.
    #[track_caller]
    pub fn write_vectored<'a, 'b>(&'a self, bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> {
        WriteVectored::new(&self.io, bufs)
    }

    /// Writes everything, waiting as often as the peer makes it wait.
    ///
    /// # Errors
    ///
    /// See [`TcpStream`]; how many bytes were written before the error is not known.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped early, it wrote an unknown part. Two tasks that write at once may mix their
    /// parts.
    #[inline]
    #[track_caller]
    pub fn write_all<'a>(&'a self, buf: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(&self.io, buf)
    }

    /// Ends one or both directions at once; it never waits.
    ///
    /// After `Shutdown::Write` the peer reads everything that was written and then the end of the
    /// stream, and this end can go on reading.
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) when the peer has reset the connection.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().options().shutdown(how)
    }
}
