//! The future of `UnixStream::connect` and `UnixSocket::connect`.

use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{SocketAddr, UnixStream};
use crate::budget::poll_proceed;
use crate::call_site::{CallSite, require_runtime};
use crate::connect::ConnectAttempt;
use crate::error::with_context;
use crate::socket::Family;
use crate::sys::Descriptor;

/// The future of [`UnixStream::connect`] and [`UnixSocket::connect`](super::UnixSocket::connect).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled or awaited"]
pub struct Connect {
    call_site: CallSite,
    /// The address as the caller wrote it, for the error.
    target: String,
    /// The attempt, or why there is no such address.
    attempt: Result<ConnectAttempt, Option<io::Error>>,
}

impl Connect {
    #[track_caller]
    pub(super) fn new(target: String, address: io::Result<SocketAddr>) -> Self {
        let call_site = ("UnixStream::connect", Location::caller());
        let address = address.and_then(|address| address.to_kernel());
        Self {
            call_site,
            target,
            attempt: address
                .map(|address| ConnectAttempt::new(address, Family::Unix, call_site))
                .map_err(Some),
        }
    }

    /// Connects an existing socket.
    #[track_caller]
    pub(super) fn with_socket(
        socket: Descriptor,
        target: String,
        address: io::Result<SocketAddr>,
    ) -> Self {
        let call_site = ("UnixSocket::connect", Location::caller());
        let address = address.and_then(|address| address.to_kernel());
        Self {
            call_site,
            target,
            attempt: address
                .map(|address| {
                    ConnectAttempt::with_socket(socket, address, Family::Unix, call_site)
                })
                .map_err(Some),
        }
    }
}

impl Future for Connect {
    type Output = io::Result<UnixStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        require_runtime(this.call_site);
        let outcome = match &mut this.attempt {
            Ok(attempt) => ready!(attempt.poll(cx)),
            Err(err) => {
                ready!(poll_proceed(cx));
                Err(err.take().expect("not polled after completion"))
            }
        };
        Poll::Ready(
            outcome
                .map(UnixStream::from_io)
                .map_err(|err| with_context("connect", &this.target, err)),
        )
    }
}
