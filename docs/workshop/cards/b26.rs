//! B26. A length that is too short
//!
//! From: F. Stage: 1.
//! Input: a frame whose length is 4, less than its footer.
//! Bug: panics: attempt to subtract with overflow
//! Fix: refused: the length 4 is not in 5..=4194304
//!
//! The number comes from the client. A small one makes the subtraction fail, and one client ends the server. A
//! large one reserves up to 4 GiB before a byte of the body has arrived. Check the range first.

use std::io::{self, Read};

use card::Conn;

mod bug {
    use super::*;

    pub fn payload(connection: &mut Conn) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        connection.read_exact(&mut header)?;
        let length = u32::from_le_bytes(header) as usize;
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        body.truncate(length - FOOTER.len());
        Ok(body)
    }
}

mod fix {
    use super::*;

    pub fn payload(connection: &mut Conn) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        connection.read_exact(&mut header)?;
        let length = u32::from_le_bytes(header) as usize;
        if !(FOOTER.len()..=4 << 20).contains(&length) {
            return Err(io::Error::other(format!("the length {length} is not in 5..=4194304")));
        }
        let mut body = Vec::new();
        connection.take(length as u64).read_to_end(&mut body)?;
        if body.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        body.truncate(length - FOOTER.len());
        Ok(body)
    }
}

const FOOTER: &[u8] = b"@EOF@";

fn input(payload: fn(&mut Conn) -> io::Result<Vec<u8>>) -> String {
    match payload(&mut Conn::of(&[b"\x04\0\0\0", b"@EOF"])) {
        Ok(payload) => format!("{} bytes", payload.len()),
        Err(error) => format!("refused: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::payload), &|| input(fix::payload));
}
