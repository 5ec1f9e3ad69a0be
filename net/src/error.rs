//! Errors with more than an errno: the operation that failed, and its address.
//!
//! Each `bind`, `connect`, lookup and socket option wraps its error with [`with_context`], so that the one
//! line a program prints is enough to act on. Transfers and `accept` return the kernel's error unchanged:
//! there the caller knows the peer, and servers need the errno
//! ([`classify_accept_error`](crate::classify_accept_error)). The exceptions are errors of the caller: a
//! datagram that is too long, and an address of another family than the socket's.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::BorrowedFd;

use socket2::{Domain, SockAddr, SockRef};

/// Operation, address and cause of a failed `bind`, `connect`, lookup, or of a datagram or a socket option
/// that cannot be: the payload of its [`io::Error`].
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
    /// What is allowed, where the kernel's error does not say it.
    hint: Option<String>,
    io_error: io::Error,
}

impl SocketError {
    /// Returns the details of an error that has an operation and an address; `None` for others.
    #[must_use]
    pub fn downcast_ref(err: &io::Error) -> Option<&Self> {
        err.get_ref()?.downcast_ref()
    }

    /// Returns the operation that failed: `bind`, `connect`, `listen`, `send to` or `look up`; of an option,
    /// such as `set IP_TTL to`; `join` or `leave` of a multicast group.
    #[must_use]
    pub fn operation(&self) -> &str {
        self.operation
    }

    /// Returns the address, as the caller wrote it where a name was given; the value of an option.
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
        write!(f, "{} {}: ", self.operation, self.address)?;
        if let Some(hint) = &self.hint {
            write!(f, "{hint}: ")?;
        }
        self.io_error.fmt(f)
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
    wrap(operation, address, None, io_error)
}

/// As [`with_context`], with a text about what is allowed before the cause.
pub(crate) fn with_hint(
    operation: &'static str,
    address: impl fmt::Display,
    hint: impl Into<String>,
    io_error: io::Error,
) -> io::Error {
    wrap(operation, address, Some(hint.into()), io_error)
}

fn wrap(
    operation: &'static str,
    address: impl fmt::Display,
    hint: Option<String>,
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
            hint,
            io_error,
        },
    )
}

/// Returns the error for a value that is not allowed.
pub(crate) fn not_allowed(
    operation: &'static str,
    value: impl fmt::Display,
    allowed: impl Into<String>,
) -> io::Error {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, allowed.into());
    with_context(operation, value, cause)
}

/// Sets an option to a number in the allowed range. The kernel does not refuse all others: it would take the
/// low bits of some, and `u32::MAX` for the default.
pub(crate) fn set_in_range(
    operation: &'static str,
    value: u32,
    allowed: RangeInclusive<u32>,
    set: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if !allowed.contains(&value) {
        let allowed = format!("allowed are {} to {}", allowed.start(), allowed.end());
        return Err(not_allowed(operation, value, allowed));
    }
    set().map_err(|err| with_context(operation, value, err))
}

/// Adds to an error that the socket is for addresses of another family, if it is.
pub(crate) fn explain_family(
    operation: &'static str,
    socket: BorrowedFd<'_>,
    address: &SockAddr,
    err: io::Error,
) -> io::Error {
    // Others cost no system call.
    let is_possible = matches!(
        err.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EINVAL | libc::ENETUNREACH)
    );
    if !is_possible {
        return err;
    }
    match SockRef::from(&socket).domain() {
        Ok(domain) if domain != address.domain() => {
            let hint = format!("the socket is for {} addresses only", family_name(domain));
            with_hint(operation, Shown(address), hint, err)
        }
        _ => err,
    }
}

/// Returns the name of a family of addresses.
pub(crate) fn family_name(domain: Domain) -> String {
    match domain {
        Domain::IPV4 => "IPv4".to_owned(),
        Domain::IPV6 => "IPv6".to_owned(),
        Domain::UNIX => "Unix".to_owned(),
        other => format!("{other:?}"),
    }
}

/// An address of any family as text.
pub(crate) struct Shown<'a>(pub(crate) &'a SockAddr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_socket(), self.0.as_pathname()) {
            (Some(address), _) => address.fmt(f),
            (_, Some(path)) => path.display().fmt(f),
            _ => f.write_str("(unnamed)"),
        }
    }
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
