//! Wakeful's listeners, whose streams are treated as ready right after `accept`, as tokio's are.
//!
//! Wakeful's own wait for the kernel's first event instead, which saves a `recv` if no bytes have arrived
//! yet. Programs that call `try_read` on a new stream rely on tokio's behavior.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::task::{Context, Poll};

use wakeful::io::Ready;
use wakeful_net::unix::SocketAddr;
use wakeful_net::{TcpStream, ToSocketAddrs, UnixStream};

macro_rules! listener {
    ($(#[$doc:meta])* $name:ident, $stream:ty, $std:ty, $address:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(wakeful_net::$name);

        impl $name {
            pub(super) fn from_wakeful(listener: wakeful_net::$name) -> Self {
                Self(listener)
            }

            /// Accepts a connection.
            ///
            /// # Errors
            ///
            /// As Wakeful's.
            ///
            /// # Cancel safety
            ///
            /// Safe. A connection is accepted only in the poll that returns it.
            #[track_caller]
            pub fn accept(&self) -> impl Future<Output = io::Result<($stream, $address)>> {
                let accept = self.0.accept();
                async { accept.await.map(assumed_ready) }
            }

            /// Polls for the next connection.
            ///
            /// # Errors
            ///
            /// As Wakeful's.
            #[track_caller]
            pub fn poll_accept(
                &self,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<($stream, $address)>> {
                self.0.poll_accept(cx).map_ok(assumed_ready)
            }

            /// Registers a listener of the standard library.
            ///
            /// # Errors
            ///
            /// As Wakeful's.
            #[track_caller]
            pub fn from_std(listener: $std) -> io::Result<Self> {
                wakeful_net::$name::from_std(listener).map(Self)
            }

            /// Converts the listener to std's type. It stays non-blocking.
            ///
            /// # Errors
            ///
            /// None at present.
            pub fn into_std(self) -> io::Result<$std> {
                self.0.into_std()
            }
        }

        impl Deref for $name {
            type Target = wakeful_net::$name;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                self.0.as_raw_fd()
            }
        }

        impl From<$name> for OwnedFd {
            fn from(listener: $name) -> Self {
                listener.0.into()
            }
        }

        impl TryFrom<$std> for $name {
            type Error = io::Error;

            #[track_caller]
            fn try_from(listener: $std) -> io::Result<Self> {
                Self::from_std(listener)
            }
        }
    };
}

listener!(
    /// Wakeful's [`TcpListener`](wakeful_net::TcpListener); its other methods are called through
    /// `Deref`.
    TcpListener,
    TcpStream,
    std::net::TcpListener,
    std::net::SocketAddr
);

listener!(
    /// Wakeful's [`UnixListener`](wakeful_net::UnixListener); its other methods are called through
    /// `Deref`.
    UnixListener,
    UnixStream,
    std::os::unix::net::UnixListener,
    SocketAddr
);

impl TcpListener {
    /// Binds a socket to an address and listens.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn bind<A: ToSocketAddrs>(address: A) -> impl Future<Output = io::Result<Self>> {
        let bind = wakeful_net::TcpListener::bind(address);
        async { bind.await.map(Self) }
    }
}

impl UnixListener {
    /// Binds a socket to a path and listens.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        wakeful_net::UnixListener::bind(path).map(Self)
    }

    /// Binds a socket to an address and listens.
    ///
    /// # Errors
    ///
    /// As Wakeful's.
    #[track_caller]
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        wakeful_net::UnixListener::bind_addr(address).map(Self)
    }
}

/// A stream that can be treated as ready without an event.
trait AssumeReady {
    fn assume_ready(&self, ready: Ready);
}

impl AssumeReady for TcpStream {
    fn assume_ready(&self, ready: Ready) {
        TcpStream::assume_ready(self, ready);
    }
}

impl AssumeReady for UnixStream {
    fn assume_ready(&self, ready: Ready) {
        UnixStream::assume_ready(self, ready);
    }
}

fn assumed_ready<S: AssumeReady, A>((stream, address): (S, A)) -> (S, A) {
    stream.assume_ready(Ready::READABLE | Ready::WRITABLE);
    (stream, address)
}
