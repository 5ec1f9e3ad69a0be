//! The operations of a datagram socket, one implementation for UDP and Unix.
//!
//! `UdpSocket` and `UnixDatagram` start them; each is a named future in `recv`, `send` or `wait`.
//! All go through `poll_io` (a future that waits), `poll_io_once` (the `poll_*` methods) or
//! `try_io` (never waits), and those end in `attempt`, where the rules of edge-triggered
//! readiness are kept. They are simpler than a stream's:
//!
//! ```text
//! readiness cached? --no--> Pending, the waker stays with the source
//!    | yes
//!    v
//! system call --EAGAIN--> drop the readiness, ask again
//!    | one datagram, or an error
//!    v
//! keep the readiness: a datagram that is shorter than its buffer says nothing about the next one
//! ```
//!
//! A datagram is moved whole or not at all, so nothing is ever partly sent, and an empty one is a
//! datagram like any other: unlike a stream's, these operations make their system call for an empty
//! buffer, too.
//!
//! The types here are public because the sockets' methods return them; [`udp`](crate::udp) and
//! [`unix`](crate::unix) have them under the names that belong to each.
//!
//! Sources: udp(7), unix(7), recv(2), send(2).

mod recv;
mod send;
mod wait;

pub use recv::{Recv, RecvFrom};
pub use send::Send;
pub use wait::{Wait, WaitReady};

pub(crate) use recv::{poll_recv, poll_recv_from, try_recv, try_recv_from};
pub(crate) use send::{poll_send, poll_send_to_once, try_send, try_send_to};
pub(crate) use wait::poll_ready;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use wakeful::io::{AsyncFd, AsyncFdReadyGuard, Interest, Readiness, Ready};

use crate::address::RawAddress;
use crate::sys;

/// A registered datagram socket.
pub(crate) type Io = AsyncFd<Socket>;

/// Which kind of datagram socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Udp,
    Unix,
}

/// Whether received bytes stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Take,
    Peek,
}

/// A non-blocking datagram socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    family: Family,
}

impl Socket {
    fn new(fd: impl Into<OwnedFd>, family: Family) -> Self {
        Self {
            fd: fd.into(),
            family,
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    /// Chooses the name of an operation as users know it.
    #[inline]
    fn name(&self, udp: &'static str, unix: &'static str) -> &'static str {
        match self.family {
            Family::Udp => udp,
            Family::Unix => unix,
        }
    }

    /// The socket for setting and reading options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    #[inline]
    fn recv(&self, buf: &mut [u8], mode: Mode) -> io::Result<usize> {
        let moved = match mode {
            Mode::Take => sys::recv(self.as_fd(), buf),
            Mode::Peek => sys::peek(self.as_fd(), buf),
        };
        moved.map(|moved| moved.transferred())
    }

    #[inline]
    fn recv_from(&self, buf: &mut [u8], mode: Mode) -> io::Result<(usize, RawAddress)> {
        sys::recv_from(self.as_fd(), buf, mode == Mode::Peek)
    }

    #[inline]
    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), buf).map(|moved| moved.transferred())
    }

    #[inline]
    pub(crate) fn send_to(&self, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
        sys::send_to(self.as_fd(), buf, target)
    }
}

impl AsFd for Socket {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a receive gives when the receiving direction was shut down: `recv(2)` of a non-blocking
/// datagram socket says `EAGAIN` then, and no event would ever follow.
pub(crate) trait Received {
    fn nothing() -> Self;
}

impl Received for usize {
    fn nothing() -> Self {
        0
    }
}

impl Received for (usize, RawAddress) {
    fn nothing() -> Self {
        (0, RawAddress::new())
    }
}

/// Creates a datagram socket that is non-blocking and close-on-exec from its first moment.
pub(crate) fn create(domain: Domain) -> io::Result<socket2::Socket> {
    let protocol = (domain != Domain::UNIX).then_some(Protocol::UDP);
    socket2::Socket::new_raw(domain, Type::DGRAM.nonblocking().cloexec(), protocol)
}

/// Registers a socket that this package made itself, as `crate::socket::register` does for streams.
/// Its first send need not wait for an event to say that there is room.
#[track_caller]
pub(crate) fn register(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    let io = Io::new_exclusive(Socket::new(fd, family))?;
    io.assume_ready(Ready::WRITABLE);
    Ok(io)
}

/// Registers a socket that came from outside: makes it non-blocking, and has drop deregister it,
/// since it may have been duplicated before.
#[track_caller]
pub(crate) fn adopt(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    let socket = Socket::new(fd, family);
    socket.options().set_nonblocking(true)?;
    let io = Io::new(socket)?;
    io.assume_ready(Ready::WRITABLE);
    Ok(io)
}

/// Gives the descriptor to outside code, which may duplicate it.
pub(crate) fn expose(io: &Io) -> BorrowedFd<'_> {
    io.mark_duplicated();
    io.get_ref().as_fd()
}

/// Waits until the socket is ready and moves one datagram.
#[inline]
pub(crate) fn poll_io<R: Received>(
    readiness: &mut Readiness<'_, Socket>,
    cx: &mut Context<'_>,
    mut call: impl FnMut(&Socket) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        let mut guard = ready!(Pin::new(&mut *readiness).poll(cx))?;
        if let Some(result) = attempt(&mut guard, &mut call) {
            return Poll::Ready(result);
        }
    }
}

/// The same for callers that hold no future.
#[inline]
#[track_caller]
fn poll_io_once<R: Received>(
    io: &Io,
    interest: Interest,
    name: &'static str,
    cx: &mut Context<'_>,
    mut call: impl FnMut(&Socket) -> io::Result<R>,
) -> Poll<io::Result<R>> {
    loop {
        let mut readiness = io.ready(interest).operation(name).by_waker();
        let mut guard = ready!(Pin::new(&mut readiness).poll(cx))?;
        if let Some(result) = attempt(&mut guard, &mut call) {
            return Poll::Ready(result);
        }
    }
}

/// Moves one datagram if the socket is ready as far as is known, else says `WouldBlock`.
#[inline]
fn try_io<R: Received>(
    io: &Io,
    interest: Interest,
    call: impl FnOnce(&Socket) -> io::Result<R>,
) -> io::Result<R> {
    let attempted = match io.try_ready(interest) {
        Some(mut guard) => attempt(&mut guard, call),
        None => None,
    };
    attempted.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))
}

/// One system call under a guard; `None` means that it would have blocked.
#[inline]
fn attempt<R: Received>(
    guard: &mut AsyncFdReadyGuard<'_, Socket>,
    call: impl FnOnce(&Socket) -> io::Result<R>,
) -> Option<io::Result<R>> {
    match call(guard.get_inner()) {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
            // Only known to somebody who waits to read: nobody will ever send to this socket again.
            if guard.ready().is_read_closed() {
                return Some(Ok(R::nothing()));
            }
            guard.clear_ready();
            None
        }
        result => Some(result),
    }
}
