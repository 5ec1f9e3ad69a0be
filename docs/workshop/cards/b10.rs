//! B10. What a client can do to your terminal
//!
//! From: K. Stage: 11.
//! Input: a client sends "hi" and the escape sequence that clears a terminal.
//! Bug: 32768 characters, with an escape character
//! Fix: 9 characters, without an escape character
//!
//! The whole buffer is printed, not the bytes that were read, and its bytes reach the terminal as they are.
//! Print what was read, escape it, and limit its length.

use std::fmt::Write as _;

mod bug {
    pub fn log_line(buffer: &[u8; 32 * 1024], _read: usize) -> String {
        String::from_utf8_lossy(buffer).into_owned()
    }
}

mod fix {
    use super::*;

    const LIMIT: usize = 64;

    pub fn log_line(buffer: &[u8; 32 * 1024], read: usize) -> String {
        let mut line = buffer[..read.min(LIMIT)].escape_ascii().to_string();
        if read > LIMIT {
            let _ = write!(line, "... ({read} bytes)");
        }
        line
    }
}

fn input(log_line: fn(&[u8; 32 * 1024], usize) -> String) -> String {
    const SENT: &[u8] = b"hi\x1b[2J";
    let mut buffer = [0; 32 * 1024];
    buffer[..SENT.len()].copy_from_slice(SENT);
    let line = log_line(&buffer, SENT.len());
    let with = if line.contains('\x1b') { "with" } else { "without" };
    format!("{} characters, {with} an escape character", line.chars().count())
}

fn main() {
    card::run(&|| input(bug::log_line), &|| input(fix::log_line));
}
