//! `udp://`: every datagram goes back whole to its sender, independently of others.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use support::*;

/// Returns the UDP address with this index.
fn address(server: &Server, index: usize) -> SocketAddr {
    let name = server.names[index].strip_prefix("udp://").unwrap();
    name.parse().unwrap()
}

/// Connects a client to an address.
fn client(address: SocketAddr) -> UdpSocket {
    let local = if address.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let client = UdpSocket::bind(local).unwrap();
    client.connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

#[track_caller]
fn assert_answers(client: &UdpSocket, message: &[u8]) {
    client.send(message).unwrap();
    let mut back = vec![0; 65_536];
    let length = client.recv(&mut back).expect("an answer");
    assert!(
        back[..length] == *message,
        "{length} of {} bytes",
        message.len()
    );
}

#[test]
fn datagrams_of_every_size_come_back_whole() {
    // The size of the read buffer applies to streams only, because the rest of a datagram is lost.
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "--buffer-size", "16"], 1);
    let client = client(address(&server, 0));
    for size in [0, 1, 2, 15, 16, 17, 512, 1472, 9000, 65_506, 65_507] {
        assert_answers(&client, &noise(size, size as u64));
    }
    server.assert_ends_well();
}

#[test]
fn a_socket_on_all_addresses_answers_from_the_one_that_was_asked() {
    let mut server = Server::start_on(&["udp://0.0.0.0:0"], 1);
    let port = address(&server, 0).port();
    for asked in ["127.0.0.1", "127.0.0.2"] {
        // Connected, so it receives from the address that it asked only.
        let client = client(format!("{asked}:{port}").parse().unwrap());
        assert_answers(&client, b"hello");
    }
    server.assert_ends_well();
}

#[test]
fn several_addresses_of_all_kinds_are_served_at_once() {
    let mut server = Server::start_on(
        &[
            "udp://127.0.0.1:0",
            "127.0.0.1:0",
            "--bind",
            "udp://127.0.0.1:0",
        ],
        3,
    );
    let (first, second) = (client(address(&server, 0)), client(address(&server, 2)));
    for round in 0..20 {
        assert_answers(&first, &noise(100, round));
        assert_answers(&second, &noise(200, round));
        assert_echo(&mut connect_to(server.address_of(1)), b"a stream");
    }
    server.assert_ends_well();
}

#[test]
fn a_name_stands_for_all_its_addresses() {
    let mut server = Server::start_on(&["udp://localhost:0"], 1);
    assert_answers(&client(address(&server, 0)), b"by name");
    server.assert_ends_well();
}

#[test]
fn each_client_gets_its_own_datagrams_while_other_clients_vanish() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0"], 1);
    let address = address(&server, 0);
    let clients: Vec<UdpSocket> = (0..50).map(|_| client(address)).collect();
    for round in 0..300 {
        // Its port is closed before the answer arrives.
        drop(client(address).send(b"and gone"));
        // Not more at once than the kernel's queue holds while the server does not run.
        if round % 50 == 49 {
            assert_answers(&clients[0], b"still there?");
        }
    }
    for (number, one) in clients.iter().enumerate() {
        one.send(&noise(300, number as u64)).unwrap();
    }
    for (number, one) in clients.iter().enumerate() {
        let mut back = [0; 512];
        let length = one.recv(&mut back).unwrap();
        assert!(
            back[..length] == *noise(300, number as u64),
            "client {number}"
        );
    }
    server.assert_ends_well();
}

#[test]
fn datagrams_received_before_the_signal_are_answered() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0"], 1);
    let client = client(address(&server, 0));
    assert_answers(&client, b"it runs");
    // A stopped server answers none of these before it sees the signal.
    server.signal(Signal::STOP);
    for number in 0..100_u8 {
        client.send(&[number; 32]).unwrap();
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    assert_eq!(server.wait().code(), Some(0));
    let mut back = [0; 64];
    for number in 0..100 {
        assert_eq!(client.recv(&mut back).expect("an answer"), 32);
        assert_eq!(back[0], number);
    }
    assert!(server.log().contains("finishing"), "{}", server.log());
}

#[test]
fn an_endless_flood_does_not_delay_the_shutdown_beyond_the_grace_period() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "-q", "--grace", "300ms"], 1);
    let address = address(&server, 0);
    let flood = std::thread::spawn(move || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let end = Instant::now() + DEADLINE;
        let refused = || client.connect(address).and_then(|()| client.send(&[7; 64]));
        while Instant::now() < end {
            if refused().is_err() {
                return; // the port is closed
            }
        }
        panic!("the port was never closed");
    });
    server.assert_ends_well();
    flood.join().unwrap();
}

#[test]
fn stats_and_sigusr1_include_datagrams() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "--stats", "100ms"], 1);
    let client = client(address(&server, 0));
    for _ in 0..3 {
        assert_answers(&client, &[1; 100]);
    }
    wait_until("a line with messages", || {
        server
            .log_lines("stats")
            .iter()
            .any(|line| !line.contains("messages_per_s=0"))
    });
    server.signal(Signal::USR1);
    server.wait_for_log("messages=3");
    server.wait_for_log("bytes=300");
    let name = &server.names[0];
    server.wait_for_log(&format!("local_addr={name} received=3 answered=3"));
    server.wait_for_log("UdpSocket::readable");
    server.assert_ends_well();
}

#[test]
fn threads_share_the_port_and_all_clients_are_answered() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0", "--threads", "3"], 1);
    assert_eq!(status(server.pid(), "Threads"), 3);
    let address = address(&server, 0);
    for number in 0..60 {
        assert_answers(&client(address), &noise(400, number));
    }
    let sockets = server.datagram_sockets(3).into_iter();
    let idle = sockets.filter(|line| line.contains(" received=0 ")).count();
    assert!(idle < 2, "the kernel spreads the clients: {}", server.log());
    server.assert_ends_well();
}

#[test]
fn a_udp_port_in_use_is_one_error_line_and_a_tcp_port_does_not_conflict() {
    let mut first = Server::start_on(&["127.0.0.1:0"], 1);
    let port = first.address().port();
    let mut second = Server::start_on(&[&format!("udp://127.0.0.1:{port}")], 1);
    let output = std::process::Command::new(PROGRAM)
        .arg(format!("udp://127.0.0.1:{port}"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let line = text.lines().last().unwrap();
    assert!(
        line.contains(&format!("udp://127.0.0.1:{port}: Address already in use")),
        "{text}"
    );
    first.assert_ends_well();
    second.assert_ends_well();
}

// ---- the server's own addresses ------------------------------------------------------------------

/// Sends a datagram to `to` whose source is `source`, an address that a server with `--threads` has.
fn send_from(source: SocketAddr, to: SocketAddr) {
    let socket = Socket::new(Domain::for_address(source), Type::DGRAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&source.into()).unwrap();
    // Connected, so that the kernel gives it no datagram that is for the server.
    socket
        .connect(&SocketAddr::new(source.ip(), 9).into())
        .unwrap();
    socket.send_to(b"forged", &to.into()).unwrap();
}

/// Expects that a datagram from `source`, an address of the server's own, is not answered.
#[track_caller]
fn assert_ignores(server: &Server, source: SocketAddr, to: SocketAddr) {
    send_from(source, to);
    server.wait_for_log("own address");
    let sockets = server.datagram_sockets(2).into_iter();
    let idle = sockets.filter(|line| line.contains(" answered=0")).count();
    assert_eq!(idle, 2 * server.names.len(), "{}", server.log());
}

#[test]
fn a_datagram_from_the_servers_own_address_is_not_answered() {
    for (listen, source, to) in [
        ("udp://127.0.0.1:0", "127.0.0.1", "127.0.0.1"),
        ("udp://0.0.0.0:0", "127.0.0.2", "127.0.0.1"),
        ("udp://[::1]:0", "::1", "::1"),
        ("udp://[::]:0", "::1", "::1"),
        ("udp://[::]:0", "127.0.0.2", "127.0.0.1"),
    ] {
        let mut server = Server::start_on(&[listen, "--threads", "2", "-v"], 1);
        let port = address(&server, 0).port();
        let with_port = |ip: &str| SocketAddr::new(ip.parse().unwrap(), port);
        assert_ignores(&server, with_port(source), with_port(to));
        assert_answers(&client(with_port(to)), b"from a client");
        server.assert_ends_well();
    }
}

#[test]
fn a_datagram_from_another_socket_of_the_same_server_is_not_answered() {
    let listen = ["udp://127.0.0.1:0", "udp://127.0.0.1:0"];
    let mut server = Server::start_on(&[listen[0], listen[1], "--threads", "2", "-v"], 2);
    assert_ignores(&server, address(&server, 1), address(&server, 0));
    server.assert_ends_well();
}

#[test]
fn a_client_with_the_servers_port_number_on_another_address_is_answered() {
    let mut server = Server::start_on(&["udp://127.0.0.1:0"], 1);
    let address = address(&server, 0);
    let client = UdpSocket::bind(("127.0.0.3", address.port())).unwrap();
    client.connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_answers(&client, b"same port, other address");
    server.assert_ends_well();
}
