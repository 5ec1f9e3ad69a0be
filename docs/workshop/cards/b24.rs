//! B24. Given up, but not closed
//!
//! From: F. Stage: 10.
//! Input: a client pauses for eleven deadlines, and then sends a request.
//! Bug: 0 bytes back, open
//! Fix: 0 bytes back, closed
//!
//! After the eleventh deadline the handler returns, and the connection stays open without a handler. The client
//! waits for an answer that never comes, and the descriptor is lost. A handler that ends closes its connection;
//! the client then gets an error, and can connect again.

use std::io::{ErrorKind, Read, Write};

use card::{Conn, Got};

mod bug {
    use super::*;

    pub fn serve(connection: &mut Conn) {
        let (mut request, mut timeouts) = ([0; 3], 0);
        loop {
            match connection.read(&mut request) {
                Ok(0) => break,
                Ok(n) if connection.write_all(&request[..n]).is_ok() => timeouts = 0,
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    timeouts += 1;
                    if timeouts > 10 {
                        return;
                    }
                }
                _ => break,
            }
        }
        connection.close();
    }
}

mod fix {
    use super::*;

    pub fn serve(connection: &mut Conn) {
        let (mut request, mut timeouts) = ([0; 3], 0);
        loop {
            match connection.read(&mut request) {
                Ok(0) => break,
                Ok(n) if connection.write_all(&request[..n]).is_ok() => timeouts = 0,
                Err(error) if error.kind() == ErrorKind::TimedOut && timeouts < 10 => timeouts += 1,
                _ => break,
            }
        }
        // The only way out: with `Drop` it cannot be forgotten.
        connection.close();
    }
}

fn input(serve: fn(&mut Conn)) -> String {
    let mut reads = vec![Got::Error(ErrorKind::TimedOut); 11];
    reads.push(Got::Bytes(b"get"));
    let mut connection = Conn::new(&reads);
    serve(&mut connection);
    connection.state()
}

fn main() {
    card::run(&|| input(bug::serve), &|| input(fix::serve));
}
