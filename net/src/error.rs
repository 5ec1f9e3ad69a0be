//! Errors with more than an errno: the operation that failed, and its address.
//!
//! Each `bind`, `connect` and lookup wraps its error with [`with_context`], so that the one line a
//! program prints is enough to act on. Transfers and `accept` return the kernel's error unchanged:
//! there the caller knows the peer, and servers need the errno
//! ([`classify_accept_error`](crate::classify_accept_error)).

use std::error::Error;
use std::fmt;
use std::io;

/// Operation, address and cause of a failed `bind`, `connect` or lookup: the payload of its
/// [`io::Error`].
///
/// The `io::Error` around it has the [`kind`](io::Error::kind) of the cause and displays as
/// `bind 127.0.0.1:80: Permission denied (os error 13)`. An `io::Error` cannot have both a message
/// and an errno, so its `raw_os_error()` is `None`; the errno is in [`io_error`](Self::io_error).
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
///     let details = SocketError::downcast_ref(&err).unwrap();
///     assert_eq!(details.operation(), "bind");
///     assert_eq!(details.address(), "/no/such/directory/socket");
///     assert_eq!(details.io_error().raw_os_error(), Some(2)); // ENOENT
/// });
/// ```
pub struct SocketError {
    operation: &'static str,
    address: String,
    io_error: io::Error,
}

impl SocketError {
    /// Returns the details of an error of binding, connecting or looking up; `None` for others.
    #[must_use]
    pub fn downcast_ref(err: &io::Error) -> Option<&Self> {
        err.get_ref()?.downcast_ref()
    }

    /// Returns the operation that failed: `bind`, `connect`, `listen`, `send to` or `look up`.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// Returns the address, as the caller wrote it where a name was given.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the error of the kernel or of the resolver, with its errno.
    #[must_use]
    pub fn io_error(&self) -> &io::Error {
        &self.io_error
    }
}

/// As `Display`, because a `main` that returns the error prints it with `Debug`.
impl fmt::Debug for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.address, self.io_error)
    }
}

// Without `source`: the message contains the cause, so a reporter that walks the chain would print
// it twice.
impl Error for SocketError {}

/// Wraps an error with operation and address. An error that has them already is returned unchanged.
pub(crate) fn with_context(
    operation: &'static str,
    address: impl fmt::Display,
    io_error: io::Error,
) -> io::Error {
    if SocketError::downcast_ref(&io_error).is_some() {
        return io_error;
    }
    let address = address.to_string();
    io::Error::new(
        io_error.kind(),
        SocketError {
            operation,
            address,
            io_error,
        },
    )
}

/// Selects the more useful of the errors of two addresses of one host.
///
/// An error from beyond this machine (refused, timed out) is preferred to one about this machine.
/// For example, `localhost` can have an IPv6 address where IPv6 is off. Among equals the later one
/// is kept.
pub(crate) fn prefer(earlier: Option<io::Error>, later: io::Error) -> io::Error {
    match earlier {
        Some(earlier) if !is_local(&earlier) && is_local(&later) => earlier,
        _ => later,
    }
}

/// Returns whether this machine cannot reach addresses of that kind.
fn is_local(err: &io::Error) -> bool {
    let details = SocketError::downcast_ref(err);
    let errno = details
        .map_or(err, |details| &details.io_error)
        .raw_os_error();
    matches!(
        errno,
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL | libc::ENETUNREACH | libc::EHOSTUNREACH)
    )
}

/// Returns the error for an empty list of addresses.
pub(crate) fn no_address(operation: &'static str) -> io::Error {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, "no address was given or found");
    with_context(operation, "(no address)", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn the_message_names_operation_address_and_cause_and_the_kind_is_kept() {
        let err = with_context("bind", "127.0.0.1:80", os(libc::EACCES));
        assert_eq!(
            err.to_string(),
            "bind 127.0.0.1:80: Permission denied (os error 13)"
        );
        assert_eq!(err.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(err.raw_os_error(), None);
        let details = SocketError::downcast_ref(&err).unwrap();
        assert_eq!(details.io_error().raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn an_error_is_wrapped_once() {
        let err = with_context(
            "connect",
            "host:1",
            with_context("look up", "host:1", os(libc::EIO)),
        );
        assert_eq!(
            SocketError::downcast_ref(&err).unwrap().operation(),
            "look up"
        );
    }

    #[test]
    fn an_error_from_the_network_is_preferred_to_a_local_one() {
        let refused = || with_context("connect", "[::1]:1", os(libc::ECONNREFUSED));
        let unreachable = || with_context("connect", "[::1]:1", os(libc::ENETUNREACH));
        let kept = |a, b| prefer(Some(a), b).kind();
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
            prefer(None, refused()).kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}
