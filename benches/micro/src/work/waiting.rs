//! Tasks that wait for the whole run, as a background for other work items.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::Rival;
use crate::shared::Latch;

/// Stores the wakers of tasks that wait indefinitely. Some runtimes free a task without any waker.
pub(crate) struct Waiters {
    wakers: RefCell<Vec<Waker>>,
    started: Latch,
}

impl Waiters {
    pub(crate) fn with_room_for(count: u64) -> Rc<Waiters> {
        Rc::new(Waiters {
            wakers: RefCell::new(Vec::with_capacity(count as usize)),
            started: Latch::new(count),
        })
    }
}

/// Spawns tasks that wait until the runtime ends. Returns after each has been polled once.
pub(crate) async fn spawn_waiting<R: Rival>(rt: &R, waiters: &Rc<Waiters>, count: u64) {
    for _ in 0..count {
        let waiters = Rc::clone(waiters);
        R::detach(rt.spawn(poll_fn(move |cx| {
            waiters.wakers.borrow_mut().push(cx.waker().clone());
            waiters.started.count_down();
            Poll::<()>::Pending
        })));
    }
    waiters.started.wait().await;
}
