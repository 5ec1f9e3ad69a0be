//! The future of `UnixStream::connect` and `UnixSocket::connect`.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use socket2::Domain;

use super::{SocketAddr, UnixStream};
use crate::connect::{CallSite, Connecting};
use crate::error::context;
use crate::outside;
use crate::socket::{Family, create};

/// The future of [`UnixStream::connect`] and [`UnixSocket::connect`](super::UnixSocket::connect).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Connect {
    name: &'static str,
    caller: &'static Location<'static>,
    target: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The error of making the address or the socket, until it is asked for.
    Failed(Option<io::Error>),
    /// The socket is made in the first poll.
    New(SocketAddr),
    Connecting(Connecting),
}

impl Connect {
    /// To an address that may have turned out to be none; `target` is what the user called it.
    #[track_caller]
    pub(super) fn new(target: String, address: io::Result<SocketAddr>) -> Self {
        let state = match address {
            Ok(address) => State::New(address),
            Err(err) => State::Failed(Some(err)),
        };
        Self {
            name: "UnixStream::connect",
            caller: Location::caller(),
            target,
            state,
        }
    }

    /// With a socket that users could reach before.
    #[track_caller]
    pub(super) fn with_socket(
        socket: socket2::Socket,
        target: String,
        address: io::Result<SocketAddr>,
    ) -> Self {
        let (name, caller) = ("UnixSocket::connect", Location::caller());
        let state = match address.and_then(|address| address.to_kernel()) {
            Ok(address) => {
                let begun = (name, caller);
                State::Connecting(Connecting::exposed(socket, address, Family::Unix, begun))
            }
            Err(err) => State::Failed(Some(err)),
        };
        Self {
            name,
            caller,
            target,
            state,
        }
    }
}

fn begin(address: &SocketAddr, call_site: CallSite) -> io::Result<Connecting> {
    Ok(Connecting::new(
        create(Domain::UNIX)?,
        address.to_kernel()?,
        Family::Unix,
        call_site,
    ))
}

impl Future for Connect {
    type Output = io::Result<UnixStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        outside::refuse(this.name, this.caller);
        if let State::New(address) = &this.state {
            this.state = match begin(address, (this.name, this.caller)) {
                Ok(connecting) => State::Connecting(connecting),
                Err(err) => State::Failed(Some(err)),
            };
        }
        let outcome = match &mut this.state {
            State::Connecting(connecting) => ready!(connecting.poll(cx)),
            State::Failed(err) => Err(err.take().expect("not polled after it has completed")),
            State::New(_) => unreachable!("replaced above"),
        };
        let target = &this.target;
        Poll::Ready(
            outcome
                .map(UnixStream::from_io)
                .map_err(|err| context("connect", target, err)),
        )
    }
}
