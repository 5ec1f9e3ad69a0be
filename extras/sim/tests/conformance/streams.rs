//! TCP as `TcpStream` and `TcpListener` use it.

use std::io;
use std::net::{Ipv4Addr, Shutdown};
use std::time::Duration;

use futures_lite::future::zip;
use wakeful::time::timeout;
use wakeful_net::{TcpListener, TcpSocket, TcpStream};

use crate::log::{Log, listen, log_ready, pair, read, settle, write};

pub(crate) async fn refused(log: Log) {
    let (listener, address) = listen().await;
    drop(listener);
    log.result("connect", TcpStream::connect(address).await.map(drop));
}

pub(crate) async fn end_after_bytes(log: Log) {
    let (server, client) = pair().await;
    server.write_all(b"abc").await.unwrap();
    server.shutdown().await.unwrap();
    let mut got = [0; 3];
    client.read_exact(&mut got).await.unwrap();
    log.push("bytes", got);
    read(&log, "end", &client).await;
    read(&log, "end again", &client).await;
    log.result("peer", client.peer_addr().map(drop));
}

pub(crate) async fn half_close(log: Log) {
    let (server, client) = pair().await;
    client.shutdown().await.unwrap();
    read(&log, "server", &server).await;
    server.write_all(b"later").await.unwrap();
    server.shutdown().await.unwrap();
    let mut got = [0; 5];
    client.read_exact(&mut got).await.unwrap();
    read(&log, "client", &client).await;
    write(&log, "write after shutdown", &client).await;
    log.result("shut down again", client.shutdown_now(Shutdown::Write));
}

pub(crate) async fn write_to_a_closed_peer(log: Log) {
    let (server, client) = pair().await;
    drop(server);
    settle().await;
    write(&log, "first", &client).await;
    settle().await;
    write(&log, "second", &client).await;
    write(&log, "third", &client).await;
    read(&log, "read", &client).await;
    log.result(
        "error",
        client
            .take_error()
            .map(|error| error.map(|error| error.kind())),
    );
    log.result("shutdown", client.shutdown_now(Shutdown::Write));
}

pub(crate) async fn read_behind_the_end_and_a_reset(log: Log) {
    let (server, client) = pair().await;
    drop(server);
    settle().await;
    write(&log, "answered by a reset", &client).await;
    settle().await;
    read(&log, "the end", &client).await;
    read(&log, "the end again", &client).await;
    log_ready(&log, "ready", &client).await;
    write(&log, "write", &client).await;
    read(&log, "the end at last", &client).await;
}

pub(crate) async fn connect_to_no_host(log: Log) {
    for address in ["255.255.255.255:9", "224.0.0.1:9", "[ff02::1]:9"] {
        log.result(address, TcpStream::connect(address).await.map(drop));
    }
}

pub(crate) async fn close_with_unread_bytes(log: Log) {
    let (server, client) = pair().await;
    client.write_all(b"unread").await.unwrap();
    server.readable().await.unwrap();
    drop(server);
    settle().await;
    log_ready(&log, "ready", &client).await;
    read(&log, "read", &client).await;
    read(&log, "read again", &client).await;
    write(&log, "write", &client).await;
    log.result("peer", client.peer_addr().map(drop));
    log.result("local", client.local_addr().map(drop));
    log.result("shutdown", client.shutdown_now(Shutdown::Both));
}

pub(crate) async fn zero_linger(log: Log) {
    let (server, client) = pair().await;
    server.set_zero_linger().unwrap();
    drop(server);
    settle().await;
    write(&log, "write", &client).await;
    read(&log, "read", &client).await;
    write(&log, "write again", &client).await;
}

pub(crate) async fn bytes_before_a_reset(log: Log) {
    let (server, client) = pair().await;
    server.write_all(b"bytes").await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    settle().await;
    read(&log, "read", &client).await;
    read(&log, "read again", &client).await;
    read(&log, "read a third time", &client).await;
}

pub(crate) async fn listener_closed_with_a_client_in_its_queue(log: Log) {
    let (listener, address) = listen().await;
    let client = TcpStream::connect(address).await.unwrap();
    settle().await;
    drop(listener);
    settle().await;
    read(&log, "read", &client).await;
    log.result("connect", TcpStream::connect(address).await.map(drop));
}

pub(crate) async fn accept_after_the_client_has_left(log: Log) {
    let (listener, address) = listen().await;
    let client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"bytes").await.unwrap();
    let local = client.local_addr().unwrap();
    drop(client);
    settle().await;
    let (server, peer) = listener.accept().await.unwrap();
    log.push("peer", peer == local);
    let mut got = [0; 5];
    log.result("bytes", server.read_exact(&mut got).await);
    read(&log, "end", &server).await;
}

pub(crate) async fn accept_after_the_client_has_reset(log: Log) {
    let (listener, address) = listen().await;
    let client = TcpStream::connect(address).await.unwrap();
    settle().await;
    client.set_zero_linger().unwrap();
    drop(client);
    settle().await;
    let (server, _) = listener.accept().await.unwrap();
    read(&log, "read", &server).await;
    read(&log, "read again", &server).await;
}

pub(crate) async fn flags_of_an_open_stream(log: Log) {
    let (server, client) = pair().await;
    log_ready(&log, "open", &client).await;
    server.shutdown().await.unwrap();
    settle().await;
    log_ready(&log, "after the end", &client).await;
    client.shutdown().await.unwrap();
    settle().await;
    log_ready(&log, "both ended", &client).await;
}

pub(crate) async fn addresses(log: Log) {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    log.push("port", port != 0);
    log.push("ip", listener.local_addr().unwrap().ip());
    let connect = TcpStream::connect(("127.0.0.1", port));
    let (accepted, client) = zip(listener.accept(), connect).await;
    let (server, peer) = accepted.unwrap();
    let client = client.unwrap();
    log.push("peer", peer == client.local_addr().unwrap());
    log.push(
        "server",
        server.local_addr().unwrap() == client.peer_addr().unwrap(),
    );
    log.push("ip", (server.local_addr().unwrap().ip(), peer.ip()));
}

pub(crate) async fn binding(log: Log) {
    let (_listener, address) = listen().await;
    let socket = TcpSocket::new_v4().unwrap();
    log.push("unbound", socket.local_addr().unwrap());
    let kind = |result: io::Result<()>| result.map_err(|error| error.kind());
    log.push("in use", kind(socket.bind(address)));
    let all = (Ipv4Addr::UNSPECIFIED, address.port()).into();
    log.push("in use by one of all", kind(socket.bind(all)));
    log.push("free", kind(socket.bind("127.0.0.1:0".parse().unwrap())));
    log.push("twice", kind(socket.bind("127.0.0.1:0".parse().unwrap())));
    let v6 = TcpSocket::new_v4().unwrap();
    log.push("family", v6.bind("[::1]:0".parse().unwrap()).is_err());
    let connect = TcpSocket::new_v4()
        .unwrap()
        .connect("[::1]:1".parse().unwrap());
    log.push("family", connect.await.is_err());
}

pub(crate) async fn shut_down_reading(log: Log) {
    let (server, client) = pair().await;
    client.shutdown_now(Shutdown::Read).unwrap();
    read(&log, "read", &client).await;
    write(&log, "write", &client).await;
    let mut got = [0; 5];
    log.result("server", server.read_exact(&mut got).await);
    server.write_all(b"bytes").await.unwrap();
    settle().await;
    read(&log, "read what came later", &client).await;
}

pub(crate) async fn shut_down_both(log: Log) {
    let (server, client) = pair().await;
    client.shutdown_now(Shutdown::Both).unwrap();
    read(&log, "server", &server).await;
    read(&log, "client", &client).await;
    write(&log, "client", &client).await;
    log.result("peer", client.peer_addr().map(drop));
}

pub(crate) async fn no_room(log: Log) {
    let (server, client) = pair().await;
    let mut sent = 0_usize;
    client.writable().await.unwrap();
    let full = loop {
        match client.try_write(&[7; 1 << 16]) {
            Ok(count) => sent += count,
            Err(error) => break error.kind(),
        }
    };
    log.push("full", full);
    let writable = timeout(Duration::from_millis(5), client.writable()).await;
    log.push("writable", writable.is_ok());
    let (mut received, mut buf) = (0, vec![0; 1 << 16]);
    let receive = async {
        while received < sent {
            received += server.read(&mut buf).await.unwrap();
        }
    };
    let (writable, ()) = zip(client.writable(), receive).await;
    log.result("writable", writable);
    log.push("all", received == sent);
}

pub(crate) async fn nothing_to_move(log: Log) {
    let (server, client) = pair().await;
    log.result("read", server.read(&mut []).await);
    log.result("write", client.write(&[]).await);
    settle().await;
    log.result("try", server.try_read(&mut [0; 4]));
    client.write_all(b"peeked").await.unwrap();
    settle().await;
    let mut buf = [0; 4];
    server.peek(&mut buf).await.unwrap();
    log.push("peek", buf[0]);
    server.read_exact(&mut buf).await.unwrap();
    log.push("read", buf);
}

pub(crate) async fn full_queue(log: Log) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let first = TcpStream::connect(address).await.unwrap();
    let second = TcpStream::connect(address).await.unwrap();
    settle().await;
    let limit = Duration::from_millis(100);
    let third = TcpStream::connect_timeout(address, limit).await;
    log.result("third", third.map(drop));
    log.push(
        "first",
        listener.accept().await.unwrap().1 == first.local_addr().unwrap(),
    );
    log.push(
        "second",
        listener.accept().await.unwrap().1 == second.local_addr().unwrap(),
    );
    log.result("fourth", TcpStream::connect(address).await.map(drop));
}

pub(crate) async fn dropped_half(log: Log) {
    let (server, client) = pair().await;
    let (reader, writer) = client.into_split();
    drop(writer);
    read(&log, "server", &server).await;
    server.write_all(b"bytes").await.unwrap();
    let mut got = [0; 5];
    log.result("client", reader.read_exact(&mut got).await);
}

pub(crate) async fn reset_while_writing(log: Log) {
    let (server, client) = pair().await;
    let write = async {
        let bytes = vec![7; 1 << 24];
        server.write_all(&bytes).await.unwrap_err().kind()
    };
    let leave = async {
        client.readable().await.unwrap();
        settle().await;
        drop(client);
    };
    let (kind, ()) = zip(write, leave).await;
    log.push("write", kind);
    read(&log, "read", &server).await;
}
