//! `TcpStream`: one connection; reading and writing.
//!
//! The operations are implemented in `crate::stream`; this file documents them. Connecting is in
//! `connect`, waiting without transferring in `ready`, splitting and conversions in `convert`,
//! socket options in `options`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;

use crate::socket::Io;
use crate::stream::{self, Peek, Read, ReadExact, ReadVectored, Write, WriteAll, WriteVectored};

/// A TCP connection.
///
/// All operations take `&self`: one task can read while another writes, and several can wait for
/// the same direction. Dropping the stream closes the connection. Bytes that were written are still
/// delivered.
///
/// `read_to_end`, lines and buffers are in crates such as futures-lite, whose `AsyncReadExt` and `BufReader`
/// take this type as it is; with the feature `tokio-io`, tokio's do as well.
///
/// # Errors
///
/// Reading and writing return the kernel's errors: `ConnectionReset` (ECONNRESET), `TimedOut`
/// (ETIMEDOUT), and for writing `BrokenPipe` (EPIPE, without a signal). They end this connection
/// only. `Interrupted` is never returned, and `WouldBlock` only by the `try_` methods. Operations
/// on a stream whose runtime has ended fail.
///
/// # Panics
///
/// Operations panic when polled on a thread that does not run the stream's runtime; the `try_` and
/// `poll_` methods when called there.
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
///     client.shutdown().await?;
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

    /// Reads some bytes, as soon as any are available, and returns how many.
    ///
    /// `Ok(0)` is the end of the stream: the peer has shut its writing direction down. With an
    /// empty `buf` it is returned at once and has no meaning.
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
    /// Safe. Bytes are taken only in the poll that returns them.
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
    /// Safe. Bytes are taken only in the poll that returns them.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// use std::io::IoSliceMut;
    ///
    /// # peer.write_all(b"headbody").await?;
    /// let (mut head, mut body) = ([0; 4], [0; 64]);
    /// let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
    /// assert_eq!(stream.read_vectored(&mut bufs).await?, 8);
    /// assert_eq!(&head, b"head");
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn read_vectored<'a, 'b>(&'a self, bufs: &'a mut [IoSliceMut<'b>]) -> ReadVectored<'a, 'b> {
        ReadVectored::new(&self.io, bufs)
    }

    /// Fills the buffer and returns its length.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends first: the bytes before the end are in the buffer, and
    /// the message contains their number. Otherwise as [`read`](Self::read); then the number of
    /// bytes read is unknown.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Not safe. A future that is dropped before it completes has taken bytes from the stream, and
    /// their number in the buffer is unknown.
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

    /// Copies bytes as soon as any are available. The next read returns them again.
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
    /// Safe. No bytes are taken.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// # peer.write_all(b"GET /").await?;
    /// let mut first = [0; 3];
    /// stream.peek(&mut first).await?;
    /// assert_eq!(&first, b"GET"); // and the next read returns it again
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> Peek<'a> {
        Peek::new(&self.io, buf)
    }

    /// Writes some bytes, as soon as the kernel has room, and returns how many.
    ///
    /// With an empty `buf` it returns `Ok(0)` at once.
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
    /// Safe. A future that is dropped before it completes has written nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// let mut rest = &b"all of it, by hand"[..];
    /// while !rest.is_empty() {
    ///     let n = stream.write(rest).await?;
    ///     rest = &rest[n..];
    /// }
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> Write<'a> {
        Write::new(&self.io, buf)
    }

    /// Writes some bytes from several buffers, one after another (at most 1,024 of them).
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
    /// Safe. A future that is dropped before it completes has written nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// use std::io::IoSlice;
    ///
    /// let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
    /// assert_eq!(stream.write_vectored(&parts).await?, 8);
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn write_vectored<'a, 'b>(&'a self, bufs: &'a [IoSlice<'b>]) -> WriteVectored<'a, 'b> {
        WriteVectored::new(&self.io, bufs)
    }

    /// Writes the whole buffer, waiting for room as often as needed.
    ///
    /// # Errors
    ///
    /// See [`TcpStream`]. The number of bytes written before the error is unknown.
    ///
    /// # Panics
    ///
    /// See [`TcpStream`].
    ///
    /// # Cancel safety
    ///
    /// Not safe. A future that is dropped before it completes has written an unknown part. The
    /// parts of two tasks that write at once can be interleaved.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.write_all(b"everything").await?;
    /// # peer.read_exact(&mut [0; 10]).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[inline]
    #[track_caller]
    pub fn write_all<'a>(&'a self, buf: &'a [u8]) -> WriteAll<'a> {
        WriteAll::new(&self.io, buf)
    }

    /// Shuts down the writing direction: the peer reads all bytes that were written and then the end
    /// of the stream. Reading from this end continues to work.
    ///
    /// The future is ready in its first poll. It is the counterpart of tokio's
    /// `AsyncWriteExt::shutdown` and does the same as `poll_close` of the trait.
    ///
    /// # Errors
    ///
    /// Those of shutdown(2), except `NotConnected`: a connection that the peer has reset is shut down
    /// already.
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has changed nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.shutdown().await?;
    /// assert_eq!(peer.read(&mut [0; 8]).await?, 0);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<'_> {
        stream::shutdown(&self.io)
    }

    /// Shuts down one or both directions immediately, as std's `shutdown` does.
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) if the peer has reset the connection.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// stream.shutdown_now(std::net::Shutdown::Both)?;
    /// assert_eq!(peer.read(&mut [0; 8]).await?, 0);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn shutdown_now(&self, how: Shutdown) -> io::Result<()> {
        self.io.get_ref().shutdown(how)
    }
}
