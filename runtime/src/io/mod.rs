//! Waiting for descriptors ([`AsyncFd`]); byte streams, and what can be done with any of them.
//!
//! Everything that `wakeful-net` does is done through this module, so another crate can do as much
//! for pipes, inotify, netlink or a device.

mod async_fd;
mod copy;
mod duplex;
mod fd_stream;
#[cfg(feature = "futures-io")]
mod futures_io;
mod registration;
#[cfg(feature = "tokio-io")]
pub mod tokio_io;
mod traits;

pub use crate::ready::{Interest, Ready};
pub use async_fd::{AsyncFd, AsyncFdReadyGuard, AsyncIo, IoCount, Readiness, TryIoError};
pub use copy::{Copy, CopyBidirectional, copy, copy_bidirectional};
pub use duplex::{DuplexStream, duplex};
pub use traits::{AsyncRead, AsyncWrite};
