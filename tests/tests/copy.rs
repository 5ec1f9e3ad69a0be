//! `io::copy` and `io::copy_bidirectional`: every byte, in order, whatever the two sides do.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_lite::io::sink;
use wakeful::io::{AsyncRead, AsyncWrite, DuplexStream, copy, copy_bidirectional, duplex};
use wakeful::{block_on, spawn};
use wakeful_tests::trace::{Trace, poll_once, runtime, settle};

/// What a stream of a test does in its next call.
#[derive(Clone, Debug)]
enum Step {
    /// Gives these bytes; takes so many.
    Read(&'static [u8]),
    Write(usize),
    /// Has nothing, or no room, and wakes the task at once.
    Wait,
    Fail(ErrorKind),
}

/// A stream that does as it is told, says what was done to it, and ends when it is told no more.
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
                self.trace.say(format!("read {}", bytes.len()));
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                self.trace.say("nothing");
                Poll::Pending
            }
            Some(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(step) => panic!("a reader cannot {step:?}"),
            None => {
                self.trace.say("end");
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
            Some(Step::Write(most)) => {
                let n = most.min(buf.len());
                self.trace
                    .say(format!("write {}", String::from_utf8_lossy(&buf[..n])));
                Poll::Ready(Ok(n))
            }
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                self.trace.say("no room");
                Poll::Pending
            }
            Some(Step::Fail(kind)) => Poll::Ready(Err(kind.into())),
            Some(step) => panic!("a writer cannot {step:?}"),
            None => panic!("more is written than the test expects"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trace.say("flush");
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trace.say("close");
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_slow_writer_is_owed_the_rest_and_nothing_more_is_read_for_it() {
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
        "end",
        "flush",
    ]);
}

#[test]
fn the_writer_is_flushed_whenever_the_reader_has_nothing_for_now() {
    let trace = Trace::new();
    block_on(async {
        let steps = [Step::Wait, Step::Read(b"ab"), Step::Wait, Step::Wait];
        let mut reader = Script::new(&trace, steps);
        let mut writer = Script::new(&trace, [Step::Write(9)]);
        assert_eq!(copy(&mut reader, &mut writer).await.unwrap(), 2);
    });
    trace.expect(&[
        "nothing", "read 2", "write ab", "nothing", "flush", "nothing", "end",
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
fn more_than_a_buffer_full_arrives_whole() {
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
fn a_reader_that_copies_while_it_is_read_disturbs_nobody() {
    /// Each read copies something of its own.
    struct Nested(u8);

    impl AsyncRead for Nested {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let (mut inner, mut to) = (&b"inner"[..], Vec::new());
            let mut inside = copy(&mut inner, &mut to);
            assert!(Pin::new(&mut inside).poll(cx).is_ready());
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
fn a_copy_that_never_has_to_wait_lets_others_run() {
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
        spawn(async move { words.say("somebody else") });
        settle().await;
    });
    trace.expect(&["somebody else"]);
}

/// Two clients with a proxy between them.
fn proxied(max: usize) -> (DuplexStream, Proxy, DuplexStream) {
    let (client, mut outside) = duplex(max);
    let (mut inside, server) = duplex(max);
    let proxy = spawn(async move { copy_bidirectional(&mut outside, &mut inside).await });
    (client, proxy, server)
}

type Proxy = wakeful::task::JoinHandle<io::Result<(u64, u64)>>;

#[test]
fn a_half_close_passes_through_and_the_way_back_stays_open() {
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
fn each_end_is_passed_on_once() {
    let trace = Trace::new();
    block_on(async {
        let mut a = Script::new(&trace, [Step::Wait, Step::Wait]);
        let (mut b, other) = duplex(1);
        drop(other);
        let both = copy_bidirectional(&mut b, &mut a);
        assert_eq!(both.await.unwrap(), (0, 0));
    });
    trace.expect(&["close", "nothing", "nothing", "end"]);
}

#[test]
fn a_way_with_a_slow_reader_does_not_hold_up_the_other() {
    block_on(async {
        let (client, proxy, server) = proxied(16);
        // Nobody reads what the client sends.
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

#[test]
fn an_error_of_either_stream_ends_both_ways() {
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
fn copies_that_wait_share_one_buffer() {
    /// Never has anything; notes into which memory it was to read.
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
