//! UDP.

use std::io;
use std::net::{Shutdown, SocketAddr};

use wakeful_net::UdpSocket;

use crate::log::{Log, edges, flags, settle};
use crate::raw::{Raw, ip, ip_of};

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Logs the next datagram, and whether `from` has sent it.
async fn log_next(log: &Log, what: &str, socket: &UdpSocket, from: SocketAddr) {
    let mut buf = [0; 64];
    let received = socket.recv_from(&mut buf).await;
    let text = |count: usize| String::from_utf8_lossy(&buf[..count]).into_owned();
    log.result(
        what,
        received.map(|(count, peer)| (text(count), peer == from)),
    );
}

/// Logs whether nothing is left.
fn log_empty(log: &Log, socket: &UdpSocket) {
    let left = socket.try_recv(&mut [0; 64]);
    log.result("left", left);
}

pub(crate) async fn datagrams_and_their_answers(log: Log) {
    let (server, to) = bound().await;
    let client = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let port = client.local_addr().unwrap().port();
    log.push("local", client.local_addr().unwrap().ip());
    let from = SocketAddr::from(([127, 0, 0, 1], port));
    log.result("send", client.send_to(b"question", to).await);
    log_next(&log, "server", &server, from).await;
    log.result("send", server.send_to(b"answer", from).await);
    log_next(&log, "client", &client, to).await;
    log.result("peer", client.peer_addr().map(drop));
    log.result("to itself", client.send_to(b"itself", from).await);
    log_next(&log, "client", &client, from).await;
    log_empty(&log, &server);
}

pub(crate) async fn datagrams_keep_their_boundaries_and_order(log: Log) {
    let (server, to) = bound().await;
    let (client, from) = bound().await;
    for bytes in [&b"one"[..], b"", b"three", b"cut short"] {
        log.result("send", client.send_to(bytes, to).await);
    }
    settle().await;
    for _ in 0..3 {
        log_next(&log, "received", &server, from).await;
    }
    log.result("cut", server.recv(&mut [0; 3]).await);
    log_empty(&log, &server);
    log.result("send", client.send_to(b"lost", to).await);
    settle().await;
    log.result("into nothing", server.recv(&mut []).await);
    log_empty(&log, &server);
}

pub(crate) async fn a_connected_socket(log: Log) {
    let (server, to) = bound().await;
    let (other, other_address) = bound().await;
    let client = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    log.result(
        "send",
        client
            .send(b"x")
            .await
            .map_err(|_| io::ErrorKind::Other.into()),
    );
    client.connect(to).await.unwrap();
    let from = client.local_addr().unwrap();
    log.push("addresses", (from.ip(), client.peer_addr().unwrap() == to));
    log.result("other", other.send_to(b"other", from).await);
    log.result("send", client.send(b"connected").await);
    log_next(&log, "server", &server, from).await;
    log.result("answer", server.send_to(b"answer", from).await);
    log.result("to another", client.send_to(b"aside", other_address).await);
    log_next(&log, "other", &other, from).await;
    let mut buf = [0; 64];
    log.result("received", client.recv(&mut buf).await);
    log_empty(&log, &client);
    client.connect(other_address).await.unwrap();
    log.result("send", client.send(b"new peer").await);
    log_next(&log, "other", &other, from).await;
    log.result("old peer", server.send_to(b"late", from).await);
    settle().await;
    log_empty(&log, &client);
}

pub(crate) async fn a_peer_that_has_closed(log: Log) {
    let (server, to) = Raw::bound_udp();
    let client = Raw::udp();
    log.call("connect", client.connect(&to));
    let client = client.watched();
    log.call(
        "send",
        server.send_to(b"data", &client.get_ref().local_addr().unwrap()),
    );
    settle().await;
    drop(server);
    log.call("send", client.get_ref().send(b"1"));
    flags(&log, "refused", &client).await;
    let socket = client.get_ref();
    log.call("receive", socket.recv(9));
    log.call("receive", socket.recv(9));
    log.call("receive", socket.recv(9));
    for _ in 0..3 {
        log.call("send", socket.send(b"2"));
        settle().await;
    }
    log.push("error", socket.take_error());
    log.push("error", socket.take_error());
    log.call("peer", socket.peer_addr().map(drop));
    let unconnected = Raw::udp();
    log.call("send", unconnected.send_to(b"3", &to));
    settle().await;
    log.push("error", unconnected.take_error());
    log.call("receive", unconnected.recv(9));
    let again = Raw::udp();
    log.call("bind", again.bind(&to));
    log.call("send", socket.send(b"again"));
    settle().await;
    log.call("receive", again.recv(9));
}

pub(crate) async fn datagrams_that_are_too_long(log: Log) {
    let (server, to) = Raw::bound_udp();
    let client = Raw::udp();
    for len in [65_507, 65_508, 65_536, 400_000] {
        log.call("send", client.send_to(&vec![b'x'; len], &to));
    }
    settle().await;
    log.call("receive", server.recv(70_000).map(|bytes| bytes.len()));
    log.call("receive", server.recv(70_000).map(|bytes| bytes.len()));
    let server = Raw::new(socket2::Domain::IPV6, socket2::Type::DGRAM);
    log.call("bind", server.bind(&ip("[::1]:0".parse().unwrap())));
    let to = server.local_addr().unwrap();
    let client = Raw::new(socket2::Domain::IPV6, socket2::Type::DGRAM);
    for len in [65_527, 65_528] {
        log.call("send", client.send_to(&vec![b'x'; len], &to));
    }
    settle().await;
    log.call("receive", server.recv(70_000).map(|bytes| bytes.len()));
}

pub(crate) async fn ports_of_udp(log: Log) {
    let (socket, address) = Raw::bound_udp();
    let port = ip_of(Ok(address.clone())).port();
    let all = ip(SocketAddr::from(([0, 0, 0, 0], port)));
    log.push("port", port != 0);
    log.call("in use", Raw::udp().bind(&address));
    log.call("one of all", Raw::udp().bind(&all));
    log.call("twice", socket.bind(&address));
    // TCP has ports of its own. Another program can have one of them.
    let tcp = (0..20).any(|_| {
        let (_udp, address) = Raw::bound_udp();
        Raw::tcp().bind(&address).is_ok()
    });
    log.push("tcp", tcp);
    let reuse = Raw::udp();
    reuse.options().set_reuse_address(true).unwrap();
    log.call("only one has SO_REUSEADDR", reuse.bind(&address));
    let second = Raw::udp();
    second.options().set_reuse_address(true).unwrap();
    log.call("bind", reuse.bind(&ip("127.0.0.1:0".parse().unwrap())));
    log.call("both have it", second.bind(&reuse.local_addr().unwrap()));
    drop(socket);
    log.call("free", Raw::udp().bind(&address));
}

pub(crate) async fn calls_on_a_new_socket_of_udp(log: Log) {
    let socket = Raw::udp().watched();
    flags(&log, "new", &socket).await;
    let new = socket.get_ref();
    log.push("local", ip_of(new.local_addr()));
    log.call("peer", new.peer_addr().map(drop));
    log.call("send", new.send(b"x"));
    log.call("receive", new.recv(9));
    log.call("peek", new.peek());
    log.call("listen", new.listen(1));
    log.call("accept", new.accept().map(drop));
    log.call("shutdown", new.shutdown(Shutdown::Write));
    let port_0 = ip("127.0.0.1:0".parse().unwrap());
    log.call("port 0", new.send_to(b"x", &port_0));
    // It has failed, and still takes effect.
    let (_server, to) = Raw::bound_udp();
    log.call("send to", new.send_to(b"x", &to));
}

pub(crate) async fn a_socket_of_udp_that_is_shut_down(log: Log) {
    let (server, to) = Raw::bound_udp();
    let client = Raw::udp();
    log.call("connect", client.connect(&to));
    let client = client.watched();
    log.call("read", client.get_ref().shutdown(Shutdown::Read));
    flags(&log, "read", &client).await;
    log.call("receive", client.get_ref().recv(9));
    let from = client.get_ref().local_addr().unwrap();
    log.call("send", server.send_to(b"later", &from));
    settle().await;
    log.call("receive", client.get_ref().recv(9));
    log.call("send", client.get_ref().send(b"x"));
    log.call("write", client.get_ref().shutdown(Shutdown::Write));
    flags(&log, "both", &client).await;
    log.call("send", client.get_ref().send(b"x"));
    log.call("send to", client.get_ref().send_to(b"x", &to));
}

pub(crate) async fn a_receiver_whose_buffer_is_full(log: Log) {
    let (server, to) = bound().await;
    let (client, _) = bound().await;
    for number in 0..2_000_u32 {
        let mut bytes = [7; 1_000];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        client.send_to(&bytes, to).await.unwrap();
    }
    settle().await;
    let mut received = Vec::new();
    let mut buf = [0; 1_000];
    while received.len() < 2_000 {
        let mut left = server.try_recv(&mut buf);
        for _ in 0..20 {
            if left.is_err() {
                settle().await;
                left = server.try_recv(&mut buf);
            }
        }
        if left.is_err() {
            break;
        }
        received.push(u32::from_ne_bytes(*buf.first_chunk().unwrap()));
    }
    log.push("some", !received.is_empty());
    log.push("all", received.len() == 2_000);
    log.push(
        "the first ones",
        received.iter().copied().eq(0..received.len() as u32),
    );
}

pub(crate) async fn peeking_at_datagrams(log: Log) {
    let (server, to) = bound().await;
    let (client, from) = bound().await;
    log.result("send", client.send_to(b"first", to).await);
    log.result("send", client.send_to(b"second", to).await);
    let mut buf = [0; 3];
    log.result("peek", server.peek(&mut buf).await);
    log.push("bytes", buf);
    let peeked = server.peek_from(&mut [0; 9]).await;
    log.result("peek", peeked.map(|(count, peer)| (count, peer == from)));
    log.result(
        "sender",
        server.peek_sender().await.map(|peer| peer == from),
    );
    log_next(&log, "received", &server, from).await;
    log_next(&log, "received", &server, from).await;
}

pub(crate) async fn udp_of_both_families(log: Log) {
    let server = UdpSocket::bind("[::]:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    let (client, from) = bound().await;
    log.result("send", client.send_to(b"v4", ("127.0.0.1", port)).await);
    let mut buf = [0; 9];
    let (count, peer) = server.recv_from(&mut buf).await.unwrap();
    log.push("received", (count, peer.ip(), peer.port() == from.port()));
    log.result("answer", server.send_to(b"answer", peer).await);
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    log_next(&log, "client", &client, to).await;
    let v6 = UdpSocket::bind("[::1]:0").await.unwrap();
    log.result("send", v6.send_to(b"v6", ("::1", port)).await);
    let (count, peer) = server.recv_from(&mut buf).await.unwrap();
    log.push("received", (count, peer.ip()));
    let in_use = Raw::udp().bind(&ip(SocketAddr::from(([0, 0, 0, 0], port))));
    log.call("in use", in_use);
}

pub(crate) async fn a_socket_that_is_connected_later(log: Log) {
    let (server, to) = bound().await;
    let (client, from) = bound().await;
    let (other, _) = bound().await;
    log.result("send", other.send_to(b"before", from).await);
    settle().await;
    client.connect(to).await.unwrap();
    log.result("send", other.send_to(b"after", from).await);
    log.result("send", server.send_to(b"peer", from).await);
    settle().await;
    let mut buf = [0; 9];
    log.result("kept", client.recv(&mut buf).await);
    log.result("peer", client.recv(&mut buf).await);
    log_empty(&log, &client);
}

pub(crate) async fn segments_and_control_data(log: Log) {
    let (server, to) = bound().await;
    let (client, from) = bound().await;
    let local = Some(from.ip());
    let sent = client.send_segments(&[7; 2_500], 1_000, to, local).await;
    log.result("segments", sent);
    settle().await;
    let mut buf = [0; 4_000];
    for _ in 0..3 {
        log.result("received", server.recv(&mut buf).await);
    }
    log_empty(&log, &server);
    log.result("message", client.send_msg(b"abc", to, local).await);
    let received = server.recv_msg(&mut buf).await.unwrap();
    log.push("sender", received.peer == from);
}

pub(crate) async fn edges_of_datagrams(log: Log) {
    let (server, to) = Raw::bound_udp();
    let server = server.watched();
    edges(&log, "empty", &server).await;
    let client = Raw::udp();
    for bytes in [&b"one"[..], b"", b"three"] {
        log.call("send", client.send_to(bytes, &to));
        edges(&log, "a datagram", &server).await;
    }
    log.call("receive", server.get_ref().recv(9));
    edges(&log, "nothing new", &server).await;
    log.call("peek", server.get_ref().peek());
    log.call("receive", server.get_ref().recv(9));
    log.call("receive", server.get_ref().recv(9));
    log.call("receive", server.get_ref().recv(9));
    log.call("send", client.send_to(b"later", &to));
    edges(&log, "a datagram", &server).await;
}
