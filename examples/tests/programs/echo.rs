//! Tests of `echo`, and of the error output that all servers share.

use std::thread;

use crate::support::{Program, Server, connect, pattern, round_trip};

#[test]
fn echo_sends_all_bytes_back_to_each_client() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let address = echo.address();
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
    let line = echo.line();
    assert!(line.ends_with(" bytes"), "{line:?}");
}

#[test]
fn an_address_in_use_is_reported_in_one_line() {
    let server = Server::bind();
    let address = server.address();
    for program in ["echo", "chat", "proxy"] {
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
