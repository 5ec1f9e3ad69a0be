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
        let Some(((deadline, _), _)) = self.armed.first_key_value() else { return -1 };
        let left = deadline.saturating_duration_since(kernel::now());
        // Rounded up: half a millisecond rounded down is a timeout of zero.
        left.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(i32::MAX)
    }

    /// Removes the timers whose deadlines have passed. Returns their wakers, in order.
    pub(crate) fn expire(&mut self) -> Vec<Waker> {
        let now = kernel::now();
        let mut expired = Vec::new();
        while let Some(first) = self.armed.first_entry() {
            if first.key().0 > now {
                break;
            }
            expired.push(first.remove());
        }
        expired
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
        if kernel::now() >= self.deadline {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let core = core();
        let mut timers = core.timers.borrow_mut();
        let number = *self.number.get_or_insert(timers.next);
        timers.next += 1;
        let old = timers.armed.insert((self.deadline, number), waker);
        drop(timers);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let core = core();
        let waker = core.timers.borrow_mut().armed.remove(&(self.deadline, number));
        drop(waker);
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
