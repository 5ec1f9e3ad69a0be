//! Errors that carry more than an errno: which operation failed on which address.
//!
//! Every `bind`, `connect` and look-up wraps its error with [`context`], so that the one line a
//! program prints is enough to act on. Transfers and `accept` hand errors on as the kernel gave
//! them: there the caller knows the peer, and servers look at the errno
//! ([`accept_error`](crate::accept_error)).

use std::error::Error;
use std::fmt;
use std::io;

/// What failed, on which address, and why: the payload of the [`io::Error`]s of binding, connecting
/// and looking up.
///
/// The `io::Error` around it has the [`kind`](io::Error::kind) of the cause and displays as
/// `bind 127.0.0.1:80: Permission denied (os error 13)`. An `io::Error` cannot have both a message
/// and an errno, so its `raw_os_error()` is `None`; the errno is in [`cause`](Self::cause).
///
/// # Examples
///
/// ```
/// use wakeful_net::{SocketError, UnixListener};
///
/// wakeful::block_on(async {
///     let err = UnixListener::bind("/no/such/directory/socket").unwrap_err();
///     assert_eq!(err.kind(), std::io::ErrorKind::NotFound);
///
///     let details = SocketError::of(&err).unwrap();
///     assert_eq!(details.operation(), "bind");
///     assert_eq!(details.address(), "/no/such/directory/socket");
///     assert_eq!(details.cause().raw_os_error(), Some(2)); // ENOENT
/// });
/// ```
pub struct SocketError {
    operation: &'static str,
    address: String,
    cause: io::Error,
}

impl SocketError {
    /// Finds the details in an error, if it came from binding, connecting or looking up.
    #[must_use]
    pub fn of(err: &io::Error) -> Option<&Self> {
        err.get_ref()?.downcast_ref()
    }

    /// Says what was tried: `bind`, `connect`, `listen` or `look up`.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// Says on which address, in the words of the caller where a name was given.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Gives the error as it came from the kernel or from the resolver, with its errno.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }
}

/// As `Display`: this is what a `main` that returns the error prints.
impl fmt::Debug for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.address, self.cause)
    }
}

// No `source`: the cause is part of the message already, and a reporter that walks the chain would
// print it twice.
impl Error for SocketError {}

/// Wraps an error with what was tried on which address; one that says so already stays as it is.
pub(crate) fn context(
    operation: &'static str,
    address: impl fmt::Display,
    cause: io::Error,
) -> io::Error {
    if SocketError::of(&cause).is_some() {
        return cause;
    }
    let address = address.to_string();
    io::Error::new(
        cause.kind(),
        SocketError {
            operation,
            address,
            cause,
        },
    )
}

/// Of the errors of two addresses of one host, keeps the one that tells a person more.
///
/// An error from beyond this machine (refused, timed out) tells more than one that only says that
/// this machine cannot talk to that kind of address, as when `localhost` also has an IPv6 address
/// and IPv6 is off. Among equals the later one is kept.
pub(crate) fn more_useful(earlier: Option<io::Error>, later: io::Error) -> io::Error {
    match earlier {
        Some(earlier) if !is_local(&earlier) && is_local(&later) => earlier,
        _ => later,
    }
}

fn is_local(err: &io::Error) -> bool {
    let errno = SocketError::of(err).map_or(err.raw_os_error(), |e| e.cause.raw_os_error());
    matches!(
        errno,
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::ENETUNREACH | libc::EHOSTUNREACH)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn the_message_names_operation_address_and_cause_and_the_kind_is_kept() {
        let err = context("bind", "127.0.0.1:80", os(libc::EACCES));
        assert_eq!(
            err.to_string(),
            "bind 127.0.0.1:80: Permission denied (os error 13)"
        );
        assert_eq!(err.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(err.raw_os_error(), None);
        let details = SocketError::of(&err).unwrap();
        assert_eq!(details.cause().raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn an_error_is_wrapped_once() {
        let err = context(
            "connect",
            "host:1",
            context("look up", "host:1", os(libc::EIO)),
        );
        assert_eq!(SocketError::of(&err).unwrap().operation(), "look up");
    }

    #[test]
    fn the_error_of_an_address_that_answered_is_kept() {
        let refused = || context("connect", "[::1]:1", os(libc::ECONNREFUSED));
        let unreachable = || context("connect", "[::1]:1", os(libc::ENETUNREACH));
        let kept = |a, b| more_useful(Some(a), b).kind();
        assert_eq!(
            kept(refused(), unreachable()),
            io::ErrorKind::ConnectionRefused
        );
        assert_eq!(
            kept(unreachable(), refused()),
            io::ErrorKind::ConnectionRefused
        );
        assert_eq!(
            kept(refused(), os(libc::ETIMEDOUT)),
            io::ErrorKind::TimedOut
        );
        assert_eq!(
            more_useful(None, refused()).kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
