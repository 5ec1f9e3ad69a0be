//! B29. A footer from the message before
//!
//! From: F. Stage: 1.
//! Input: "ab@EOF@" in one read; then "xy" and "z@EOF@".
//! Bug: ["ab", "xy"]
//! Fix: ["ab", "xyz"]
//!
//! The search looks at the whole buffer, and old bytes are still there: the footer of "ab" ends the second
//! message early. A footer across two reads is missed for the same reason. Keep what has arrived, and search only
//! that.

use std::io::Read;

use card::Conn;

mod bug {
    use super::*;

    pub fn message(connection: &mut Conn, buffer: &mut Vec<u8>) -> String {
        buffer.resize(64, 0);
        let mut message = Vec::new();
        loop {
            let n = connection.read(buffer).unwrap();
            message.extend_from_slice(&buffer[..n]);
            if n == 0 || buffer.windows(5).any(|bytes| bytes == FOOTER) {
                return text(&message);
            }
        }
    }
}

mod fix {
    use super::*;

    pub fn message(connection: &mut Conn, arrived: &mut Vec<u8>) -> String {
        loop {
            if let Some(at) = arrived.windows(5).position(|bytes| bytes == FOOTER) {
                let message: Vec<u8> = arrived.drain(..at + FOOTER.len()).collect();
                return text(&message);
            }
            let mut chunk = [0; 64];
            let n = connection.read(&mut chunk).unwrap();
            assert!(n > 0, "the stream ended inside a message");
            arrived.extend_from_slice(&chunk[..n]);
        }
    }
}

const FOOTER: &[u8] = b"@EOF@";

fn text(message: &[u8]) -> String {
    String::from_utf8_lossy(message.strip_suffix(FOOTER).unwrap_or(message)).into_owned()
}

fn input(message: fn(&mut Conn, &mut Vec<u8>) -> String) -> String {
    let mut connection = Conn::of(&[b"ab@EOF@", b"xy", b"z@EOF@"]);
    let mut buffer = Vec::new();
    let messages = [message(&mut connection, &mut buffer), message(&mut connection, &mut buffer)];
    format!("{messages:?}")
}

fn main() {
    card::run(&|| input(bug::message), &|| input(fix::message));
}
