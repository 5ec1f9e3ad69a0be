//! Thread pool for blocking closures.
//!
//! Called by [`task::spawn_blocking`](crate::task::spawn_blocking).
//!
//! A thread starts only when a closure needs one, up to the limit of the builder. A thread that has
//! been idle for ten seconds ends. The runtime never waits for the threads: its end drops the
//! closures that have not started, leaves the others running, and returns.
//!
//! Every field of [`Shared`] that matters is behind one mutex. Closures run outside of it.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::kernel::{self, Work};
use crate::std_or_loom::{Condvar, Mutex, MutexGuard, thread};

/// Time after which an idle thread ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A closure that sends its result itself. It never unwinds.
pub(crate) type Closure = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    limit: usize,
    /// Number of tasks that wait for a closure. Counted on the runtime's thread, because a count
    /// that other threads change at any time would have to wake the loop at each change.
    pending: Rc<Cell<usize>>,
}

/// Counts a task that waits for a closure, until it is dropped.
#[derive(Debug)]
pub(crate) struct PendingGuard(Rc<Cell<usize>>);

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a closure is queued and when the pool closes.
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// Closures that have not started.
    queue: VecDeque<Closure>,
    /// Number of threads, idle ones included.
    threads: usize,
    /// Number of threads that wait for a closure.
    idle: usize,
    /// Whether the runtime has ended.
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No user code runs under this lock, so a poisoned one is consistent.
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
            pending: Rc::default(),
        }
    }

    /// Queues a closure. Starts a thread for it if none is idle and the limit allows one more.
    ///
    /// # Errors
    ///
    /// The error of starting a thread, if the pool has no other thread. The closure is dropped.
    pub(crate) fn submit(&self, closure: Closure) -> io::Result<()> {
        if kernel::any()
            && let Some(kernel) = kernel::current()
        {
            return match kernel.blocking(Work(closure)) {
                Ok(()) => Ok(()),
                Err(work) => self.queue(work.0),
            };
        }
        self.queue(closure)
    }

    fn queue(&self, closure: Closure) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            drop(state);
            // The caller learns of it from the closed channel.
            drop(closure);
            return Ok(());
        }
        state.queue.push_back(closure);
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
            // A running thread takes the closure when it is free.
            return Ok(());
        }
        let closure = state.queue.pop_back();
        drop(state);
        drop(closure);
        Err(error)
    }

    /// Returns the number of threads, idle ones included.
    pub(crate) fn threads(&self) -> usize {
        self.shared.lock().threads
    }

    /// Returns the numbers of closures that have not started, of threads, and of idle threads.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let state = self.shared.lock();
        (state.queue.len(), state.threads, state.idle)
    }

    /// Counts a task that waits for a closure until the guard is dropped.
    pub(crate) fn track_pending(&self) -> PendingGuard {
        self.pending.set(self.pending.get() + 1);
        PendingGuard(Rc::clone(&self.pending))
    }

    /// Returns the number of tasks that wait for a closure. A paused clock does not jump meanwhile.
    pub(crate) fn pending(&self) -> usize {
        self.pending.get()
    }

    /// Closes the pool and returns the closures that have not started, for the caller to drop. Ends
    /// idle threads, and does not wait for the others.
    pub(crate) fn shut_down(&self) -> VecDeque<Closure> {
        let mut state = self.shared.lock();
        state.closed = true;
        let not_started = std::mem::take(&mut state.queue);
        drop(state);
        self.shared.wake.notify_all();
        not_started
    }
}

/// Starts a worker thread. The caller holds the pool's lock, which the new thread locks first.
fn start(shared: Arc<Shared>) -> io::Result<()> {
    let builder = thread::Builder::new().name("wakeful-blocking".to_owned());
    builder.spawn(move || run_worker(&shared)).map(drop)
}

/// Runs queued closures until the pool is closed or the thread has been idle for [`KEEP_ALIVE`].
fn run_worker(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        while let Some(closure) = state.queue.pop_front() {
            drop(state);
            closure();
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Queues a closure that ends when the returned sender is dropped, and waits for its start.
    fn hold(pool: &Pool) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = mpsc::channel();
        let closure = move || {
            begin.send(()).expect("the test waits");
            released.recv().ok();
        };
        pool.submit(Box::new(closure)).expect("a thread starts");
        begun
            .recv_timeout(Duration::from_secs(10))
            .expect("the closure starts");
        release
    }

    #[test]
    fn a_thread_that_works_again_does_not_count_as_idle() {
        let pool = Pool::new(2);
        drop(hold(&pool));
        while pool.shared.lock().idle == 0 {
            thread::yield_now();
        }
        let first = hold(&pool);
        assert_eq!(pool.shared.lock().idle, 0);
        // No thread is idle, so this starts another.
        let second = hold(&pool);
        assert_eq!(pool.threads(), 2);
        drop((first, second));
        drop(pool.shut_down());
        while pool.threads() > 0 {
            thread::yield_now();
        }
    }
}
