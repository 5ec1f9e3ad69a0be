//! `AsyncFd`: which waits an event ends, by its flags and the direction, and many waiters of one
//! descriptor.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;

use wakeful::io::{AsyncFd, Interest, Ready};
use wakeful::runtime::Builder;
use wakeful::spawn;
use wakeful_tests::fd::{fill, first_event, read, source};
use wakeful_tests::trace::{Trace, Wakes, pair, poll_once, poll_with, runtime, settle};

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
        assert_eq!(wakeful::metrics().waiting, 2);
        drop(readable);
        assert_eq!(wakeful::metrics().waiting, 1);
        let mut readable = fd.readable();
        assert!(poll_with(&mut readable, &reader.waker()).is_pending());
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

/// One waker polls for two interests of one direction. It is stored for the first one.
#[test]
fn a_poll_without_budget_wakes_a_waker_that_is_stored_for_another_interest() {
    let runtime = Builder::new().io_budget(1).build().unwrap();
    runtime.block_on(async {
        let (fd, _there) = source();
        fd.assume_ready(Ready::PRIORITY);
        first_event(&fd).await;
        settle().await;
        let wakes = Wakes::new();
        poll_fn(|_| {
            let waker = wakes.waker();
            let mut cx = Context::from_waker(&waker);
            assert!(fd.poll_read_ready(&mut cx).is_pending());
            // Uses up the budget.
            let mut writable = fd.ready(Interest::WRITABLE).by_waker();
            assert!(Pin::new(&mut writable).poll(&mut cx).is_ready());
            let mut priority = fd.ready(Interest::PRIORITY).by_waker();
            assert!(Pin::new(&mut priority).poll(&mut cx).is_pending());
            Poll::Ready(())
        })
        .await;
        settle().await;
        assert_eq!(wakes.count(), 1);
    });
}
