//! `TcpSocket`: a TCP socket before it is a listener or a stream, for options that must be set
//! first.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use socket2::Domain;

use super::options::kernel_linger;
use super::{Connect, TcpListener};
use crate::address::Address;
use crate::error::{explain_family, set_in_range, with_context};
use crate::fd::impl_fd_traits;
use crate::socket::{Family, check_foreign, new_socket, register};
use crate::sys::{self, Descriptor};

/// A TCP socket that is neither listening nor connected yet.
///
/// It exists for options that must be set first: buffer sizes, the backlog, sharing a port, the
/// local address of an outgoing connection. [`TcpListener::bind`] and
/// [`TcpStream::connect`](super::TcpStream::connect) cover the usual case in one step.
///
/// # Examples
///
/// ```
/// use wakeful_net::TcpSocket;
///
/// wakeful::block_on(async {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuseaddr(true)?;
///     socket.set_recv_buffer_size(64 * 1024)?; // before listen: connections inherit it
///     socket.bind("127.0.0.1:0".parse().unwrap())?;
///     let listener = socket.listen(1024)?;
///
///     let socket = TcpSocket::new_v4()?;
///     socket.bind("127.0.0.2:0".parse().unwrap())?;
///     let stream = socket.connect(listener.local_addr()?).await?;
///     assert_eq!(stream.local_addr()?.ip().to_string(), "127.0.0.2");
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Debug)]
pub struct TcpSocket {
    socket: Descriptor,
}

impl TcpSocket {
    /// Creates an IPv4 socket, non-blocking and close-on-exec.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM.
    pub fn new_v4() -> io::Result<Self> {
        Ok(Self {
            socket: new_socket(Domain::IPV4, Family::Tcp)?,
        })
    }

    /// Creates an IPv6 socket, non-blocking and close-on-exec.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOBUFS, ENOMEM; EAFNOSUPPORT where IPv6 is off.
    pub fn new_v6() -> io::Result<Self> {
        Ok(Self {
            socket: new_socket(Domain::IPV6, Family::Tcp)?,
        })
    }

    /// Converts a socket of the standard library, connected or not, and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when its descriptor is a socket of another type or family; or when it cannot be made
    /// non-blocking. It is closed then.
    pub fn from_std_stream(stream: std::net::TcpStream) -> io::Result<Self> {
        check_foreign(stream.as_fd(), Family::Tcp)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            socket: OwnedFd::from(stream).into(),
        })
    }

    /// Allows [`bind`](Self::bind) to an address with old connections in TIME_WAIT
    /// (`SO_REUSEADDR`); off by default here, on in [`TcpListener::bind`].
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_reuseaddr(&self, reuse: bool) -> io::Result<()> {
        self.socket.options().set_reuse_address(reuse)
    }

    /// Returns what [`set_reuseaddr`](Self::set_reuseaddr) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        self.socket.options().reuse_address()
    }

    /// Allows several sockets of one user to listen on one address (`SO_REUSEPORT`). The kernel
    /// distributes connections among them, so that one runtime per thread can share a port.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_reuseport(&self, reuse: bool) -> io::Result<()> {
        self.socket.options().set_reuse_port(reuse)
    }

    /// Returns what [`set_reuseport`](Self::set_reuseport) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn reuseport(&self) -> io::Result<bool> {
        self.socket.options().reuse_port()
    }

    /// Requests a size for the kernel's buffer of outgoing bytes (`SO_SNDBUF`).
    ///
    /// # Units
    ///
    /// Bytes. Linux doubles the size for its own bookkeeping, and limits it to `net.core.wmem_max`.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_send_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket
            .options()
            .set_send_buffer_size(kernel_size(bytes))
    }

    /// Returns the size of the kernel's buffer of outgoing bytes, doubled as described above.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        Ok(u32::try_from(self.socket.options().send_buffer_size()?).unwrap_or(u32::MAX))
    }

    /// Requests a size for the kernel's buffer of incoming bytes (`SO_RCVBUF`).
    ///
    /// # Units
    ///
    /// Bytes. Linux doubles the size for its own bookkeeping, and limits it to `net.core.rmem_max`.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_recv_buffer_size(&self, bytes: u32) -> io::Result<()> {
        self.socket
            .options()
            .set_recv_buffer_size(kernel_size(bytes))
    }

    /// Returns the size of the kernel's buffer of incoming bytes, doubled as described above.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        Ok(u32::try_from(self.socket.options().recv_buffer_size()?).unwrap_or(u32::MAX))
    }

    /// As [`TcpStream::set_keepalive`](super::TcpStream::set_keepalive).
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_keepalive(&self, keepalive: bool) -> io::Result<()> {
        self.socket.options().set_keepalive(keepalive)
    }

    /// Returns what [`set_keepalive`](Self::set_keepalive) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn keepalive(&self) -> io::Result<bool> {
        self.socket.options().keepalive()
    }

    /// As [`TcpStream::set_linger`](super::TcpStream::set_linger), with its warning.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.socket.options().set_linger(kernel_linger(linger))
    }

    /// As [`TcpStream::set_zero_linger`](super::TcpStream::set_zero_linger).
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_zero_linger(&self) -> io::Result<()> {
        self.set_linger(Some(Duration::ZERO))
    }

    /// Returns what [`set_linger`](Self::set_linger) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        self.socket.options().linger()
    }

    /// As [`TcpStream::set_nodelay`](super::TcpStream::set_nodelay); accepted connections inherit
    /// it.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.options().set_tcp_nodelay(nodelay)
    }

    /// Returns what [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.options().tcp_nodelay()
    }

    /// Sets the type of service of IPv4 packets (`IP_TOS`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255; EOPNOTSUPP on a socket for IPv6 only.
    ///
    /// See ip(7).
    pub fn set_tos_v4(&self, tos: u32) -> io::Result<()> {
        let set = || self.socket.options().set_tos_v4(tos);
        set_in_range("set IP_TOS to", tos, 0..=255, set)
    }

    /// Returns what [`set_tos_v4`](Self::set_tos_v4) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn tos_v4(&self) -> io::Result<u32> {
        self.socket.options().tos_v4()
    }

    /// Sets the traffic class of IPv6 packets (`IPV6_TCLASS`).
    ///
    /// # Errors
    ///
    /// `InvalidInput` above 255; ENOPROTOOPT on a socket for IPv4.
    ///
    /// See ipv6(7).
    pub fn set_tclass_v6(&self, class: u32) -> io::Result<()> {
        let set = || self.socket.options().set_tclass_v6(class);
        set_in_range("set IPV6_TCLASS to", class, 0..=255, set)
    }

    /// Returns what [`set_tclass_v6`](Self::set_tclass_v6) set.
    ///
    /// # Errors
    ///
    /// As getsockopt(2): ENOPROTOOPT on a socket for IPv4.
    pub fn tclass_v6(&self) -> io::Result<u32> {
        self.socket.options().tclass_v6()
    }

    /// Returns the address that the socket is bound to.
    ///
    /// # Errors
    ///
    /// As getsockname(2): none in practice.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        SocketAddr::from_kernel(Some(&sys::local_addr(self.socket.as_fd())?))
    }

    /// Reads and clears the socket's pending error (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// As getsockopt(2): none in practice.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        sys::take_error(self.socket.as_fd())
    }

    /// Binds the socket to a local address; port 0 selects a free port.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`], and `InvalidInput` when it is bound already.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        sys::bind(self.socket.as_fd(), &address.into()).map_err(|err| {
            let err = explain_family("bind", self.socket.as_fd(), &address.into(), err);
            with_context("bind", address, err)
        })
    }

    /// Connects to an address.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`](super::TcpStream::connect). The socket is closed then.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes the socket.
    #[track_caller]
    pub fn connect(self, address: SocketAddr) -> Connect {
        Connect::with_socket(self.socket, address)
    }

    /// Listens for connections. The kernel queues up to `backlog` of them until they are accepted.
    ///
    /// The backlog does not limit the number of clients: the kernel drops requests beyond it, and
    /// clients repeat them. Linux caps it at `net.core.somaxconn`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` when another socket listens there; or when it cannot be registered with epoll.
    /// The socket is closed then.
    ///
    /// # Panics
    ///
    /// When called outside a runtime.
    #[track_caller]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let listening = sys::listen(self.socket.as_fd(), backlog);
        if let Err(err) = listening {
            return Err(match self.local_addr() {
                Ok(address) => with_context("listen", address, err),
                Err(_unknown) => with_context("listen", "(unknown address)", err),
            });
        }
        let io = register(self.socket, Family::Tcp)?;
        // User code could duplicate the descriptor through `as_fd`.
        io.mark_duplicated();
        Ok(TcpListener::from_io(io))
    }
}

/// Limits a size to the range of a C `int`, because the kernel reads larger ones as negative.
fn kernel_size(bytes: u32) -> usize {
    bytes.min(i32::MAX as u32) as usize
}

impl_fd_traits!(plain TcpSocket);
