//! Tests of `proxy`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::{Program, Server, connect, pattern, round_trip, try_connect};

/// Starts a proxy with one connection; returns the program, the client's end and the target's end.
fn connect_through_proxy() -> (Program, TcpStream, TcpStream) {
    let target = Server::bind();
    let proxy = Program::start("proxy", &["127.0.0.1:0", &target.address()]);
    let client = connect(proxy.address());
    let server = target.accept();
    (proxy, client, server)
}

fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn all_bytes_are_copied_in_both_directions() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let target = echo.address().to_string();
    let proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let address = proxy.address();
    for length in [0, 1, 65_535, 8 << 20] {
        let bytes = pattern(length);
        assert!(
            round_trip(connect(address), &bytes) == bytes,
            "{length} bytes"
        );
        let line = proxy.line();
        assert!(
            line.ends_with(&format!(": {length} sent, {length} received")),
            "{line}"
        );
    }
}

#[test]
fn the_server_can_answer_after_the_client_has_shut_down_its_write_side() {
    let (_proxy, mut client, mut server) = connect_through_proxy();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&server), b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_to_end(&client), b"answer");
}

#[test]
fn the_client_can_send_after_the_server_has_shut_down_its_write_side() {
    let (proxy, mut client, mut server) = connect_through_proxy();
    server.write_all(b"greeting").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&client), b"greeting");
    client.write_all(b"letter").unwrap();
    drop(client);
    assert_eq!(read_to_end(&server), b"letter");
    assert!(proxy.line().ends_with(": 6 sent, 8 received"));
}

#[test]
fn the_sender_is_blocked_when_the_receiver_does_not_read() {
    let (_proxy, mut client, server) = connect_through_proxy();
    client.set_nonblocking(true).unwrap();
    // Until the kernel's buffers on the path are full. Then 20 attempts in a row fail.
    let chunk = pattern(64 * 1024);
    let (mut sent, mut refused) = (Vec::new(), 0);
    while refused < 20 {
        match client.write(&chunk) {
            Ok(n) => {
                sent.extend_from_slice(&chunk[..n]);
                refused = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent.len() < 256 << 20, "the sender is not blocked");
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&server) == sent, "bytes are lost");
}

#[test]
fn a_reset_on_one_side_resets_the_other() {
    let (proxy, mut client, mut server) = connect_through_proxy();
    client.write_all(b"question").unwrap();
    server.write_all(b"half an ans").unwrap();
    let mut received = [0; 11];
    client.read_exact(&mut received).unwrap();
    // The question has arrived. Closing a socket with unread bytes sends a reset.
    assert!(server.peek(&mut received).unwrap() > 0);
    drop(server);
    let end = client.read(&mut received);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let line = proxy.stderr_line();
    assert!(line.contains("Connection reset"), "{line}");
}

#[test]
fn a_refused_connect_is_logged_with_the_target_and_the_next_client_is_accepted() {
    // The listener is closed, and no other test uses this IP address: they all use 127.0.0.1.
    let target = Server::bind_on("127.0.0.77").address();
    let proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let address = proxy.address();
    for _ in 0..2 {
        // The reset can arrive before `connect` returns.
        let end = try_connect(address).and_then(|mut client| client.read(&mut [0]));
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let line = proxy.stderr_line();
        let cause = "Connection refused (os error 111)";
        assert!(line.contains("connect"), "{line}");
        assert!(line.contains(&target), "{line}");
        assert!(line.ends_with(cause), "{line}");
    }
}
