//! Waiting for descriptors: [`AsyncFd`] and the sets it speaks in.
//!
//! Everything that `wakeful-net` does is done through this module, so another crate can do as much
//! for pipes, inotify, netlink or a device.

mod async_fd;
mod guard;
mod readiness;

pub use crate::reactor::ready::{Interest, Ready};
pub use async_fd::{AsyncFd, AsyncIo};
pub use guard::{AsyncFdReadyGuard, TryIoError};
pub use readiness::Readiness;
