//! `TcpStream::connect`, `connect_timeout` and `TcpSocket::connect`: the futures that look a name
//! up, then try one address after another.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use wakeful::time::{Timeout, timeout};

use super::TcpStream;
use crate::call_site::{CallSite, require_runtime};
use crate::connect::ConnectAttempt;
use crate::error::{no_address, prefer, with_context};
use crate::lookup::{LookupHost, SocketAddrs, ToSocketAddrs, lookup_host};
use crate::socket::Family;
use crate::sys::Descriptor;

impl TcpStream {
    /// Connects to the first of the addresses that accepts, trying them in order.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and others of the
    /// kernel. When several addresses failed, the error of the last one that was reachable from
    /// this machine. `InvalidInput` or the resolver's error as of
    /// [`lookup_host`](crate::lookup_host). The message names the address; see
    /// [`SocketError`](crate::SocketError) for the errno. Nothing stays open.
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes its socket.
    ///
    /// # Examples
    ///
    /// ```
    /// use wakeful_net::TcpStream;
    ///
    /// # wakeful::block_on(async {
    /// # let listener = wakeful_net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let port = listener.local_addr()?.port();
    /// let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    /// stream.set_nodelay(true)?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect<A: ToSocketAddrs>(address: A) -> Connect {
        Connect::new(address)
    }

    /// As [`connect`](Self::connect), but fails after `limit`, lookup and all addresses included.
    /// The time runs from the first poll.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the limit has passed; otherwise as [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe. Dropping the future ends the attempt and closes its socket.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # wakeful::block_on(async {
    /// let limit = Duration::from_secs(3);
    /// let stream = wakeful_net::TcpStream::connect_timeout("example.org:80", limit).await?;
    /// # std::io::Result::Ok(()) }).unwrap();
    /// ```
    #[track_caller]
    pub fn connect_timeout<A: ToSocketAddrs>(address: A, limit: Duration) -> ConnectTimeout {
        ConnectTimeout::new(address, limit)
    }
}

/// The future of [`TcpStream::connect`] and [`TcpSocket::connect`](super::TcpSocket::connect).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Connect {
    call_site: CallSite,
    /// The lookup, until it has completed.
    lookup: Option<LookupHost>,
    /// Addresses that have not been tried.
    addresses: SocketAddrs,
    /// The address that is being tried.
    attempt: Option<(SocketAddr, ConnectAttempt)>,
    /// The preferred error so far.
    failure: Option<io::Error>,
}

impl Connect {
    #[track_caller]
    pub(super) fn new(address: impl ToSocketAddrs) -> Self {
        Self {
            call_site: ("TcpStream::connect", Location::caller()),
            lookup: Some(lookup_host(address)),
            addresses: SocketAddrs::default(),
            attempt: None,
            failure: None,
        }
    }

    /// Connects an existing socket.
    #[track_caller]
    pub(super) fn with_socket(socket: Descriptor, address: SocketAddr) -> Self {
        let call_site = ("TcpSocket::connect", Location::caller());
        let attempt = ConnectAttempt::with_socket(socket, address.into(), Family::Tcp, call_site);
        Self {
            call_site,
            lookup: None,
            addresses: SocketAddrs::default(),
            attempt: Some((address, attempt)),
            failure: None,
        }
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        require_runtime(this.call_site);
        if let Some(lookup) = &mut this.lookup {
            this.addresses = ready!(lookup.poll_for_operation(cx))?;
            this.lookup = None;
        }
        loop {
            if let Some((address, attempt)) = &mut this.attempt {
                let (address, outcome) = (*address, ready!(attempt.poll(cx)));
                this.attempt = None;
                match outcome {
                    Ok(io) => return Poll::Ready(Ok(TcpStream::from_io(io))),
                    Err(err) => {
                        let err = with_context("connect", address, err);
                        this.failure = Some(prefer(this.failure.take(), err));
                    }
                }
            }
            let Some(address) = this.addresses.next() else {
                let err = this.failure.take().unwrap_or_else(|| no_address("connect"));
                return Poll::Ready(Err(err));
            };
            let attempt = ConnectAttempt::new(address.into(), Family::Tcp, this.call_site);
            this.attempt = Some((address, attempt));
        }
    }
}

pin_project! {
    /// The future of [`TcpStream::connect_timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct ConnectTimeout {
        limit: Duration,
        // The address for the error, because the addresses themselves are used up by then.
        target: String,
        // The connection until the first poll, which starts the timeout.
        connect: Option<Connect>,
        #[pin]
        running: Option<Timeout<Connect>>,
    }
}

impl ConnectTimeout {
    #[track_caller]
    pub(super) fn new(address: impl ToSocketAddrs, limit: Duration) -> Self {
        let connect = Connect {
            call_site: ("TcpStream::connect_timeout", Location::caller()),
            ..Connect::new(address)
        };
        let target = connect
            .lookup
            .as_ref()
            .map(LookupHost::target)
            .unwrap_or_default();
        Self {
            limit,
            target,
            connect: Some(connect),
            running: None,
        }
    }
}

impl Future for ConnectTimeout {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(connect) = this.connect.take() {
            require_runtime(connect.call_site);
            this.running.set(Some(timeout(*this.limit, connect)));
        }
        let running = this
            .running
            .as_mut()
            .as_pin_mut()
            .expect("set in the first poll");
        let result = ready!(running.poll(cx)).unwrap_or_else(|_elapsed| {
            let message = format!("no answer within {:?}", this.limit);
            let cause = io::Error::new(io::ErrorKind::TimedOut, message);
            Err(with_context("connect", &this.target, cause))
        });
        // Closes the socket of an attempt that timed out, even if this future is kept.
        this.running.set(None);
        Poll::Ready(result)
    }
}
