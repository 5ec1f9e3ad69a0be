//! Datagrams in segments: several of one size are sent, and received, with one system call.
//!
//! Senders and receivers of the standard library stand for peers that know nothing of segments.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, UdpSocket as StdUdpSocket};
use std::time::Duration;

use futures_lite::future::{poll_once, zip};
use socket2::SockRef;
use wakeful::io::Interest;
use wakeful_net::{SocketError, UdpSocket};
use wakeful_tests::net_support::{pattern, run, settle};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Room for every batch.
const LONGEST: usize = 65_535;

async fn bound(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind((ip, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Binds a socket that receives batches.
async fn receiver(ip: IpAddr) -> (UdpSocket, SocketAddr) {
    let (socket, address) = bound(ip).await;
    socket.set_gro(true).unwrap();
    (socket, address)
}

/// Binds a socket of the standard library.
fn std_bound(ip: IpAddr) -> (StdUdpSocket, SocketAddr) {
    let socket = StdUdpSocket::bind((ip, 0)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The datagrams in `bytes`, by the definition.
fn cut(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    if bytes.is_empty() {
        return vec![bytes];
    }
    bytes.chunks(size).collect()
}

/// Receives `len` bytes, and returns the length of each datagram. The kernel cuts a batch of nearly
/// 65,507 bytes itself on loopback, so it can take more than one call.
async fn lengths(receiver: &UdpSocket, len: usize) -> Vec<usize> {
    let mut buf = vec![0; LONGEST];
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < len {
        let meta = receiver.recv_msg(&mut buf).await.unwrap();
        assert!(!meta.truncated);
        lengths.extend(meta.segments(&buf).map(<[u8]>::len));
    }
    lengths
}

/// Lengths and segment sizes: exact multiples, a shorter last one, a single one, the most and the
/// longest.
const BATCHES: &[(usize, usize)] = &[
    (2, 1),
    (64, 1),
    (1200, 1200),
    (1201, 1200),
    (2400, 1200),
    (10_000, 1472),
    (64 * 1000, 1000),
    (64 * 1000 - 999, 1000),
    (65_507, 1024),
    (65_507, 40_000),
    (100, 65_507),
    (100, usize::MAX),
    (0, 1),
    (0, 100),
];

#[test]
fn a_peer_that_knows_nothing_of_segments_receives_separate_datagrams() {
    run(async {
        for ip in [V4, V6] {
            let ((socket, source), (peer, target)) = (bound(ip).await, std_bound(ip));
            let mut buf = vec![0; LONGEST];
            for &(len, size) in BATCHES {
                let bytes = pattern(len, size as u64);
                let sent = socket.send_segments(&bytes, size, target, None).await;
                assert_eq!(sent.unwrap(), len);
                for expected in cut(&bytes, size) {
                    let (n, from) = peer.recv_from(&mut buf).unwrap();
                    assert_eq!((n, from), (expected.len(), source), "{len} by {size}");
                    assert!(buf[..n] == *expected, "{len} by {size}");
                }
            }
        }
    });
}

#[test]
fn a_batch_is_received_at_once_with_its_sender_its_local_address_and_its_sizes() {
    run(async {
        for (ip, wildcard) in [
            (V4, IpAddr::from(Ipv4Addr::UNSPECIFIED)),
            (V6, IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        ] {
            let (sender, source) = bound(ip).await;
            let (receiver, address) = receiver(wildcard).await;
            receiver.set_recv_local_addr(true).unwrap();
            let target = SocketAddr::new(ip, address.port());
            let mut buf = vec![0; LONGEST];
            for &(len, size) in BATCHES.iter().filter(|(len, _)| *len < 65_000) {
                let bytes = pattern(len, size as u64);
                sender
                    .send_segments(&bytes, size, target, Some(ip))
                    .await
                    .unwrap();
                let meta = receiver.recv_msg(&mut buf).await.unwrap();
                assert_eq!((meta.len, meta.stride), (len, size.min(len)));
                assert_eq!((meta.peer, meta.local_ip), (source, Some(ip)));
                assert!(!meta.truncated);
                let segments = meta.segments(&buf);
                assert_eq!(segments.len(), cut(&bytes, size).len());
                assert!(segments.eq(cut(&bytes, size)), "{len} by {size}");
            }
        }
    });
}

#[test]
fn the_sender_of_a_batch_can_choose_its_address() {
    run(async {
        let (sender, _) = bound(Ipv4Addr::UNSPECIFIED.into()).await;
        let (receiver, target) = receiver(V4).await;
        let local_ip = IpAddr::from([127, 0, 0, 7]);
        let sent = sender.send_segments(&[1; 300], 100, target, Some(local_ip));
        assert_eq!(sent.await.unwrap(), 300);
        let meta = receiver.recv_msg(&mut [0; 512]).await.unwrap();
        assert_eq!(
            (meta.peer.ip(), meta.len, meta.stride),
            (local_ip, 300, 100)
        );
        // The kernel's error of an address that is not this machine's, as of `send_msg`.
        let foreign = Some([192, 0, 2, 1].into());
        let error = sender.send_segments(&[1; 300], 100, target, foreign).await;
        let expected = sender.send_msg(&[1; 100], target, foreign).await;
        assert_eq!(
            error.unwrap_err().raw_os_error(),
            expected.unwrap_err().raw_os_error()
        );
    });
}

#[test]
fn without_the_option_a_batch_is_received_one_datagram_at_a_time() {
    run(async {
        let ((sender, _), (receiver, target)) = (bound(V4).await, receiver(V4).await);
        assert!(receiver.gro().unwrap() && !sender.gro().unwrap());
        receiver.set_gro(false).unwrap();
        assert!(!receiver.gro().unwrap());
        sender
            .send_segments(b"aabbc", 2, target, None)
            .await
            .unwrap();
        let mut buf = [0; 16];
        for expected in [&b"aa"[..], b"bb", b"c"] {
            let meta = receiver.recv_msg(&mut buf).await.unwrap();
            assert_eq!((&buf[..meta.len], meta.stride), (expected, expected.len()));
        }
    });
}

#[test]
fn datagrams_of_two_senders_are_never_in_one_batch() {
    run(async {
        let (receiver, target) = receiver(V4).await;
        let senders = [bound(V4).await, bound(V4).await];
        for _ in 0..10 {
            for (number, (sender, _)) in (1..).zip(&senders) {
                sender
                    .send_segments(&[number; 300], 100, target, None)
                    .await
                    .unwrap();
                sender.send_to(&[number; 100], target).await.unwrap();
            }
        }
        let mut received = [0; 2];
        let mut buf = vec![0; LONGEST];
        while received.iter().sum::<usize>() < 80 {
            let meta = receiver.recv_msg(&mut buf).await.unwrap();
            let index = senders
                .iter()
                .position(|(_, source)| *source == meta.peer)
                .unwrap();
            for segment in meta.segments(&buf) {
                assert_eq!(segment, [index as u8 + 1; 100]);
                received[index] += 1;
            }
        }
        assert_eq!(received, [40, 40]);
    });
}

#[test]
fn of_a_batch_that_does_not_fit_the_rest_is_lost_and_the_next_one_is_whole() {
    run(async {
        let ((sender, _), (receiver, target)) = (bound(V4).await, receiver(V4).await);
        let mut buf = vec![0; LONGEST];
        // Room in bytes, then the datagrams in it: whole ones, a part, and only a part.
        for (room, expected) in [(0, 1), (60, 1), (100, 1), (250, 3), (300, 3), (350, 4)] {
            let bytes = pattern(350, 7);
            sender
                .send_segments(&bytes, 100, target, None)
                .await
                .unwrap();
            sender.send_to(b"next", target).await.unwrap();
            let meta = receiver.recv_msg(&mut buf[..room]).await.unwrap();
            assert_eq!((meta.len, meta.stride), (room, 100));
            assert_eq!(meta.truncated, room < 350, "{room}");
            assert_eq!(meta.segments(&buf).len(), expected, "{room}");
            assert!(meta.segments(&buf).eq(cut(&bytes[..room], 100)));
            let meta = receiver.recv_msg(&mut buf).await.unwrap();
            assert_eq!((&buf[..meta.len], meta.truncated), (&b"next"[..], false));
        }
    });
}

#[test]
fn an_impossible_batch_is_refused_before_anything_is_sent() {
    run(async {
        for (ip, longest) in [(V4, 65_507), (V6, 65_527)] {
            let ((sender, _), (receiver, target)) = (bound(ip).await, receiver(ip).await);
            let bytes = vec![7; 1 << 17];
            for (len, size, allowed) in [
                (1, 0, format!("allowed are 1 to {longest} bytes")),
                (0, 0, format!("allowed are 1 to {longest} bytes")),
                (65, 1, "65 segments in one call; at most 64".to_owned()),
                (64 * 10 + 1, 10, "65 segments".to_owned()),
                (longest + 1, 60_000, format!("at most {longest}")),
                (longest + 1, usize::MAX, format!("at most {longest}")),
                (1 << 17, 1 << 16, format!("at most {longest}")),
            ] {
                let bytes = &bytes[..len];
                let refused = sender.send_segments(bytes, size, target, None).await;
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{len} by {size}");
                let text = error.to_string();
                assert!(text.contains(&allowed), "{text}");
                assert!(text.starts_with(&format!("send to {target}: ")), "{text}");
                sender.writable().await.unwrap();
                let refused = sender.try_send_segments(bytes, size, target, None);
                assert_eq!(refused.unwrap_err().to_string(), text);
            }
            // The most that is allowed, and it is the first that arrives.
            sender
                .send_segments(&bytes[..longest], 60_000, target, None)
                .await
                .unwrap();
            let expected = [60_000, longest - 60_000];
            assert_eq!(lengths(&receiver, longest).await, expected);
        }
    });
}

#[test]
fn a_segment_that_does_not_fit_the_path_is_the_kernels_error_and_none_is_sent() {
    run(async {
        // With its headers it is longer than the MTU of loopback, 65,536 bytes.
        let ((sender, _), (receiver, target)) = (bound(V6).await, receiver(V6).await);
        let refused = sender.send_segments(&[7; 65_527], 65_520, target, None);
        let err = refused.await.unwrap_err();
        let details = SocketError::downcast_ref(&err);
        let errno = details.map_or(&err, SocketError::io_error).raw_os_error();
        assert!([Some(libc::EMSGSIZE), Some(libc::EINVAL)].contains(&errno));
        sender.send_segments(b"aab", 2, target, None).await.unwrap();
        assert_eq!(lengths(&receiver, 3).await, [2, 1]);
    });
}

#[test]
fn the_limit_for_an_ipv4_peer_of_an_ipv6_socket_is_that_of_ipv4() {
    run(async {
        let (sender, _) = bound(Ipv6Addr::UNSPECIFIED.into()).await;
        let (receiver, target) = receiver(V4).await;
        let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), target.port()));
        let bytes = [7; 65_508];
        let refused = sender.send_segments(&bytes, 60_000, mapped, None).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        sender
            .send_segments(&bytes[1..], 60_000, mapped, None)
            .await
            .unwrap();
        assert_eq!(lengths(&receiver, 65_507).await, [60_000, 5507]);
    });
}

#[test]
fn the_kernel_sends_as_many_segments_as_it_says() {
    run(async {
        let ((sender, _), (receiver, target)) = (bound(V4).await, receiver(V4).await);
        assert_eq!(sender.max_gso_segments(), 64);
        sender
            .send_segments(&[7; 64], 1, target, None)
            .await
            .unwrap();
        let meta = receiver.recv_msg(&mut [0; 64]).await.unwrap();
        assert_eq!((meta.len, meta.stride), (64, 1));
    });
}

#[test]
fn a_waiting_receive_gets_the_batch_and_a_dropped_one_takes_none() {
    run(async {
        let ((sender, _), (receiver, target)) = (bound(V4).await, receiver(V4).await);
        let mut buf = [0; 512];
        for round in 0..100 {
            assert!(poll_once(receiver.recv_msg(&mut buf)).await.is_none());
            // Dropped before its first poll, so nothing is sent.
            drop(sender.send_segments(b"dropped", 3, target, None));
            // The receive is polled first, and waits.
            let bytes = [round; 250];
            let received = receiver.recv_msg(&mut buf);
            let sent = sender.send_segments(&bytes, 100, target, None);
            let (received, sent) = zip(received, sent).await;
            assert_eq!(sent.unwrap(), 250);
            let meta = received.unwrap();
            assert_eq!((meta.len, meta.stride, buf[0]), (250, 100, round));
        }
        settle().await;
        let nothing = receiver.try_recv_msg(&mut buf).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn try_methods_send_and_receive_batches_without_waiting() {
    run(async {
        let ((sender, _), (receiver, target)) = (bound(V4).await, receiver(V4).await);
        let mut buf = [0; 512];
        let nothing = receiver.try_recv_msg(&mut buf).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        sender.ready(Interest::WRITABLE).await.unwrap();
        for byte in 0..3 {
            let sent = sender.try_send_segments(&[byte; 250], 100, target, None);
            assert_eq!(sent.unwrap(), 250);
        }
        receiver.readable().await.unwrap();
        for byte in 0..3 {
            let meta = receiver.try_recv_msg(&mut buf).unwrap();
            assert_eq!((meta.len, meta.stride, buf[0]), (250, 100, byte));
        }
        let nothing = receiver.try_recv_msg(&mut buf).unwrap_err();
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_connected_socket_sends_and_receives_batches_and_reports_a_refusal_once() {
    run(async {
        let ((a, a_address), (b, b_address)) = (receiver(V4).await, receiver(V4).await);
        a.connect(b_address).await.unwrap();
        b.connect(a_address).await.unwrap();
        let mut buf = [0; 512];
        a.send_segments(&[1; 250], 100, b_address, None)
            .await
            .unwrap();
        let meta = b.recv_msg(&mut buf).await.unwrap();
        assert_eq!((meta.len, meta.stride, meta.peer), (250, 100, a_address));
        drop(b);
        a.send_segments(&[1; 250], 100, b_address, None)
            .await
            .unwrap();
        let error = a.recv_msg(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        a.send_segments(&[1; 250], 100, b_address, None)
            .await
            .unwrap();
    });
}

#[test]
fn a_receive_after_shutdown_is_an_error_and_does_not_wait() {
    run(async {
        let ((a, a_address), (b, b_address)) = (receiver(V4).await, receiver(V4).await);
        a.connect(b_address).await.unwrap();
        SockRef::from(&a).shutdown(Shutdown::Read).unwrap();
        let error = a.recv_msg(&mut [0; 64]).await.unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        // The sending direction is open.
        a.send_segments(b"aab", 2, b_address, None).await.unwrap();
        let meta = b.recv_msg(&mut [0; 64]).await.unwrap();
        assert_eq!((meta.len, meta.stride, meta.peer), (3, 2, a_address));
    });
}
