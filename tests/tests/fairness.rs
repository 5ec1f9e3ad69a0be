//! Fairness, in the numbers that the documentation states: 61 polls between two turns, 128
//! operations per poll, 256 events per turn; and a yield goes behind all pending work.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::io::{AsyncFd, Interest, copy, duplex};
use wakeful::runtime::{Builder, Runtime};
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::{JoinSet, consume_budget, yield_now};
use wakeful::time::{Instant, advance, interval, sleep, sleep_until, timeout};
use wakeful::{Shutdown, spawn};
use wakeful_net::UdpSocket;
use wakeful_tests::net_support::tcp_and_std;
use wakeful_tests::trace::{Trace, pair, paused, runtime, secs, settle};

/// Polls between two turns, as documented.
const EVENT_INTERVAL: u64 = 61;
/// Operations per poll, as documented.
const IO_BUDGET: u64 = 128;
/// Operations after which a test gives up, so that it fails without a budget instead of hanging.
const OPERATIONS_AT_MOST: u64 = 10_000;

/// A future that is polled while another runtime is entered, as an adapter for that runtime does.
#[test]
fn the_budget_holds_while_another_runtime_is_entered() {
    let other = runtime();
    runtime().block_on(async {
        let ran = Rc::new(Cell::new(0));
        let counted = Rc::clone(&ran);
        spawn(async move {
            loop {
                counted.set(counted.get() + 1);
                yield_now().await;
            }
        });
        let mut busy = Box::pin(async {
            for _ in 0..10 * IO_BUDGET {
                consume_budget().await;
            }
        });
        poll_fn(|cx| {
            let _entered = other.enter();
            busy.as_mut().poll(cx)
        })
        .await;
        assert!(ran.get() >= 9, "another task ran {} times", ran.get());
    });
}

// --- polls between two turns ------------------------------------------------------------------------

/// Spawns four tasks that wake themselves in every poll, and returns the count of their polls,
/// which is also passed to `at`.
fn spin(runtime: &Runtime, mut at: impl FnMut(u64) + Clone + 'static) -> Rc<Cell<u64>> {
    let polls = Rc::new(Cell::new(0));
    for _ in 0..4 {
        let (polls, mut at) = (Rc::clone(&polls), at.clone());
        runtime.spawn(poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            at(polls.get());
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    }
    at(0);
    polls
}

/// The most polls between an event and the poll of its task: the rest of this tick, and the four
/// spinning tasks that are ahead in the queue.
const MOST_POLLS: u64 = EVENT_INTERVAL + 4;

/// Runs four spinning tasks, one of which calls `make_ready` in the poll with the given number.
/// Returns the number of their polls until `waiting` was ready.
fn polls_until_ready<F>(
    runtime: &Runtime,
    at_poll: u64,
    make_ready: impl FnOnce() + 'static,
    waiting: F,
) -> u64
where
    F: Future + 'static,
{
    let make_ready = Rc::new(RefCell::new(Some(make_ready)));
    let polls = spin(runtime, move |poll| {
        if poll == at_poll {
            (make_ready.take().expect("called once"))();
        }
    });
    let waiter = runtime.spawn(async move {
        drop(waiting.await);
        polls.get()
    });
    runtime.block_on(waiter).unwrap() - at_poll
}

#[test]
fn a_sockets_task_is_polled_within_61_polls_of_tasks_that_never_wait() {
    // At each position in a tick, so that the worst case is included.
    let mut worst = 0;
    for at_poll in 100..100 + EVENT_INTERVAL {
        let runtime = runtime();
        let (here, mut there) = pair();
        let fd = {
            let _entered = runtime.enter();
            AsyncFd::new(here).unwrap()
        };
        let write = move || there.write_all(b"x").unwrap();
        let read = async move { fd.readable().await.is_ok() };
        let polls = polls_until_ready(&runtime, at_poll, write, read);
        assert!(polls <= MOST_POLLS, "{polls} polls");
        worst = worst.max(polls);
    }
    assert!(
        worst > EVENT_INTERVAL / 2,
        "the bound is not reached: {worst}"
    );
}

#[test]
fn a_timers_task_is_polled_within_61_polls_of_tasks_that_never_wait() {
    for at_poll in 100..100 + EVENT_INTERVAL {
        let runtime = paused();
        let hour = {
            let _entered = runtime.enter();
            sleep(secs(3600))
        };
        let pass = || drop(advance(secs(3600)));
        let polls = polls_until_ready(&runtime, at_poll, pass, hour);
        assert!(polls <= MOST_POLLS, "{polls} polls");
    }
}

#[test]
fn a_task_woken_by_a_thread_is_polled_within_61_polls_of_tasks_that_never_wait() {
    for at_poll in 100..100 + EVENT_INTERVAL {
        let runtime = runtime();
        let woken = Arc::new(AtomicBool::new(false));
        let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
        let wake = {
            let (woken, waker) = (Arc::clone(&woken), Rc::clone(&waker));
            move || {
                let waker = waker.take().expect("the task waits");
                let other_thread = thread::spawn(move || {
                    woken.store(true, Ordering::SeqCst);
                    waker.wake();
                });
                other_thread.join().unwrap();
            }
        };
        let waiting = poll_fn(move |cx| {
            if woken.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        });
        let polls = polls_until_ready(&runtime, at_poll, wake, waiting);
        assert!(polls <= MOST_POLLS, "{polls} polls");
    }
}

#[test]
fn the_root_future_is_polled_within_61_polls_of_tasks_that_never_wait() {
    let runtime = runtime();
    let waker: Rc<RefCell<Option<Waker>>> = Rc::default();
    let polls = spin(&runtime, {
        let waker = Rc::clone(&waker);
        move |poll| {
            if poll == 100 {
                waker.take().expect("the root waits").wake();
            }
        }
    });
    let mut waited = false;
    runtime.block_on(poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        *waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }));
    assert!(polls.get() - 100 <= EVENT_INTERVAL, "{} polls", polls.get());
}

#[test]
fn the_number_of_polls_between_two_turns_is_the_configured_one() {
    for (interval, builder) in [
        (EVENT_INTERVAL, Builder::new()),
        (5, Builder::new().event_interval(5)),
        (1, Builder::new().event_interval(1)),
        (1, Builder::new().event_interval(0)),
    ] {
        let runtime = builder.build().unwrap();
        let polls = spin(&runtime, |_| ());
        runtime.block_on(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if wakeful::metrics().turns < 10 {
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        // The root is polled like a task.
        let all = polls.get() + runtime.metrics().root_polls;
        assert_eq!(
            all,
            10 * interval + 1,
            "the last poll of the root begins the next tick"
        );
    }
}

#[test]
fn tasks_that_never_wait_are_polled_in_rotation() {
    // First in, first out: of 100 tasks that never wait, none is polled twice before all are polled
    // once.
    let runtime = runtime();
    let polls = Rc::new(RefCell::new(vec![0_u32; 100]));
    for task in 0..100 {
        let polls = Rc::clone(&polls);
        runtime.spawn(poll_fn(move |cx| {
            polls.borrow_mut()[task] += 1;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
    }
    runtime.block_on(async {
        for _ in 0..50 {
            yield_now().await;
            let polls = polls.borrow();
            let (least, most) = (polls.iter().min(), polls.iter().max());
            assert!(most.unwrap() - least.unwrap() <= 1);
        }
    });
}

// --- yields -----------------------------------------------------------------------------------------

#[test]
fn a_task_that_yields_is_polled_after_the_task_of_a_pending_event() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        let reader = spawn({
            let trace = trace.clone();
            async move {
                drop(fd.readable().await.unwrap());
                trace.push("socket's task");
            }
        });
        let yielder = spawn({
            let trace = trace.clone();
            async move {
                yield_now().await;
                there.write_all(b"x").unwrap();
                trace.push("yields");
                yield_now().await;
                trace.push("continues");
            }
        });
        reader.await.unwrap();
        yielder.await.unwrap();
    });
    trace.expect(&["yields", "socket's task", "continues"]);
}

#[test]
fn a_root_future_that_yields_twice_is_polled_after_the_task_of_a_pending_event() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(here).unwrap();
        spawn({
            let trace = trace.clone();
            async move {
                drop(fd.readable().await.unwrap());
                trace.push("socket's task");
            }
        });
        yield_now().await;
        there.write_all(b"x").unwrap();
        // The root is polled before the next tick: one turn dispatches the event, and the next tick
        // polls its task.
        yield_now().await;
        yield_now().await;
        trace.push("root continues");
    });
    trace.expect(&["socket's task", "root continues"]);
}

#[test]
fn tasks_that_yield_to_each_other_delay_neither_io_nor_timers() {
    // Each yield ends a tick, so two yielding tasks need one turn per round, not 61 polls.
    let runtime = paused();
    let rounds = Rc::new(Cell::new(0_u32));
    for _ in 0..2 {
        let rounds = Rc::clone(&rounds);
        runtime.spawn(async move {
            loop {
                rounds.set(rounds.get() + 1);
                yield_now().await;
            }
        });
    }
    let (here, mut there) = pair();
    let polls = runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let reader = spawn({
            let rounds = Rc::clone(&rounds);
            async move {
                drop(fd.readable().await.unwrap());
                rounds.get()
            }
        });
        settle().await;
        there.write_all(b"x").unwrap();
        let before = rounds.get();
        reader.await.unwrap() - before
    });
    assert!(polls <= 4, "{polls} polls of the yielding tasks");
}

#[test]
fn a_task_that_yields_is_polled_after_the_tasks_in_the_run_queue() {
    let trace = Trace::new();
    let runtime = runtime();
    let push = |entry: &'static str| {
        let trace = trace.clone();
        async move { trace.push(entry) }
    };
    let first = {
        let trace = trace.clone();
        async move {
            trace.push("first yields");
            yield_now().await;
            trace.push("first continues");
        }
    };
    runtime.spawn(first);
    runtime.spawn(push("second"));
    runtime.spawn(push("third"));
    runtime.block_on(settle());
    trace.expect(&["first yields", "second", "third", "first continues"]);
}

// --- operations per poll ----------------------------------------------------------------------------

/// Runs a task that repeats `operation`, which is ready at once, beside a task that has just been
/// woken. Returns the number of operations before the other task is polled.
fn operations_before_others<F>(runtime: &Runtime, mut operation: F) -> u64
where
    F: AsyncFnMut() + 'static,
{
    runtime.block_on(async {
        let done = Rc::new(Cell::new(0));
        let greedy = spawn({
            let done = Rc::clone(&done);
            async move {
                while done.get() < OPERATIONS_AT_MOST {
                    operation().await;
                    done.set(done.get() + 1);
                }
            }
        });
        let other = spawn({
            let done = Rc::clone(&done);
            async move { done.get() }
        });
        let before = other.await.unwrap();
        // It yields repeatedly, and continues each time.
        settle().await;
        assert!(done.get() > before, "the task continues in its next poll");
        greedy.abort();
        assert!(greedy.await.unwrap_err().is_cancelled());
        before
    })
}

/// Creates a source that stays readable and writable, and its peer, which has to be kept.
fn always_ready(runtime: &Runtime) -> (Rc<AsyncFd<UnixStream>>, UnixStream) {
    let _entered = runtime.enter();
    let (here, mut there) = pair();
    there.write_all(b"never read").unwrap();
    let fd = Rc::new(AsyncFd::new(here).unwrap());
    runtime.block_on(async {
        drop(fd.readable().await.unwrap());
        drop(fd.writable().await.unwrap());
    });
    (fd, there)
}

#[test]
fn a_task_whose_socket_is_always_ready_yields_after_128_operations() {
    let runtime = runtime();
    let (fd, _peer) = always_ready(&runtime);
    let readable = {
        let fd = Rc::clone(&fd);
        operations_before_others(&runtime, async move || drop(fd.readable().await.unwrap()))
    };
    let writable = {
        let fd = Rc::clone(&fd);
        operations_before_others(&runtime, async move || drop(fd.writable().await.unwrap()))
    };
    let either = {
        let (fd, both) = (Rc::clone(&fd), Interest::READABLE | Interest::WRITABLE);
        operations_before_others(&runtime, async move || drop(fd.ready(both).await.unwrap()))
    };
    let async_io = {
        let fd = Rc::clone(&fd);
        operations_before_others(&runtime, async move || {
            let nothing = fd.async_io(Interest::WRITABLE, |_| Ok(()));
            nothing.await.unwrap();
        })
    };
    let poll_fns = {
        let fd = Rc::clone(&fd);
        operations_before_others(&runtime, async move || {
            drop(poll_fn(|cx| fd.poll_read_ready(cx)).await.unwrap());
        })
    };
    assert_eq!(
        [readable, writable, either, async_io, poll_fns],
        [IO_BUDGET; 5]
    );
}

#[test]
fn timers_that_are_due_count_as_operations() {
    let runtime = paused();
    let start = {
        let _entered = runtime.enter();
        Instant::now()
    };
    let sleeps = operations_before_others(&runtime, async move || sleep_until(start).await);
    let zero = operations_before_others(&runtime, async || sleep(secs(0)).await);
    // The first tick and all missed ones are due at once.
    let mut ticks = None;
    let missed = operations_before_others(&runtime, async move || {
        if ticks.is_none() {
            ticks = Some(interval(secs(1)));
            drop(advance(secs(3600)));
        }
        ticks.as_mut().unwrap().tick().await;
    });
    assert_eq!([sleeps, zero, missed], [IO_BUDGET; 3]);
}

#[test]
fn a_due_timer_without_budget_waits_for_the_turn_at_every_poll() {
    let builder = Builder::new().io_budget(1).start_paused(true);
    builder.build().unwrap().block_on(async {
        // The timers are expired up to this time, so "due" differs from "fired".
        sleep(secs(1)).await;
        let mut second = None;
        poll_fn(|cx| {
            assert!(Pin::new(&mut sleep(secs(0))).poll(cx).is_ready());
            let second = second.insert(sleep(secs(0)));
            assert!(Pin::new(&mut *second).poll(cx).is_pending());
            assert!(Pin::new(second).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        second.unwrap().await;
        assert_eq!(wakeful::metrics().timers_armed, 0);
    });
}

#[test]
fn joins_of_finished_tasks_count_as_operations() {
    let runtime = runtime();
    let mut ended: Vec<_> = (0..1_000).map(|_| runtime.spawn(ready(()))).collect();
    runtime.block_on(async {
        while wakeful::metrics().num_alive_tasks > 0 {
            yield_now().await;
        }
    });
    let joins = operations_before_others(&runtime, async move || match ended.pop() {
        Some(task) => task.await.unwrap(),
        None => pending().await,
    });
    assert_eq!(joins, IO_BUDGET);
}

#[test]
fn duplex_transfers_and_calls_of_consume_budget_count_as_operations() {
    let runtime = runtime();
    let (a, b) = duplex(1_000);
    let writes = {
        let a = Rc::new(a);
        operations_before_others(&runtime, async move || a.write_all(b"x").await.unwrap())
    };
    let reads = {
        let b = Rc::new(b);
        operations_before_others(&runtime, async move || {
            b.read(&mut [0; 1]).await.unwrap();
        })
    };
    let steps = operations_before_others(&runtime, consume_budget);
    let copies = operations_before_others(&runtime, async || {
        copy(&mut &b"all of it"[..], &mut Vec::new()).await.unwrap();
    });
    assert_eq!([writes, reads, steps, copies], [IO_BUDGET; 4]);
}

#[test]
fn waits_that_have_nothing_to_wait_for_count_as_operations() {
    let runtime = runtime();
    let mut set = JoinSet::<()>::new();
    let empty_set = operations_before_others(&runtime, async move || {
        assert!(set.join_next().await.is_none());
    });
    let shutdown = Shutdown::new();
    shutdown.cancel();
    let cancelled = {
        let shutdown = shutdown.clone();
        operations_before_others(&runtime, async move || shutdown.cancelled().await)
    };
    let without_tokens = operations_before_others(&runtime, async move || shutdown.wait().await);
    let copies = operations_before_others(&runtime, async || {
        copy(&mut &b""[..], &mut Vec::new()).await.unwrap();
    });
    let mut signals = {
        let _entered = runtime.enter();
        signal(SignalKind::window_change()).unwrap()
    };
    let signals = operations_before_others(&runtime, async move || {
        signal_hook::low_level::raise(libc::SIGWINCH).unwrap();
        signals.recv().await;
    });
    let all = [empty_set, cancelled, without_tokens, copies, signals];
    assert_eq!(all, [IO_BUDGET; 5]);
}

#[test]
fn transfers_of_no_bytes_count_as_operations() {
    let runtime = runtime();
    let (near, _far) = duplex(8);
    let near = Rc::new(near);
    let operation = |name: &'static str| {
        let near = Rc::clone(&near);
        operations_before_others(&runtime, async move || {
            match name {
                "read" => near.read(&mut []).await.map(drop),
                "read_exact" => near.read_exact(&mut []).await.map(drop),
                "write" => near.write(&[]).await.map(drop),
                "write_all" => near.write_all(&[]).await,
                _ => near.shutdown().await,
            }
            .unwrap();
        })
    };
    for name in ["read", "read_exact", "write", "write_all", "shutdown"] {
        assert_eq!(operation(name), IO_BUDGET, "{name}");
    }
}

#[test]
fn transfers_of_streams_that_need_no_wait_count_as_operations() {
    let runtime = runtime();
    let (stream, mut peer) = runtime.block_on(tcp_and_std());
    peer.write_all(&[7; OPERATIONS_AT_MOST as usize]).unwrap();
    runtime.block_on(stream.readable()).unwrap();
    let stream = Rc::new(stream);
    let reads = {
        let stream = Rc::clone(&stream);
        operations_before_others(&runtime, async move || {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 1);
        })
    };
    let writes = operations_before_others(&runtime, async move || {
        assert_eq!(stream.write(b"x").await.unwrap(), 1);
    });
    assert_eq!([reads, writes], [IO_BUDGET; 2]);
}

#[test]
fn a_task_without_budget_is_polled_after_the_next_turn() {
    const TURNS: u64 = 10;
    let runtime = runtime();
    let (fd, _peer) = always_ready(&runtime);
    let before = runtime.metrics().turns;
    let greedy = runtime.spawn(async move {
        for _ in 0..=TURNS * IO_BUDGET {
            drop(fd.writable().await.unwrap());
        }
    });
    runtime.block_on(greedy).unwrap();
    assert_eq!(runtime.metrics().turns - before, TURNS);
}

#[test]
fn datagrams_that_need_no_wait_count_as_operations() {
    let runtime = runtime();
    let socket = runtime.block_on(UdpSocket::bind("127.0.0.1:0")).unwrap();
    let itself = socket.local_addr().unwrap();
    let socket = Rc::new(socket);
    runtime.block_on(socket.writable()).unwrap();
    let sends = {
        let socket = Rc::clone(&socket);
        operations_before_others(&runtime, async move || {
            socket.send_to(b"x", itself).await.unwrap();
        })
    };
    runtime.block_on(socket.readable()).unwrap();
    let peeks = operations_before_others(&runtime, async move || {
        socket.peek_from(&mut [0; 1]).await.unwrap();
    });
    assert_eq!([sends, peeks], [IO_BUDGET; 2]);
}

#[test]
fn the_io_budget_is_the_configured_one() {
    for (configured, budget) in [(3, 3), (1, 1), (0, 1)] {
        let runtime = Builder::new().io_budget(configured).build().unwrap();
        let (fd, _peer) = always_ready(&runtime);
        let operations =
            operations_before_others(&runtime, async move || drop(fd.writable().await.unwrap()));
        assert_eq!(operations, budget);
    }
}

#[test]
fn the_root_future_has_the_same_budget_as_a_task() {
    let runtime = runtime();
    let (fd, _peer) = always_ready(&runtime);
    let done = Rc::new(Cell::new(0));
    let seen = runtime.spawn({
        let done = Rc::clone(&done);
        async move { done.get() }
    });
    runtime.block_on(async {
        while !seen.is_finished() {
            drop(fd.writable().await.unwrap());
            done.set(done.get() + 1);
        }
        assert_eq!(seen.await.unwrap(), IO_BUDGET);
    });
}

#[test]
fn operations_that_wait_take_nothing_off_the_budget() {
    let runtime = Builder::new().io_budget(2).build().unwrap();
    let pairs: Vec<_> = (0..10).map(|_| pair()).collect();
    runtime.block_on(async {
        let sources: Vec<_> = pairs
            .iter()
            .map(|(here, _)| AsyncFd::new(here).unwrap())
            .collect();
        let timers: Vec<_> = (0..10).map(|_| sleep(secs(3600))).collect();
        let mut handles: Vec<_> = (0..10).map(|_| spawn(pending::<()>())).collect();
        let mut waits: Vec<_> = sources.iter().map(AsyncFd::readable).collect();
        let mut timers: Vec<_> = timers.into_iter().map(Box::pin).collect();
        poll_fn(|cx| {
            for wait in &mut waits {
                assert!(Pin::new(wait).poll(cx).is_pending());
            }
            for timer in &mut timers {
                assert!(timer.as_mut().poll(cx).is_pending());
            }
            for handle in &mut handles {
                assert!(Pin::new(handle).poll(cx).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        assert_eq!(wakeful::metrics().wakes_by_yield, 0);
    });
}

#[test]
fn a_timeout_ends_a_future_that_is_always_ready() {
    // The future uses up the budget of every poll. The deadline has to be checked nevertheless.
    let (runtime, real) = (paused(), runtime());
    let (fd, _peer) = always_ready(&runtime);
    let greedy = |runtime: &Runtime, fd: Rc<AsyncFd<UnixStream>>, pass: bool| {
        runtime.block_on(async {
            let mut operations = 0_u32;
            let cut = timeout(secs(0), async {
                loop {
                    drop(fd.writable().await.unwrap());
                    operations += 1;
                    if pass {
                        drop(advance(secs(1)));
                    }
                    assert!(operations < 10_000, "the deadline passed without effect");
                }
            });
            let cut: Result<(), _> = cut.await;
            assert!(cut.is_err());
        });
    };
    greedy(&runtime, fd, true);
    let (fd, _peer) = always_ready(&real);
    greedy(&real, fd, false);
}

#[test]
fn a_timer_fires_beside_a_future_that_uses_up_every_budget() {
    let runtime = paused();
    let (fd, _peer) = always_ready(&runtime);
    runtime.block_on(async {
        let mut second = sleep(secs(1));
        let mut operations = 0_u32;
        let mut writable = fd.writable();
        // A biased race, in which the greedy future is polled first.
        poll_fn(|cx| {
            while Pin::new(&mut writable).poll(cx).is_ready() {
                operations += 1;
                assert!(operations < 10_000, "the timer did not fire");
                if operations == 1_000 {
                    drop(advance(secs(1)));
                }
            }
            Pin::new(&mut second).poll(cx)
        })
        .await;
        assert!(operations >= 1_000);
    });
}

// --- many events and wakes --------------------------------------------------------------------------

#[test]
fn more_ready_sources_than_events_per_turn_are_all_read_evenly() {
    const SOURCES: usize = 64;
    let runtime = Builder::new().max_io_events_per_tick(4).build().unwrap();
    let reads = Rc::new(RefCell::new(vec![0_u32; SOURCES]));
    runtime.block_on(async {
        for source in 0..SOURCES {
            let (here, mut there) = pair();
            there.write_all(b"x").unwrap();
            let fd = AsyncFd::new(here).unwrap();
            let reads = Rc::clone(&reads);
            spawn(async move {
                loop {
                    let mut byte = [0];
                    let read = fd.async_io(Interest::READABLE, |mut here| here.read(&mut byte));
                    assert_eq!(read.await.unwrap(), 1);
                    reads.borrow_mut()[source] += 1;
                    // Readable again at once.
                    there.write_all(&byte).unwrap();
                    yield_now().await;
                }
            });
        }
        while reads.borrow().iter().sum::<u32>() < 640 {
            let before = wakeful::metrics();
            yield_now().await;
            let after = wakeful::metrics();
            let turns = after.turns - before.turns;
            assert!(
                after.io_ready_count - before.io_ready_count <= 4 * turns,
                "a turn dispatched more than four events"
            );
        }
    });
    let least = *reads.borrow().iter().min().unwrap();
    assert!(
        least >= 3,
        "640 reads, but one source had {least}: {reads:?}"
    );
}

#[test]
fn a_turn_dispatches_256_events_by_default() {
    let runtime = runtime();
    runtime.block_on(async {
        let pairs: Vec<_> = (0..300).map(|_| pair()).collect();
        let sources: Vec<_> = pairs
            .iter()
            .map(|(here, _)| AsyncFd::new(here).unwrap())
            .collect();
        let before = wakeful::metrics();
        // All are writable, which is an event.
        yield_now().await;
        let first = wakeful::metrics();
        yield_now().await;
        let second = wakeful::metrics();
        assert_eq!(first.io_ready_count - before.io_ready_count, 256);
        assert_eq!(second.io_ready_count - first.io_ready_count, 300 - 256);
        drop(sources);
    });
}

// --- idle runtimes ----------------------------------------------------------------------------------

#[test]
fn an_otherwise_idle_runtime_makes_one_epoll_wait_per_event() {
    let runtime = runtime();
    let (here, mut there) = pair();
    runtime.block_on(async {
        let fd = AsyncFd::new(here).unwrap();
        let echo = thread::spawn(move || {
            let mut byte = [0];
            for _ in 0..20 {
                there.read_exact(&mut byte).unwrap();
                there.write_all(&byte).unwrap();
            }
        });
        let mut byte = [0];
        let before = wakeful::metrics();
        for _ in 0..20 {
            (fd.get_ref()).write_all(b"x").unwrap();
            let read = fd.async_io(Interest::READABLE, |mut here| here.read(&mut byte));
            assert_eq!(read.await.unwrap(), 1);
        }
        let after = wakeful::metrics();
        // One park per byte. A byte that has arrived before its read is tried needs none, and the
        // event that the socket is writable again can be reported apart from the byte.
        let waits = after.epoll_waits - before.epoll_waits;
        assert!(waits <= 2 * 20 + 1, "{waits} waits for 20 bytes");
        assert!(after.root_polls - before.root_polls <= 21);
        echo.join().unwrap();
    });
}

#[test]
fn a_turn_without_sources_that_need_not_wait_makes_no_system_call() {
    let runtime = runtime();
    runtime.block_on(async {
        let before = wakeful::metrics();
        for _ in 0..100 {
            yield_now().await;
        }
        let after = wakeful::metrics();
        assert_eq!(after.turns - before.turns, 100);
        assert_eq!(after.epoll_waits, before.epoll_waits);
    });
}

#[test]
fn an_idle_runtime_with_a_distant_timer_does_not_wake_up() {
    let runtime = runtime();
    let (give, take) = std::sync::mpsc::channel::<Waker>();
    let other = thread::spawn(move || {
        let waker = take.recv().unwrap();
        // Long enough for many turns of a loop that spins.
        thread::sleep(std::time::Duration::from_millis(30));
        waker.wake();
    });
    runtime.block_on(async {
        spawn(sleep(secs(25 * 24 * 3600)));
        spawn(sleep(std::time::Duration::MAX));
        settle().await;
        let before = wakeful::metrics().turns;
        let mut sent = false;
        poll_fn(|cx: &mut Context<'_>| {
            if std::mem::replace(&mut sent, true) {
                return Poll::Ready(());
            }
            give.send(cx.waker().clone()).unwrap();
            Poll::Pending
        })
        .await;
        let turns = wakeful::metrics().turns - before;
        assert!(turns <= 2, "{turns} turns of an idle runtime");
    });
    other.join().unwrap();
}
