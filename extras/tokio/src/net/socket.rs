//! Sockets that are not connected yet. A `UnixSocket` can become a datagram socket, which Wakeful's
//! cannot; a listening socket becomes the listener of this package.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use socket2::{Domain, SockAddr, Type};
use wakeful_net::{TcpStream, UnixStream};

use super::datagram::UnixDatagram;
use super::listener::{TcpListener, UnixListener};

/// Wakeful's [`TcpSocket`](wakeful_net::TcpSocket); its other methods are called through `Deref`.
#[derive(Debug)]
pub struct TcpSocket(wakeful_net::TcpSocket);

impl TcpSocket {
    /// Creates an IPv4 socket.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn new_v4() -> io::Result<Self> {
        wakeful_net::TcpSocket::new_v4().map(Self)
    }

    /// Creates an IPv6 socket.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn new_v6() -> io::Result<Self> {
        wakeful_net::TcpSocket::new_v6().map(Self)
    }

    /// Takes over a socket of the standard library.
    ///
    /// # Panics
    ///
    /// When the socket is not one of TCP, or cannot be made non-blocking.
    #[must_use]
    #[track_caller]
    pub fn from_std_stream(stream: std::net::TcpStream) -> Self {
        match wakeful_net::TcpSocket::from_std_stream(stream) {
            Ok(socket) => Self(socket),
            Err(error) => panic!("TcpSocket::from_std_stream: {error}"),
        }
    }

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn connect(self, address: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> {
        self.0.connect(address)
    }

    /// Listens for connections.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.0.listen(backlog).map(TcpListener::from_wakeful)
    }
}

impl Deref for TcpSocket {
    type Target = wakeful_net::TcpSocket;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for TcpSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl From<TcpSocket> for OwnedFd {
    fn from(socket: TcpSocket) -> Self {
        socket.0.into()
    }
}

/// A Unix socket that is not connected yet: Wakeful's for streams, or one for datagrams.
#[derive(Debug)]
pub struct UnixSocket(Kind);

#[derive(Debug)]
enum Kind {
    Stream(wakeful_net::UnixSocket),
    Datagram(socket2::Socket),
}

impl UnixSocket {
    /// Creates a socket for a listener or a stream.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    pub fn new_stream() -> io::Result<Self> {
        wakeful_net::UnixSocket::new_stream().map(|socket| Self(Kind::Stream(socket)))
    }

    /// Creates a socket for datagrams.
    ///
    /// # Errors
    ///
    /// As socket(2).
    pub fn new_datagram() -> io::Result<Self> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        socket2::Socket::new_raw(Domain::UNIX, kind, None).map(|it| Self(Kind::Datagram(it)))
    }

    /// Binds the socket to a path.
    ///
    /// # Errors
    ///
    /// As bind(2).
    pub fn bind(&self, path: impl AsRef<Path>) -> io::Result<()> {
        match &self.0 {
            Kind::Stream(socket) => socket.bind(path),
            Kind::Datagram(socket) => socket.bind(&SockAddr::unix(path)?),
        }
    }

    /// Listens for connections.
    ///
    /// # Errors
    ///
    /// As Wakeful's, and for a datagram socket.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<UnixListener> {
        match self.0 {
            Kind::Stream(socket) => socket.listen(backlog).map(UnixListener::from_wakeful),
            Kind::Datagram(_) => Err(refused("listen cannot be called on a datagram socket")),
        }
    }

    /// Connects to a path.
    ///
    /// # Errors
    ///
    /// As Wakeful's, and for a datagram socket.
    #[track_caller]
    pub fn connect<P: AsRef<Path>>(
        self,
        path: P,
    ) -> impl Future<Output = io::Result<UnixStream>> + use<P> {
        let connect = match self.0 {
            Kind::Stream(socket) => Ok(socket.connect(path)),
            Kind::Datagram(_) => Err(refused("connect cannot be called on a datagram socket")),
        };
        async { connect?.await }
    }

    /// Returns the socket as a datagram socket.
    ///
    /// # Errors
    ///
    /// When it is a socket for streams, or cannot be registered.
    #[track_caller]
    pub fn datagram(self) -> io::Result<UnixDatagram> {
        match self.0 {
            Kind::Stream(_) => Err(refused("datagram cannot be called on a stream socket")),
            Kind::Datagram(socket) => UnixDatagram::from_std(OwnedFd::from(socket).into()),
        }
    }
}

impl AsFd for UnixSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Stream(socket) => socket.as_fd(),
            Kind::Datagram(socket) => socket.as_fd(),
        }
    }
}

impl AsRawFd for UnixSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

fn refused(message: &str) -> io::Error {
    io::Error::other(message)
}
