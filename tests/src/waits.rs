//! Helpers of the tests of waits: registered sockets in a known state, and yields with a bound.

use std::io::Read;
use std::os::unix::net::UnixStream;

use wakeful::io::AsyncFd;
use wakeful::task::yield_now;

use crate::fd::{self, fill, first_event};

/// External wakers that a descriptor keeps per direction for `poll_*` functions, at most.
pub const EXTERNAL_WAKERS_AT_MOST: usize = 16;

/// A registered socket.
pub type Source = AsyncFd<UnixStream>;

/// Registers a socket that is writable and not readable; returns it and its blocking peer. Its first
/// event has been dispatched.
///
/// # Panics
///
/// When it cannot be created.
pub async fn source() -> (Source, UnixStream) {
    let (fd, there) = fd::source();
    first_event(&fd).await;
    (fd, there)
}

/// Registers a socket without room for more output; returns it, its blocking peer, and the number of
/// bytes that it holds.
///
/// # Panics
///
/// When it cannot be created.
pub async fn full_source() -> (Source, UnixStream, usize) {
    let (fd, there) = source().await;
    let sent = fill(&fd);
    (fd, there, sent)
}

/// Reads exactly `count` bytes from a socket.
///
/// # Panics
///
/// When the socket has fewer.
pub fn take(mut socket: &UnixStream, count: usize) {
    socket
        .read_exact(&mut vec![0; count])
        .expect("enough bytes");
}

/// Yields until `condition` holds, `rounds` times at most.
pub async fn yield_until(rounds: usize, condition: impl Fn() -> bool) {
    for _ in 0..rounds {
        if condition() {
            return;
        }
        yield_now().await;
    }
}
