//! Opens connections and verifies each with one echoed message.
//!
//! Connections are opened in small groups: connect all of a group, echo its messages, then continue
//! with the next group. Otherwise the backlog of a slow server could overflow.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::pattern::Pattern;
use crate::server_error;

const GROUP: usize = 200;

/// Opens `count` connections with numbers from `first` on.
///
/// Each has sent and received `size` bytes and is non-blocking. Dropping a connection resets it.
/// Otherwise thousands of connections in TIME_WAIT would disturb the next measurement.
pub(crate) fn open(
    server: SocketAddr,
    pattern: &Pattern,
    first: usize,
    count: usize,
    size: usize,
    timeout: Duration,
) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    let mut answer = vec![0; size];
    while streams.len() < count {
        let begin = streams.len();
        for _ in begin..count.min(begin + GROUP) {
            streams.push(connect(server, timeout)?);
        }
        for (number, mut stream) in (first + begin..).zip(&streams[begin..]) {
            stream.write_all(pattern.piece(number, 0, size))?;
        }
        for (number, mut stream) in (first + begin..).zip(&streams[begin..]) {
            stream.read_exact(&mut answer)?;
            if answer != pattern.piece(number, 0, size) {
                return Err(server_error("echoed wrong bytes in the first message"));
            }
            stream.set_nonblocking(true)?;
        }
    }
    Ok(streams)
}

/// Opens a connection that still blocks. Dropping it resets it.
pub(crate) fn connect(server: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    Ok(stream)
}
