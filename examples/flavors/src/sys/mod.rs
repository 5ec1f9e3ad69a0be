//! System calls that need `unsafe`: those of the signal handlers, and io_uring.
//!
//! All other system calls go through the safe interfaces of std, rustix, socket2 and Wakeful.

pub(crate) mod signal;
pub(crate) mod uring;
