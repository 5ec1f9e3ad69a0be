//! Every byte comes back, once, in order, to the client that sent it, and at once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use support::*;

#[test]
fn one_byte_comes_back_without_a_newline() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for byte in 0..=255 {
        assert_echo(&mut client, &[byte]);
    }
}

#[test]
fn a_message_split_at_any_offset_comes_back_whole() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let message = b"the quick brown fox jumps over the lazy dog\n";
    for offset in 0..=message.len() {
        let (first, second) = message.split_at(offset);
        assert_echo(&mut client, first);
        assert_echo(&mut client, second);
        // And once more without waiting between the two halves.
        client.write_all(first).unwrap();
        assert_echo_of(&mut client, second, message);
    }
}

/// Sends the rest of a message whose beginning was sent; expects all of it.
fn assert_echo_of(client: &mut TcpStream, rest: &[u8], message: &[u8]) {
    client.write_all(rest).unwrap();
    assert_receives(client, message);
}

#[test]
fn half_close_returns_everything_then_the_end() {
    let server = Server::start(&[]);
    for length in [0, 1, 65_535, 65_536, 200_000, 8 << 20] {
        assert_half_close_echo(server.connect(), &noise(length, length as u64));
    }
}

#[test]
fn data_followed_at_once_by_the_end_comes_back() {
    let server = Server::start(&[]);
    for round in 0..200 {
        let mut client = server.connect();
        let message = noise(1 + round * 7, round as u64);
        client.write_all(&message).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_receives(&mut client, &message);
        assert_end(&mut client);
    }
}

#[test]
fn messages_of_two_clients_never_mix() {
    let server = Server::start(&[]);
    let (mut one, mut two) = (server.connect(), server.connect());
    for _ in 0..1000 {
        one.write_all(b"Hello").unwrap();
        two.write_all(b"World!").unwrap();
        assert_receives(&mut two, b"World!");
        assert_receives(&mut one, b"Hello");
    }
}

#[test]
fn messages_longer_than_one_read_come_back() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    // Longer than one read, and short enough for the kernel to take it all before a read.
    for length in [65_535, 65_536, 100_000, 200_000] {
        assert_echo(&mut client, &noise(length, 7));
    }
}

#[test]
fn sixty_four_mebibytes_come_back_unchanged() {
    let server = Server::start(&[]);
    assert_half_close_echo(server.connect(), &noise(64 << 20, 64));
}

#[test]
fn an_empty_send_has_no_effect() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    assert_eq!(client.write(b"").unwrap(), 0);
    assert_echo(&mut client, b"after the empty send");
}

#[test]
fn a_read_buffer_of_one_byte_is_enough() {
    let server = Server::start(&["--buffer-size", "1"]);
    assert_half_close_echo(server.connect(), &noise(5000, 1));
}

#[test]
fn one_thread_sends_1000_clients_their_own_bytes() {
    allow_many_descriptors();
    let server = Server::start(&["-q"]);
    let mut clients: Vec<TcpStream> = (0..1000).map(|_| server.connect()).collect();
    for round in 0..10u64 {
        let message = |client: usize| noise(50 + client % 100, round * 1000 + client as u64);
        for (number, client) in clients.iter_mut().enumerate() {
            client.write_all(&message(number)).unwrap();
        }
        for (number, client) in clients.iter_mut().enumerate() {
            assert_receives(client, &message(number));
        }
    }
    assert_eq!(status(server.pid(), "Threads"), 1);
}

/// Makes 200 round trips on each of several concurrent clients. Returns the sorted times.
fn round_trips(server: &Server, clients: u64) -> Vec<Duration> {
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let client = |number| {
            let mut client = server.connect();
            move || {
                let round_trip = |round| {
                    let message = noise(64, number * 1000 + round);
                    let start = Instant::now();
                    assert_echo(&mut client, &message);
                    start.elapsed()
                };
                (0..200).map(round_trip).collect::<Vec<_>>()
            }
        };
        let running: Vec<_> = (0..clients)
            .map(|number| scope.spawn(client(number)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    times.sort();
    times
}

#[test]
fn concurrent_clients_get_their_own_bytes() {
    let server = Server::start(&["-q"]);
    for clients in [1, 100] {
        let times = round_trips(&server, clients);
        let at = |share: usize| times[times.len() * share / 100];
        println!("{clients} clients: p50 {:?}, p99 {:?}", at(50), at(99));
    }
}

#[test]
fn concurrent_connects_are_all_served() {
    allow_many_descriptors();
    let server = Server::start(&["-q"]);
    // From several threads, so that many clients are in the queue at the same time.
    thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let mut clients: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
                for client in &mut clients {
                    assert_echo(client, b"concurrent");
                }
            });
        }
    });
}

#[test]
fn one_thread_serves_all_addresses_in_the_order_given() {
    let directory = Directory::new("addresses");
    let (unix, path) = directory.socket("echo.sock");
    let arguments = [
        "tcp://127.0.0.1:0",
        "127.0.0.2:0",
        "--bind",
        "127.0.0.1:0",
        &unix,
    ];
    let server = Server::start_on(&arguments, 4);
    // In the order given, positional arguments first.
    let starts = [
        "tcp://127.0.0.1:",
        "tcp://127.0.0.2:",
        "unix:///",
        "tcp://127.0.0.1:",
    ];
    for (name, start) in server.names.iter().zip(starts) {
        assert!(name.starts_with(start), "{:?}", server.names);
    }
    for index in [0, 1, 3] {
        assert_echo(&mut connect_to(server.address_of(index)), b"tcp");
    }
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_echo(&mut client, b"unix");
    assert_eq!(status(server.pid(), "Threads"), 1);
    for name in &server.names {
        server.wait_for_log(name);
    }
}

#[test]
fn a_unix_socket_echoes_like_tcp() {
    let directory = Directory::new("unix");
    let (unix, path) = directory.socket("echo.sock");
    let server = Server::start_on(&[&unix], 1);
    assert_eq!(server.names, [unix]);
    for length in [0, 1, 65_536, 1 << 20] {
        let mut client = UnixStream::connect(&path).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut writer = client.try_clone().unwrap();
        let message = noise(length, 3);
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(&message).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert!(
                back == message,
                "{length} bytes sent, {} came back",
                back.len()
            );
        });
    }
}

#[test]
fn ipv6_and_names_are_served() {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let server = Server::start_on(&["[::1]:0"], 1);
        assert!(
            server.names[0].starts_with("tcp://[::1]:"),
            "{:?}",
            server.names
        );
        server.assert_serves();
    } else {
        eprintln!("skipped: this machine has no IPv6");
    }
    let server = Server::start_on(&["localhost:0"], 1);
    server.assert_serves();
}
