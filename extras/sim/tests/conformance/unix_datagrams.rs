//! Unix datagrams.

use std::net::Shutdown;
use std::time::Duration;

use futures_lite::future::zip;
use socket2::Type;
use wakeful::kernel::Address;
use wakeful::time::timeout;
use wakeful_net::UnixDatagram;

use crate::log::{Log, edges, flags, settle};
use crate::raw::{Raw, new_name, path_of};

fn named(address: &Address) -> bool {
    matches!(address, Address::Unix(unix) if !unix.is_unnamed())
}

fn datagram() -> Raw {
    Raw::unix(Type::DGRAM)
}

pub(crate) async fn unix_datagrams_and_their_senders(log: Log) {
    let (server_path, client_path) = (path_of(&new_name()), path_of(&new_name()));
    let server = UnixDatagram::bind(&server_path).unwrap();
    let client = UnixDatagram::bind(&client_path).unwrap();
    let unnamed = UnixDatagram::unbound().unwrap();
    let mut buf = [0; 9];
    log.result("send", client.send_to(b"named", &server_path).await);
    let (count, peer) = server.recv_from(&mut buf).await.unwrap();
    let is_client = peer.as_abstract_name() == client_path.as_bytes().get(1..);
    log.push("received", (count, is_client));
    log.result("answer", server.send_to_addr(b"answer", &peer).await);
    log.result("received", client.recv(&mut buf).await);
    log.result(
        "send",
        unnamed.send_to(b"unnamed and long", &server_path).await,
    );
    let (count, peer) = server.recv_from(&mut buf).await.unwrap();
    log.push("received", (count, peer.is_unnamed()));
    log.result("empty", unnamed.send_to(b"", &server_path).await);
    log.result("received", server.recv(&mut buf).await);
    log.result("left", server.try_recv(&mut buf));
    log.push("local", unnamed.local_addr().unwrap().is_unnamed());
    log.result("peer", client.peer_addr().map(drop));
    let unknown = path_of(&new_name());
    log.result("unknown", client.send_to(b"x", &unknown).await);
    log.result("no file", client.send_to(b"x", "/nonexistent/x").await);
}

pub(crate) async fn a_receiver_of_unix_datagrams_that_is_full(log: Log) {
    let (receiver, name) = Raw::bound_unix(Type::DGRAM);
    let unconnected = datagram();
    let connected = datagram();
    log.call("connect", connected.connect(&name));
    let connected = connected.watched();
    edges(&log, "connected", &connected).await;
    let mut sent = 0;
    while sent < 100 {
        match unconnected.send_to(b"x", &name) {
            Ok(_) => sent += 1,
            // A fault looks the same, and is not repeated so often.
            Err(_)
                if [(); 9]
                    .iter()
                    .all(|()| unconnected.send_to(b"x", &name).is_err()) =>
            {
                break;
            }
            Err(_) => sent += 1,
        }
    }
    log.push("sent", sent);
    log.call("unconnected", unconnected.send_to(b"y", &name));
    log.call("connected", connected.get_ref().send(b"y"));
    edges(&log, "no room", &connected).await;
    log.call("receive", receiver.recv(9));
    edges(&log, "room", &connected).await;
    log.call("connected", connected.get_ref().send(b"y"));
    log.call("connected", connected.get_ref().send(b"y"));
    drop(receiver);
    edges(&log, "closed", &connected).await;
    log.call("connected", connected.get_ref().send(b"y"));
    log.call("connected", connected.get_ref().send(b"y"));
    log.call("unconnected", unconnected.send_to(b"y", &name));
}

pub(crate) async fn senders_that_wait_for_a_full_receiver(log: Log) {
    let path = path_of(&new_name());
    let receiver = UnixDatagram::bind(&path).unwrap();
    let unconnected = UnixDatagram::unbound().unwrap();
    let connected = UnixDatagram::unbound().unwrap();
    connected.connect(&path).unwrap();
    let count = 50;
    let send = async {
        for _ in 0..count {
            unconnected.send_to(b"unconnected", &path).await.unwrap();
            connected.send(b"connected").await.unwrap();
        }
    };
    let receive = async {
        let mut all = 0;
        while all < 2 * count {
            receiver.recv(&mut [0; 16]).await.unwrap();
            all += 1;
        }
        all
    };
    let both = timeout(Duration::from_secs(20), zip(send, receive)).await;
    log.push("received", both.map(|((), all)| all).ok());
}

pub(crate) async fn a_unix_receiver_with_a_peer(log: Log) {
    let (receiver, name) = Raw::bound_unix(Type::DGRAM);
    let (peer, peer_name) = Raw::bound_unix(Type::DGRAM);
    let unconnected = datagram();
    log.call("connect", unconnected.connect(&name));
    log.call("send", unconnected.send(b"before"));
    log.call("connect", receiver.connect(&peer_name));
    log.call("receive", receiver.recv(9));
    log.call("send", unconnected.send(b"x"));
    log.call("send to", unconnected.send_to(b"x", &name));
    log.call("connect", datagram().connect(&name));
    log.call("connect", peer.connect(&name));
    log.call("send", peer.send(b"peer"));
    let received = receiver.recv_from();
    log.call(
        "receive",
        received.map(|(count, from)| (count, named(&from))),
    );
    log.call("a stream", Raw::unix(Type::STREAM).connect(&name));
    // A new peer: what the old one has sent is dropped, and it gets an error.
    let (_other, other_name) = Raw::bound_unix(Type::DGRAM);
    log.call("send", peer.send(b"dropped"));
    log.call("connect", receiver.connect(&other_name));
    log.call("receive", receiver.recv(9));
    log.push("error", peer.take_error());
    log.call("send", peer.send(b"x"));
}

pub(crate) async fn a_unix_datagram_peer_that_has_closed(log: Log) {
    let (near, far) = Raw::unix_pair(Type::DGRAM);
    let near = near.watched();
    log.call("send", far.send(b"last"));
    log.call("send", near.get_ref().send(b"lost"));
    drop(far);
    flags(&log, "closed", &near).await;
    let socket = near.get_ref();
    log.call("receive", socket.recv(9));
    log.call("receive", socket.recv(9));
    log.call("peer", socket.peer_addr().map(drop));
    log.call("send", socket.send(b"x"));
    log.call("send", socket.send(b"x"));
    log.call("peer", socket.peer_addr().map(drop));
    log.push("error", socket.take_error());
}

pub(crate) async fn unix_datagrams_that_are_shut_down(log: Log) {
    for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
        let (near, far) = Raw::unix_pair(Type::DGRAM);
        let (near, far) = (near.watched(), far.watched());
        log.call("send", far.get_ref().send(b"before"));
        log.call("shutdown", near.get_ref().shutdown(how));
        flags(&log, "near", &near).await;
        flags(&log, "far", &far).await;
        for socket in [near.get_ref(), far.get_ref()] {
            log.call("send", socket.send(b"later"));
            log.call("receive", socket.recv(9));
            log.call("receive", socket.recv(9));
        }
    }
}

pub(crate) async fn unix_datagrams_that_are_too_long(log: Log) {
    let (near, far) = Raw::unix_pair(Type::DGRAM);
    let size = near.options().send_buffer_size().unwrap();
    log.push("size", size);
    for len in [size - 31, size, 2 * size] {
        log.call("send", near.send(&vec![7; len]));
    }
    log.call("send", near.send(&vec![b'x'; size - 32]));
    log.call("send", near.send(b"x"));
    log.call("receive", far.recv(size).map(|bytes| bytes.len()));
    log.call("send", near.send(b"x"));
    log.call("receive", far.recv(size));
}

pub(crate) async fn no_room_in_a_unix_datagram_pair(log: Log) {
    let (near, far) = UnixDatagram::pair().unwrap();
    let bytes = [7; 1_000];
    let mut sent = 0;
    while let Ok(Ok(_)) = timeout(Duration::from_millis(20), near.send(&bytes)).await {
        sent += 1;
    }
    // More than fit into the queue of a receiver that is not connected.
    log.push("sent", sent > 11);
    let mut received = 0;
    let receive = async {
        while received < sent {
            far.recv(&mut [0; 1_000]).await.unwrap();
            received += 1;
        }
    };
    let (written, ()) = zip(near.send(b"one more"), receive).await;
    log.result("send", written);
    let mut buf = [0; 16];
    log.result("received", far.recv(&mut buf).await);
    settle().await;
    log.result("left", far.try_recv(&mut buf));
}

pub(crate) async fn calls_on_a_new_unix_datagram_socket(log: Log) {
    let socket = datagram().watched();
    flags(&log, "new", &socket).await;
    let new = socket.get_ref();
    log.call("receive", new.recv(1));
    log.call("send", new.send(b"x"));
    log.call("send to", new.send_to(b"x", &new_name()));
    log.call("connect", new.connect(&new_name()));
    log.call("listen", new.listen(1));
    log.call("accept", new.accept().map(drop));
    log.call("peer", new.peer_addr().map(drop));
    let name = new_name();
    log.call("bind", new.bind(&name));
    log.call("bind", new.bind(&new_name()));
    log.call("in use", datagram().bind(&name));
    log.call("to itself", new.send_to(b"itself", &name));
    log.call("receive", new.recv(9));
    log.call("local", new.local_addr().map(|at| named(&at)));
}
