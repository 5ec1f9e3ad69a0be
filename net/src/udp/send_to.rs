//! `UdpSocket::send_to` and its future, which looks a name up, waits for room and sends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use super::UdpSocket;
use crate::error::no_address;
use crate::lookup::{LookupHost, ToSocketAddrs, lookup_host};
use crate::socket::Socket;

/// The future of [`UdpSocket::send_to`].
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendTo<'a> {
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    target: Target,
}

/// Destination of the datagram.
enum Target {
    Lookup(LookupHost),
    Known(SockAddr),
}

impl<'a> SendTo<'a> {
    #[track_caller]
    pub(super) fn new(socket: &'a UdpSocket, buf: &'a [u8], target: impl ToSocketAddrs) -> Self {
        let readiness = socket.io().ready(Interest::WRITABLE);
        Self {
            readiness: readiness.operation("UdpSocket::send_to"),
            buf,
            target: Target::Lookup(lookup_host(target)),
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
                    let (readiness, buf) = (&mut this.readiness, this.buf);
                    return readiness.poll_io(cx, |socket| socket.send_to(buf, target));
                }
                Target::Lookup(lookup) => {
                    let mut addresses = ready!(lookup.poll_for_operation(cx))?;
                    // Only the first, as in tokio, because nothing reports whether it is the right
                    // one.
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
