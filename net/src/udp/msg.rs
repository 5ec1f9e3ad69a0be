//! `UdpSocket::recv_msg` and `send_msg`: datagrams with the local address that they are for.
//!
//! A socket that is bound to a wildcard address has several local addresses. The kernel selects one by
//! the route to the target, and a client that is connected to another one drops the answer. A server
//! answers from the address that was asked by passing what `recv_msg` returns to `send_msg`.
//!
//! Sources: ip(7) (`IP_PKTINFO`), ipv6(7) and RFC 3542 (`IPV6_PKTINFO`).

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use super::UdpSocket;
use crate::address::Address;
use crate::datagram::{poll_receive, try_receive};
use crate::socket::Socket;
use crate::sys;

/// What [`UdpSocket::recv_msg`] returns about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta {
    /// Number of bytes in the buffer.
    pub len: usize,
    /// The sender.
    pub peer: SocketAddr,
    /// The address of this machine to which the datagram was sent. For a broadcast or an IPv4 multicast
    /// the address of the interface. `None` without
    /// [`set_recv_local_addr`](UdpSocket::set_recv_local_addr), and for an IPv6 multicast.
    pub local_ip: Option<IpAddr>,
    /// Whether the datagram was longer than the buffer.
    pub truncated: bool,
}

impl UdpSocket {
    /// Sets whether [`recv_msg`](Self::recv_msg) returns the local address (`IP_PKTINFO`,
    /// `IPV6_RECVPKTINFO`); off by default.
    ///
    /// Datagrams that arrived before are returned without it.
    ///
    /// # Errors
    ///
    /// As setsockopt(2): none in practice.
    pub fn set_recv_local_addr(&self, on: bool) -> io::Result<()> {
        let is_ipv4 = self.local_addr()?.is_ipv4();
        sys::set_recv_local_addr(self.io().get_ref().as_fd(), is_ipv4, on)
    }

    /// Receives a datagram, its sender and its local address.
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A datagram is taken only in the poll that returns it.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful_net::UdpSocket;
    ///
    /// # wakeful::block_on(async {
    /// let server = UdpSocket::bind("0.0.0.0:0").await?;
    /// server.set_recv_local_addr(true)?;
    /// # let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// # client.connect(("127.0.0.2", server.local_addr()?.port())).await?;
    /// # client.send(b"hello").await?;
    /// let mut buf = [0; 2048];
    /// let meta = server.recv_msg(&mut buf).await?;
    /// server.send_msg(&buf[..meta.len], meta.peer, meta.local_ip).await?;
    /// # assert_eq!(client.recv(&mut buf).await?, 5);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn recv_msg<'a>(&'a self, buf: &'a mut [u8]) -> RecvMsg<'a> {
        let readiness = self.io().ready(Interest::READABLE);
        RecvMsg {
            readiness: readiness.operation("UdpSocket::recv_msg"),
            buf,
        }
    }

    /// Sends a datagram to an address from the given local one, or from the one that the kernel selects.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to); `InvalidInput` or `AddrNotAvailable` when `local_ip` is not an
    /// address of this machine.
    ///
    /// # Panics
    ///
    /// See [`UdpSocket`].
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has sent nothing.
    #[track_caller]
    pub fn send_msg<'a>(
        &'a self,
        buf: &'a [u8],
        target: SocketAddr,
        local_ip: Option<IpAddr>,
    ) -> SendMsg<'a> {
        let readiness = self.io().ready(Interest::WRITABLE);
        SendMsg {
            readiness: readiness.operation("UdpSocket::send_msg"),
            buf,
            target,
            local_ip,
        }
    }

    /// As [`recv_msg`](Self::recv_msg), without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn try_recv_msg(&self, buf: &mut [u8]) -> io::Result<RecvMeta> {
        convert(try_receive(self.io(), |socket| receive(socket, buf)))
    }

    /// As [`send_msg`](Self::send_msg), without waiting.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when the kernel is not known to have room; otherwise as
    /// [`send_msg`](Self::send_msg).
    #[track_caller]
    pub fn try_send_msg(
        &self,
        buf: &[u8],
        target: SocketAddr,
        local_ip: Option<IpAddr>,
    ) -> io::Result<usize> {
        self.io().try_io(Interest::WRITABLE, |socket| {
            send(socket, buf, target, local_ip)
        })
    }
}

/// The future of [`UdpSocket::recv_msg`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvMsg<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
}

impl Future for RecvMsg<'_> {
    type Output = io::Result<RecvMeta>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let received = poll_receive(&mut this.readiness, cx, |socket| receive(socket, this.buf));
        received.map(convert)
    }
}

/// The future of [`UdpSocket::send_msg`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendMsg<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    target: SocketAddr,
    local_ip: Option<IpAddr>,
}

impl Future for SendMsg<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (buf, target, local_ip) = (this.buf, this.target, this.local_ip);
        this.readiness
            .poll_io(cx, |socket| send(socket, buf, target, local_ip))
    }
}

fn send(
    socket: &Socket,
    buf: &[u8],
    target: SocketAddr,
    local_ip: Option<IpAddr>,
) -> io::Result<usize> {
    sys::send_msg(socket.as_fd(), buf, &SockAddr::from(target), local_ip)
}

/// `None` in place of a datagram if the receiving direction was shut down.
fn receive(socket: &Socket, buf: &mut [u8]) -> io::Result<Option<sys::Received>> {
    sys::recv_msg(socket.as_fd(), buf).map(Some)
}

fn convert(received: io::Result<Option<sys::Received>>) -> io::Result<RecvMeta> {
    let received = received?;
    let peer = SocketAddr::from_kernel(received.as_ref().map(|received| &received.peer))?;
    Ok(RecvMeta {
        len: received.as_ref().map_or(0, |received| received.bytes),
        peer,
        local_ip: received.as_ref().and_then(|received| received.local_ip),
        truncated: received.is_some_and(|received| received.truncated),
    })
}
