//! Busy polling: when the runtime spins, when it parks, and that no event is late because of it.
//!
//! No test depends on the speed of the machine: a window of an hour never ends, one of a nanosecond
//! always has, and the counters show what happens in between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use wakeful::io::{AsyncFd, Interest};
use wakeful::runtime::{Builder, Runtime, RuntimeMetrics};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::spawn_blocking;
use wakeful::time::{Instant, sleep};
use wakeful::{metrics, spawn};
use wakeful_tests::trace::{alone, runtime};

/// A window that is longer than any test.
const ENDLESS: Duration = Duration::from_secs(3600);

fn busy(window: Duration) -> Runtime {
    Builder::new().busy_poll(window).build().unwrap()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Waits briefly until a wait has spun, so that the next one begins by spinning.
async fn warm_up() {
    for _ in 0..10_000 {
        sleep(ms(1)).await;
        if metrics().busy_polls > 0 {
            return;
        }
    }
    panic!("no wait began by spinning");
}

/// Returns the numbers of parks and busy polls during a future, and its output.
async fn counted<F: Future>(future: F) -> (u64, u64, F::Output) {
    let before = metrics();
    let output = future.await;
    let RuntimeMetrics {
        parks, busy_polls, ..
    } = metrics();
    (parks - before.parks, busy_polls - before.busy_polls, output)
}

// --- when the runtime spins -------------------------------------------------------------------------

#[test]
fn busy_polling_is_off_by_default_and_every_wait_parks_at_once() {
    runtime().block_on(async {
        for _ in 0..5 {
            let turns = metrics().turns;
            let (parks, busy_polls, ()) = counted(sleep(ms(2))).await;
            assert_eq!(busy_polls, 0);
            assert!(parks > 0);
            // The await can begin in the middle of a tick, which adds one turn that does not wait.
            assert!(metrics().turns - turns <= parks + 1);
        }
    });
}

#[test]
fn after_a_short_wait_the_next_one_spins() {
    busy(ENDLESS).block_on(async {
        let (parks, busy_polls, ()) = counted(sleep(ms(1))).await;
        assert!(parks > 0, "the first wait does not spin");
        assert_eq!(busy_polls, 0);
        for _ in 0..3 {
            let (parks, busy_polls, ()) = counted(sleep(ms(1))).await;
            assert_eq!(parks, 0);
            assert!(busy_polls > 0);
        }
    });
}

#[test]
fn waits_longer_than_the_window_never_spin() {
    busy(Duration::from_nanos(1)).block_on(async {
        for _ in 0..5 {
            let (parks, busy_polls, ()) = counted(sleep(ms(1))).await;
            assert!(parks > 0);
            assert_eq!(busy_polls, 0);
        }
    });
}

#[test]
fn after_a_long_wait_the_next_one_parks_at_once() {
    let window = ms(10);
    busy(window).block_on(async {
        warm_up().await;
        // On a busy machine the wait can be over when the window is, so that the loop never parks.
        while counted(sleep(window * 5)).await.0 == 0 {}
        let (_, busy_polls, ()) = counted(sleep(ms(1))).await;
        assert_eq!(busy_polls, 0, "the previous wait was long");
    });
}

/// No event can end the wait: after one window there are no further turns.
#[test]
fn a_runtime_at_rest_makes_no_turns() {
    busy(ms(10)).block_on(async {
        warm_up().await;
        let waits = spawn(std::future::pending::<()>());
        let (_, _, ()) = counted(sleep(ms(30))).await;
        let turns = metrics().turns;
        let (parks, busy_polls, ()) = counted(sleep(ms(100))).await;
        assert_eq!(busy_polls, 0);
        assert!(metrics().turns - turns <= parks + 1);
        waits.abort();
    });
}

#[test]
fn a_runtime_with_a_paused_clock_never_spins() {
    let runtime = Builder::new()
        .busy_poll(ENDLESS)
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            sleep(Duration::from_secs(86_400)).await;
            // Long enough for the runtime to park.
            spawn_blocking(|| std::thread::sleep(ms(20))).await.unwrap();
        }
        assert_eq!(metrics().busy_polls, 0);
        assert!(metrics().parks > 0, "for the closures");
    });
}

// --- events while it spins --------------------------------------------------------------------------

#[test]
fn a_timer_fires_while_the_runtime_spins_and_never_early() {
    busy(ENDLESS).block_on(async {
        warm_up().await;
        let begun = Instant::now();
        let (parks, _, ()) = counted(sleep(ms(5))).await;
        assert_eq!(parks, 0);
        assert!(begun.elapsed() >= ms(5));
    });
}

#[test]
fn another_threads_wake_is_handled_while_the_runtime_spins() {
    let runtime = busy(ENDLESS);
    let handle = runtime.handle().clone();
    runtime.block_on(async {
        warm_up().await;
        let (parks, busy_polls, sum) = counted(async {
            let other = thread::spawn(move || {
                let ask = |n: u64| handle.spawn(move || async move { n }).wait().unwrap();
                (1..=100).map(ask).sum::<u64>()
            });
            spawn_blocking(|| other.join().unwrap()).await.unwrap()
        })
        .await;
        assert_eq!(sum, 5050);
        assert_eq!(parks, 0);
        assert!(busy_polls > 0);
    });
}

#[test]
fn an_event_is_dispatched_while_the_runtime_spins() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    busy(ENDLESS).block_on(async {
        warm_up().await;
        let ours = AsyncFd::with_interest(ours, Interest::READABLE).unwrap();
        let (parks, _, ()) = counted(async {
            for _ in 0..100 {
                let mut theirs = theirs.try_clone().unwrap();
                let writer = thread::spawn(move || theirs.write_all(b"x").unwrap());
                let mut byte = [0];
                loop {
                    let mut guard = ours.readable().await.unwrap();
                    match guard.try_io(|ours| ours.get_ref().read(&mut byte)) {
                        Ok(read) => break assert_eq!(read.unwrap(), 1),
                        Err(_would_block) => {}
                    }
                }
                writer.join().unwrap();
            }
        })
        .await;
        assert_eq!(parks, 0);
    });
    theirs.flush().unwrap();
}

#[test]
fn a_signal_is_received_while_the_runtime_spins() {
    alone(|| {
        busy(ENDLESS).block_on(async {
            warm_up().await;
            let mut hangups = signal(SignalKind::hangup()).unwrap();
            let own = rustix::process::getpid();
            let (parks, _, received) = counted(async {
                let raiser = thread::spawn(move || {
                    rustix::process::kill_process(own, Signal::HUP).unwrap();
                });
                let received = hangups.recv().await;
                raiser.join().unwrap();
                received
            })
            .await;
            assert!(received.is_some());
            assert_eq!(parks, 0);
        });
    });
}
