//! A clock that is paused, advanced and resumed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::async_yields_async,
    reason = "`block_on` returns futures and handles on purpose"
)]

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::mpsc;
use std::thread;

use wakeful::io::AsyncFd;
use wakeful::spawn;
use wakeful::task::{spawn_blocking, yield_now};
use wakeful::time::{Duration, Instant, advance, pause, resume, sleep, sleep_until};
use wakeful_tests::trace::{
    Trace, alone, pair, panic_of, paused, poll_once, runtime, secs, settle, stderr,
    with_paused_clock,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_paused_clock_stands_still_while_any_task_runs() {
    with_paused_clock(|start| async move {
        let hour = spawn(sleep(secs(3600)));
        for _ in 0..1_000 {
            yield_now().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        hour.await.unwrap();
        assert_eq!(start.elapsed(), secs(3600));
    });
}

#[test]
fn a_paused_clock_jumps_from_deadline_to_deadline_and_skips_none() {
    let trace = Trace::new();
    let words = trace.clone();
    with_paused_clock(|start| async move {
        for seconds in [30, 10, 20] {
            let trace = trace.clone();
            spawn(async move {
                sleep(secs(seconds)).await;
                let mut late = sleep(secs(1));
                assert_eq!(start.elapsed(), secs(seconds), "neither early nor late");
                trace.push(format!("{seconds}"));
                assert!(poll_once(&mut late).await.is_pending());
                late.await;
                trace.push(format!("{}", start.elapsed().as_secs()));
            });
        }
        sleep(secs(60)).await;
    });
    words.expect(&["10", "11", "20", "21", "30", "31"]);
}

#[test]
fn advance_moves_the_clock_in_one_step_and_fires_due_timers() {
    let trace = Trace::new();
    with_paused_clock(|start| {
        let trace = trace.clone();
        async move {
            for seconds in [1, 2, 3] {
                let trace = trace.clone();
                spawn(async move {
                    sleep(secs(seconds)).await;
                    trace.push(format!("{seconds} at {}", start.elapsed().as_secs()));
                });
            }
            settle().await;
            advance(secs(2)).await;
            settle().await;
            assert_eq!(start.elapsed(), secs(2));
            trace.expect(&["1 at 2", "2 at 2"]);
            advance(secs(1)).await;
            settle().await;
        }
    });
    trace.expect(&["3 at 3"]);
}

#[test]
fn a_paused_clock_does_not_jump_while_a_task_waits_for_a_descriptor() {
    let runtime = paused();
    let (here, mut there) = pair();
    let start = runtime.block_on(async { Instant::now() });
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let hour = spawn(sleep(secs(3600)));
        // A thread unknown to the runtime writes a few milliseconds into the wait.
        let (about_to_wait, wait) = mpsc::channel();
        let peer = thread::spawn(move || {
            wait.recv().unwrap();
            thread::sleep(Duration::from_millis(5));
            there.write_all(b"x").unwrap();
        });
        about_to_wait.send(()).unwrap();
        drop(fd.readable().await.unwrap());
        assert_eq!(
            start.elapsed(),
            Duration::ZERO,
            "a wait for a descriptor does not move the clock"
        );
        hour.await.unwrap();
        assert_eq!(start.elapsed(), secs(3600));
        peer.join().unwrap();
    });
}

/// Both waits begin after the clock has jumped, when no task waited for a descriptor.
#[test]
fn a_paused_clock_stops_again_for_a_later_wait_of_a_poll_function() {
    with_paused_clock(|start| async move {
        let (here, there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let mut hours = 0;
        for mut there in [there.try_clone().unwrap(), there] {
            sleep(secs(3600)).await;
            let hour = spawn(sleep(secs(3600)));
            let peer = thread::spawn(move || {
                thread::sleep(Duration::from_millis(5));
                there.write_all(b"x").unwrap();
            });
            let mut guard = poll_fn(|cx| fd.poll_read_ready(cx)).await.unwrap();
            let read = guard.try_io(|fd| fd.get_ref().read(&mut [0; 8]));
            guard.short_transfer();
            assert_eq!(read.unwrap().unwrap(), 1);
            assert_eq!(start.elapsed(), secs((hours + 1) * 3600));
            hour.await.unwrap();
            peer.join().unwrap();
            hours += 2;
        }
        assert_eq!(start.elapsed(), secs(hours * 3600));
    });
}

/// If each jump searched all tasks and all sources, this would take minutes.
#[test]
fn twenty_thousand_deadlines_cost_one_jump_and_one_poll_each() {
    const TASKS: u64 = 20_000;
    with_paused_clock(|start| async move {
        let mut idle = Vec::new();
        for _ in 0..100 {
            let (here, there) = pair();
            idle.push((AsyncFd::new(here).unwrap(), there));
        }
        let sleepers: Vec<_> = (1..=TASKS)
            .map(|second| spawn(sleep(secs(second))))
            .collect();
        settle().await;
        let before = wakeful::metrics();
        for sleeper in sleepers {
            sleeper.await.unwrap();
        }
        let polls = wakeful::metrics().polls - before.polls;
        assert_eq!(start.elapsed(), secs(TASKS));
        // The sleepers and the root future, which joins each of them.
        assert!(polls <= 2 * TASKS, "{polls} polls");
    });
}

#[test]
fn a_paused_clock_does_not_jump_while_a_blocking_closure_runs() {
    with_paused_clock(|start| async move {
        let hour = spawn(sleep(secs(3600)));
        let blocking = spawn_blocking(|| thread::sleep(Duration::from_millis(5)));
        blocking.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        hour.await.unwrap();
        assert_eq!(start.elapsed(), secs(3600));
    });
}

#[test]
fn a_paused_clock_jumps_while_an_aborted_blocking_closure_runs() {
    let (release, blocked) = mpsc::channel::<()>();
    with_paused_clock(|start| async move {
        let blocking = spawn_blocking(move || blocked.recv().ok());
        settle().await;
        blocking.abort();
        sleep(secs(3600)).await;
        assert_eq!(start.elapsed(), secs(3600));
    });
    drop(release);
}

#[test]
fn due_timers_fire_while_a_task_waits_for_a_descriptor() {
    // The clock must not jump here, but a timer that is already due fires: after an `advance` that
    // was not awaited, and after a `pause` past the deadline.
    let (here, _there) = pair();
    paused().block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let reader = spawn(async move { drop(fd.readable().await) });
        let second = spawn(sleep(secs(1)));
        settle().await;
        drop(advance(secs(1)));
        second.await.unwrap();
        reader.abort();
    });
    let (here, _there) = pair();
    runtime().block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let reader = spawn(async move { drop(fd.readable().await) });
        let soon = spawn(sleep(Duration::from_micros(100)));
        // One turn instead of the usual four, so that the timer is armed and not yet expired.
        yield_now().await;
        thread::sleep(Duration::from_millis(1));
        pause();
        soon.await.unwrap();
        reader.abort();
    });
}

#[test]
fn a_clock_can_be_paused_and_resumed_without_a_jump() {
    runtime().block_on(async {
        let start = Instant::now();
        pause();
        let paused_at = Instant::now();
        advance(secs(3600)).await;
        assert_eq!(paused_at.elapsed(), secs(3600));
        assert!(start.elapsed() >= secs(3600));
        resume();
        let running = Instant::now();
        assert!(
            running.duration_since(paused_at) >= secs(3600),
            "the clock went back"
        );
        sleep(Duration::from_millis(1)).await;
        assert!(running.elapsed() >= Duration::from_millis(1));
        pause();
        let again = Instant::now();
        assert!(again.duration_since(running) >= Duration::from_millis(1));
        sleep(secs(1)).await;
        assert_eq!(again.elapsed(), secs(1));
    });
}

#[test]
fn a_clock_at_its_maximum_does_not_go_back() {
    runtime().block_on(async {
        pause();
        let start = Instant::now();
        advance(Duration::MAX).await;
        let end = Instant::now();
        assert!(end.duration_since(start) > 100 * 365 * DAY);
        advance(Duration::MAX).await;
        assert_eq!(Instant::now(), end);
        resume();
        assert!(Instant::now() >= end, "resume moved the clock back");
        sleep(Duration::ZERO).await;
        pause();
        assert!(Instant::now() >= end);
    });
}

#[test]
fn invalid_clock_operations_panic_with_operation_and_cause() {
    runtime().block_on(async {
        let text = panic_of(|| advance(secs(1)));
        assert!(text.contains("not paused"), "{text}");
        assert!(
            text.contains("time::advance") && text.contains(&format!("{}:", file!())),
            "{text}"
        );
        let text = panic_of(resume);
        assert!(text.contains("not paused"), "{text}");
        pause();
        let text = panic_of(pause);
        assert!(
            text.contains("paused") && !text.contains("not paused"),
            "{text}"
        );
        advance(Duration::ZERO).await;
    });
}

#[test]
fn each_runtime_has_its_own_clock() {
    let (paused, running) = (paused(), runtime());
    let before = paused.block_on(async {
        let start = Instant::now();
        advance(secs(3600)).await;
        start
    });
    let elapsed = running.block_on(async move { before.elapsed() });
    assert!(elapsed < secs(1800), "{elapsed:?}");
    assert!(
        before.elapsed() < secs(1800),
        "outside a runtime the system's clock is used"
    );
    let elapsed = paused.block_on(async move { before.elapsed() });
    assert_eq!(elapsed, secs(3600));
}

#[test]
fn instant_arithmetic_does_not_overflow() {
    with_paused_clock(|start| async move {
        let later = start + secs(5);
        assert_eq!(later - start, secs(5));
        assert_eq!(start - later, Duration::ZERO, "subtraction saturates");
        assert_eq!(later.duration_since(start), secs(5));
        assert_eq!(start.checked_duration_since(later), None);
        assert_eq!(start.saturating_duration_since(later), Duration::ZERO);
        assert_eq!(later - secs(5), start);
        assert_eq!(start.checked_add(Duration::MAX), None);
        assert_eq!(start.checked_sub(Duration::MAX), None);
        let mut moved = start;
        moved += secs(7);
        moved -= secs(2);
        assert_eq!(moved, later);
        let std: std::time::Instant = later.into();
        assert_eq!(Instant::from(std), later);
        assert_eq!(Instant::from_std(later.into_std()), later);
        assert!(start < later);
        sleep_until(later).await;
        assert_eq!(Instant::now(), later);
    });
}

#[test]
fn a_deadline_beyond_the_clocks_range_never_comes() {
    const YEAR: u64 = 31_556_952;
    with_paused_clock(|start| async move {
        let never = spawn(sleep(Duration::MAX));
        let far = start + secs(1000 * YEAR);
        let late = spawn(async move {
            sleep_until(far).await;
            Instant::now() >= far
        });
        for _ in 0..3 {
            advance(secs(600 * YEAR)).await;
            settle().await;
        }
        assert!(!never.is_finished());
        assert!(!late.is_finished(), "the clock ends before its deadline");
    });
}

#[test]
fn with_auto_advance_despite_io_the_clock_jumps_although_a_task_waits_for_a_descriptor() {
    let builder = wakeful::runtime::Builder::new().start_paused(true);
    let runtime = builder.auto_advance_despite_io(true).build().unwrap();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        drop(fd.writable().await.unwrap());
        let start = Instant::now();
        let waits = wakeful::time::timeout(secs(5), fd.readable()).await;
        assert!(waits.is_err());
        assert_eq!(start.elapsed(), secs(5));
        // An event that has come is taken before the jump.
        there.write_all(b"x").unwrap();
        let waits = wakeful::time::timeout(secs(5), fd.readable()).await;
        assert!(waits.is_ok());
        assert_eq!(start.elapsed(), secs(5));
    });
}

/// Takes a second of real time, which is what it tests.
#[test]
fn a_paused_clock_that_cannot_move_says_so_once() {
    let Some(output) = alone(|| {
        let (here, mut there) = pair();
        let later = thread::spawn(move || {
            thread::sleep(std::time::Duration::from_millis(2500));
            there.write_all(b"x").unwrap();
        });
        paused().block_on(async {
            let fd = AsyncFd::new(here).unwrap();
            let limit = wakeful::time::timeout(secs(5), fd.readable());
            assert!(limit.await.is_ok(), "the clock does not jump");
        });
        later.join().unwrap();
    }) else {
        return;
    };
    let text = stderr(&output);
    assert_eq!(
        text.matches("a paused clock has not moved").count(),
        1,
        "{text}"
    );
    assert!(text.contains("the root future waits for fd "), "{text}");
    assert!(
        text.contains("in timeout at tests/tests/time_paused.rs"),
        "{text}"
    );
    assert!(text.contains("the next timer is due in 5s"), "{text}");
}

#[test]
fn a_paused_clock_that_waits_in_a_poll_function_says_so() {
    let Some(output) = alone(|| {
        let (here, mut there) = pair();
        let later = thread::spawn(move || {
            thread::sleep(std::time::Duration::from_millis(1500));
            there.write_all(b"x").unwrap();
        });
        paused().block_on(async {
            let fd = AsyncFd::new(here).unwrap();
            let reader = spawn(async move { poll_fn(|cx| fd.poll_read_ready(cx).map(drop)).await });
            let limit = wakeful::time::timeout(secs(5), reader);
            assert!(limit.await.is_ok(), "the clock does not jump");
        });
        later.join().unwrap();
    }) else {
        return;
    };
    let text = stderr(&output);
    assert!(text.contains("task 1.0 waits for fd "), "{text}");
    assert!(text.contains(", in AsyncFd::poll_read_ready at "), "{text}");
}

/// The option for descriptors is not recommended for a closure, because it changes nothing there.
#[test]
fn a_paused_clock_that_waits_for_a_closure_says_so() {
    let Some(output) = alone(|| {
        let runtime = wakeful::runtime::Builder::new().start_paused(true);
        let runtime = runtime.auto_advance_despite_io(true).build().unwrap();
        runtime.block_on(async {
            let closure = spawn_blocking(|| thread::sleep(Duration::from_millis(1500)));
            let limit = wakeful::time::timeout(secs(5), closure);
            assert!(limit.await.is_ok(), "the clock does not jump");
        });
    }) else {
        return;
    };
    let text = stderr(&output);
    assert!(
        text.contains("a blocking closure or a name lookup runs"),
        "{text}"
    );
    assert!(text.contains("the next timer is due in 5s"), "{text}");
    assert!(!text.contains("auto_advance_despite_io"), "{text}");
}

/// Events that wake no task end the wait early, and a new one begins.
#[test]
fn a_paused_clock_is_not_reported_before_a_whole_second() {
    let Some(output) = alone(|| {
        let (here, mut there) = pair();
        let (idle, mut stirring) = pair();
        let peer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            stirring.write_all(b"not read").unwrap();
            thread::sleep(Duration::from_millis(100));
            there.write_all(b"x").unwrap();
        });
        paused().block_on(async {
            let (fd, _idle) = (AsyncFd::new(here).unwrap(), AsyncFd::new(idle).unwrap());
            let limit = wakeful::time::timeout(secs(5), fd.readable());
            assert!(limit.await.is_ok());
        });
        peer.join().unwrap();
    }) else {
        return;
    };
    let text = stderr(&output);
    assert!(!text.contains("a paused clock has not moved"), "{text}");
}

/// Each time that nothing can run, a turn looks for events before the clock jumps.
#[test]
fn with_auto_advance_despite_io_every_jump_comes_after_a_look() {
    let builder = wakeful::runtime::Builder::new().start_paused(true);
    let runtime = builder.auto_advance_despite_io(true).build().unwrap();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        drop(fd.writable().await.unwrap());
        let start = Instant::now();
        for _ in 0..5 {
            // The turn that looks finds this byte.
            there.write_all(b"x").unwrap();
            let mut guard = wakeful::time::timeout(secs(5), fd.readable()).await;
            let guard = guard.as_mut().unwrap().as_mut().unwrap();
            let read = guard.try_io(|fd| std::io::Read::read(&mut fd.get_ref(), &mut [0; 8]));
            assert_eq!(read.unwrap().unwrap(), 1);
            guard.short_transfer();
        }
        assert_eq!(start.elapsed(), secs(0));
    });
}
