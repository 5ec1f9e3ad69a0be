//! Tasks and external wakers that wait for descriptors: how many can wait, what a wait costs, what
//! is left of one that was given up, and that no event passes a wait by.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use rustix::process::Signal;
use wakeful::io::{AsyncFd, Interest, Ready, duplex};
use wakeful::runtime::Runtime;
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::task::yield_now;
use wakeful::time::{Instant, sleep};
use wakeful::{metrics, spawn};
use wakeful_net::{TcpListener, TcpStream, UdpSocket};
use wakeful_tests::trace::{
    Hooks, Trace, Wakes, alone, my_waker, pair, paused, poll_once, poll_with, runtime, secs, settle,
};

/// External wakers that a descriptor keeps per direction for `poll_*` functions, at most.
const EXTERNAL_WAKERS_AT_MOST: usize = 16;

type Source = AsyncFd<UnixStream>;

/// A registered socket that is writable and not readable, and its blocking peer. The socket's first
/// event has been dispatched.
async fn source() -> (Source, UnixStream) {
    let (here, there) = pair();
    let fd = AsyncFd::new(here).unwrap();
    drop(fd.writable().await.unwrap());
    (fd, there)
}

/// A registered socket without room for more output, and the number of bytes in it.
async fn full_source() -> (Source, UnixStream, usize) {
    let (fd, there) = source().await;
    let mut sent = 0;
    while let Ok(n) = fd.try_io(Interest::WRITABLE, |mut here| here.write(&[7; 4096])) {
        sent += n;
    }
    (fd, there, sent)
}

/// Takes `count` bytes out of a socket.
fn take(mut socket: &UnixStream, count: usize) {
    socket.read_exact(&mut vec![0; count]).unwrap();
}

fn raise(signal: Signal) {
    signal_hook::low_level::raise(signal.as_raw()).unwrap();
}

/// Yields until `condition` holds, `rounds` times at most.
async fn yield_until(rounds: usize, condition: impl Fn() -> bool) {
    for _ in 0..rounds {
        if condition() {
            return;
        }
        yield_now().await;
    }
}

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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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

/// A wait that is polled with an external waker of its own, and again whenever that is woken, as the
/// children of a combinator are.
struct ExternalWait<F> {
    future: Pin<Box<F>>,
    wakes: Wakes,
    wakes_seen: usize,
    /// Number of this wait's last poll, counted over all waits.
    polled: usize,
}

/// Lets `n` external wakers wait, and asserts that they do not keep waking one another, that an event
/// wakes the last ones, and that all are released in the end.
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
    for wait in waits.iter().rev().take(EXTERNAL_WAKERS_AT_MOST) {
        let woken = wait.wakes.count() - wait.wakes_seen;
        assert_eq!(woken, 1, "the event wakes the last waits of {n} once");
    }
    for ExternalWait { future, wakes, .. } in waits {
        drop(future);
        assert_eq!(wakes.alive(), 0, "a waker was kept after the event");
    }
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
    // Waits are told apart by numbers of 64 bits, which do not wrap. With 32 bits the second wait got
    // the first one's number after 2^32 - 2 others, which takes two minutes to show.
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

// --- what a wait keeps ------------------------------------------------------------------------------

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
#[ignore = "issue 10: mended by the redesign of waiters"]
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
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_duplex_keeps_at_most_16_external_wakers_per_direction() {
    runtime().block_on(async {
        let (end, _other) = duplex(1);
        end.write_all(b"x").await.unwrap();
        let wakes = Wakes::new();
        for _ in 0..10_000 {
            let waker = wakes.waker();
            let waker = Hooks::new().on_wake(move || waker.wake_by_ref()).waker();
            // Given up at once.
            assert!(poll_with(&mut pin!(end.read(&mut [0; 8])), &waker).is_pending());
            assert!(poll_with(&mut pin!(end.write(b"y")), &waker).is_pending());
        }
        let kept = wakes.alive();
        assert!(
            kept <= 2 * EXTERNAL_WAKERS_AT_MOST,
            "{kept} wakers are kept"
        );
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn waits_dropped_on_another_thread_are_forgotten_after_one_turn() {
    const WAITS: usize = 1_000;
    let runtime = runtime();
    // For as long as the test, so that the waits can be sent.
    let (fd, _there) = runtime.block_on(source());
    let fd: &'static Source = Box::leak(Box::new(fd));
    runtime.block_on(async {
        let (send, receive) = mpsc::channel();
        let dropping = thread::spawn(move || receive.into_iter().for_each(drop));
        let wakes = Wakes::new();
        for _ in 0..WAITS {
            let mut wait = fd.readable();
            assert!(poll_with(&mut wait, &wakes.waker()).is_pending());
            send.send(wait).unwrap();
        }
        drop(send);
        dropping.join().unwrap();
        settle().await;
        assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_wait_dropped_while_another_runtime_is_entered_is_forgotten_after_one_turn() {
    let other = runtime();
    runtime().block_on(async {
        let (fd, _there) = source().await;
        let wakes = Wakes::new();
        let mut wait = fd.readable();
        assert!(poll_with(&mut wait, &wakes.waker()).is_pending());
        {
            let _entered = other.enter();
            drop(wait);
        }
        settle().await;
        assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_signal_dropped_on_another_thread_is_forgotten_after_one_turn() {
    let test = "a_signal_dropped_on_another_thread_is_forgotten_after_one_turn";
    alone(test, || {
        runtime().block_on(async {
            let wakes = Wakes::new();
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            assert!(poll_with(&mut listener.recv(), &wakes.waker()).is_pending());
            thread::spawn(move || drop(listener)).join().unwrap();
            settle().await;
            assert_eq!((metrics().waiting, wakes.alive()), (0, 0));
        });
    });
}

// --- no event passes a wait by ----------------------------------------------------------------------

thread_local! {
    static ON_CLONE: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// An external waker that runs `during` while it is cloned for the first time.
fn waker_that_runs(wakes: &Wakes, during: impl FnOnce() + 'static) -> Waker {
    ON_CLONE.set(Some(Box::new(during)));
    let run = || {
        if let Some(during) = ON_CLONE.take() {
            during();
        }
    };
    let waker = wakes.waker();
    let hooks = Hooks::new().on_wake(move || waker.wake_by_ref());
    hooks.on_clone(run).waker()
}

/// Polls a wait for a source again and again.
type PollWait = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

/// Polls one `ready` future.
fn ready_future(fd: Rc<Source>, interest: Interest) -> PollWait {
    let mut future = Box::pin(async move { drop(fd.ready(interest).await.unwrap()) });
    Box::new(move |cx| future.as_mut().poll(cx))
}

/// Polls with a waker whose clone lets an event come in. Such a poll is ready, or has woken the waker.
#[track_caller]
fn event_in_clone_wakes(
    runtime: &Runtime,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<()>,
    during: impl FnOnce() + 'static,
) {
    let wakes = Wakes::new();
    let waker = waker_that_runs(&wakes, during);
    let polled = poll(&mut Context::from_waker(&waker));
    // A poll that makes no clone receives the event as usual.
    drop(ON_CLONE.take());
    runtime.block_on(settle());
    assert!(polled.is_ready() || wakes.count() == 1, "it waits forever");
    assert!(poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// Lets a source get input or room while the waker of a wait for it is cloned.
fn input_or_room_in_clone_wakes(input: bool, wait: impl FnOnce(Rc<Source>) -> PollWait) {
    let runtime = Rc::new(runtime());
    // Outside of `block_on`, where a clone can run the runtime.
    let _entered = runtime.enter();
    let (fd, there, sent) = runtime.block_on(full_source());
    let (again, _open) = (Rc::clone(&runtime), there.try_clone().unwrap());
    event_in_clone_wakes(&runtime, wait(Rc::new(fd)), move || {
        if input {
            (&there).write_all(b"x").unwrap();
        } else {
            take(&there, sent);
        }
        again.block_on(settle());
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn an_event_while_a_waker_is_cloned_wakes_a_ready_future() {
    const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    input_or_room_in_clone_wakes(true, |fd| ready_future(fd, Interest::READABLE));
    input_or_room_in_clone_wakes(false, |fd| ready_future(fd, Interest::WRITABLE));
    input_or_room_in_clone_wakes(true, |fd| ready_future(fd, BOTH));
    input_or_room_in_clone_wakes(false, |fd| ready_future(fd, BOTH));
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn an_event_while_a_waker_is_cloned_wakes_a_poll_function() {
    input_or_room_in_clone_wakes(true, |fd| {
        Box::new(move |cx| fd.poll_read_ready(cx).map(drop))
    });
    input_or_room_in_clone_wakes(false, |fd| {
        Box::new(move |cx| fd.poll_write_ready(cx).map(drop))
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn readiness_assumed_while_a_waker_is_cloned_wakes_a_wait() {
    for (interest, ready) in [
        (Interest::READABLE, Ready::READABLE),
        (Interest::WRITABLE, Ready::WRITABLE),
    ] {
        let runtime = runtime();
        let _entered = runtime.enter();
        let (fd, _there, _) = runtime.block_on(full_source());
        let fd = Rc::new(fd);
        let wait = ready_future(Rc::clone(&fd), interest);
        event_in_clone_wakes(&runtime, wait, move || fd.assume_ready(ready));
    }
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn an_event_while_a_replacing_waker_is_cloned_wakes_a_wait_for_a_descriptor() {
    let runtime = Rc::new(runtime());
    let _entered = runtime.enter();
    let (fd, mut there) = runtime.block_on(source());
    let again = Rc::clone(&runtime);
    let mut poll = ready_future(Rc::new(fd), Interest::READABLE);
    assert!(poll(&mut Context::from_waker(&Wakes::new().waker())).is_pending());
    let _open = there.try_clone().unwrap();
    event_in_clone_wakes(&runtime, poll, move || {
        there.write_all(b"x").unwrap();
        again.block_on(settle());
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_signal_while_a_waker_is_cloned_wakes_its_receiver() {
    let test = "a_signal_while_a_waker_is_cloned_wakes_its_receiver";
    alone(test, || {
        let runtime = Rc::new(runtime());
        let _entered = runtime.enter();
        let mut listener = signal(SignalKind::user_defined1()).unwrap();
        runtime.block_on(settle());
        let again = Rc::clone(&runtime);
        let mut received = false;
        let poll = |cx: &mut Context<'_>| {
            received |= listener.poll_recv(cx).is_ready();
            if received {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        };
        event_in_clone_wakes(&runtime, poll, move || {
            raise(Signal::USR1);
            again.block_on(settle());
        });
    });
}

/// Waits for a new source of the same number as one whose descriptor was closed and whose events still
/// come, and asserts that neither a false event nor a missed one results. `retire` makes the old
/// source one that is still registered.
async fn new_source_of_an_old_number(retire: impl FnOnce(UnixStream, &Waker)) {
    let (a, mut a_peer) = pair();
    // Keeps the old registration with epoll alive.
    let _duplicate = a.try_clone().unwrap();
    a_peer.write_all(b"old").unwrap();
    let number = a.as_raw_fd();
    let waker = my_waker().await;
    retire(a, &waker);
    let (b, mut b_peer) = pair();
    assert_eq!(b.as_raw_fd(), number, "the number is used again");
    let new = AsyncFd::with_interest(b, Interest::READABLE).unwrap();
    let mut wait = new.readable();
    // Is polled because of the old source's event, or because of the task below.
    spawn(async move {
        settle().await;
        waker.wake();
    });
    let mut polls = 0;
    let false_event = poll_fn(|cx| {
        polls += 1;
        let polled = Pin::new(&mut wait).poll(cx);
        match (polls, &polled) {
            (1, Poll::Ready(_)) => panic!("the new source has had no event"),
            (1, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(polled.is_ready()),
        }
    })
    .await;
    drop(wait);
    let read = new.try_io(Interest::READABLE, |mut fd| fd.read(&mut [0; 8]));
    assert!(read.is_err(), "nothing was written");
    // No lookup of the source before its event.
    settle().await;
    b_peer.write_all(b"new").unwrap();
    settle().await;
    let missed = poll_once(&mut new.readable()).await.is_pending();
    assert_eq!(
        (false_event, missed),
        (false, false),
        "(false event, missed)"
    );
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn events_of_a_leaked_source_are_not_taken_for_those_of_a_new_one_with_its_number() {
    let test = "events_of_a_leaked_source_are_not_taken_for_those_of_a_new_one_with_its_number";
    alone(test, || {
        run_in_task(|a, waker| {
            let old = AsyncFd::new(&a).unwrap();
            let mut cx = Context::from_waker(waker);
            assert!(old.poll_read_ready(&mut cx).is_pending());
            // Leaked, and the descriptor closed all the same.
            let _leaked = ManuallyDrop::new(old);
            drop(a);
        });
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn events_of_a_source_dropped_on_another_thread_are_not_taken_for_those_of_a_new_one() {
    let test = "events_of_a_source_dropped_on_another_thread_are_not_taken_for_those_of_a_new_one";
    alone(test, || {
        run_in_task(|a, waker| {
            // Closing the descriptor does not deregister it, because it has been duplicated.
            let old = AsyncFd::new_exclusive(a).unwrap();
            let mut cx = Context::from_waker(waker);
            assert!(old.poll_read_ready(&mut cx).is_pending());
            thread::spawn(move || drop(old)).join().unwrap();
        });
    });
}

/// Runs `new_source_of_an_old_number` in a task.
fn run_in_task(retire: impl FnOnce(UnixStream, &Waker) + 'static) {
    runtime().block_on(async {
        spawn(new_source_of_an_old_number(retire)).await.unwrap();
    });
}

// --- waits that were given up, and a paused clock ---------------------------------------------------

/// Asserts that a paused clock moves while nothing waits for a descriptor.
async fn the_clock_moves() {
    let waker = my_waker().await;
    let (polled, polls) = mpsc::channel();
    // Keeps the test from hanging when the clock stands still: after each poll comes another one.
    let again = thread::spawn(move || polls.iter().for_each(|()| waker.wake_by_ref()));
    let (before, mut timer, mut times) = (Instant::now(), sleep(secs(1)), 0);
    poll_fn(|cx| {
        let fired = Pin::new(&mut timer).poll(cx);
        if fired.is_pending() {
            times += 1;
            assert!(times <= 1_000, "the clock stands still");
            polled.send(()).unwrap();
        }
        fired
    })
    .await;
    assert_eq!(before.elapsed(), secs(1));
    drop(polled);
    again.join().unwrap();
}

/// Polls once and does not wait.
async fn give_up<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) {
    poll_fn(|cx| {
        assert!(poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_paused_clock_moves_after_polls_of_descriptors_that_were_given_up() {
    paused().block_on(async {
        let (fd, _there, _) = full_source().await;
        give_up(|cx| fd.poll_read_ready(cx)).await;
        the_clock_moves().await;
        give_up(|cx| fd.poll_write_ready(cx)).await;
        the_clock_moves().await;
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_paused_clock_moves_after_polls_of_sockets_that_were_given_up() {
    paused().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        give_up(|cx| listener.poll_accept(cx)).await;
        the_clock_moves().await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        give_up(|cx| socket.poll_recv(cx, &mut [0; 8])).await;
        the_clock_moves().await;
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        give_up(|cx| stream.as_ref().unwrap().poll_peek(cx, &mut [0; 8])).await;
        the_clock_moves().await;
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_paused_clock_moves_after_a_task_that_had_polled_is_finished() {
    paused().block_on(async {
        let (fd, _there) = source().await;
        let fd = Rc::new(fd);
        let task = spawn({
            let fd = Rc::clone(&fd);
            async move { give_up(|cx| fd.poll_read_ready(cx)).await }
        });
        task.await.unwrap();
        the_clock_moves().await;
        let aborted = spawn({
            let fd = Rc::clone(&fd);
            poll_fn(move |cx| fd.poll_read_ready(cx).map(drop))
        });
        settle().await;
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        the_clock_moves().await;
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_paused_clock_moves_after_a_receive_of_a_signal_was_dropped() {
    let test = "a_paused_clock_moves_after_a_receive_of_a_signal_was_dropped";
    alone(test, || {
        paused().block_on(async {
            let mut listener = signal(SignalKind::user_defined1()).unwrap();
            assert!(poll_once(&mut listener.recv()).await.is_pending());
            the_clock_moves().await;
        });
    });
}

#[test]
#[ignore = "issue 10: mended by the redesign of waiters"]
fn a_paused_clock_moves_after_waits_that_were_dropped_on_another_thread() {
    paused().block_on(async {
        let (fd, _there) = source().await;
        let fd: &'static Source = Box::leak(Box::new(fd));
        let mut wait = fd.readable();
        assert!(poll_once(&mut wait).await.is_pending());
        thread::spawn(move || drop(wait)).join().unwrap();
        the_clock_moves().await;
    });
}

#[test]
fn a_paused_clock_stands_still_while_a_task_waits_for_a_descriptor() {
    // One that polled before and was given up does not count; one that waits now does.
    let trace = Trace::new();
    paused().block_on(async {
        let (fd, mut there) = source().await;
        let fd = Rc::new(fd);
        give_up(|cx| fd.poll_read_ready(cx)).await;
        let reader = spawn({
            let (fd, trace) = (Rc::clone(&fd), trace.clone());
            async move {
                poll_fn(|cx| fd.poll_read_ready(cx).map(drop)).await;
                trace.push("input");
            }
        });
        let timer = spawn({
            let trace = trace.clone();
            async move {
                sleep(secs(1)).await;
                trace.push("timer");
            }
        });
        settle().await;
        let writer = thread::spawn(move || {
            there.write_all(b"x").unwrap();
            there
        });
        reader.await.unwrap();
        timer.await.unwrap();
        drop(writer.join().unwrap());
    });
    trace.expect(&["input", "timer"]);
}
