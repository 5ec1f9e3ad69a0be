//! A peer that is slow, or never reads, costs one buffer and does not affect other clients.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use support::*;

/// Allowed growth of resident memory.
const ALLOWED: u64 = 16 << 20;

#[test]
fn a_slow_reader_of_64_mebibytes_costs_bounded_memory() {
    let server = Server::start(&["-q"]);
    server.assert_serves();
    let before = resident(server.pid());
    let message = noise(64 << 20, 64);
    let mut client = server.connect();
    let mut writer = client.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&message).unwrap());
        let mut at = 0;
        let mut piece = vec![0; 1 << 20];
        let mut most = 0;
        while at < message.len() {
            if at < 16 << 20 {
                thread::sleep(Duration::from_millis(20)); // slow for a quarter of it
            }
            let length = client.read(&mut piece).unwrap();
            assert!(
                length > 0 && piece[..length] == message[at..at + length],
                "at {at}"
            );
            at += length;
            most = most.max(resident(server.pid()));
        }
        assert!(
            most <= before + ALLOWED,
            "resident memory grew from {before} to {most} bytes"
        );
        println!(
            "resident memory grew by {} KiB",
            (most - before.min(most)) >> 10
        );
    });
}

#[test]
fn clients_that_never_read_do_not_affect_others() {
    let mut server = Server::start(&["-q"]);
    server.assert_serves();
    let before = resident(server.pid());
    let mut stuck: Vec<_> = (0..50).map(|_| server.connect()).collect();
    thread::scope(|scope| {
        for client in &mut stuck {
            scope.spawn(|| {
                let sent = fill_connection(client, 64 << 20);
                assert!(
                    sent < 64 << 20,
                    "the server read {sent} bytes that it could not send back"
                );
            });
        }
        let mut active = server.connect();
        for round in 0..200 {
            assert_echo(&mut active, &noise(1000, round));
        }
    });
    server.assert_serves();
    let grown = resident(server.pid()).saturating_sub(before);
    assert!(grown <= ALLOWED, "resident memory grew by {grown} bytes");
    wait_until("the server to become idle", || {
        cpu_share(server.pid(), Duration::from_millis(200)) < 0.1
    });
    drop(stuck);
    server.assert_ends_well();
}

#[test]
fn a_client_with_a_tiny_receive_buffer_gets_8_mebibytes_while_others_are_served() {
    let server = Server::start(&["-q"]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap(); // before connecting, so that the window is small
    socket.connect(&SockAddr::from(server.address())).unwrap();
    let mut client = std::net::TcpStream::from(socket);
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    let message = noise(8 << 20, 8);
    let mut writer = client.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&message).unwrap());
        let mut active = server.connect();
        let mut at = 0;
        let mut piece = [0; 1024];
        while at < message.len() {
            let length = client.read(&mut piece).unwrap();
            assert!(
                length > 0 && piece[..length] == message[at..at + length],
                "at {at}"
            );
            at += length;
            if at % 4096 < length {
                assert_echo(&mut active, b"and me?");
            }
        }
    });
}
