//! Resolves host names (`"localhost:80"`) to addresses without blocking the thread.
//!
//! Called by `bind`, `connect` and `send_to` of TCP and UDP, and by users through [`lookup_host`].
//! An IP address needs no resolver. A name goes to getaddrinfo(3) on the runtime's blocking
//! threads; no other part of this package starts a thread.
//!
//! ```text
//! &str, String, (host, port), SocketAddr, [SocketAddr], ... --resolve--> Query
//!   Known    IP addresses only                -> ready at the first poll, no thread
//!   Name     needs the resolver               -> spawn_blocking at the first poll, then Running
//!   Refused  not an address (no port, ...)    -> an error at the first poll
//! ```

mod addresses;
mod query;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wakeful::kernel::{self, Verdict};
use wakeful::task::spawn_blocking;

use self::query::{Query, Resolve};
use crate::budget::poll_proceed;
use crate::call_site::require_runtime;
use crate::error::with_context;

pub use self::addresses::SocketAddrs;

/// Types that convert to socket addresses: `"host:port"` as `&str` or `String`, `(host, port)`,
/// `(IpAddr, port)`, a `SocketAddr`, or several of them.
///
/// It has no methods; pass such a value to [`lookup_host`], [`TcpListener::bind`] or
/// [`TcpStream::connect`]. User code cannot implement it.
///
/// [`TcpListener::bind`]: crate::TcpListener::bind
/// [`TcpStream::connect`]: crate::TcpStream::connect
pub trait ToSocketAddrs: Resolve {}

impl<T: Resolve + ?Sized> ToSocketAddrs for T {}

/// Looks up the addresses of a host.
///
/// IP addresses are ready at once. A name is looked up by the system's resolver (getaddrinfo(3), so
/// `/etc/hosts` and DNS) on a thread of the runtime's blocking pool.
///
/// # Errors
///
/// `InvalidInput` when the text is not an address (the port is missing or above 65535); the
/// resolver's error when the name is unknown or cannot be looked up. The message names the host;
/// see [`SocketError`](crate::SocketError).
///
/// # Panics
///
/// When polled outside a runtime.
///
/// # Cancel safety
///
/// Safe. A lookup that no thread has begun is left out. One that has begun continues on its thread, and
/// its result is discarded.
///
/// # Examples
///
/// ```
/// wakeful::block_on(async {
///     let addresses: Vec<_> = wakeful_net::lookup_host("127.0.0.1:80").await?.collect();
///     assert_eq!(addresses, ["127.0.0.1:80".parse().unwrap()]);
///     assert!(wakeful_net::lookup_host("localhost").await.is_err()); // no port
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[track_caller]
pub fn lookup_host<T: ToSocketAddrs>(host: T) -> LookupHost {
    LookupHost {
        query: host.resolve(),
        caller: Location::caller(),
    }
}

/// The future of [`lookup_host`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct LookupHost {
    query: Query,
    caller: &'static Location<'static>,
}

impl LookupHost {
    /// Returns the host as the caller wrote it.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Query::Known(addresses) => addresses.to_string(),
            Query::Name { host, port } => format!("{host}:{port}"),
            Query::Running { text, .. } | Query::Refused { text, .. } => text.clone(),
            Query::Done => String::new(),
        }
    }
}

impl LookupHost {
    /// Polls on behalf of an operation that takes one operation off the budget for each address. So
    /// the lookup takes one only if it ends without an address.
    pub(crate) fn poll_for_operation(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<SocketAddrs>> {
        let is_charged = match &self.query {
            Query::Known(addresses) => addresses.len() == 0,
            Query::Refused { .. } => true,
            _ => false,
        };
        if is_charged {
            ready!(poll_proceed(cx));
        }
        self.poll_addresses(cx)
    }

    fn poll_addresses(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddrs>> {
        if let Query::Name { host, port } = &mut self.query {
            require_runtime(("lookup_host", self.caller));
            let port = *port;
            let text = format!("{host}:{port}");
            if kernel::any()
                && let Some(kernel) = kernel::current()
            {
                // Its answer needs no wait.
                ready!(poll_proceed(cx));
                if let Verdict::Is(found) = kernel.resolve(host) {
                    self.query = Query::Done;
                    let addresses = |ips: Vec<IpAddr>| {
                        let addresses = ips.into_iter().map(|ip| SocketAddr::new(ip, port));
                        SocketAddrs::many(addresses.collect())
                    };
                    let result = found.map_err(|err| with_context("look up", text, err));
                    return Poll::Ready(result.map(addresses));
                }
            }
            let host = std::mem::take(host);
            let handle = spawn_blocking(move || call_resolver(&host, port));
            self.query = Query::Running { text, handle };
        }
        if let Query::Running { text, handle } = &mut self.query {
            let joined = ready!(Pin::new(handle).poll(cx));
            let addresses = joined.unwrap_or_else(|err| Err(io::Error::other(err)));
            let result = addresses.map_err(|err| with_context("look up", text, err));
            self.query = Query::Done;
            return Poll::Ready(result.map(SocketAddrs::many));
        }
        match std::mem::replace(&mut self.query, Query::Done) {
            Query::Known(addresses) => Poll::Ready(Ok(addresses)),
            Query::Refused { text, reason } => {
                let err = io::Error::new(io::ErrorKind::InvalidInput, reason);
                Poll::Ready(Err(with_context("look up", text, err)))
            }
            _ => panic!("`lookup_host` was polled after it had completed"),
        }
    }
}

/// A name that no thread has begun to look up is not looked up any more. One that is being looked up
/// does not keep a paused clock from moving.
impl Drop for LookupHost {
    fn drop(&mut self) {
        if let Query::Running { handle, .. } = &self.query {
            handle.abort();
        }
    }
}

impl Future for LookupHost {
    type Output = io::Result<SocketAddrs>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Only a name waits, for the resolver.
        if matches!(this.query, Query::Known(_) | Query::Refused { .. }) {
            ready!(poll_proceed(cx));
        }
        this.poll_addresses(cx)
    }
}

/// Calls the resolver, which blocks. Runs on a thread of the blocking pool.
fn call_resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).map(Iterator::collect)
}
