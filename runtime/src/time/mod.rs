//! Time: sleeps, timeouts, intervals, and a clock that tests can pause.
//!
//! Timers never fire early. Deadlines are exact to the nanosecond, and a timer is late by the time that
//! the kernel and the polls before it take. `epoll_pwait2(2)` waits in nanoseconds, plus the timer slack
//! of 50 us that Linux gives every thread (`prctl(2)`, PR_SET_TIMERSLACK). [`sleep`] and [`timeout`]
//! accept any [`Duration`]: a deadline beyond the clock's range means "never". `Instant::now() + duration`
//! panics beyond that range, as the standard library's does; [`Instant::checked_add`] does not.
//!
//! A clock is paused by [`pause`] or by [`Builder::start_paused`](crate::runtime::Builder). Then the
//! clock does not advance while there is work, and jumps to the next deadline when there is none. So a
//! test of an hour takes no time. The clock does not jump while a task waits for a descriptor or a
//! blocking closure, because the length of such a wait is unknown.

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

/// Pauses this runtime's clock.
///
/// # Panics
///
/// When it is paused already, or there is no runtime on this thread.
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
///     sleep(Duration::from_secs(3_600)).await; // takes no time: there is no other work
///     assert_eq!(start.elapsed(), Duration::from_secs(3_600));
/// });
/// ```
#[track_caller]
pub fn pause() {
    let core = context::require("time::pause");
    assert!(
        core.timers.clock.pause(),
        "time::pause: the clock is paused already"
    );
    core.timers.refresh();
}

/// Resumes this runtime's clock from the time that it shows.
///
/// # Panics
///
/// When it is running, or there is no runtime on this thread.
#[track_caller]
pub fn resume() {
    let core = context::require("time::resume");
    assert!(
        core.timers.clock.resume(),
        "time::resume: the clock is not paused"
    );
    core.timers.refresh();
}

/// Moves a paused clock forward and yields, so that tasks whose timers have expired run.
///
/// The clock jumps in one step: these tasks see the time after the jump, whatever their deadlines were.
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
    let core = context::require("time::advance");
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
