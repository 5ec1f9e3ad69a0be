//! Unix datagrams over the public API: names, full queues, shutdown. The code that they share with
//! UDP is tested in `udp.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::time::Duration;

use futures_lite::future::poll_once;
use wakeful::io::Interest;
use wakeful_net::{SocketError, UnixDatagram};
use wakeful_tests::net_support::{CLOEXEC, NONBLOCK, TempDir, abstract_name, flags, run, settle};

#[test]
fn a_pair_transfers_whole_datagrams_both_ways() {
    run(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        assert_eq!(flags(&a) & (NONBLOCK | CLOEXEC), NONBLOCK | CLOEXEC);
        for word in [&b"one"[..], b"", b"three"] {
            a.send(word).await.unwrap();
        }
        let mut buf = [0; 16];
        for length in [3, 0, 5] {
            assert_eq!(b.recv(&mut buf).await.unwrap(), length);
        }
        b.send(b"0123456789").await.unwrap();
        let (length, sender) = a.recv_from(&mut buf[..4]).await.unwrap();
        assert_eq!((length, sender.is_unnamed()), (4, true));
        assert!(
            poll_once(a.recv(&mut buf)).await.is_none(),
            "the truncated rest is lost"
        );
        assert!(a.peer_addr().unwrap().is_unnamed());
    });
}

#[test]
fn datagrams_reach_paths_and_abstract_names_and_get_replies() {
    run(async {
        let dir = TempDir::new();
        for name in [dir.join("server").into_os_string(), abstract_name().into()] {
            let server = UnixDatagram::bind(&name).unwrap();
            let client = UnixDatagram::bind(dir.join(&format!("client{}", name.len()))).unwrap();
            let mut buf = [0; 16];
            assert_eq!(client.send_to(b"ping", &name).await.unwrap(), 4);
            let (length, peer) = server.recv_from(&mut buf).await.unwrap();
            assert_eq!((length, &peer), (4, &client.local_addr().unwrap()));
            server.send_to_addr(b"pong!", &peer).await.unwrap();
            let (length, peer) = client.recv_from(&mut buf).await.unwrap();
            assert_eq!((length, peer), (5, server.local_addr().unwrap()));

            client.connect(&name).unwrap();
            assert_eq!(client.peer_addr().unwrap(), server.local_addr().unwrap());
            client.send(b"connected").await.unwrap();
            assert_eq!(server.recv(&mut buf).await.unwrap(), 9);
            assert_eq!(client.try_send_to(b"tried", &name).unwrap(), 5);
            assert_eq!(server.recv(&mut buf).await.unwrap(), 5);
        }
        assert!(dir.join("server").exists(), "the library never unlinks");
    });
}

#[test]
fn sending_to_an_unnamed_address_is_an_error() {
    run(async {
        let name = abstract_name();
        let server = UnixDatagram::bind(&name).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        assert!(client.local_addr().unwrap().is_unnamed());
        client.send_to(b"x", &name).await.unwrap();
        let (_, peer) = server.recv_from(&mut [0; 4]).await.unwrap();
        assert!(peer.is_unnamed());
        let err = server.send_to_addr(b"y", &peer).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn errors_for_missing_peers_have_kind_and_address() {
    run(async {
        let dir = TempDir::new();
        let socket = UnixDatagram::unbound().unwrap();
        let err = socket.send(b"x").await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::NotConnected);
        let missing = dir.join("missing");
        let err = socket.connect(&missing).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::NotFound);
        let details = SocketError::downcast_ref(&err).unwrap();
        assert_eq!(details.address(), missing.to_str().unwrap());
        let err = socket.send_to(b"x", &missing).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::NotFound);
        let err = socket.send_to(b"x", "x".repeat(108)).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);

        let stale = dir.join("stale");
        drop(UnixDatagram::bind(&stale).unwrap());
        let err = socket.send_to(b"x", &stale).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(
            UnixDatagram::bind(&stale).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );

        let (a, b) = UnixDatagram::pair().unwrap();
        drop(b);
        let err = a.send(b"x").await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
    });
}

/// Fills a receiver's queue from a separate socket and returns the number of datagrams.
async fn fill(name: &str) -> usize {
    let sender = UnixDatagram::unbound().unwrap();
    sender.connect(name).unwrap();
    let mut sent = 0;
    while poll_once(sender.send(b"x")).await.is_some() {
        sent += 1;
    }
    sent
}

#[test]
fn a_connected_sender_waits_for_room_at_the_receiver() {
    run(async {
        let name = abstract_name();
        let receiver = UnixDatagram::bind(&name).unwrap();
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(&name).unwrap();
        let queued = fill(&name).await;
        let late = wakeful::spawn(async move { sender.send(b"late").await });
        settle().await;
        assert!(!late.is_finished());
        let mut buf = [0; 8];
        for _ in 0..queued {
            assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
        }
        assert_eq!(late.await.unwrap().unwrap(), 4);
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 4);
    });
}

/// The kernel reports no event to an unconnected sender when the receiver has room again. Events
/// about the sender's own buffer follow every attempt.
#[test]
fn an_unconnected_sender_retries_until_a_full_receiver_has_room() {
    run(async {
        let name = abstract_name();
        let receiver = UnixDatagram::bind(&name).unwrap();
        let queued = fill(&name).await;
        let sender = UnixDatagram::unbound().unwrap();
        let target = name.clone();
        let full = sender.try_send_to(b"x", &name).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        let late = wakeful::spawn(async move { sender.send_to(b"late", target).await });
        let before = wakeful::metrics().polls;
        wakeful::time::sleep(Duration::from_millis(30)).await;
        assert!(!late.is_finished());
        // The pauses between attempts are 1, 2, 4, 8 and 16 ms.
        let polls = wakeful::metrics().polls - before;
        assert!((3..30).contains(&polls), "polled {polls} times");
        let mut buf = [0; 8];
        for _ in 0..queued {
            assert_eq!(receiver.recv(&mut buf).await.unwrap(), 1);
        }
        assert_eq!(late.await.unwrap().unwrap(), 4);
        assert_eq!(receiver.recv(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn shutdown_closes_a_direction_and_wakes_its_waiters() {
    run(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        b.send(b"before").await.unwrap();
        a.shutdown(Shutdown::Read).unwrap();
        let mut buf = [0; 8];
        assert_eq!(a.recv(&mut buf).await.unwrap(), 6);
        for _ in 0..2 {
            assert_eq!(a.recv(&mut buf).await.unwrap(), 0);
            assert_eq!(a.recv_from(&mut buf).await.unwrap().0, 0);
        }
        a.shutdown(Shutdown::Write).unwrap();
        assert_eq!(
            a.send(b"x").await.unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );

        let (c, _d) = UnixDatagram::pair().unwrap();
        let c = std::rc::Rc::new(c);
        let waiting = std::rc::Rc::clone(&c);
        let reader = wakeful::spawn(async move { waiting.recv(&mut [0; 8]).await });
        settle().await;
        assert!(!reader.is_finished());
        c.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn try_poll_and_async_methods_work_together() {
    run(async {
        let (a, b) = UnixDatagram::pair().unwrap();
        let mut buf = [0; 8];
        a.writable().await.unwrap();
        assert_eq!(a.try_send(b"one").unwrap(), 3);
        b.readable().await.unwrap();
        assert!(b.ready(Interest::READABLE).await.unwrap().is_readable());
        assert_eq!(b.try_recv(&mut buf).unwrap(), 3);
        assert_eq!(
            b.try_recv(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        poll_fn(|cx| a.poll_send_ready(cx)).await.unwrap();
        assert_eq!(poll_fn(|cx| a.poll_send(cx, b"three")).await.unwrap(), 5);
        poll_fn(|cx| b.poll_recv_ready(cx)).await.unwrap();
        assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut buf)).await.unwrap(), 5);
        a.send(b"x").await.unwrap();
        let got = poll_fn(|cx| b.poll_recv_from(cx, &mut buf)).await.unwrap();
        assert_eq!(got.0, 1);
        a.send(b"x").await.unwrap();
        b.readable().await.unwrap();
        assert_eq!(b.try_recv_from(&mut buf).unwrap().0, 1);
        assert!(b.take_error().unwrap().is_none());
    });
}

#[test]
fn sockets_convert_to_std_and_back() {
    run(async {
        let (a, b) = StdUnixDatagram::pair().unwrap();
        let a = UnixDatagram::from_std(a).unwrap();
        let b = UnixDatagram::try_from(b).unwrap();
        a.send(b"once").await.unwrap();
        let b = b.into_std().unwrap();
        assert_eq!(b.recv(&mut [0; 8]).unwrap(), 4);
        drop(OwnedFd::from(a));
        assert_eq!(
            b.send(b"x").unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
    });
}
