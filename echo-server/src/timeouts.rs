//! Idle and write timeouts of a connection.
//!
//! Called by [`crate::echo`] around every wait. Both are off by default and then cost one
//! comparison.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use wakeful::time::timeout;

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

    /// Limits a wait for input to the idle timeout.
    pub(crate) fn idle<'a, F, T>(&self, wait: F) -> WithTimeout<'a, F, T>
    where
        F: Future<Output = io::Result<T>> + 'a,
    {
        WithTimeout::new(wait, self.idle, "idle timeout: the peer sent nothing")
    }

    /// Limits a wait for room to the shorter of the two timeouts. Nothing is read from a peer
    /// while the server waits for room, so such a peer is idle as well.
    pub(crate) fn write<'a, F, T>(&self, wait: F) -> WithTimeout<'a, F, T>
    where
        F: Future<Output = io::Result<T>> + 'a,
    {
        match (self.idle, self.write) {
            (Some(idle), write) if write.is_none_or(|write| idle < write) => {
                WithTimeout::new(wait, Some(idle), "idle timeout: the peer took nothing")
            }
            (_, write) => WithTimeout::new(wait, write, "write timeout: the peer took nothing"),
        }
    }
}

/// The future of [`Timeouts::idle`] and [`Timeouts::write`].
#[must_use = "futures do nothing unless awaited"]
pub(crate) enum WithTimeout<'a, F, T> {
    /// A wait without a limit.
    Unlimited(F),
    /// Boxed, so that connections without a limit do not store the space of a timer.
    Limited(Pin<Box<dyn Future<Output = io::Result<T>> + 'a>>),
}

impl<'a, F: Future<Output = io::Result<T>> + 'a, T> WithTimeout<'a, F, T> {
    fn new(wait: F, limit: Option<Duration>, message: &'static str) -> Self {
        let Some(limit) = limit else {
            return WithTimeout::Unlimited(wait);
        };
        WithTimeout::Limited(Box::pin(async move {
            let outcome = timeout(limit, wait).await;
            outcome.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, message)))
        }))
    }
}

impl<F: Future<Output = io::Result<T>> + Unpin, T> Future for WithTimeout<'_, F, T> {
    type Output = io::Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match self.get_mut() {
            WithTimeout::Unlimited(wait) => Pin::new(wait).poll(cx),
            WithTimeout::Limited(wait) => wait.as_mut().poll(cx),
        }
    }
}
