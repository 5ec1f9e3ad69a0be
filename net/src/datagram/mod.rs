//! The operations of a datagram socket, one implementation for UDP and Unix.
//!
//! `UdpSocket` and `UnixDatagram` start them. Each is a named future in `recv` or `send`, and has a
//! `poll_*` and a `try_*` variant. Their rules of readiness are simpler than a stream's:
//!
//! ```text
//! readiness cached? --no--> Pending, the waker stays with the source
//!    | yes
//!    v
//! system call --EAGAIN--> clear the readiness, wait again
//!    | one datagram, or an error
//!    v
//! keep the readiness: a datagram shorter than its buffer does not show the next one
//! ```
//!
//! A send follows them by `Readiness::poll_io` and `AsyncFd::try_io`. A receive follows them in
//! `poll_receive` and `try_receive`, because a receive after `shutdown` returns `EAGAIN`, and
//! no further event comes.
//!
//! A datagram is moved whole or not at all, so nothing is ever partly sent. An empty datagram is a
//! datagram like any other. Unlike a stream's, these operations make their system call for an empty
//! buffer, too.
//!
//! The types here are public because the sockets' methods return them; [`udp`](crate::udp) and
//! [`unix`](crate::unix) export them as well.
//!
//! Sources: udp(7), unix(7), recv(2), send(2).

mod recv;
mod send;

pub use self::recv::{Recv, RecvFrom};
pub use self::send::Send;
pub use crate::ready::{DirectionReady, Readable, ReadyFuture, Writable};

pub(crate) use self::recv::{poll_recv, poll_recv_from, try_recv, try_recv_from};
pub(crate) use self::send::{poll_send, poll_send_to, try_send, try_send_to};

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wakeful::io::{AsyncFdReadyGuard, Interest, Readiness};

use crate::socket::{Io, Socket};

/// Waits until the socket is readable and receives one datagram.
#[inline]
pub(crate) fn poll_receive<R: Default>(
    readiness: &mut Readiness<'_, Socket>,
    cx: &mut Context<'_>,
    mut call: impl FnMut(&Socket) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        let mut guard = ready!(Pin::new(&mut *readiness).poll(cx))?;
        if let Some(result) = receive(&mut guard, &mut call) {
            return Poll::Ready(result);
        }
    }
}

/// Receives one datagram if the socket is known to be readable, without waiting.
#[inline]
#[track_caller]
pub(crate) fn try_receive<R: Default>(
    io: &Io,
    call: impl FnOnce(&Socket) -> io::Result<R>,
) -> io::Result<R> {
    io.try_ready(Interest::READABLE)
        .and_then(|mut guard| receive(&mut guard, call))
        .unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
}

/// Makes one system call; `None` if it would block.
///
/// Returns the default value if the receiving direction was shut down. A non-blocking datagram
/// socket returns `EAGAIN` then, and no event would follow.
#[inline]
fn receive<R: Default>(
    guard: &mut AsyncFdReadyGuard<'_, Socket>,
    call: impl FnOnce(&Socket) -> io::Result<R>,
) -> Option<io::Result<R>> {
    match call(guard.get_inner()) {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
            if guard.ready().is_read_closed() {
                return Some(Ok(R::default()));
            }
            guard.clear_ready();
            None
        }
        result => Some(result),
    }
}
