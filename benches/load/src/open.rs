//! Opens connections, each proven by one message there and back.
//!
//! In small groups: a group is connected, then its messages are exchanged, then comes the next one,
//! so that the server's queue of waiting clients never overflows, however slow it is.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::misbehaved;
use crate::pattern::Pattern;

const GROUP: usize = 200;

/// Opens `count` connections, whose numbers begin with `first`. Each has then sent and received
/// `size` bytes, is non-blocking, and will be reset (not closed in order) when it is dropped: after
/// a measurement thousands of connections in TIME_WAIT would only be in the way of the next one.
pub(crate) fn open(
    server: SocketAddr,
    pattern: &Pattern,
    first: usize,
    count: usize,
    size: usize,
    patience: Duration,
) -> io::Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    let mut answer = vec![0; size];
    while streams.len() < count {
        let begin = streams.len();
        for _ in begin..count.min(begin + GROUP) {
            let stream = TcpStream::connect(server)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(patience))?;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
            streams.push(stream);
        }
        for (number, mut stream) in (first + begin..).zip(&streams[begin..]) {
            stream.write_all(pattern.piece(number, 0, size))?;
        }
        for (number, mut stream) in (first + begin..).zip(&streams[begin..]) {
            stream.read_exact(&mut answer)?;
            if answer != pattern.piece(number, 0, size) {
                return Err(misbehaved("sent back other bytes than the first message"));
            }
            stream.set_nonblocking(true)?;
        }
    }
    Ok(streams)
}
