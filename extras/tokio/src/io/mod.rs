//! Traits and utilities of tokio; standard streams and readiness types of Wakeful.

pub use real_tokio::io::*;
pub use wakeful::io::{Interest, Ready, Stderr, Stdin, Stdout, stderr, stdin, stdout};

#[expect(unsafe_code, reason = "a raw descriptor is borrowed")]
mod async_fd;

/// [`AsyncFd`](unix::AsyncFd): a descriptor of the program's own.
pub mod unix {
    pub use super::async_fd::{
        AsyncFd, AsyncFdReadyGuard, AsyncFdReadyMutGuard, AsyncFdRegisterError, AsyncFdTryNewError,
    };
    pub use wakeful::io::TryIoError;
}
