//! `TcpStream::connect`, `connect_timeout` and the futures behind them and `TcpSocket::connect`:
//! look up, then try one address after another.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use socket2::Domain;
use wakeful::time::{Timeout, timeout};

use super::TcpStream;
use super::bind::no_address;
use crate::connect::Connecting;
use crate::error::{context, more_useful};
use crate::lookup::{LookupHost, SocketAddrs, ToSocketAddrs, lookup_host};
use crate::outside;
use crate::socket::{Family, create};

impl TcpStream {
    /// Connects to the first of the addresses that answers, trying them in order.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused`, `TimedOut`, `NetworkUnreachable`, `HostUnreachable` and others, as the
    /// kernel gives them; when several addresses failed, that of the last one that got further than
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
    /// Safe: dropped early, the attempt is given up and its socket closed.
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

    /// As [`connect`](Self::connect), but gives up after `limit`, look-up and all addresses
    /// included. The time runs from the first poll.
    ///
    /// # Errors
    ///
    /// `TimedOut` when the limit has passed; else as [`connect`](Self::connect).
    ///
    /// # Panics
    ///
    /// When polled outside a runtime.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped early, the attempt is given up and its socket closed.
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
    name: &'static str,
    caller: &'static Location<'static>,
    /// Until the addresses are known.
    lookup: Option<LookupHost>,
    /// Those that have not been tried.
    addresses: SocketAddrs,
    /// The one that is being tried.
    current: Option<(SocketAddr, Connecting)>,
    /// The most useful error so far.
    failure: Option<io::Error>,
}

impl Connect {
    #[track_caller]
    pub(super) fn new(address: impl ToSocketAddrs) -> Self {
        Self {
            name: "TcpStream::connect",
            caller: Location::caller(),
            lookup: Some(lookup_host(address)),
            addresses: SocketAddrs::none(),
            current: None,
            failure: None,
        }
    }

    /// Connects a socket that exists already.
    #[track_caller]
    pub(super) fn with_socket(socket: socket2::Socket, address: SocketAddr) -> Self {
        let (name, caller) = ("TcpSocket::connect", Location::caller());
        let connecting = Connecting::exposed(socket, address.into(), Family::Tcp, (name, caller));
        Self {
            name,
            caller,
            lookup: None,
            addresses: SocketAddrs::none(),
            current: Some((address, connecting)),
            failure: None,
        }
    }

    /// Keeps the error of one address while others are tried.
    fn failed(&mut self, address: SocketAddr, err: io::Error) {
        let err = context("connect", address, err);
        self.failure = Some(more_useful(self.failure.take(), err));
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        outside::refuse(this.name, this.caller);
        if let Some(lookup) = &mut this.lookup {
            this.addresses = ready!(Pin::new(lookup).poll(cx))?;
            this.lookup = None;
        }
        loop {
            if let Some((address, connecting)) = &mut this.current {
                let (address, outcome) = (*address, ready!(connecting.poll(cx)));
                this.current = None;
                match outcome {
                    Ok(io) => return Poll::Ready(Ok(TcpStream::from_io(io))),
                    Err(err) => this.failed(address, err),
                }
            }
            let Some(address) = this.addresses.next() else {
                let err = this.failure.take().unwrap_or_else(|| no_address("connect"));
                return Poll::Ready(Err(err));
            };
            match create(Domain::for_address(address)) {
                Ok(socket) => {
                    let begun = (this.name, this.caller);
                    let connecting = Connecting::new(socket, address.into(), Family::Tcp, begun);
                    this.current = Some((address, connecting));
                }
                Err(err) => this.failed(address, err),
            }
        }
    }
}

pin_project! {
    /// The future of [`TcpStream::connect_timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled or awaited"]
    pub struct ConnectTimeout {
        limit: Duration,
        // What the error will name: the addresses themselves are used up by then.
        target: String,
        // Until the first poll, from which on the time runs.
        connect: Option<Connect>,
        #[pin]
        running: Option<Timeout<Connect>>,
    }
}

impl ConnectTimeout {
    #[track_caller]
    pub(super) fn new(address: impl ToSocketAddrs, limit: Duration) -> Self {
        let connect = Connect {
            name: "TcpStream::connect_timeout",
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
            outside::refuse(connect.name, connect.caller);
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
            Err(context("connect", &this.target, cause))
        });
        // Closes the socket of an attempt that was cut short, also if this future is kept.
        this.running.set(None);
        Poll::Ready(result)
    }
}
