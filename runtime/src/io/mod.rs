//! Waiting for descriptors, and the traits of byte streams.
//!
//! Everything that `wakeful-net` does is done through this module, so another crate can do as much
//! for pipes, inotify, netlink or a device.

mod async_fd;
mod fd_stream;
mod guard;
mod readiness;
mod traits;

pub use crate::reactor::ready::{Interest, Ready};
pub use async_fd::{AsyncFd, AsyncIo};
pub use guard::{AsyncFdReadyGuard, TryIoError};
pub use readiness::Readiness;
pub use traits::{AsyncRead, AsyncWrite};
