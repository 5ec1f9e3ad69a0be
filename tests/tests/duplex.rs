//! `io::duplex`: two streams connected in memory.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use wakeful::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use wakeful::{block_on, spawn};
use wakeful_tests::trace::{Hooks, Trace, Wakes, panic_of, poll_once, runtime, settle};

#[test]
fn bytes_written_to_one_end_are_read_from_the_other() {
    block_on(async {
        let (a, b) = duplex(64);
        a.write_all(b"there").await.unwrap();
        b.write_all(b"and back").await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(b.read(&mut buffer).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b"there");
        assert_eq!(a.read(&mut buffer[..3]).await.unwrap(), 3);
        assert_eq!(&buffer[..3], b"and");
        assert_eq!(a.read_exact(&mut buffer[..5]).await.unwrap(), 5);
        assert_eq!(&buffer[..5], b" back");
    });
}

#[test]
fn a_full_buffer_blocks_the_writer_until_the_reader_makes_room() {
    let trace = Trace::new();
    block_on(async {
        let (a, b) = duplex(4);
        let words = trace.clone();
        let writer = spawn(async move {
            for byte in 0..6u8 {
                a.write_all(&[byte]).await.unwrap();
                words.push(format!("wrote {byte}"));
            }
        });
        settle().await;
        let mut buffer = [0; 3];
        trace.push("read");
        assert_eq!(b.read(&mut buffer).await.unwrap(), 3);
        assert_eq!(buffer, [0, 1, 2]);
        writer.await.unwrap();
        let mut rest = Vec::new();
        assert_eq!(b.read_to_end(&mut rest).await.unwrap(), 3);
        assert_eq!(rest, [3, 4, 5]);
    });
    trace.expect(&[
        "wrote 0", "wrote 1", "wrote 2", "wrote 3", "read", "wrote 4", "wrote 5",
    ]);
}

#[test]
fn a_write_accepts_as_many_bytes_as_fit() {
    block_on(async {
        let (a, b) = duplex(4);
        assert_eq!(a.write(b"123456").await.unwrap(), 4);
        let mut again = pin!(a.write(b"56"));
        assert!(poll_once(&mut again).await.is_pending());
        let mut buffer = [0; 8];
        assert_eq!(b.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(again.await.unwrap(), 2);
    });
}

#[test]
fn a_wrapped_queue_is_read_in_one_call() {
    block_on(async {
        let (a, b) = duplex(8);
        let mut sent = (0..=255).cycle();
        let mut expected = (0..=255).cycle();
        let mut write = async |n: usize| {
            let bytes: Vec<u8> = sent.by_ref().take(n).collect();
            a.write_all(&bytes).await.unwrap();
        };
        // The queue is never empty, so its start moves through the buffer and wraps around.
        write(3).await;
        for _ in 0..20 {
            write(5).await;
            let mut buffer = [0; 5];
            assert_eq!(b.read(&mut buffer).await.unwrap(), 5);
            assert!(expected.by_ref().take(5).eq(buffer));
        }
    });
}

#[test]
fn after_an_end_is_dropped_the_rest_is_read_and_then_eof() {
    block_on(async {
        let (a, b) = duplex(64);
        a.write_all(b"last bytes").await.unwrap();
        drop(a);
        let mut left = Vec::new();
        assert_eq!(b.read_to_end(&mut left).await.unwrap(), 10);
        assert_eq!(left, b"last bytes");
        assert_eq!(b.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(
            b.read(&mut [0; 4]).await.unwrap(),
            0,
            "EOF is returned again"
        );
    });
}

#[test]
fn drop_and_shutdown_wake_a_waiting_reader_with_eof() {
    block_on(async {
        for shut_down in [false, true] {
            let (a, b) = duplex(64);
            let reader = spawn(async move { b.read(&mut [0; 4]).await.unwrap() });
            settle().await;
            assert!(!reader.is_finished());
            if shut_down {
                a.shutdown().await.unwrap();
            } else {
                drop(a);
            }
            assert_eq!(reader.await.unwrap(), 0);
        }
    });
}

#[test]
fn shutdown_keeps_the_other_direction_open() {
    block_on(async {
        let (a, b) = duplex(64);
        a.write_all(b"question").await.unwrap();
        a.shutdown().await.unwrap();
        let error = a.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut question = Vec::new();
        b.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        b.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        a.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
    });
}

#[test]
fn writing_to_a_dropped_end_is_a_broken_pipe() {
    block_on(async {
        let (a, b) = duplex(4);
        a.write_all(b"full").await.unwrap();
        let mut waits = pin!(a.write_all(b"more"));
        assert!(poll_once(&mut waits).await.is_pending());
        drop(b);
        assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let error = a.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(a.write(b"").await.unwrap(), 0, "an empty write never fails");
    });
}

#[test]
fn shutdown_of_its_own_end_fails_a_waiting_write() {
    block_on(async {
        let (a, _b) = duplex(4);
        a.write_all(b"full").await.unwrap();
        let mut waits = pin!(a.write(b"more"));
        assert!(poll_once(&mut waits).await.is_pending());
        a.shutdown().await.unwrap();
        assert_eq!(waits.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn bytes_that_arrive_while_a_waker_is_cloned_are_not_missed() {
    let (mut a, b) = duplex(4);
    let waker = Hooks::new()
        .on_clone(move || {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut &b).poll_write(&mut cx, b"x").is_ready());
        })
        .waker();
    let mut cx = Context::from_waker(&waker);
    assert!(Pin::new(&mut a).poll_read(&mut cx, &mut [0; 1]).is_ready());
}

#[test]
fn read_exact_of_a_stream_that_ends_early_is_an_error() {
    block_on(async {
        let (a, b) = duplex(64);
        a.write_all(b"half").await.unwrap();
        drop(a);
        let error = b.read_exact(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn all_waiting_readers_are_woken() {
    block_on(async {
        let (a, b) = duplex(64);
        let b = Rc::new(b);
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let b = Rc::clone(&b);
                spawn(async move { b.read(&mut [0; 1]).await.unwrap() })
            })
            .collect();
        settle().await;
        a.write_all(b"123").await.unwrap();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), 1);
        }
    });
}

#[test]
fn the_ends_can_be_on_two_threads() {
    let (a, b) = duplex(7);
    let sent: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    let expected = sent.clone();
    let writer = thread::spawn(move || {
        block_on(async {
            for piece in sent.chunks(13) {
                a.write_all(piece).await.unwrap();
            }
        });
    });
    let mut received = Vec::new();
    block_on(async { b.read_to_end(&mut received).await.unwrap() });
    writer.join().unwrap();
    assert!(received == expected, "every byte, in order");
    fn is_send<T: Send + Sync>() {}
    is_send::<DuplexStream>();
}

#[test]
fn several_buffers_are_filled_and_emptied_in_order() {
    let (mut a, mut b) = duplex(8);
    let wakes = Wakes::new();
    let waker = wakes.waker();
    let mut cx = Context::from_waker(&waker);
    let bufs = [&b"one"[..], b"", b"two", b"three"].map(IoSlice::new);
    let Poll::Ready(n) = Pin::new(&mut a).poll_write_vectored(&mut cx, &bufs) else {
        panic!("the write is pending");
    };
    assert_eq!(n.unwrap(), 8);
    assert!(Pin::new(&mut a).poll_write(&mut cx, b"x").is_pending());
    assert!(Pin::new(&mut a).poll_write(&mut cx, b"").is_ready());
    let (mut first, mut second) = ([0; 2], [0; 9]);
    let bufs = &mut [&mut first[..], &mut second].map(IoSliceMut::new);
    let Poll::Ready(n) = Pin::new(&mut b).poll_read_vectored(&mut cx, bufs) else {
        panic!("the read is pending");
    };
    assert_eq!(n.unwrap(), 8);
    assert_eq!((&first, &second[..6]), (b"on", &b"etwoth"[..]));
    assert_eq!(wakes.count(), 1, "the read wakes the writer");
    assert!(Pin::new(&mut a).poll_flush(&mut cx).is_ready());
}

#[test]
fn a_task_that_never_waits_yields_when_its_budget_is_spent() {
    let trace = Trace::new();
    let runtime = runtime();
    let words = trace.clone();
    runtime.block_on(async {
        spawn(async move {
            let (a, b) = duplex(4);
            for _ in 0..100 {
                a.write_all(b"x").await.unwrap();
                b.read(&mut [0; 1]).await.unwrap();
            }
            words.push("200 transfers");
        });
        let words = trace.clone();
        spawn(async move { words.push("other task") });
        settle().await;
    });
    trace.expect(&["other task", "200 transfers"]);
}

#[test]
fn the_task_info_of_a_waiting_reader_has_operation_and_location() {
    let runtime = runtime();
    let (a, b) = duplex(1);
    runtime.spawn(async move { a.read(&mut [0; 1]).await });
    runtime.block_on(settle());
    let waiting = runtime.dump().tasks.pop().unwrap().waiting.unwrap();
    assert_eq!(waiting.operation, "DuplexStream::read");
    assert!(waiting.location.file().ends_with("duplex.rs"));
    drop(b);
}

#[test]
fn a_waker_can_use_the_stream_that_wakes_it() {
    let (a, b) = duplex(1);
    let b = std::sync::Arc::new(b);
    let again = std::sync::Arc::clone(&b);
    let waker = Hooks::new()
        .on_clone({
            let again = std::sync::Arc::clone(&b);
            move || drop(format!("{again:?}"))
        })
        .on_wake(move || drop(format!("{again:?}")))
        .waker();
    let mut cx = Context::from_waker(&waker);
    assert!(
        Pin::new(&mut &*b)
            .poll_read(&mut cx, &mut [0; 1])
            .is_pending()
    );
    drop(a);
    assert!(
        Pin::new(&mut &*b)
            .poll_read(&mut cx, &mut [0; 1])
            .is_ready()
    );
}

#[test]
fn a_buffer_of_zero_bytes_panics() {
    assert!(panic_of(|| duplex(0)).contains("must not be zero"));
}
