//! Fairness of the operations of `wakeful-net` that are ready at once: each takes one operation off
//! the task's I/O budget, so that none of them keeps the other tasks from running.
//!
//! The lists below have the public async operations that can be ready without consuming anything, in
//! the cases in which they need no wait. `accept`, and receives that take bytes, find the budget in the
//! same wait as `readable` and `peek`. `poll_flush` does nothing and is free, so that a write with a
//! flush counts as one operation.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use wakeful::io::Interest;
use wakeful::spawn;
use wakeful_net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixSocket, UnixStream, lookup_host,
};
use wakeful_tests::net_support::{listen_unix, tcp_pair};
use wakeful_tests::trace::runtime;

/// Operations per poll, as documented.
const IO_BUDGET: u64 = 128;

/// An operation by name, which can be started any number of times.
type Operation = (
    &'static str,
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>,
);

/// Makes an [`Operation`] of an expression with its own clones of the shared values.
macro_rules! operation {
    ($name:literal, [$($shared:ident),*], $future:expr) => {{
        $(let $shared = $shared.clone();)*
        let start = move || {
            $(let $shared = $shared.clone();)*
            Box::pin(async move { drop($future.await) }) as Pin<Box<dyn Future<Output = ()>>>
        };
        ($name, Box::new(start) as Box<_>)
    }};
}

/// An address to which there is never a connection: connect(2) fails at once.
const BROADCAST: &str = "255.255.255.255:9";

/// A path that is too long for a Unix socket.
fn long_path() -> String {
    "x".repeat(200)
}

async fn looking_up_and_binding() -> Vec<Operation> {
    let udp = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let taken = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let no_address: [SocketAddr; 0] = [];
    vec![
        operation!("lookup_host of an address", [], lookup_host("127.0.0.1:80")),
        operation!("lookup_host without a port", [], lookup_host("localhost")),
        operation!("TcpListener::bind", [], TcpListener::bind("127.0.0.1:0")),
        operation!("TcpListener::bind, taken", [taken], async {
            TcpListener::bind(taken.local_addr().unwrap()).await
        }),
        operation!("UdpSocket::bind", [], UdpSocket::bind("127.0.0.1:0")),
        operation!("UdpSocket::connect", [udp], udp.connect("127.0.0.1:9")),
        operation!(
            "UdpSocket::send_to without a port",
            [udp],
            udp.send_to(b"", "localhost")
        ),
        operation!(
            "UdpSocket::send_to to nothing",
            [udp],
            udp.send_to(b"", &no_address[..])
        ),
    ]
}

fn connecting() -> Vec<Operation> {
    let (unix, name) = listen_unix();
    let unix = Rc::new(unix);
    let no_address: [SocketAddr; 0] = [];
    let broadcast: SocketAddr = BROADCAST.parse().unwrap();
    let minute = Duration::from_secs(60);
    vec![
        operation!(
            "TcpStream::connect, failing",
            [],
            TcpStream::connect(broadcast)
        ),
        operation!(
            "TcpStream::connect without a port",
            [],
            TcpStream::connect("localhost")
        ),
        operation!(
            "TcpStream::connect to nothing",
            [],
            TcpStream::connect(&no_address[..])
        ),
        operation!("TcpStream::connect_timeout, failing", [], {
            TcpStream::connect_timeout(broadcast, minute)
        }),
        operation!("TcpSocket::connect, failing", [], async {
            TcpSocket::new_v4().unwrap().connect(broadcast).await
        }),
        operation!("UnixStream::connect", [name, unix], async {
            let _listener = unix;
            UnixStream::connect(&name).await
        }),
        operation!(
            "UnixStream::connect, refused",
            [],
            UnixStream::connect("/no/such/file")
        ),
        operation!(
            "UnixStream::connect, too long",
            [],
            UnixStream::connect(long_path())
        ),
        operation!("UnixSocket::connect, refused", [], async {
            UnixSocket::new_stream()
                .unwrap()
                .connect("/no/such/file")
                .await
        }),
        operation!("UnixSocket::connect, too long", [], async {
            UnixSocket::new_stream().unwrap().connect(long_path()).await
        }),
    ]
}

async fn transfers_of_streams() -> Vec<Operation> {
    let (stream, peer) = tcp_pair().await;
    let (stream, peer) = (Rc::new(stream), Rc::new(peer));
    let (unix, unix_peer) = UnixStream::pair().unwrap();
    let (reader, writer) = unix.into_split();
    let (reader, writer) = (Rc::new(reader), Rc::new(writer));
    // Ended by `shutdown`, so a stream of its own.
    let (ended, ended_peer) = UnixStream::pair().unwrap();
    let (ended, peers) = (Rc::new(ended), Rc::new((peer, unix_peer, ended_peer)));
    vec![
        operation!("read into nothing", [stream, peers], async {
            let _open = peers;
            stream.read(&mut []).await
        }),
        operation!(
            "read_exact into nothing",
            [stream],
            stream.read_exact(&mut [])
        ),
        operation!("peek into nothing", [stream], stream.peek(&mut [])),
        operation!("read_vectored into nothing", [stream], async {
            stream.read_vectored(&mut [IoSliceMut::new(&mut [])]).await
        }),
        operation!("write of nothing", [stream], stream.write(&[])),
        operation!("write_all of nothing", [stream], stream.write_all(&[])),
        operation!("write_vectored of nothing", [stream], async {
            stream.write_vectored(&[IoSlice::new(&[])]).await
        }),
        operation!("shutdown", [ended], ended.shutdown()),
        operation!("shutdown of a half", [writer], writer.shutdown()),
        operation!(
            "read of a half into nothing",
            [reader],
            reader.read(&mut [])
        ),
    ]
}

async fn traits_and_readiness_of_streams() -> Vec<Operation> {
    let (stream, peer) = tcp_pair().await;
    stream.writable().await.unwrap();
    let (stream, peer) = (Rc::new(stream), Rc::new(peer));
    let (ended, ended_peer) = UnixStream::pair().unwrap();
    let (ended, ended_peer) = (Rc::new(ended), Rc::new(ended_peer));
    vec![
        operation!("poll_peek into nothing", [stream], async {
            poll_fn(|cx| stream.poll_peek(cx, &mut [])).await
        }),
        operation!("AsyncReadExt::read into nothing", [stream], async {
            AsyncReadExt::read(&mut &*stream, &mut []).await
        }),
        operation!(
            "AsyncReadExt::read_vectored into nothing",
            [stream],
            async {
                AsyncReadExt::read_vectored(&mut &*stream, &mut [IoSliceMut::new(&mut [])]).await
            }
        ),
        operation!("AsyncWriteExt::write of nothing", [stream], async {
            AsyncWriteExt::write(&mut &*stream, &[]).await
        }),
        operation!(
            "AsyncWriteExt::write_vectored of nothing",
            [stream],
            async { AsyncWriteExt::write_vectored(&mut &*stream, &[IoSlice::new(&[])]).await }
        ),
        operation!("AsyncWriteExt::close", [ended, ended_peer], async {
            let _open = ended_peer;
            AsyncWriteExt::close(&mut &*ended).await
        }),
        operation!("writable", [stream, peer], async {
            let _open = peer;
            stream.writable().await
        }),
        operation!("ready", [stream], stream.ready(Interest::WRITABLE)),
        operation!("poll_write_ready", [stream], async {
            poll_fn(|cx| stream.poll_write_ready(cx)).await
        }),
        operation!(
            "async_io",
            [stream],
            stream.async_io(Interest::WRITABLE, || Ok(()))
        ),
    ]
}

async fn transfers_of_datagrams() -> Vec<Operation> {
    let udp = Rc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    udp.connect(udp.local_addr().unwrap()).await.unwrap();
    udp.send(b"x").await.unwrap();
    udp.readable().await.unwrap();
    let (unix, _) = UnixDatagram::pair().unwrap();
    let unix = Rc::new(unix);
    vec![
        operation!("UdpSocket::readable", [udp], udp.readable()),
        operation!("UdpSocket::peek", [udp], udp.peek(&mut [])),
        operation!("UdpSocket::peek_from", [udp], udp.peek_from(&mut [])),
        operation!("UdpSocket::peek_sender", [udp], udp.peek_sender()),
        operation!("UdpSocket::writable", [udp], udp.writable()),
        operation!("UdpSocket::send", [udp], udp.send(b"x")),
        operation!("UdpSocket::send_msg", [udp], async {
            let itself = udp.local_addr().unwrap();
            udp.send_msg(b"x", itself, None).await
        }),
        operation!("UdpSocket::send_segments", [udp], async {
            let itself = udp.local_addr().unwrap();
            udp.send_segments(b"xy", 1, itself, None).await
        }),
        operation!("UdpSocket::send_segments, size 0", [udp], async {
            let itself = udp.local_addr().unwrap();
            udp.send_segments(b"x", 0, itself, None).await
        }),
        operation!("UnixDatagram::send, closed", [unix], unix.send(b"x")),
        operation!("UnixDatagram::send_to, too long", [unix], async {
            unix.send_to(b"x", long_path()).await
        }),
    ]
}

/// Repeats `start` beside a task that was woken before. Returns the number of operations before that
/// task is polled; the repetition ends after ten times the budget.
async fn operations_before_others(start: Rc<dyn Fn() -> Pin<Box<dyn Future<Output = ()>>>>) -> u64 {
    let done = Rc::new(Cell::new(0));
    let count = Rc::clone(&done);
    let greedy = spawn(async move {
        while count.get() < 10 * IO_BUDGET {
            start().await;
            count.set(count.get() + 1);
        }
        pending::<()>().await;
    });
    let other = spawn(async move { done.get() });
    let before = other.await.unwrap();
    greedy.abort();
    greedy.await.unwrap_err();
    before
}

#[test]
fn each_operation_that_is_ready_at_once_lets_others_run_within_128_operations() {
    let hogs = runtime().block_on(async {
        let mut operations = looking_up_and_binding().await;
        operations.extend(connecting());
        operations.extend(transfers_of_streams().await);
        operations.extend(traits_and_readiness_of_streams().await);
        operations.extend(transfers_of_datagrams().await);
        let mut hogs = Vec::new();
        for (name, start) in operations {
            let before = operations_before_others(start.into()).await;
            // Fewer than one per step if the operation consists of several.
            if before == 0 || before > IO_BUDGET {
                hogs.push(format!("{name}: {before}"));
            }
        }
        hogs
    });
    assert_eq!(hogs, [""; 0]);
}
