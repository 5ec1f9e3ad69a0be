//! Counts allocations per operation and bytes per waiting task.
//!
//! It requires [`Counting`](crate::sys::Counting) as the allocator of the program.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rivals::Visit;
use crate::shared::{Latch, wake_self};
use crate::sys::Allocated;
use crate::work::{Waiters, arm_and_drop, spawn_waiting};
use crate::{Rival, work};

/// Allocations of one runtime.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Counts {
    /// Allocations per spawned task that finishes immediately.
    pub per_spawn: f64,
    /// Allocations per spawned and awaited task.
    pub per_spawn_await: f64,
    /// Allocations per self-wake and poll.
    pub per_wake: f64,
    /// Allocations per armed and dropped timer.
    pub per_timer: f64,
    /// Bytes per task that waits for a waker.
    pub bytes_per_waiting_task: f64,
    /// Bytes per task that waits for a timer.
    pub bytes_per_sleeping_task: f64,
}

/// Counts on a new runtime.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    /// Number of operations, and of tasks.
    pub n: u64,
}

impl Visit for Count {
    type Output = Counts;

    fn visit<R: Rival>(self) -> Counts {
        let n = self.n;
        let operations = R::run(async move |rt: R| Counts {
            per_spawn: allocations(n, async || spawn_each(&rt, n).await).await,
            per_spawn_await: allocations(n, async || work::spawn_await(&rt, n).await).await,
            per_wake: allocations(n, async || work::wake_itself(n).await).await,
            per_timer: allocations(n, async || arm_and_drop(&rt, n).await).await,
            ..Counts::default()
        });
        Counts {
            bytes_per_waiting_task: R::run(async move |rt: R| {
                let waiters = Waiters::with_room_for(n);
                bytes(n, async || spawn_waiting(&rt, &waiters, n).await).await
            }),
            bytes_per_sleeping_task: R::run(async move |rt: R| {
                bytes(n, async || spawn_sleeping(&rt, n).await).await
            }),
            ..operations
        }
    }
}

/// Runs the work twice and counts the second time, so that one-time allocations are not counted.
async fn allocations(n: u64, work: impl AsyncFn()) -> f64 {
    work().await;
    let before = Allocated::now().allocations;
    work().await;
    (Allocated::now().allocations - before) as f64 / n as f64
}

async fn bytes(n: u64, work: impl AsyncFn()) -> f64 {
    let before = Allocated::now().live_bytes;
    work().await;
    (Allocated::now().live_bytes - before) as f64 / n as f64
}

/// Spawns tasks that finish immediately, one after the other, without other allocations.
async fn spawn_each<R: Rival>(rt: &R, n: u64) {
    for _ in 0..n {
        R::detach(rt.spawn(async {}));
        wake_self().await;
    }
}

async fn spawn_sleeping<R: Rival>(rt: &R, n: u64) {
    let armed = Latch::new(n);
    for _ in 0..n {
        let (own, armed) = (rt.clone(), armed.clone());
        R::detach(rt.spawn(async move {
            let sleep = own.sleep(Duration::from_secs(3600));
            armed.count_down();
            sleep.await;
        }));
    }
    armed.wait().await;
}
