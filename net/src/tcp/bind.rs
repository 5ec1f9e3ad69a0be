//! `TcpListener::bind` and its future, which looks a name up and binds the first available address.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::TcpListener;
use crate::call_site::require_runtime;
use crate::listen::bind_and_listen;
use crate::lookup::{LookupHost, ToSocketAddrs, lookup_host};
use crate::socket::{Family, register};

impl TcpListener {
    /// Binds a listening socket to the first of the addresses that is available.
    ///
    /// Port 0 selects a free port; see [`local_addr`](Self::local_addr). `SO_REUSEADDR` is on, so
    /// that a server can be restarted at once. The backlog is 4096, capped by the system's
    /// `net.core.somaxconn`. [`TcpSocket`](super::TcpSocket) allows other choices.
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
    /// let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// println!("listening on {}", listener.local_addr()?);
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> Bind {
        Bind::new(address)
    }
}

/// The future of [`TcpListener::bind`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Bind {
    lookup: LookupHost,
    caller: &'static Location<'static>,
}

impl Bind {
    #[track_caller]
    fn new(address: impl ToSocketAddrs) -> Self {
        Self {
            lookup: lookup_host(address),
            caller: Location::caller(),
        }
    }
}

impl Future for Bind {
    type Output = io::Result<TcpListener>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        require_runtime(("TcpListener::bind", this.caller));
        let addresses = ready!(Pin::new(&mut this.lookup).poll(cx))?;
        Poll::Ready(addresses.try_each("bind", bind_one))
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    // Allows a restart while connections of the previous process are in TIME_WAIT. On Linux it does
    // not allow two listeners to share a port.
    let reuse_address = true;
    let socket = bind_and_listen(&address.into(), Family::Tcp, reuse_address)?;
    Ok(TcpListener::from_io(register(socket, Family::Tcp)?))
}
