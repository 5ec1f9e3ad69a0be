//! B23. Try again, whatever it was
//!
//! From: F. Stage: 10.
//! Input: a client sends a request, waits for two deadlines, and closes.
//! Bug: never sleeps
//! Fix: 3 bytes back, closed
//!
//! Each error is treated as a deadline that has passed. The end of the stream is such an error here, and it
//! comes at once, so the loop uses a core. Only deadlines increase the counter, so it never ends. Match the kind
//! of the error, and wait again only after a deadline.

use std::io::{self, ErrorKind, Read, Write};

use card::{Conn, Got};

mod bug {
    use super::*;

    pub fn serve(connection: &mut Conn) {
        let (mut request, mut timeouts) = ([0; 3], 0);
        while timeouts <= 10 {
            match connection.read_exact(&mut request) {
                Ok(()) => {
                    timeouts = 0;
                    let _ = connection.write_all(&request);
                }
                Err(error) => timeouts += u32::from(is_timeout(&error)),
            }
        }
        connection.close();
    }
}

mod fix {
    use super::*;

    pub fn serve(connection: &mut Conn) {
        let (mut request, mut timeouts) = ([0; 3], 0);
        while timeouts <= 10 {
            match connection.read_exact(&mut request) {
                Ok(()) => {
                    timeouts = 0;
                    if connection.write_all(&request).is_err() {
                        break;
                    }
                }
                Err(error) if is_timeout(&error) => timeouts += 1,
                Err(_) => break,
            }
        }
        connection.close();
    }
}

fn is_timeout(error: &io::Error) -> bool {
    error.kind() == ErrorKind::TimedOut
}

fn input(serve: fn(&mut Conn)) -> String {
    let timeout = || Got::Error(ErrorKind::TimedOut);
    let mut connection = Conn::new(&[Got::Bytes(b"get"), timeout(), timeout()]);
    serve(&mut connection);
    connection.state()
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
