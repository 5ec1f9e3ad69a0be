//! `io::copy` and `io::copy_bidirectional`: every byte, in order, however the two sides behave.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::io::sink;
use wakeful::io::{AsyncRead, AsyncWrite, DuplexStream, copy, copy_bidirectional, duplex};
use wakeful::{block_on, spawn};
use wakeful_tests::trace::{Trace, poll_once, runtime, settle};

/// Result of the next call on a [`Script`].
#[derive(Clone, Debug)]
enum Step {
    /// Bytes that a read returns.
    Read(&'static [u8]),
    /// Number of bytes that a write accepts.
    Write(usize),
    /// `Pending`, with an immediate wake of the task.
    Wait,
    /// Error of this kind.
    Fail(ErrorKind),
}

/// A stream that follows a list of steps, records its calls, and returns EOF after the last step.
#[derive(Clone)]
struct Script {
    steps: Rc<RefCell<VecDeque<Step>>>,
    trace: Trace,
}

impl Script {
    fn new(trace: &Trace, steps: impl IntoIterator<Item = Step>) -> Self {
        Script {
            steps: Rc::new(RefCell::new(steps.into_iter().collect())),
            trace: trace.clone(),
        }
    }

    fn next(&self) -> Option<Step> {
        self.steps.borrow_mut().pop_front()
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.next() {
            Some(Step::Read(bytes)) => {
                buf[..bytes.len()].copy_from_slice(bytes);
                self.trace.push(format!("read {}", bytes.len()));
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                self.trace.push("no bytes");
                Poll::Pending
            }
            Some(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(step) => panic!("a reader cannot {step:?}"),
            None => {
                self.trace.push("eof");
                Poll::Ready(Ok(0))
            }
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.next() {
            Some(Step::Write(max)) => {
                let n = max.min(buf.len());
                self.trace
                    .push(format!("write {}", String::from_utf8_lossy(&buf[..n])));
                Poll::Ready(Ok(n))
            }
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                self.trace.push("no room");
                Poll::Pending
            }
            Some(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(step) => panic!("a writer cannot {step:?}"),
            None => panic!("a write after the last step"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trace.push("flush");
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trace.push("close");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_slow_writer_gets_the_rest_before_more_is_read() {
    let trace = Trace::new();
    block_on(async {
        let mut reader = Script::new(&trace, [Step::Read(b"abcdef"), Step::Read(b"g")]);
        let steps = [
            Step::Write(2),
            Step::Wait,
            Step::Write(1),
            Step::Wait,
            Step::Write(9),
            Step::Write(9),
        ];
        let mut writer = Script::new(&trace, steps);
        assert_eq!(copy(&mut reader, &mut writer).await.unwrap(), 7);
    });
    trace.expect(&[
        "read 6",
        "write ab",
        "no room",
        "write c",
        "no room",
        "write def",
        "read 1",
        "write g",
        "eof",
        "flush",
    ]);
}

#[test]
fn the_writer_is_flushed_when_the_reader_is_pending() {
    let trace = Trace::new();
    block_on(async {
        let steps = [Step::Wait, Step::Read(b"ab"), Step::Wait, Step::Wait];
        let mut reader = Script::new(&trace, steps);
        let mut writer = Script::new(&trace, [Step::Write(9)]);
        assert_eq!(copy(&mut reader, &mut writer).await.unwrap(), 2);
    });
    trace.expect(&[
        "no bytes", "read 2", "write ab", "no bytes", "flush", "no bytes", "eof",
    ]);
}

#[test]
fn the_first_error_of_either_side_ends_the_copy() {
    let trace = Trace::new();
    block_on(async {
        let mut reader = Script::new(
            &trace,
            [Step::Read(b"ab"), Step::Fail(ErrorKind::ConnectionReset)],
        );
        let mut writer = Script::new(&trace, [Step::Write(9)]);
        let error = copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        let mut reader = Script::new(&trace, [Step::Read(b"ab")]);
        let mut writer = Script::new(&trace, [Step::Fail(ErrorKind::BrokenPipe)]);
        let error = copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);

        let mut reader = Script::new(&trace, [Step::Read(b"ab")]);
        let mut writer = Script::new(&trace, [Step::Write(0)]);
        let error = copy(&mut reader, &mut writer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn a_copy_larger_than_the_buffer_is_complete() {
    block_on(async {
        let sent: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let (there, here) = duplex(1_000);
        let source = sent.clone();
        spawn(async move {
            let (mut source, mut there) = (&*source, there);
            copy(&mut source, &mut there).await.unwrap();
        });
        let (mut here, mut received) = (here, Vec::new());
        let n = copy(&mut here, &mut received).await.unwrap();
        assert_eq!(n, 100_000);
        assert!(received == sent);
    });
}

#[test]
fn a_reader_can_copy_inside_its_own_read() {
    /// A reader whose reads run another copy first.
    struct Nested(u8);

    impl AsyncRead for Nested {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let (mut inner, mut to) = (&b"inner"[..], Vec::new());
            let mut nested = copy(&mut inner, &mut to);
            assert!(Pin::new(&mut nested).poll(cx).is_ready());
            if self.0 == 3 {
                return Poll::Ready(Ok(0));
            }
            self.0 += 1;
            buf[..2].fill(b'0' + self.0);
            Poll::Ready(Ok(2))
        }
    }

    block_on(async {
        let mut received = Vec::new();
        let n = copy(&mut Nested(0), &mut received).await.unwrap();
        assert_eq!((n, &*received), (6, &b"112233"[..]));
    });
}

#[test]
fn a_reader_that_claims_bytes_it_did_not_write_gets_none_of_another_stream() {
    /// A faulty reader.
    struct Claims(usize);

    impl AsyncRead for Claims {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            _buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(std::mem::take(&mut self.0)))
        }
    }

    block_on(async {
        copy(&mut &[7; 1_000][..], &mut sink()).await.unwrap();
        let mut received = Vec::new();
        copy(&mut Claims(1_000), &mut received).await.unwrap();
        assert_eq!(received, [0; 1_000]);
    });
}

#[test]
fn a_copy_that_never_waits_lets_other_tasks_run() {
    struct Endless;
    impl AsyncRead for Endless {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
    }

    let trace = Trace::new();
    runtime().block_on(async {
        spawn(async { copy(&mut Endless, &mut sink()).await });
        let words = trace.clone();
        spawn(async move { words.push("other task") });
        settle().await;
    });
    trace.expect(&["other task"]);
}

/// Returns a client and a server with a proxy between them.
fn proxied(max: usize) -> (DuplexStream, Proxy, DuplexStream) {
    let (client, mut outside) = duplex(max);
    let (mut inside, server) = duplex(max);
    let proxy = spawn(async move { copy_bidirectional(&mut outside, &mut inside).await });
    (client, proxy, server)
}

type Proxy = wakeful::task::JoinHandle<io::Result<(u64, u64)>>;

#[test]
fn a_half_close_is_forwarded_and_the_other_direction_stays_open() {
    block_on(async {
        let (client, proxy, server) = proxied(64);
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut question = Vec::new();
        server.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        settle().await;
        assert!(!proxy.is_finished());

        server.write_all(b"a long answer").await.unwrap();
        server.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"a long answer");
        assert_eq!(proxy.await.unwrap().unwrap(), (8, 13));
    });
}

#[test]
fn each_eof_is_forwarded_once() {
    let trace = Trace::new();
    block_on(async {
        let mut a = Script::new(&trace, [Step::Wait, Step::Wait]);
        let (mut b, other) = duplex(1);
        drop(other);
        let both = copy_bidirectional(&mut b, &mut a);
        assert_eq!(both.await.unwrap(), (0, 0));
    });
    trace.expect(&["close", "no bytes", "no bytes", "eof"]);
}

#[test]
fn a_slow_reader_in_one_direction_does_not_block_the_other() {
    block_on(async {
        let (client, proxy, server) = proxied(16);
        // The server does not read the client's bytes.
        let flood = spawn(async move {
            let mut sent = 0;
            loop {
                let n = client.write(&[7; 1_024]).await;
                match n {
                    Ok(n) => sent += n,
                    Err(_) => break,
                }
                let mut answer = [0; 4];
                if sent == 16 {
                    client.read_exact(&mut answer).await.unwrap();
                    assert_eq!(&answer, b"back");
                }
            }
        });
        settle().await;
        server.write_all(b"back").await.unwrap();
        settle().await;
        drop(server);
        let error = proxy.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        flood.await.unwrap();
    });
}

/// Reads zeros without end, never waits, and counts what is written to it.
#[derive(Clone, Default)]
struct Flood(Rc<Cell<usize>>);

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.set(self.0.get() + buf.len());
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The end of a `duplex` to read from, and a writer that accepts all.
struct Calm(DuplexStream);

impl AsyncRead for Calm {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Calm {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_direction_that_never_waits_does_not_starve_the_other() {
    block_on(async {
        for flood_first in [true, false] {
            let (end, other) = duplex(16);
            end.write_all(b"answer").await.unwrap();
            let flood = Flood::default();
            let arrived = Rc::clone(&flood.0);
            let (mut flood, mut calm) = (flood, Calm(other));
            let copying = spawn(async move {
                match flood_first {
                    true => copy_bidirectional(&mut flood, &mut calm).await,
                    false => copy_bidirectional(&mut calm, &mut flood).await,
                }
            });
            settle().await;
            assert_eq!(arrived.get(), 6, "flood first: {flood_first}");
            copying.abort();
        }
    });
}

#[test]
fn an_error_of_either_stream_ends_both_directions() {
    block_on(async {
        let trace = Trace::new();
        let (mut a, _other) = duplex(8);
        let mut b = Script::new(&trace, [Step::Fail(ErrorKind::ConnectionReset)]);
        let error = copy_bidirectional(&mut a, &mut b).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        trace.expect(&[]);
    });
}

#[test]
fn pending_copies_share_one_buffer() {
    /// A reader that is always pending and records the address of each buffer.
    struct Idle(Rc<RefCell<Vec<*const u8>>>);
    impl AsyncRead for Idle {
        fn poll_read(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.0.borrow_mut().push(buf.as_ptr());
            Poll::Pending
        }
    }

    block_on(async {
        let buffers = Rc::new(RefCell::new(Vec::new()));
        let mut idle: Vec<_> = (0..3).map(|_| Idle(Rc::clone(&buffers))).collect();
        let mut sinks = [sink(), sink(), sink()];
        let mut copies: Vec<_> = idle
            .iter_mut()
            .zip(&mut sinks)
            .map(|(idle, sink)| copy(idle, sink))
            .collect();
        for copy in &mut copies {
            assert!(poll_once(copy).await.is_pending());
        }
        let buffers = buffers.borrow();
        assert_eq!(buffers.len(), 3);
        assert!(buffers.iter().all(|buffer| *buffer == buffers[0]));
    });
}
