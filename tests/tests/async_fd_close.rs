//! `AsyncFd`: closing a descriptor while tasks wait for it, and events of closed descriptors.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Poll, Wake, Waker};
use std::thread;

use wakeful::io::{AsyncFd, Interest};
use wakeful::runtime::Builder;
use wakeful::spawn;
use wakeful_tests::fd::{Source, fill, first_event, read, source, take};
use wakeful_tests::trace::{
    Trace, Wakes, alone, my_waker, on_drop, pair, panic_of, poll_with, runtime, settle,
};

// --- closing ----------------------------------------------------------------------------------------

/// A socket that several tasks use and that one of them can close.
type Shared = Rc<RefCell<Option<Source>>>;

/// Polls for input on a socket that can be closed by another task.
fn read_shared(shared: &Shared, trace: &Trace) -> impl Future<Output = ()> + use<> {
    let (shared, trace) = (Rc::clone(shared), trace.clone());
    poll_fn(move |cx| {
        let shared = shared.borrow();
        let Some(fd) = &*shared else {
            trace.push("found closed");
            return Poll::Ready(());
        };
        fd.poll_read_ready(cx).map(|_| trace.push("readable"))
    })
}

#[test]
fn closing_a_socket_wakes_its_reader() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (fd, _there) = source();
        let shared: Shared = Rc::new(RefCell::new(Some(fd)));
        let reader = spawn(read_shared(&shared, &trace));
        settle().await;
        drop(shared.take());
        trace.push("closed");
        settle().await;
        assert!(reader.is_finished(), "the reader was not woken");
    });
    trace.expect(&["closed", "found closed"]);
}

#[test]
fn closing_a_socket_wakes_its_writer() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (fd, _there) = source();
        first_event(&fd).await;
        fill(&fd);
        let shared: Shared = Rc::new(RefCell::new(Some(fd)));
        let writer = spawn({
            let (shared, trace) = (Rc::clone(&shared), trace.clone());
            poll_fn(move |cx| match &*shared.borrow() {
                Some(fd) => fd.poll_write_ready(cx).map(|_| trace.push("writable")),
                None => {
                    trace.push("found closed");
                    Poll::Ready(())
                }
            })
        });
        settle().await;
        drop(shared.take());
        trace.push("closed");
        settle().await;
        assert!(writer.is_finished(), "the writer was not woken");
    });
    trace.expect(&["closed", "found closed"]);
}

#[test]
fn into_inner_of_a_socket_wakes_its_reader() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (fd, _there) = source();
        let shared: Shared = Rc::new(RefCell::new(Some(fd)));
        let reader = spawn(read_shared(&shared, &trace));
        settle().await;
        drop(shared.take().unwrap().into_inner());
        reader.await.unwrap();
        assert_eq!(wakeful::metrics().waiting, 0);
    });
    trace.expect(&["found closed"]);
}

#[test]
fn closing_a_socket_on_another_thread_wakes_its_reader_and_frees_its_source() {
    let trace = Trace::new();
    let runtime = runtime();
    for exclusive in [false, true] {
        runtime.block_on(async {
            let (here, _there) = pair();
            let fd = match exclusive {
                true => AsyncFd::new_exclusive(here).unwrap(),
                false => AsyncFd::new(here).unwrap(),
            };
            let shared: Shared = Rc::new(RefCell::new(Some(fd)));
            let reader = spawn(read_shared(&shared, &trace));
            settle().await;
            let fd = shared.take();
            thread::spawn(move || drop(fd)).join().unwrap();
            reader.await.unwrap();
        });
        trace.expect(&["found closed"]);
        let metrics = runtime.metrics();
        assert_eq!((metrics.sources, metrics.waiting), (0, 0));
    }
}

#[test]
fn a_socket_can_be_dropped_but_not_used_on_another_thread() {
    let runtime = runtime();
    let (give, take) = mpsc::channel::<Source>();
    let other_thread = thread::spawn(move || {
        for fd in take {
            let text = panic_of(|| poll_with(&mut fd.readable(), Waker::noop()));
            assert!(text.contains("not running on this thread"), "{text}");
        }
    });
    runtime.block_on(async {
        for _ in 0..10 {
            give.send(source().0).unwrap();
        }
        drop(give);
        other_thread.join().unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().sources, 0);
        assert_eq!(wakeful::metrics().remote_messages, 10);
    });
}

#[test]
fn the_row_is_freed_before_the_descriptor_closes() {
    /// Stores the number of sources at the time of its drop.
    struct CountsSources(UnixStream, Rc<Cell<Option<u64>>>);
    impl AsFd for CountsSources {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    impl Drop for CountsSources {
        fn drop(&mut self) {
            self.1.set(Some(wakeful::metrics().sources));
        }
    }
    runtime().block_on(async {
        let sources = Rc::new(Cell::new(None));
        let fd = AsyncFd::new(CountsSources(pair().0, Rc::clone(&sources))).unwrap();
        assert_eq!(wakeful::metrics().sources, 1);
        drop(fd);
        assert_eq!(sources.get(), Some(0));
    });
}

#[test]
fn an_event_of_a_closed_source_does_not_reach_the_next_occupant_of_its_row() {
    // Descriptor numbers are shared by the whole process.
    alone(|| {
        let runtime = runtime();
        runtime.block_on(async {
            let (here, mut there) = pair();
            // A duplicate keeps the file open, so the registration outlives the descriptor. This
            // breaks the promise of `new_exclusive` on purpose.
            let duplicate = here.try_clone().unwrap();
            let old = AsyncFd::new_exclusive(here).unwrap();
            first_event(&old).await;
            let number = old.as_raw_fd();
            drop(old);
            // The next occupant of the row has the same descriptor number as well.
            let (here, _other) = pair();
            let new = AsyncFd::new(here).unwrap();
            assert_eq!(new.as_raw_fd(), number, "the number is reused");
            first_event(&new).await;
            let wakes = Wakes::new();
            let mut readable = new.readable();
            assert!(poll_with(&mut readable, &wakes.waker()).is_pending());
            let before = wakeful::metrics();
            there.write_all(b"x").unwrap();
            settle().await;
            let after = wakeful::metrics();
            assert!(
                after.events_stale > before.events_stale,
                "an event with the old token"
            );
            assert_eq!(wakes.count(), 0);
            assert!(new.try_ready(Interest::READABLE).is_none());
            drop((readable, duplicate));
        });
    });
}

#[test]
fn a_descriptor_with_the_number_of_a_closed_one_gets_none_of_its_events() {
    // Descriptor numbers are shared by the whole process.
    alone(|| {
        runtime().block_on(async {
            let (here, mut there) = pair();
            there.write_all(b"x").unwrap();
            let mut old = Some(AsyncFd::new(here).unwrap());
            // Kept, so that only the event wakes this task, and only by the descriptor's number.
            let mut waited = false;
            spawn(poll_fn(move |cx| {
                if !waited {
                    waited = true;
                    let fd = old.as_ref().unwrap();
                    assert!(fd.poll_read_ready(cx).is_pending());
                    return Poll::Pending;
                }
                // Woken by the first event of the old descriptor; the new one has had none.
                let number = old.take().unwrap().as_raw_fd();
                let (here, _there) = pair();
                let new = AsyncFd::new(here).unwrap();
                assert_eq!(new.as_raw_fd(), number, "the number is reused");
                let mut readable = new.readable();
                assert!(poll_with(&mut readable, cx.waker()).is_pending());
                assert!(poll_with(&mut readable, cx.waker()).is_pending());
                Poll::Ready(())
            }))
            .await
            .unwrap();
        });
    });
}

#[test]
fn a_wait_that_moves_to_another_task_waits_for_its_own_event() {
    // Descriptor numbers are shared by the whole process.
    alone(|| {
        runtime().block_on(async {
            let (here, mut there) = pair();
            there.write_all(b"x").unwrap();
            let old = Rc::new(AsyncFd::new(here).unwrap());
            type Wait = Pin<Box<dyn Future<Output = ()>>>;
            let wait: Rc<RefCell<Option<Wait>>> = Rc::default();
            // The event of the old descriptor wakes both. The first to be polled puts another one in
            // its place and waits for that, and the second goes on with this wait.
            let poll = |exchanges: bool| {
                let (mut old, wait, mut waited) = (Some(Rc::clone(&old)), Rc::clone(&wait), false);
                poll_fn(move |cx| {
                    if !waited {
                        waited = true;
                        assert!(old.as_ref().unwrap().poll_read_ready(cx).is_pending());
                        // The one that is polled first is the last to hold it.
                        old.take_if(|_| !exchanges);
                        return Poll::Pending;
                    }
                    if let Some(old) = old.take() {
                        let number = old.as_raw_fd();
                        drop(Rc::into_inner(old).expect("the only owner"));
                        let (here, there) = pair();
                        let new = AsyncFd::new(here).unwrap();
                        assert_eq!(new.as_raw_fd(), number, "the number is reused");
                        *wait.borrow_mut() = Some(Box::pin(async move {
                            new.readable().await.unwrap().retain_ready();
                            drop(there);
                        }));
                    }
                    let mut wait = wait.borrow_mut();
                    let wait = wait.as_mut().unwrap();
                    assert!(wait.as_mut().poll(cx).is_pending(), "nothing was sent");
                    Poll::Ready(())
                })
            };
            let (first, second) = (spawn(poll(true)), spawn(poll(false)));
            drop(old);
            first.await.unwrap();
            second.await.unwrap();
        });
    });
}

thread_local! {
    static INLINE: RefCell<Option<Pin<Box<dyn Future<Output = ()>>>>> = const { RefCell::new(None) };
}

/// A waker that polls its future on the spot, without a queue.
struct Inline;

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        let future = INLINE.take();
        let waker = Waker::from(self);
        if let Some(mut future) = future
            && poll_with(&mut future, &waker).is_pending()
        {
            INLINE.set(Some(future));
        }
    }
}

#[test]
fn a_poll_between_the_polls_of_tasks_takes_no_event() {
    // A wake carries the low eight bits of the count of events: after 256 more they are the same.
    for rounds in 250..=262 {
        runtime().block_on(async {
            let (fd, mut there) = source();
            there.write_all(b"x").unwrap();
            let (trace, root) = (Trace::new(), my_waker().await);
            let said = trace.clone();
            // The last poll of a task is one that the first event has woken.
            spawn(async move {
                assert_eq!(take(&fd).await, 1);
                let inline = async move {
                    for _ in 1..rounds {
                        there.write_all(b"x").unwrap();
                        assert_eq!(take(&fd).await, 1);
                    }
                    // The last event is of another kind than the first.
                    there.write_all(b"x").unwrap();
                    there.shutdown(Shutdown::Write).unwrap();
                    assert_eq!(take(&fd).await, 1);
                    root.wake();
                    assert_eq!(take(&fd).await, 0);
                    said.push("the end");
                };
                INLINE.set(Some(Box::pin(inline)));
                Waker::from(Arc::new(Inline)).wake();
            });
            let mut waited = false;
            poll_fn(|_| match std::mem::replace(&mut waited, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            settle().await;
            trace.expect(&["the end"]);
        });
    }
}

#[test]
fn an_event_of_one_runtime_is_not_taken_for_one_of_another() {
    let (first, second) = (runtime(), Rc::new(runtime()));
    let (here, mut there) = pair();
    let here = Rc::new(here);
    let in_second = second.block_on(async { AsyncFd::new(Rc::clone(&here)).unwrap() });
    let in_first = first.block_on(async { AsyncFd::new(Rc::clone(&here)).unwrap() });
    there.write_all(b"x").unwrap();
    let mut waited = false;
    let woken = poll_fn(move |cx| {
        if !waited {
            waited = true;
            assert!(in_first.poll_read_ready(cx).is_pending());
            return Poll::Pending;
        }
        // The same descriptor, but the other runtime has not had its first turn yet.
        let _entered = second.enter();
        let mut readable = in_second.readable();
        assert!(poll_with(&mut readable, cx.waker()).is_pending());
        assert!(poll_with(&mut readable, cx.waker()).is_pending());
        Poll::Ready(())
    });
    first.block_on(async { spawn(woken).await.unwrap() });
}

#[test]
fn an_old_event_does_not_complete_a_new_wait() {
    // A wake carries the low eight bits of the count of events: after 256 more they are the same.
    for queued in 250..=262 {
        let runtime = Builder::new().event_interval(1).build().unwrap();
        runtime.block_on(async {
            let (fd, mut there) = source();
            first_event(&fd).await;
            let (fd, woken) = (Rc::new(fd), Rc::new(Cell::new(0)));
            let waits = spawn({
                let (fd, woken) = (Rc::clone(&fd), Rc::clone(&woken));
                async move {
                    loop {
                        fd.readable().await.unwrap().clear_ready();
                        woken.set(woken.get() + 1);
                    }
                }
            });
            settle().await;
            // The first byte wakes it, to be polled behind all of these: one poll per turn, and in each
            // turn but the last another event.
            for _ in 1..queued {
                let mut there = there.try_clone().unwrap();
                spawn(async move { there.write_all(b"x").unwrap() });
            }
            let takes_all = Rc::clone(&fd);
            let taken = spawn(async move {
                let mut buffer = [0; 512];
                let take = |mut here: &UnixStream| here.read(&mut buffer);
                let taken = takes_all.try_io(Interest::READABLE, take).unwrap();
                let mut guard = takes_all.ready(Interest::READABLE).await.unwrap();
                guard.clear_ready();
                taken
            });
            assert_eq!(taken.await.unwrap(), queued - 1);
            settle().await;
            assert_eq!(woken.get(), 0, "{queued}: nothing was left for it");
            there.write_all(b"x").unwrap();
            settle().await;
            assert_eq!(woken.get(), 1, "{queued}: and then there was");
            waits.abort();
        });
    }
}

#[test]
fn of_two_events_in_one_batch_the_second_does_not_reach_a_source_created_because_of_the_first() {
    // Descriptor numbers are shared by the whole process.
    alone(|| {
        let trace = Trace::new();
        runtime().block_on(async {
            let (first, mut first_there) = source();
            let (second, mut second_there) = source();
            first_event(&first).await;
            first_event(&second).await;
            let second: Shared = Rc::new(RefCell::new(Some(second)));
            let number = second.borrow().as_ref().unwrap().as_raw_fd();
            // Its reader finds that the socket is closed, not that it is readable.
            spawn(read_shared(&second, &trace));
            let replaced: Rc<RefCell<Option<Source>>> = Rc::default();
            spawn({
                let (second, replaced, trace) =
                    (Rc::clone(&second), Rc::clone(&replaced), trace.clone());
                async move {
                    drop(first.readable().await.unwrap());
                    drop(second.take());
                    let (here, there) = pair();
                    let new = AsyncFd::new(here).unwrap();
                    assert_eq!(new.as_raw_fd(), number);
                    assert!(new.try_ready(Interest::READABLE).is_none());
                    trace.push("replaced");
                    *replaced.borrow_mut() = Some(new);
                    settle().await;
                    drop(there);
                }
            });
            settle().await;
            // Both events in one turn: both tasks are in the run queue before either of them runs.
            first_there.write_all(b"x").unwrap();
            second_there.write_all(b"x").unwrap();
            settle().await;
            let replaced = replaced.borrow();
            let new = replaced.as_ref().expect("replaced");
            assert!(
                new.try_ready(Interest::READABLE).is_none(),
                "an event of the other source"
            );
        });
        trace.expect(&["replaced", "found closed"]);
    });
}

#[test]
fn a_surviving_duplicate_wakes_no_task_and_causes_no_spin() {
    let runtime = runtime();
    runtime.block_on(async {
        let (here, mut there) = pair();
        let duplicate = here.try_clone().unwrap();
        let fd = AsyncFd::new_exclusive(here).unwrap();
        first_event(&fd).await;
        drop(fd);
        there.write_all(b"x").unwrap();
        settle().await;
        let before = wakeful::metrics();
        wakeful::time::sleep(std::time::Duration::from_millis(10)).await;
        let after = wakeful::metrics();
        assert!(
            after.epoll_waits - before.epoll_waits <= 2,
            "edge-triggered: one event"
        );
        assert_eq!(wakeful::metrics().events_stale, 1);
        drop(duplicate);
    });
}

#[test]
fn a_descriptor_that_can_have_duplicates_is_deregistered_explicitly() {
    runtime().block_on(async {
        let write_and_count = async |mut there: UnixStream| {
            settle().await;
            let before = wakeful::metrics().io_ready_count;
            there.write_all(b"x").unwrap();
            settle().await;
            wakeful::metrics().io_ready_count - before
        };
        // By default, after `mark_duplicated`, and by `into_inner`.
        let (here, there) = pair();
        let duplicate = here.try_clone().unwrap();
        drop(AsyncFd::new(here).unwrap());
        assert_eq!(write_and_count(there).await, 0);
        drop(duplicate);

        let (here, there) = pair();
        let fd = AsyncFd::new_exclusive(here).unwrap();
        let duplicate = fd.get_ref().try_clone().unwrap();
        fd.mark_duplicated();
        drop(fd);
        assert_eq!(write_and_count(there).await, 0);
        drop(duplicate);

        let (here, there) = pair();
        let inner = AsyncFd::new_exclusive(here).unwrap().into_inner();
        assert_eq!(write_and_count(there).await, 0);
        assert_eq!(wakeful::metrics().events_stale, 0);
        drop(inner);
    });
}

#[test]
fn a_descriptor_taken_out_can_be_registered_again_in_the_same_or_another_runtime() {
    let (first, second) = (runtime(), runtime());
    let (here, mut there) = pair();
    let once = first.block_on(async { AsyncFd::new(here).unwrap().into_inner() });
    let twice = first.block_on(async { AsyncFd::new_exclusive(once).unwrap().into_inner() });
    second.block_on(async {
        let fd = AsyncFd::new(twice).unwrap();
        there.write_all(b"x").unwrap();
        assert_eq!(read(&fd, &mut [0; 8]).await.unwrap(), 1);
    });
}

#[test]
fn closing_a_source_in_the_wake_of_another_is_safe() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (one, mut one_there) = source();
        let (two, two_there) = source();
        let two: Shared = Rc::new(RefCell::new(Some(two)));
        spawn(read_shared(&two, &trace));
        spawn({
            let two = Rc::clone(&two);
            async move {
                drop(one.readable().await.unwrap());
                drop(two.take());
            }
        });
        settle().await;
        one_there.write_all(b"x").unwrap();
        settle().await;
        drop(two_there);
    });
    trace.expect(&["found closed"]);
}

#[test]
fn a_socket_owned_by_an_aborted_task_is_closed_at_once() {
    runtime().block_on(async {
        let (fd, there) = source();
        let closed = Rc::new(Cell::new(false));
        let waits = spawn({
            let closed = Rc::clone(&closed);
            async move {
                let _closed = on_drop(move || closed.set(true));
                drop(fd.readable().await);
            }
        });
        settle().await;
        waits.abort();
        settle().await;
        assert!(closed.get());
        assert_eq!(wakeful::metrics().sources, 0);
        // The peer reads the end of the stream.
        assert_eq!((&there).read(&mut [0; 8]).unwrap(), 0);
    });
}
