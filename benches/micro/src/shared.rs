//! Building blocks of the work items. They use only `std::task::Waker` and are the same on every
//! runtime.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Number of operations and their total time.
#[derive(Clone, Copy, Debug)]
pub struct Measurement {
    /// Number of operations.
    pub count: u64,
    /// Total time.
    pub time: Duration,
}

/// Wakes its own task and returns `Pending` once, so that the other tasks run first.
pub fn wake_self() -> impl Future<Output = ()> {
    let mut woken = false;
    poll_fn(move |cx| {
        if woken {
            return Poll::Ready(());
        }
        woken = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Counts down to zero; one task can wait for that.
#[derive(Clone, Debug, Default)]
pub struct Latch(Rc<Waits>);

#[derive(Debug, Default)]
struct Waits {
    left: Cell<u64>,
    waiter: RefCell<Option<Waker>>,
}

impl Latch {
    /// Makes a latch that is released after `count` calls of [`count_down`](Latch::count_down).
    #[must_use]
    pub fn new(count: u64) -> Latch {
        let latch = Latch::default();
        latch.0.left.set(count);
        latch
    }

    /// Counts down by one.
    pub fn count_down(&self) {
        self.0.left.set(self.0.left.get() - 1);
        if self.0.left.get() == 0 {
            let waiter = self.0.waiter.take();
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
    }

    /// Waits until the count is zero. Only one task can wait at a time.
    pub fn wait(&self) -> impl Future<Output = ()> {
        let latch = self.clone();
        poll_fn(move |cx| {
            if latch.0.left.get() == 0 {
                return Poll::Ready(());
            }
            *latch.0.waiter.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A token that two tasks pass to each other.
#[derive(Debug, Default)]
pub struct Token {
    /// Side that has the token.
    holder: Cell<usize>,
    waiting: [RefCell<Option<Waker>>; 2],
}

impl Token {
    /// Waits until the side `own` has the token, then passes it to the other side.
    pub fn pass(&self, own: usize) -> impl Future<Output = ()> {
        poll_fn(move |cx| {
            if self.holder.get() != own {
                keep(&mut self.waiting[own].borrow_mut(), cx.waker());
                return Poll::Pending;
            }
            let other = 1 - own;
            self.holder.set(other);
            let waker = self.waiting[other].take();
            if let Some(waker) = waker {
                waker.wake();
            }
            Poll::Ready(())
        })
    }
}

/// Stores a waker; reuses a stored one of the same task.
fn keep(place: &mut Option<Waker>, waker: &Waker) {
    match place {
        Some(kept) => kept.clone_from(waker),
        None => *place = Some(waker.clone()),
    }
}

/// Pseudo-random numbers, the same in every run.
#[derive(Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// Starts the sequence.
    #[must_use]
    pub fn new() -> Numbers {
        Numbers(1)
    }

    /// Returns the next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers::new()
    }
}
