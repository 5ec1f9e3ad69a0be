//! How long a connection may make the server wait: the idle and the write timeout.
//!
//! Called by [`crate::echo`] around every wait. Both limits are off unless asked for, and then
//! cost one comparison; when they are on, a timer is armed only for a wait that is not over at
//! once.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use wakeful::time::{Sleep, sleep};

/// The limits that apply to every connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    /// `--idle-timeout`: nothing arrived.
    pub(crate) idle: Option<Duration>,
    /// `--write-timeout`: nothing was taken although data waited.
    pub(crate) write: Option<Duration>,
}

impl Patience {
    /// Waits for something to read, at most for the idle timeout.
    pub(crate) fn for_input<F>(&self, wait: F) -> Within<F> {
        Within {
            wait,
            limit: self.idle,
            alarm: None,
            missed: "it sent nothing for too long",
        }
    }

    /// Waits until the peer takes something, at most for the shorter of the two timeouts: a peer
    /// that lets the server wait here is not being read from, so it cannot send anything either.
    /// Each byte it takes starts the time afresh.
    pub(crate) fn for_output<F>(&self, wait: F) -> Within<F> {
        let limit = match (self.idle, self.write) {
            (Some(idle), Some(write)) => Some(idle.min(write)),
            (idle, write) => idle.or(write),
        };
        Within {
            wait,
            limit,
            alarm: None,
            missed: "it took nothing for too long",
        }
    }
}

/// A wait with an optional limit. See [`Patience`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Within<F> {
    wait: F,
    limit: Option<Duration>,
    /// Armed when the wait turns out to be one. Boxed, so that the many connections without a
    /// limit do not carry the room for it.
    alarm: Option<Pin<Box<Sleep>>>,
    /// What to say when the limit is over.
    missed: &'static str,
}

impl<T, F: Future<Output = io::Result<T>> + Unpin> Future for Within<F> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = Pin::new(&mut this.wait).poll(cx) {
            return Poll::Ready(outcome);
        }
        let Some(limit) = this.limit else {
            return Poll::Pending;
        };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, this.missed)))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
