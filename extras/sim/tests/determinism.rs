//! What does not follow from the seed is found: by running a seed twice, or because a thread takes part.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::future::{Future, poll_fn};
use std::hash::BuildHasher;
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use wakeful::runtime::Handle;
use wakeful::time::{sleep, timeout};
use wakeful_net::TcpListener;
use wakeful_sim::{Options, Sim};

/// Returns the message with which a test is refused.
fn refused<F: Future<Output = ()>>(leak: impl Fn(Sim) -> F) -> String {
    let check = || wakeful_sim::check("test", Options::new().seeds(1), leak);
    let failed = catch_unwind(AssertUnwindSafe(check));
    *failed.unwrap_err().downcast::<String>().unwrap()
}

/// Waits for each of 16 names, in the order of a map that hashes otherwise in each run.
async fn order_of_a_hash_map(_: Sim) {
    let names: HashMap<u64, ()> = (1..=16).map(|name| (name, ())).collect();
    for name in names.into_keys() {
        sleep(Duration::from_millis(name)).await;
    }
}

/// Waits of random lengths, as a `select!` takes a branch: by numbers that are others in each run.
async fn random_branch(_: Sim) {
    let mut random = RandomState::new().hash_one(0_u32);
    for _ in 0..16 {
        sleep(Duration::from_nanos(random % 16)).await;
        random /= 16;
    }
}

/// The time that has passed since the first run, on the machine's clock.
async fn time_of_the_machine(_: Sim) {
    static START: OnceLock<Instant> = OnceLock::new();
    sleep(START.get_or_init(Instant::now).elapsed()).await;
}

/// Numbers that a thread counts up meanwhile.
async fn progress_of_a_thread(_: Sim) {
    let (count, ends) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let counter = thread::spawn({
        let (count, ends) = (Arc::clone(&count), Arc::clone(&ends));
        move || {
            while !ends.load(Ordering::Relaxed) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    while count.load(Ordering::Relaxed) < 1_000 {
        hint::spin_loop();
    }
    for _ in 0..16 {
        sleep(Duration::from_nanos(count.load(Ordering::Relaxed))).await;
    }
    ends.store(true, Ordering::Relaxed);
    counter.join().unwrap();
}

/// A wait as long as the address of a value is high. The value of an earlier run is still there.
async fn address_as_a_key(_: Sim) {
    thread_local!(static VALUES: RefCell<Vec<Rc<u64>>> = const { RefCell::new(Vec::new()) });
    let value = Rc::new(7);
    let address = Rc::as_ptr(&value).addr();
    VALUES.with_borrow_mut(|values| values.push(value));
    sleep(Duration::from_nanos(address as u64)).await;
}

/// A number of the process that each run raises.
async fn counter_in_a_static(_: Sim) {
    thread_local!(static RUNS: Cell<u64> = const { Cell::new(0) });
    RUNS.set(RUNS.get() + 1);
    sleep(Duration::from_secs(RUNS.get())).await;
}

type Leak = fn(Sim) -> Pin<Box<dyn Future<Output = ()>>>;

#[test]
fn six_leaks_of_determinism_are_found_and_the_message_names_their_causes() {
    let leaks: [(&str, Leak); 6] = [
        ("the order of a `HashMap`", |sim| {
            Box::pin(order_of_a_hash_map(sim))
        }),
        ("`std::time::Instant::now`", |sim| {
            Box::pin(time_of_the_machine(sim))
        }),
        ("random numbers, `select!` in random order", |sim| {
            Box::pin(random_branch(sim))
        }),
        ("other threads", |sim| Box::pin(progress_of_a_thread(sim))),
        ("addresses as keys", |sim| Box::pin(address_as_a_key(sim))),
        ("what an earlier run has left in a static", |sim| {
            Box::pin(counter_in_a_static(sim))
        }),
    ];
    for (cause, leak) in leaks {
        let text = refused(leak);
        assert!(text.contains("two runs of the seed 0x"), "{cause}: {text}");
        assert!(text.contains("differ: event "), "{cause}: {text}");
        assert!(text.contains(cause), "{cause}: {text}");
    }
}

/// Waits until another thread has called the waker that `start` gets.
async fn woken_by(start: impl FnOnce(Waker, Arc<AtomicBool>)) {
    let (mut start, woken) = (Some(start), Arc::new(AtomicBool::new(false)));
    poll_fn(|cx| {
        if let Some(start) = start.take() {
            start(cx.waker().clone(), Arc::clone(&woken));
            return Poll::Pending;
        }
        match woken.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[test]
fn a_wake_by_a_thread_fails_the_run_and_names_thread_and_task() {
    let text = refused(|_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // While a descriptor is registered, each turn asks the simulation for events.
        assert!(
            timeout(Duration::from_secs(1), listener.accept())
                .await
                .is_err()
        );
        let reader = wakeful::task::Builder::new().name("reader").spawn(async {
            woken_by(|waker, woken| {
                let wake = move || {
                    woken.store(true, Ordering::Release);
                    waker.wake();
                };
                let thread = thread::Builder::new().name("sender".to_owned());
                thread.spawn(wake).unwrap().join().unwrap();
            })
            .await;
        });
        reader.unwrap().await.unwrap();
    });
    let begin = "the thread \"sender\", which is no part of the simulation, has woken, aborted or detached \
         task 1.0 \"reader\" (spawned at ";
    assert!(text.starts_with(begin), "{text}");
    assert!(text.contains("determinism.rs:"), "{text}");
}

#[test]
fn a_spawn_by_a_thread_fails_the_run_also_if_its_body_does_not_wait() {
    let text = refused(|_| async {
        let handle = Handle::current();
        let spawn = move || drop(handle.spawn(|| async {}));
        thread::spawn(spawn).join().unwrap();
    });
    let begin = "a thread without a name, which is no part of the simulation, has spawned a task";
    assert!(text.starts_with(begin), "{text}");
}

wakeful_sim::test! {
    seeds = 20;
    async fn a_closure_of_the_blocking_pool_is_part_of_the_simulation(sim: Sim) {
        let count = Rc::new(Cell::new(0));
        let tasks = [1, 2, 3].map(|number| {
            let count = Rc::clone(&count);
            wakeful::spawn(async move {
                let number = wakeful::task::spawn_blocking(move || number).await;
                count.set(count.get() + number.unwrap());
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(count.get(), 6);
        assert!(sim.elapsed() > Duration::ZERO);
    }
}
