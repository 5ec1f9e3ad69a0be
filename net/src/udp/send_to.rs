//! `UdpSocket::send_to` and its future: look up where to, then wait for room and send.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use super::UdpSocket;
use super::bind::no_address;
use crate::datagram::{Socket, poll_io};
use crate::lookup::{LookupHost, ToSocketAddrs, lookup_host};

/// The future of [`UdpSocket::send_to`].
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendTo<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    target: Target,
}

/// Where the datagram goes.
enum Target {
    Asked(LookupHost),
    Known(SockAddr),
}

impl<'a> SendTo<'a> {
    #[track_caller]
    pub(super) fn new(socket: &'a UdpSocket, buf: &'a [u8], target: impl ToSocketAddrs) -> Self {
        let readiness = socket.io().ready(Interest::WRITABLE);
        Self {
            readiness: readiness.operation("UdpSocket::send_to"),
            buf,
            target: Target::Asked(lookup_host(target)),
        }
    }
}

impl Future for SendTo<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.target {
                Target::Known(target) => {
                    return poll_io(&mut this.readiness, cx, |socket| {
                        socket.send_to(this.buf, target)
                    });
                }
                Target::Asked(lookup) => {
                    let mut addresses = ready!(Pin::new(lookup).poll(cx))?;
                    // Only the first, as tokio: whether one of them answers nobody can tell.
                    let Some(first) = addresses.next() else {
                        return Poll::Ready(Err(no_address("send to")));
                    };
                    this.target = Target::Known(first.into());
                }
            }
        }
    }
}

impl std::fmt::Debug for SendTo<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SendTo")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
