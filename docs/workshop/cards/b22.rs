//! B22. Half of an answer
//!
//! From: V. Stage: 6.
//! Input: a client sends 5 bytes, and the socket has room for 2.
//! Bug: 2 bytes back, open
//! Fix: 5 bytes back, open
//!
//! `write` takes what there is room for, and returns how much that was. The rest is lost unless the program
//! writes it again. Repeat until all is written.

use std::io::{self, Read, Write};

use card::Conn;

mod bug {
    use super::*;

    pub fn echo_once(connection: &mut Conn) -> io::Result<()> {
        let mut buffer = [0; 32];
        let n = connection.read(&mut buffer)?;
        connection.write(&buffer[..n])?;
        Ok(())
    }
}

mod fix {
    use super::*;

    pub fn echo_once(connection: &mut Conn) -> io::Result<()> {
        let mut buffer = [0; 32];
        let n = connection.read(&mut buffer)?;
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            let n = connection.write(rest)?;
            rest = &rest[n..];
        }
        Ok(())
    }
}

fn input(echo_once: fn(&mut Conn) -> io::Result<()>) -> String {
    let mut connection = Conn::of(&[b"hello"]);
    connection.room = 2;
    echo_once(&mut connection).unwrap();
    connection.state()
}

fn main() {
    card::run(&|| input(bug::echo_once), &|| input(fix::echo_once));
}
