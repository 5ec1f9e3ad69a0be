//! Idle and write timeouts of a connection.
//!
//! Called by [`crate::echo`] around every wait. Both are off by default and then cost one
//! comparison. If they are on, a timer is armed only for a wait that is not over at once.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wakeful::time::{Sleep, sleep};

/// The timeouts that apply to every connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    idle: Limit,
    write: Limit,
}

/// Time limit of one wait.
#[derive(Clone, Copy, Debug)]
struct Limit {
    time: Option<Duration>,
    /// Message of the error when the time has elapsed.
    message: &'static str,
}

impl Timeouts {
    /// Creates them from `--idle-timeout` and `--write-timeout`.
    pub(crate) fn new(idle: Option<Duration>, write: Option<Duration>) -> Self {
        let shorter = match (idle, write) {
            (Some(idle), Some(write)) => Some(idle.min(write)),
            (idle, write) => idle.or(write),
        };
        Timeouts {
            idle: Limit {
                time: idle,
                message: "idle timeout: the peer sent nothing",
            },
            write: Limit {
                time: shorter,
                message: "write timeout: the peer took nothing",
            },
        }
    }

    /// Limits a wait for input to the idle timeout.
    pub(crate) fn idle<F>(&self, wait: F) -> WithTimeout<'_, F> {
        self.idle.limit(wait)
    }

    /// Limits a wait for room to the shorter of the two timeouts. Nothing is read from a peer
    /// while the server waits for room, so such a peer is idle as well.
    pub(crate) fn write<F>(&self, wait: F) -> WithTimeout<'_, F> {
        self.write.limit(wait)
    }
}

impl Limit {
    fn limit<F>(&self, wait: F) -> WithTimeout<'_, F> {
        WithTimeout {
            wait,
            limit: self,
            timer: None,
        }
    }
}

/// The future of [`Timeouts::idle`] and [`Timeouts::write`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct WithTimeout<'a, F> {
    wait: F,
    limit: &'a Limit,
    /// Armed by the first poll that is pending. Boxed, so that connections without a limit do not
    /// store the space of it.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = io::Result<()>> + Unpin> Future for WithTimeout<'_, F> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = Pin::new(&mut this.wait).poll(cx) {
            return Poll::Ready(outcome);
        }
        let Some(time) = this.limit.time else {
            return Poll::Pending;
        };
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(timer.as_mut().poll(cx));
        let elapsed = io::Error::new(io::ErrorKind::TimedOut, this.limit.message);
        Poll::Ready(Err(elapsed))
    }
}
