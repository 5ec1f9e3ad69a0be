//! Feature `tokio-io`: tokio's readers and writers on every stream of Wakeful, without tokio's runtime.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::future::poll_fn;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf, copy,
    copy_bidirectional,
};
use wakeful::io::duplex;
use wakeful_feature_tests::{fd_pair, pattern, run, tcp_pair};
use wakeful_net::UnixStream;

/// More bytes than the kernel's buffers hold, so that both sides have to wait.
const MUCH: usize = 2 << 20;

/// Sends `bytes`, closes the direction, and returns the bytes that come back.
async fn send_and_receive(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    bytes: &[u8],
) -> Vec<u8> {
    let mut received = Vec::new();
    {
        let sending = async {
            writer.write_all(bytes).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        let receiving = reader.read_to_end(&mut received);
        join(sending, receiving).await.1.unwrap();
    }
    received
}

/// Echoes all bytes, then EOF.
async fn echo(mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
    copy(&mut reader, &mut writer).await.unwrap();
    writer.shutdown().await.unwrap();
}

/// Polls both futures in one task.
async fn join<A: Future, B: Future>(left: A, right: B) -> (A::Output, B::Output) {
    let (mut left, mut right) = (pin!(left), pin!(right));
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        if first.is_none()
            && let Poll::Ready(output) = left.as_mut().poll(cx)
        {
            first = Some(output);
        }
        if second.is_none()
            && let Poll::Ready(output) = right.as_mut().poll(cx)
        {
            second = Some(output);
        }
        if first.is_some() && second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    (first.unwrap(), second.unwrap())
}

#[test]
fn tcp_streams_echo_by_reference_and_in_halves() {
    run(async {
        let bytes = pattern(MUCH);
        let (server, client) = tcp_pair().await;
        let (_, received) = join(
            echo(&server, &server),
            send_and_receive(&client, &client, &bytes),
        )
        .await;
        assert!(received == bytes);

        let (server, mut client) = tcp_pair().await;
        let (server_reads, server_writes) = server.into_split();
        let (client_reads, client_writes) = client.split();
        let (_, received) = join(
            echo(server_reads, server_writes),
            send_and_receive(client_reads, client_writes, &bytes),
        )
        .await;
        assert!(received == bytes);
    });
}

#[test]
fn unix_streams_echo_by_reference_and_in_halves() {
    run(async {
        let bytes = pattern(MUCH);
        let (server, client) = UnixStream::pair().unwrap();
        let (_, received) = join(
            echo(&server, &server),
            send_and_receive(&client, &client, &bytes),
        )
        .await;
        assert!(received == bytes);

        let (server, mut client) = UnixStream::pair().unwrap();
        let (server_reads, server_writes) = server.into_split();
        let (client_reads, client_writes) = client.split();
        let (_, received) = join(
            echo(server_reads, server_writes),
            send_and_receive(client_reads, client_writes, &bytes),
        )
        .await;
        assert!(received == bytes);
    });
}

#[test]
fn duplex_streams_echo_by_reference() {
    run(async {
        let bytes = pattern(100_000);
        let (server, client) = duplex(1000);
        let (_, received) = join(
            echo(&server, &server),
            send_and_receive(&client, &client, &bytes),
        )
        .await;
        assert!(received == bytes);
    });
}

#[test]
fn tokios_copy_bidirectional_connects_two_streams() {
    run(async {
        let (mut inner, server) = UnixStream::pair().unwrap();
        let (mut outer, client) = tcp_pair().await;
        let proxy = wakeful::spawn(async move { copy_bidirectional(&mut outer, &mut inner).await });
        let bytes = pattern(MUCH);
        let (_, received) = join(
            echo(&server, &server),
            send_and_receive(&client, &client, &bytes),
        )
        .await;
        assert!(received == bytes);
        assert_eq!(proxy.await.unwrap().unwrap(), (MUCH as u64, MUCH as u64));
    });
}

#[test]
fn lines_are_read_from_an_async_fd_of_a_std_socket() {
    run(async {
        let (server, mut client) = fd_pair();
        client.write_all(b"one\ntwo\n").await.unwrap();
        client.shutdown().await.unwrap(); // only flushes; the drop below sends EOF
        let mut lines = BufReader::new(server).lines();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "one");
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "two");
        drop(client);
        assert_eq!(lines.next_line().await.unwrap(), None);
    });
}

#[test]
fn every_stream_reports_that_its_writes_are_vectored() {
    run(async {
        let (server, client) = tcp_pair().await;
        assert!(AsyncWrite::is_write_vectored(&server));
        assert!(AsyncWrite::is_write_vectored(&&server));
        assert!(AsyncWrite::is_write_vectored(&client.into_split().1));
        let (stream, _other) = UnixStream::pair().unwrap();
        assert!(AsyncWrite::is_write_vectored(&stream));
        assert!(AsyncWrite::is_write_vectored(&&stream));
        let (stream, _other) = fd_pair();
        assert!(AsyncWrite::is_write_vectored(&stream));
        assert!(AsyncWrite::is_write_vectored(&&stream));
        let (stream, _other) = duplex(1);
        assert!(AsyncWrite::is_write_vectored(&stream));
        assert!(AsyncWrite::is_write_vectored(&&stream));
    });
}

/// Writes one buffer at a time into an inner writer.
struct Unvectored<W>(W);

impl<W: wakeful::io::AsyncWrite + Unpin> wakeful::io::AsyncWrite for Unvectored<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

wakeful::impl_tokio_io! {
    impl<W> AsyncWrite for Unvectored<W> {}
}

#[test]
fn the_macro_implements_tokios_trait_for_other_types() {
    run(async {
        let (near, far) = duplex(64);
        let mut writer = Unvectored(near);
        assert!(!AsyncWrite::is_write_vectored(&writer));
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        assert_eq!(writer.write_vectored(&parts).await.unwrap(), 4);
        writer.flush().await.unwrap();
        writer.shutdown().await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, b"head");
    });
}

#[test]
fn vectored_transfers_use_several_buffers_at_once() {
    run(async {
        let (mut server, mut client) = tcp_pair().await;
        assert!(AsyncWrite::is_write_vectored(&client));
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        let sent = AsyncWriteExt::write_vectored(&mut client, &parts).await;
        assert_eq!(sent.unwrap(), 8);
        let mut received = [0; 8];
        AsyncReadExt::read_exact(&mut server, &mut received)
            .await
            .unwrap();
        assert_eq!(&received, b"headbody");
    });
}

/// Reads once.
async fn read(stream: &UnixStream, buf: &mut ReadBuf<'_>) {
    poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut &*stream), cx, buf))
        .await
        .unwrap();
}

#[test]
fn a_read_appends_to_the_filled_part_of_the_buffer() {
    run(async {
        let (here, there) = UnixStream::pair().unwrap();
        there.write_all(b"abcdef").await.unwrap();
        let mut memory = [MaybeUninit::uninit(); 5];
        let mut buf = ReadBuf::uninit(&mut memory);
        buf.put_slice(b"x");
        read(&here, &mut buf).await;
        assert_eq!(buf.filled(), b"xabcd");
        // The buffer is full: the read consumes nothing and is no EOF.
        read(&here, &mut buf).await;
        buf.clear();
        read(&here, &mut buf).await;
        assert_eq!(buf.filled(), b"ef");
        drop(there);
        buf.clear();
        read(&here, &mut buf).await;
        assert_eq!(buf.filled(), b"");
    });
}

#[test]
fn a_large_buffer_is_initialized_only_in_part_for_a_small_message() {
    run(async {
        let (here, there) = UnixStream::pair().unwrap();
        there.write_all(b"small").await.unwrap();
        let mut memory = vec![MaybeUninit::uninit(); 1 << 20];
        let mut buf = ReadBuf::uninit(&mut memory);
        read(&here, &mut buf).await;
        assert_eq!(buf.filled(), b"small");
        assert_eq!(buf.initialized().len(), 16 * 1024);
    });
}

#[test]
fn an_initialized_buffer_is_used_in_full() {
    run(async {
        let (here, there) = UnixStream::pair().unwrap();
        let bytes = pattern(100_000);
        there.write_all(&bytes).await.unwrap();
        let mut memory = vec![0; bytes.len()];
        let mut buf = ReadBuf::new(&mut memory);
        read(&here, &mut buf).await;
        assert!(buf.filled() == bytes);
    });
}

#[test]
fn the_standard_streams_have_tokio_s_traits() {
    run(async {
        fn is_reader(_: &impl AsyncRead) {}
        is_reader(&wakeful::io::stdin());
        let mut stderr = wakeful::io::stderr();
        AsyncWriteExt::write_all(&mut stderr, b"").await.unwrap();
        AsyncWriteExt::flush(&mut stderr).await.unwrap();
        AsyncWriteExt::flush(&mut wakeful::io::stdout())
            .await
            .unwrap();
    });
}
