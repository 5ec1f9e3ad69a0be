//! futures-util's readers and writers on every stream of Wakeful, without any feature.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{IoSlice, IoSliceMut};

use futures_util::future::join;
use futures_util::io::{
    AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, copy,
};
use wakeful::io::duplex;
use wakeful_feature_tests::{fd_pair, pattern, run, tcp_pair};
use wakeful_net::{TcpStream, UnixStream};

/// More bytes than the kernel's buffers hold, so that both sides have to wait.
const MUCH: usize = 2 << 20;

/// Sends `bytes`, closes the direction, and returns the bytes that come back.
async fn send_and_receive(
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    bytes: &[u8],
) -> Vec<u8> {
    let mut received = Vec::new();
    let sending = async {
        writer.write_all(bytes).await.unwrap();
        writer.close().await.unwrap();
    };
    let receiving = reader.read_to_end(&mut received);
    let ((), count) = join(sending, receiving).await;
    assert_eq!(count.unwrap(), received.len());
    received
}

/// Echoes all bytes, then EOF.
async fn echo(reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin) {
    copy(reader, &mut writer).await.unwrap();
    writer.close().await.unwrap();
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
        // `client.split()` would call the method of `AsyncReadExt`, which takes the stream by value.
        let (client_reads, client_writes) = TcpStream::split(&mut client);
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
        let (client_reads, client_writes) = UnixStream::split(&mut client);
        let (_, received) = join(
            echo(server_reads, server_writes),
            send_and_receive(client_reads, client_writes, &bytes),
        )
        .await;
        assert!(received == bytes);
    });
}

#[test]
fn owned_streams_implement_both_traits_by_value() {
    run(async {
        let (server, client) = tcp_pair().await;
        let (reads, writes) = AsyncReadExt::split(server);
        let echo = wakeful::spawn(echo(reads, writes));
        let mut client = BufReader::new(client);
        client.get_mut().write_all(b"one\ntwo\n").await.unwrap();
        let mut line = String::new();
        assert_eq!(client.read_line(&mut line).await.unwrap(), 4);
        assert_eq!(client.read_line(&mut line).await.unwrap(), 4);
        assert_eq!(line, "one\ntwo\n");
        client.close().await.unwrap();
        assert_eq!(client.read_line(&mut line).await.unwrap(), 0);
        echo.await.unwrap();
    });
}

#[test]
fn async_fds_of_std_sockets_are_streams() {
    run(async {
        let (server, client) = fd_pair();
        let bytes = pattern(MUCH);
        let receiving = async {
            let mut received = vec![0; MUCH];
            (&server).read_exact(&mut received).await.unwrap();
            received
        };
        let sending = async {
            (&client).write_all(&bytes).await.unwrap();
            (&client).close().await.unwrap(); // only flushes; the drop below sends EOF
        };
        let (received, ()) = join(receiving, sending).await;
        assert!(received == bytes);
        drop(client);
        assert_eq!((&server).read(&mut [0; 8]).await.unwrap(), 0);
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
fn vectored_transfers_use_several_buffers_at_once() {
    run(async {
        let (mut server, mut client) = tcp_pair().await;
        // Called through the trait, because the streams have inherent methods of these names.
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        let sent = AsyncWriteExt::write_vectored(&mut client, &parts).await;
        assert_eq!(sent.unwrap(), 8);
        let (mut head, mut body) = ([0; 4], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        let received = AsyncReadExt::read_vectored(&mut server, &mut bufs).await;
        assert_eq!(received.unwrap(), 8);
        assert_eq!((&head, &body[..4]), (b"head", &b"body"[..]));
    });
}
