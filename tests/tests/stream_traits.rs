//! futures-io's byte-stream traits on the streams of `wakeful-net`, and the `poll_*` methods. The traits
//! behave like the streams' own methods.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::pin::Pin;

use futures_lite::future::poll_once;
use wakeful::io::{AsyncRead, AsyncWrite};
use wakeful_net::{TcpStream, UnixStream};
use wakeful_tests::net_support::{listen, run, settle, tcp_pair};

async fn read(stream: &mut (impl AsyncRead + Unpin), buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buf)).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await
}

async fn shutdown(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_flush(cx)).await?;
    poll_fn(|cx| Pin::new(&mut *stream).poll_close(cx)).await
}

/// Runs one connected pair through transfers both ways, vectored transfers, and EOF.
async fn exchange(
    mut near: impl AsyncRead + AsyncWrite + Unpin,
    mut far: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut buf = [0; 16];
    assert!(poll_once(read(&mut near, &mut buf)).await.is_none());
    assert_eq!(read(&mut near, &mut []).await.unwrap(), 0);
    assert_eq!(write(&mut near, b"").await.unwrap(), 0);

    assert_eq!(write(&mut far, b"ping").await.unwrap(), 4);
    assert_eq!(read(&mut near, &mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"ping");

    let parts = [IoSlice::new(b"po"), IoSlice::new(b""), IoSlice::new(b"ng")];
    let sent = poll_fn(|cx| Pin::new(&mut near).poll_write_vectored(cx, &parts)).await;
    assert_eq!(sent.unwrap(), 4);
    let (mut first, mut second) = ([0; 3], [0; 3]);
    let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    let got = poll_fn(|cx| Pin::new(&mut far).poll_read_vectored(cx, &mut bufs)).await;
    assert_eq!((got.unwrap(), &first, second[0]), (4, b"pon", b'g'));

    shutdown(&mut near).await.unwrap();
    assert_eq!(read(&mut far, &mut buf).await.unwrap(), 0);
    write(&mut far, b"last").await.unwrap();
    assert_eq!(read(&mut near, &mut buf).await.unwrap(), 4);
    let refused = write(&mut near, b"x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn closing_a_stream_after_a_reset_by_the_peer_is_no_error() {
    run(async {
        let (mut near, far) = tcp_pair().await;
        far.set_zero_linger().unwrap();
        drop(far);
        let reset = near.read(&mut [0]).await.unwrap_err();
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        shutdown(&mut near).await.unwrap();
        near.shutdown().await.unwrap();
        // Only `shutdown_now` returns the error.
        let gone = near.shutdown_now(std::net::Shutdown::Write).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotConnected);
    });
}

#[test]
fn every_stream_implements_the_traits_by_value_and_by_reference() {
    run(async {
        let (a, b) = tcp_pair().await;
        exchange(a, b).await;
        let (a, b) = tcp_pair().await;
        exchange(&a, &b).await;
        let (a, b) = UnixStream::pair().unwrap();
        exchange(a, b).await;
        let (a, b) = UnixStream::pair().unwrap();
        exchange(&a, Box::new(b)).await;
    });
}

#[test]
fn borrowed_and_owned_halves_implement_the_traits_of_their_direction() {
    run(async {
        let (mut a, b) = tcp_pair().await;
        let (mut buf, far) = ([0; 8], b);
        {
            let (mut reader, mut writer) = a.split();
            write(&mut writer, b"borrowed").await.unwrap();
            assert_eq!(read(&mut &far, &mut buf).await.unwrap(), 8);
            far.write_all(b"yes").await.unwrap();
            assert_eq!(read(&mut reader, &mut buf).await.unwrap(), 3);
        }
        let (mut reader, mut writer) = a.into_split();
        write(&mut writer, b"owned").await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 5);
        shutdown(&mut writer).await.unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 0);
        far.write_all(b"still").await.unwrap();
        assert_eq!(read(&mut reader, &mut buf).await.unwrap(), 5);
    });
}

#[test]
fn shutdown_is_a_ready_future_of_streams_and_halves() {
    run(async {
        let mut buf = [0; 8];
        let (near, far) = tcp_pair().await;
        drop(near.shutdown());
        assert!(
            poll_once(far.read(&mut buf)).await.is_none(),
            "never polled"
        );
        poll_once(near.shutdown()).await.unwrap().unwrap();
        assert_eq!(far.read(&mut buf).await.unwrap(), 0);

        let (mut near, far) = UnixStream::pair().unwrap();
        {
            let (_reader, writer) = near.split();
            poll_once(writer.shutdown()).await.unwrap().unwrap();
            assert_eq!(far.read(&mut buf).await.unwrap(), 0);
        }
        let (reader, writer) = far.into_split();
        poll_once(writer.shutdown()).await.unwrap().unwrap();
        assert_eq!(near.read(&mut buf).await.unwrap(), 0);
        assert_eq!(reader.read(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn a_read_by_the_trait_waits_and_is_woken() {
    run(async {
        let (mut a, b) = tcp_pair().await;
        let reader = wakeful::spawn(async move {
            let mut buf = [0; 8];
            let n = read(&mut a, &mut buf).await.unwrap();
            buf[..n].to_vec()
        });
        settle().await;
        assert!(!reader.is_finished());
        b.write_all(b"now").await.unwrap();
        assert_eq!(reader.await.unwrap(), b"now");
    });
}

/// The rule for short transfers holds for the trait, too: EOF that arrived with the data is
/// returned, although the read before it did not fill its buffer.
#[test]
fn eof_after_a_short_read_by_the_trait_is_returned() {
    run(async {
        let (mut a, b) = tcp_pair().await;
        b.write_all(b"all").await.unwrap();
        drop(b);
        settle().await;
        let mut buf = [0; 64];
        assert_eq!(read(&mut a, &mut buf).await.unwrap(), 3);
        assert_eq!(read(&mut a, &mut buf).await.unwrap(), 0);
    });
}

#[test]
fn poll_peek_leaves_the_bytes_for_the_next_read() {
    run(async {
        let (a, b) = tcp_pair().await;
        let mut buf = [0; 8];
        assert!(
            poll_once(poll_fn(|cx| a.poll_peek(cx, &mut buf)))
                .await
                .is_none()
        );
        b.write_all(b"here").await.unwrap();
        for _ in 0..2 {
            assert_eq!(poll_fn(|cx| a.poll_peek(cx, &mut buf)).await.unwrap(), 4);
        }
        let (reader, _writer) = a.into_split();
        assert_eq!(
            poll_fn(|cx| reader.poll_peek(cx, &mut buf)).await.unwrap(),
            4
        );
        assert_eq!(reader.read(&mut buf).await.unwrap(), 4);
        let (c, d) = UnixStream::pair().unwrap();
        d.write_all(b"too").await.unwrap();
        assert_eq!(poll_fn(|cx| c.poll_peek(cx, &mut buf)).await.unwrap(), 3);
    });
}

#[test]
fn poll_read_ready_and_poll_write_ready_return_the_current_readiness() {
    run(async {
        let listener = listen().await;
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let client = client.unwrap();
        let (server, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        poll_fn(|cx| server.poll_write_ready(cx)).await.unwrap();
        assert!(
            poll_once(poll_fn(|cx| server.poll_read_ready(cx)))
                .await
                .is_none()
        );
        client.write_all(b"x").await.unwrap();
        poll_fn(|cx| server.poll_read_ready(cx)).await.unwrap();
        assert_eq!(server.try_read(&mut [0; 4]).unwrap(), 1);
    });
}
