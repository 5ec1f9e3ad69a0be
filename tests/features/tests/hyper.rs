//! Feature `hyper`: hyper's client and server on Wakeful's streams, executor and timer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBuf, Timer, Write};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use wakeful::hyper::{WakefulExecutor, WakefulTimer};
use wakeful::io::{AsyncRead, duplex};
use wakeful::runtime::Builder;
use wakeful_feature_tests::{fd_pair, pattern, run, tcp_pair};
use wakeful_net::UnixStream;

/// Echoes a request's body and counts requests. The `Rc` makes the future not `Send`.
async fn echo(
    request: Request<Incoming>,
    served: Rc<Cell<u32>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    served.set(served.get() + 1);
    Ok(Response::new(Full::new(body)))
}

fn request(body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post("http://localhost/")
        .body(body.into())
        .unwrap()
}

#[test]
fn http_1_works_over_every_kind_of_stream() {
    async fn exchange<S, C>(server: S, client: C)
    where
        S: Read + Write + Unpin + 'static,
        C: Read + Write + Unpin + 'static,
    {
        let served = Rc::new(Cell::new(0));
        let count = Rc::clone(&served);
        let service = service_fn(move |request| echo(request, Rc::clone(&count)));
        let serving = wakeful::spawn(async move {
            server::conn::http1::Builder::new()
                .timer(WakefulTimer)
                .serve_connection(server, service)
                .await
        });
        let (mut sender, connection) = client::conn::http1::handshake(client).await.unwrap();
        let connection = wakeful::spawn(connection);
        // The second body is larger than the kernel's buffers and than one read.
        for body in [pattern(10), pattern(4 << 20), Vec::new()] {
            let answer = sender.send_request(request(body.clone())).await.unwrap();
            let received = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(received == body);
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
        assert_eq!(served.get(), 3);
    }
    run(async {
        let (server, client) = tcp_pair().await;
        exchange(server, client).await;
        let (server, client) = UnixStream::pair().unwrap();
        exchange(server, client).await;
        let (server, client) = fd_pair();
        exchange(server, client).await;
        let (server, client) = duplex(1000);
        exchange(server, client).await;
    });
}

#[test]
fn http_2_spawns_tasks_that_are_not_send_on_the_executor() {
    run(async {
        let (server, client) = tcp_pair().await;
        let served = Rc::new(Cell::new(0));
        let count = Rc::clone(&served);
        let service = service_fn(move |request| echo(request, Rc::clone(&count)));
        let serving = wakeful::spawn(async move {
            server::conn::http2::Builder::new(WakefulExecutor)
                .timer(WakefulTimer)
                .keep_alive_interval(Duration::from_secs(10))
                .serve_connection(server, service)
                .await
        });
        let (sender, connection) = client::conn::http2::handshake(WakefulExecutor, client)
            .await
            .unwrap();
        let connection = wakeful::spawn(connection);
        let tasks: Vec<_> = (0..50)
            .map(|n| {
                let mut sender = sender.clone();
                let body = pattern(n * 10_000);
                wakeful::spawn(async move {
                    let answer = sender.send_request(request(body.clone())).await.unwrap();
                    answer.into_body().collect().await.unwrap().to_bytes() == body
                })
            })
            .collect();
        drop(sender);
        for task in tasks {
            assert!(task.await.unwrap());
        }
        connection.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
        assert_eq!(served.get(), 50);
    });
}

#[test]
fn hyper_timeouts_use_the_runtimes_clock() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let (server, _silent) = UnixStream::pair().unwrap();
        let service = service_fn(async |_: Request<Incoming>| {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let begin = wakeful::time::Instant::now();
        let serving = wakeful::spawn(async move {
            server::conn::http1::Builder::new()
                .timer(WakefulTimer)
                .header_read_timeout(Duration::from_secs(30))
                .serve_connection(server, service)
                .await
        });
        // The paused clock does not jump while a task waits for a socket.
        wakeful::task::yield_now().await;
        wakeful::time::advance(Duration::from_secs(29)).await;
        wakeful::task::yield_now().await;
        assert!(!serving.is_finished());
        wakeful::time::advance(Duration::from_secs(2)).await;
        let error = serving.await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert_eq!(begin.elapsed(), Duration::from_secs(31));
    });
}

#[test]
fn timer_sleeps_and_resets_use_the_runtimes_clock() {
    let runtime = Builder::new().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let timer = WakefulTimer;
        let begin = timer.now();
        timer.sleep(Duration::from_secs(3)).await;
        assert_eq!(timer.now() - begin, Duration::from_secs(3));
        timer.sleep_until(begin + Duration::from_secs(10)).await;
        assert_eq!(timer.now() - begin, Duration::from_secs(10));
        let mut sleep = timer.sleep(Duration::from_secs(1));
        let before = &raw const *sleep;
        timer.reset(&mut sleep, begin + Duration::from_secs(100));
        assert!(
            std::ptr::addr_eq(before, &raw const *sleep),
            "a new sleep was created"
        );
        sleep.await;
        assert_eq!(timer.now() - begin, Duration::from_secs(100));
    });
}

#[test]
fn resetting_a_sleep_of_another_type_replaces_it() {
    struct Never;
    impl Future for Never {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }
    impl hyper::rt::Sleep for Never {}
    run(async {
        let mut sleep: Pin<Box<dyn hyper::rt::Sleep>> = Box::pin(Never);
        WakefulTimer.reset(&mut sleep, Instant::now());
        sleep.await;
    });
}

/// Reads once into uninitialized memory.
async fn read_once(stream: &mut (impl Read + Unpin), room: usize) -> Vec<u8> {
    let mut memory = vec![MaybeUninit::uninit(); room];
    let mut buf = ReadBuf::uninit(&mut memory);
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf.unfilled()))
        .await
        .unwrap();
    buf.filled().to_vec()
}

#[test]
fn a_read_takes_no_more_than_fits_into_the_buffer() {
    run(async {
        let (mut here, there) = UnixStream::pair().unwrap();
        there.write_all(b"abcdef").await.unwrap();
        assert_eq!(read_once(&mut here, 4).await, b"abcd");
        assert_eq!(read_once(&mut here, 0).await, b"");
        assert_eq!(read_once(&mut here, 4).await, b"ef");
        drop(there);
        assert_eq!(read_once(&mut here, 4).await, b"");
    });
}

#[test]
fn vectored_transfers_use_several_buffers_at_once() {
    run(async {
        let (here, mut there) = UnixStream::pair().unwrap();
        assert!(Write::is_write_vectored(&there));
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        let sent = poll_fn(|cx| Write::poll_write_vectored(Pin::new(&mut there), cx, &parts)).await;
        assert_eq!(sent.unwrap(), 8);
        let mut received = [0; 8];
        here.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"headbody");
    });
}

#[test]
fn a_stream_can_read_another_one_inside_its_own_read() {
    /// Reads another stream through hyper's trait before its own.
    struct After(UnixStream, UnixStream);
    impl AsyncRead for After {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<std::io::Result<usize>> {
            let mut memory = [0; 8];
            let mut inner = ReadBuf::new(&mut memory);
            if Read::poll_read(Pin::new(&mut self.0), cx, inner.unfilled())?.is_pending() {
                return Poll::Pending;
            }
            assert_eq!(inner.filled(), b"first");
            AsyncRead::poll_read(Pin::new(&mut self.1), cx, buf)
        }
    }
    wakeful::impl_hyper_io! {
        impl Read for After {}
    }
    run(async {
        let (one, first) = UnixStream::pair().unwrap();
        let (two, second) = UnixStream::pair().unwrap();
        first.write_all(b"first").await.unwrap();
        second.write_all(b"second").await.unwrap();
        assert_eq!(read_once(&mut After(one, two), 64).await, b"second");
    });
}
