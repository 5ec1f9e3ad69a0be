//! `proxy`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::support::{Program, Server, connect, pattern, there_and_back, try_connect};

/// A proxy with one connection through it: the program, the client's end, the server's end.
fn through_a_proxy() -> (Program, TcpStream, TcpStream) {
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
fn the_proxy_passes_every_byte_on_in_both_directions() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let target = echo.address().to_string();
    let proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let address = proxy.address();
    for length in [0, 1, 65_535, 8 << 20] {
        let bytes = pattern(length);
        assert!(
            there_and_back(connect(address), &bytes) == bytes,
            "{length} bytes"
        );
        let line = proxy.line();
        assert!(
            line.ends_with(&format!(": {length} there, {length} back")),
            "{line}"
        );
    }
}

#[test]
fn the_server_may_answer_after_the_client_has_finished() {
    let (_proxy, mut client, mut server) = through_a_proxy();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&server), b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_to_end(&client), b"answer");
}

#[test]
fn the_client_may_go_on_after_the_server_has_finished() {
    let (proxy, mut client, mut server) = through_a_proxy();
    server.write_all(b"greeting").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&client), b"greeting");
    client.write_all(b"letter").unwrap();
    drop(client);
    assert_eq!(read_to_end(&server), b"letter");
    assert!(proxy.line().ends_with(": 6 there, 8 back"));
}

#[test]
fn the_sender_is_slowed_down_when_the_receiver_does_not_read() {
    let (_proxy, mut client, server) = through_a_proxy();
    client.set_nonblocking(true).unwrap();
    // The kernel's buffers on the way take some; then nothing, however long one tries.
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
        assert!(sent.len() < 256 << 20, "nobody holds it back");
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&server) == sent, "and nothing is lost");
}

#[test]
fn a_side_that_breaks_off_resets_the_other() {
    let (proxy, mut client, mut server) = through_a_proxy();
    client.write_all(b"question").unwrap();
    server.write_all(b"half an ans").unwrap();
    let mut received = [0; 11];
    client.read_exact(&mut received).unwrap();
    // Closed with bytes unread: a reset.
    drop(server);
    let end = client.read(&mut received);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let complaint = proxy.complaint();
    assert!(complaint.contains("Connection reset"), "{complaint}");
}

#[test]
fn a_target_that_refuses_is_named_and_the_next_client_is_served() {
    // Nobody listens there any more, nor will: the other tests and their clients have 127.0.0.1.
    let target = Server::bind_on("127.0.0.77").address();
    let proxy = Program::start("proxy", &["127.0.0.1:0", &target]);
    let address = proxy.address();
    for _ in 0..2 {
        // The reset may be as fast as the connect that it follows.
        let end = try_connect(address).and_then(|mut client| client.read(&mut [0]));
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let complaint = proxy.complaint();
        let expected = format!(": connect {target}: Connection refused (os error 111)");
        assert!(complaint.ends_with(&expected), "{complaint}");
    }
}
