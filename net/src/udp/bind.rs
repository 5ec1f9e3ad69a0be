//! `UdpSocket::bind` and `connect` and their futures: look up, then take the first address that can
//! be had.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::Domain;

use super::UdpSocket;
use crate::datagram::{Family, create, register};
use crate::error::{context, more_useful};
use crate::lookup::{LookupHost, SocketAddrs, ToSocketAddrs, lookup_host};
use crate::outside;
use crate::sys;

impl UdpSocket {
    /// Makes a socket and binds it to the first of the addresses that can be had.
    ///
    /// Port 0 asks the system for a free port; see [`local_addr`](Self::local_addr). No option is
    /// set on the socket. For one that needs options before it is bound (`SO_REUSEPORT`), make it
    /// with `socket2` and hand it to [`from_std`](Self::from_std).
    ///
    /// # Errors
    ///
    /// `AddrInUse` (EADDRINUSE), `PermissionDenied` (EACCES: a port below 1024 without privilege),
    /// `AddrNotAvailable` (EADDRNOTAVAIL: not an address of this machine), `InvalidInput` or the
    /// resolver's error as of [`lookup_host`](crate::lookup_host). The message names the address;
    /// see [`SocketError`](crate::SocketError) for the errno. Nothing stays open.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, it bound nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # wakeful::block_on(async {
    /// let socket = wakeful_net::UdpSocket::bind("127.0.0.1:0").await?;
    /// println!("datagrams go to {}", socket.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> Bind {
        Bind {
            lookup: lookup_host(address),
            caller: Location::caller(),
        }
    }

    /// Sets where [`send`](Self::send) sends to, and from whom alone datagrams are received.
    ///
    /// Nothing is sent, and nobody need be there: the first of the addresses to which there is a
    /// route is taken. Connecting again replaces the address.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `AddrNotAvailable`, `InvalidInput` (an IPv6 address for an IPv4 socket
    /// is EAFNOSUPPORT) and others as connect(2); that of the last address that got furthest. The
    /// message names the address; see [`SocketError`](crate::SocketError) for the errno.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, it changed nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use wakeful_net::UdpSocket;
    /// # wakeful::block_on(async {
    /// # let server = UdpSocket::bind("127.0.0.1:0").await?;
    /// let client = UdpSocket::bind("127.0.0.1:0").await?;
    /// client.connect(server.local_addr()?).await?;
    /// client.send(b"hello").await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> Connect<'_> {
        Connect {
            socket: self,
            lookup: lookup_host(address),
            caller: Location::caller(),
        }
    }
}

/// The future of [`UdpSocket::bind`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Bind {
    lookup: LookupHost,
    caller: &'static Location<'static>,
}

impl Future for Bind {
    type Output = io::Result<UdpSocket>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        outside::refuse("UdpSocket::bind", this.caller);
        let addresses = ready!(Pin::new(&mut this.lookup).poll(cx))?;
        Poll::Ready(first_of(addresses, "bind", bind_one))
    }
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = create(Domain::for_address(address))?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_io(register(socket, Family::Udp)?))
}

/// The future of [`UdpSocket::connect`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Connect<'a> {
    socket: &'a UdpSocket,
    lookup: LookupHost,
    caller: &'static Location<'static>,
}

impl Future for Connect<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        outside::refuse("UdpSocket::connect", this.caller);
        let addresses = ready!(Pin::new(&mut this.lookup).poll(cx))?;
        let fd = this.socket.io().get_ref().as_fd();
        // It only writes the address down: there is nothing to wait for.
        Poll::Ready(first_of(addresses, "connect", |address| {
            sys::connect(fd, &address.into())
        }))
    }
}

/// Tries one address after another and keeps the most useful of the errors.
fn first_of<T>(
    addresses: SocketAddrs,
    operation: &'static str,
    attempt: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failure = None;
    for address in addresses {
        match attempt(address) {
            Ok(done) => return Ok(done),
            Err(err) => failure = Some(more_useful(failure, context(operation, address, err))),
        }
    }
    Err(failure.unwrap_or_else(|| no_address(operation)))
}

/// The error for a list of addresses that is empty.
pub(super) fn no_address(operation: &'static str) -> io::Error {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, "no address was given or found");
    context(operation, "(no address)", cause)
}
