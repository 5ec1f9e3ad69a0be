//! Every interleaving of the runtime's thread, which submits and ends the pool, with the workers that
//! wait for work, and with their ten seconds running out.
//!
//! A closure that stays in the queue with no thread coming for it shows in the assertions, a thread
//! that nobody tells of the end as a deadlock.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::Pool;
use crate::sync::model;

/// What became of closures: how many ran, how many are gone one way or the other.
struct Fate {
    ran: Mutex<usize>,
    told: Condvar,
    gone: AtomicUsize,
}

impl Fate {
    fn new() -> Arc<Self> {
        Arc::new(Fate {
            ran: Mutex::new(0),
            told: Condvar::new(),
            gone: AtomicUsize::new(0),
        })
    }

    fn wait_for(&self, count: usize) {
        let mut ran = self.ran.lock().unwrap();
        while *ran < count {
            ran = self.told.wait(ran).unwrap();
        }
    }
}

struct Gone(Arc<Fate>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::Relaxed);
    }
}

fn submit(pool: &Pool, fate: &Arc<Fate>) {
    let gone = Gone(Arc::clone(fate));
    let work = move || {
        *gone.0.ran.lock().unwrap() += 1;
        gone.0.told.notify_all();
    };
    pool.submit(Box::new(work)).unwrap();
}

/// The ten seconds of whoever waits now are over.
fn let_time_pass(pool: &Pool) -> thread::JoinHandle<()> {
    let shared = Arc::clone(&pool.shared);
    thread::spawn(move || shared.wake.elapse())
}

#[test]
fn a_closure_submitted_while_the_idle_worker_leaves_runs() {
    model(2, || {
        let (pool, fate) = (Pool::new(2), Fate::new());
        submit(&pool, &fate);
        let time = let_time_pass(&pool);
        submit(&pool, &fate);
        fate.wait_for(2);
        time.join().unwrap();
        assert_eq!(pool.shut_down().len(), 0);
    });
}

#[test]
fn with_all_threads_busy_a_closure_waits_for_the_next_that_is_free() {
    model(3, || {
        let (pool, fate) = (Pool::new(1), Fate::new());
        submit(&pool, &fate);
        submit(&pool, &fate);
        fate.wait_for(2);
        assert!(pool.threads() <= 1);
        assert_eq!(pool.shut_down().len(), 0);
    });
}

/// The one worker is idle when both come, or still on its way there; it can take only the first.
#[test]
fn a_closure_that_waits_for_the_next_one_does_not_hold_it_up() {
    model(2, || {
        let (pool, fate) = (Pool::new(2), Fate::new());
        submit(&pool, &fate);
        fate.wait_for(1);
        let first = Arc::clone(&fate);
        pool.submit(Box::new(move || first.wait_for(2))).unwrap();
        submit(&pool, &fate);
        fate.wait_for(2);
        assert_eq!(pool.shut_down().len(), 0);
    });
}

#[test]
fn at_the_end_every_closure_is_run_or_handed_out_and_every_thread_leaves() {
    model(3, || {
        let (pool, fate) = (Pool::new(2), Fate::new());
        submit(&pool, &fate);
        submit(&pool, &fate);
        let unbegun = pool.shut_down().len();
        // Too late: nobody will come for it, so it must not be kept.
        submit(&pool, &fate);
        while pool.threads() > 0 {
            thread::yield_now();
        }
        assert_eq!(*fate.ran.lock().unwrap() + unbegun, 2);
        assert_eq!(fate.gone.load(Ordering::Relaxed), 3);
    });
}
