//! `udp://` with clients that send several datagrams in one call, or receive them so, and with clients
//! that do not: every datagram comes back with its size, to its sender, from the address that was asked.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::{IpAddr, SocketAddr};
use std::thread;

use rustix::process::Signal;
use support::*;
use wakeful::time::timeout;
use wakeful_net::UdpSocket;

/// How a client sends and receives.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// Datagrams of one size leave in one call.
    gso: bool,
    /// Several are received in one call.
    gro: bool,
    /// Datagrams in flight.
    window: usize,
}

/// All combinations, with windows of 1 and 32.
fn styles() -> impl Iterator<Item = Style> {
    (0..8).map(|bits| Style {
        gso: bits & 1 != 0,
        gro: bits & 2 != 0,
        window: if bits & 4 != 0 { 32 } else { 1 },
    })
}

/// Returns where to reach the server at its address with this index, by this IP address.
fn target(server: &Server, index: usize, ip: &str) -> SocketAddr {
    let name = server.names[index].strip_prefix("udp://").unwrap();
    let bound: SocketAddr = name.parse().unwrap();
    SocketAddr::new(ip.parse().unwrap(), bound.port())
}

/// A client of one address of the server.
struct Client {
    socket: UdpSocket,
    target: SocketAddr,
    style: Style,
}

impl Client {
    async fn new(target: SocketAddr, style: Style) -> Client {
        let any: IpAddr = if target.is_ipv4() {
            "127.0.0.1".parse().unwrap()
        } else {
            "::1".parse().unwrap()
        };
        let socket = UdpSocket::bind((any, 0)).await.unwrap();
        // Connected, so it receives from the address that it asked only.
        socket.connect(target).await.unwrap();
        socket.set_gro(style.gro).unwrap();
        Client {
            socket,
            target,
            style,
        }
    }

    /// Sends these datagrams: each run of one size, with the shorter one after it, in one call.
    async fn send(&self, datagrams: &[Vec<u8>]) {
        let mut rest = datagrams;
        while let Some(first) = rest.first() {
            let size = first.len();
            let same = rest.iter().take_while(|one| one.len() == size).count();
            let shorter = rest
                .get(same)
                .is_some_and(|one| (1..size).contains(&one.len()));
            let fits = (65_507 / size.max(1)).clamp(1, 64);
            let count = match self.style.gso && size > 0 {
                true => (same + usize::from(shorter)).min(fits),
                false => 1,
            };
            let bytes = rest[..count].concat();
            let sent = self
                .socket
                .send_segments(&bytes, size.max(1), self.target, None);
            assert_eq!(sent.await.unwrap(), bytes.len());
            rest = &rest[count..];
        }
    }

    /// Receives as many datagrams as were sent, and compares them.
    async fn expect(&self, datagrams: &[Vec<u8>]) {
        let mut buffer = vec![0; 65_535];
        let mut number = 0;
        while number < datagrams.len() {
            let received = timeout(DEADLINE, self.socket.recv_msg(&mut buffer)).await;
            let Ok(received) = received else {
                panic!("no answer for datagram {number}: {:?}", self.style);
            };
            let meta = received.unwrap();
            assert_eq!((meta.peer, meta.truncated), (self.target, false));
            for datagram in meta.segments(&buffer) {
                let expected = &datagrams[number];
                assert_eq!(datagram.len(), expected.len(), "{:?}", self.style);
                assert!(datagram == &expected[..], "{number}, {:?}", self.style);
                number += 1;
            }
        }
    }

    /// Sends all datagrams, a window of them at a time, and expects each back.
    async fn exchange(&self, datagrams: &[Vec<u8>]) {
        for window in datagrams.chunks(self.style.window) {
            self.send(window).await;
            self.expect(window).await;
        }
    }
}

/// Datagrams of these sizes, each with bytes of its own.
fn datagrams(sizes: impl IntoIterator<Item = usize>, seed: u64) -> Vec<Vec<u8>> {
    (seed..)
        .zip(sizes)
        .map(|(seed, size)| noise(size, seed))
        .collect()
}

/// Exchanges datagrams with the server from a thread of their own.
fn client(target: SocketAddr, style: Style, datagrams: &[Vec<u8>]) {
    wakeful::block_on(async {
        Client::new(target, style).await.exchange(datagrams).await;
    });
}

#[test]
fn datagrams_of_one_size_come_back_to_clients_of_every_style() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "udp://[::1]:0"], 2);
    for style in styles() {
        for (index, ip) in [(0, "127.0.0.1"), (1, "::1")] {
            for size in [64, 1200] {
                let datagrams = datagrams([size; 128], size as u64);
                client(target(&server, index, ip), style, &datagrams);
            }
        }
    }
    server.assert_ends_well();
}

#[test]
fn datagrams_of_mixed_sizes_keep_their_sizes_and_their_order() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "udp://[::1]:0"], 2);
    // Runs of one size, runs that end with a shorter or an empty one, and neighbors of all kinds.
    let sizes = [
        100, 100, 100, 50, 100, 100, 0, 0, 100, 200, 200, 1, 1, 1, 0, 1472, 1472, 3, 2, 1, 2, 3,
        64, 64, 64, 64, 64, 63, 64, 65, 1200, 1199,
    ];
    for style in styles() {
        for (index, ip) in [(0, "127.0.0.1"), (1, "::1")] {
            for seed in 0..5 {
                let datagrams = datagrams(sizes.iter().copied().cycle().skip(seed).take(64), 9);
                client(target(&server, index, ip), style, &datagrams);
            }
        }
    }
    server.assert_ends_well();
}

#[test]
fn the_longest_batches_come_back() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "udp://[::1]:0"], 2);
    for gro in [false, true] {
        let style = Style {
            gso: true,
            gro,
            window: 64,
        };
        for (index, ip) in [(0, "127.0.0.1"), (1, "::1")] {
            for (count, size) in [(64, 1), (64, 1023), (44, 1472), (6, 10_000), (2, 32_000)] {
                let target = target(&server, index, ip);
                client(target, style, &datagrams(vec![size; count], 3));
                client(target, style, &datagrams([65_507], 3));
            }
        }
    }
    server.assert_ends_well();
}

#[test]
fn clients_of_every_style_at_once_get_their_own_bytes_from_the_address_they_asked() {
    let mut server = Server::start_on(&["udp://0.0.0.0:0", "--threads", "2"], 1);
    thread::scope(|scope| {
        for (number, style) in (1..).zip(styles()) {
            let target = target(&server, 0, &format!("127.0.0.{number}"));
            scope.spawn(move || {
                for round in 0..20 {
                    // Of the same sizes as those of the others.
                    client(target, style, &datagrams([64; 32], 1000 * number + round));
                }
            });
        }
    });
    server.assert_ends_well();
}

#[test]
fn an_ipv6_wildcard_answers_batches_from_the_address_that_was_asked_in_both_families() {
    let mut server = Server::start_on(&["udp://[::]:0"], 1);
    for style in styles() {
        for ip in ["::1", "127.0.0.1", "127.0.0.2"] {
            let datagrams = datagrams([300; 64], 5);
            client(target(&server, 0, ip), style, &datagrams);
        }
    }
    server.assert_ends_well();
}

#[test]
fn each_datagram_of_a_batch_counts() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "-vv"], 1);
    let style = Style {
        gso: true,
        gro: true,
        window: 32,
    };
    let datagrams = vec![b"message".to_vec(); 32];
    client(target(&server, 0, "127.0.0.1"), style, &datagrams);
    server.signal(Signal::USR1);
    server.wait_for_log("messages=32");
    server.wait_for_log("bytes=224");
    server.wait_for_log("received=32 answered=32");
    assert_eq!(server.log_lines("TRACE received").len(), 32);
    server.assert_ends_well();
}

#[test]
fn batches_received_before_the_signal_are_answered() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0"], 1);
    let target = target(&server, 0, "127.0.0.1");
    let style = Style {
        gso: true,
        gro: true,
        window: 32,
    };
    wakeful::block_on(async {
        let client = Client::new(target, style).await;
        client.exchange(&datagrams([10], 1)).await;
        // A stopped server answers none of these before it sees the signal.
        server.signal(Signal::STOP);
        let datagrams = datagrams([100; 320], 2);
        client.send(&datagrams).await;
        server.signal(Signal::TERM);
        server.signal(Signal::CONT);
        client.expect(&datagrams).await;
    });
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn a_batch_from_the_servers_own_address_is_not_answered() {
    let addresses = ["udp://127.0.0.1:0", "udp://127.0.0.1:0"];
    let mut server = Server::start_on(&[addresses[0], addresses[1], "--threads", "2", "-v"], 2);
    let (source, to) = (
        target(&server, 1, "127.0.0.1"),
        target(&server, 0, "127.0.0.1"),
    );
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&source.into()).unwrap();
    // Connected, so that the kernel gives it no datagram that is for the server.
    socket
        .connect(&SocketAddr::from(([127, 0, 0, 1], 9)).into())
        .unwrap();
    wakeful::block_on(async {
        let socket = UdpSocket::from_std(socket.into()).unwrap();
        socket
            .send_segments(&[7; 300], 100, to, None)
            .await
            .unwrap();
    });
    server.wait_for_log("own address");
    assert_eq!(server.log_lines("own address").len(), 1);
    let sockets = server.datagram_sockets(2);
    let with = |text| sockets.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with("received=3 answered=0"), 1);
    assert_eq!(with("answered=0"), 4);
    server.assert_ends_well();
}
