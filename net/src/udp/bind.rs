//! `UdpSocket::bind` and `connect` and their futures, which look a name up and use the first
//! available address.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::Domain;
use wakeful::trace::Operation;

use super::UdpSocket;
use crate::call_site::require_runtime;
use crate::error::explain_family;
use crate::lookup::{LookupHost, ToSocketAddrs, lookup_host};
use crate::record::recorded;
use crate::socket::{Family, new_socket, register_writable};
use crate::sys;

impl UdpSocket {
    /// Creates a socket and binds it to the first of the addresses that is available.
    ///
    /// Port 0 selects a free port; see [`local_addr`](Self::local_addr). No option is set on the
    /// socket. If it needs options before it is bound (`SO_REUSEPORT`), create it with `socket2`
    /// and pass it to [`from_std`](Self::from_std).
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
    /// Safe. A future that is dropped before it completes has bound nothing.
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

    /// Sets the address that [`send`](Self::send) sends to and datagrams are received from.
    ///
    /// Datagrams from other addresses are no longer received. Nothing is sent, and no socket has to
    /// be bound to the address: the first address to which there is a route is used. Connecting
    /// again replaces the address.
    ///
    /// # Errors
    ///
    /// `NetworkUnreachable`, `AddrNotAvailable`, `InvalidInput` (an IPv6 address for an IPv4 socket
    /// is EAFNOSUPPORT) and others as connect(2). When several addresses failed, the error of the
    /// last one that was reachable from this machine. The message names the address; see
    /// [`SocketError`](crate::SocketError) for the errno.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. A future that is dropped before it completes has changed nothing.
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
        require_runtime(("UdpSocket::bind", this.caller));
        let addresses = ready!(Pin::new(&mut this.lookup).poll(cx))?;
        Poll::Ready(addresses.try_each("bind", bind_one))
    }
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = new_socket(Domain::for_address(address), Family::Udp)?;
    sys::bind(socket.as_fd(), &address.into())?;
    Ok(UdpSocket::from_io(register_writable(socket, Family::Udp)?))
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
        require_runtime(("UdpSocket::connect", this.caller));
        let addresses = ready!(Pin::new(&mut this.lookup).poll(cx))?;
        let fd = this.socket.io().get_ref().as_fd();
        // connect(2) only stores the address, so there is nothing to wait for.
        Poll::Ready(addresses.try_each("connect", |address| {
            let address = address.into();
            let connected = sys::connect(fd, &address);
            let connected = recorded(&fd, Operation::Connect, connected, |()| 0);
            connected.map_err(|err| explain_family("connect", fd, &address, err))
        }))
    }
}
