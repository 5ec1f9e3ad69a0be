//! Accepting: the futures of both kinds of listener, and the classification of `accept` errors.
//!
//! Started by `tcp::listener` and `unix::listener`; calls `Socket::accept`. Each connection costs one
//! accept4(2) and one epoll_ctl(2). After each, one poll(2) asks whether there is another.
//!
//! The readiness of the listener is cleared only when poll(2) or accept4(2) finds no connection. After `EMFILE`
//! and similar errors the connection is still in the kernel's queue, and no further event would
//! come for it. So the readiness stays, and a retry finds the connection although no new one
//! arrives.

use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use socket2::SockAddr;
use wakeful::io::{Interest, Readiness};

use crate::address::Address;
use crate::call_site::CallSite;
use crate::socket::{Family, Io, Socket, new_socket, register_writable};
use crate::sys::{self, Descriptor};

/// Connections that the kernel queues for a listener until they are accepted, by default.
///
/// Linux caps it at `net.core.somaxconn`, 4096 by default since 5.4. With std's 128, a burst of
/// some thousand clients waits seconds for a retransmitted SYN.
pub(crate) const DEFAULT_BACKLOG: u32 = 4096;

/// What a server does about an error of `accept`; see [`classify_accept_error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcceptErrorKind {
    /// A connection that was lost before it was accepted. Accept the next one at once.
    ///
    /// The listeners of this package do that themselves and never return such an error.
    Skip,
    /// A shortage of descriptors, memory or kernel resources. Report it once, continue to serve
    /// open connections, and accept again after a pause.
    ///
    /// If accept4(2) failed, the connection stays in the kernel's queue, and the listener stays ready:
    /// the retry finds it even if no other client connects. If registering the connection failed, it
    /// was closed.
    Backoff,
    /// An unusable listener. Accepting again cannot succeed.
    Fatal,
}

/// Classifies an error of `accept` by what a server does about it.
///
/// | kind | errno |
/// |---|---|
/// | [`Skip`](AcceptErrorKind::Skip) | `ECONNABORTED` `EPROTO` `EINTR` `ENETDOWN` `ENOPROTOOPT` `EHOSTDOWN` `ENONET` `EHOSTUNREACH` `EOPNOTSUPP` `ENETUNREACH` |
/// | [`Fatal`](AcceptErrorKind::Fatal) | `EBADF` `EFAULT` `EINVAL` `ENOTSOCK`, and errors that are not the kernel's (the runtime has ended) |
/// | [`Backoff`](AcceptErrorKind::Backoff) | `EMFILE` `ENFILE` `ENOBUFS` `ENOMEM`, and every other, because a pause is never wrong |
///
/// # Examples
///
/// ```no_run
/// # use std::time::Duration;
/// use wakeful_net::{AcceptErrorKind, TcpListener, classify_accept_error};
///
/// # wakeful::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// loop {
///     match listener.accept().await {
///         Ok((_stream, peer)) => println!("{peer} connected"),
///         Err(err) => match classify_accept_error(&err) {
///             AcceptErrorKind::Skip => {}
///             AcceptErrorKind::Backoff => wakeful::time::sleep(Duration::from_millis(50)).await,
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
pub fn classify_accept_error(err: &io::Error) -> AcceptErrorKind {
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
        ) => AcceptErrorKind::Skip,
        Some(libc::EBADF | libc::EFAULT | libc::EINVAL | libc::ENOTSOCK) | None => {
            AcceptErrorKind::Fatal
        }
        Some(_) => AcceptErrorKind::Backoff,
    }
}

/// A stream type whose connections a listener accepts. User code can neither name nor implement it.
pub trait Accepted: Sized {
    /// The type of the peer's address.
    type Address: Address;

    #[doc(hidden)]
    const FAMILY: Family;

    /// Wraps a registered connection.
    #[doc(hidden)]
    fn from_io(io: Io) -> Self;
}

/// The future of [`TcpListener::accept`](crate::TcpListener::accept) and
/// [`UnixListener::accept`](crate::UnixListener::accept).
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Accept<'a, S> {
    readiness: Readiness<'a, Socket>,
    stream: PhantomData<fn() -> S>,
}

impl<'a, S> Accept<'a, S> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io) -> Self {
        let socket = io.get_ref();
        let name = socket.name("TcpListener::accept", "UnixListener::accept");
        Self {
            readiness: io.ready(Interest::READABLE).operation(name),
            stream: PhantomData,
        }
    }
}

impl<S: Accepted> Future for Accept<'_, S> {
    type Output = io::Result<(S, S::Address)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        poll_accept(&mut self.readiness, cx)
    }
}

impl<S> fmt::Debug for Accept<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept")
            .field("readiness", &self.readiness)
            .finish_non_exhaustive()
    }
}

/// The stream of [`TcpListener::incoming`](crate::TcpListener::incoming) and
/// [`UnixListener::incoming`](crate::UnixListener::incoming).
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Incoming<'a, S>(Accept<'a, S>);

impl<'a, S> Incoming<'a, S> {
    #[track_caller]
    pub(crate) fn new(io: &'a Io) -> Self {
        Self(Accept::new(io))
    }
}

impl<S: Accepted> Stream for Incoming<'_, S> {
    type Item = io::Result<S>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = ready!(poll_accept::<S>(&mut self.0.readiness, cx));
        Poll::Ready(Some(accepted.map(|(stream, _peer)| stream)))
    }
}

/// Polls for the next connection, on behalf of the operation of `call_site`.
pub(crate) fn poll_accept_for<S: Accepted>(
    io: &Io,
    (name, location): CallSite,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(S, S::Address)>> {
    let readiness = io.ready(Interest::READABLE).operation(name);
    poll_accept(&mut readiness.location(location).by_waker(), cx)
}

/// Accepts and registers one connection. Connections that were lost are skipped.
///
/// The loop is bounded, because each round charges the task's I/O budget.
fn poll_accept<S: Accepted>(
    readiness: &mut Readiness<'_, Socket>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<(S, S::Address)>> {
    loop {
        match ready!(readiness.poll_io(cx, Socket::accept)) {
            Err(err) if classify_accept_error(&err) == AcceptErrorKind::Skip => {}
            accepted => return Poll::Ready(accepted.and_then(connected)),
        }
    }
}

/// Registers an accepted connection. If that fails, the connection is closed.
fn connected<S: Accepted>(
    (descriptor, peer): (Descriptor, SockAddr),
) -> io::Result<(S, S::Address)> {
    let io = register_writable(descriptor, S::FAMILY)?;
    Ok((S::from_io(io), S::Address::from_kernel(Some(&peer))?))
}

/// Creates a socket, binds it and listens.
pub(crate) fn bind_and_listen(
    address: &SockAddr,
    family: Family,
    reuse_address: bool,
) -> io::Result<Descriptor> {
    let socket = new_socket(address.domain(), family)?;
    if reuse_address {
        socket.options().set_reuse_address(true)?;
    }
    sys::bind(socket.as_fd(), address)?;
    sys::listen(socket.as_fd(), DEFAULT_BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(errno: i32) -> AcceptErrorKind {
        classify_accept_error(&io::Error::from_raw_os_error(errno))
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
            assert_eq!(kind(errno), AcceptErrorKind::Skip, "{errno}");
        }
    }

    #[test]
    fn exhaustion_and_unknown_errors_need_a_pause() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
            assert_eq!(kind(errno), AcceptErrorKind::Backoff, "{errno}");
        }
        for errno in [libc::EPERM, libc::ENOSPC, libc::ETIMEDOUT, 4095] {
            assert_eq!(kind(errno), AcceptErrorKind::Backoff, "{errno}");
        }
    }

    #[test]
    fn a_broken_listener_is_fatal() {
        for errno in [libc::EBADF, libc::EFAULT, libc::EINVAL, libc::ENOTSOCK] {
            assert_eq!(kind(errno), AcceptErrorKind::Fatal, "{errno}");
        }
        assert_eq!(
            classify_accept_error(&io::Error::other("runtime has ended")),
            AcceptErrorKind::Fatal
        );
    }
}
