//! `echo`.

use std::thread;

use crate::support::{Program, Server, connect, pattern, there_and_back};

#[test]
fn echo_gives_everything_back_to_each_of_its_clients() {
    let echo = Program::start("echo", &["127.0.0.1:0"]);
    let address = echo.address();
    let clients: Vec<_> = (0..10usize)
        .map(|n| {
            thread::spawn(move || {
                let bytes = pattern(n * 100_000);
                assert!(there_and_back(connect(address), &bytes) == bytes);
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
fn a_program_that_cannot_start_says_so_in_one_line_of_plain_words() {
    let taken = Server::bind();
    for program in ["echo", "chat", "proxy"] {
        let (stdout, stderr, status) = Program::start(program, &[&taken.address()]).end();
        assert_eq!(stdout, [""; 0]);
        let expected = format!(
            "error: bind {}: Address already in use (os error 98)",
            taken.address()
        );
        assert_eq!(stderr, [expected]);
        assert_eq!(status.code(), Some(1));
    }
}
