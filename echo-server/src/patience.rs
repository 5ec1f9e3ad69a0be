//! How long a connection may make the server wait: the idle and the write timeout.
//!
//! Called by [`crate::echo`] around every wait. Both limits are off unless asked for, and then
//! cost one comparison; when they are on, a timer is armed only for a wait that is not over at
//! once.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wakeful::time::{Sleep, sleep};

/// The limits that apply to every connection, each ready to be asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    input: Limit,
    output: Limit,
}

/// The longest that one wait may last.
#[derive(Clone, Copy, Debug)]
struct Limit {
    time: Option<Duration>,
    /// What the peer has done when the time is over.
    missed: &'static str,
}

impl Patience {
    /// From `--idle-timeout` (nothing arrived) and `--write-timeout` (nothing was taken although data
    /// waited).
    pub(crate) fn new(idle: Option<Duration>, write: Option<Duration>) -> Self {
        let shorter = match (idle, write) {
            (Some(idle), Some(write)) => Some(idle.min(write)),
            (idle, write) => idle.or(write),
        };
        Patience {
            input: Limit {
                time: idle,
                missed: "it sent nothing for too long",
            },
            output: Limit {
                time: shorter,
                missed: "it took nothing for too long",
            },
        }
    }

    /// Waits for something to read, at most for the idle timeout.
    pub(crate) fn for_input<F>(&self, wait: F) -> Within<'_, F> {
        self.input.around(wait)
    }

    /// Waits until the peer takes something, at most for the shorter of the two timeouts: a peer
    /// that lets the server wait here is not being read from, so it cannot send anything either.
    /// Whatever it takes starts the time afresh; see [`crate::echo`] for how that is found out.
    pub(crate) fn for_output<F>(&self, wait: F) -> Within<'_, F> {
        self.output.around(wait)
    }
}

impl Limit {
    fn around<F>(&self, wait: F) -> Within<'_, F> {
        Within {
            wait,
            limit: self,
            alarm: None,
        }
    }
}

/// A wait with an optional limit. See [`Patience`]. Once over, it may be awaited again, as the waits
/// of streams may: for the next time, with the whole limit.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Within<'a, F> {
    wait: F,
    limit: &'a Limit,
    /// Armed when the wait turns out to be one. Boxed, so that the many connections without a
    /// limit do not carry the room for it.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<T, F: Future<Output = io::Result<T>> + Unpin> Future for Within<'_, F> {
    type Output = io::Result<T>;

    #[inline(always)] // a call per poll otherwise; see docs/TRIED.md for what that costs
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let this = &mut *self;
        if let Poll::Ready(outcome) = Pin::new(&mut this.wait).poll(cx) {
            this.alarm = None;
            return Poll::Ready(outcome);
        }
        match this.limit.time {
            None => Poll::Pending,
            Some(time) => this.poll_alarm(time, cx),
        }
    }
}

impl<F> Within<'_, F> {
    fn poll_alarm<T>(&mut self, time: Duration, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        let missed = io::Error::new(io::ErrorKind::TimedOut, self.limit.missed);
        Poll::Ready(Err(missed))
    }
}
