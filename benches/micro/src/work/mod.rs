//! The work items. Each runs inside a task, repeats one operation about `n` times, and returns the time
//! and the actual number of operations.
//!
//! Setup is outside the measured time, such as spawning the tasks that yield, or arming the timers that
//! fire.
//!
//! | file | job |
//! |---|---|
//! | `waiting` | tasks that wait, as a background for the others |
//! | `tasks` | spawn, await, self-wake, ping-pong |
//! | `thread` | wakes from another thread |
//! | `timers` | arm, drop and fire timers |

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::Rival;
use crate::shared::{Latch, Measurement};

mod tasks;
mod thread;
mod timers;
mod waiting;

use tasks::{BULK, bulk, chain, ping_pong, yield_among, yield_now};
pub(crate) use tasks::{spawn_await, wake_itself};
use thread::WakeThread;
pub(crate) use timers::arm_and_drop;
use timers::{arm_earliest, fire, spawn_sleepers};
pub(crate) use waiting::{Waiters, spawn_waiting};

/// A kind of work item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Each task spawns the next one and finishes. The number is that of other tasks, which wait.
    Chain(u64),
    /// A thousand tasks are spawned, and then all of them finish; repeatedly.
    Bulk,
    /// A task is spawned and awaited; repeatedly.
    Await,
    /// This number of tasks wake themselves through their wakers and return `Pending`; repeatedly.
    Yield(u64),
    /// One task calls `yield_now` of the runtime, which can poll for events first; repeatedly.
    YieldNow,
    /// Two tasks pass a token back and forth.
    PingPong,
    /// Another thread wakes this task on request; repeatedly.
    Thread,
    /// A timer is armed and dropped, repeatedly. The number is that of other armed timers.
    Arm(u64),
    /// This number of timers fire, each with a task that waits for it.
    Fire(u64),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Chain(others) => write!(f, "chain:{others}"),
            Work::Bulk => f.write_str("bulk"),
            Work::Await => f.write_str("await"),
            Work::Yield(tasks) => write!(f, "yield:{tasks}"),
            Work::YieldNow => f.write_str("yield-now"),
            Work::PingPong => f.write_str("ping-pong"),
            Work::Thread => f.write_str("thread"),
            Work::Arm(others) => write!(f, "arm:{others}"),
            Work::Fire(timers) => write!(f, "fire:{timers}"),
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Work, String> {
        let (name, number) = text.split_once(':').unwrap_or((text, "0"));
        let number: u64 = number
            .parse()
            .map_err(|_| format!("'{number}' is not a number"))?;
        match (name, number) {
            ("chain", others) => Ok(Work::Chain(others)),
            ("bulk", 0) => Ok(Work::Bulk),
            ("await", 0) => Ok(Work::Await),
            ("yield", tasks @ 1..) => Ok(Work::Yield(tasks)),
            ("yield-now", 0) => Ok(Work::YieldNow),
            ("ping-pong", 0) => Ok(Work::PingPong),
            ("thread", 0) => Ok(Work::Thread),
            ("arm", others) => Ok(Work::Arm(others)),
            ("fire", timers @ 1..) => Ok(Work::Fire(timers)),
            _ => Err(format!("unknown work item '{text}'")),
        }
    }
}

impl Work {
    /// Runs about `n` operations on a new runtime, after a warm-up of a tenth as many.
    ///
    /// `helper` is the core of the second thread, for the work item that has one.
    #[must_use]
    pub fn run<R: Rival>(self, n: u64, helper: Option<usize>) -> Measurement {
        R::run(async move |rt: R| {
            let warm = n / 10 + 1;
            match self {
                Work::Chain(others) => {
                    let waiters = Waiters::with_room_for(others);
                    spawn_waiting(&rt, &waiters, others).await;
                    chain(&rt, warm).await;
                    timed(n, chain(&rt, n)).await
                }
                Work::Bulk => {
                    let times = (n / BULK).max(1);
                    bulk(&rt, warm / BULK + 1).await;
                    timed(times * BULK, bulk(&rt, times)).await
                }
                Work::Await => {
                    spawn_await(&rt, warm).await;
                    timed(n, spawn_await(&rt, n)).await
                }
                Work::Yield(1) => {
                    wake_itself(warm).await;
                    timed(n, wake_itself(n)).await
                }
                Work::Yield(tasks) => yield_among(&rt, tasks, (n / tasks).max(4)).await,
                Work::YieldNow => {
                    yield_now(&rt, warm).await;
                    timed(n, yield_now(&rt, n)).await
                }
                Work::PingPong => {
                    ping_pong(&rt, warm).await;
                    timed(n, ping_pong(&rt, n)).await
                }
                Work::Thread => {
                    let waker = WakeThread::start(helper);
                    waker.request(warm).await;
                    let measured = timed(n, waker.request(n)).await;
                    waker.stop();
                    measured
                }
                Work::Arm(others) => {
                    arm_earliest(&rt).await;
                    // The other timers are due in one to eleven minutes and are dropped with the runtime.
                    let (soon, late) = (Duration::from_secs(60), Duration::from_secs(600));
                    let end = Latch::new(others);
                    spawn_sleepers(&rt, others, Instant::now() + soon, late, &end).await;
                    arm_and_drop(&rt, warm).await;
                    timed(n, arm_and_drop(&rt, n)).await
                }
                Work::Fire(timers) => fire(&rt, timers, n).await,
            }
        })
    }
}

async fn timed(count: u64, work: impl Future<Output = ()>) -> Measurement {
    let start = Instant::now();
    work.await;
    let time = start.elapsed();
    Measurement { count, time }
}
