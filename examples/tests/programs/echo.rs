//! Tests of `echo`, and of the error output that all servers share.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::support::{Program, Server, connect, pattern, round_trip};

#[test]
fn echo_sends_all_bytes_back_to_each_client() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    all_bytes_come_back(echo.address());
    let line = echo.line();
    assert!(line.ends_with(" bytes"), "{line:?}");
}

/// Ten clients at once send between 0 and 900,000 bytes and receive the same.
pub(crate) fn all_bytes_come_back(address: SocketAddr) {
    let clients: Vec<_> = (0..10usize)
        .map(|n| {
            thread::spawn(move || {
                let bytes = pattern(n * 100_000);
                assert!(round_trip(connect(address), &bytes) == bytes);
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

/// What `echo` prints on the first Ctrl-C.
const SHUTTING_DOWN: &str =
    "shutting down: busy connections have 5 seconds; Ctrl-C again aborts them";

#[test]
fn ctrl_c_is_answered_and_ends_idle_connections_without_aborting_them() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let mut idle = connect(echo.address());
    idle.write_all(b"x").unwrap();
    idle.read_exact(&mut [0]).unwrap();
    echo.ctrl_c();
    assert_eq!(echo.stderr_line(), SHUTTING_DOWN);
    assert_eq!(idle.read(&mut [0]).unwrap(), 0, "the connection is closed");
    let (stdout, stderr, status) = echo.end();
    let peer = idle.local_addr().unwrap();
    assert_eq!(stdout, [format!("{peer}: 1 bytes")]);
    assert_eq!(stderr, [""; 0]);
    assert!(status.success());
}

#[test]
fn a_second_ctrl_c_aborts_a_connection_whose_client_does_not_read() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let mut busy = connect(echo.address());
    // Once no more bytes can be sent, the server waits in a write.
    busy.set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    while busy.write(&[0; 1 << 16]).is_ok() {}
    echo.ctrl_c();
    assert_eq!(echo.stderr_line(), SHUTTING_DOWN);
    echo.ctrl_c();
    let (_, stderr, status) = echo.end();
    assert_eq!(stderr, ["connections aborted: 1"]);
    assert!(status.success());
}

#[test]
fn an_address_in_use_is_reported_in_one_line() {
    let server = Server::bind();
    let address = server.address();
    for program in ["echo", "chat", "proxy", "handlers"] {
        let (stdout, stderr, status) = Program::start(program, &[&address]).end();
        assert_eq!(stdout, [""; 0]);
        let [line] = &stderr[..] else {
            panic!("{stderr:?}");
        };
        let cause = "Address already in use (os error 98)";
        assert!(line.starts_with("error: bind"), "{line}");
        assert!(line.contains(&address), "{line}");
        assert!(line.ends_with(cause), "{line}");
        assert_eq!(status.code(), Some(1));
    }
}
