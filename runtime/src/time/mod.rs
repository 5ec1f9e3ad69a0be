//! Time: sleeping, limiting, repeating, and a clock that tests can hold still.
//!
//! Timers never fire early. They are exact to the nanosecond in what they promise and late by what
//! the kernel and the polls in between take: `epoll_pwait2(2)` waits in nanoseconds, plus the
//! timer slack of 50 us that Linux gives every thread (`prctl(2)`, PR_SET_TIMERSLACK). Any
//! [`Duration`] is accepted; what would lie beyond the clock's range is "never".
//!
//! With the clock paused ([`pause`], or [`Builder::start_paused`](crate::runtime::Builder)), time
//! stands still while there is anything to do and jumps to the next deadline when there is not: a
//! test of an hour takes no time at all. It does not jump while a task waits for a descriptor or for a
//! blocking closure, because nobody can know how long those would have taken.

use std::panic::Location;

pub use std::time::Duration;

use crate::context;

pub mod error;
mod instant;
mod interval;
mod sleep;
mod timeout;

pub use instant::Instant;
pub use interval::{Interval, MissedTickBehavior, Tick, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};

/// Stops this runtime's clock.
///
/// # Panics
///
/// When it is stopped already, or there is no runtime on this thread.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::{Instant, pause, sleep};
///
/// wakeful::block_on(async {
///     pause();
///     let start = Instant::now();
///     sleep(Duration::from_secs(3_600)).await; // takes no time: nobody else has anything to do
///     assert_eq!(start.elapsed(), Duration::from_secs(3_600));
/// });
/// ```
#[track_caller]
pub fn pause() {
    let core = context::expect("time::pause");
    assert!(
        core.timers.clock.pause(),
        "time::pause: the clock is paused already"
    );
    core.timers.refresh();
}

/// Lets this runtime's clock run again, on from where it stands.
///
/// # Panics
///
/// When it is running, or there is no runtime on this thread.
#[track_caller]
pub fn resume() {
    let core = context::expect("time::resume");
    assert!(
        core.timers.clock.resume(),
        "time::resume: the clock is not paused"
    );
    core.timers.refresh();
}

/// Moves a paused clock forward and lets everybody run whose timer has expired by that.
///
/// The clock jumps in one step: timers see the time after the jump, whatever their deadline was.
///
/// # Panics
///
/// When the clock is not paused, or there is no runtime on this thread.
///
/// # Cancel safety
///
/// The clock is moved by the call, not by the first poll.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use wakeful::time::{Instant, advance};
///
/// let runtime = wakeful::runtime::Builder::new().start_paused(true).build().unwrap();
/// runtime.block_on(async {
///     let before = Instant::now();
///     advance(Duration::from_secs(3600)).await;
///     assert_eq!(before.elapsed(), Duration::from_secs(3600));
/// });
/// ```
#[track_caller]
pub fn advance(duration: Duration) -> impl Future<Output = ()> {
    let core = context::expect("time::advance");
    let timers = &core.timers;
    let by_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let to_ns = timers.clock.now_ns().saturating_add(by_ns);
    assert!(
        timers.clock.advance_to(to_ns),
        "time::advance at {}: the clock is not paused; call time::pause first",
        Location::caller()
    );
    timers.refresh();
    crate::task::yield_now()
}
