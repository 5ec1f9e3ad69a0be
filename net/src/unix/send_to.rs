//! The future of `UnixDatagram::send_to`.
//!
//! epoll does not report room in the receiver's queue to a socket that is not connected to the
//! receiver. Worse, when the kernel frees the refused datagram, it reports at once that there is
//! room in the *sender's* buffer. A future that waits for that event would retry forever without a
//! pause. So it waits for the event until the kernel has refused the datagram once, and for a timer
//! from then on.
//!
//! Source: unix(7).

use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};
use wakeful::time::{Sleep, sleep};

use crate::budget::poll_proceed;
use crate::socket::{Io, Socket};

/// Name of the operation in the task info.
const NAME: &str = "UnixDatagram::send_to";

/// The first pause before the receiver is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause. Pauses double until then.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The future of [`UnixDatagram::send_to`](super::UnixDatagram::send_to).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendTo<'a> {
    io: &'a Io,
    caller: &'static Location<'static>,
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    /// The destination, or the error of the conversion until it is returned.
    target: Result<SockAddr, Option<io::Error>>,
    /// Timer of the current pause, once the kernel has refused the datagram.
    timer: Option<Pin<Box<Sleep>>>,
    /// Length of the next pause.
    pause: Duration,
}

impl<'a> SendTo<'a> {
    #[track_caller]
    pub(super) fn new(io: &'a Io, buf: &'a [u8], target: io::Result<SockAddr>) -> Self {
        Self {
            io,
            caller: Location::caller(),
            readiness: io.ready(Interest::WRITABLE).operation(NAME),
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
                ready!(poll_proceed(cx));
                let err = err.take().expect("not polled after it has completed");
                return Poll::Ready(Err(err));
            }
        };
        loop {
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(cx));
                let sent = this.io.get_ref().send_to(this.buf, target);
                if !is_refusal(&sent) {
                    return Poll::Ready(sent);
                }
            } else {
                let mut refused = false;
                let buf = this.buf;
                let sent = this.readiness.poll_io(cx, |socket| {
                    let sent = socket.send_to(buf, target);
                    refused |= is_refusal(&sent);
                    sent
                });
                if sent.is_ready() || !refused {
                    return sent;
                }
            }
            let timer = sleep(this.pause).operation(NAME).location(this.caller);
            this.timer = Some(Box::pin(timer));
            this.pause = (this.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Returns whether the kernel had no room for the datagram.
fn is_refusal(sent: &io::Result<usize>) -> bool {
    matches!(sent, Err(err) if err.kind() == io::ErrorKind::WouldBlock)
}

impl fmt::Debug for SendTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTo")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}
