//! Timers: their time, their order, and those that are canceled or moved.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_lite::future::or;
use wakeful::time::{Instant, interval_at, sleep, sleep_until, timeout_at};
use wakeful_sim::Sim;

use super::{ask, connection, echo};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn timers_end_on_time(_: Sim) {
    let durations_ns = [1, 999, 1_000_000, 1_500_001, 123_456_789, 3_600_000_000_123];
    let sleepers = durations_ns.map(|ns| {
        wakeful::spawn(async move {
            let (start, duration) = (Instant::now(), Duration::from_nanos(ns));
            sleep(duration).await;
            let passed = start.elapsed();
            assert!(passed >= duration, "{duration:?} took {passed:?}");
            assert!(
                passed < duration + SECOND / 1000,
                "{duration:?} took {passed:?}"
            );
        })
    });
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
}

/// Records that it was woken.
struct Recorder {
    number: u64,
    woken: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Recorder {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.number);
    }
}

/// The deadlines are so close that many expire in one turn, and several in one slot. External wakers, because
/// tasks that are woken run in any order.
pub(super) async fn timers_wake_in_the_order_of_their_deadlines(_: Sim) {
    let start = Instant::now() + SECOND;
    let woken = Arc::new(Mutex::new(Vec::new()));
    let armed = [4, 0, 7, 2, 5, 1, 6, 3].map(|number| {
        let mut sleep = Box::pin(sleep_until(start + Duration::from_nanos(number * 3)));
        let woken = Arc::clone(&woken);
        let waker = Waker::from(Arc::new(Recorder { number, woken }));
        let polled = sleep.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        sleep
    });
    sleep(SECOND * 2).await;
    assert_eq!(*woken.lock().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7]);
    drop(armed);
}

/// Returns up to 2 ms. It follows from the time, which follows from the seed.
fn random(now: Duration, number: u64) -> Duration {
    let random = (now.as_nanos() as u64 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Duration::from_nanos(random >> 43)
}

fn assert_in_time(passed: Duration, duration: Duration) {
    assert!(passed >= duration, "{duration:?} took {passed:?}");
    assert!(
        passed < duration + SECOND / 10_000,
        "{duration:?} took {passed:?}"
    );
}

/// Timers of many lengths, while bytes come and go, so that time moves in steps of many lengths as well.
pub(super) async fn timers_beside_traffic(sim: Sim) {
    let (client, server) = connection().await;
    let server = wakeful::spawn(echo(server));
    let client = wakeful::spawn(async move {
        for _ in 0..20 {
            ask(&client, b"hello").await;
        }
    });
    let sleepers = [1, 2, 3, 4, 5].map(|number| {
        let sim = sim.clone();
        wakeful::spawn(async move {
            for _ in 0..20 {
                let start = sim.elapsed();
                let duration = random(start, number);
                sleep(duration).await;
                assert_in_time(sim.elapsed() - start, duration);
            }
        })
    });
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
    client.await.unwrap();
    server.await.unwrap();
}

/// Two timers of a task expire at once, and one of them is dropped without a poll. By then the row of that timer
/// can have another one.
pub(super) async fn timers_that_are_dropped_harm_no_others(_: Sim) {
    let start = Instant::now();
    let tasks = [(); 4].map(|()| {
        wakeful::spawn(async move {
            for round in 1..10 {
                let at = start + SECOND * round;
                or(sleep_until(at), sleep_until(at)).await;
                assert!(Instant::now() < at + SECOND / 2);
            }
        })
    });
    for task in tasks {
        task.await.unwrap();
    }
}

pub(super) async fn a_sleep_is_moved_into_the_past(_: Sim) {
    let start = Instant::now();
    let shared = Rc::new(RefCell::new(Box::pin(sleep(SECOND * 3600))));
    let sleeper = wakeful::spawn({
        let shared = Rc::clone(&shared);
        poll_fn(move |cx| shared.borrow_mut().as_mut().poll(cx))
    });
    sleep(SECOND).await;
    shared.borrow_mut().as_mut().reset(start);
    sleeper.await.unwrap();
    assert!(start.elapsed() < SECOND * 2);
}

pub(super) async fn an_interval_does_not_drift(_: Sim) {
    let start = Instant::now();
    let mut ticks = interval_at(start + SECOND, SECOND);
    for number in 1..10 {
        assert_eq!(ticks.tick().await, start + SECOND * number);
        sleep(Duration::from_millis(3)).await;
    }
}

pub(super) async fn a_result_at_the_deadline_is_returned(_: Sim) {
    let at = Instant::now() + SECOND;
    assert!(timeout_at(at, sleep_until(at)).await.is_ok());
}
