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
    pub(crate) fn for_input<F>(&self, wait: F) -> Within<'_, F> {
        Within {
            wait,
            patience: self,
            direction: Direction::Input,
            alarm: None,
        }
    }

    /// Waits until the peer takes something, at most for the shorter of the two timeouts: a peer
    /// that lets the server wait here is not being read from, so it cannot send anything either.
    /// Each byte it takes starts the time afresh.
    pub(crate) fn for_output<F>(&self, wait: F) -> Within<'_, F> {
        Within {
            wait,
            patience: self,
            direction: Direction::Output,
            alarm: None,
        }
    }

    fn limit(&self, direction: Direction) -> Option<Duration> {
        match (direction, self.idle, self.write) {
            (Direction::Output, Some(idle), Some(write)) => Some(idle.min(write)),
            (Direction::Output, idle, write) => idle.or(write),
            (Direction::Input, idle, _) => idle,
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug)]
enum Direction {
    Input,
    Output,
}

impl Direction {
    fn missed(self) -> io::Error {
        let text = match self {
            Direction::Input => "it sent nothing for too long",
            Direction::Output => "it took nothing for too long",
        };
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

/// A wait with an optional limit. See [`Patience`]. Once over, it may be awaited again, as the waits
/// of streams may: for the next time, with the whole limit.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Within<'a, F> {
    wait: F,
    patience: &'a Patience,
    direction: Direction,
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
        match this.patience.limit(this.direction) {
            None => Poll::Pending,
            Some(limit) => this.poll_alarm(limit, cx),
        }
    }
}

impl<F> Within<'_, F> {
    fn poll_alarm<T>(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(alarm.as_mut().poll(cx));
        self.alarm = None;
        Poll::Ready(Err(self.direction.missed()))
    }
}
