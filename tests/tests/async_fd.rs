//! `AsyncFd`: readiness without lost or false events, many waiters, closing, and descriptors that
//! the kernel refuses.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use wakeful::io::{AsyncFd, AsyncFdReadyGuard, Interest, Ready};
use wakeful::runtime::{Builder, Handle, Runtime};
use wakeful::spawn;
use wakeful::task::yield_now;
use wakeful_tests::trace::{
    Trace, Wakes, alone, my_waker, on_drop, pair, panic_of, poll_once, poll_with, runtime, settle,
};

type Source = AsyncFd<UnixStream>;

/// Creates a registered socket and its blocking peer.
fn source() -> (Source, UnixStream) {
    let (here, there) = pair();
    (AsyncFd::new(here).unwrap(), there)
}

/// Waits for input and reads once.
async fn read(fd: &Source, buffer: &mut [u8]) -> io::Result<usize> {
    fd.async_io(Interest::READABLE, |mut here| here.read(buffer))
        .await
}

/// Writes until the socket's buffer is full, and returns the number of bytes.
fn fill(fd: &Source) -> usize {
    let mut sent = 0;
    while let Ok(n) = fd.try_io(Interest::WRITABLE, |mut here| here.write(&[7; 4096])) {
        sent += n;
    }
    sent
}

/// Dispatches the socket's first event, which reports that it is writable.
async fn first_event(fd: &Source) {
    drop(fd.writable().await.unwrap());
}

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

// --- directions and flags ---------------------------------------------------------------------------

#[test]
fn the_peers_shutdown_wakes_the_reader_and_not_the_writer() {
    runtime().block_on(async {
        let (fd, there) = source();
        first_event(&fd).await;
        fill(&fd);
        let (reader, writer) = (Wakes::new(), Wakes::new());
        let (mut readable, mut writable) = (fd.readable(), fd.writable());
        assert!(poll_with(&mut readable, &reader.waker()).is_pending());
        assert!(poll_with(&mut writable, &writer.waker()).is_pending());
        there.shutdown(Shutdown::Write).unwrap();
        settle().await;
        assert_eq!((reader.count(), writer.count()), (1, 0));
        let ready = readable.await.unwrap().ready();
        assert!(ready.is_read_closed() && !ready.is_write_closed());
    });
}

#[test]
fn a_hang_up_wakes_both_directions() {
    runtime().block_on(async {
        let (fd, there) = source();
        first_event(&fd).await;
        fill(&fd);
        let (reader, writer) = (Wakes::new(), Wakes::new());
        let (mut readable, mut writable) = (fd.readable(), fd.writable());
        assert!(poll_with(&mut readable, &reader.waker()).is_pending());
        assert!(poll_with(&mut writable, &writer.waker()).is_pending());
        drop(there);
        settle().await;
        assert_eq!((reader.count(), writer.count()), (1, 1));
        assert!(readable.await.unwrap().ready().is_read_closed());
        assert!(writable.await.unwrap().ready().is_write_closed());
    });
}

/// Creates a pipe in non-blocking mode.
fn pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    (reader, writer)
}

#[test]
fn an_error_wakes_both_directions() {
    runtime().block_on(async {
        // A pipe without a reader reports EPOLLERR to its writer.
        let (reader, writer) = pipe();
        let fd = AsyncFd::new(writer).unwrap();
        drop(fd.writable().await.unwrap());
        while fd
            .try_io(Interest::WRITABLE, |mut pipe| pipe.write(&[7; 4096]))
            .is_ok()
        {}
        let (wakes, other) = (Wakes::new(), Wakes::new());
        let (mut writable, mut readable) = (fd.writable(), fd.readable());
        assert!(poll_with(&mut writable, &wakes.waker()).is_pending());
        assert!(poll_with(&mut readable, &other.waker()).is_pending());
        drop(reader);
        settle().await;
        assert_eq!((wakes.count(), other.count()), (1, 1));
        assert!(writable.await.unwrap().ready().is_error());
        assert!(readable.await.unwrap().ready().is_error());
        let write = fd
            .async_io(Interest::WRITABLE, |mut pipe| pipe.write(b"x"))
            .await;
        assert_eq!(write.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_closed_peer_without_waiters_causes_no_spin() {
    let runtime = runtime();
    runtime.block_on(async {
        let (hung_up, there) = source();
        let (half_closed, other) = source();
        drop(there);
        other.shutdown(Shutdown::Write).unwrap();
        settle().await;
        let before = wakeful::metrics();
        // Parks once; this sleep is the only wait.
        wakeful::time::sleep(std::time::Duration::from_millis(10)).await;
        let after = wakeful::metrics();
        assert!(after.epoll_waits - before.epoll_waits <= 2);
        assert_eq!(after.io_ready_count, before.io_ready_count);
        drop((hung_up, half_closed));
    });
}

#[test]
fn a_read_and_a_write_of_one_socket_from_two_tasks_do_not_interfere() {
    const BYTES: usize = 1_000_000;
    runtime().block_on(async {
        let (fd, there) = source();
        let fd = Rc::new(fd);
        let echo = thread::spawn(move || {
            let (mut from, mut to) = (&there, &there);
            assert_eq!(io::copy(&mut from, &mut to).unwrap(), BYTES as u64);
        });
        let writer = spawn({
            let fd = Rc::clone(&fd);
            async move {
                let mut sent = 0;
                while sent < BYTES {
                    let bytes: Vec<u8> = (sent..BYTES.min(sent + 5_000)).map(|n| n as u8).collect();
                    let write = fd.async_io(Interest::WRITABLE, |mut here| here.write(&bytes));
                    sent += write.await.unwrap();
                }
                fd.get_ref().shutdown(Shutdown::Write).unwrap();
            }
        });
        let (mut seen, mut buffer) = (0, vec![0; 3_000]);
        loop {
            let n = read(&fd, &mut buffer).await.unwrap();
            if n == 0 {
                break;
            }
            for byte in &buffer[..n] {
                assert_eq!(*byte, seen as u8);
                seen += 1;
            }
        }
        assert_eq!(seen, BYTES);
        writer.await.unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn a_wait_for_both_directions_ends_with_the_first_and_removes_the_other_waker() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        first_event(&fd).await;
        fill(&fd);
        let wakes = Wakes::new();
        let mut either = fd.ready(Interest::READABLE | Interest::WRITABLE);
        assert!(poll_with(&mut either, &wakes.waker()).is_pending());
        assert_eq!(wakes.alive(), 2, "one in each direction");
        there.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(wakes.count(), 1);
        assert!(poll_with(&mut either, &wakes.waker()).is_ready());
        assert_eq!(wakes.alive(), 0, "the writer's is removed");
        assert_eq!(wakeful::metrics().waiting, 0);
    });
}

#[test]
fn a_task_woken_by_one_direction_removes_its_waker_of_the_other() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        first_event(&fd).await;
        fill(&fd);
        let task = spawn(async move {
            let mut either = fd.ready(Interest::READABLE | Interest::WRITABLE);
            assert!((&mut either).await.unwrap().ready().is_readable());
            assert_eq!(wakeful::metrics().waiting, 0, "the writer's is removed");
        });
        settle().await;
        there.write_all(b"x").unwrap();
        task.await.unwrap();
    });
}

#[test]
fn a_task_woken_by_an_event_outside_its_interest_keeps_waiting() {
    for interest in [Interest::PRIORITY, Interest::ERROR] {
        let trace = Trace::new();
        runtime().block_on(async {
            let (fd, mut there) = source();
            first_event(&fd).await;
            let pushes = trace.clone();
            let task = spawn(async move {
                fd.ready(interest).await.unwrap().retain_ready();
                pushes.push("ready");
            });
            settle().await;
            there.write_all(b"x").unwrap();
            settle().await;
            trace.expect(&[]);
            drop(there);
            task.abort();
        });
    }
}

#[test]
fn an_event_wakes_only_the_waits_of_its_own_descriptor() {
    runtime().block_on(async {
        let ((first, mut there), (second, _quiet)) = (source(), source());
        // The same number of events for each.
        first_event(&first).await;
        first_event(&second).await;
        let task = spawn(async move {
            let (mut first, mut second) = (first.readable(), second.readable());
            assert!(poll_once(&mut second).await.is_pending());
            (&mut first).await.unwrap().clear_ready();
            for _ in 0..2 {
                assert!(poll_once(&mut second).await.is_pending(), "not its own");
                assert!(poll_once(&mut first).await.is_pending(), "no other one");
            }
        });
        settle().await;
        there.write_all(b"x").unwrap();
        task.await.unwrap();
    });
}

#[test]
fn an_interest_in_one_direction_receives_no_event_of_the_other() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd = AsyncFd::with_interest(here, Interest::READABLE).unwrap();
        settle().await;
        assert_eq!(
            wakeful::metrics().io_ready_count,
            0,
            "no event for writable"
        );
        assert!(fd.try_ready(Interest::WRITABLE).is_none());
        there.write_all(b"x").unwrap();
        assert!(fd.readable().await.unwrap().ready().is_readable());
    });
}

#[test]
fn urgent_data_whose_mark_was_reached_is_cleared_with_other_readiness() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        let fd = AsyncFd::new(here).unwrap();
        there.write_all(b"a").unwrap();
        let sent = socket2::SockRef::from(&there).send_out_of_band(b"!");
        assert_eq!(sent.unwrap(), 1);
        let mut readable = fd.readable();
        let mut taken = 0;
        while taken < 1 {
            let guard = (&mut readable).await.unwrap();
            taken += guard.get_inner().read(&mut [0; 8]).unwrap();
        }
        let mut guard = (&mut readable).await.unwrap();
        let nothing = guard.get_inner().read(&mut [0; 8]).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        guard.clear_ready();
        settle().await;
        assert!(poll_once(&mut readable).await.is_pending());
    });
}

#[test]
fn a_wait_for_errors_alone_is_woken_by_an_error_that_reads_do_not_return() {
    runtime().block_on(async {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.set_nonblocking(true).unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        // The time stamp of a sent datagram goes to the error queue, which no receive call reads.
        let (socket, level, name) = (here.as_raw_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPING);
        let stamps = libc::SOF_TIMESTAMPING_TX_SCHED | libc::SOF_TIMESTAMPING_SOFTWARE;
        let size = size_of_val(&stamps) as libc::socklen_t;
        let (value, set) = ((&raw const stamps).cast(), libc::setsockopt);
        // SAFETY: `value` points to an integer that lives for the length of the call.
        assert_eq!(unsafe { set(socket, level, name, value, size) }, 0);
        let fd = Rc::new(AsyncFd::new(here).unwrap());
        drop(fd.writable().await.unwrap());
        let trace = Trace::new();
        for interest in [Interest::READABLE, Interest::ERROR] {
            let (fd, trace) = (Rc::clone(&fd), trace.clone());
            spawn(async move {
                let mut guard = fd.ready(interest).await.unwrap();
                trace.push(format!("{:?}", guard.ready()));
                let read = guard.try_io(|fd| fd.get_ref().recv(&mut [0; 8]));
                assert!(read.is_err(), "nothing to receive");
            });
        }
        settle().await;
        fd.get_ref().send(b"x").unwrap();
        settle().await;
        trace.expect(&["ERROR", "ERROR"]);
    });
}

#[test]
fn an_interest_in_errors_is_ready_for_errors_alone() {
    runtime().block_on(async {
        let there = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = UdpSocket::bind("127.0.0.1:0").unwrap();
        here.set_nonblocking(true).unwrap();
        here.connect(there.local_addr().unwrap()).unwrap();
        there.connect(here.local_addr().unwrap()).unwrap();
        let fd = AsyncFd::new(here).unwrap();
        let wakes = Wakes::new();
        let mut error = fd.ready(Interest::ERROR);
        assert!(poll_with(&mut error, &wakes.waker()).is_pending());
        there.send(b"a message is no error").unwrap();
        fd.readable().await.unwrap().retain_ready();
        assert!(poll_with(&mut error, &wakes.waker()).is_pending());
        drop(there);
        // The kernel reports that the peer is gone (ECONNREFUSED).
        fd.get_ref().send(b"to a closed port").unwrap();
        assert_eq!(error.await.unwrap().ready(), Ready::ERROR);
    });
}

#[test]
fn out_of_band_data_is_a_priority_event() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (here, _) = listener.accept().unwrap();
        here.set_nonblocking(true).unwrap();
        let interest = Interest::READABLE | Interest::PRIORITY;
        assert!(interest.is_priority() && interest.is_readable() && !interest.is_writable());
        let fd = AsyncFd::with_interest(here, interest).unwrap();
        let wakes = Wakes::new();
        let mut priority = fd.ready(Interest::PRIORITY);
        assert!(poll_with(&mut priority, &wakes.waker()).is_pending());
        socket2::SockRef::from(&there)
            .send_out_of_band(b"!")
            .unwrap();
        let guard = priority.await.unwrap();
        assert!(guard.ready().is_priority());
        assert_eq!(wakes.count(), 0, "its waker was replaced");
        let mut urgent = [std::mem::MaybeUninit::uninit()];
        let socket = socket2::SockRef::from(fd.get_ref());
        assert_eq!(socket.recv_out_of_band(&mut urgent).unwrap(), 1);
    });
}

// --- many waiters -----------------------------------------------------------------------------------

#[test]
fn any_number_of_tasks_can_wait_in_one_direction_and_all_are_woken() {
    let trace = Trace::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (fd, mut there) = source();
        let fd = Rc::new(fd);
        for number in 0..5 {
            let (fd, trace) = (Rc::clone(&fd), trace.clone());
            spawn(async move {
                drop(fd.readable().await.unwrap());
                trace.push(number.to_string());
            });
        }
        settle().await;
        assert_eq!(wakeful::metrics().waiting, 5);
        there.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().waiting, 0);
    });
    trace.expect(&["0", "1", "2", "3", "4"]);
}

#[test]
fn of_two_readers_of_one_byte_the_second_is_woken_by_the_next_byte() {
    let trace = Trace::new();
    runtime().block_on(async {
        let (fd, mut there) = source();
        let fd = Rc::new(fd);
        for name in ["first", "second"] {
            let (fd, trace) = (Rc::clone(&fd), trace.clone());
            spawn(async move {
                let mut byte = [0];
                read(&fd, &mut byte).await.unwrap();
                trace.push(format!("{name} {}", char::from(byte[0])));
            });
        }
        settle().await;
        there.write_all(b"a").unwrap();
        settle().await;
        trace.expect(&["first a"]);
        there.write_all(b"b").unwrap();
        settle().await;
    });
    trace.expect(&["second b"]);
}

#[test]
fn dropping_one_of_many_waits_removes_no_other() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let wakes: Vec<Wakes> = (0..5).map(|_| Wakes::new()).collect();
        let mut waits: Vec<_> = wakes
            .iter()
            .map(|wakes| {
                let mut readable = fd.readable();
                assert!(poll_with(&mut readable, &wakes.waker()).is_pending());
                readable
            })
            .collect();
        // The first waiter, which is stored apart, and one of the others.
        drop(waits.remove(3));
        drop(waits.remove(0));
        assert_eq!(wakeful::metrics().waiting, 3);
        there.write_all(b"x").unwrap();
        settle().await;
        let counts: Vec<usize> = wakes.iter().map(Wakes::count).collect();
        assert_eq!(counts, [0, 1, 1, 0, 1]);
        let alive: Vec<usize> = wakes.iter().map(Wakes::alive).collect();
        assert_eq!(alive, [0; 5]);
    });
}

#[test]
fn a_canceled_wait_leaves_no_waker_and_loses_no_event() {
    let runtime = runtime();
    runtime.block_on(async {
        let (fd, mut there) = source();
        let fd = Rc::new(fd);
        let reader = spawn({
            let fd = Rc::clone(&fd);
            async move { read(&fd, &mut [0; 8]).await }
        });
        settle().await;
        assert_eq!(wakeful::metrics().waiting, 1);
        reader.abort();
        settle().await;
        assert_eq!(wakeful::metrics().waiting, 0);
        there.write_all(b"abc").unwrap();
        assert_eq!(read(&fd, &mut [0; 8]).await.unwrap(), 3);
    });
}

#[test]
fn poll_functions_wake_every_waker_that_polled() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let wakes: Vec<Wakes> = (0..10).map(|_| Wakes::new()).collect();
        for wakes in &wakes {
            let waker = wakes.waker();
            for _ in 0..3 {
                let mut cx = Context::from_waker(&waker);
                assert!(fd.poll_read_ready(&mut cx).is_pending());
            }
        }
        there.write_all(b"x").unwrap();
        settle().await;
        assert!(wakes.iter().all(|wakes| wakes.count() == 1));
        let guard = poll_fn(|cx| fd.poll_write_ready(cx)).await.unwrap();
        assert!(guard.ready().is_writable());
    });
}

#[test]
fn the_last_16_external_wakers_of_poll_functions_are_kept_and_woken() {
    runtime().block_on(async {
        let (fd, mut there) = source();
        let wakes: Vec<Wakes> = (0..3_000).map(|_| Wakes::new()).collect();
        for wakes in &wakes {
            let waker = wakes.waker();
            assert!(
                fd.poll_read_ready(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        let kept = wakes.iter().filter(|wakes| wakes.alive() > 0).count();
        assert_eq!(kept, 16);
        there.write_all(b"x").unwrap();
        settle().await;
        assert!(wakes[2_984..].iter().all(|wakes| wakes.count() == 1));
        assert_eq!(wakeful::metrics().waiting, 0);
    });
}

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
        reader.await.unwrap();
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
    let test = "an_event_of_a_closed_source_does_not_reach_the_next_occupant_of_its_row";
    alone(test, || {
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
    let test = "a_descriptor_with_the_number_of_a_closed_one_gets_none_of_its_events";
    alone(test, || {
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
    let test = "a_wait_that_moves_to_another_task_waits_for_its_own_event";
    alone(test, || {
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
                        drop(Rc::into_inner(old).expect("nobody else has it"));
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

/// Waits for input, reads once, and clears the readiness after a short read.
async fn take(fd: &Source) -> usize {
    let mut guard = fd.readable().await.unwrap();
    let taken = guard.try_io(|fd| fd.get_ref().read(&mut [0; 8]));
    guard.short_transfer();
    taken.unwrap().unwrap()
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
    let test = "of_two_events_in_one_batch_the_second_does_not_reach_a_source_created_because_of_the_first";
    alone(test, || {
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
fn a_second_registration_of_a_descriptor_is_refused_and_the_first_keeps_working() {
    runtime().block_on(async {
        let (here, mut there) = pair();
        let fd: AsyncFd<BorrowedFd<'_>> = AsyncFd::new(here.as_fd()).unwrap();
        let mut readable = fd.readable();
        assert!(poll_once(&mut readable).await.is_pending());
        for _ in 0..3 {
            let again = AsyncFd::with_interest(here.as_fd(), Interest::READABLE);
            assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(wakeful::metrics().sources, 1);
        there.write_all(b"x").unwrap();
        assert!(readable.await.unwrap().ready().is_readable());
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

// --- closing from other tasks -----------------------------------------------------------------------

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
