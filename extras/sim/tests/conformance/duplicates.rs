//! Several descriptors of one socket, several buffers of one call, and halves.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::time::timeout;
use wakeful_net::TcpStream;

use crate::log::{Log, listen, log_ready, pair, read, settle, write};

pub(crate) async fn both_descriptors_of_a_stream_have_events(log: Log) {
    let (server, client) = pair().await;
    let clone = client.try_clone().unwrap();
    write(&log, "write", &server).await;
    settle().await;
    log_ready(&log, "first", &client).await;
    log_ready(&log, "second", &clone).await;
    read(&log, "read", &clone).await;
    drop(client);
    settle().await;
    log.push("still open", server.try_read(&mut [0; 1]).is_err());
    // A descriptor with the number of the one that was closed.
    let (_other, another) = pair().await;
    write(&log, "write", &server).await;
    read(&log, "read", &clone).await;
    drop(clone);
    read(&log, "end", &server).await;
    log.result("another", another.peer_addr().map(drop));
}

pub(crate) async fn a_shutdown_is_one_of_the_socket(log: Log) {
    let (server, client) = pair().await;
    let clone = client.try_clone().unwrap();
    clone.shutdown_now(Shutdown::Write).unwrap();
    write(&log, "write", &client).await;
    read(&log, "end", &server).await;
    drop(server);
    read(&log, "end", &client).await;
    read(&log, "end", &clone).await;
}

pub(crate) async fn a_listener_with_two_descriptors(log: Log) {
    let (listener, address) = listen().await;
    let clone = listener.try_clone().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    log.result("accept", clone.accept().await.map(drop));
    drop(listener);
    let connect = TcpStream::connect(address);
    let (accepted, second) = zip(clone.accept(), connect).await;
    log.push(
        "accepted",
        accepted.unwrap().1 == second.unwrap().local_addr().unwrap(),
    );
    drop(clone);
    settle().await;
    log.result("connect", TcpStream::connect(address).await.map(drop));
    read(&log, "first", &client).await;
}

pub(crate) async fn several_buffers(log: Log) {
    let (server, client) = pair().await;
    let bufs = [
        IoSlice::new(b"ab"),
        IoSlice::new(b""),
        IoSlice::new(b"cdef"),
    ];
    log.result("write", client.write_vectored(&bufs).await);
    settle().await;
    let (mut first, mut second) = ([0; 1], [0; 9]);
    let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    log.result("read", server.read_vectored(bufs).await);
    log.push("bytes", (first, second));
    let empty = &mut [IoSliceMut::new(&mut [])];
    log.result("none", server.read_vectored(empty).await);
    drop(client);
    let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    settle().await;
    let last = timeout(Duration::from_millis(50), server.read_vectored(bufs)).await;
    log.push("end", last.map(Result::ok).ok());
}

pub(crate) async fn peeking(log: Log) {
    let (server, client) = pair().await;
    server.write_all(b"bytes").await.unwrap();
    settle().await;
    for len in [2, 9] {
        let mut buf = vec![0; len];
        log.result("peek", client.peek(&mut buf).await);
        log.push("bytes", buf);
    }
    read(&log, "read", &client).await;
    server.set_zero_linger().unwrap();
    drop(server);
    settle().await;
    log.result("peek", client.peek(&mut [0; 9]).await);
    log.result("peek", client.peek(&mut [0; 9]).await);
    read(&log, "read", &client).await;
}

pub(crate) async fn both_halves_end(log: Log) {
    let (server, client) = pair().await;
    let (reader, writer) = client.into_split();
    log.result("write", writer.write_all(b"bytes").await);
    drop(writer);
    read(&log, "server", &server).await;
    read(&log, "server", &server).await;
    drop(reader);
    settle().await;
    write(&log, "write", &server).await;
    settle().await;
    write(&log, "write", &server).await;
    read(&log, "server", &server).await;
}
