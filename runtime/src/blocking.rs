//! The pool of threads for calls that block.
//!
//! Called by [`task::spawn_blocking`](crate::task::spawn_blocking). There is no thread until the
//! first closure comes, at most as many as the builder allows, and none that has been idle for ten
//! seconds. Nobody ever waits for them: the end of the runtime drops what has not begun, leaves
//! what has, and returns.
//!
//! Every field of [`Shared`] that matters is behind one mutex; closures run outside of it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::sync::{Condvar, Mutex, MutexGuard, thread};

/// How long a thread without work stays.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A closure with everything it needs to deliver its result. It never unwinds.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    limit: usize,
    /// Tasks that wait for a closure. Counted on the runtime's own thread: what the others count
    /// changes when they like, and they would have to wake the loop each time.
    awaited: Rc<Cell<usize>>,
}

/// Held by a task for as long as it waits for a closure.
#[derive(Debug)]
pub(crate) struct Awaited(Rc<Cell<usize>>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when there is work, or none will come any more.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    threads: usize,
    /// Threads that wait for work.
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    pub(crate) fn new(limit: usize) -> Self {
        let shared = Shared {
            state: Mutex::new(State::default()),
            wake: Condvar::new(),
        };
        Pool {
            shared: Arc::new(shared),
            limit: limit.max(1),
            awaited: Rc::default(),
        }
    }

    /// Queues a closure, starting a thread for it when none is idle and the limit allows.
    ///
    /// # Errors
    ///
    /// When not a single thread can be started; then the closure is dropped.
    pub(crate) fn submit(&self, work: Work) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            // The caller's future finds that its work was dropped.
            drop(work);
            return Ok(());
        }
        state.queue.push_back(work);
        if state.idle >= state.queue.len() {
            drop(state);
            self.shared.wake.notify_one();
            return Ok(());
        }
        if state.threads >= self.limit {
            return Ok(());
        }
        state.threads += 1;
        let started = start(Arc::clone(&self.shared));
        let Err(error) = started else {
            return Ok(());
        };
        state.threads -= 1;
        if state.threads > 0 {
            // One of those that run will come to it.
            return Ok(());
        }
        let work = state.queue.pop_back();
        drop(state);
        drop(work);
        Err(error)
    }

    /// Threads that exist now, idle ones included.
    pub(crate) fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Counts a task that is going to wait for a closure, until what this returns is dropped.
    pub(crate) fn await_one(&self) -> Awaited {
        self.awaited.set(self.awaited.get() + 1);
        Awaited(Rc::clone(&self.awaited))
    }

    /// How many tasks wait for a closure. The paused clock asks.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited.get()
    }

    /// Hands out what has not begun, to be dropped, and lets idle threads go; does not wait for the
    /// others.
    pub(crate) fn shut_down(&self) -> VecDeque<Work> {
        let mut state = self.shared.lock();
        state.closed = true;
        let unbegun = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.wake.notify_all();
        unbegun
    }
}

/// Starts a worker. Called under the pool's lock, which the new thread takes first thing.
fn start(shared: Arc<Shared>) -> io::Result<()> {
    let builder = thread::Builder::new().name("wakeful-blocking".to_owned());
    builder.spawn(move || work(&shared)).map(drop)
}

/// A worker's life: take, run, wait, leave.
fn work(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        while let Some(work) = state.queue.pop_front() {
            drop(state);
            work();
            state = shared.lock();
        }
        if state.closed {
            break;
        }
        state.idle += 1;
        let (woken, timeout) = shared
            .wake
            .wait_timeout(state, KEEP_ALIVE)
            .unwrap_or_else(PoisonError::into_inner);
        state = woken;
        state.idle -= 1;
        if timeout.timed_out() && state.queue.is_empty() {
            break;
        }
    }
    state.threads -= 1;
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queue", &self.queue.len())
            .field("threads", &self.threads)
            .field("idle", &self.idle)
            .field("closed", &self.closed)
            .finish()
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;
