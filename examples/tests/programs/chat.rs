//! `chat`.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::{Program, connect};

/// A client that reads line by line.
struct Guest {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Guest {
    /// Returns when the chat has taken note of the name.
    fn enter(chat: &Program, address: SocketAddr, name: &str) -> Guest {
        let stream = connect(address);
        let mut guest = Guest {
            lines: BufReader::new(stream.try_clone().unwrap()),
            stream,
        };
        guest.say(name);
        assert_eq!(chat.line(), format!("* {name} is here"));
        guest
    }

    fn say(&mut self, line: &str) {
        self.stream
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

#[test]
fn the_chat_tells_everybody_but_the_author() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(&chat, address, "Ann");
    let mut bob = Guest::enter(&chat, address, "Bob");
    let mut cat = Guest::enter(&chat, address, "Cat");
    assert_eq!(ann.hear(), "* Bob is here");
    assert_eq!(ann.hear(), "* Cat is here");
    assert_eq!(bob.hear(), "* Cat is here");
    ann.say("hello");
    assert_eq!(bob.hear(), "Ann: hello");
    assert_eq!(cat.hear(), "Ann: hello");
    bob.say("\u{1b}[2Jhi");
    assert_eq!(ann.hear(), "Bob: [2Jhi", "control characters stay out");
    assert_eq!(cat.hear(), "Bob: [2Jhi");
    drop(ann);
    assert_eq!(bob.hear(), "* Ann has left");
    assert_eq!(cat.hear(), "* Ann has left");
}

#[test]
fn a_line_may_come_in_pieces_and_two_at_once() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(&chat, address, "Ann");
    let mut bob = Guest::enter(&chat, address, "Bob");
    assert_eq!(ann.hear(), "* Bob is here");
    bob.stream.set_nodelay(true).unwrap();
    for byte in b"one by o" {
        bob.stream.write_all(&[*byte]).unwrap();
    }
    bob.stream.write_all(b"ne\r\ntwo\nthr").unwrap();
    bob.stream.write_all(b"ee\n").unwrap();
    assert_eq!(ann.hear(), "Bob: one by one");
    assert_eq!(ann.hear(), "Bob: two");
    assert_eq!(ann.hear(), "Bob: three");
}

#[test]
fn a_line_without_end_is_not_kept() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(&chat, address, "Ann");
    let mut bob = Guest::enter(&chat, address, "Bob");
    assert_eq!(ann.hear(), "* Bob is here");
    bob.stream.write_all(&[b'x'; 2000]).unwrap();
    assert_eq!(ann.hear(), "* Bob has left");
    assert!(chat.complaint().ends_with("a line of more than 1024 bytes"));
}

#[test]
fn who_does_not_read_is_put_out_and_nobody_else_notices() {
    let chat = Program::start("chat", &["127.0.0.1:0"]);
    let address = chat.address();
    let mut ann = Guest::enter(&chat, address, "Ann");
    let deaf = Guest::enter(&chat, address, "Deaf");
    let mut bob = Guest::enter(&chat, address, "Bob");
    assert_eq!(ann.hear(), "* Deaf is here");
    assert_eq!(ann.hear(), "* Bob is here");
    let long = "x".repeat(1000);
    let mut rounds = 0;
    loop {
        bob.say(&long);
        let heard = ann.hear();
        if heard == "* Deaf has left" {
            break;
        }
        assert_eq!(heard, format!("Bob: {long}"));
        rounds += 1;
        assert!(rounds < 100_000, "the deaf guest is still there");
    }
    let complaint = chat.complaint();
    assert!(
        complaint.ends_with(" does not read, and is put out"),
        "{complaint}"
    );
    drop(deaf);
}
