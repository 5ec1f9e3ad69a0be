//! W8. "Reading until the end or a delimiter suffices for an immediate echo"
//!
//! From: E. Stage: 11.
//! Input: a client sends "a", and waits for the echo.
//! Bug: asleep forever, 0 bytes back
//! Fix: asleep forever, 1 byte back
//!
//! The delimiter does not come, and the end comes only after the echo: both sides wait. A client can also send more
//! bytes without a delimiter than fit into memory. An immediate echo writes back the bytes of each read. The fixed
//! server sleeps, too, but after its answer.

use std::io::{self, Read, Write};

use card::{Conn, outcome};

mod bug {
    use super::*;

    pub fn echo(connection: &mut Conn) -> io::Result<()> {
        let (mut line, mut byte) = (Vec::new(), [0]);
        while connection.read(&mut byte)? > 0 {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                connection.write_all(&line)?;
                line.clear();
            }
        }
        connection.write_all(&line)
    }
}

mod fix {
    use super::*;

    pub fn echo(connection: &mut Conn) -> io::Result<()> {
        let mut buffer = [0; 512];
        loop {
            let n = connection.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            connection.write_all(&buffer[..n])?;
        }
    }
}

fn input(echo: fn(&mut Conn) -> io::Result<()>) -> String {
    let mut connection = Conn::of(&[b"a"]).then_silent();
    let end = outcome(|| echo(&mut connection).unwrap()).unwrap_err();
    format!("{end}, {} back", card::count(connection.written.len(), "byte"))
}

fn main() {
    card::run(&|| input(bug::echo), &|| input(fix::echo));
}
