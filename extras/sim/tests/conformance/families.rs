//! IPv4 and IPv6: addresses, and sockets that have both.

use std::net::SocketAddr;

use socket2::{Domain, Type};
use wakeful::kernel::Address;
use wakeful_net::{TcpListener, TcpSocket, TcpStream};

use crate::log::{Log, read, settle, write};
use crate::raw::{Raw, ip, ip_of};

fn at(host: &str, port: u16) -> Address {
    ip(SocketAddr::new(host.parse().unwrap(), port))
}

/// Logs an address without its port.
fn log_ip(log: &Log, what: &str, address: std::io::Result<Address>) {
    log.push(what, ip_of(address).ip());
}

/// Connects to an address, and logs the outcome.
async fn connect(log: &Log, what: &str, client: Raw, to: Address) -> Raw {
    log.call(what, client.connect(&to));
    settle().await;
    log.push("error", client.take_error());
    log_ip(log, "local", client.local_addr());
    log.call("peer", client.peer_addr().map(|to| ip_of(Ok(to)).ip()));
    client
}

pub(crate) async fn streams_of_ipv6(log: Log) {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    log.push("peer", peer == client.local_addr().unwrap());
    log.push("ip", (address.ip(), peer.ip()));
    write(&log, "write", &client).await;
    settle().await;
    read(&log, "read", &server).await;
    drop(client);
    read(&log, "end", &server).await;
    log.push(
        "unbound",
        TcpSocket::new_v6().unwrap().local_addr().unwrap(),
    );
    let refused = TcpStream::connect(("::1", 1)).await;
    log.result("refused", refused.map(drop));
}

pub(crate) async fn all_addresses_of_loopback(log: Log) {
    let listener = Raw::tcp();
    listener.bind(&at("0.0.0.0", 0)).unwrap();
    listener.listen(8).unwrap();
    let port = ip_of(listener.local_addr()).port();
    for host in ["127.0.0.1", "127.0.0.5", "0.0.0.0"] {
        let client = connect(&log, host, Raw::tcp(), at(host, port)).await;
        let (server, peer) = listener.accept().unwrap();
        log_ip(&log, "server", server.local_addr());
        log_ip(&log, "accepted", Ok(peer));
        drop(client);
    }
    let bound = Raw::tcp();
    bound.bind(&at("0.0.0.0", 0)).unwrap();
    connect(&log, "bound to all", bound, at("127.0.0.1", port)).await;
    let bound = Raw::tcp();
    bound.bind(&at("127.0.0.9", 0)).unwrap();
    connect(&log, "bound to one", bound, at("127.0.0.1", port)).await;
}

pub(crate) async fn a_listener_of_both_families(log: Log) {
    let listener = Raw::tcp_v6();
    log.call("bind", listener.bind(&at("::", 0)));
    log.call("listen", listener.listen(8));
    log_ip(&log, "local", listener.local_addr());
    let port = ip_of(listener.local_addr()).port();
    let mapped = "::ffff:127.0.0.1";
    let clients = [
        ("127.0.0.1", Raw::tcp()),
        ("::1", Raw::tcp_v6()),
        ("::", Raw::tcp_v6()),
        (mapped, Raw::tcp_v6()),
    ];
    for (host, client) in clients {
        let client = connect(&log, host, client, at(host, port)).await;
        let (server, peer) = listener.accept().unwrap();
        log_ip(&log, "server", server.local_addr());
        log_ip(&log, "accepted", Ok(peer));
        log.call("peer", server.peer_addr().map(|to| ip_of(Ok(to)).ip()));
        drop(client);
    }
    for (host, socket) in [
        ("0.0.0.0", Raw::tcp()),
        ("127.0.0.1", Raw::tcp()),
        ("::1", Raw::tcp_v6()),
    ] {
        log.call(host, socket.bind(&at(host, port)));
    }
}

pub(crate) async fn a_listener_of_ipv4_only(log: Log) {
    let listener = Raw::tcp();
    listener.bind(&at("0.0.0.0", 0)).unwrap();
    listener.listen(8).unwrap();
    let port = ip_of(listener.local_addr()).port();
    connect(&log, "::1", Raw::tcp_v6(), at("::1", port)).await;
    let mapped = "::ffff:127.0.0.1";
    connect(&log, mapped, Raw::tcp_v6(), at(mapped, port)).await;
    log.call("all of IPv6", Raw::tcp_v6().bind(&at("::", port)));
    log.call("one of IPv6", Raw::tcp_v6().bind(&at("::1", port)));
}

pub(crate) async fn a_listener_of_ipv6_only(log: Log) {
    let only_v6 = |socket: Raw| {
        socket.options().set_only_v6(true).unwrap();
        socket
    };
    let listener = only_v6(Raw::tcp_v6());
    log.call("bind", listener.bind(&at("::", 0)));
    log.call("listen", listener.listen(8));
    log_ip(&log, "local", listener.local_addr());
    let port = ip_of(listener.local_addr()).port();
    let mapped = "::ffff:127.0.0.1";
    connect(&log, "127.0.0.1", Raw::tcp(), at("127.0.0.1", port)).await;
    connect(&log, mapped, Raw::tcp_v6(), at(mapped, port)).await;
    connect(&log, "::1", only_v6(Raw::tcp_v6()), at("::1", port)).await;
    log.call("accept", listener.accept().map(drop));
    let of_ipv4 = Raw::tcp();
    log.call("all of IPv4", of_ipv4.bind(&at("0.0.0.0", port)));
    log.call("listen", of_ipv4.listen(8));
    log.call("all of both", Raw::tcp_v6().bind(&at("::", port)));
    let kinds = [Type::STREAM, Type::DGRAM];
    for kind in kinds {
        let socket = only_v6(Raw::new(Domain::IPV6, kind));
        log.call("bind to IPv4", socket.bind(&at(mapped, 0)));
        log.call("connect to IPv4", socket.connect(&at(mapped, port)));
    }
    let datagrams = only_v6(Raw::new(Domain::IPV6, Type::DGRAM));
    log.call("send to IPv4", datagrams.send_to(b"x", &at(mapped, port)));
}

pub(crate) async fn an_address_of_another_family(log: Log) {
    for kind in [Type::STREAM, Type::DGRAM] {
        for (domain, host) in [(Domain::IPV4, "::1"), (Domain::IPV6, "127.0.0.1")] {
            let socket = Raw::new(domain, kind);
            log.call("bind", socket.bind(&at(host, 0)));
            // A datagram socket of IPv6 can be connected to IPv4.
            if kind == Type::STREAM || domain == Domain::IPV4 {
                log.call("connect", socket.connect(&at(host, 1)));
            }
        }
    }
    let socket = Raw::tcp();
    socket.bind(&at("127.0.0.1", 0)).unwrap();
    log.call("bind again", socket.bind(&at("::1", 0)));
    log.call("bind again", socket.bind(&at("127.0.0.1", 0)));
}

pub(crate) async fn another_family_after_a_refusal(log: Log) {
    let listener = Raw::tcp();
    listener.bind(&at("0.0.0.0", 0)).unwrap();
    listener.listen(8).unwrap();
    let port = ip_of(listener.local_addr()).port();
    let client = Raw::tcp_v6();
    log.call("::1", client.connect(&at("::1", port)));
    settle().await;
    log.call("outcome", client.connect(&at("::1", port)));
    connect(&log, "mapped", client, at("::ffff:127.0.0.1", port)).await;
}
