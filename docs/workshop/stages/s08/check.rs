//! The check of stage 8. Time is virtual: only a timeout of `epoll_wait` moves it.

use std::cell::Cell;
use std::io::Write;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Peer};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use kernel::Script;
use probe::{
    Case, Diagnosis, Failure, Outcome, Picture, Stage, Trace, WakeCount, expect, fail, on_drop,
    on_wake, poll_once, run_scripted, yield_once,
};
use stage::{Elapsed, TcpStream, block_on, sleep, spawn, timeout};

static STAGE: Stage = Stage {
    number: 8,
    diagnoses: &[
        Diagnosis {
            id: "8.1",
            what: "a deadline wakes no task",
            why: "the loop blocks without a timeout, or expired timers are not taken out and woken",
            section: "How long",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.2",
            what: "the loop does not sleep during the last millisecond",
            why: "the time left is rounded down to 0 ms, which means: do not block",
            section: "How long",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.3",
            what: "a sleep ends before its deadline",
            why: "a poll is no proof that the time has passed: the task can be woken by something else",
            section: "Arm and expire",
            function: "poll",
        },
        Diagnosis {
            id: "8.4",
            what: "the loop wakes up although no deadline has passed",
            why: "the timeout is shorter than the time until the first deadline",
            section: "How long",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.5",
            what: "timers expire in the wrong order",
            why: "the wakers are not returned in the order of their deadlines",
            section: "Arm and expire",
            function: "expire",
        },
        Diagnosis {
            id: "8.6",
            what: "a sleep that was dropped is still armed",
            why: "the timer has to leave the table when its future is dropped",
            section: "A sleep that is dropped",
            function: "drop",
        },
        Diagnosis {
            id: "8.7",
            what: "the loop has a timeout although no timer is armed",
            why: "without a timer nothing is missed, so `epoll_wait` can block without a timeout: -1",
            section: "How long",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.8",
            what: "of two timers with one deadline, one is lost",
            why: "the key is the deadline alone, so the later timer replaces the earlier one",
            section: "Arm and expire",
            function: "poll",
        },
        Diagnosis {
            id: "8.9",
            what: "the timers are borrowed while a waker is called or dropped",
            why: "both can run any code: a waker that drops a sleep needs the timers",
            section: "Arm and expire",
            function: "turn",
        },
        Diagnosis {
            id: "8.10",
            what: "the first waker was kept, and the task that waits now is not woken",
            why: "each poll has to store the waker that it was given",
            section: "Arm and expire",
            function: "poll",
        },
        Diagnosis {
            id: "8.11",
            what: "a deadline that is now does not count as passed",
            why: "a time that equals the deadline has reached it: one comparison is strict and must not be",
            section: "Arm and expire",
            function: "expire",
        },
        Diagnosis {
            id: "8.12",
            what: "a deadline that is weeks away is not waited for",
            why: "its milliseconds do not fit into `i32`: shorten them to `i32::MAX`, as `as` does not",
            section: "Write",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.13",
            what: "the loop sleeps longer than until the first deadline, rounded up",
            why: "a time of whole milliseconds needs no further one: `div_ceil` adds one only to a rest",
            section: "How long",
            function: "timeout_ms",
        },
        Diagnosis {
            id: "8.14",
            what: "a timer whose deadline has passed is left for another turn",
            why: "`expire` has to take out all timers whose deadlines have passed, not only the first",
            section: "Arm and expire",
            function: "expire",
        },
    ],
    cases: &[
        Case { name: "a sleep is one wait, and never early", run: a_sleep_is_one_wait },
        Case { name: "a deadline that is now has passed", run: a_deadline_that_is_now },
        Case { name: "a poll before the deadline is pending", run: a_poll_is_no_proof },
        Case { name: "sleeps end in the order of their deadlines", run: sleeps_end_in_order },
        Case { name: "equal deadlines are two timers", run: equal_deadlines_are_two_timers },
        Case { name: "a dropped sleep is not armed", run: a_dropped_sleep_is_not_armed },
        Case { name: "without a timer there is no timeout", run: no_timeout_without_a_timer },
        Case { name: "the newest waker is woken", run: the_newest_waker_is_woken },
        Case { name: "a waker can drop a sleep", run: a_waker_can_drop_a_sleep },
        Case { name: "timeout drops a future that is late", run: timeout_drops_a_late_future },
        Case { name: "half a microsecond is rounded up, too", run: half_a_microsecond },
        Case { name: "a sleep of 40 days ends after 40 days", run: a_far_deadline },
        Case { name: "timers of one turn expire in it", run: timers_of_one_turn },
        Case { name: "the drop of a waker can drop a sleep", run: a_drop_can_drop_a_sleep },
    ],
    panics: &[
        ("already borrowed", "8.9"),
        ("already mutably borrowed", "8.9"),
        ("TryFromIntError", "8.12"),
    ],
    picture: Some(PICTURE),
};

fn main() {
    probe::stage(&STAGE)
}

/// Runs a case of this stage.
fn run<T>(f: impl FnOnce() -> T, asleep: &'static str) -> Result<T, Failure> {
    run_scripted(f, asleep, "8.2", "")
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn a_sleep_is_one_wait() -> Outcome {
    Script::new().begin();
    let duration = Duration::from_micros(1500);
    let timed = async {
        let start = kernel::now();
        sleep(duration).await;
        kernel::now() - start
    };
    let passed = run(|| block_on(timed), "8.1")?;
    let seen = format!("{passed:?} passed");
    if passed < duration {
        return fail("8.3", kernel::steps(), "at least 1.5ms passed", seen);
    }
    if kernel::parks() != 1 {
        let seen = format!("{} waits", kernel::parks());
        return fail("8.4", kernel::steps(), "1 wait of 2 ms", seen);
    }
    expect(kernel::steps(), "2ms passed", &seen)
}

fn a_poll_is_no_proof() -> Outcome {
    Script::new().begin();
    let timed = async {
        let start = kernel::now();
        let mut sleep = pin!(sleep(ms(5)));
        let mut polls = 0;
        std::future::poll_fn(|cx| {
            polls += 1;
            if polls < 3 {
                // A wake that has another reason.
                cx.waker().wake_by_ref();
            }
            sleep.as_mut().poll(cx)
        })
        .await;
        kernel::now() - start
    };
    let passed = run(|| block_on(timed), "8.1")?;
    if passed < ms(5) {
        return fail("8.3", kernel::steps(), "5ms passed", format!("{passed:?} passed"));
    }
    if passed > ms(5) {
        return fail("8.13", kernel::steps(), "5ms passed", format!("{passed:?} passed"));
    }
    expect(kernel::steps(), "5ms passed", &format!("{passed:?} passed"))
}

fn a_deadline_that_is_now() -> Outcome {
    Script::new().begin();
    // The wait ends exactly at the deadline.
    run_scripted(|| block_on(sleep(ms(5))), "8.1", "8.11", "")
}

fn sleeps_end_in_order() -> Outcome {
    Script::new().begin();
    let trace = Trace::new();
    let inside = trace.clone();
    // All are due in one turn: the thread computes for a second.
    let three = async move {
        let mut handles = Vec::new();
        for time in [30, 10, 20] {
            let trace = inside.clone();
            handles.push(spawn(async move {
                sleep(ms(time)).await;
                trace.note(format!("{time} ms"));
            }));
        }
        yield_once().await;
        kernel::advance(Duration::from_secs(1));
        for handle in handles {
            handle.await.unwrap();
        }
    };
    run(|| block_on(three), "8.1")?;
    let seen = trace.steps().join(", ");
    if seen != "10 ms, 20 ms, 30 ms" {
        return fail("8.5", kernel::steps(), "10 ms, 20 ms, 30 ms", seen);
    }
    Ok(())
}

fn equal_deadlines_are_two_timers() -> Outcome {
    Script::new().begin();
    let two = async {
        let first = spawn(sleep(ms(10)));
        let second = spawn(sleep(ms(10)));
        first.await.unwrap();
        second.await.unwrap();
    };
    run(|| block_on(two), "8.8")
}

fn a_dropped_sleep_is_not_armed() -> Outcome {
    Script::new().begin();
    let dropped = async {
        let (_count, waker) = WakeCount::new();
        let mut twice = Box::pin(sleep(ms(20)));
        assert!(poll_once(twice.as_mut(), &waker).is_pending());
        assert!(poll_once(twice.as_mut(), &waker).is_pending());
        drop(twice);
        sleep(ms(100)).await;
    };
    run(|| block_on(dropped), "8.1")?;
    if kernel::parks() != 1 {
        let seen = format!("{} waits", kernel::parks());
        return fail("8.6", kernel::steps(), "1 wait of 100 ms", seen);
    }
    Ok(())
}

fn no_timeout_without_a_timer() -> Outcome {
    let listener = StdListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).unwrap();
    let stream = kernel::Stream::new(listener.accept().unwrap().0);
    Script::new()
        .then("the peer writes 1 byte", move || {
            (&peer).write_all(b"x").unwrap();
            std::mem::forget(peer);
        })
        .begin();
    let read = async move { TcpStream::new(stream).unwrap().read(&mut [0; 1]).await.unwrap() };
    run(|| block_on(read), "8.1")?;
    if kernel::timed_parks() > 0 {
        return fail("8.7", kernel::steps(), "epoll_wait with -1", "epoll_wait with a timeout");
    }
    Ok(())
}

fn the_newest_waker_is_woken() -> Outcome {
    Script::new().begin();
    let moved = async {
        let mut sleep = Box::pin(sleep(ms(10)));
        // The first poll is by another task.
        let (_count, other) = WakeCount::new();
        assert!(poll_once(sleep.as_mut(), &other).is_pending());
        spawn(sleep).await.unwrap();
    };
    run(|| block_on(moved), "8.10")
}

fn a_waker_can_drop_a_sleep() -> Outcome {
    Script::new().begin();
    let dropped = Rc::new(Cell::new(false));
    let flag = Rc::clone(&dropped);
    let wakes = async move {
        let mut other = Box::pin(sleep(ms(50)));
        let (_count, waker) = WakeCount::new();
        assert!(poll_once(other.as_mut(), &waker).is_pending());
        let mut first = Box::pin(sleep(ms(10)));
        let drops = on_wake(move || {
            drop(other);
            flag.set(true);
        });
        assert!(poll_once(first.as_mut(), &drops).is_pending());
        sleep(ms(20)).await;
    };
    run(|| block_on(wakes), "8.1")?;
    expect(kernel::steps(), "true", &dropped.get().to_string())
}

fn timeout_drops_a_late_future() -> Outcome {
    Script::new().begin();
    let trace = Trace::new();
    let note = probe::DropNote::new(&trace, "dropped");
    let inside = trace.clone();
    let late = async move {
        let slow = async move {
            let _note = note;
            sleep(ms(50)).await;
        };
        assert_eq!(timeout(ms(10), slow).await, Err(Elapsed));
        inside.note("elapsed");
        assert_eq!(timeout(ms(10), async { 7 }).await, Ok(7));
    };
    run(|| block_on(late), "8.1")?;
    expect(trace.steps(), "dropped, elapsed", &trace.steps().join(", "))
}

fn half_a_microsecond() -> Outcome {
    Script::new().begin();
    run(|| block_on(sleep(Duration::from_nanos(1_000_500))), "8.1")
}

fn a_far_deadline() -> Outcome {
    const DAYS: u64 = 40;
    Script::new().begin();
    let timed = async {
        let start = kernel::now();
        sleep(Duration::from_secs(DAYS * 24 * 3600)).await;
        kernel::now() - start
    };
    let days = run(|| block_on(timed), "8.12")?.as_secs() / (24 * 3600);
    // Each wait is as long as it can be.
    let seen = format!("{days} days in {} waits", kernel::parks());
    if seen != format!("{DAYS} days in 2 waits") {
        return fail("8.12", kernel::steps(), format!("{DAYS} days in 2 waits"), seen);
    }
    Ok(())
}

fn timers_of_one_turn() -> Outcome {
    const TIMERS: usize = 10;
    Script::new().begin();
    let all = async {
        let sleeps: Vec<_> = (0..TIMERS).map(|_| spawn(sleep(ms(10)))).collect();
        for sleep in sleeps {
            sleep.await.unwrap();
        }
    };
    run(|| block_on(all), "8.1")?;
    let turns = kernel::count("epoll_wait");
    if turns >= TIMERS {
        let seen = format!("{turns} turns for {TIMERS} timers of one deadline");
        return fail("8.14", kernel::steps(), "1 turn for all timers of one deadline", seen);
    }
    Ok(())
}

fn a_drop_can_drop_a_sleep() -> Outcome {
    Script::new().begin();
    let replaced = async {
        let (_count, waker) = WakeCount::new();
        // Once the waker leaves with its sleep, and once another one replaces it.
        for replaces in [false, true] {
            let mut other = Box::pin(sleep(ms(50)));
            assert!(poll_once(other.as_mut(), &waker).is_pending());
            let drops = on_drop(move || drop(other));
            let mut first = Box::pin(sleep(ms(10)));
            assert!(poll_once(first.as_mut(), &drops).is_pending());
            drop(drops);
            if replaces {
                assert!(poll_once(first.as_mut(), &waker).is_pending());
            }
        }
        sleep(ms(20)).await;
    };
    run(|| block_on(replaced), "8.1")
}

const PICTURE: Picture = Picture {
    title: "Three sleeps, one after the other",
    description: "Three tasks sleep 30, 10 and 20 ms. The loop blocks until the first deadline each time, \
                  and the tasks end in the order of their deadlines.",
    lanes: &["loop", "tasks"],
    run: || {
        Script::new().begin();
        let steps: Rc<std::cell::RefCell<Vec<(usize, String)>>> = Rc::default();
        let (inside, seen) = (Rc::clone(&steps), Rc::new(Cell::new(0)));
        block_on(async move {
            let mut handles = Vec::new();
            for time in [30, 10, 20] {
                let (steps, seen) = (Rc::clone(&inside), Rc::clone(&seen));
                handles.push(spawn(async move {
                    steps.borrow_mut().push((1, format!("sleeps {time} ms")));
                    sleep(ms(time)).await;
                    let calls = probe::kernel_lanes();
                    let new =
                        calls[seen.get()..].iter().filter(|(_, step)| step.starts_with("blocks"));
                    steps.borrow_mut().extend(new.cloned());
                    seen.set(calls.len());
                    steps.borrow_mut().push((1, format!("ends after {time} ms")));
                }));
            }
            for handle in handles {
                handle.await.unwrap();
            }
        });
        steps.take()
    },
};
