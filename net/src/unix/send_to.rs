//! The future of `UnixDatagram::send_to`.
//!
//! When the receiver's queue is full, epoll is of no help to a socket that is not connected to it:
//! no event tells when there is room, and freeing the datagram that was refused makes the kernel
//! say at once that there is room in the *sender's* buffer. Who believed that would try again for
//! ever without a pause. So the future waits for the event until it has been refused once, and from
//! then on for a timer.
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

use crate::socket::{Io, Socket};

/// What the record of a waiting task shows.
const NAME: &str = "UnixDatagram::send_to";

/// The first pause before the receiver is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause; they double until then.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The future of [`UnixDatagram::send_to`](super::UnixDatagram::send_to).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendTo<'a> {
    io: &'a Io,
    caller: &'static Location<'static>,
    readiness: Readiness<'a, Socket>,
    buf: &'a [u8],
    /// Where to; or why there is no such address, until it is told.
    target: Result<SockAddr, Option<io::Error>>,
    /// Runs once the datagram has been refused.
    timer: Option<Pin<Box<Sleep>>>,
    /// How long it runs the next time.
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

/// Whether the kernel did not take the datagram now.
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
