//! The future of `UnixDatagram::send_to`.
//!
//! `EAGAIN` has two meanings here. This socket's own buffer is full: epoll tells when it no longer
//! is. Or the receiver's queue is full: epoll tells that only to a socket that is connected to the
//! receiver. sendto(2) does not say which, so the future waits for the event *and* for a timer.
//!
//! Source: unix(7).

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};
use wakeful::time::{Sleep, sleep};

use crate::datagram::{Io, Socket, poll_send_to};

/// The first pause before the receiver is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause; they double until then.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The future of [`UnixDatagram::send_to`](super::UnixDatagram::send_to).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendTo<'a> {
    io: &'a Io,
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    /// Where to; or why there is no such address, until it is told.
    target: Result<SockAddr, Option<io::Error>>,
    /// Runs from the first `EAGAIN` on.
    timer: Option<Pin<Box<Sleep>>>,
    /// How long it runs the next time.
    pause: Duration,
}

impl<'a> SendTo<'a> {
    #[track_caller]
    pub(super) fn new(io: &'a Io, buf: &'a [u8], target: io::Result<SockAddr>) -> Self {
        Self {
            io,
            readiness: io.ready(Interest::WRITABLE).during("UnixDatagram::send_to"),
            buf,
            target: target.map_err(Some),
            timer: None,
            pause: FIRST_PAUSE,
        }
    }
}

impl Future for SendTo<'_> {
    type Output = io::Result<usize>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let target = match &mut this.target {
            Ok(target) => &*target,
            Err(err) => {
                let err = err.take().expect("not polled after it has completed");
                return Poll::Ready(Err(err));
            }
        };
        loop {
            if let Some(timer) = &mut this.timer
                && timer.as_mut().poll(cx).is_ready()
            {
                this.timer = None;
                this.pause = (this.pause * 2).min(LONGEST_PAUSE);
                match this.io.get_ref().send_to(this.buf, target) {
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            }
            // After the timer, so that the task's record names this operation and not the timer.
            match poll_send_to(&mut this.readiness, cx, this.buf, target) {
                Poll::Ready(result) => return Poll::Ready(result),
                Poll::Pending if this.timer.is_some() => return Poll::Pending,
                Poll::Pending => this.timer = Some(Box::pin(sleep(this.pause))),
            }
        }
    }
}

impl fmt::Debug for SendTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTo")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
