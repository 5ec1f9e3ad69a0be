//! A single-threaded async runtime for Linux, built from scratch on epoll.
//!
//! The runtime owns everything (tasks, I/O sources, timers, each in a slab) and everyone else
//! holds a number: a [`JoinHandle`](task::JoinHandle), an [`io::AsyncFd`], a [`time::Sleep`] and a
//! `Waker` are an index, a generation and the runtime's id. So wakers need no reference counts,
//! handles are `Send` by nature, and a number that has outlived its object finds nothing.
//!
//! ```
//! use std::time::Duration;
//!
//! wakeful::block_on(async {
//!     let slow = wakeful::spawn(async {
//!         wakeful::time::sleep(Duration::from_millis(2)).await;
//!         "slow"
//!     });
//!     let quick = wakeful::spawn(async { "quick" });
//!     assert_eq!(quick.await.unwrap(), "quick");
//!     assert_eq!(slow.await.unwrap(), "slow");
//! });
//! ```
//!
//! Sockets are in the package `wakeful-net`, built on this crate's public [`io::AsyncFd`].
//!
//! # Reading the source
//!
//! The modules in the order of their imports, which never point the other way:
//!
//! ```text
//!  sys, sync, slab,     system calls; locks; values under generational keys;
//!  budget               how much one poll may do
//!  task::id, reactor::  whom a number names; what the kernel said
//!  {ready,seen}         and a handle has seen
//!  task::{cell,..},     what a task is made of,
//!  news                 and what the poll in progress was woken by
//!  remote, registry     what other threads see of a runtime
//!  reactor, timers,     events and time into wakes; threads for calls that block;
//!  blocking, busy_poll  whether to park
//!  executor             polls
//!  current, waker,      which runtime is this thread's; a number as a Waker;
//!  wait_list            waiting for what no kernel reports
//!  task, io, time,      what users call
//!  signal, shutdown
//!  runtime              the loop: start reading at `Runtime::block_on`
//! ```

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "Wakeful runs on Linux only: it is built on epoll(7). On macOS or Windows use the container \
     described in .devcontainer/devcontainer.json, or WSL2."
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!("Wakeful needs 64-bit pointers: its wakers are 64-bit numbers.");

mod blocking;
mod busy_poll;
mod context;
mod coop;
mod executor;
#[cfg(feature = "hyper")]
pub mod hyper;
mod id;
mod inbox;
pub mod io;
mod macros;
mod oneshot;
mod reactor;
mod ready;
mod registry;
pub mod runtime;
pub mod shutdown;
pub mod signal;
mod sync;
#[expect(
    unsafe_code,
    reason = "system calls; every block argues from the man page"
)]
mod sys;
mod table;
pub mod task;
mod task_info;
pub mod time;
mod timer;
mod wait_list;

pub use runtime::{block_on, metrics};
pub use shutdown::Shutdown;
pub use task::spawn;
