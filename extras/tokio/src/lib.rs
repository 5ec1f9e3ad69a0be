//! The names of tokio over the [Wakeful](wakeful) runtime.
//!
//! A program that is written for tokio, and that one thread serves well, runs on Wakeful with one line of
//! its manifest changed:
//!
//! ```toml
//! [dependencies]
//! tokio = { package = "wakeful-tokio", git = "...", features = ["full"] }
//! ```
//!
//! Its `use tokio::...` lines, `#[tokio::main]` and `#[tokio::test]` stay. Wakeful's own names can be
//! written later, file by file: both are the same types.
//!
//! ```
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let mut client = TcpStream::connect(listener.local_addr()?).await?;
//!     let server = tokio::spawn(async move {
//!         let (mut stream, _) = listener.accept().await?;
//!         let (mut reader, mut writer) = stream.split();
//!         tokio::io::copy(&mut reader, &mut writer).await
//!     });
//!     client.write_all(b"hello").await?;
//!     client.shutdown().await?;
//!     let mut echoed = String::new();
//!     client.read_to_string(&mut echoed).await?;
//!     assert_eq!(echoed, "hello");
//!     assert_eq!(server.await??, 5);
//!     Ok(())
//! }
//! ```
//!
//! # Whose code it is
//!
//! | | |
//! |---|---|
//! | Wakeful's, unchanged | [`time`], [`signal`], the streams of [`net`] and their halves, `task::{Id, JoinError, yield_now, ...}` |
//! | Wakeful's with tokio's signatures, adapted here | [`spawn`], [`task`], [`runtime`], the listeners, datagram sockets and pipes of [`net`], [`AsyncFd`](io::unix::AsyncFd) |
//! | tokio's own, which runs on any executor | [`sync`], the traits and utilities of [`io`], [`select!`], [`join!`], [`try_join!`], [`pin!`], [`task_local!`], the attributes [`main`] and [`test`] |
//!
//! No other reactor or executor is linked in: tokio's features `net` and `time` stay off. The package
//! `wakeful-tokio-util` has a `TaskTracker` for it.
//!
//! # What is different
//!
//! - **One thread.** `Builder::new_multi_thread` and `#[tokio::main]` without a flavor build the same
//!   runtime as `new_current_thread`. `worker_threads` is accepted and has no effect.
//! - [`spawn`] does not require `Send`. [`task::LocalSet`] exists, and its tasks are tasks of the runtime.
//! - A [`runtime::Runtime`] is not `Send`. Sockets and timers work on its thread only; an operation on
//!   another thread panics with its name and line.
//! - A closure of `spawn_blocking` is outside of the runtime: [`spawn`], sockets and timers panic in it, also in
//!   `Handle::current().block_on(future)`. Write `handle.block_on(handle.spawn(future))` there.
//! - `raw_os_error()` of an error of `bind` or `connect` is `None`, because the error names the address. Its
//!   `kind()` is tokio's.
//! - I/O and time are always enabled. A paused clock jumps although an operation waits for a descriptor,
//!   as tokio's does.
//! - The streams have `read`, `write_all`, `shutdown` and others as inherent methods with `&self`. The
//!   compiler can therefore report that `AsyncReadExt` is unused, or that a `mut` is.
//! - tokio's channels and utilities spend no budget: a task that only receives from a channel that is
//!   never empty calls [`task::yield_now`] from time to time.
//!
//! The page "Wakeful and tokio" of the repository explains the differences.
//!
//! # What is absent
//!
//! Code that uses these does not compile:
//!
//! - [`fs`] and [`process`]. Their usual functions are declared with a bound that no type satisfies,
//!   so that the error says what to use instead.
//! - `task::block_in_place`: use [`task::spawn_blocking`].
//! - `Builder::{on_thread_start, on_thread_stop, on_thread_park, on_thread_unpark}`, which are hooks of
//!   the scheduler's threads.
//! - `Handle::enter`: use [`Runtime::enter`](runtime::Runtime::enter).
//! - `RuntimeMetrics` in tokio's form: [`Runtime::metrics`](wakeful::runtime::Runtime::metrics) returns a
//!   snapshot with public fields.
//!
//! # Features
//!
//! Each feature of tokio is accepted. `fs`, `process`, `io-uring`, `taskdump`, `tracing` and
//! `schedule-latency` have no effect. `time`, `signal` and `io-std` enable what is always present.
//! `rt-multi-thread` lets `#[tokio::main]` accept the flavor.

#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "full"),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "this page links to items of every feature, and `cargo doc` of a program must not fail"
    )
)]

mod entered;
pub mod fs;
pub mod io;
mod join_handle;
#[cfg(feature = "net")]
pub mod net;
pub mod process;
pub mod runtime;
mod spawn;
pub mod task;
pub mod time;

pub use spawn::spawn;
pub use wakeful::signal;

#[cfg(not(feature = "macros"))]
pub use real_tokio::pin;
#[cfg(feature = "sync")]
pub use real_tokio::sync;
#[cfg(feature = "rt")]
pub use real_tokio::task_local;
#[cfg(feature = "macros")]
pub use real_tokio::{join, main, pin, select, test, try_join};

/// Compiles and runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
