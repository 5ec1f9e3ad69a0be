//! Calls that `wakeful-net` does not make: the simulation is asked for them, or they are made.

use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use wakeful::io::AsyncFd;
use wakeful::kernel::{self, Address, Kernel, Verdict};

/// Free ports of both families.
pub(crate) const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A non-blocking socket.
#[derive(Debug)]
pub(crate) struct Raw(OwnedFd);

/// Asks the simulation, if there is one, and makes the call otherwise.
fn ask<T>(
    call: impl Fn(&dyn Kernel) -> Verdict<T>,
    real: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let Some(kernel) = kernel::current() else {
        return real();
    };
    loop {
        match call(&*kernel) {
            Verdict::Is(Err(error)) if error.raw_os_error() == Some(libc::EINTR) => {}
            Verdict::Is(result) => return result,
            Verdict::Real | Verdict::Short(_) => return real(),
        }
    }
}

pub(crate) fn ip(address: SocketAddr) -> Address {
    Address::Ip(address)
}

/// Returns an abstract name that nothing else uses.
pub(crate) fn new_name() -> Address {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("wakeful-conformance-{}-{number}", std::process::id());
    Address::Unix(UnixAddr::from_abstract_name(name).unwrap())
}

/// Returns an address as `wakeful-net` takes it.
pub(crate) fn path_of(address: &Address) -> String {
    match address {
        Address::Unix(unix) => {
            let name = unix.as_abstract_name().unwrap();
            format!("\0{}", String::from_utf8_lossy(name))
        }
        _ => unreachable!("an address of IP"),
    }
}

/// Returns the address of a TCP or UDP socket.
pub(crate) fn ip_of(address: io::Result<Address>) -> SocketAddr {
    match address.unwrap() {
        Address::Ip(address) => address,
        _ => unreachable!("an address of Unix"),
    }
}

fn native(address: &Address) -> SockAddr {
    match address {
        Address::Ip(address) => (*address).into(),
        _ => SockAddr::unix(path_of(address)).unwrap(),
    }
}

fn from_native(address: &SockAddr) -> Address {
    if let Some(ip) = address.as_socket() {
        return Address::Ip(ip);
    }
    Address::Unix(match address.as_abstract_namespace() {
        Some(name) => UnixAddr::from_abstract_name(name).unwrap(),
        None => UnixAddr::from_pathname("").unwrap(),
    })
}

impl Raw {
    pub(crate) fn new(domain: Domain, kind: Type) -> Self {
        let socket = Socket::new_raw(domain, kind.nonblocking().cloexec(), None).unwrap();
        let raw = Self(socket.into());
        if let Some(kernel) = kernel::current() {
            kernel.opened(raw.as_fd());
        }
        raw
    }

    pub(crate) fn tcp() -> Self {
        Self::new(Domain::IPV4, Type::STREAM)
    }

    pub(crate) fn tcp_v6() -> Self {
        Self::new(Domain::IPV6, Type::STREAM)
    }

    pub(crate) fn udp() -> Self {
        Self::new(Domain::IPV4, Type::DGRAM)
    }

    pub(crate) fn unix(kind: Type) -> Self {
        Self::new(Domain::UNIX, kind)
    }

    /// Returns two Unix sockets that are connected to each other.
    pub(crate) fn unix_pair(kind: Type) -> (Self, Self) {
        let (near, far) =
            Socket::pair_raw(Domain::UNIX, kind.nonblocking().cloexec(), None).unwrap();
        let (near, far) = (Self(near.into()), Self(far.into()));
        if let Some(kernel) = kernel::current() {
            kernel.paired(near.as_fd(), far.as_fd());
        }
        (near, far)
    }

    /// Returns a socket of TCP that listens on loopback, with its address.
    pub(crate) fn tcp_listener(backlog: u32) -> (Self, Address) {
        Self::tcp_listener_at(LOOPBACK[0], backlog)
    }

    /// Returns a socket of TCP that listens at `at`, with its address.
    pub(crate) fn tcp_listener_at(at: &str, backlog: u32) -> (Self, Address) {
        let (listener, address) = Self::tcp_bound_to(at);
        listener.listen(backlog).unwrap();
        (listener, address)
    }

    /// Returns a socket of TCP that is bound to `at`, with its address.
    pub(crate) fn tcp_bound_to(at: &str) -> (Self, Address) {
        let at = ip(at.parse().unwrap());
        let socket = Self::tcp_for(&at);
        socket.bind(&at).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Returns a socket of TCP for the family of an address.
    pub(crate) fn tcp_for(address: &Address) -> Self {
        match address {
            Address::Ip(SocketAddr::V6(_)) => Self::tcp_v6(),
            _ => Self::tcp(),
        }
    }

    /// Returns a socket of UDP that is bound to loopback, with its address.
    pub(crate) fn bound_udp() -> (Self, Address) {
        let socket = Self::udp();
        socket.bind(&ip("127.0.0.1:0".parse().unwrap())).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Returns a Unix socket that is bound to a new name.
    pub(crate) fn bound_unix(kind: Type) -> (Self, Address) {
        let (socket, name) = (Self::unix(kind), new_name());
        socket.bind(&name).unwrap();
        (socket, name)
    }

    /// Registers the socket, so that its events can be seen.
    pub(crate) fn watched(self) -> AsyncFd<Self> {
        AsyncFd::new(self).unwrap()
    }

    pub(crate) fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

    pub(crate) fn bind(&self, address: &Address) -> io::Result<()> {
        let real = || self.options().bind(&native(address));
        ask(|kernel| kernel.bind(self.as_fd(), address), real)
    }

    pub(crate) fn listen(&self, backlog: u32) -> io::Result<()> {
        let real = || self.options().listen(backlog as i32);
        ask(|kernel| kernel.listen(self.as_fd(), backlog), real)
    }

    pub(crate) fn connect(&self, address: &Address) -> io::Result<()> {
        let real = || self.options().connect(&native(address));
        ask(|kernel| kernel.connect(self.as_fd(), address), real)
    }

    pub(crate) fn accept(&self) -> io::Result<(Self, Address)> {
        let real = || {
            let (socket, address) = self.options().accept()?;
            socket.set_nonblocking(true)?;
            Ok((OwnedFd::from(socket), from_native(&address)))
        };
        let accepted = ask(|kernel| kernel.accept(self.as_fd()), real);
        accepted.map(|(fd, address)| (Self(fd), address))
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let real = || self.options().shutdown(how);
        ask(|kernel| kernel.shutdown(self.as_fd(), how), real)
    }

    /// Receives at most `len` bytes.
    pub(crate) fn recv(&self, len: usize) -> io::Result<String> {
        let mut buf = vec![0; len];
        let received = match kernel::current() {
            None => (&*self.options()).read(&mut buf),
            Some(kernel) => loop {
                let bufs = &mut [IoSliceMut::new(&mut buf)];
                match kernel.recv(self.as_fd(), bufs, false) {
                    Verdict::Is(Err(error)) if error.raw_os_error() == Some(libc::EINTR) => {}
                    Verdict::Is(result) => break result,
                    verdict => unreachable!("{verdict:?}"),
                }
            },
        };
        received.map(|count| String::from_utf8_lossy(&buf[..count]).into_owned())
    }

    /// Copies at most 64 bytes, and returns their number.
    pub(crate) fn peek(&self) -> io::Result<usize> {
        let real = || self.options().peek(&mut [MaybeUninit::uninit(); 64]);
        ask(
            |kernel| kernel.recv(self.as_fd(), &mut [IoSliceMut::new(&mut [0; 64])], true),
            real,
        )
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let real = || self.options().send_with_flags(bytes, libc::MSG_NOSIGNAL);
        ask(
            |kernel| kernel.send(self.as_fd(), &[IoSlice::new(bytes)]),
            real,
        )
    }

    /// Receives at most 64 bytes of a datagram, and returns their number and the sender.
    pub(crate) fn recv_from(&self) -> io::Result<(usize, Address)> {
        let real = || {
            let mut buf = [MaybeUninit::uninit(); 64];
            let (count, from) = self.options().recv_from(&mut buf)?;
            Ok((count, from_native(&from)))
        };
        ask(
            |kernel| kernel.recv_from(self.as_fd(), &mut [0; 64], false),
            real,
        )
    }

    pub(crate) fn send_to(&self, bytes: &[u8], to: &Address) -> io::Result<usize> {
        let real = || {
            self.options()
                .send_to_with_flags(bytes, &native(to), libc::MSG_NOSIGNAL)
        };
        ask(|kernel| kernel.send_to(self.as_fd(), bytes, to), real)
    }

    /// Returns the number of the pending error, and clears it.
    pub(crate) fn take_error(&self) -> Option<i32> {
        let real = || self.options().take_error();
        let error = ask(|kernel| kernel.take_error(self.as_fd()), real);
        error.unwrap().and_then(|error| error.raw_os_error())
    }

    pub(crate) fn local_addr(&self) -> io::Result<Address> {
        let real = || Ok(from_native(&self.options().local_addr()?));
        ask(|kernel| kernel.local_addr(self.as_fd()), real)
    }

    pub(crate) fn peer_addr(&self) -> io::Result<Address> {
        let real = || Ok(from_native(&self.options().peer_addr()?));
        ask(|kernel| kernel.peer_addr(self.as_fd()), real)
    }

    /// Closes the socket, so that its peer is reset.
    pub(crate) fn reset(self) {
        let zero = Some(std::time::Duration::ZERO);
        self.options().set_linger(zero).unwrap();
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(kernel) = kernel::current() {
            kernel.closing(self.as_fd());
        }
    }
}
