//! The pool of threads for calls that block.
//!
//! Called by [`task::spawn_blocking`](crate::task::spawn_blocking). There is no thread until the
//! first closure comes, at most as many as the builder allows, and none that has been idle for ten
//! seconds. Nobody ever waits for them: the end of the runtime drops what has not begun, leaves
//! what has, and returns.
//!
//! Every field of [`Shared`] that matters is behind one mutex; closures run outside of it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a thread without work stays.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A closure with everything it needs to deliver its result. It never unwinds.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    limit: usize,
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
    /// Closures that run now.
    running: usize,
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

    /// Closures that wait or run.
    pub(crate) fn in_flight(&self) -> usize {
        let state = self.shared.lock();
        state.queue.len() + state.running
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
    let builder = std::thread::Builder::new().name("wakeful-blocking".to_owned());
    builder.spawn(move || work(&shared)).map(drop)
}

/// A worker's life: take, run, wait, leave.
fn work(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        while let Some(work) = state.queue.pop_front() {
            state.running += 1;
            drop(state);
            work();
            state = shared.lock();
            state.running -= 1;
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
