//! Point 40. A zero-length read returns 0, which is no EOF, and keeps the readiness; a zero-length
//! write changes nothing.

use std::io::{IoSlice, IoSliceMut};

use futures_lite::future;
use wakeful_net::UnixStream;
use wakeful_tests::net_support::{run, settle, tcp_pair};

#[test]
fn an_empty_read_returns_zero_at_once_and_changes_nothing() {
    run(async {
        let (server, client) = tcp_pair().await;
        let empty = future::poll_once(server.read(&mut [])).await;
        assert_eq!(
            empty
                .expect("at once, although no bytes are there")
                .unwrap(),
            0
        );
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
        assert_eq!(read.expect("the readiness was kept").unwrap(), 3);
    });
}

#[test]
fn an_empty_write_returns_zero_at_once_and_sends_nothing() {
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
            "neither EOF nor bytes"
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
        assert_eq!(
            empty
                .expect("at once, although the buffer is full")
                .unwrap(),
            0
        );
    });
}
