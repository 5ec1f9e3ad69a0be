//! Point 40. A zero-length read returns 0 without meaning the end and without clearing readiness; a
//! zero-length write changes nothing.

use std::io::{IoSlice, IoSliceMut};

use futures_lite::future;
use wakeful_net::UnixStream;
use wakeful_tests::net_support::{run, settle, tcp_pair};

#[test]
fn an_empty_read_is_zero_at_once_and_leaves_everything_as_it_was() {
    run(async {
        let (server, client) = tcp_pair().await;
        let empty = future::poll_once(server.read(&mut [])).await;
        assert_eq!(empty.expect("at once, though nothing is there").unwrap(), 0);
        client.write_all(b"abc").await.unwrap();
        settle().await;
        assert_eq!(server.read(&mut []).await.unwrap(), 0);
        assert_eq!(server.peek(&mut []).await.unwrap(), 0);
        assert_eq!(server.read_exact(&mut []).await.unwrap(), 0);
        assert_eq!(server.try_read(&mut []).unwrap(), 0);
        let mut none = [IoSliceMut::new(&mut []), IoSliceMut::new(&mut [])];
        assert_eq!(server.read_vectored(&mut none).await.unwrap(), 0);
        assert_eq!(server.try_read_vectored(&mut none).unwrap(), 0);
        assert_eq!(server.read_vectored(&mut []).await.unwrap(), 0);
        let mut buf = [0; 8];
        let read = future::poll_once(server.read(&mut buf)).await;
        assert_eq!(read.expect("still known to be readable").unwrap(), 3);
    });
}

#[test]
fn an_empty_write_is_zero_at_once_and_the_peer_sees_nothing() {
    run(async {
        let (server, client) = tcp_pair().await;
        assert_eq!(client.write(&[]).await.unwrap(), 0);
        client.write_all(&[]).await.unwrap();
        assert_eq!(
            client.write_vectored(&[IoSlice::new(b"")]).await.unwrap(),
            0
        );
        assert_eq!(client.try_write(&[]).unwrap(), 0);
        assert_eq!(client.try_write_vectored(&[]).unwrap(), 0);
        settle().await;
        let mut buf = [0; 8];
        assert!(
            future::poll_once(server.read(&mut buf)).await.is_none(),
            "no end, no message"
        );
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read(&mut buf).await.unwrap(), 1);
    });
}

#[test]
fn an_empty_write_does_not_wait_for_room() {
    run(async {
        let (full, _peer) = UnixStream::pair().unwrap();
        while full.try_write(&[0; 4096]).is_ok() {}
        let empty = future::poll_once(full.write(&[])).await;
        assert_eq!(empty.expect("at once, though there is no room").unwrap(), 0);
    });
}
