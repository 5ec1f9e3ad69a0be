//! TCP call by call: what connect(2), listen(2), shutdown(2) and the others answer in each state.

use std::net::Shutdown;

use crate::log::{Log, edges, flags, settle};
use crate::raw::{LOOPBACK, Raw, ip, ip_of};

fn loopback() -> wakeful::kernel::Address {
    ip("127.0.0.1:0".parse().unwrap())
}

pub(crate) async fn connect_again_after_a_refusal(log: Log) {
    for at in LOOPBACK {
        let (bound, to) = Raw::tcp_bound_to(at);
        let socket = Raw::tcp_for(&to);
        for _ in 0..2 {
            log.call("connect", socket.connect(&to));
            settle().await;
            log.call("outcome", socket.connect(&to));
        }
        bound.listen(1).unwrap();
        log.call("connect", socket.connect(&to));
        settle().await;
        log.call("connected", socket.connect(&to));
    }
}

pub(crate) async fn connect_again_after_the_error_was_taken(log: Log) {
    let (listener, to) = Raw::tcp_listener(1);
    drop(listener);
    let socket = Raw::tcp();
    log.call("connect", socket.connect(&to));
    settle().await;
    log.push("error", socket.take_error());
    log.push("error", socket.take_error());
    log.call("receive", socket.recv(1));
    log.call("outcome", socket.connect(&to));
    log.call("receive", socket.recv(1));
    log.call("send", socket.send(b"x"));
    log.call("connect", socket.connect(&to));
    settle().await;
    log.call("receive", socket.recv(1));
    log.call("receive", socket.recv(1));
}

pub(crate) async fn connect_twice(log: Log) {
    for at in LOOPBACK {
        let (listener, to) = Raw::tcp_listener_at(at, 1);
        let socket = Raw::tcp_for(&to);
        log.call("connect", socket.connect(&to));
        settle().await;
        log.call("connected", socket.connect(&to));
        log.call("again", socket.connect(&to));
        log.call("listen", socket.listen(1));
        log.call("accept", socket.accept().map(drop));
        log.call("bind", socket.bind(&ip(at.parse().unwrap())));
        let (accepted, _) = listener.accept().unwrap();
        log.call("accepted", accepted.connect(&to));
        log.call("listener", listener.connect(&to));
    }
}

pub(crate) async fn calls_after_a_reset(log: Log) {
    for at in LOOPBACK {
        let (listener, to) = Raw::tcp_listener_at(at, 1);
        let socket = Raw::tcp_for(&to).watched();
        log.call("connect", socket.get_ref().connect(&to));
        settle().await;
        log.call("connected", socket.get_ref().connect(&to));
        edges(&log, "open", &socket).await;
        listener.accept().unwrap().0.reset();
        edges(&log, "reset", &socket).await;
        let socket = socket.get_ref();
        let local = socket.local_addr().map(drop);
        log.call("local", local);
        log.call("peer", socket.peer_addr().map(drop));
        log.call("connect", socket.connect(&to));
        log.call("shutdown", socket.shutdown(Shutdown::Both));
        log.call("listen", socket.listen(1));
        log.push("error", socket.take_error());
        log.push("error", socket.take_error());
        log.call("receive", socket.recv(1));
        log.call("send", socket.send(b"x"));
    }
}

pub(crate) async fn a_reset_with_unread_bytes_on_both_sides(log: Log) {
    let (listener, to) = Raw::tcp_listener(1);
    let client = Raw::tcp().watched();
    log.call("connect", client.get_ref().connect(&to));
    settle().await;
    let (server, _) = listener.accept().unwrap();
    log.call("send", server.send(b"answer"));
    log.call("send", client.get_ref().send(b"unread"));
    settle().await;
    drop(server);
    flags(&log, "reset", &client).await;
    let client = client.get_ref();
    log.call("peek", client.peek());
    for _ in 0..3 {
        log.call("receive", client.recv(9));
    }
    log.call("send", client.send(b"x"));
}

pub(crate) async fn shut_down_a_listener(log: Log) {
    for at in LOOPBACK {
        let (listener, to) = Raw::tcp_listener_at(at, 4);
        let listener = listener.watched();
        log.call("write", listener.get_ref().shutdown(Shutdown::Write));
        let client = Raw::tcp_for(&to).watched();
        log.call("connect", client.get_ref().connect(&to));
        edges(&log, "listener", &listener).await;
        edges(&log, "client", &client).await;
        log.call("read", listener.get_ref().shutdown(Shutdown::Read));
        edges(&log, "listener", &listener).await;
        edges(&log, "client", &client).await;
        log.call("accept", listener.get_ref().accept().map(drop));
        log.call("receive", client.get_ref().recv(1));
        log.call("shutdown", listener.get_ref().shutdown(Shutdown::Both));
        let late = Raw::tcp_for(&to);
        log.call("connect", late.connect(&to));
        settle().await;
        log.push("error", late.take_error());
    }
}

pub(crate) async fn calls_on_a_new_socket(log: Log) {
    let socket = Raw::tcp().watched();
    flags(&log, "new", &socket).await;
    let socket = socket.get_ref();
    log.call("receive", socket.recv(1));
    log.call("peek", socket.peek());
    log.call("send", socket.send(b"x"));
    log.call("accept", socket.accept().map(drop));
    log.call("peer", socket.peer_addr().map(drop));
    log.push("local", ip_of(socket.local_addr()));
    log.push("error", socket.take_error());
    log.call("shutdown", socket.shutdown(Shutdown::Write));
    log.call("listen", socket.listen(3));
    log.call("listen again", socket.listen(1));
    let local = ip_of(socket.local_addr());
    log.push("local", (local.ip(), local.port() != 0));
    log.call("bind", socket.bind(&loopback()));
    log.call("accept", socket.accept().map(drop));
    log.call("receive", socket.recv(1));
    log.call("send", socket.send(b"x"));
    log.call("peer", socket.peer_addr().map(drop));
}

pub(crate) async fn connecting_to_a_full_queue(log: Log) {
    let (listener, to) = Raw::tcp_listener(0);
    let first = Raw::tcp();
    log.call("connect", first.connect(&to));
    settle().await;
    let second = Raw::tcp().watched();
    log.call("connect", second.get_ref().connect(&to));
    flags(&log, "connecting", &second).await;
    let socket = second.get_ref();
    log.call("connect", socket.connect(&to));
    log.call("receive", socket.recv(1));
    log.call("send", socket.send(b"x"));
    log.call("peer", socket.peer_addr().map(drop));
    log.call("listen", socket.listen(1));
    log.call("bind", socket.bind(&loopback()));
    log.call("shutdown", socket.shutdown(Shutdown::Write));
    flags(&log, "given up", &second).await;
    log.push("error", socket.take_error());
    log.call("connect", socket.connect(&to));
    log.call("accept", listener.accept().map(drop));
}

pub(crate) async fn a_client_that_leaves_while_it_connects(log: Log) {
    let (listener, to) = Raw::tcp_listener(0);
    let first = Raw::tcp();
    log.call("connect", first.connect(&to));
    settle().await;
    let second = Raw::tcp();
    log.call("connect", second.connect(&to));
    settle().await;
    drop(second);
    log.call("accept", listener.accept().map(drop));
    settle().await;
    log.call("accept", listener.accept().map(drop));
}

/// Binds and listens at an address, and closes the socket.
fn listen_at(to: &wakeful::kernel::Address, reuse: bool) -> Result<(), Option<i32>> {
    let socket = Raw::tcp();
    socket.options().set_reuse_address(reuse).unwrap();
    let listening = socket.bind(to).and_then(|()| socket.listen(1));
    listening.map_err(|error| error.raw_os_error())
}

pub(crate) async fn an_address_whose_connections_are_open(log: Log) {
    for (before, after) in [(false, false), (false, true), (true, false), (true, true)] {
        let listener = Raw::tcp();
        listener.options().set_reuse_address(before).unwrap();
        listener.bind(&loopback()).unwrap();
        listener.listen(1).unwrap();
        let to = listener.local_addr().unwrap();
        log.push("in use", listen_at(&to, after));
        let client = Raw::tcp();
        log.call("connect", client.connect(&to));
        settle().await;
        let (server, _) = listener.accept().unwrap();
        drop(listener);
        log.push("a connection is open", listen_at(&to, after));
        drop(server);
        settle().await;
        log.push("one side has closed", listen_at(&to, after));
        drop(client);
        settle().await;
        log.push("both have closed", listen_at(&to, after));
    }
}

pub(crate) async fn two_sockets_that_share_an_address(log: Log) {
    let [first, second, third] = [(); 3].map(|()| {
        let socket = Raw::tcp();
        socket.options().set_reuse_address(true).unwrap();
        socket
    });
    log.call("bind", first.bind(&loopback()));
    let address = first.local_addr().unwrap();
    log.call("bind", second.bind(&address));
    log.call("listen", first.listen(1));
    log.call("listen", second.listen(1));
    log.call("bind", third.bind(&address));
    let client = Raw::tcp();
    log.call("connect", client.connect(&address));
    settle().await;
    let local = client.local_addr().unwrap();
    log.call("a client's address", third.bind(&local));
}

pub(crate) async fn connect_to_itself(log: Log) {
    for at in LOOPBACK {
        let (socket, address) = Raw::tcp_bound_to(at);
        let socket = socket.watched();
        log.call("connect", socket.get_ref().connect(&address));
        flags(&log, "connected", &socket).await;
        let itself = socket.get_ref();
        let peer = ip_of(itself.peer_addr()) == ip_of(itself.local_addr());
        log.push("peer", peer);
        log.call("send", itself.send(b"bytes"));
        settle().await;
        log.call("receive", itself.recv(9));
        log.call("shutdown", itself.shutdown(Shutdown::Write));
        flags(&log, "ended", &socket).await;
        log.call("receive", itself.recv(9));
        log.call("peer", itself.peer_addr().map(drop));
    }
}

pub(crate) async fn shut_down_twice(log: Log) {
    for at in LOOPBACK {
        let (listener, to) = Raw::tcp_listener_at(at, 1);
        let client = Raw::tcp_for(&to).watched();
        log.call("connect", client.get_ref().connect(&to));
        edges(&log, "open", &client).await;
        let server = listener.accept().unwrap().0.watched();
        edges(&log, "accepted", &server).await;
        for _ in 0..2 {
            log.call("client", client.get_ref().shutdown(Shutdown::Write));
            edges(&log, "client", &client).await;
            edges(&log, "server", &server).await;
        }
        log.call("server", server.get_ref().shutdown(Shutdown::Write));
        edges(&log, "client", &client).await;
        edges(&log, "server", &server).await;
        log.call("client", client.get_ref().shutdown(Shutdown::Write));
        log.call("server", server.get_ref().shutdown(Shutdown::Both));
        log.call("client", client.get_ref().connect(&to));
    }
}

pub(crate) async fn edges_of_bytes_and_the_end(log: Log) {
    let (listener, to) = Raw::tcp_listener(1);
    let client = Raw::tcp().watched();
    log.call("connect", client.get_ref().connect(&to));
    edges(&log, "open", &client).await;
    let (server, _) = listener.accept().unwrap();
    for bytes in [b"abc", b"def"] {
        log.call("send", server.send(bytes));
        edges(&log, "bytes", &client).await;
    }
    log.call("receive", client.get_ref().recv(4));
    edges(&log, "nothing new", &client).await;
    log.call("send", server.send(b"ghi"));
    drop(server);
    edges(&log, "the end behind bytes", &client).await;
    log.call("peek", client.get_ref().peek());
    log.call("receive", client.get_ref().recv(9));
    log.call("peek", client.get_ref().peek());
    log.call("receive", client.get_ref().recv(9));
}

pub(crate) async fn transfers_of_no_bytes(log: Log) {
    let (listener, to) = Raw::tcp_listener(1);
    let client = Raw::tcp();
    log.call("connect", client.connect(&to));
    settle().await;
    let (server, _) = listener.accept().unwrap();
    log.call("receive none", client.recv(0));
    log.call("send none", server.send(b""));
    log.call("send", server.send(b"abc"));
    settle().await;
    log.call("receive none", client.recv(0));
    log.call("receive", client.recv(9));
    log.call("shutdown", server.shutdown(Shutdown::Write));
    log.call("send none", server.send(b""));
    settle().await;
    log.call("receive none", client.recv(0));
}

pub(crate) async fn connections_are_accepted_in_order(log: Log) {
    let (listener, to) = Raw::tcp_listener(8);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let client = Raw::tcp();
        log.call("connect", client.connect(&to));
        settle().await;
        clients.push(client);
    }
    drop(clients.remove(1));
    settle().await;
    for _ in 0..4 {
        let (_, peer) = listener.accept().unwrap();
        let is_peer = |client: &Raw| ip_of(client.local_addr()) == ip_of(Ok(peer.clone()));
        log.push("accepted", clients.iter().position(is_peer));
    }
    log.call("accept", listener.accept().map(drop));
}

pub(crate) async fn edges_of_a_listener(log: Log) {
    let (listener, to) = Raw::tcp_listener(8);
    let listener = listener.watched();
    edges(&log, "empty", &listener).await;
    let clients = [(); 3].map(|()| Raw::tcp());
    for client in &clients {
        log.call("connect", client.connect(&to));
        edges(&log, "a connection", &listener).await;
    }
    log.call("accept", listener.get_ref().accept().map(drop));
    edges(&log, "nothing new", &listener).await;
    drop(clients);
    edges(&log, "the clients have left", &listener).await;
    for _ in 0..3 {
        log.call("accept", listener.get_ref().accept().map(drop));
    }
}

pub(crate) async fn an_error_after_the_end(log: Log) {
    let (listener, to) = Raw::tcp_listener(1);
    let client = Raw::tcp().watched();
    log.call("connect", client.get_ref().connect(&to));
    settle().await;
    drop(listener.accept().unwrap());
    edges(&log, "the end", &client).await;
    log.call("send", client.get_ref().send(b"x"));
    edges(&log, "reset", &client).await;
    log.call("receive", client.get_ref().recv(9));
    log.call("peek", client.get_ref().peek());
    log.push("error", client.get_ref().take_error());
    log.call("send", client.get_ref().send(b"x"));
}
