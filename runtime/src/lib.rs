//! A single-threaded async runtime for Linux, built from scratch on epoll.
//!
//! The runtime owns tasks, I/O sources and timers, each kind in a table. User code holds numbers: a
//! [`JoinHandle`](task::JoinHandle), an [`io::AsyncFd`], a [`time::Sleep`] and a `Waker` contain a row,
//! its generation and the runtime's id. So wakers need no reference counts, handles are `Send`, and a
//! number that has outlived its object finds nothing.
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
//! # Where to find what
//!
//! | what | where |
//! |---|---|
//! | run a future | [`block_on`], [`runtime::Runtime`], [`runtime::Builder`], the attributes `#[wakeful::main]` and `#[wakeful::test]` |
//! | tasks | [`spawn`], [`task::JoinSet`], [`task::spawn_blocking`], [`task::yield_now`] |
//! | time | [`time::sleep`], [`time::timeout`], [`time::interval`], and a [clock that tests pause](time::pause) |
//! | descriptors and byte streams | [`io::AsyncFd`], [`io::copy`], [`io::duplex`], [`io::stdin`] |
//! | the end of a program | [`Shutdown`], [`signal::ctrl_c`], [`signal::shutdown_signal`] |
//! | other threads | [`runtime::Handle`] |
//! | what the runtime does | [`metrics`](metrics()), [`dump`](dump()), [`trace`] |
//! | tests | [`time::pause`], [`seeds`] for many orders, [`kernel`] for errors of system calls |
//!
//! Channels, locks, `select!`, TLS and HTTP are left to crates that run on any runtime: see
//! [the guide](guide::companions).
//!
//! # Features
//!
//! All are off by default and additive.
//!
//! - `macros`: the attributes `#[wakeful::main]` and `#[wakeful::test]`.
//! - `tokio-io`: tokio's `AsyncRead` and `AsyncWrite` for this crate's byte streams, and
//!   `impl_tokio_io!` for other types. It compiles the traits only, not tokio's runtime.
//! - `hyper`: the module `hyper` with an executor and a timer; hyper's `Read` and `Write` for the same
//!   byte streams, and `impl_hyper_io!` for other types.
//!
//! # Guides
//!
//! [`guide`] contains the pages of the repository on [porting from tokio](guide::porting), the
//! [differences from tokio](guide::wakeful_and_tokio), [testing](guide::testing),
//! [companion crates](guide::companions) and [crates that name tokio](guide::crates).
//!
//! # Reading the source
//!
//! Start at `Runtime::block_on`, which is the loop. The modules import each other in one direction:
//! each imports only from those above it in this list. `tests/tests/architecture.rs` checks that.
//!
//! ```text
//!  hooks       the byte that is set while something watches
//!  kernel      public: what answers system calls
//!  random      random numbers that a seed repeats
//!  drops       drops of values that user code made
//!  sys         system calls: epoll, eventfd, signals
//!  std_or_loom locks and atomics, or loom's
//!  table       rows at stable addresses, found by index and generation
//!  coop        the budget of one poll
//!  busy_poll   spin or park
//!  id          RuntimeId, Id, and the data of a Waker
//!  waker_counts  clones of wakers, if they are counted
//!  ready       Interest and Ready
//!  task_info   what is recorded about each task
//!  deadlock_watch  how deadlocks are looked for
//!  oneshot     a result from one thread to another
//!  inbox       messages from other threads
//!  registry    which runtimes exist
//!  blocking    threads for calls that block
//!  watch       the thread that reports a loop that does not go on
//!  reactor     kernel events into wakes
//!  timer       deadlines into wakes
//!  recorder    recordings: a ring of events in shared memory
//!  executor    the run queue and the polls
//!  context     what a runtime owns, and which runtime is this thread's
//!  record      what the loop records
//!  defer       how an operation yields
//!  signal      public: Unix signals
//!  dump        public: what a runtime does at one moment
//!  wait_list   wakers of operations without a descriptor
//!  task        public: spawn, JoinHandle, JoinSet
//!  time        public: sleep, timeout, interval
//!  io          public: AsyncFd, copy, duplex
//!  shutdown    public: graceful shutdown
//!  seeds       public: a test with many seeds
//!  hyper       public: adapters for hyper
//!  trace       public: recordings of what a runtime does
//!  runtime     public: Runtime, Builder, Handle; the loop
//! ```

#![deny(unsafe_code)]
// docs.rs marks the items of a feature with its name. Only nightly rustdoc can.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod deadlock_watch;
mod defer;
mod drops;
pub mod dump;
mod executor;
// Not a part of the documentation tests: their code needs packages that this one does not depend on.
#[cfg(all(doc, not(doctest)))]
pub mod guide;
mod hooks;
#[cfg(feature = "hyper")]
pub mod hyper;
mod id;
mod inbox;
pub mod io;
pub mod kernel;
mod oneshot;
mod random;
mod reactor;
mod ready;
mod record;
mod recorder;
mod registry;
pub mod runtime;
pub mod seeds;
pub mod shutdown;
pub mod signal;
mod std_or_loom;
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
pub mod trace;
mod wait_list;
mod waker_counts;
mod watch;

pub use dump::dump;
pub use runtime::{block_on, metrics};
pub use shutdown::Shutdown;
pub use task::spawn;
#[cfg(feature = "macros")]
pub use wakeful_macros::{main, test};
