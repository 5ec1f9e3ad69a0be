//! UDP over the public API: whole datagrams, errors of closed peers, async and `try_` methods.
//!
//! Point 44 of the reliability list is in module `point_44` below. The code that UDP and Unix
//! datagrams share is tested here and not again in `unix_datagram.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use futures_lite::future::poll_once;
use wakeful::io::Interest;
use wakeful_net::{SocketError, UdpSocket};
use wakeful_tests::net_support::{CLOEXEC, NONBLOCK, flags, pattern, run, settle};

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Returns two sockets that are connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
    a.connect(b_address).await.unwrap();
    b.connect(a_address).await.unwrap();
    (a, b)
}

#[test]
fn an_unconnected_socket_sends_to_any_address_and_receives_the_sender() {
    run(async {
        let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
        let mut buf = [0; 16];
        assert_eq!(a.send_to(b"ping", b_address).await.unwrap(), 4);
        assert_eq!(b.recv_from(&mut buf).await.unwrap(), (4, a_address));
        let port = a_address.port();
        assert_eq!(b.send_to(b"pong!", ("127.0.0.1", port)).await.unwrap(), 5);
        assert_eq!(a.recv_from(&mut buf).await.unwrap(), (5, b_address));
        assert_eq!(&buf[..5], b"pong!");
        // A host name is resolved on another thread.
        let localhost = format!("localhost:{port}");
        if wakeful_net::lookup_host(&*localhost).await.unwrap().next() == Some(a_address) {
            b.send_to(b"name", localhost).await.unwrap();
            assert_eq!(a.recv_from(&mut buf).await.unwrap(), (4, b_address));
        }
    });
}

#[test]
fn an_answer_comes_from_the_local_address_that_was_asked() {
    run(async {
        for (wildcard, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.2")] {
            let server = UdpSocket::bind(wildcard).await.unwrap();
            server.set_recv_local_addr(true).unwrap();
            let port = server.local_addr().unwrap().port();
            // Connected, so it receives from the address that it asked only.
            let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            client.connect((asked, port)).await.unwrap();
            client.send(b"question").await.unwrap();
            let mut buf = [0; 4];
            let meta = server.recv_msg(&mut buf).await.unwrap();
            assert_eq!((meta.len, meta.truncated), (4, true));
            assert_eq!(meta.local_ip.unwrap().to_canonical().to_string(), asked);
            assert_eq!(meta.peer.port(), client.local_addr().unwrap().port());
            let sent = server.send_msg(b"answer", meta.peer, meta.local_ip).await;
            assert_eq!(sent.unwrap(), 6);
            assert_eq!(client.recv(&mut [0; 16]).await.unwrap(), 6);
        }
    });
}

#[test]
fn without_the_option_a_datagram_has_no_local_address() {
    run(async {
        let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
        a.send_msg(b"x", b_address, None).await.unwrap();
        let meta = b.recv_msg(&mut [0; 4]).await.unwrap();
        assert_eq!(
            (meta.peer, meta.local_ip, meta.truncated),
            (a_address, None, false)
        );
        let not_ours = Some([192, 0, 2, 1].into());
        assert!(a.send_msg(b"x", b_address, not_ours).await.is_err());
    });
}

#[test]
fn a_connected_socket_receives_from_its_peer_only() {
    run(async {
        let (a, b) = pair().await;
        assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
        let (other, _) = bound().await;
        let address = a.local_addr().unwrap();
        other.send_to(b"filtered", address).await.unwrap();
        b.send(b"passes").await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(a.recv(&mut buf).await.unwrap(), 6);
        assert!(poll_once(a.recv(&mut buf)).await.is_none());
        let err = other.send(b"no peer").await.unwrap_err();
        assert_eq!(err.raw_os_error(), Some(libc::EDESTADDRREQ));
        assert_eq!(
            other.peer_addr().unwrap_err().kind(),
            ErrorKind::NotConnected
        );
    });
}

#[test]
fn a_datagram_shorter_than_its_buffer_does_not_hide_the_next_one() {
    run(async {
        let (a, b) = pair().await;
        for word in [&b"one"[..], b"", b"three"] {
            b.send(word).await.unwrap();
        }
        settle().await;
        let mut buf = [0; 64];
        // No event arrives in between, so a short receive must keep the readiness.
        for length in [3, 0, 5] {
            assert_eq!(a.try_recv(&mut buf).unwrap(), length);
        }
        assert_eq!(
            a.try_recv(&mut buf).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        b.send(b"later").await.unwrap();
        assert_eq!(a.recv(&mut buf).await.unwrap(), 5);
    });
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    run(async {
        let (a, b) = pair().await;
        assert!(
            poll_once(a.recv(&mut [])).await.is_none(),
            "no datagram has arrived yet"
        );
        assert_eq!(b.send(b"").await.unwrap(), 0);
        assert_eq!(a.recv(&mut [0; 8]).await.unwrap(), 0);
        let address = a.local_addr().unwrap();
        assert_eq!(b.send_to(b"", address).await.unwrap(), 0);
        assert_eq!(a.recv_from(&mut [0; 8]).await.unwrap().0, 0);
        // A receive into an empty buffer consumes a datagram.
        b.send(b"lost").await.unwrap();
        b.send(b"kept").await.unwrap();
        assert_eq!(a.recv(&mut []).await.unwrap(), 0);
        let mut buf = [0; 8];
        assert_eq!(a.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(&buf[..4], b"kept");
    });
}

#[test]
fn peeking_does_not_consume_the_datagram() {
    run(async {
        let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
        let mut buf = [0; 8];
        assert!(poll_once(a.peek_sender()).await.is_none());
        assert_eq!(
            a.try_peek_sender().unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        b.send_to(b"here", a_address).await.unwrap();
        assert_eq!(a.peek_sender().await.unwrap(), b_address);
        assert_eq!(a.peek_from(&mut buf).await.unwrap(), (4, b_address));
        assert_eq!(a.peek(&mut buf).await.unwrap(), 4);
        assert_eq!(a.try_peek(&mut buf).unwrap(), 4);
        assert_eq!(a.try_peek_from(&mut buf).unwrap(), (4, b_address));
        assert_eq!(a.try_peek_sender().unwrap(), b_address);
        assert_eq!(poll_fn(|cx| a.poll_peek(cx, &mut buf)).await.unwrap(), 4);
        let peeked = poll_fn(|cx| a.poll_peek_from(cx, &mut buf)).await.unwrap();
        assert_eq!(peeked, (4, b_address));
        assert_eq!(
            poll_fn(|cx| a.poll_peek_sender(cx)).await.unwrap(),
            b_address
        );
        assert_eq!(a.try_recv_from(&mut buf).unwrap(), (4, b_address));
        assert!(poll_once(a.peek(&mut buf)).await.is_none());
    });
}

#[test]
fn poll_methods_behave_like_the_async_ones() {
    run(async {
        let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
        let mut buf = [0; 8];
        poll_fn(|cx| b.poll_send_ready(cx)).await.unwrap();
        assert!(
            poll_once(poll_fn(|cx| a.poll_recv_ready(cx)))
                .await
                .is_none()
        );
        let sent = poll_fn(|cx| b.poll_send_to(cx, b"one", a_address)).await;
        assert_eq!(sent.unwrap(), 3);
        poll_fn(|cx| a.poll_recv_ready(cx)).await.unwrap();
        let got = poll_fn(|cx| a.poll_recv_from(cx, &mut buf)).await;
        assert_eq!(got.unwrap(), (3, b_address));
        b.connect(a_address).await.unwrap();
        assert_eq!(poll_fn(|cx| b.poll_send(cx, b"three")).await.unwrap(), 5);
        assert_eq!(poll_fn(|cx| a.poll_recv(cx, &mut buf)).await.unwrap(), 5);
    });
}

#[test]
fn try_and_async_methods_work_together() {
    run(async {
        let ((a, a_address), (b, b_address)) = (bound().await, bound().await);
        b.writable().await.unwrap();
        assert_eq!(b.try_send_to(b"x", a_address).unwrap(), 1);
        a.readable().await.unwrap();
        let ready = a.ready(Interest::READABLE).await.unwrap();
        assert!(ready.is_readable() && !ready.is_error());
        let mut buf = [0; 4];
        let taken = a.try_io(Interest::READABLE, || {
            rustix::net::recv(a.as_fd(), &mut buf[..], rustix::net::RecvFlags::empty())
                .map(|(length, _)| length)
                .map_err(io::Error::from)
        });
        assert_eq!(taken.unwrap(), 1);
        b.connect(a_address).await.unwrap();
        assert_eq!(b.try_send(b"yz").unwrap(), 2);
        let taken = a.async_io(Interest::READABLE, || {
            rustix::net::recv(a.as_fd(), &mut buf[..], rustix::net::RecvFlags::empty())
                .map(|(length, _)| length)
                .map_err(io::Error::from)
        });
        assert_eq!(taken.await.unwrap(), 2);
        assert_ne!(a_address, b_address);
    });
}

#[test]
fn all_tasks_that_wait_on_one_socket_make_progress() {
    run(async {
        let (socket, address) = bound().await;
        let socket = Rc::new(socket);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let socket = Rc::clone(&socket);
                wakeful::spawn(async move {
                    let mut buf = [0; 8];
                    socket.recv_from(&mut buf).await.unwrap();
                    buf[0]
                })
            })
            .collect();
        settle().await;
        let (sender, _) = bound().await;
        for number in 0..4 {
            sender.send_to(&[number], address).await.unwrap();
        }
        let mut got = Vec::new();
        for task in tasks {
            got.push(task.await.unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 3]);
    });
}

#[test]
fn a_dropped_receive_consumes_no_datagram() {
    run(async {
        let (a, b) = pair().await;
        let mut buf = [0; 8];
        for round in 0..100_u8 {
            assert!(poll_once(a.recv(&mut buf)).await.is_none());
            b.send(&[round]).await.unwrap();
            assert_eq!(a.recv(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

/// Echoes random datagrams of three clients through randomly chosen receive operations. Each
/// datagram returns whole to its sender.
#[test]
fn every_datagram_is_echoed_whole() {
    for seed in 0..4 {
        run(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let (server, address) = bound().await;
            let server = wakeful::spawn(async move {
                let mut buf = vec![0; 65_536];
                let mut random = fastrand::Rng::with_seed(!seed);
                loop {
                    let (length, peer) = match random.u8(..3) {
                        0 => server.recv_from(&mut buf).await.unwrap(),
                        1 => poll_fn(|cx| server.poll_recv_from(cx, &mut buf))
                            .await
                            .unwrap(),
                        _ => {
                            server.readable().await.unwrap();
                            match server.try_recv_from(&mut buf) {
                                Ok(got) => got,
                                Err(err) if err.kind() == ErrorKind::WouldBlock => continue,
                                Err(err) => panic!("{err}"),
                            }
                        }
                    };
                    server.send_to(&buf[..length], peer).await.unwrap();
                }
            });
            let mut clients = Vec::new();
            for _ in 0..3 {
                let (client, _) = bound().await;
                client.connect(address).await.unwrap();
                clients.push(client);
            }
            let mut buf = vec![0; 65_536];
            for round in 0..200 {
                let client = &clients[random.usize(..3)];
                let sent = pattern(random.usize(..1500), round);
                client.send(&sent).await.unwrap();
                let length = client.recv(&mut buf).await.unwrap();
                assert_eq!(&buf[..length], sent, "round {round} of seed {seed}");
            }
            server.abort();
        });
    }
}

#[test]
fn sockets_convert_to_std_and_back() {
    run(async {
        let (a, b) = pair().await;
        let set = flags(&a);
        assert_eq!(set & (NONBLOCK | CLOEXEC), NONBLOCK | CLOEXEC);
        let std = a.into_std().unwrap();
        std.set_nonblocking(false).unwrap();
        let a = UdpSocket::from_std(std).unwrap();
        assert_eq!(flags(&a) & NONBLOCK, NONBLOCK);
        a.send(b"again").await.unwrap();
        assert_eq!(b.recv(&mut [0; 8]).await.unwrap(), 5);
        let a = UdpSocket::try_from(std::net::UdpSocket::from(OwnedFd::from(a))).unwrap();
        a.send(b"and again").await.unwrap();
        assert_eq!(b.recv(&mut [0; 16]).await.unwrap(), 9);
    });
}

/// A socket can be sent to any thread and dropped there, but not used.
#[test]
fn sockets_are_send_and_can_be_dropped_on_another_thread() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    run(async {
        let (a, b) = pair().await;
        is_send_and_sync(&a);
        let mut buf = [0; 1];
        is_send_and_sync(&a.recv(&mut buf));
        is_send_and_sync(&a.send_to(b"x", "127.0.0.1:9"));
        let before = wakeful::metrics().sources;
        std::thread::spawn(move || drop(a)).join().unwrap();
        settle().await;
        assert_eq!(wakeful::metrics().sources, before - 1);
        let used = std::thread::spawn(move || {
            wakeful::block_on(async { b.send(b"x").await }) // on another runtime
        });
        let panic = used.join().unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(
            text.contains("UdpSocket::send") && text.contains("tests/udp.rs:"),
            "{text}"
        );
    });
}

#[test]
fn options_are_set_and_read() {
    run(async {
        let (socket, address) = bound().await;
        assert!(!socket.broadcast().unwrap());
        let broadcast = SocketAddr::from(([255, 255, 255, 255], address.port()));
        let refused = socket.send_to(b"x", broadcast).await.unwrap_err();
        assert!(matches!(
            refused.kind(),
            ErrorKind::PermissionDenied | ErrorKind::NetworkUnreachable
        ));
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        socket.set_ttl(7).unwrap();
        assert_eq!(socket.ttl().unwrap(), 7);
        assert_eq!(
            socket.set_ttl(0).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        socket.set_tos_v4(0x10).unwrap();
        assert_eq!(socket.tos_v4().unwrap(), 0x10);
        socket.set_multicast_ttl_v4(3).unwrap();
        assert_eq!(socket.multicast_ttl_v4().unwrap(), 3);
        socket.set_multicast_loop_v4(false).unwrap();
        assert!(!socket.multicast_loop_v4().unwrap());
        assert_eq!(socket.device().unwrap(), None);
        assert!(socket.take_error().unwrap().is_none());
        let Ok(six) = UdpSocket::bind("[::1]:0").await else {
            return; // no IPv6 on this machine
        };
        six.set_multicast_loop_v6(false).unwrap();
        assert!(!six.multicast_loop_v6().unwrap());
        six.set_tclass_v6(0x20).unwrap();
        assert_eq!(six.tclass_v6().unwrap(), 0x20);
    });
}

#[test]
fn a_multicast_group_can_be_joined_received_from_and_left() {
    run(async {
        let group = Ipv4Addr::new(239, 255, 77, 1);
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let not_a_group = Ipv4Addr::LOCALHOST;
        let refused = socket.join_multicast_v4(not_a_group, Ipv4Addr::LOCALHOST);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        socket
            .join_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
        let twice = socket.join_multicast_v4(group, Ipv4Addr::LOCALHOST);
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::AddrInUse);

        let (sender, address) = bound().await;
        socket2::SockRef::from(&sender)
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .unwrap();
        sender.send_to(b"all", (group, port)).await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(socket.recv_from(&mut buf).await.unwrap(), (3, address));
        socket
            .leave_multicast_v4(group, Ipv4Addr::LOCALHOST)
            .unwrap();
        let again = socket.leave_multicast_v4(group, Ipv4Addr::LOCALHOST);
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AddrNotAvailable);
    });
}

#[test]
fn errors_contain_operation_and_address() {
    run(async {
        let (_socket, address) = bound().await;
        let err = UdpSocket::bind(address).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::AddrInUse);
        let details = SocketError::downcast_ref(&err).unwrap();
        assert_eq!(
            (details.operation(), details.address()),
            ("bind", &*address.to_string())
        );
        // Of several addresses, `bind` uses the first that is free.
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        UdpSocket::bind(&[address, free][..]).await.unwrap();
        let none: [SocketAddr; 0] = [];
        let err = UdpSocket::bind(&none[..]).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);

        let (socket, _) = bound().await;
        let err = socket.connect("[::1]:9").await.unwrap_err();
        assert_eq!(
            SocketError::downcast_ref(&err).unwrap().operation(),
            "connect"
        );
        let err = socket.send_to(b"x", &none[..]).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
        assert!(socket.send_to(b"x", "no port").await.is_err());
    });
}

/// Point 44 of the reliability list: ICMP errors, closed peers, long datagrams, truncation.
mod point_44 {
    use super::*;

    /// Returns an address of this machine with no socket.
    async fn unused_address() -> SocketAddr {
        bound().await.1
    }

    #[test]
    fn a_refusal_is_returned_once_and_the_connected_socket_keeps_working() {
        run(async {
            let (socket, address) = bound().await;
            let unused = unused_address().await;
            socket.connect(unused).await.unwrap();
            let mut buf = [0; 8];
            socket.send(b"refused").await.unwrap();
            let err = socket.recv(&mut buf).await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
            assert!(
                poll_once(socket.recv(&mut buf)).await.is_none(),
                "the error is returned once"
            );

            socket.send(b"refused").await.unwrap();
            settle().await;
            let taken = socket.take_error().unwrap().unwrap();
            assert_eq!(taken.kind(), ErrorKind::ConnectionRefused);

            // A send returns the error too, and its datagram is not sent.
            socket.send(b"refused").await.unwrap();
            let err = socket.send(b"refused").await.unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);

            let peer = UdpSocket::bind(unused).await.unwrap();
            socket.send(b"now").await.unwrap();
            assert_eq!(peer.recv_from(&mut buf).await.unwrap(), (3, address));
            peer.send_to(b"yes", address).await.unwrap();
            assert_eq!(socket.recv(&mut buf).await.unwrap(), 3);
        });
    }

    #[test]
    fn a_waiting_receiver_is_woken_by_a_refusal() {
        run(async {
            let (socket, _) = bound().await;
            socket.connect(unused_address().await).await.unwrap();
            let socket = Rc::new(socket);
            let waiting = Rc::clone(&socket);
            let reader = wakeful::spawn(async move { waiting.recv(&mut [0; 8]).await });
            settle().await;
            socket.send(b"refused").await.unwrap();
            let err = reader.await.unwrap().unwrap_err();
            assert_eq!(err.kind(), ErrorKind::ConnectionRefused);
        });
    }

    #[test]
    fn an_unconnected_server_keeps_working_after_300_closed_peers() {
        run(async {
            let (server, address) = bound().await;
            let mut buf = [0; 64];
            for _ in 0..300 {
                let (peer, _) = bound().await;
                peer.send_to(b"one ping", address).await.unwrap();
                drop(peer);
                let (length, from) = server.recv_from(&mut buf).await.unwrap();
                server.send_to(&buf[..length], from).await.unwrap();
            }
            let (peer, here) = bound().await;
            peer.send_to(b"still works?", address).await.unwrap();
            assert_eq!(server.recv_from(&mut buf).await.unwrap(), (12, here));
        });
    }

    #[test]
    fn the_longest_datagram_passes_and_a_longer_one_is_refused() {
        run(async {
            let (a, b) = pair().await;
            let longest = pattern(65_507, 44);
            assert_eq!(a.send(&longest).await.unwrap(), 65_507);
            let mut buf = vec![0; 65_536];
            assert_eq!(b.recv(&mut buf).await.unwrap(), 65_507);
            assert_eq!(&buf[..65_507], longest);
            let err = a.send(&buf[..65_508]).await.unwrap_err();
            let details = SocketError::downcast_ref(&err).unwrap();
            assert_eq!(details.io_error().raw_os_error(), Some(libc::EMSGSIZE));
            a.send(b"short").await.unwrap();
            assert_eq!(b.recv(&mut buf).await.unwrap(), 5);
        });
    }

    #[test]
    fn the_rest_of_a_truncated_datagram_is_lost() {
        run(async {
            let (a, b) = pair().await;
            a.send(b"0123456789").await.unwrap();
            a.send(b"next").await.unwrap();
            let mut buf = [b'-'; 8];
            assert_eq!(b.recv(&mut buf[..4]).await.unwrap(), 4);
            assert_eq!(&buf, b"0123----");
            assert_eq!(b.recv(&mut buf).await.unwrap(), 4);
            assert_eq!(&buf[..4], b"next");
        });
    }
}
