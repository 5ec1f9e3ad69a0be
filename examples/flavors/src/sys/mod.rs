//! System calls that take `unsafe`: what a signal handler does, and io_uring.
//!
//! Everything else goes through std, rustix, socket2 and Wakeful, which are safe.

pub(crate) mod signal;
pub(crate) mod uring;
