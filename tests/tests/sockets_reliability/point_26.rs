//! Point 26. A read is repeated until `WouldBlock` before it waits. A FIN or an error that follows
//! a short read still wakes the reader.

use std::io::{ErrorKind, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use futures_lite::future;
use wakeful_net::UnixStream;
use wakeful_tests::net_support::{pattern, run, settle, tcp_and_std};

#[test]
fn a_fin_that_arrived_with_the_data_is_read_after_a_short_read() {
    run(async {
        for len in [1, 3, 64] {
            let (server, mut peer) = tcp_and_std().await;
            peer.write_all(&pattern(len, 26)).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            settle().await;
            let mut buf = [0; 64];
            assert_eq!(server.read(&mut buf).await.unwrap(), len);
            assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_fin_between_the_event_and_the_short_read_still_wakes() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abc").unwrap();
        server.readable().await.unwrap();
        // The event reported readable without EOF; the FIN arrives now, before the read.
        peer.shutdown(Shutdown::Write).unwrap();
        let mut buf = [0; 64];
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn a_fin_after_the_short_read_wakes_the_waiting_reader() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abc").unwrap();
        let reader = wakeful::spawn(async move {
            let mut buf = [0; 64];
            assert_eq!(server.read(&mut buf).await.unwrap(), 3);
            server.read(&mut buf).await.unwrap()
        });
        settle().await;
        assert!(!reader.is_finished());
        drop(peer);
        assert_eq!(reader.await.unwrap(), 0);
    });
}

#[test]
fn a_reset_behind_a_short_read_is_not_lost() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abc").unwrap();
        server.readable().await.unwrap();
        socket2::SockRef::from(&peer)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(peer);
        let mut buf = [0; 64];
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        let err = server.read(&mut buf).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::ConnectionReset);
        assert_eq!(
            server.read(&mut buf).await.unwrap(),
            0,
            "after the reset, reads return EOF"
        );
    });
}

#[test]
fn try_read_follows_the_same_rules() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abc").unwrap();
        server.readable().await.unwrap();
        let mut buf = [0; 64];
        assert_eq!(server.try_read(&mut buf).unwrap(), 3);
        // The short read has cleared the readiness, so no second system call returns EAGAIN.
        let called = server.try_io(
            wakeful::io::Interest::READABLE,
            || -> std::io::Result<()> { panic!("the readiness was not cleared") },
        );
        assert_eq!(called.unwrap_err().kind(), ErrorKind::WouldBlock);
        peer.write_all(b"de").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 2);
        assert_eq!(server.try_read(&mut buf).unwrap(), 0);
        assert_eq!(server.try_read(&mut buf).unwrap(), 0);
    });
}

#[test]
fn a_full_read_keeps_the_readiness() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abcdef").unwrap();
        settle().await;
        // One edge, three reads: a read that fills its buffer must not clear the readiness.
        let mut buf = [0; 2];
        for expected in [b"ab", b"cd", b"ef"] {
            let read = future::poll_once(server.read(&mut buf)).await;
            assert_eq!(read.expect("the readiness was kept").unwrap(), 2);
            assert_eq!(&buf, expected);
        }
        assert!(future::poll_once(server.read(&mut buf)).await.is_none());
    });
}

#[test]
fn a_peek_that_finds_nothing_waits_for_the_next_edge() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        let mut buf = [0; 8];
        for round in 0..3u8 {
            let mut peeked = [0; 8];
            let mut peek = std::pin::pin!(server.peek(&mut peeked));
            settle().await;
            assert!(future::poll_once(&mut peek).await.is_none());
            peer.write_all(&[round]).unwrap();
            assert_eq!(peek.await.unwrap(), 1);
            assert_eq!(server.read(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], round);
        }
    });
}

/// Cuts messages at random places into pieces that arrive in different turns, followed by EOF.
#[test]
fn no_byte_and_no_eof_is_lost_however_the_message_is_cut() {
    run(async {
        let mut random = fastrand::Rng::with_seed(26);
        for round in 0..300 {
            let (reader, writer) = UnixStream::pair().unwrap();
            let message = pattern(random.usize(0..200), round);
            let cuts: Vec<usize> = (0..random.usize(0..6))
                .map(|_| random.usize(0..64))
                .collect();
            let pauses = random.u8(..);
            let buffer = random.usize(1..96);
            let sent = message.clone();
            wakeful::spawn(async move {
                let mut rest = &sent[..];
                for (i, cut) in cuts.into_iter().enumerate() {
                    let (now, later) = rest.split_at(cut.min(rest.len()));
                    writer.write_all(now).await.unwrap();
                    rest = later;
                    if pauses >> i & 1 == 1 {
                        wakeful::task::yield_now().await;
                    }
                }
                writer.write_all(rest).await.unwrap();
            });
            let (mut got, mut buf) = (Vec::new(), vec![0; buffer]);
            loop {
                match reader.read(&mut buf).await.unwrap() {
                    0 => break,
                    n => got.extend_from_slice(&buf[..n]),
                }
            }
            assert_eq!(got, message);
        }
    });
}

/// A receive stops before a byte of urgent data, even if more bytes follow. Such a short read does
/// not mean that the kernel's buffer is empty.
#[test]
fn bytes_behind_urgent_data_are_read() {
    run(async {
        let (server, mut peer) = tcp_and_std().await;
        peer.write_all(b"abc").unwrap();
        socket2::SockRef::from(&peer)
            .send_out_of_band(b"!")
            .unwrap();
        peer.write_all(b"def").unwrap();
        settle().await;
        let mut buf = [0; 64];
        let mut got = Vec::new();
        while got.len() < 6 {
            let n = server.read(&mut buf).await.unwrap();
            got.extend_from_slice(&buf[..n]);
        }
        assert_eq!(got, b"abcdef");
    });
}
