//! `TcpListener::bind` and its future: look up, then take the first address that can be had.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::TcpListener;
use crate::error::{context, more_useful};
use crate::listen::{DEFAULT_BACKLOG, bind_and_listen};
use crate::lookup::{LookupHost, ToSocketAddrs, lookup_host};
use crate::outside;
use crate::socket::{Family, register};

impl TcpListener {
    /// Binds a listening socket to the first of the addresses that can be had.
    ///
    /// Port 0 asks the system for a free port; see [`local_addr`](Self::local_addr). `SO_REUSEADDR`
    /// is on, so that a server can be restarted at once, and the backlog is 4096 (capped by the
    /// system's `net.core.somaxconn`); [`TcpSocket`](super::TcpSocket) has other choices.
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
        outside::refuse("TcpListener::bind", this.caller);
        let mut failure = None;
        for address in ready!(Pin::new(&mut this.lookup).poll(cx))? {
            match bind_one(address) {
                Ok(listener) => return Poll::Ready(Ok(listener)),
                Err(err) => failure = Some(more_useful(failure, context("bind", address, err))),
            }
        }
        Poll::Ready(Err(failure.unwrap_or_else(|| no_address("bind"))))
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    // So that a server can be started again while connections of its last run are in TIME_WAIT.
    // On Linux this does not let two listeners share a port.
    let reuse_address = true;
    let socket = bind_and_listen(&address.into(), reuse_address, DEFAULT_BACKLOG)?;
    Ok(TcpListener::from_io(register(socket, Family::Tcp)?))
}

/// The error for a list of addresses that is empty.
pub(super) fn no_address(operation: &'static str) -> io::Error {
    let cause = io::Error::new(io::ErrorKind::InvalidInput, "no address was given or found");
    context(operation, "(no address)", cause)
}
