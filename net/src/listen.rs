//! Accepting: which errors concern one connection only, and the loop both kinds of listener share.
//!
//! Called by `tcp::listener` and `unix::listener`; calls `sys::accept`. The readiness of the
//! listener is dropped only when accept4(2) says `EAGAIN`. After `EMFILE` and its like the
//! connection still waits in the kernel's queue and no further edge will come for it, so the
//! readiness has to stay: a retry then finds the connection without a new one arriving.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll, ready};

use wakeful::io::{Interest, Readiness};

use crate::address::RawAddress;
use crate::connect::CallSite;
use crate::socket::{Io, Socket, create};
use crate::sys;

/// How many connections the kernel keeps for a listener until they are accepted, unless told.
///
/// Linux caps it at `net.core.somaxconn`, 4096 by default since 5.4. std's 128 makes a burst of
/// some thousand clients wait seconds for a retransmitted SYN.
pub(crate) const DEFAULT_BACKLOG: u32 = 4096;

/// What a server does about an error of `accept`; see [`accept_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptError {
    /// One connection was lost before it was accepted; accept the next one at once.
    ///
    /// The listeners of this package do that themselves and never return such an error.
    Skip,
    /// Something has run out (descriptors, memory, kernel resources): report it once, keep serving
    /// what is open, and accept again after a pause.
    ///
    /// The connection stays in the kernel's queue, and the listener stays ready: the retry finds it
    /// even if no other client ever comes.
    Backoff,
    /// The listener itself is unusable; accepting again cannot succeed.
    Fatal,
}

/// Sorts an error of `accept` by what a server has to do about it.
///
/// | verdict | errno |
/// |---|---|
/// | [`Skip`](AcceptError::Skip) | `ECONNABORTED` `EPROTO` `EINTR` `ENETDOWN` `ENOPROTOOPT` `EHOSTDOWN` `ENONET` `EHOSTUNREACH` `EOPNOTSUPP` `ENETUNREACH` |
/// | [`Fatal`](AcceptError::Fatal) | `EBADF` `EFAULT` `EINVAL` `ENOTSOCK`, and errors that are not the kernel's (the runtime has ended) |
/// | [`Backoff`](AcceptError::Backoff) | `EMFILE` `ENFILE` `ENOBUFS` `ENOMEM`, and every other: a pause is never wrong |
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// use wakeful_net::{AcceptError, TcpListener, accept_error};
///
/// # wakeful::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     match listener.accept().await {
///         Ok((_stream, peer)) => println!("{peer} is here"),
///         Err(err) => match accept_error(&err) {
///             AcceptError::Skip => {}
///             AcceptError::Backoff => wakeful::time::sleep(Duration::from_millis(50)).await,
///             _ => return Err(err),
///         },
///     }
/// }
/// # #[allow(unreachable_code)]
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// See accept(2), "Error handling".
#[must_use]
pub fn accept_error(err: &io::Error) -> AcceptError {
    match err.raw_os_error() {
        Some(
            libc::ECONNABORTED
            | libc::EPROTO
            | libc::EINTR
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH,
        ) => AcceptError::Skip,
        Some(libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK) | None => {
            AcceptError::Fatal
        }
        Some(_) => AcceptError::Backoff,
    }
}

/// A connection before it is registered, and its peer.
pub(crate) type Accepted = (OwnedFd, RawAddress);

/// Takes one connection as soon as the listener has one. Connections that were lost are skipped.
///
/// The loop is bounded: each round charges the task's I/O budget.
pub(crate) fn poll_accept(
    readiness: &mut Readiness<'_, Socket>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Accepted>> {
    loop {
        match ready!(readiness.poll_io(cx, |socket| sys::accept(socket.as_fd()))) {
            Err(err) if accept_error(&err) == AcceptError::Skip => {}
            result => return Poll::Ready(result),
        }
    }
}

/// As [`poll_accept`], for callers that hold no future; `name` and `caller` are for the task's record.
pub(crate) fn poll_accept_once(
    io: &Io,
    (name, caller): CallSite,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Accepted>> {
    let readiness = io.ready(Interest::READABLE).operation(name);
    poll_accept(&mut readiness.location(caller).by_waker(), cx)
}

/// Starts waiting for connections.
#[track_caller]
pub(crate) fn incoming(io: &Io) -> Readiness<'_, Socket> {
    let name = io
        .get_ref()
        .name("TcpListener::accept", "UnixListener::accept");
    io.ready(Interest::READABLE).operation(name)
}

/// Makes a socket, binds it and listens.
pub(crate) fn bind_and_listen(
    address: &socket2::SockAddr,
    reuse_address: bool,
    backlog: u32,
) -> io::Result<socket2::Socket> {
    let socket = create(address.domain())?;
    if reuse_address {
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// Starts listening; a backlog beyond what listen(2) can be told is the largest it can.
pub(crate) fn listen(socket: &socket2::Socket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(errno: i32) -> AcceptError {
        accept_error(&io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_lost_connection_is_skipped() {
        let lost = [
            libc::ECONNABORTED,
            libc::EPROTO,
            libc::EINTR,
            libc::ENETDOWN,
            libc::ENOPROTOOPT,
            libc::EHOSTDOWN,
            libc::ENONET,
            libc::EHOSTUNREACH,
            libc::EOPNOTSUPP,
            libc::ENETUNREACH,
        ];
        for errno in lost {
            assert_eq!(verdict(errno), AcceptError::Skip, "{errno}");
        }
    }

    #[test]
    fn exhaustion_and_the_unknown_ask_for_a_pause() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(verdict(errno), AcceptError::Backoff, "{errno}");
        }
        for errno in [libc::EPERM, libc::ENOSPC, libc::ETIMEDOUT, 4095] {
            assert_eq!(verdict(errno), AcceptError::Backoff, "{errno}");
        }
    }

    #[test]
    fn a_broken_listener_is_fatal() {
        for errno in [libc::EBADF, libc::EFAULT, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(verdict(errno), AcceptError::Fatal, "{errno}");
        }
        assert_eq!(
            accept_error(&io::Error::other("runtime has ended")),
            AcceptError::Fatal
        );
    }
}
