//! From what a person writes (`"localhost:80"`) to addresses, without ever blocking the thread.
//!
//! Called by `bind` and `connect` of TCP, and by users through [`lookup_host`]. An address that
//! needs no resolver is known at once; a name goes to getaddrinfo(3) on the runtime's blocking
//! threads, the one part of this package that may start a thread.
//!
//! ```text
//! &str, String, (host, port), SocketAddr, [SocketAddr], ... --resolve--> Question
//!   Known    every address is written out     -> ready at the first poll, no thread
//!   Name     asks the resolver                -> spawn_blocking at the first poll, then Asked
//!   Refused  not an address (no port, ...)    -> an error at the first poll
//! ```

mod addresses;
mod question;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use wakeful::task::spawn_blocking;

use self::question::{Question, Resolve};
use crate::error::context;
use crate::outside;

pub use self::addresses::SocketAddrs;

/// What can be turned into socket addresses: `"host:port"` as `&str` or `String`, `(host, port)`,
/// `(IpAddr, port)`, a `SocketAddr`, or several of them.
///
/// It has no methods; pass such a value to [`lookup_host`], [`TcpListener::bind`] or
/// [`TcpStream::connect`]. Outside code cannot implement it.
///
/// [`TcpListener::bind`]: crate::TcpListener::bind
/// [`TcpStream::connect`]: crate::TcpStream::connect
pub trait ToSocketAddrs: Resolve {}

impl<T: Resolve + ?Sized> ToSocketAddrs for T {}

/// Finds the addresses of a host.
///
/// Addresses that are written out are ready at once. A name is looked up by the system's resolver
/// (getaddrinfo(3), so `/etc/hosts` and DNS) on a thread of the runtime's blocking pool.
///
/// # Errors
///
/// `InvalidInput` when the text is no address (it lacks a port, the port is beyond 65535); what the
/// resolver says when the name is unknown or cannot be looked up. The message names what was looked
/// up; see [`SocketError`](crate::SocketError).
///
/// # Panics
///
/// When polled outside a runtime.
///
/// # Cancel safety
///
/// Safe. A look-up that has started goes on in its thread, and its result is thrown away.
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
        question: host.resolve(),
        caller: Location::caller(),
    }
}

/// The future of [`lookup_host`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct LookupHost {
    question: Question,
    caller: &'static Location<'static>,
}

impl LookupHost {
    /// What was asked for, in the caller's words.
    pub(crate) fn target(&self) -> String {
        match &self.question {
            Question::Known(addresses) => addresses.to_string(),
            Question::Name { host, port } => format!("{host}:{port}"),
            Question::Asked { text, .. } => text.clone(),
            Question::Refused { text, .. } => text.clone(),
            Question::Answered => String::new(),
        }
    }
}

impl Future for LookupHost {
    type Output = io::Result<SocketAddrs>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Question::Name { host, port } = &mut this.question {
            outside::refuse("lookup_host", this.caller);
            let (host, port) = (std::mem::take(host), *port);
            let text = format!("{host}:{port}");
            let answer = spawn_blocking(move || ask_resolver(&host, port));
            this.question = Question::Asked { text, answer };
        }
        if let Question::Asked { text, answer } = &mut this.question {
            let joined = ready!(Pin::new(answer).poll(cx));
            let addresses = joined.unwrap_or_else(|err| Err(io::Error::other(err)));
            let result = addresses.map_err(|err| context("look up", text, err));
            this.question = Question::Answered;
            return Poll::Ready(result.map(SocketAddrs::many));
        }
        match std::mem::replace(&mut this.question, Question::Answered) {
            Question::Known(addresses) => Poll::Ready(Ok(addresses)),
            Question::Refused { text, reason } => {
                let err = io::Error::new(io::ErrorKind::InvalidInput, reason);
                Poll::Ready(Err(context("look up", text, err)))
            }
            _ => panic!("`lookup_host` was polled after it had completed"),
        }
    }
}

/// Blocks until the resolver answers; runs on a thread of the blocking pool.
fn ask_resolver(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    std::net::ToSocketAddrs::to_socket_addrs(&(host, port)).map(Iterator::collect)
}
