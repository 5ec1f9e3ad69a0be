//! B9. Ignored results
//!
//! From: K. Stage: 6.
//! Input: a client resets its connection.
//! Bug: the connection stays open
//! Fix: closed: Connection reset by peer (os error 104)
//!
//! An error is turned into "no bytes", and no bytes means "wait". No event comes after a reset, so the
//! connection stays forever. A read has three results: bytes, the end, an error. The last two close.

use std::io;

use card::{pair, reset};
use kernel::{Script, Stream};

mod bug {
    use super::*;

    /// Returns whether the connection stays open.
    pub fn on_event(stream: &Stream) -> io::Result<bool> {
        let mut buffer = [0; 512];
        let n = stream.read(&mut buffer).unwrap_or(0);
        if n > 0 {
            let _ = stream.write(&buffer[..n]);
        }
        Ok(true)
    }
}

mod fix {
    use super::*;

    /// Returns whether the connection stays open.
    pub fn on_event(stream: &Stream) -> io::Result<bool> {
        let mut buffer = [0; 512];
        let n = match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            other => other?,
        };
        let mut rest = &buffer[..n];
        while !rest.is_empty() {
            rest = &rest[stream.write(rest)?..];
        }
        Ok(n > 0)
    }
}

fn input(on_event: fn(&Stream) -> io::Result<bool>) -> String {
    let (client, server) = pair();
    reset(client, &server);
    Script::new().begin();
    match on_event(&server) {
        Ok(true) => "the connection stays open".to_owned(),
        Ok(false) => "closed".to_owned(),
        Err(error) => format!("closed: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::on_event), &|| input(fix::on_event));
}
