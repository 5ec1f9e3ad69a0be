//! Turns deadlines into wakes.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::core;

/// The armed timers, ordered by deadline. The number keeps equal deadlines apart.
#[derive(Default)]
pub(crate) struct Timers {
    armed: BTreeMap<(Instant, u64), Waker>,
    next: u64,
}

impl Timers {
    /// Returns how long `epoll_wait` can block: until the first deadline, or forever (-1).
    pub(crate) fn timeout_ms(&self) -> i32 {
        todo!("8.1: -1 without a timer; else the time until the first deadline, in ms")
    }

    /// Removes the timers whose deadlines have passed. Returns their wakers, in order.
    pub(crate) fn expire(&mut self) -> Vec<Waker> {
        todo!("8.2: take out the timers whose deadlines have passed")
    }
}

/// A future that is ready at its deadline.
pub struct Sleep {
    deadline: Instant,
    /// Its number among the armed timers, after the first poll.
    number: Option<u64>,
}

/// Returns a future that is ready after `duration`, never before.
pub fn sleep(duration: Duration) -> Sleep {
    Sleep { deadline: kernel::now() + duration, number: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        todo!("8.3: ready at the deadline; before it, store the waker under deadline and number")
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        todo!("8.4: remove the timer, if it was armed")
    }
}

/// The deadline of `timeout` came first.
#[derive(Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Returns the output of a future, unless `duration` passes first; then the future is dropped.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut sleep = pin!(sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    })
    .await
}
