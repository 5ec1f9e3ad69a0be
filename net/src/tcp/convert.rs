//! Splitting and duplicating a `TcpStream`, its addresses, and conversions from and to std.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, TcpStream, WriteHalf};
use crate::fd::impl_fd_traits;
use crate::socket::{Family, Io, duplicate, register_foreign};
use crate::stream::{self, Sealed, Split};

impl TcpStream {
    /// Splits the stream into two borrowed halves, so that one `async` block can use both.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// let mut stream = stream;
    /// let (reader, writer) = stream.split();
    /// writer.write_all(b"ping").await?;
    /// # peer.write_all(b"pong").await?;
    /// reader.read_exact(&mut [0; 4]).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        stream::split(self)
    }

    /// Splits the stream into two owned halves, so that two tasks can use them.
    ///
    /// Dropping the write half shuts the outgoing direction down;
    /// [`reunite`](OwnedReadHalf::reunite) joins both to a stream again.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// let (reader, writer) = stream.into_split();
    /// let sender = wakeful::spawn(async move {
    ///     writer.write_all(b"ping").await?;
    ///     std::io::Result::Ok(writer)
    /// });
    /// # peer.write_all(b"pong").await?;
    /// reader.read_exact(&mut [0; 4]).await?;
    /// let writer = sender.await.expect("has not panicked")?;
    /// let stream = reader.reunite(writer).expect("two halves of one stream");
    /// # drop(stream);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        stream::into_split(self)
    }

    /// Creates a second handle to the same connection (F_DUPFD_CLOEXEC).
    ///
    /// The connection ends when all handles are dropped. Both can wait for the same direction, and
    /// both are woken.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, or when it cannot be registered with epoll.
    ///
    /// # Panics
    ///
    /// When called on a thread that does not run the stream's runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// let clone = stream.try_clone()?;
    /// drop(stream);
    /// clone.write_all(b"still connected").await?;
    /// # drop(peer);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn try_clone(&self) -> io::Result<Self> {
        duplicate(&self.io).map(Self::from_io)
    }

    /// Registers a stream of the standard library and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when its descriptor is a socket of another type; or when it cannot be made
    /// non-blocking or registered with epoll. It is closed then.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    #[track_caller]
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        register_foreign(stream, Family::Tcp).map(Self::from_io)
    }

    /// Deregisters the socket and converts it to std's type. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// None at present. The signature is tokio's.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let stream = wakeful_net::TcpStream::connect(listener.local_addr()?).await?;
    /// # let (peer, _) = listener.accept().await?;
    /// let blocking = stream.into_std()?;
    /// blocking.set_nonblocking(false)?;
    /// # drop(peer);
    /// let stream = wakeful_net::TcpStream::from_std(blocking)?; // non-blocking again
    /// # drop(stream);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        Ok(OwnedFd::from(self).into())
    }

    /// Returns the address of this end.
    ///
    /// # Errors
    ///
    /// As getsockname(2): none in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().local_addr()
    }

    /// Returns the address of the other end.
    ///
    /// # Errors
    ///
    /// `NotConnected` (ENOTCONN) after the connection was reset.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.io.get_ref().peer_addr()
    }
}

impl Sealed for TcpStream {
    fn io(&self) -> &Io {
        &self.io
    }
}

impl Split for TcpStream {
    type Address = SocketAddr;

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::local_addr(self)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        TcpStream::peer_addr(self)
    }
}

impl_fd_traits!(registered TcpStream, std::net::TcpStream);
