//! Events while the waker of a wait is cloned, and events after the number of a descriptor was
//! reused: none is missed, and none is attributed to another source.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use rustix::process::Signal;
use wakeful::io::{AsyncFd, Interest, Ready};
use wakeful::runtime::Runtime;
use wakeful::signal::unix::{SignalKind, signal};
use wakeful::spawn;
use wakeful_tests::trace::{Hooks, Wakes, alone, my_waker, pair, poll_once, runtime, settle};
use wakeful_tests::waits::{Source, full_source, source, take};

/// Raises a signal on this thread.
fn raise(signal: Signal) {
    signal_hook::low_level::raise(signal.as_raw()).unwrap();
}

// --- events while a waker is cloned -----------------------------------------------------------------

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

/// A closure that polls one wait for a source.
type PollWait = Box<dyn FnMut(&mut Context<'_>) -> Poll<()>>;

/// Returns a closure that polls one `ready` future.
fn ready_future(fd: Rc<Source>, interest: Interest) -> PollWait {
    let mut future = Box::pin(async move { drop(fd.ready(interest).await.unwrap()) });
    Box::new(move |cx| future.as_mut().poll(cx))
}

/// Polls with a waker whose clone dispatches an event, and asserts that the poll is ready or that
/// the waker is woken.
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
    if polled.is_pending() {
        assert!(wakes.count() > 0, "the event was missed");
        assert!(poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}

/// Makes a source readable or writable while the waker of a wait for it is cloned.
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
fn an_event_while_a_waker_is_cloned_wakes_a_ready_future() {
    const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);
    input_or_room_in_clone_wakes(true, |fd| ready_future(fd, Interest::READABLE));
    input_or_room_in_clone_wakes(false, |fd| ready_future(fd, Interest::WRITABLE));
    input_or_room_in_clone_wakes(true, |fd| ready_future(fd, BOTH));
    input_or_room_in_clone_wakes(false, |fd| ready_future(fd, BOTH));
}

#[test]
fn an_event_while_a_waker_is_cloned_wakes_a_poll_function() {
    input_or_room_in_clone_wakes(true, |fd| {
        Box::new(move |cx| fd.poll_read_ready(cx).map(drop))
    });
    input_or_room_in_clone_wakes(false, |fd| {
        Box::new(move |cx| fd.poll_write_ready(cx).map(drop))
    });
}

#[test]
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
fn a_signal_while_a_waker_is_cloned_wakes_its_receiver() {
    alone(|| {
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

// --- events and reused descriptor numbers -----------------------------------------------------------

/// Waits for a source whose descriptor has the number of an older, closed one. The older source
/// still receives events. Asserts that the new source receives no false event and misses none.
///
/// `retire` registers the given socket, waits with the given waker, and closes the descriptor
/// without the removal of the source.
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
    // The second poll is due to the old source's event, or else to this task.
    spawn(async move {
        settle().await;
        waker.wake();
    });
    let mut polls = 0;
    let false_event = poll_fn(|cx| {
        polls += 1;
        let polled = Pin::new(&mut wait).poll(cx);
        match (polls, &polled) {
            (1, Poll::Ready(_)) => panic!("the new source has received no event"),
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
fn events_of_a_leaked_source_are_not_taken_for_those_of_a_new_one_with_its_number() {
    alone(|| {
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
fn events_of_a_source_dropped_on_another_thread_are_not_taken_for_those_of_a_new_one() {
    alone(|| {
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

#[test]
fn a_guard_from_before_does_not_clear_assumed_readiness() {
    runtime().block_on(async {
        let (fd, _there, _) = full_source().await;
        fd.assume_ready(Ready::WRITABLE);
        let mut guard = fd.writable().await.unwrap();
        fd.assume_ready(Ready::WRITABLE);
        guard.clear_ready();
        assert!(fd.try_ready(Interest::WRITABLE).is_some());
    });
}
