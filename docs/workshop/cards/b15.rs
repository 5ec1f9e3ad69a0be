//! B15. The end of a stream is no error
//!
//! From: V. Stage: 6.
//! Input: a client sends three bytes and closes.
//! Bug: never sleeps
//! Fix: 3 bytes back, closed
//!
//! At the end of a stream, `read` succeeds with 0 bytes, each time. The loop ends only with an error, so it
//! uses a core forever and never closes the connection. 0 bytes is the end.

use std::io::{self, Read, Write};

use card::Conn;

mod bug {
    use super::*;

    pub fn echo(connection: &mut Conn) {
        let mut buffer = [0; 32];
        loop {
            match connection.read(&mut buffer) {
                Err(_) => break,
                Ok(n) => {
                    if connection.write(&buffer[..n]).is_err() {
                        break;
                    }
                }
            }
        }
        connection.close();
    }
}

mod fix {
    use super::*;

    pub fn echo(connection: &mut Conn) {
        let mut buffer = [0; 32];
        let copied = loop {
            match connection.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Err(error) => break Err(error),
                Ok(n) => {
                    if let Err(error) = connection.write_all(&buffer[..n]) {
                        break Err(error);
                    }
                }
            }
        };
        log(copied);
        connection.close();
    }
}

fn log(result: io::Result<()>) {
    if let Err(error) = result {
        eprintln!("echo: {error}");
    }
}

fn input(echo: fn(&mut Conn)) -> String {
    let mut connection = Conn::of(&[b"abc"]);
    echo(&mut connection);
    connection.state()
}

fn main() {
    card::run(&|| input(bug::echo), &|| input(fix::echo));
}
