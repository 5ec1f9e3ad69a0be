//! `AsyncFd`: readiness without lost or false events, and descriptors that the kernel refuses.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::thread;

use wakeful::io::{AsyncFd, AsyncFdReadyGuard, Interest, Ready};
use wakeful::runtime::{Handle, Runtime};
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful_tests::fd::{fill, first_event, read, source, take};
use wakeful_tests::trace::{Trace, Wakes, my_waker, pair, poll_once, poll_with, runtime, settle};

// --- waiting and being woken ------------------------------------------------------------------------

#[test]
fn a_read_waits_for_input_and_returns_it() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (fd, mut there) = source();
        let reader = spawn({
            let trace = trace.clone();
            async move {
                let mut buffer = [0; 16];
                for _ in 0..3 {
                    let n = read(&fd, &mut buffer).await.unwrap();
                    trace.push(String::from_utf8_lossy(&buffer[..n]));
                }
            }
        });
        for word in ["one", "two"] {
            there.write_all(word.as_bytes()).unwrap();
            settle().await;
        }
        trace.expect(&["one", "two"]);
        drop(there);
        reader.await.unwrap();
    });
    trace.expect(&[""]);
}

#[test]
fn a_write_waits_until_there_is_room() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        first_event(&fd).await;
        let sent = fill(&fd);
        let mut writable = fd.writable();
        assert!(poll_once(&mut writable).await.is_pending());
        settle().await;
        assert!(poll_once(&mut writable).await.is_pending(), "still full");
        let mut taken = vec![0; sent];
        there.read_exact(&mut taken).unwrap();
        assert!(writable.await.unwrap().ready().is_writable());
    });
}

/// Exchanges bytes between a runtime and a thread: each round is one wait, and the byte arrives at
/// any moment.
#[test]
fn no_edge_is_lost_in_20_000_rounds_with_another_thread() {
    const ROUNDS: u32 = 20_000;
    runtime().block_on(async {
        let (fd, mut there) = source();
        let peer = thread::spawn(move || {
            let mut number = [0; 4];
            for round in 0..ROUNDS {
                there.read_exact(&mut number).unwrap();
                assert_eq!(u32::from_ne_bytes(number), round);
                there.write_all(&number).unwrap();
            }
        });
        let mut number = [0; 4];
        for round in 0..ROUNDS {
            let sent = fd.async_io(Interest::WRITABLE, |mut here| {
                here.write(&round.to_ne_bytes())
            });
            assert_eq!(sent.await.unwrap(), 4);
            assert_eq!(read(&fd, &mut number).await.unwrap(), 4);
            assert_eq!(u32::from_ne_bytes(number), round);
        }
        peer.join().unwrap();
    });
}

/// The peer sends at any time. The reader empties the socket and waits, so bytes also arrive
/// between its last read and its wait.
#[test]
fn no_byte_is_lost_between_the_last_read_and_the_wait() {
    const BYTES: usize = 100_000;
    runtime().block_on(async {
        let (fd, mut there) = source();
        let peer = thread::spawn(move || {
            for byte in 0..BYTES {
                there.write_all(&[byte as u8]).unwrap();
                if byte % 64 == 0 {
                    thread::yield_now();
                }
            }
        });
        let (mut seen, mut buffer) = (0, [0; 256]);
        while seen < BYTES {
            let mut guard = fd.readable().await.unwrap();
            // Alternates between reads until `WouldBlock` and trust in a short read.
            loop {
                match guard.try_io(|fd| fd.get_ref().read(&mut buffer)) {
                    Err(_would_block) => break,
                    Ok(n) => {
                        for byte in &buffer[..n.unwrap()] {
                            assert_eq!(*byte, seen as u8);
                            seen += 1;
                        }
                        if seen % 2 == 0 {
                            guard.short_transfer();
                            break;
                        }
                    }
                }
            }
        }
        peer.join().unwrap();
    });
}

// --- cached readiness -------------------------------------------------------------------------------

#[test]
fn readiness_stays_until_an_operation_disproves_it() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"ab").unwrap();
        for _ in 0..3 {
            let guard = fd.readable().await.unwrap();
            assert_eq!(guard.ready(), Ready::READABLE);
        }
        assert!(poll_once(&mut fd.readable()).await.is_ready());
        let mut byte = [0];
        assert_eq!(read(&fd, &mut byte).await.unwrap(), 1);
        assert!(
            poll_once(&mut fd.readable()).await.is_ready(),
            "no operation disproved it"
        );
        assert_eq!(read(&fd, &mut byte).await.unwrap(), 1);
        let tried = fd.try_io(Interest::READABLE, |mut here| here.read(&mut byte));
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(poll_once(&mut fd.readable()).await.is_pending());
        assert!(fd.try_ready(Interest::READABLE).is_none());
    });
}

#[test]
fn try_io_never_waits_and_calls_the_operation_only_if_ready() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let called = Cell::new(0);
        let operation = |mut here: &UnixStream| {
            called.set(called.get() + 1);
            here.read(&mut [0; 8])
        };
        let tried = fd.try_io(Interest::READABLE, operation);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(called.get(), 0);
        there.write_all(b"abc").unwrap();
        drop(fd.readable().await.unwrap());
        assert_eq!(fd.try_io(Interest::READABLE, operation).unwrap(), 3);
        let tried = fd.try_io(Interest::READABLE, operation);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(called.get(), 2);
        let tried = fd.try_io(Interest::READABLE, operation);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(called.get(), 2, "the readiness is cleared");
    });
}

#[test]
fn an_operations_own_error_is_returned_and_clears_nothing() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"x").unwrap();
        drop(fd.readable().await.unwrap());
        let fails = |_: &UnixStream| -> io::Result<()> { Err(ErrorKind::InvalidData.into()) };
        let tried = fd.try_io(Interest::READABLE, fails);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::InvalidData);
        let awaited = fd.async_io(Interest::READABLE, fails).await;
        assert_eq!(awaited.unwrap_err().kind(), ErrorKind::InvalidData);
        let mut guard = fd.try_ready(Interest::READABLE).expect("still ready");
        let tried = guard.try_io(|fd| fails(fd.get_ref()));
        assert_eq!(tried.unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
        guard.retain_ready();
        assert!(fd.try_ready(Interest::READABLE).is_some());
    });
}

#[test]
fn a_guard_clears_only_the_given_readiness_of_its_own_interest() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"x").unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let guard = fd.ready(both).await.unwrap();
        assert_eq!(guard.ready(), Ready::READABLE | Ready::WRITABLE);
        assert_eq!(guard.get_inner().as_raw_fd(), fd.as_raw_fd());
        fd.readable().await.unwrap().clear_ready();
        assert!(fd.try_ready(Interest::READABLE).is_none());
        assert!(fd.try_ready(Interest::WRITABLE).is_some());
        fd.assume_ready(Ready::READABLE);
        let mut guard = fd.ready(both).await.unwrap();
        guard.clear_ready_matching(Ready::WRITABLE);
        assert_eq!(guard.ready(), Ready::READABLE);
        assert!(fd.try_ready(Interest::READABLE).is_some());
        assert!(fd.try_ready(Interest::WRITABLE).is_none());
        // A guard of a read interest never clears write readiness.
        fd.assume_ready(Ready::WRITABLE);
        fd.readable()
            .await
            .unwrap()
            .clear_ready_matching(Ready::ALL);
        assert!(fd.try_ready(Interest::WRITABLE).is_some());
    });
}

#[test]
fn an_event_that_arrives_while_a_guard_is_held_is_not_cleared() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"a").unwrap();
        type Clear = fn(&mut AsyncFdReadyGuard<'_, UnixStream>);
        let clears: [Clear; 4] = [
            |guard| guard.clear_ready(),
            |guard| guard.clear_ready_matching(Ready::READABLE),
            |guard| guard.short_transfer(),
            |guard| {
                let would_block = || Err::<(), _>(ErrorKind::WouldBlock.into());
                guard.try_io(|_| would_block()).unwrap_err();
            },
        ];
        for clear in clears {
            let mut guard = fd.readable().await.unwrap();
            assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 1);
            // A turn dispatches a further event.
            there.write_all(b"b").unwrap();
            settle().await;
            clear(&mut guard);
            assert!(
                poll_once(&mut fd.readable()).await.is_ready(),
                "the event was lost"
            );
        }
    });
}

#[test]
fn an_event_of_the_other_direction_costs_one_more_try_and_no_spin() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        first_event(&fd).await;
        let sent = fill(&fd);
        there.write_all(b"x").unwrap();
        let mut tries = 0;
        let mut guard = fd.readable().await.unwrap();
        assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 1);
        // An event for the writer, while the reader's guard is held.
        there.read_exact(&mut vec![0; sent]).unwrap();
        settle().await;
        loop {
            tries += 1;
            let tried = guard.try_io(|fd| fd.get_ref().read(&mut [0; 8]));
            assert!(tried.is_err());
            let mut readable = fd.readable();
            match poll_once(&mut readable).await {
                Poll::Ready(again) => guard = again.unwrap(),
                Poll::Pending => break,
            }
        }
        assert!(tries <= 2, "{tries} tries");
    });
}

#[test]
fn a_short_transfer_clears_readiness_unless_the_end_or_an_error_is_known() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"x").unwrap();
        let mut guard = fd.readable().await.unwrap();
        assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 1);
        guard.short_transfer();
        assert!(poll_once(&mut fd.readable()).await.is_pending());
        // Data and the end of the stream in one event: no further edge will come.
        there.write_all(b"y").unwrap();
        there.shutdown(Shutdown::Write).unwrap();
        let mut guard = fd.readable().await.unwrap();
        assert!(guard.ready().is_read_closed());
        assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 1);
        guard.short_transfer();
        assert!(poll_once(&mut fd.readable()).await.is_ready());
        assert_eq!(read(&fd, &mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn a_closed_direction_stays_ready_after_every_clear() {
    runtime().block_on(async {
        let (fd, there) = source();
        there.shutdown(Shutdown::Write).unwrap();
        for _ in 0..3 {
            let mut guard = fd.readable().await.unwrap();
            assert!(guard.ready().is_read_closed());
            guard.clear_ready();
            guard.clear_ready_matching(Ready::READ_CLOSED);
        }
        assert_eq!(read(&fd, &mut [0; 8]).await.unwrap(), 0);
        assert_eq!(read(&fd, &mut [0; 8]).await.unwrap(), 0, "still at the end");
    });
}

#[test]
fn assumed_readiness_is_tried_and_cleared_if_wrong() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let before = wakeful::metrics().io_ready_count;
        fd.assume_ready(Ready::WRITABLE);
        let sent = fd.async_io(Interest::WRITABLE, |mut here| here.write(b"x"));
        assert_eq!(
            futures_lite::future::poll_once(sent)
                .await
                .unwrap()
                .unwrap(),
            1
        );
        assert_eq!(
            wakeful::metrics().io_ready_count,
            before,
            "without any event"
        );
        // Assumed without a reason: the operation would block, and the next wait is a real one.
        fd.assume_ready(Ready::READABLE);
        let mut byte = [0];
        let tries = Cell::new(0);
        let mut reading = fd.async_io(Interest::READABLE, |mut here| {
            tries.set(tries.get() + 1);
            here.read(&mut byte)
        });
        assert!(poll_once(&mut reading).await.is_pending());
        there.write_all(b"y").unwrap();
        assert_eq!(reading.await.unwrap(), 1);
        assert_eq!(tries.get(), 2);
    });
}

#[test]
fn assumed_readiness_does_not_count_as_an_event() {
    // A wake carries the low eight bits of the count of events: after 256 more they are the same.
    for times in 253..=258 {
        runtime().block_on(async {
            let (fd, mut there) = source();
            first_event(&fd).await;
            let fd = Rc::new(fd);
            // The event wakes both. The first reads all input, and the second finds nothing.
            let takes = Rc::clone(&fd);
            spawn(async move {
                assert_eq!(take(&takes).await, 1);
                for _ in 0..times {
                    takes.assume_ready(Ready::WRITABLE);
                }
            });
            let trace = Trace::new();
            let pushes = trace.clone();
            let waits = spawn(async move {
                fd.readable().await.unwrap().retain_ready();
                pushes.push("readable");
            });
            settle().await;
            there.write_all(b"x").unwrap();
            settle().await;
            trace.expect(&[]);
            there.write_all(b"x").unwrap();
            waits.await.unwrap();
        });
    }
}

#[test]
fn assumed_readiness_wakes_its_waiters() {
    runtime().block_on(async {
        let (fd, _there) = source();
        let fd = Rc::new(fd);
        let waiting = spawn({
            let fd = Rc::clone(&fd);
            async move { fd.readable().await.unwrap().ready() }
        });
        settle().await;
        assert!(!waiting.is_finished());
        fd.assume_ready(Ready::READABLE);
        settle().await;
        assert!(waiting.is_finished());
        assert_eq!(wakeful::metrics().waiting, 0);
    });
}

#[test]
fn assumed_priority_wakes_a_wait_for_priority() {
    runtime().block_on(async {
        let (fd, _there) = source();
        let wakes = Wakes::new();
        let mut priority = fd.ready(Interest::PRIORITY);
        assert!(poll_with(&mut priority, &wakes.waker()).is_pending());
        fd.assume_ready(Ready::PRIORITY);
        assert_eq!(wakes.count(), 1);
        assert!(priority.await.unwrap().ready().is_priority());
    });
}

#[test]
fn a_readiness_future_can_be_awaited_again() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let mut readable = fd.readable().operation("a test");
        for _ in 0..5 {
            assert!(poll_once(&mut readable).await.is_pending());
            there.write_all(b"x").unwrap();
            let mut guard = poll_fn(|cx| Pin::new(&mut readable).poll(cx))
                .await
                .unwrap();
            assert_eq!(fd.get_ref().read(&mut [0; 8]).unwrap(), 1);
            guard.short_transfer();
        }
        assert_eq!(wakeful::metrics().waiting, 0);
    });
}

// --- what is refused --------------------------------------------------------------------------------

#[test]
fn a_regular_file_and_a_directory_are_refused_and_leave_no_source() {
    runtime().block_on(async {
        for path in ["Cargo.toml", "/"] {
            let refused = AsyncFd::new(File::open(path).unwrap());
            assert_eq!(
                refused.unwrap_err().kind(),
                ErrorKind::PermissionDenied,
                "{path}"
            );
        }
        assert_eq!(wakeful::metrics().sources, 0);
    });
}

#[test]
fn the_error_for_a_regular_file_says_why_and_what_to_use() {
    runtime().block_on(async {
        for path in ["Cargo.toml", "/", "/dev/null"] {
            let refused = AsyncFd::new(File::open(path).unwrap());
            let text = refused.unwrap_err().to_string();
            assert!(text.contains("epoll cannot watch"), "{path}: {text}");
            assert!(text.contains("regular file"), "{path}: {text}");
            assert!(text.contains("spawn_blocking"), "{path}: {text}");
            assert!(text.contains("io::stdin"), "{path}: {text}");
            assert!(text.ends_with("(os error 1)"), "{path}: {text}");
        }
    });
}

#[test]
fn a_second_registration_of_a_descriptor_is_refused_and_the_first_keeps_working() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd: AsyncFd<BorrowedFd<'_>> = AsyncFd::new(here.as_fd()).unwrap();
        let mut readable = fd.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        for _ in 0..3 {
            let again = AsyncFd::with_interest(here.as_fd(), Interest::READABLE);
            let error = again.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            let text = error.to_string();
            let begin = format!("register descriptor {}: it is registered", here.as_raw_fd());
            assert!(text.starts_with(&begin), "{text}");
            assert!(text.ends_with("(os error 17)"), "{text}");
        }
        assert_eq!(wakeful::metrics().sources, 1);
        there.write_all(b"x").unwrap();
        assert!(readable.await.unwrap().ready().is_readable());
    });
}

#[test]
fn an_operation_in_a_direction_without_a_registration_is_an_error() {
    fn refused<T>(polled: Poll<io::Result<T>>, operation: &str) {
        let Poll::Ready(Err(error)) = polled else {
            panic!("{operation} waits");
        };
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(text.starts_with(operation), "{text}");
        assert!(text.contains(" is registered for "), "{text}");
        assert!(text.contains("tests/async_fd.rs:"), "{text}");
    }
    runtime().block_on(async {
        let reads = Interest::READABLE;
        let writes = Interest::WRITABLE;
        for (registered, other) in [(reads, writes), (writes, reads)] {
            let (here, _there) = pair();
            let mut fd = AsyncFd::with_interest(here, registered).unwrap();
            let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
            refused(poll_once(&mut fd.ready(other)).await, "AsyncFd::ready");
            refused(
                poll_with(&mut fd.ready(other), cx.waker()),
                "AsyncFd::ready",
            );
            let polled = match other.is_readable() {
                true => (poll_once(&mut fd.readable()).await, fd.poll_read_ready(cx)),
                false => (poll_once(&mut fd.writable()).await, fd.poll_write_ready(cx)),
            };
            refused(polled.0, "AsyncFd::");
            refused(polled.1, "AsyncFd::poll_");
            let operation = |_: &UnixStream| -> io::Result<()> { unreachable!() };
            refused(
                poll_once(&mut fd.async_io(other, operation)).await,
                "AsyncFd::async_io",
            );
            refused(Poll::Ready(fd.try_io(other, operation)), "AsyncFd::try_io");
            let transfer = fd.try_transfer(other, |_| unreachable!());
            refused(Poll::Ready(transfer), "AsyncFd::try_transfer");
            let mutable = fd.try_io_mut(other, |_| -> io::Result<()> { unreachable!() });
            refused(Poll::Ready(mutable), "AsyncFd::try_io_mut");
            let mut waits = Box::pin(fd.ready_mut(other));
            refused(poll_once(&mut waits).await, "AsyncFd::ready_mut");
            drop(waits);
            let never = |_: &mut UnixStream| -> io::Result<()> { unreachable!() };
            let mut waits = Box::pin(fd.async_io_mut(other, never));
            refused(poll_once(&mut waits).await, "AsyncFd::async_io_mut");
            drop(waits);
        }
        let (here, _there) = pair();
        let fd = AsyncFd::with_interest(here, Interest::PRIORITY).unwrap();
        refused(poll_once(&mut fd.readable()).await, "AsyncFd::readable");
    });
}

#[test]
fn a_direction_without_a_registration_does_not_hinder_what_the_kernel_reports() {
    runtime().block_on(async {
        let (reads, writes) = (Interest::READABLE, Interest::WRITABLE);
        for (registered, other) in [(reads, writes), (writes, reads)] {
            let (here, there) = pair();
            let fd = AsyncFd::with_interest(here, registered).unwrap();
            settle().await;
            let both = poll_once(&mut fd.ready(reads | writes)).await;
            assert_eq!(both.is_ready(), registered == writes);
            let mut errors = fd.ready(Interest::ERROR);
            assert!(poll_once(&mut errors).await.is_pending());
            // The end of both directions is reported without being asked for.
            drop(there);
            settle().await;
            assert!(matches!(
                poll_once(&mut fd.ready(other)).await,
                Poll::Ready(Ok(_))
            ));
        }
        let (here, _there) = pair();
        let fd = AsyncFd::with_interest(here, reads).unwrap();
        let mut priority = fd.ready(Interest::PRIORITY);
        assert!(poll_once(&mut priority).await.is_pending());
    });
}

#[test]
fn a_descriptor_can_be_registered_with_two_runtimes_at_once() {
    let (first, second) = (runtime(), runtime());
    let (here, mut there) = pair();
    let here: OwnedFd = here.into();
    let in_first = first.block_on(async { AsyncFd::new(here.as_fd()).unwrap() });
    let in_second = second.block_on(async { AsyncFd::new(here.as_fd()).unwrap() });
    there.write_all(b"x").unwrap();
    let readable = async |fd: &AsyncFd<BorrowedFd<'_>>| fd.readable().await.unwrap().ready();
    assert!(first.block_on(readable(&in_first)).is_readable());
    assert!(second.block_on(readable(&in_second)).is_readable());
    drop(in_first);
    first.block_on(settle());
    there.write_all(b"y").unwrap();
    assert!(second.block_on(readable(&in_second)).is_readable());
}

#[test]
fn a_refused_value_is_dropped() {
    struct PushesOnDrop(File, Trace);
    impl AsFd for PushesOnDrop {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
    impl Drop for PushesOnDrop {
        fn drop(&mut self) {
            self.1.push("dropped");
        }
    }
    let trace = Trace::new();
    runtime().block_on(async {
        let file = File::open("Cargo.toml").unwrap();
        assert!(AsyncFd::new(PushesOnDrop(file, trace.clone())).is_err());
    });
    trace.expect(&["dropped"]);
}

#[test]
fn as_fd_can_use_a_runtime_during_registration() {
    /// Its `as_fd`, which is user code, enters another runtime and spawns there.
    struct EntersRuntime(UnixStream, Runtime);
    impl AsFd for EntersRuntime {
        fn as_fd(&self) -> BorrowedFd<'_> {
            let _entered = self.1.enter();
            drop(spawn(async {}));
            self.0.as_fd()
        }
    }
    let other = runtime();
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::new(EntersRuntime(here, other)).unwrap();
        there.write_all(b"x").unwrap();
        assert!(fd.readable().await.unwrap().ready().is_readable());
        drop(fd.into_inner());
    });
}

// --- many descriptors and sets -----------------------------------------------------------------------

#[test]
fn two_hundred_sockets_with_a_reader_each_receive_all_their_bytes() {
    let runtime = runtime();
    runtime.block_on(async {
        let mut peers = Vec::new();
        let mut readers = Vec::new();
        for number in 0..200_u32 {
            let (fd, there) = source();
            peers.push(there);
            readers.push(spawn(async move {
                let mut buffer = [0; 4];
                let mut seen = 0;
                while seen < 5 {
                    let n = read(&fd, &mut buffer).await.unwrap();
                    assert_eq!((n, u32::from_ne_bytes(buffer)), (4, number));
                    seen += 1;
                }
            }));
        }
        for _ in 0..5 {
            for (number, there) in peers.iter_mut().enumerate() {
                there.write_all(&(number as u32).to_ne_bytes()).unwrap();
            }
            yield_now().await;
            yield_now().await;
        }
        for reader in readers {
            reader.await.unwrap();
        }
    });
    assert_eq!(runtime.metrics().sources, 0);
}

#[test]
fn ready_and_interest_have_set_operations() {
    let both = Interest::READABLE.add(Interest::WRITABLE);
    assert_eq!(both, Interest::READABLE | Interest::WRITABLE);
    assert!(both.is_readable() && both.is_writable() && !both.is_priority());
    assert_eq!(format!("{both:?}"), "READABLE|WRITABLE");
    assert_eq!(format!("{:?}", Interest::ERROR), "ERROR");
    let ready = Ready::READABLE | Ready::READ_CLOSED;
    assert!(ready.contains(Ready::READABLE) && !ready.contains(Ready::ALL));
    assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_writable());
    assert_eq!(ready - Ready::READABLE, Ready::READ_CLOSED);
    assert!((ready - ready).is_empty() && Ready::EMPTY.is_empty());
    assert!(
        Ready::READ_CLOSED.is_readable(),
        "the end of the stream can be read"
    );
    assert!(Ready::WRITE_CLOSED.is_writable());
    assert!(Ready::ERROR.is_error() && Ready::PRIORITY.is_priority());
    assert!(Ready::ALL.contains(ready | Ready::ERROR));
}

#[test]
fn an_operation_runs_inside_the_runtime() {
    // Operations are user code: the runtime holds no borrow while they run.
    runtime().block_on(async {
        let (fd, mut there) = source();
        there.write_all(b"x").unwrap();
        let waker = my_waker().await;
        let spawned = fd
            .async_io(Interest::READABLE, |mut here| {
                drop(Handle::current());
                drop(wakeful::metrics());
                waker.wake_by_ref();
                assert_eq!(here.read(&mut [0; 8])?, 1);
                Ok(spawn(async { "spawned inside" }))
            })
            .await;
        assert_eq!(spawned.unwrap().await.unwrap(), "spawned inside");
    });
}
