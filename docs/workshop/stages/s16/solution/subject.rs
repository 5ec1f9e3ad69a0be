//! What is tested, and what a test needs.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

/// A future without an output.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// A runtime. Its time is virtual: it moves only in `run`, when no task is scheduled.
pub trait Runtime {
    /// Starts a task. Tasks are polled in the order in which they were scheduled. One that is
    /// scheduled already is not scheduled again.
    fn spawn(&self, task: Task);

    /// Returns a future that is ready `us` microseconds from now: not before, and here not after.
    fn sleep(&self, us: u64) -> Task;

    /// Returns the time in microseconds. It begins with 0.
    fn now(&self) -> u64;

    /// Runs until no task can go on. Returns the number of tasks that have not ended.
    fn run(&self) -> usize;
}

/// Makes a runtime that has done nothing yet.
pub type New = dyn Fn() -> Rc<dyn Runtime>;

/// Numbers that look random, and are the same for the same seed.
pub struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// Sleeps, and counts its polls. In the first one it wakes its own task `wakes` times.
pub fn wakes_itself(mut sleep: Task, wakes: u64, polls: Rc<Cell<u64>>) -> Task {
    Box::pin(poll_fn(move |cx| {
        if polls.replace(polls.get() + 1) == 0 {
            (0..wakes).for_each(|_| cx.waker().wake_by_ref());
        }
        sleep.as_mut().poll(cx)
    }))
}
