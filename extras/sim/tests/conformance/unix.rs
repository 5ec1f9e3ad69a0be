//! Unix streams.

use std::net::Shutdown;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use futures_lite::future::zip;
use socket2::Type;
use wakeful::time::timeout;
use wakeful_net::{UnixDatagram, UnixListener, UnixSocket, UnixStream};

use crate::log::{Log, edges, flags, settle};
use crate::raw::{Raw, new_name, path_of};

async fn read(log: &Log, what: &str, stream: &UnixStream) {
    let mut buf = [0; 64];
    let result = stream.read(&mut buf).await;
    log.result(
        what,
        result.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned()),
    );
}

pub(crate) async fn a_unix_stream_and_its_names(log: Log) {
    let path = path_of(&new_name());
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).await.unwrap();
    // A client is connected before it is accepted.
    log.result("write", client.write_all(b"early").await);
    let (server, peer) = listener.accept().await.unwrap();
    let name = path.as_bytes().get(1..);
    log.push("accepted", peer.is_unnamed());
    log.push("client", client.local_addr().unwrap().is_unnamed());
    let names = [
        listener.local_addr(),
        server.local_addr(),
        client.peer_addr(),
    ];
    log.push(
        "names",
        names.map(|at| at.unwrap().as_abstract_name() == name),
    );
    log.push("peer", server.peer_addr().unwrap().is_unnamed());
    read(&log, "read", &server).await;
    log.result("write", server.write_all(b"answer").await);
    read(&log, "read", &client).await;
    drop(client);
    read(&log, "end", &server).await;
    log.push("peer", server.peer_addr().unwrap().is_unnamed());
    log.result("write", server.write_all(b"x").await);
}

pub(crate) async fn names_of_unix_sockets(log: Log) {
    let (name, other) = (path_of(&new_name()), path_of(&new_name()));
    log.result("unknown", UnixStream::connect(&name).await.map(drop));
    let socket = UnixSocket::new_stream().unwrap();
    log.result("bind", socket.bind(&name));
    log.result("twice", socket.bind(&other));
    log.result("in use", UnixListener::bind(&name).map(drop));
    log.result("not listening", UnixStream::connect(&name).await.map(drop));
    // Datagrams have abstract names of their own.
    let datagram = UnixDatagram::bind(&name);
    log.result("datagram", datagram.map(drop));
    let listener = socket.listen(1).unwrap();
    log.result("connect", UnixStream::connect(&name).await.map(drop));
    drop(listener);
    log.result("closed", UnixStream::connect(&name).await.map(drop));
    log.result("free", UnixListener::bind(&name).map(drop));
    let unbound = UnixSocket::new_stream().unwrap();
    log.result("unbound", unbound.listen(1).map(drop));
    let named = UnixSocket::new_stream().unwrap();
    let listener = UnixListener::bind(&name).unwrap();
    log.result("bind", named.bind(&other));
    let connected = named.connect(&name).await.unwrap();
    let (_server, peer) = listener.accept().await.unwrap();
    log.push("peer", peer.as_abstract_name() == other.as_bytes().get(1..));
    drop(connected);
}

/// Returns a path in the directory for temporary files. Its file is removed at the end.
struct TemporaryPath(PathBuf);

impl Drop for TemporaryPath {
    fn drop(&mut self) {
        // The simulation has no file.
        fs::remove_file(&self.0).ok();
    }
}

pub(crate) async fn paths_of_unix_sockets(log: Log) {
    let name = path_of(&new_name());
    let path = TemporaryPath(env::temp_dir().join(&name[1..]));
    log.result("unknown", UnixStream::connect(&path.0).await.map(drop));
    let listener = UnixListener::bind(&path.0).unwrap();
    let address = listener.local_addr().unwrap();
    log.push("local", address.as_pathname() == Some(&*path.0));
    log.result("in use", UnixListener::bind(&path.0).map(drop));
    let other_kind = UnixDatagram::unbound().unwrap();
    let refused = other_kind.connect(&path.0);
    log.result(
        "datagram",
        refused.map_err(|_| std::io::ErrorKind::Other.into()),
    );
    log.result("in use", UnixDatagram::bind(&path.0).map(drop));
    let client = UnixStream::connect(&path.0).await.unwrap();
    let address = client.peer_addr().unwrap();
    log.push("peer", address.as_pathname() == Some(&*path.0));
    drop(listener);
    log.result("closed", UnixStream::connect(&path.0).await.map(drop));
    read(&log, "read", &client).await;
    fs::remove_file(&path.0).ok();
    log.result("again", UnixListener::bind(&path.0).map(drop));
}

pub(crate) async fn a_unix_peer_that_has_closed(log: Log) {
    let (near, far) = Raw::unix_pair(Type::STREAM);
    let near = near.watched();
    edges(&log, "open", &near).await;
    log.call("send", far.send(b"abc"));
    drop(far);
    edges(&log, "closed", &near).await;
    let socket = near.get_ref();
    log.call("send", socket.send(b"x"));
    log.call("peek", socket.peek());
    log.call("receive", socket.recv(9));
    log.call("receive", socket.recv(9));
    log.call("send", socket.send(b"x"));
    log.push("error", socket.take_error());
    log.call("peer", socket.peer_addr().map(drop));
    log.call("shutdown", socket.shutdown(Shutdown::Write));
    log.call("connect", socket.connect(&new_name()));
}

pub(crate) async fn a_unix_peer_that_has_closed_with_unread_bytes(log: Log) {
    let (near, far) = Raw::unix_pair(Type::STREAM);
    let near = near.watched();
    log.call("send", near.get_ref().send(b"unread"));
    log.call("send", far.send(b"answer"));
    drop(far);
    flags(&log, "closed", &near).await;
    let socket = near.get_ref();
    log.call("send", socket.send(b"x"));
    for _ in 0..3 {
        log.call("receive", socket.recv(9));
    }
    log.push("error", socket.take_error());
    flags(&log, "later", &near).await;
}

pub(crate) async fn a_unix_stream_that_is_shut_down(log: Log) {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let (near, far) = Raw::unix_pair(Type::STREAM);
        let (near, far) = (near.watched(), far.watched());
        edges(&log, "near", &near).await;
        edges(&log, "far", &far).await;
        log.call("send", far.get_ref().send(b"before"));
        log.call("shutdown", near.get_ref().shutdown(how));
        edges(&log, "near", &near).await;
        edges(&log, "far", &far).await;
        for socket in [near.get_ref(), far.get_ref()] {
            log.call("send", socket.send(b"later"));
            log.call("send none", socket.send(b""));
            log.call("receive", socket.recv(9));
            log.call("receive", socket.recv(9));
            log.call("peer", socket.peer_addr().map(drop));
        }
        log.call("again", near.get_ref().shutdown(how));
        log.call("far", far.get_ref().shutdown(Shutdown::Both));
        flags(&log, "near", &near).await;
    }
}

pub(crate) async fn a_full_queue_of_a_unix_listener(log: Log) {
    let (listener, name) = Raw::bound_unix(Type::STREAM);
    log.call("listen", listener.listen(1));
    let clients = [(); 4].map(|()| Raw::unix(Type::STREAM));
    for client in &clients {
        log.call("connect", client.connect(&name));
    }
    log.call("connected", clients[0].connect(&name));
    log.call("accept", listener.accept().map(drop));
    log.call("connected", clients[1].connect(&name));
    log.call("connect", clients[2].connect(&name));
    log.call("connect", clients[3].connect(&name));
    for _ in 0..3 {
        log.call("accept", listener.accept().map(drop));
    }
}

pub(crate) async fn a_unix_client_that_waits_for_the_queue(log: Log) {
    let path = path_of(&new_name());
    let socket = UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let listener = socket.listen(0).unwrap();
    let first = UnixStream::connect(&path).await.unwrap();
    let limit = Duration::from_millis(20);
    let second = timeout(limit, UnixStream::connect(&path)).await;
    log.push("second", second.is_ok());
    let connect = UnixStream::connect(&path);
    let accept = async {
        settle().await;
        listener.accept().await.unwrap()
    };
    let (third, (server, _)) = zip(connect, accept).await;
    log.result("third", third.map(drop));
    drop(first);
    read(&log, "end", &server).await;
}

pub(crate) async fn a_unix_listener_that_is_closed(log: Log) {
    let (listener, name) = Raw::bound_unix(Type::STREAM);
    log.call("listen", listener.listen(4));
    let listener = listener.watched();
    edges(&log, "empty", &listener).await;
    let [client, late] = [(); 2].map(|()| Raw::unix(Type::STREAM));
    log.call("connect", client.connect(&name));
    edges(&log, "listener", &listener).await;
    let client = client.watched();
    edges(&log, "client", &client).await;
    log.call("send", client.get_ref().send(b"unread"));
    drop(listener);
    edges(&log, "client", &client).await;
    let socket = client.get_ref();
    log.call("send", socket.send(b"x"));
    log.call("receive", socket.recv(9));
    log.call("receive", socket.recv(9));
    log.call("peer", socket.peer_addr().map(drop));
    log.call("connect", late.connect(&name));
}

pub(crate) async fn calls_on_unix_sockets_that_are_not_connected(log: Log) {
    let new = Raw::unix(Type::STREAM).watched();
    flags(&log, "new", &new).await;
    let (listener, name) = Raw::bound_unix(Type::STREAM);
    log.call("listen", listener.listen(1));
    log.call("listen again", listener.listen(2));
    let listener = listener.watched();
    flags(&log, "listener", &listener).await;
    for socket in [new.get_ref(), listener.get_ref()] {
        log.call("receive", socket.recv(1));
        log.call("send", socket.send(b"x"));
        log.call("peer", socket.peer_addr().map(drop));
        log.call("accept", socket.accept().map(drop));
        log.push("error", socket.take_error());
    }
    log.call("listen", new.get_ref().listen(1));
    log.call("connect", listener.get_ref().connect(&name));
    log.call("shutdown", new.get_ref().shutdown(Shutdown::Read));
    flags(&log, "new", &new).await;
}

pub(crate) async fn no_room_in_a_unix_stream(log: Log) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut sent = 0_usize;
    near.writable().await.unwrap();
    let full = loop {
        match near.try_write(&[7; 4_096]) {
            Ok(count) => sent += count,
            Err(error) => break error.kind(),
        }
    };
    log.push("full", full);
    let writable = timeout(Duration::from_millis(5), near.writable()).await;
    log.push("writable", writable.is_ok());
    let (mut received, mut buf) = (0, vec![0; 1 << 16]);
    let receive = async {
        while received < sent {
            received += far.read(&mut buf).await.unwrap();
        }
    };
    let (writable, ()) = zip(near.writable(), receive).await;
    log.result("writable", writable);
    log.push("all", received == sent);
    let bytes = vec![7; 1 << 20];
    let leave = async {
        far.readable().await.unwrap();
        drop(far);
    };
    let (written, ()) = zip(near.write_all(&bytes), leave).await;
    log.result("write", written);
}
