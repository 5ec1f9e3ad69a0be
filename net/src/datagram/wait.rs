//! Waiting without transferring: the futures of `readable`, `writable` and `ready`.
//!
//! They leave the readiness as it is; the `try_` operation that follows drops it when the kernel
//! has no more to give or take.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use wakeful::io::{Interest, Readiness, Ready};

use super::{Io, Socket};

/// The future of `readable` and `writable`, as of
/// [`UdpSocket::readable`](crate::UdpSocket::readable).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Wait<'a> {
    readiness: Readiness<'a, Socket>,
}

impl<'a> Wait<'a> {
    #[track_caller]
    pub(crate) fn readable(io: &'a Io) -> Self {
        let socket = io.get_ref();
        let name = socket.name("UdpSocket::readable", "UnixDatagram::readable");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
        }
    }

    #[track_caller]
    pub(crate) fn writable(io: &'a Io) -> Self {
        let socket = io.get_ref();
        let name = socket.name("UdpSocket::writable", "UnixDatagram::writable");
        Self {
            readiness: io.ready(Interest::WRITABLE).operation(name),
        }
    }
}

impl Future for Wait<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let readiness = Pin::new(&mut self.get_mut().readiness);
        readiness.poll(cx).map_ok(|_guard| ())
    }
}

/// The future of `ready`, as of [`UdpSocket::ready`](crate::UdpSocket::ready).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct WaitReady<'a> {
    readiness: Readiness<'a, Socket>,
}

impl<'a> WaitReady<'a> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io, interest: Interest) -> Self {
        let name = io.get_ref().name("UdpSocket::ready", "UnixDatagram::ready");
        Self {
            readiness: io.ready(interest).operation(name),
        }
    }
}

impl Future for WaitReady<'_> {
    type Output = io::Result<Ready>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let readiness = Pin::new(&mut self.get_mut().readiness);
        readiness.poll(cx).map_ok(|guard| guard.ready())
    }
}

/// Polls for readiness in one direction for callers that hold no future.
#[track_caller]
pub(crate) fn poll_ready(
    io: &Io,
    interest: Interest,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let socket = io.get_ref();
    let name = if interest == Interest::READABLE {
        socket.name(
            "UdpSocket::poll_recv_ready",
            "UnixDatagram::poll_recv_ready",
        )
    } else {
        socket.name(
            "UdpSocket::poll_send_ready",
            "UnixDatagram::poll_send_ready",
        )
    };
    let mut readiness = io.ready(interest).operation(name).by_waker();
    Pin::new(&mut readiness).poll(cx).map_ok(|_guard| ())
}
