//! `UdpSocket::recv_msg` and `send_msg`: datagrams with the local address that they are for.
//!
//! A socket that is bound to a wildcard address has several local addresses. The kernel selects one by
//! the route to the target, and a client that is connected to another one drops the answer. A server
//! answers from the address that was asked by passing what `recv_msg` returns to `send_msg`. The same
//! calls move several datagrams at once; see `segments`.
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
use wakeful::trace::Operation;

use super::UdpSocket;
use crate::address::{Address, unexpected};
use crate::datagram::{poll_receive, try_receive};
use crate::record::recorded;
use crate::socket::Socket;
use crate::sys::message;

/// What [`UdpSocket::recv_msg`] returns about a datagram, or about several that the kernel has merged
/// ([`set_gro`](UdpSocket::set_gro)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecvMeta {
    /// Number of bytes in the buffer.
    pub len: usize,
    /// Length of each datagram in the buffer, of which the last one can be shorter; `len` for a single
    /// one. See [`segments`](Self::segments).
    pub stride: usize,
    /// The sender.
    pub peer: SocketAddr,
    /// The address of this machine to which the datagram was sent. For a broadcast or an IPv4 multicast
    /// the address of the interface. `None` without
    /// [`set_recv_local_addr`](UdpSocket::set_recv_local_addr), and for an IPv6 multicast.
    pub local_ip: Option<IpAddr>,
    /// Whether the datagram was longer than the buffer, or all merged datagrams together. What did not
    /// fit is lost: the end of the last datagram in the buffer, and the datagrams after it.
    pub truncated: bool,
}

impl RecvMeta {
    /// Returns each datagram in the buffer that was passed to the receive, in the order of arrival.
    ///
    /// At least one: an empty datagram is one slice of no bytes.
    ///
    /// # Panics
    ///
    /// When `buf` is shorter than [`len`](Self::len).
    ///
    /// # Examples
    ///
    /// See [`UdpSocket::set_gro`].
    pub fn segments<'a>(&self, buf: &'a [u8]) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let buf = &buf[..self.len];
        let stride = self.stride.max(1);
        // A single datagram needs no division.
        let single = buf.len() <= stride;
        let count = if single {
            1
        } else {
            buf.len().div_ceil(stride)
        };
        (0..count).map(move |n| &buf[n * stride..buf.len().min((n + 1) * stride)])
    }
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
        message::set_recv_local_addr(self.io().get_ref().as_fd(), is_ipv4, on)
    }

    /// Receives a datagram, its sender and its local address; several datagrams after
    /// [`set_gro`](Self::set_gro).
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
            outgoing: Outgoing {
                buf,
                target,
                local_ip,
                segment_size: None,
            },
        }
    }

    /// As [`recv_msg`](Self::recv_msg), without waiting.
    ///
    /// # Errors
    ///
    /// As [`try_recv`](Self::try_recv).
    #[track_caller]
    pub fn try_recv_msg(&self, buf: &mut [u8]) -> io::Result<RecvMeta> {
        received(try_receive(self.io(), |socket| receive(socket, buf)))
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
        let outgoing = Outgoing {
            buf,
            target,
            local_ip,
            segment_size: None,
        };
        outgoing.try_send(self)
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
        let meta = poll_receive(&mut this.readiness, cx, |socket| receive(socket, this.buf));
        meta.map(received)
    }
}

/// The future of [`UdpSocket::send_msg`] and [`UdpSocket::send_segments`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendMsg<'a> {
    pub(super) readiness: Readiness<'a, Socket>,
    pub(super) outgoing: Outgoing<'a>,
}

impl Future for SendMsg<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let outgoing = this.outgoing;
        this.readiness.poll_io(cx, |socket| outgoing.send(socket))
    }
}

/// Arguments of a send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing<'a> {
    pub(super) buf: &'a [u8],
    pub(super) target: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) segment_size: Option<usize>,
}

impl Outgoing<'_> {
    fn send(self, socket: &Socket) -> io::Result<usize> {
        let fd = socket.as_fd();
        let segment_size = self.kernel_segment_size(fd)?;
        let target = SockAddr::from(self.target);
        let sent = message::send_msg(fd, self.buf, &target, self.local_ip, segment_size);
        let sent = recorded(socket, Operation::Send, sent, |sent| *sent);
        sent.map_err(|error| {
            let error = self.explain(segment_size, error);
            socket.explain_send(self.buf.len(), Some(&target), error)
        })
    }

    #[track_caller]
    pub(super) fn try_send(self, socket: &UdpSocket) -> io::Result<usize> {
        socket
            .io()
            .try_io(Interest::WRITABLE, |socket| self.send(socket))
    }
}

/// `None` in place of a datagram if the receiving direction was shut down. Converted here, because the
/// kernel's form of an address is long.
fn receive(socket: &Socket, buf: &mut [u8]) -> io::Result<Option<RecvMeta>> {
    let received = message::recv_msg(socket.as_fd(), buf);
    let received = recorded(socket, Operation::Receive, received, |received| {
        received.bytes
    })?;
    Ok(Some(RecvMeta {
        len: received.bytes,
        stride: received.info.segment_size.unwrap_or(received.bytes),
        peer: SocketAddr::from_kernel(Some(&received.peer))?,
        local_ip: received.info.local_ip,
        truncated: received.truncated,
    }))
}

/// Returns the error of a socket whose receiving direction was shut down in place of `None`.
fn received(meta: io::Result<Option<RecvMeta>>) -> io::Result<RecvMeta> {
    meta?.ok_or_else(|| unexpected("no sender, because receiving was shut down"))
}
