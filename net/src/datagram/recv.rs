//! Receiving: the futures of `recv`, `recv_from`, `peek` and `peek_from`.
//!
//! A datagram is taken only in the poll that returns it, so dropping one of these futures loses
//! none. Bytes that do not fit into the buffer are lost; see recv(2).

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use super::{poll_receive, try_receive};
use crate::address::Address;
use crate::socket::{Io, Mode, Socket};

/// The future of `recv` and `peek`, as of [`UdpSocket::recv`](crate::UdpSocket::recv).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Recv<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
    mode: Mode,
}

impl<'a> Recv<'a> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8], mode: Mode) -> Self {
        let socket = io.get_ref();
        let name = match mode {
            Mode::Take => socket.name("UdpSocket::recv", "UnixDatagram::recv"),
            Mode::Peek => socket.name("UdpSocket::peek", "UnixDatagram::peek"),
        };
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
            mode,
        }
    }
}

impl Future for Recv<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        poll_receive(&mut this.readiness, cx, |socket| {
            socket.recv_datagram(this.buf, this.mode)
        })
    }
}

/// Polls for one datagram.
#[track_caller]
pub(crate) fn poll_recv(
    io: &Io,
    cx: &mut Context<'_>,
    buf: &mut [u8],
    mode: Mode,
) -> Poll<io::Result<usize>> {
    let socket = io.get_ref();
    let name = match mode {
        Mode::Take => socket.name("UdpSocket::poll_recv", "UnixDatagram::poll_recv"),
        Mode::Peek => socket.name("UdpSocket::poll_peek", "UnixDatagram::poll_peek"),
    };
    let mut readiness = io.ready(Interest::READABLE).operation(name).by_waker();
    poll_receive(&mut readiness, cx, |socket| socket.recv_datagram(buf, mode))
}

/// Receives a datagram if one is available.
#[track_caller]
pub(crate) fn try_recv(io: &Io, buf: &mut [u8], mode: Mode) -> io::Result<usize> {
    try_receive(io, |socket| socket.recv_datagram(buf, mode))
}

/// The future of `recv_from` and `peek_from`, as of
/// [`UdpSocket::recv_from`](crate::UdpSocket::recv_from).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvFrom<'a, A> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
    mode: Mode,
    address: PhantomData<fn() -> A>,
}

impl<'a, A> RecvFrom<'a, A> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8], mode: Mode) -> Self {
        let socket = io.get_ref();
        let name = match mode {
            Mode::Take => socket.name("UdpSocket::recv_from", "UnixDatagram::recv_from"),
            Mode::Peek => socket.name("UdpSocket::peek_from", "UnixDatagram::peek_from"),
        };
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
            mode,
            address: PhantomData,
        }
    }

    /// Sets another name for the operation.
    pub(crate) fn operation(mut self, name: &'static str) -> Self {
        self.readiness = self.readiness.operation(name);
        self
    }
}

impl<A: Address> Future for RecvFrom<'_, A> {
    type Output = io::Result<(usize, A)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let received = poll_receive(&mut this.readiness, cx, |socket| {
            receive_from(socket, this.buf, this.mode)
        });
        received.map(convert)
    }
}

impl<A> fmt::Debug for RecvFrom<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFrom")
            .field("readiness", &self.readiness)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Polls for one datagram and its sender.
#[track_caller]
pub(crate) fn poll_recv_from<A: Address>(
    io: &Io,
    cx: &mut Context<'_>,
    buf: &mut [u8],
    mode: Mode,
) -> Poll<io::Result<(usize, A)>> {
    let socket = io.get_ref();
    let name = match mode {
        Mode::Take => socket.name("UdpSocket::poll_recv_from", "UnixDatagram::poll_recv_from"),
        Mode::Peek => socket.name("UdpSocket::poll_peek_from", "UnixDatagram::poll_peek_from"),
    };
    let mut readiness = io.ready(Interest::READABLE).operation(name).by_waker();
    let received = poll_receive(&mut readiness, cx, |socket| receive_from(socket, buf, mode));
    received.map(convert)
}

/// Receives a datagram and its sender if one is available.
#[track_caller]
pub(crate) fn try_recv_from<A: Address>(
    io: &Io,
    buf: &mut [u8],
    mode: Mode,
) -> io::Result<(usize, A)> {
    convert(try_receive(io, |socket| receive_from(socket, buf, mode)))
}

/// Length and sender of a datagram; without a sender if the receiving direction was shut down.
type Received = (usize, Option<SockAddr>);

fn receive_from(socket: &Socket, buf: &mut [u8], mode: Mode) -> io::Result<Received> {
    let (bytes, sender) = socket.recv_from(buf, mode)?;
    Ok((bytes, Some(sender)))
}

fn convert<A: Address>(received: io::Result<Received>) -> io::Result<(usize, A)> {
    let (bytes, sender) = received?;
    Ok((bytes, A::from_kernel(sender.as_ref())?))
}
