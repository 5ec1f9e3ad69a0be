//! Floods: what comes without a limit from other threads, from one event, or from timers, is handled in
//! portions, so that the loop goes on looking at sockets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use wakeful::io::AsyncFd;
use wakeful::metrics;
use wakeful::runtime::Handle;
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful::time::{advance, sleep};
use wakeful_tests::trace::{my_waker, pair, paused, runtime, settle};

/// Messages and external wakers between two turns, as documented.
const PORTION: usize = 61;
/// Wakers of timers between two turns, as documented.
const TIMERS: usize = 4096;

/// Counts how often something happens in each turn.
#[derive(Clone, Default)]
struct PerTurn(Arc<Mutex<BTreeMap<u64, usize>>>);

impl PerTurn {
    fn count(&self) {
        *self.0.lock().unwrap().entry(metrics().turns).or_default() += 1;
    }

    /// Returns the total, and the most in one turn.
    fn total_and_most(&self) -> (usize, usize) {
        let counts = self.0.lock().unwrap();
        (
            counts.values().sum(),
            counts.values().copied().max().unwrap_or(0),
        )
    }
}

#[test]
fn closures_of_other_threads_are_run_in_portions() {
    const CLOSURES: usize = 1_000;
    let per_turn = PerTurn::default();
    runtime().block_on(async {
        let (handle, counts) = (Handle::current(), per_turn.clone());
        let send = move || {
            for _ in 0..CLOSURES {
                let counts = counts.clone();
                drop(handle.spawn(move || {
                    counts.count();
                    async {}
                }));
            }
        };
        thread::spawn(send).join().unwrap();
        while per_turn.total_and_most().0 < CLOSURES {
            yield_now().await;
        }
    });
    assert_eq!(per_turn.total_and_most(), (CLOSURES, PORTION));
}

#[test]
fn the_messages_of_a_thread_are_handled_in_their_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    runtime().block_on(async {
        let (handle, seen) = (Handle::current(), Arc::clone(&order));
        let send = move || {
            for number in 0..1_000 {
                let seen = Arc::clone(&seen);
                drop(handle.spawn(move || {
                    seen.lock().unwrap().push(number);
                    async {}
                }));
            }
        };
        thread::spawn(send).join().unwrap();
        while order.lock().unwrap().len() < 1_000 {
            yield_now().await;
        }
    });
    assert!(order.lock().unwrap().iter().copied().eq(0..1_000));
}

/// Two tasks are woken alternately, so no wake equals the one before it.
#[test]
fn repeated_wakes_of_other_threads_are_merged() {
    const WAKES: u64 = 100_000;
    runtime().block_on(async {
        let wakers = Arc::new(Mutex::new(Vec::new()));
        let polls = Rc::new(Cell::new(0));
        for _ in 0..2 {
            let (wakers, polls) = (Arc::clone(&wakers), Rc::clone(&polls));
            spawn(poll_fn(move |cx| {
                wakers.lock().unwrap().push(cx.waker().clone());
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            }));
        }
        while polls.get() < 2 {
            yield_now().await;
        }
        let both: Vec<Waker> = wakers.lock().unwrap().clone();
        let before = metrics();
        let wake = move || {
            for number in 0..WAKES {
                both[(number % 2) as usize].wake_by_ref();
            }
        };
        thread::spawn(wake).join().unwrap();
        while polls.get() < 4 {
            yield_now().await;
        }
        for _ in 0..100 {
            yield_now().await;
        }
        let messages = metrics().remote_messages - before.remote_messages;
        assert!(messages < 4_096, "{messages} messages for two tasks");
        // Two in each portion of a queue whose length is limited.
        assert!(polls.get() < 64, "{} polls", polls.get());
    });
}

/// An external waker that counts its wakes by turn.
struct Counting(PerTurn);

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.count();
    }
}

#[test]
fn external_wakers_of_one_event_are_woken_in_portions() {
    const WAITERS: usize = 200;
    let per_turn = PerTurn::default();
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let mut waits: Vec<_> = (0..WAITERS).map(|_| fd.readable()).collect();
        for wait in &mut waits {
            let waker = Waker::from(Arc::new(Counting(per_turn.clone())));
            let polled = Pin::new(wait).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        there.write_all(b"x").unwrap();
        while per_turn.total_and_most().0 < WAITERS {
            yield_now().await;
        }
    });
    assert_eq!(per_turn.total_and_most(), (WAITERS, PORTION));
}

#[test]
fn timers_that_are_due_at_once_fire_in_portions_and_in_order() {
    const SLEEPERS: usize = TIMERS + 100;
    let order: Rc<RefCell<Vec<usize>>> = Rc::default();
    let armed = Rc::new(Cell::new(0));
    let woken_at_first = Rc::new(Cell::new(0));
    paused().block_on(async {
        for number in 0..SLEEPERS {
            let (order, armed) = (Rc::clone(&order), Rc::clone(&armed));
            let woken = Rc::clone(&woken_at_first);
            spawn(async move {
                let sleep = sleep(Duration::from_secs(1));
                armed.set(armed.get() + 1);
                sleep.await;
                if number == 0 {
                    woken.set(metrics().wakes_by_timer);
                }
                order.borrow_mut().push(number);
            });
        }
        while armed.get() < SLEEPERS {
            yield_now().await;
        }
        drop(advance(Duration::from_secs(1)));
        while order.borrow().len() < SLEEPERS {
            yield_now().await;
        }
    });
    assert_eq!(woken_at_first.get(), TIMERS as u64);
    assert!(order.borrow().iter().copied().eq(0..SLEEPERS));
}

#[test]
fn a_flood_of_wakes_from_another_thread_does_not_starve_local_tasks() {
    let runtime = runtime();
    let stop = Arc::new(AtomicBool::new(false));
    let (flooder, rounds) = runtime.block_on(async {
        let flooded = spawn(async {
            let waker = my_waker().await;
            poll_fn(move |_| Poll::<Waker>::Ready(waker.clone())).await
        });
        let ended = flooded.await.unwrap();
        // One waker of a live task, and one of a task that has ended.
        let alive = Rc::new(RefCell::new(None));
        let polls = Rc::new(Cell::new(0_u64));
        spawn({
            let (alive, polls) = (Rc::clone(&alive), Rc::clone(&polls));
            poll_fn(move |cx| {
                polls.set(polls.get() + 1);
                alive.borrow_mut().get_or_insert_with(|| cx.waker().clone());
                Poll::<()>::Pending
            })
        });
        settle().await;
        let alive = alive.take().unwrap();
        let flooder = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                while !stop.load(Ordering::Relaxed) {
                    alive.wake_by_ref();
                    ended.wake_by_ref();
                }
            }
        });
        while polls.get() < 10 {
            yield_now().await;
        }
        let mut rounds = 0;
        let local = spawn(async move {
            for _ in 0..2_000 {
                yield_now().await;
                rounds += 1;
            }
            rounds
        });
        (flooder, local.await.unwrap())
    });
    stop.store(true, Ordering::Relaxed);
    flooder.join().unwrap();
    assert_eq!(rounds, 2_000);
}
