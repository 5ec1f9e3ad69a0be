//! Waiting for file descriptors ([`AsyncFd`]), byte streams, and the standard streams of the process
//! ([`stdin`], [`stdout`], [`stderr`]).
//!
//! `wakeful-net` uses only this module's public interface. Another crate can do the same for pipes,
//! inotify, netlink or a device.
//!
//! # The traits of byte streams
//!
//! [`AsyncRead`] and [`AsyncWrite`] are those of the crate `futures-io`, re-exported. [`AsyncFd`],
//! [`DuplexStream`] and the streams of `wakeful-net` implement them, by value and by reference.
//! [`copy()`] and [`copy_bidirectional`] accept any type that does. Readers and writers with
//! buffers, lines and adapters come from `futures-lite` or `futures-util`.
//!
//! Handlers rarely need the traits: the streams have the same operations as inherent `async`
//! methods, which take precedence over those of an imported trait.
//!
//! Traits of Wakeful's own were rejected: they had the same shape, and every crate of the ecosystem
//! needed an adapter. `poll_close` shuts down the writing direction; reading goes on.

mod async_fd;
mod async_fd_mut;
mod copy;
mod duplex;
mod fd_stream;
mod io_count;
mod registration;
mod stdio;
#[cfg(feature = "tokio-io")]
pub mod tokio_io;

pub use crate::ready::{Interest, Ready};
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, AsyncIo, Readiness, TryIoError};
pub use async_fd_mut::AsyncFdReadyMutGuard;
pub use copy::{Copy, CopyBidirectional, copy, copy_bidirectional};
pub use duplex::{DuplexStream, duplex};
pub use futures_io::{AsyncRead, AsyncWrite};
pub use io_count::IoCount;
pub(crate) use stdio::awaits_thread;
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
