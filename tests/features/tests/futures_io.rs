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

/// More than the kernel takes at once, so that both sides have to wait.
const MUCH: usize = 2 << 20;

/// Sends, ends its direction, and returns what comes back.
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

/// Sends everything back, and the end, too.
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
        // `client.split()` would be `AsyncReadExt`'s, which takes the stream by value.
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
fn streams_themselves_go_where_one_value_has_to_do_both() {
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
fn descriptors_of_others_are_streams() {
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
            (&client).close().await.unwrap(); // flushes; only dropping it ends it
        };
        let (received, ()) = join(receiving, sending).await;
        assert!(received == bytes);
        drop(client);
        assert_eq!((&server).read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
fn streams_in_memory_echo_too() {
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
fn several_buffers_are_one_transfer() {
    run(async {
        let (mut server, mut client) = tcp_pair().await;
        // By the name of the trait: the streams have methods of these names of their own.
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
