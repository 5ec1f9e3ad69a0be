//! Time: any duration, never early, in order, and missed ticks of intervals. Only one test here waits
//! for real time to pass.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::async_yields_async,
    reason = "`block_on` returns futures and handles on purpose"
)]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::runtime::Runtime;
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful::time::{
    Duration, Instant, Interval, MissedTickBehavior, Sleep, advance, interval, interval_at, sleep,
    sleep_until, timeout, timeout_at,
};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, my_waker, on_drop, panic_of, paused, poll_once, poll_with, runtime, secs,
    settle, with_paused_clock,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

// --- durations --------------------------------------------------------------------------------------

#[test]
fn a_sleep_of_any_length_ends_exactly_at_its_deadline() {
    with_paused_clock(|_| async {
        for duration in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_nanos(999_999),
            Duration::from_millis(1),
            Duration::from_nanos(1_000_001),
            secs(1),
            // Longer than 31 and 32 bits of epoll_wait's milliseconds can hold.
            25 * DAY,
            50 * DAY,
            365 * 100 * DAY,
        ] {
            let start = Instant::now();
            sleep(duration).await;
            assert_eq!(start.elapsed(), duration);
        }
    });
}

#[test]
fn a_sleep_without_a_limit_stays_pending_while_others_end() {
    let trace = Trace::new();
    with_paused_clock(|start| {
        let trace = trace.clone();
        async move {
            for (name, forever) in [
                ("sleep", sleep(Duration::MAX)),
                (
                    "until",
                    sleep_until(start + Duration::from_secs(u64::MAX / 4)),
                ),
            ] {
                let trace = trace.clone();
                spawn(async move {
                    forever.await;
                    trace.push(name);
                });
            }
            let limited = {
                let trace = trace.clone();
                spawn(async move {
                    let elapsed = timeout(Duration::MAX, pending::<()>()).await;
                    trace.push(format!("{elapsed:?}"));
                })
            };
            for _ in 0..5 {
                sleep(365 * 100 * DAY).await;
            }
            limited.abort();
        }
    });
    trace.expect(&[]);
}

#[test]
fn a_sleep_without_a_limit_stays_pending_when_no_other_timer_is_armed() {
    let (give, take) = mpsc::channel::<Waker>();
    let other = thread::spawn(move || {
        let waker = take.recv().unwrap();
        // The loop has parked, or is about to.
        thread::sleep(Duration::from_millis(5));
        waker.wake();
    });
    with_paused_clock(|_| async move {
        let mut forever = sleep(Duration::MAX);
        let mut sent = false;
        poll_fn(|cx| {
            assert!(
                Pin::new(&mut forever).poll(cx).is_pending(),
                "the sleep has ended"
            );
            if std::mem::replace(&mut sent, true) {
                return Poll::Ready(());
            }
            give.send(cx.waker().clone()).unwrap();
            Poll::Pending
        })
        .await;
    });
    other.join().unwrap();
}

#[test]
fn a_deadline_in_the_past_is_ready_at_once() {
    with_paused_clock(|start| async move {
        sleep(secs(10)).await;
        for deadline in [start, start + secs(9), start + secs(10)] {
            assert!(poll_once(&mut sleep_until(deadline)).await.is_ready());
        }
        assert!(poll_once(&mut sleep(Duration::ZERO)).await.is_ready());
        let nearly = start + secs(10) + Duration::from_nanos(1);
        assert!(poll_once(&mut sleep_until(nearly)).await.is_pending());
        assert_eq!(start.elapsed(), secs(10));
    });
}

#[test]
fn a_sleep_counts_from_its_call_and_not_from_its_first_poll() {
    with_paused_clock(|start| async move {
        let early = sleep(secs(5));
        assert_eq!(early.deadline(), start + secs(5));
        sleep(secs(3)).await;
        assert!(!early.is_elapsed());
        early.await;
        assert_eq!(start.elapsed(), secs(5));
        let late = sleep(secs(1));
        sleep(secs(2)).await;
        assert!(late.is_elapsed());
        late.await;
        assert_eq!(start.elapsed(), secs(7));
    });
}

#[test]
fn with_the_real_clock_a_timer_is_never_early_and_does_not_spin() {
    runtime().block_on(async {
        for micros in [1, 50, 300, 1_000, 2_500, 10_000] {
            let duration = Duration::from_micros(micros);
            let turns = wakeful::metrics().turns;
            let start = std::time::Instant::now();
            sleep(duration).await;
            assert!(
                start.elapsed() >= duration,
                "{micros} us: {:?}",
                start.elapsed()
            );
            let turns = wakeful::metrics().turns - turns;
            assert!(turns <= 3, "{turns} turns in a sleep of {micros} us");
        }
        assert!(
            timeout(Duration::from_millis(2), pending::<()>())
                .await
                .is_err()
        );
        assert_eq!(timeout(secs(60), ready(1)).await, Ok(1));
    });
}

// --- order ------------------------------------------------------------------------------------------

/// Spawns a task that sleeps and then records its name.
fn sleeper(trace: &Trace, name: impl Into<String>, duration: Duration) {
    let (trace, name) = (trace.clone(), name.into());
    spawn(async move {
        sleep(duration).await;
        trace.push(name);
    });
}

#[test]
fn timers_fire_by_deadline_and_equal_deadlines_in_order_of_creation() {
    let trace = Trace::new();
    with_paused_clock(|_| {
        let trace = trace.clone();
        async move {
            for (name, seconds) in [("c", 3), ("a1", 1), ("b", 2), ("a2", 1), ("a3", 1)] {
                sleeper(&trace, name, secs(seconds));
            }
            settle().await;
            // One jump over all deadlines.
            advance(secs(10)).await;
            settle().await;
        }
    });
    trace.expect(&["a1", "a2", "a3", "b", "c"]);
}

#[test]
fn ten_thousand_equal_deadlines_all_fire_in_order() {
    let trace = Trace::new();
    with_paused_clock(|start| {
        let trace = trace.clone();
        async move {
            for number in 0..10_000 {
                sleeper(&trace, number.to_string(), secs(7));
            }
            sleep(secs(8)).await;
            while wakeful::metrics().num_alive_tasks > 0 {
                yield_now().await;
            }
            assert_eq!(start.elapsed(), secs(8));
        }
    });
    let expected: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    assert_eq!(trace.take(), expected);
}

#[test]
fn of_100_000_timers_half_are_cancelled_and_the_rest_fire_by_deadline() {
    const TIMERS: usize = 100_000;
    with_paused_clock(|start| async move {
        // Deadlines spread over an hour by a multiplicative walk.
        let deadline = |number: usize| Duration::from_millis((number * 48_271 % 3_600_000) as u64);
        let mut timers: Vec<Sleep> = (0..TIMERS).map(|n| sleep(deadline(n))).collect();
        let wakes = Wakes::new();
        let waker = wakes.waker();
        let mut waiting = 0;
        for timer in &mut timers {
            waiting += usize::from(poll_with(timer, &waker).is_pending());
        }
        assert_eq!(wakeful::metrics().timers_armed, waiting as u64);
        // Drops every second timer.
        let mut kept = Vec::new();
        for (number, timer) in timers.into_iter().enumerate() {
            if number % 2 == 0 {
                kept.push((deadline(number), timer));
            }
        }
        let armed = wakeful::metrics().timers_armed as usize;
        assert!((kept.len() - 100..=kept.len()).contains(&armed));
        for minutes in 1..=60 {
            sleep_until(start + secs(60 * minutes)).await;
            let now = start.elapsed();
            for (deadline, timer) in &mut kept {
                let polled = poll_with(timer, &waker);
                assert_eq!(
                    polled.is_ready(),
                    *deadline <= now,
                    "due at {deadline:?}, now {now:?}"
                );
                if polled.is_ready() {
                    *timer = sleep(2 * 24 * secs(3600));
                    *deadline = now + 2 * 24 * secs(3600);
                }
            }
        }
        drop(kept);
        assert_eq!(wakeful::metrics().timers_armed, 0);
        assert_eq!(wakes.alive(), 1, "a timer has kept a waker");
    });
}

#[test]
fn a_dropped_timer_does_not_fire() {
    with_paused_clock(|_| async {
        let wakes = Wakes::new();
        let mut dropped = sleep(secs(1));
        assert!(poll_with(&mut dropped, &wakes.waker()).is_pending());
        assert_eq!((wakes.alive(), wakeful::metrics().timers_armed), (1, 1));
        drop(dropped);
        assert_eq!((wakes.alive(), wakeful::metrics().timers_armed), (0, 0));
        sleep(secs(2)).await;
        assert_eq!(wakes.count(), 0);
    });
}

#[test]
fn reset_moves_the_deadline_later_earlier_and_from_ready_to_pending() {
    with_paused_clock(|start| async move {
        let mut moved = sleep(secs(10));
        assert!(poll_once(&mut moved).await.is_pending());
        Pin::new(&mut moved).reset(start + secs(20));
        assert!(poll_once(&mut moved).await.is_pending());
        sleep(secs(15)).await;
        assert!(poll_once(&mut moved).await.is_pending(), "later");
        Pin::new(&mut moved).reset(start + secs(16));
        assert_eq!(moved.deadline(), start + secs(16));
        (&mut moved).await;
        assert_eq!(start.elapsed(), secs(16), "earlier");
        Pin::new(&mut moved).reset(start + secs(17));
        (&mut moved).await;
        assert_eq!(start.elapsed(), secs(17), "again");
        Pin::new(&mut moved).reset(start);
        assert!(poll_once(&mut moved).await.is_ready(), "into the past");
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

/// Two tasks share a sleep. One waits for it, and the other resets it.
#[test]
fn reset_moves_the_deadline_of_a_task_that_waits() {
    for (first, second) in [(1000, 7), (7, 1000), (1000, 0)] {
        with_paused_clock(|start| async move {
            let shared = Rc::new(RefCell::new(Box::pin(sleep(secs(first)))));
            let waiter = spawn({
                let shared = Rc::clone(&shared);
                async move {
                    poll_fn(|cx| shared.borrow_mut().as_mut().poll(cx)).await;
                    start.elapsed()
                }
            });
            settle().await;
            let deadline = start + secs(second);
            shared.borrow_mut().as_mut().reset(deadline);
            assert_eq!(waiter.await.unwrap(), secs(second));
            assert_eq!(wakeful::metrics().timers_armed, 0);
        });
    }
}

/// As above, where the runtime of the timer is not the current one.
#[test]
fn reset_outside_of_its_runtime_moves_the_deadline_of_a_task_that_waits() {
    type Shared = Arc<Mutex<Pin<Box<Sleep>>>>;
    fn reset(sleep: &Shared, deadline: Instant) {
        sleep.lock().unwrap().as_mut().reset(deadline);
    }
    let on_a_thread = |sleep: Shared, deadline| {
        thread::spawn(move || reset(&sleep, deadline))
            .join()
            .unwrap();
    };
    let in_another_runtime = |sleep: Shared, deadline| {
        let other = runtime();
        let _entered = other.enter();
        reset(&sleep, deadline);
    };
    for reset in [on_a_thread as fn(_, _), in_another_runtime] {
        for (first, second) in [(1000, 7), (7, 1000), (1000, 0)] {
            with_paused_clock(|start| async move {
                let shared: Shared = Arc::new(Mutex::new(Box::pin(sleep(secs(first)))));
                let polled = Arc::clone(&shared);
                let waiter = spawn(async move {
                    poll_fn(|cx| polled.lock().unwrap().as_mut().poll(cx)).await;
                    start.elapsed()
                });
                settle().await;
                reset(shared, start + secs(second));
                let waited = timeout(secs(2000), waiter).await;
                assert_eq!(waited.expect("it is woken").unwrap(), secs(second));
                assert_eq!(wakeful::metrics().timers_armed, 0);
            });
        }
    }
}

#[test]
fn reset_cancels_the_wake_of_the_old_deadline() {
    with_paused_clock(|start| async move {
        let wakes = Wakes::new();
        let mut moved = sleep(secs(1));
        assert!(poll_with(&mut moved, &wakes.waker()).is_pending());
        Pin::new(&mut moved).reset(start + secs(5));
        assert_eq!(wakeful::metrics().timers_armed, 1);
        sleep(secs(2)).await;
        assert_eq!(wakes.count(), 0);
        assert!(poll_with(&mut moved, &wakes.waker()).is_pending());
        sleep(secs(5)).await;
        assert_eq!(wakes.count(), 1);
    });
}

#[test]
fn a_timer_that_fires_while_its_task_is_aborted_has_no_effect() {
    let trace = Trace::new();
    with_paused_clock(|_| {
        let trace = trace.clone();
        async move {
            let task = spawn({
                let trace = trace.clone();
                async move {
                    let _local = trace.on_drop("dropped");
                    sleep(secs(1)).await;
                    trace.push("slept");
                }
            });
            settle().await;
            // The abort is queued first; then the timer fires, before the task is polled.
            task.abort();
            drop(advance(secs(1)));
            assert!(task.await.unwrap_err().is_cancelled());
            settle().await;
        }
    });
    trace.expect(&["dropped"]);
}

#[test]
fn a_waker_can_drop_another_timer_that_fires_in_the_same_turn() {
    thread_local! {
        static VICTIM: RefCell<Option<Sleep>> = const { RefCell::new(None) };
    }
    with_paused_clock(|_| async {
        let drops_it = Hooks::new().on_wake(|| drop(VICTIM.take())).waker();
        let wakes = Wakes::new();
        let (mut first, mut victim) = (sleep(secs(1)), sleep(secs(1)));
        let mut later = sleep(secs(2));
        assert!(poll_with(&mut first, &drops_it).is_pending());
        assert!(poll_with(&mut victim, &wakes.waker()).is_pending());
        assert!(poll_with(&mut later, &wakes.waker()).is_pending());
        VICTIM.set(Some(victim));
        sleep(secs(1)).await;
        assert!(VICTIM.take().is_none());
        assert!(wakes.count() <= 1, "at most one spurious wake");
        let before = wakes.count();
        sleep(secs(1)).await;
        assert_eq!(wakes.count(), before + 1);
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

// --- timeouts ---------------------------------------------------------------------------------------

#[test]
fn a_timeout_returns_the_value_or_elapsed() {
    with_paused_clock(|start| async move {
        let in_time = timeout(secs(2), async {
            sleep(secs(1)).await;
            "value"
        });
        assert_eq!(in_time.await, Ok("value"));
        assert_eq!(start.elapsed(), secs(1));
        let elapsed = timeout(secs(2), sleep(secs(3))).await.unwrap_err();
        assert_eq!(start.elapsed(), secs(3));
        assert_eq!(elapsed.to_string(), "deadline has elapsed");
        assert_eq!(
            std::io::Error::from(elapsed).kind(),
            std::io::ErrorKind::TimedOut
        );
        assert!(timeout_at(start + secs(4), pending::<()>()).await.is_err());
        assert_eq!(start.elapsed(), secs(4));
        assert_eq!(
            timeout_at(start, ready(1)).await,
            Ok(1),
            "the future is polled first"
        );
        assert!(timeout_at(start, pending::<()>()).await.is_err());
        let same_deadline = timeout(secs(1), sleep(secs(1))).await;
        assert_eq!(same_deadline, Ok(()), "the future is polled first");
    });
}

#[test]
fn into_inner_returns_the_future_of_an_elapsed_timeout() {
    with_paused_clock(|_| async {
        let trace = Trace::new();
        let held = trace.on_drop("dropped");
        let mut limited = timeout(
            secs(1),
            Box::pin(async move {
                let _held = held;
                pending::<()>().await;
            }),
        );
        assert!(poll_fn(|cx| Pin::new(&mut limited).poll(cx)).await.is_err());
        trace.expect(&[]);
        let mut future = limited.into_inner();
        assert!(poll_once(&mut future).await.is_pending());
        drop(future);
        trace.expect(&["dropped"]);
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

#[test]
fn a_timeout_that_does_not_elapse_leaves_no_armed_timer() {
    with_paused_clock(|_| async {
        assert_eq!(timeout(secs(1), ready(1)).await, Ok(1));
        assert_eq!(wakeful::metrics().timers_armed, 0);
        let task = spawn(timeout(secs(1), yield_now()));
        task.await.unwrap().unwrap();
        assert_eq!(wakeful::metrics().timers_armed, 0);
        assert_eq!(wakeful::metrics().timers_fired, 0);
    });
}

// --- intervals --------------------------------------------------------------------------------------

/// Receives `count` ticks and is busy until second 35 after the second one. Returns, in seconds
/// after the start, when each tick was received and when it was due.
async fn ticks(mut interval: Interval, start: Instant, count: usize) -> Vec<(u64, u64)> {
    let mut seen = Vec::new();
    for tick in 0..count {
        let due = interval.tick().await;
        let since = |instant: Instant| instant.duration_since(start).as_secs();
        seen.push((start.elapsed().as_secs(), since(due)));
        if tick == 1 {
            sleep_until(start + secs(35)).await;
        }
    }
    seen
}

#[test]
fn an_interval_ticks_at_once_and_then_every_period() {
    with_paused_clock(|start| async move {
        let mut interval = interval(secs(10));
        assert_eq!(interval.period(), secs(10));
        assert_eq!(interval.missed_tick_behavior(), MissedTickBehavior::Burst);
        for tick in 0..5 {
            let due = interval.tick().await;
            assert_eq!(due, start + secs(10 * tick));
            assert_eq!(start.elapsed(), secs(10 * tick));
        }
    });
}

#[test]
fn burst_makes_up_for_missed_ticks() {
    let seen = with_paused_clock(|start| ticks(interval(secs(10)), start, 7));
    let expected = [
        (0, 0),
        (10, 10),
        (35, 20),
        (35, 30),
        (40, 40),
        (50, 50),
        (60, 60),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn delay_counts_periods_from_the_late_tick() {
    let seen = with_paused_clock(|start| {
        let mut interval = interval(secs(10));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks(interval, start, 6)
    });
    assert_eq!(
        seen,
        [(0, 0), (10, 10), (35, 20), (45, 45), (55, 55), (65, 65)]
    );
}

#[test]
fn skip_omits_missed_ticks_and_keeps_the_schedule() {
    let seen = with_paused_clock(|start| {
        let mut interval = interval(secs(10));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks(interval, start, 6)
    });
    assert_eq!(
        seen,
        [(0, 0), (10, 10), (35, 20), (40, 40), (50, 50), (60, 60)]
    );
}

#[test]
fn skip_does_not_repeat_a_tick_that_is_late_by_whole_periods() {
    with_paused_clock(|start| async move {
        let mut interval = interval(secs(10));
        interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
        interval.tick().await;
        sleep_until(start + secs(30)).await;
        let mut received = Vec::new();
        for _ in 0..3 {
            interval.tick().await;
            received.push(start.elapsed().as_secs());
        }
        assert_eq!(received, [30, 40, 50]);
    });
}

#[test]
fn a_slightly_late_tick_is_not_missed() {
    with_paused_clock(|_| async move {
        for behavior in [MissedTickBehavior::Delay, MissedTickBehavior::Skip] {
            let start = Instant::now();
            let mut interval = interval(secs(1));
            interval.set_missed_tick_behavior(behavior);
            for tick in 0..5 {
                let due = interval.tick().await;
                assert_eq!(due.duration_since(start), secs(tick), "{behavior:?}");
                // Busy until 4 milliseconds after the next tick.
                sleep_until(due + Duration::from_millis(1_004)).await;
            }
        }
    });
}

#[test]
fn interval_at_starts_at_the_given_instant_and_can_be_reset() {
    with_paused_clock(|start| async move {
        let at = |seconds| start + secs(seconds);
        let mut interval = interval_at(at(5), secs(10));
        assert_eq!(interval.tick().await, at(5));
        sleep(secs(3)).await;
        interval.reset();
        assert_eq!(interval.tick().await, at(18));
        interval.reset_immediately();
        assert_eq!(interval.tick().await, at(18));
        interval.reset_after(secs(2));
        assert_eq!(interval.tick().await, at(20));
        interval.reset_at(at(21));
        assert_eq!(interval.tick().await, at(21));
        assert_eq!(interval.tick().await, at(31));
        assert_eq!(start.elapsed(), secs(31));
    });
}

#[test]
fn a_cancelled_tick_stays_due() {
    with_paused_clock(|start| async move {
        let mut interval = interval(secs(10));
        interval.tick().await;
        assert!(timeout(secs(5), interval.tick()).await.is_err());
        assert!(timeout(secs(3), interval.tick()).await.is_err());
        assert_eq!(interval.tick().await, start + secs(10));
    });
}

#[test]
fn a_zero_period_panics_and_the_longest_ticks_once() {
    with_paused_clock(|start| async move {
        let text = panic_of(|| interval(Duration::ZERO));
        assert!(text.contains("zero"), "{text}");
        let text = panic_of(|| interval_at(start, Duration::ZERO));
        assert!(text.contains("zero"), "{text}");
        for behavior in [
            MissedTickBehavior::Burst,
            MissedTickBehavior::Delay,
            MissedTickBehavior::Skip,
        ] {
            let mut interval = interval(Duration::MAX);
            interval.set_missed_tick_behavior(behavior);
            sleep(secs(10)).await;
            interval.tick().await;
            assert!(
                timeout(365 * DAY, interval.tick()).await.is_err(),
                "{behavior:?}"
            );
        }
    });
}

// --- on other threads -------------------------------------------------------------------------------

#[test]
fn a_sleep_can_be_dropped_on_another_thread() {
    let runtime = paused();
    runtime.block_on(async {
        let wakes = Wakes::new();
        let mut hour = sleep(secs(3600));
        assert!(poll_with(&mut hour, &wakes.waker()).is_pending());
        thread::spawn(move || drop(hour)).join().unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().timers_armed, 0);
        assert_eq!(wakes.alive(), 0, "the waker was not dropped");
    });
}

#[test]
fn an_unpolled_sleep_can_be_polled_on_another_runtime() {
    let never_armed = runtime().block_on(async { sleep(Duration::from_millis(1)) });
    wakeful::block_on(never_armed);
}

#[test]
fn timers_fire_in_boxed_pinned_and_hand_joined_futures() {
    // Sleeps in a future pinned on the stack and in a boxed one, both polled by hand.
    let runtime: Runtime = paused();
    let done = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let counted = {
            let done = Rc::clone(&done);
            async move {
                sleep(secs(1)).await;
                done.set(done.get() + 1);
            }
        };
        let mut pinned = pin!(counted);
        let mut boxed = Box::pin(sleep(secs(2)));
        let mut first = false;
        poll_fn(|cx| {
            first = first || pinned.as_mut().poll(cx).is_ready();
            let second = boxed.as_mut().poll(cx).is_ready();
            if first && second {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        let dropped = on_drop(|| done.set(done.get() + 1));
        drop(dropped);
        let waker = my_waker().await;
        let mut last = sleep(secs(1));
        assert!(
            Pin::new(&mut last)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        last.await;
        assert!(poll_with(&mut sleep(Duration::ZERO), Waker::noop()).is_ready());
    });
    assert_eq!(done.get(), 2);
}
