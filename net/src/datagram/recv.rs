//! Receiving: the futures of `recv`, `recv_from`, `peek` and `peek_from`.
//!
//! Started by the sockets; each calls `poll_io` with one receive. A datagram is taken only in the
//! poll that returns it, so dropping one of these futures loses none. What does not fit into the
//! buffer is lost, as recv(2) has it.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{Interest, Readiness};

use super::{Io, Mode, Socket, poll_io, poll_io_once, try_io};
use crate::address::RawAddress;

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
        poll_io(&mut this.readiness, cx, |socket| {
            socket.recv(this.buf, this.mode)
        })
    }
}

/// Polls for one datagram, without a future to keep.
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
    poll_io_once(io, Interest::READABLE, name, cx, |socket| {
        socket.recv(buf, mode)
    })
}

/// Receives a datagram that is there now.
pub(crate) fn try_recv(io: &Io, buf: &mut [u8], mode: Mode) -> io::Result<usize> {
    try_io(io, Interest::READABLE, |socket| socket.recv(buf, mode))
}

/// How an address of the kernel becomes one of the socket's family.
pub(crate) type Convert<A> = fn(RawAddress) -> io::Result<A>;

/// The future of `recv_from` and `peek_from`, as of
/// [`UdpSocket::recv_from`](crate::UdpSocket::recv_from).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvFrom<'a, A> {
    readiness: Readiness<'a, Socket>,
    buf: &'a mut [u8],
    mode: Mode,
    convert: Convert<A>,
}

impl<'a, A> RecvFrom<'a, A> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, buf: &'a mut [u8], mode: Mode, convert: Convert<A>) -> Self {
        let socket = io.get_ref();
        let name = match mode {
            Mode::Take => socket.name("UdpSocket::recv_from", "UnixDatagram::recv_from"),
            Mode::Peek => socket.name("UdpSocket::peek_from", "UnixDatagram::peek_from"),
        };
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            buf,
            mode,
            convert,
        }
    }

    /// Names the operation otherwise.
    pub(crate) fn operation(mut self, name: &'static str) -> Self {
        self.readiness = self.readiness.operation(name);
        self
    }
}

impl<A> Future for RecvFrom<'_, A> {
    type Output = io::Result<(usize, A)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let received = poll_io(&mut this.readiness, cx, |socket| {
            socket.recv_from(this.buf, this.mode)
        });
        received.map(|received| with_address(received, this.convert))
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

/// Polls for one datagram and its sender, without a future to keep.
#[track_caller]
pub(crate) fn poll_recv_from<A>(
    io: &Io,
    cx: &mut Context<'_>,
    buf: &mut [u8],
    mode: Mode,
    convert: Convert<A>,
) -> Poll<io::Result<(usize, A)>> {
    let socket = io.get_ref();
    let name = match mode {
        Mode::Take => socket.name("UdpSocket::poll_recv_from", "UnixDatagram::poll_recv_from"),
        Mode::Peek => socket.name("UdpSocket::poll_peek_from", "UnixDatagram::poll_peek_from"),
    };
    poll_io_once(io, Interest::READABLE, name, cx, |socket| {
        socket.recv_from(buf, mode)
    })
    .map(|received| with_address(received, convert))
}

/// Receives a datagram that is there now, and its sender.
pub(crate) fn try_recv_from<A>(
    io: &Io,
    buf: &mut [u8],
    mode: Mode,
    convert: Convert<A>,
) -> io::Result<(usize, A)> {
    let received = try_io(io, Interest::READABLE, |socket| socket.recv_from(buf, mode));
    with_address(received, convert)
}

fn with_address<A>(
    received: io::Result<(usize, RawAddress)>,
    convert: Convert<A>,
) -> io::Result<(usize, A)> {
    let (bytes, address) = received?;
    Ok((bytes, convert(address)?))
}
