//! Sending to the peer that the socket is connected to: the future of `send`.
//!
//! The futures that send to an address are in `udp` (after a lookup of the name) and in `unix`
//! (where no event reports that a receiver has room again).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use crate::socket::{Io, Socket};

/// The future of `send`, as of [`UdpSocket::send`](crate::UdpSocket::send).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Send<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
}

impl<'a> Send<'a> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a [u8]) -> Self {
        let name = io.get_ref().name("UdpSocket::send", "UnixDatagram::send");
        Self {
            readiness: io.ready(Interest::WRITABLE).operation(name),
            buf,
        }
    }
}

impl Future for Send<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let buf = this.buf;
        this.readiness
            .poll_io(cx, |socket| socket.send_datagram(buf))
    }
}

/// Polls for room and sends one datagram.
#[track_caller]
pub(crate) fn poll_send(io: &Io, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    let socket = io.get_ref();
    let name = socket.name("UdpSocket::poll_send", "UnixDatagram::poll_send");
    let mut readiness = io.ready(Interest::WRITABLE).operation(name).by_waker();
    readiness.poll_io(cx, |socket| socket.send_datagram(buf))
}

/// Sends a datagram if the kernel accepts one now.
#[track_caller]
pub(crate) fn try_send(io: &Io, buf: &[u8]) -> io::Result<usize> {
    io.try_io(Interest::WRITABLE, |socket| socket.send_datagram(buf))
}

/// Polls for room and sends one datagram to an address.
#[track_caller]
pub(crate) fn poll_send_to(
    io: &Io,
    cx: &mut Context<'_>,
    buf: &[u8],
    target: &SockAddr,
) -> Poll<io::Result<usize>> {
    let socket = io.get_ref();
    let name = socket.name("UdpSocket::poll_send_to", "UnixDatagram::poll_send_to");
    let mut readiness = io.ready(Interest::WRITABLE).operation(name).by_waker();
    readiness.poll_io(cx, |socket| socket.send_to(buf, target))
}

/// Sends a datagram to an address if the kernel accepts one now.
#[track_caller]
pub(crate) fn try_send_to(io: &Io, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
    io.try_io(Interest::WRITABLE, |socket| socket.send_to(buf, target))
}
