//! W5. "A read deadline allows for temporary fluctuations"
//!
//! From: F. Stage: 10.
//! Input: "hell", a pause that is longer than the deadline, "o\n".
//! Bug: "o"
//! Fix: "hello"
//!
//! After the deadline the read begins again, and the bytes that had arrived are gone with its buffer. A deadline
//! limits a wait, and must not decide about bytes. Keep the buffer outside of what the deadline cancels.

use std::io::{self, ErrorKind, Read};

use card::{Conn, Got};

mod bug {
    use super::*;

    pub fn line(connection: &mut Conn) -> io::Result<String> {
        loop {
            let mut line = Vec::new();
            match read_line(connection, &mut line) {
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                result => return result.map(|()| text(&line)),
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn line(connection: &mut Conn) -> io::Result<String> {
        let mut line = Vec::new();
        loop {
            match read_line(connection, &mut line) {
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                result => return result.map(|()| text(&line)),
            }
        }
    }
}

/// Appends to the line until it is complete, or until the deadline.
fn read_line(connection: &mut Conn, line: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 16];
    while !line.ends_with(b"\n") {
        let n = connection.read(&mut chunk)?;
        if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&chunk[..n]);
    }
    Ok(())
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim().to_owned()
}

fn input(line: fn(&mut Conn) -> io::Result<String>) -> String {
    let deadline = Got::Error(ErrorKind::TimedOut);
    let mut connection = Conn::new(&[Got::Bytes(b"hell"), deadline, Got::Bytes(b"o\n")]);
    format!("{:?}", line(&mut connection).unwrap())
}

fn main() {
    card::run(&|| input(bug::line), &|| input(fix::line));
}
