//! A non-blocking socket, and its registration with the runtime.
//!
//! Each listener, stream and datagram socket of this package holds an [`Io`], an `AsyncFd` around a
//! [`Socket`], so the operations in `stream`, `datagram`, `listen` and `connect` exist once. The
//! family decides how a stream receives ([`Socket::recv`]) and under which name an operation
//! appears in the task info ([`Socket::name`]).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use socket2::{Domain, Protocol, SockAddr, SockRef, Type};
use wakeful::io::{AsyncFd, IoCount, Ready};
use wakeful::trace::Operation;

use crate::address::Address;
use crate::error::{Shown, explain_family, family_name, not_allowed, with_hint};
use crate::record::{accepted, recorded};
use crate::sys::{self, Descriptor};

/// A registered socket.
pub(crate) type Io = AsyncFd<Socket>;

/// Kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Tcp,
    Unix,
    Udp,
    UnixDatagram,
}

impl Family {
    /// Returns the kind of socket that the kernel calls this family's.
    fn kind(self) -> Type {
        match self {
            Family::Tcp | Family::Unix => Type::STREAM,
            Family::Udp | Family::UnixDatagram => Type::DGRAM,
        }
    }
}

/// Whether a received datagram stays in the kernel's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Take,
    Peek,
}

/// Number of connections after each of which a listener asks whether there is another.
const ASKED_EACH: u8 = 8;

/// Returns whether a listener asks before it accepts, by the number of connections since its queue was
/// empty. In a long burst it asks at powers of two, because then another one is likely.
fn asks_first(accepted: u8) -> bool {
    (1..=ASKED_EACH).contains(&accepted) || accepted.is_power_of_two()
}

/// A non-blocking socket.
#[derive(Debug)]
pub struct Socket {
    descriptor: Descriptor,
    family: Family,
    /// Of a listener: number of connections accepted since the queue was last found empty, modulo 256. One byte,
    /// because each connection has it too. Relaxed, because a stale value costs one system call.
    accepted: AtomicU8,
}

impl Socket {
    fn new(descriptor: Descriptor, family: Family) -> Self {
        Self {
            descriptor,
            family,
            accepted: AtomicU8::new(0),
        }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.descriptor.into_fd()
    }

    #[inline]
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Selects the public name of an operation that an IP and a Unix socket share.
    #[inline]
    pub(crate) fn name(&self, ip: &'static str, unix: &'static str) -> &'static str {
        match self.family {
            Family::Tcp | Family::Udp => ip,
            Family::Unix | Family::UnixDatagram => unix,
        }
    }

    /// Returns the socket for setting and reading options.
    pub(crate) fn options(&self) -> SockRef<'_> {
        self.descriptor.options()
    }

    /// Accepts a connection.
    ///
    /// After one, the queue is mostly empty. An accept4(2) that finds that is eight times as dear as a
    /// poll(2), which therefore [asks first](asks_first) ([TRIED.md](../../docs/TRIED.md)).
    pub(crate) fn accept(&self) -> io::Result<(Descriptor, SockAddr)> {
        let fd = self.as_fd();
        let count = self.accepted.load(Ordering::Relaxed);
        if asks_first(count) && !sys::poll::is_readable(fd)? {
            self.accepted.store(0, Ordering::Relaxed);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = accepted(self, sys::accept(fd));
        let count = if result.is_ok() {
            count.wrapping_add(1)
        } else {
            0
        };
        self.accepted.store(count, Ordering::Relaxed);
        result
    }

    /// Receives bytes of a stream.
    #[inline]
    pub(crate) fn recv(&self, buf: &mut [u8]) -> io::Result<IoCount> {
        match self.family {
            Family::Unix => sys::recv_vectored(self.as_fd(), &mut [IoSliceMut::new(buf)]),
            _ => sys::recv(self.as_fd(), buf),
        }
    }

    #[inline]
    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<IoCount> {
        sys::peek(self.as_fd(), buf)
    }

    #[inline]
    pub(crate) fn recv_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<IoCount> {
        sys::recv_vectored(self.as_fd(), bufs)
    }

    #[inline]
    pub(crate) fn send(&self, buf: &[u8]) -> io::Result<IoCount> {
        sys::send(self.as_fd(), buf)
    }

    #[inline]
    pub(crate) fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<IoCount> {
        sys::send_vectored(self.as_fd(), bufs)
    }

    /// Receives a datagram and returns its length.
    #[inline]
    pub(crate) fn recv_datagram(&self, buf: &mut [u8], mode: Mode) -> io::Result<usize> {
        let count = match mode {
            Mode::Take => sys::recv(self.as_fd(), buf),
            Mode::Peek => sys::peek(self.as_fd(), buf),
        };
        count.map(IoCount::transferred)
    }

    /// Receives a datagram and returns its length and its sender.
    #[inline]
    pub(crate) fn recv_from(&self, buf: &mut [u8], mode: Mode) -> io::Result<(usize, SockAddr)> {
        let received = sys::recv_from(self.as_fd(), buf, mode == Mode::Peek);
        let operation = match mode {
            Mode::Take => Operation::Receive,
            Mode::Peek => Operation::Other,
        };
        recorded(self, operation, received, |received| received.0)
    }

    /// Sends a datagram to the connected peer and returns its length.
    #[inline]
    pub(crate) fn send_datagram(&self, buf: &[u8]) -> io::Result<usize> {
        let sent = sys::send(self.as_fd(), buf).map(IoCount::transferred);
        sent.map_err(|err| self.explain_send(buf.len(), None, err))
    }

    #[inline]
    pub(crate) fn send_to(&self, buf: &[u8], target: &SockAddr) -> io::Result<usize> {
        let sent = sys::send_to(self.as_fd(), buf, target);
        let sent = recorded(self, Operation::Send, sent, |sent| *sent);
        sent.map_err(|err| self.explain_send(buf.len(), Some(target), err))
    }

    /// Adds to the error of a send what is allowed, if the error is one of the caller.
    #[cold]
    pub(crate) fn explain_send(
        &self,
        bytes: usize,
        target: Option<&SockAddr>,
        err: io::Error,
    ) -> io::Error {
        if err.raw_os_error() == Some(libc::EMSGSIZE) {
            let limit = match self.family {
                Family::UnixDatagram => "the buffer for outgoing bytes (SO_SNDBUF) limits it",
                _ => {
                    "at most 65507 are allowed over IPv4, 65527 over IPv6, and fewer without fragments"
                }
            };
            let hint = format!("a datagram of {bytes} bytes is too long; {limit}");
            let peer = sys::peer_addr(self.as_fd()).ok();
            return match target.or(peer.as_ref()) {
                Some(target) => with_hint("send to", Shown(target), hint, err),
                None => with_hint("send to", "(unknown address)", hint, err),
            };
        }
        match target {
            Some(target) => explain_family("send to", self.as_fd(), target, err),
            None => err,
        }
    }

    pub(crate) fn local_addr<A: Address>(&self) -> io::Result<A> {
        A::from_kernel(Some(&sys::local_addr(self.as_fd())?))
    }

    pub(crate) fn peer_addr<A: Address>(&self) -> io::Result<A> {
        A::from_kernel(Some(&sys::peer_addr(self.as_fd())?))
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        sys::take_error(self.as_fd())
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        sys::shutdown(self.as_fd(), how)
    }
}

impl AsFd for Socket {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Creates a socket that is non-blocking and close-on-exec from the start.
pub(crate) fn new_socket(domain: Domain, family: Family) -> io::Result<Descriptor> {
    let protocol = match family {
        Family::Tcp => Some(Protocol::TCP),
        Family::Udp => Some(Protocol::UDP),
        Family::Unix | Family::UnixDatagram => None,
    };
    Descriptor::new(domain, family.kind(), protocol)
}

/// Creates two Unix sockets that are connected to each other.
#[track_caller]
pub(crate) fn new_pair(family: Family) -> io::Result<(Io, Io)> {
    let (near, far) = Descriptor::pair(family.kind())?;
    Ok((
        register_writable(near, family)?,
        register_writable(far, family)?,
    ))
}

/// Registers a socket that this package created.
///
/// Nothing else has its descriptor, so close(2) ends the registration, and drop needs no system
/// call of its own. Code that hands the descriptor out later calls [`mark_shared`].
#[track_caller]
pub(crate) fn register(descriptor: Descriptor, family: Family) -> io::Result<Io> {
    Io::new_exclusive(Socket::new(descriptor, family))
}

/// Registers a socket that has room to write, so that the first write waits for no event: a
/// connected stream, or a datagram socket.
#[track_caller]
pub(crate) fn register_writable(descriptor: Descriptor, family: Family) -> io::Result<Io> {
    let io = register(descriptor, family)?;
    io.assume_ready(Ready::WRITABLE);
    Ok(io)
}

/// Registers a socket that user code created, and makes it non-blocking.
///
/// Drop deregisters it explicitly, because its descriptor can have been duplicated.
#[track_caller]
pub(crate) fn register_foreign(fd: impl Into<OwnedFd>, family: Family) -> io::Result<Io> {
    let socket = Socket::new(Descriptor::from(fd.into()), family);
    check_foreign(socket.as_fd(), family)?;
    socket.options().set_nonblocking(true)?;
    let io = Io::new(socket)?;
    if family.kind() == Type::DGRAM {
        io.assume_ready(Ready::WRITABLE);
    }
    Ok(io)
}

/// Refuses a socket that user code created if it is not one of the family.
///
/// Otherwise a packet shorter than its buffer would be taken for a stream that has no more bytes, and the next
/// packet would not be received. An address of another family could not be converted.
pub(crate) fn check_foreign(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    const OPERATION: &str = "convert a descriptor into";
    let (name, wanted, domains) = match family {
        Family::Tcp => ("a TCP socket", "a stream socket of IPv4 or IPv6", IP),
        Family::Udp => ("a UDP socket", "a datagram socket of IPv4 or IPv6", IP),
        Family::Unix => ("a Unix stream socket", "a stream socket of Unix", UNIX),
        Family::UnixDatagram => ("a Unix datagram socket", "a datagram socket of Unix", UNIX),
    };
    let options = SockRef::from(&socket);
    let is = options
        .r#type()
        .and_then(|kind| Ok((kind, options.domain()?)));
    let (kind, domain) = is.map_err(|err| {
        let hint = format!("it has to be {wanted}");
        with_hint(OPERATION, name, hint, err)
    })?;
    if kind == family.kind() && domains.contains(&domain) {
        return Ok(());
    }
    let kind = match kind {
        Type::STREAM => "stream",
        Type::DGRAM => "datagram",
        Type::SEQPACKET => "sequenced packet",
        _ => "raw or other",
    };
    let domain = family_name(domain);
    let cause = format!("it is a {kind} socket of {domain}; it has to be {wanted}");
    Err(not_allowed(OPERATION, name, cause))
}

const IP: &[Domain] = &[Domain::IPV4, Domain::IPV6];
const UNIX: &[Domain] = &[Domain::UNIX];

/// Returns the descriptor for user code, which can duplicate it.
///
/// From now on the registration can outlive close(2), so drop deregisters the socket explicitly.
pub(crate) fn mark_shared(io: &Io) -> BorrowedFd<'_> {
    io.mark_duplicated();
    io.get_ref().as_fd()
}

/// Registers a duplicate of the descriptor.
///
/// Drop deregisters both explicitly, because neither close(2) alone ends the open file they share.
#[track_caller]
pub(crate) fn duplicate(io: &Io) -> io::Result<Io> {
    let socket = io.get_ref();
    let duplicate = socket.descriptor.duplicate()?;
    io.mark_duplicated();
    Io::new(Socket::new(duplicate, socket.family))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_burst_of_any_length_is_accepted_and_then_the_queue_is_found_empty() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let socket = Socket::new(Descriptor::from(OwnedFd::from(listener)), Family::Tcp);
        for length in [1, 2, 8, 9, 16, 17, 40] {
            let clients: Vec<_> = (0..length).map(|_| TcpStream::connect(address)).collect();
            assert!(clients.iter().all(Result::is_ok));
            for _ in 0..length {
                socket.accept().unwrap();
            }
            let empty = socket.accept().unwrap_err();
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock, "after {length}");
            assert_eq!(socket.accepted.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_socket_takes_eight_bytes() {
        assert_eq!(size_of::<Socket>(), 8);
    }

    #[test]
    fn a_listener_asks_after_each_of_the_first_connections_and_then_rarely() {
        let asked: Vec<u8> = (0..=255).filter(|count| asks_first(*count)).collect();
        assert_eq!(asked, [1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128]);
    }
}
