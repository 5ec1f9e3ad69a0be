//! B30. Parsed when no more is there
//!
//! From: F. Stage: 1.
//! Input: "hell", then nothing yet, then "o\n".
//! Bug: ["hell", "o"]
//! Fix: ["hello"]
//!
//! `WouldBlock` means that no more is there now. The code takes it for the end of the message, and the rest
//! becomes a message of its own. The bytes have to wait in the connection's buffer for the next event.

use std::io::{ErrorKind, Read};

use card::{Conn, Got};

mod bug {
    use super::*;

    pub fn on_readable(connection: &mut Conn, _buffer: &mut Vec<u8>) -> Vec<String> {
        let mut message = Vec::new();
        let mut chunk = [0; 16];
        // Ends with an error, or at the end of the stream.
        while let Ok(n @ 1..) = connection.read(&mut chunk) {
            message.extend_from_slice(&chunk[..n]);
        }
        vec![String::from_utf8_lossy(&message).trim().to_owned()]
    }
}

mod fix {
    use super::*;

    pub fn on_readable(connection: &mut Conn, buffer: &mut Vec<u8>) -> Vec<String> {
        let mut chunk = [0; 16];
        while let Ok(n @ 1..) = connection.read(&mut chunk) {
            buffer.extend_from_slice(&chunk[..n]);
        }
        let mut messages = Vec::new();
        while let Some(at) = buffer.iter().position(|&byte| byte == b'\n') {
            let message: Vec<u8> = buffer.drain(..=at).collect();
            messages.push(String::from_utf8_lossy(&message).trim().to_owned());
        }
        messages
    }
}

fn input(on_readable: fn(&mut Conn, &mut Vec<u8>) -> Vec<String>) -> String {
    let would_block = Got::Error(ErrorKind::WouldBlock);
    let mut connection = Conn::new(&[Got::Bytes(b"hell"), would_block, Got::Bytes(b"o\n")]);
    let mut buffer = Vec::new();
    let mut messages = on_readable(&mut connection, &mut buffer);
    messages.extend(on_readable(&mut connection, &mut buffer));
    format!("{messages:?}")
}

fn main() {
    card::run(&|| input(bug::on_readable), &|| input(fix::on_readable));
}
