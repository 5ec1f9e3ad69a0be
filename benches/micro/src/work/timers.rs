//! Timers: arm and drop, fire.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Rival;
use crate::shared::{Latch, Measurement, Numbers, wake_self};

/// Number of timers that are armed in one poll. It is below the budget of every runtime.
const ARMS_PER_POLL: u64 = 64;

/// Arms a timer that is due before all measured ones, and lets the runtime sleep once.
///
/// This is the usual state of a server, in which an earlier timer is always pending. Some runtimes
/// make a system call if a new timer is earlier than all others at the last sleep.
pub(super) async fn arm_earliest<R: Rival>(rt: &R) {
    let own = rt.clone();
    R::detach(rt.spawn(async move {
        own.sleep(Duration::from_secs(20)).await;
    }));
    rt.sleep(Duration::from_millis(2)).await;
}

pub(crate) async fn arm_and_drop<R: Rival>(rt: &R, n: u64) {
    let mut numbers = Numbers::new();
    let mut left = n;
    while left > 0 {
        let now = left.min(ARMS_PER_POLL);
        poll_fn(|cx| {
            for _ in 0..now {
                let due = Duration::from_millis(30_000 + numbers.below(30_000));
                let timer = std::pin::pin!(rt.sleep(due));
                assert!(timer.poll(cx).is_pending(), "no timer is due yet");
            }
            Poll::Ready(())
        })
        .await;
        left -= now;
        wake_self().await;
    }
}

/// Arms `timers` timers, blocks the thread until all of them are due, and then waits until the task of
/// each has run. Repeats this until about `n` timers have fired.
///
/// Measures CPU time of the process, because a runtime can have another thread for timers (smol has),
/// which works while this one sleeps.
pub(super) async fn fire<R: Rival>(rt: &R, timers: u64, n: u64) -> Measurement {
    let mut measured = Measurement {
        count: 0,
        time: Duration::ZERO,
    };
    // All timers must be armed before the first one is due; the time for this is not known yet.
    let mut head_start = Duration::from_millis(2) + Duration::from_micros(timers * 2);
    for _ in 0..(n / timers).clamp(1, 50) {
        loop {
            let begun = Instant::now();
            let spread = Duration::from_millis(10) + Duration::from_nanos(timers * 100);
            let end = Latch::new(timers);
            spawn_sleepers(rt, timers, begun + head_start, spread, &end).await;
            let in_time = begun.elapsed() < head_start;
            let before = cpu_time();
            thread::sleep((begun + head_start + spread + TICK).duration_since(Instant::now()));
            end.wait().await;
            if in_time {
                measured.time += cpu_time() - before;
                measured.count += timers;
                break;
            }
            head_start *= 2;
        }
    }
    measured
}

/// Returns the CPU time of this process so far.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Upper bound of the delay of the coarsest timers, tokio's, which round up.
const TICK: Duration = Duration::from_millis(2);

/// Spawns tasks that each sleep until a time between `from` and `from + spread`. Returns after all of
/// them have armed their timers.
pub(super) async fn spawn_sleepers<R: Rival>(
    rt: &R,
    count: u64,
    from: Instant,
    spread: Duration,
    end: &Latch,
) {
    let mut numbers = Numbers::new();
    let armed = Latch::new(count);
    for _ in 0..count {
        let due = from + Duration::from_nanos(numbers.below(spread.as_nanos() as u64));
        let (own, end, armed) = (rt.clone(), end.clone(), armed.clone());
        R::detach(rt.spawn(async move {
            let sleep = own.sleep(due.saturating_duration_since(Instant::now()));
            armed.count_down();
            sleep.await;
            end.count_down();
        }));
    }
    armed.wait().await;
}
