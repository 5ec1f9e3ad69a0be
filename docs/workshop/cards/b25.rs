//! B25. One read for the header
//!
//! From: F. Stage: 1.
//! Input: a frame of 4 + 5 bytes that arrives byte by byte.
//! Bug: panics: 4 bytes: TryFromSliceError(())
//! Fix: "hello"
//!
//! A read returns what has arrived, and that can be one byte. The header is decoded although three of its bytes
//! are missing. Read until the header is complete, then until the body is.

use std::io::{self, Read};

use card::Conn;

mod bug {
    use super::*;

    pub fn frame(connection: &mut Conn) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        let n = connection.read(&mut header)?;
        let length = u32::from_le_bytes(header[..n].try_into().expect("4 bytes"));
        let mut body = vec![0; length as usize];
        let n = connection.read(&mut body)?;
        body.truncate(n);
        Ok(body)
    }
}

mod fix {
    use super::*;

    pub fn frame(connection: &mut Conn) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        connection.read_exact(&mut header)?;
        let length = u32::from_le_bytes(header);
        // Grows with the bytes that arrive, not with the number that a client sends.
        let mut body = Vec::new();
        let n = connection.take(length.into()).read_to_end(&mut body)?;
        if n < length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(body)
    }
}

fn input(frame: fn(&mut Conn) -> io::Result<Vec<u8>>) -> String {
    const FRAME: &[u8] = b"\x05\0\0\0hello";
    let bytes: Vec<&[u8]> = FRAME.chunks(1).collect();
    let body = frame(&mut Conn::of(&bytes)).unwrap();
    format!("{:?}", String::from_utf8_lossy(&body))
}

fn main() {
    card::run(&|| input(bug::frame), &|| input(fix::frame));
}
