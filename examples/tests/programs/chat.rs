//! Tests of `chat`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::{Program, connect};

/// A client that reads line by line.
struct ChatClient {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl ChatClient {
    /// Connects and returns after the chat has printed that `name` joined.
    fn join(chat: &Program, address: SocketAddr, name: &str) -> ChatClient {
        let stream = connect(address);
        let mut client = ChatClient {
            lines: BufReader::new(stream.try_clone().unwrap()),
            stream,
        };
        client.send(name);
        assert_eq!(chat.line(), format!("* {name} joined"));
        client
    }

    fn send(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    fn receive(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn a_line_is_sent_to_all_clients_except_its_author() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = ChatClient::join(&chat, address, "Ann");
    let mut bob = ChatClient::join(&chat, address, "Bob");
    let mut cat = ChatClient::join(&chat, address, "Cat");
    assert_eq!(ann.receive(), "* Bob joined");
    assert_eq!(ann.receive(), "* Cat joined");
    assert_eq!(bob.receive(), "* Cat joined");
    ann.send("hello");
    assert_eq!(bob.receive(), "Ann: hello");
    assert_eq!(cat.receive(), "Ann: hello");
    bob.send("\u{1b}[2Jhi");
    assert_eq!(ann.receive(), "Bob: [2Jhi", "without control characters");
    assert_eq!(cat.receive(), "Bob: [2Jhi");
    drop(ann);
    assert_eq!(bob.receive(), "* Ann left");
    assert_eq!(cat.receive(), "* Ann left");
}

#[test]
fn lines_can_arrive_in_pieces_or_several_at_once() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = ChatClient::join(&chat, address, "Ann");
    let mut bob = ChatClient::join(&chat, address, "Bob");
    assert_eq!(ann.receive(), "* Bob joined");
    bob.stream.set_nodelay(true).unwrap();
    for byte in b"one by o" {
        bob.stream.write_all(&[*byte]).unwrap();
    }
    bob.stream.write_all(b"ne\r\ntwo\nthr").unwrap();
    bob.stream.write_all(b"ee\n").unwrap();
    assert_eq!(ann.receive(), "Bob: one by one");
    assert_eq!(ann.receive(), "Bob: two");
    assert_eq!(ann.receive(), "Bob: three");
}

#[test]
fn a_line_over_the_limit_ends_its_connection() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = ChatClient::join(&chat, address, "Ann");
    let mut bob = ChatClient::join(&chat, address, "Bob");
    assert_eq!(ann.receive(), "* Bob joined");
    bob.stream.write_all(&[b'x'; 2000]).unwrap();
    assert_eq!(ann.receive(), "* Bob left");
    assert!(chat.stderr_line().ends_with("longer than 1024 bytes"));
}

#[test]
fn a_client_that_does_not_read_is_disconnected_and_the_others_are_served() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = ChatClient::join(&chat, address, "Ann");
    let slow = ChatClient::join(&chat, address, "Slow");
    let mut bob = ChatClient::join(&chat, address, "Bob");
    assert_eq!(ann.receive(), "* Slow joined");
    assert_eq!(ann.receive(), "* Bob joined");
    let long = "x".repeat(1000);
    let mut rounds = 0;
    loop {
        bob.send(&long);
        let line = ann.receive();
        if line == "* Slow left" {
            break;
        }
        assert_eq!(line, format!("Bob: {long}"));
        rounds += 1;
        assert!(rounds < 100_000, "the slow client is still connected");
    }
    let line = chat.stderr_line();
    assert!(
        line.ends_with(": disconnected: its queue of 128 lines is full"),
        "{line}"
    );
    drop(slow);
}
