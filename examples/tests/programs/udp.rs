//! Tests of `udp`.

use std::net::UdpSocket;
use std::time::Duration;

use crate::support::{Program, assert_usage_error};

/// A socket of the test, with a time limit.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let limit = Duration::from_secs(20);
    socket.set_read_timeout(Some(limit)).unwrap();
    socket
}

#[test]
fn the_udp_server_sends_each_datagram_back_and_ends_on_ctrl_c() {
    let server = Program::start("udp", &["serve", "127.0.0.1:0"]);
    let address = server.address();
    let client = socket();
    let mut buffer = vec![0; 65_507];
    for length in [0, 1, 1_400, 60_000] {
        client.send_to(&vec![7; length], address).unwrap();
        let (received, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((received, from), (length, address));
        assert!(buffer[..length].iter().all(|byte| *byte == 7));
        let peer = client.local_addr().unwrap();
        assert_eq!(server.line(), format!("{peer}: {length} bytes"));
    }
    server.ctrl_c();
    assert!(server.end().2.success());
}

#[test]
fn the_udp_client_prints_the_answer() {
    let server = Program::start("udp", &["serve", "127.0.0.1:0"]);
    let address = server.address().to_string();
    let (stdout, stderr, status) =
        Program::start("udp", &["ask", &address, "hello\u{1b}[0m"]).end();
    assert!(status.success(), "{stderr:?}");
    // On a busy machine the first attempts can be too slow.
    assert!(stdout[0].ends_with(" hello\\u{1b}[0m"), "{stdout:?}");
}

#[test]
fn the_udp_client_asks_again_and_ignores_a_late_answer() {
    let server = socket();
    let address = server.local_addr().unwrap().to_string();
    let client = Program::start("udp", &["ask", &address, "text"]);
    let mut buffer = [0; 100];
    let (length, peer) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"1 text");
    assert!(
        client
            .stderr_line()
            .starts_with("no answer to attempt 1 in 250ms")
    );
    loop {
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(from, peer);
        server.send_to(b"1 text", peer).unwrap();
        server.send_to(&buffer[..length], peer).unwrap();
        if let Ok(line) = client.try_line() {
            assert_ne!(line, "1 text");
            assert!(line.ends_with(" text"), "{line}");
            break;
        }
    }
    assert!(client.end().2.success());
}

#[test]
fn the_udp_client_reports_that_there_is_no_answer() {
    let server = socket();
    let address = server.local_addr().unwrap().to_string();
    let (stdout, stderr, status) = Program::start("udp", &["ask", &address, "text"]).end();
    assert_eq!(stdout, [""; 0]);
    let error = format!("error: ask {address}: no answer to 4 attempts");
    assert_eq!(stderr.last(), Some(&error));
    assert_eq!(stderr.len(), 5, "{stderr:?}");
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_udp_client_reports_a_closed_port() {
    // The socket is dropped, and no other test uses this IP address.
    let socket = UdpSocket::bind("127.0.0.75:0").unwrap();
    let closed = socket.local_addr().unwrap().to_string();
    drop(socket);
    let (_, stderr, status) = Program::start("udp", &["ask", &closed, "text"]).end();
    assert!(
        stderr[0].ends_with("Connection refused (os error 111)"),
        "{stderr:?}"
    );
    assert_eq!(status.code(), Some(1));
}

#[test]
fn udp_names_its_arguments() {
    let usage = "the arguments are `serve ADDRESS:PORT`, or `ask HOST:PORT TEXT`";
    for arguments in [
        &[][..],
        &["serve"],
        &["ask", "127.0.0.1:1"],
        &["127.0.0.1:1"],
    ] {
        assert_usage_error("udp", arguments, usage);
    }
}
