//! Waiting without transferring: the futures of `readable`, `writable` and `ready`, for streams and
//! datagram sockets.
//!
//! They leave the readiness as it is. The `try_` operation that follows clears it when the kernel
//! returns `EAGAIN`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{Interest, Readiness, Ready};

use crate::socket::{Family, Io, Socket};

/// The future of `readable`, as of [`TcpStream::readable`](crate::TcpStream::readable).
pub type Readable<'a> = DirectionReady<'a>;

/// The future of `writable`, as of [`TcpStream::writable`](crate::TcpStream::writable).
pub type Writable<'a> = DirectionReady<'a>;

/// The future of `readable` and `writable`.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct DirectionReady<'a> {
    readiness: Readiness<'a, Socket>,
}

impl Future for DirectionReady<'_> {
    type Output = io::Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let readiness = Pin::new(&mut self.readiness);
        readiness.poll(cx).map_ok(|_guard| ())
    }
}

/// The future of `ready`, as of [`TcpStream::ready`](crate::TcpStream::ready).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct ReadyFuture<'a> {
    readiness: Readiness<'a, Socket>,
}

impl Future for ReadyFuture<'_> {
    type Output = io::Result<Ready>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let readiness = Pin::new(&mut self.readiness);
        readiness.poll(cx).map_ok(|guard| guard.ready())
    }
}

/// Selects the public name of a method that all kinds of sockets have.
macro_rules! method_name {
    ($io:expr, $method:literal) => {
        match $io.get_ref().family() {
            Family::Tcp => concat!("TcpStream::", $method),
            Family::Unix => concat!("UnixStream::", $method),
            Family::Udp => concat!("UdpSocket::", $method),
            Family::UnixDatagram => concat!("UnixDatagram::", $method),
        }
    };
}

/// Waits until a read would not block.
#[track_caller]
pub(crate) fn readable(io: &Io) -> Readable<'_> {
    let readiness = io.ready(Interest::READABLE);
    DirectionReady {
        readiness: readiness.operation(method_name!(io, "readable")),
    }
}

/// Waits until a write would not block.
#[track_caller]
pub(crate) fn writable(io: &Io) -> Writable<'_> {
    let readiness = io.ready(Interest::WRITABLE);
    DirectionReady {
        readiness: readiness.operation(method_name!(io, "writable")),
    }
}

/// Waits for any readiness in `interest`.
#[track_caller]
pub(crate) fn ready(io: &Io, interest: Interest) -> ReadyFuture<'_> {
    let readiness = io.ready(interest);
    ReadyFuture {
        readiness: readiness.operation(method_name!(io, "ready")),
    }
}

/// Polls for readiness in one direction, on behalf of the operation `name`.
#[track_caller]
pub(crate) fn poll_ready(
    io: &Io,
    interest: Interest,
    name: &'static str,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let mut readiness = io.ready(interest).operation(name).by_waker();
    Pin::new(&mut readiness).poll(cx).map_ok(|_guard| ())
}
