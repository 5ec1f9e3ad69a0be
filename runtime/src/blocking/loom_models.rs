//! Every interleaving of the runtime's thread, which submits closures and closes the pool, with
//! workers that wait for closures, and with the end of their ten seconds.
//!
//! A closure that stays queued without a thread fails an assertion. A thread that is not notified of
//! the end shows as a deadlock.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::Pool;
use crate::std_or_loom::model;

/// Counts closures that ran and closures that were dropped, run or not.
struct Counts {
    ran: Mutex<usize>,
    changed: Condvar,
    dropped: AtomicUsize,
}

impl Counts {
    fn new() -> Arc<Self> {
        Arc::new(Counts {
            ran: Mutex::new(0),
            changed: Condvar::new(),
            dropped: AtomicUsize::new(0),
        })
    }

    fn wait_for(&self, count: usize) {
        let mut ran = self.ran.lock().unwrap();
        while *ran < count {
            ran = self.changed.wait(ran).unwrap();
        }
    }
}

struct CountDrop(Arc<Counts>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn submit(pool: &Pool, counts: &Arc<Counts>) {
    let count = CountDrop(Arc::clone(counts));
    let closure = move || {
        *count.0.ran.lock().unwrap() += 1;
        count.0.changed.notify_all();
    };
    pool.submit(Box::new(closure)).unwrap();
}

/// Ends the ten seconds of the workers that wait now.
fn elapse(pool: &Pool) -> thread::JoinHandle<()> {
    let shared = Arc::clone(&pool.shared);
    thread::spawn(move || shared.wake.elapse())
}

#[test]
fn a_closure_submitted_while_the_idle_worker_ends_runs() {
    model(2, || {
        let (pool, counts) = (Pool::new(2), Counts::new());
        submit(&pool, &counts);
        let time = elapse(&pool);
        submit(&pool, &counts);
        counts.wait_for(2);
        time.join().unwrap();
        assert_eq!(pool.shut_down().len(), 0);
    });
}

#[test]
fn with_all_threads_busy_a_closure_runs_on_the_next_free_one() {
    model(3, || {
        let (pool, counts) = (Pool::new(1), Counts::new());
        submit(&pool, &counts);
        submit(&pool, &counts);
        counts.wait_for(2);
        assert!(pool.threads() <= 1);
        assert_eq!(pool.shut_down().len(), 0);
    });
}

/// The only worker is idle, or about to be, when both are submitted. It can take only the first.
#[test]
fn a_closure_that_waits_for_the_next_one_does_not_delay_it() {
    model(2, || {
        let (pool, counts) = (Pool::new(2), Counts::new());
        submit(&pool, &counts);
        counts.wait_for(1);
        let first = Arc::clone(&counts);
        pool.submit(Box::new(move || first.wait_for(2))).unwrap();
        submit(&pool, &counts);
        counts.wait_for(2);
        assert_eq!(pool.shut_down().len(), 0);
    });
}

#[test]
fn at_the_end_every_closure_has_run_or_is_returned_and_every_thread_ends() {
    model(3, || {
        let (pool, counts) = (Pool::new(2), Counts::new());
        submit(&pool, &counts);
        submit(&pool, &counts);
        let not_started = pool.shut_down().len();
        // Submitted after the end: no thread will run it, so it must be dropped.
        submit(&pool, &counts);
        while pool.threads() > 0 {
            thread::yield_now();
        }
        assert_eq!(*counts.ran.lock().unwrap() + not_started, 2);
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 3);
    });
}
