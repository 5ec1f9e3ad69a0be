//! B27. The footer that is never compared
//!
//! From: F. Stage: 1.
//! Input: a put that is cut off before its footer: 7 of 12 bytes, then the end.
//! Bug: executed: "put"
//! Fix: refused: 3 of 8 bytes, then the end
//!
//! The result of the read is ignored, and the last five bytes are cut off unseen. So a request that was cut off
//! is executed. Compare what arrived with the length, and the footer with what it has to be.

use std::io::Read;

use card::Conn;

mod bug {
    use super::*;

    pub fn request(connection: &mut Conn, length: usize) -> Result<String, String> {
        let mut body = vec![0; length];
        let _ = connection.read(&mut body);
        let payload = &body[..length - FOOTER.len()];
        Ok(String::from_utf8_lossy(payload).into_owned())
    }
}

mod fix {
    use super::*;

    pub fn request(connection: &mut Conn, length: usize) -> Result<String, String> {
        let mut body = Vec::new();
        let read = connection.take(length as u64).read_to_end(&mut body);
        let n = read.map_err(|error| format!("reading a request: {error}"))?;
        if n < length {
            return Err(format!("{n} of {length} bytes, then the end"));
        }
        let payload = body.strip_suffix(FOOTER).ok_or("the footer is wrong")?;
        Ok(String::from_utf8_lossy(payload).into_owned())
    }
}

const FOOTER: &[u8] = b"@EOF@";

fn input(request: fn(&mut Conn, usize) -> Result<String, String>) -> String {
    let mut connection = Conn::of(&[b"\x08\0\0\0put"]);
    let mut header = [0; 4];
    connection.read_exact(&mut header).unwrap();
    match request(&mut connection, u32::from_le_bytes(header) as usize) {
        Ok(payload) => format!("executed: {payload:?}"),
        Err(error) => format!("refused: {error}"),
    }
}

fn main() {
    card::run(&|| input(bug::request), &|| input(fix::request));
}
