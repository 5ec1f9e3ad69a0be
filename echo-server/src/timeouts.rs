//! Idle and write timeouts of a connection.
//!
//! Called by [`crate::echo`] around every wait. Both are off by default and then cost one
//! comparison.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wakeful::time::{Sleep, sleep};

/// The timeouts that apply to every connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    idle: Option<Duration>,
    write: Option<Duration>,
}

impl Timeouts {
    /// Creates them from `--idle-timeout` and `--write-timeout`.
    pub(crate) fn new(idle: Option<Duration>, write: Option<Duration>) -> Self {
        Timeouts { idle, write }
    }

    /// Limits each wait for input to the idle timeout.
    pub(crate) fn idle<F>(&self, wait: F) -> WithTimeout<F> {
        WithTimeout::new(wait, self.idle, "idle timeout: the peer sent nothing")
    }

    /// Limits each wait for room to the shorter of the two timeouts. Nothing is read from a peer
    /// while the server waits for room, so such a peer is idle as well.
    pub(crate) fn write<F>(&self, wait: F) -> WithTimeout<F> {
        match (self.idle, self.write) {
            (Some(idle), write) if write.is_none_or(|write| idle < write) => {
                WithTimeout::new(wait, Some(idle), "idle timeout: the peer took nothing")
            }
            (_, write) => WithTimeout::new(wait, write, "write timeout: the peer took nothing"),
        }
    }
}

/// The future of [`Timeouts::idle`] and [`Timeouts::write`]. If its wait can be awaited again after it
/// was ready, it can, and the timeout starts again.
#[must_use = "futures do nothing unless awaited"]
pub(crate) enum WithTimeout<F> {
    /// A wait without a limit.
    Unlimited(F),
    /// Boxed, so that connections without a limit do not store the space of a timer.
    Limited(Box<Limited<F>>),
}

/// A wait with a limit.
pub(crate) struct Limited<F> {
    wait: F,
    limit: Duration,
    /// `None` unless the wait is pending.
    timer: Option<Pin<Box<Sleep>>>,
    /// The message of the error.
    message: &'static str,
}

impl<F> WithTimeout<F> {
    fn new(wait: F, limit: Option<Duration>, message: &'static str) -> Self {
        let Some(limit) = limit else {
            return WithTimeout::Unlimited(wait);
        };
        WithTimeout::Limited(Box::new(Limited {
            wait,
            limit,
            timer: None,
            message,
        }))
    }
}

impl<F: Future<Output = io::Result<T>> + Unpin, T> Future for WithTimeout<F> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.get_mut() {
            WithTimeout::Unlimited(wait) => Pin::new(wait).poll(cx),
            WithTimeout::Limited(limited) => limited.poll(cx),
        }
    }
}

impl<F: Future<Output = io::Result<T>> + Unpin, T> Limited<F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if let Poll::Ready(outcome) = Pin::new(&mut self.wait).poll(cx) {
            self.timer = None;
            return Poll::Ready(outcome);
        }
        let limit = self.limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep(limit).operation("timeout")));
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, self.message)))
    }
}
