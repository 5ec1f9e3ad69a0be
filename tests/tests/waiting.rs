//! Many waits for one descriptor or `duplex`: each task is woken once per event, and external
//! wakers are bounded.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use wakeful::io::{AsyncRead, AsyncWrite, duplex};
use wakeful::task::yield_now;
use wakeful::{metrics, spawn};
use wakeful_net::{TcpListener, UdpSocket};
use wakeful_tests::trace::{Hooks, Wakes, poll_once, poll_with, runtime, settle};
use wakeful_tests::waits::{EXTERNAL_WAKERS_AT_MOST, full_source, source, take, yield_until};

// --- any number of waiters --------------------------------------------------------------------------

/// Lets `n` tasks wait, and asserts that they are polled once each until the event, and once each
/// because of it.
async fn tasks_wait<F: Future + 'static>(n: usize, wait: impl Fn() -> F, event: impl FnOnce()) {
    let polls = Rc::new(Cell::new(0));
    let counted = |future: F| {
        let (polls, mut future) = (Rc::clone(&polls), Box::pin(future));
        poll_fn(move |cx| {
            polls.set(polls.get() + 1);
            future.as_mut().poll(cx).map(drop)
        })
    };
    let tasks: Vec<_> = (0..n).map(|_| spawn(counted(wait()))).collect();
    yield_until(n, || polls.get() >= n).await;
    for _ in 0..100 {
        yield_now().await;
    }
    assert_eq!(polls.get(), n, "{n} tasks were polled without an event");
    event();
    yield_until(n, || polls.get() >= 2 * n).await;
    settle().await;
    assert_eq!(polls.get(), 2 * n, "one event wakes each of {n} tasks once");
    for task in tasks {
        task.abort();
    }
    yield_until(n, || metrics().num_alive_tasks == 0).await;
}

#[test]
fn any_number_of_tasks_can_poll_for_input_and_one_event_wakes_each_once() {
    runtime().block_on(async {
        for n in [1_025, 1_026, 1_100, 5_000] {
            let (fd, mut there) = source().await;
            let fd = Rc::new(fd);
            let wait = || {
                let fd = Rc::clone(&fd);
                poll_fn(move |cx| fd.poll_read_ready(cx).map(drop))
            };
            tasks_wait(n, wait, || there.write_all(b"x").unwrap()).await;
        }
    });
}

#[test]
fn any_number_of_tasks_can_poll_for_room_and_one_event_wakes_each_once() {
    runtime().block_on(async {
        let (fd, there, sent) = full_source().await;
        let fd = Rc::new(fd);
        let wait = || {
            let fd = Rc::clone(&fd);
            poll_fn(move |cx| fd.poll_write_ready(cx).map(drop))
        };
        tasks_wait(1_100, wait, || take(&there, sent)).await;
    });
}

#[test]
fn any_number_of_tasks_can_poll_for_connections_and_one_event_wakes_each_once() {
    runtime().block_on(async {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let wait = || {
            let listener = Rc::clone(&listener);
            poll_fn(move |cx| listener.poll_accept(cx).map(drop))
        };
        let mut client = None;
        let connect = || client = Some(std::net::TcpStream::connect(address).unwrap());
        tasks_wait(1_100, wait, connect).await;
    });
}

#[test]
fn any_number_of_tasks_can_poll_for_datagrams_and_one_event_wakes_each_once() {
    runtime().block_on(async {
        let socket = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let wait = || {
            let socket = Rc::clone(&socket);
            poll_fn(move |cx| socket.poll_recv(cx, &mut [0; 8]).map(drop))
        };
        let send = || {
            let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            sender.send_to(b"x", address).unwrap();
        };
        tasks_wait(1_100, wait, send).await;
    });
}

#[test]
fn any_number_of_tasks_can_read_from_a_duplex_and_one_write_wakes_each_once() {
    runtime().block_on(async {
        for n in [1_025, 1_026, 1_100, 5_000] {
            let (end, other) = duplex(16);
            let end = Rc::new(end);
            let wait = || {
                let end = Rc::clone(&end);
                async move { drop(end.read(&mut [0; 8]).await) }
            };
            let write =
                || assert!(poll_with(&mut pin!(other.write(b"x")), Waker::noop()).is_ready());
            tasks_wait(n, wait, write).await;
        }
    });
}

#[test]
fn any_number_of_tasks_can_write_to_a_duplex_and_one_read_wakes_each_once() {
    runtime().block_on(async {
        let (end, other) = duplex(1);
        end.write_all(b"x").await.unwrap();
        let end = Rc::new(end);
        let wait = || {
            let end = Rc::clone(&end);
            async move { drop(end.write(b"y").await) }
        };
        let read = || {
            let mut buffer = [0; 8];
            assert!(poll_with(&mut pin!(other.read(&mut buffer)), Waker::noop()).is_ready());
        };
        tasks_wait(1_100, wait, read).await;
    });
}

/// Futures of a combinator, such as `FuturesUnordered`, which gives each a waker of its own.
#[test]
fn any_number_of_futures_of_one_task_can_use_a_duplex_and_all_are_woken() {
    async fn all_are_woken<F: Future>(wait: impl Fn() -> F, event: impl FnOnce()) {
        let mut waits: Vec<_> = (0..1_100)
            .map(|_| (Box::pin(wait()), Wakes::new()))
            .collect();
        for (future, wakes) in &mut waits {
            assert!(poll_with(future, &wakes.waker()).is_pending());
        }
        event();
        for (future, wakes) in waits {
            assert_eq!(wakes.count(), 1);
            drop(future);
            assert_eq!(wakes.alive(), 0);
        }
    }
    runtime().block_on(async {
        let (end, other) = duplex(16);
        let read = || async { end.read(&mut [0; 8]).await.map(drop) };
        let event = || {
            let written = poll_with(&mut pin!(other.write(&[0; 16])), Waker::noop());
            assert!(written.is_ready());
        };
        all_are_woken(read, event).await;
        let write = || async { other.write(b"y").await.map(drop) };
        let event = || {
            let mut buffer = [0; 8];
            assert!(poll_with(&mut pin!(end.read(&mut buffer)), Waker::noop()).is_ready());
        };
        all_are_woken(write, event).await;
    });
}

/// A wait that is polled with an external waker of its own, and again whenever that is woken, as
/// the children of a combinator are.
struct ExternalWait<F> {
    future: Pin<Box<F>>,
    wakes: Wakes,
    wakes_seen: usize,
    /// Number of this wait's last poll, counted over all waits.
    polled: usize,
}

/// Lets `n` external wakers wait, and asserts that they do not keep waking one another, that an event
/// wakes all of up to 16 and the last of more, and that all are released in the end.
async fn external_wakers_wait<F: Future>(n: usize, wait: impl Fn() -> F, event: impl FnOnce()) {
    let mut polls = 0;
    let mut poll = |wait: &mut ExternalWait<F>| {
        polls += 1;
        wait.polled = polls;
        assert!(poll_with(&mut wait.future, &wait.wakes.waker()).is_pending());
        polls
    };
    let mut waits: Vec<_> = (0..n)
        .map(|_| ExternalWait {
            future: Box::pin(wait()),
            wakes: Wakes::new(),
            wakes_seen: 0,
            polled: 0,
        })
        .collect();
    for wait in &mut waits {
        poll(wait);
    }
    for _ in 0..100 {
        yield_now().await;
        for wait in &mut waits {
            if wait.wakes_seen < wait.wakes.count() {
                wait.wakes_seen = wait.wakes.count();
                let polls = poll(wait);
                assert!(polls <= 2 * n, "{n} waits poll on and on without an event");
            }
        }
    }
    waits.sort_by_key(|wait| wait.polled);
    event();
    settle().await;
    // Beyond the limit the contract of `poll_*` functions applies: the last waker is woken.
    let woken = if n <= EXTERNAL_WAKERS_AT_MOST { n } else { 1 };
    for wait in waits.iter().rev().take(woken) {
        let wakes = wait.wakes.count() - wait.wakes_seen;
        assert_eq!(
            wakes, 1,
            "the event wakes the last {woken} waits of {n} once"
        );
    }
    for ExternalWait { future, wakes, .. } in waits {
        drop(future);
        assert_eq!(wakes.alive(), 0, "a waker was kept after the event");
    }
}

#[test]
fn external_wakers_that_poll_a_descriptor_do_not_keep_waking_one_another() {
    runtime().block_on(async {
        for n in [1, EXTERNAL_WAKERS_AT_MOST, 17, 1_100, 5_000] {
            let (fd, mut there) = source().await;
            let wait = || poll_fn(|cx| fd.poll_read_ready(cx).map(drop));
            external_wakers_wait(n, wait, || there.write_all(b"x").unwrap()).await;

            let (fd, there, sent) = full_source().await;
            let wait = || poll_fn(|cx| fd.poll_write_ready(cx).map(drop));
            external_wakers_wait(n, wait, || take(&there, sent)).await;
        }
    });
}

#[test]
fn external_wakers_that_read_from_a_duplex_do_not_keep_waking_one_another() {
    runtime().block_on(async {
        for n in [1, EXTERNAL_WAKERS_AT_MOST, 17, 1_100, 5_000] {
            let (end, other) = duplex(16);
            let wait = || Box::pin(async { drop(end.read(&mut [0; 8]).await) });
            let write = || {
                let written = poll_with(&mut pin!(other.write(b"x")), Waker::noop());
                assert!(written.is_ready());
            };
            external_wakers_wait(n, wait, write).await;
        }
    });
}

#[test]
fn each_of_20_000_waits_is_woken_once_per_event_and_can_be_aborted() {
    const WAITS: usize = 20_000;
    runtime().block_on(async {
        let (fd, mut there) = source().await;
        let fd = Rc::new(fd);
        let wait = || {
            let fd = Rc::clone(&fd);
            async move {
                loop {
                    fd.readable().await.unwrap().clear_ready();
                }
            }
        };
        let tasks: Vec<_> = (0..WAITS).map(|_| spawn(wait())).collect();
        yield_until(WAITS, || metrics().waiting == WAITS as u64).await;
        for _ in 0..2 {
            let before = metrics();
            there.write_all(b"x").unwrap();
            settle().await;
            yield_until(WAITS, || metrics().waiting == WAITS as u64).await;
            let after = metrics();
            assert_eq!(after.wakes_by_io - before.wakes_by_io, WAITS as u64);
            assert_eq!(after.polls - before.polls, WAITS as u64);
            assert_eq!(after.waiting, WAITS as u64);
        }
        for task in tasks.iter().rev() {
            task.abort();
        }
        yield_until(WAITS, || metrics().num_alive_tasks == 0).await;
        assert_eq!((metrics().num_alive_tasks, metrics().waiting), (0, 0));
    });
}

#[test]
fn two_waits_for_one_descriptor_are_both_woken_after_many_waits_for_another() {
    // Each wait has a number of 64 bits, which does not wrap. With 32 bits the second wait got the
    // number of the first after 2^32 - 2 others, which take two minutes.
    const WAITS_BETWEEN: usize = 100_000;
    runtime().block_on(async {
        let ((fd, mut there), (other, _other_there)) = (source().await, source().await);
        let wakes = [Wakes::new(), Wakes::new()];
        let mut first = fd.readable();
        assert!(poll_with(&mut first, &wakes[0].waker()).is_pending());
        for _ in 0..WAITS_BETWEEN {
            assert!(poll_once(&mut other.readable()).await.is_pending());
        }
        let mut second = fd.readable();
        assert!(poll_with(&mut second, &wakes[1].waker()).is_pending());
        there.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(wakes.each_ref().map(Wakes::count), [1, 1]);
    });
}

// --- wakers that are kept ---------------------------------------------------------------------------

/// Polls 10,000 times, each time with a new external waker, and asserts how many of them are kept.
async fn few_external_wakers_are_kept(poll: impl Fn(&mut Context<'_>) -> Poll<()>) {
    let (wakes, last) = (Wakes::new(), Wakes::new());
    for round in 0..10_000 {
        // Each boxes its own data, so that no two of them will wake each other.
        let waker = wakes.waker();
        let waker = Hooks::new().on_wake(move || waker.wake_by_ref()).waker();
        assert!(poll(&mut Context::from_waker(&waker)).is_pending());
        if round % 100 == 0 {
            yield_now().await;
        }
    }
    assert!(poll(&mut Context::from_waker(&last.waker())).is_pending());
    settle().await;
    let kept = wakes.alive() + last.alive();
    assert!(kept <= EXTERNAL_WAKERS_AT_MOST, "{kept} wakers are kept");
    assert_eq!(last.alive(), 1, "the last waker is kept");
}

#[test]
fn a_descriptor_keeps_at_most_16_external_wakers_per_direction() {
    runtime().block_on(async {
        let (fd, _there, _) = full_source().await;
        few_external_wakers_are_kept(|cx| fd.poll_read_ready(cx).map(drop)).await;
        few_external_wakers_are_kept(|cx| fd.poll_write_ready(cx).map(drop)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        few_external_wakers_are_kept(|cx| listener.poll_accept(cx).map(drop)).await;
    });
}

#[test]
fn a_duplex_keeps_at_most_16_external_wakers_per_direction() {
    runtime().block_on(async {
        let (end, _other) = duplex(1);
        end.write_all(b"x").await.unwrap();
        let wakes = Wakes::new();
        for _ in 0..10_000 {
            let waker = wakes.waker();
            let waker = Hooks::new().on_wake(move || waker.wake_by_ref()).waker();
            let mut cx = Context::from_waker(&waker);
            let mut end = &end;
            let mut stream = Pin::new(&mut end);
            assert!(stream.as_mut().poll_read(&mut cx, &mut [0; 8]).is_pending());
            assert!(stream.poll_write(&mut cx, b"y").is_pending());
        }
        let kept = wakes.alive();
        assert!(
            kept <= 2 * EXTERNAL_WAKERS_AT_MOST,
            "{kept} wakers are kept"
        );
    });
}
