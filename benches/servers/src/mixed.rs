//! Work beside the echo, the same on every runtime: many timers, short tasks, wakes from a thread.
//!
//! | work | amount |
//! |---|---|
//! | timers | [`TIMERS`] tasks that each sleep for [`Random::sleep`], again and again: about 5,000 expire per second |
//! | tasks | [`SPAWNED`] tasks every [`PAUSE`], each of which yields once and ends |
//! | wakes | a thread wakes a task every [`PAUSE`] ([`Alarm`]) |
//!
//! The program of each runtime spawns them with the runtime's own functions.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

/// Number of tasks that sleep.
pub const TIMERS: u32 = 50_000;
/// Number of tasks that are spawned at once.
pub const SPAWNED: u32 = 50;
/// Time between two groups of spawned tasks, and between two wakes from the thread.
pub const PAUSE: Duration = Duration::from_millis(1);

/// Pseudo-random durations, the same in every program (xorshift64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Creates the sequence with this number.
    #[must_use]
    pub fn new(number: u32) -> Random {
        // Any number but zero.
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (u64::from(number) << 20));
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 32
    }

    /// Returns a duration between 5 and 15 seconds.
    pub fn sleep(&mut self) -> Duration {
        Duration::from_millis(5000 + self.next() % 10_000)
    }
}

/// A thread that wakes a task again and again.
#[derive(Clone, Debug, Default)]
pub struct Alarm(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Number of wakes that the task has not seen.
    rung: u32,
    waker: Option<Waker>,
}

impl Alarm {
    /// Starts the thread. It ends with the process.
    #[must_use]
    pub fn start() -> Alarm {
        let alarm = Alarm::default();
        let own = alarm.clone();
        thread::spawn(move || {
            loop {
                thread::sleep(PAUSE);
                own.ring();
            }
        });
        alarm
    }

    fn ring(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.rung += 1;
        let waker = state.waker.take();
        // Woken without the lock, so that the task can take it at once.
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits for the next wake.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if state.rung > 0 {
                state.rung = 0;
                return Poll::Ready(());
            }
            state.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
