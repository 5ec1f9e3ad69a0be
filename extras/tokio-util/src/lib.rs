//! The parts of tokio-util that run on Wakeful.
//!
//! tokio-util's `codec`, `sync`, `io`, `either`, `future` and `compat` run on any executor and are re-exported
//! unchanged. Its [`task::TaskTracker`] spawns on tokio's runtime, so this package has one that
//! spawns on Wakeful's. `net`, `udp` and `time` (`UdpFramed`, `DelayQueue`) are absent, because they
//! hold tokio's own sockets and timers; so are `JoinMap`, `JoinQueue` and `LocalPoolHandle`.
//!
//! ```toml
//! [dependencies]
//! tokio = { package = "wakeful-tokio", path = "..", features = ["full"] }
//! tokio-util = { package = "wakeful-tokio-util", path = "..", features = ["full"] }
//! ```

#![deny(unsafe_code)]
#![cfg_attr(
    not(feature = "full"),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "this page links to items of every feature, and `cargo doc` of a program must not fail"
    )
)]

#[cfg(feature = "rt")]
pub mod task;

#[cfg(feature = "codec")]
pub use real_tokio_util::codec;
#[cfg(feature = "compat")]
pub use real_tokio_util::compat;
#[cfg(feature = "io")]
pub use real_tokio_util::io;
pub use real_tokio_util::{bytes, either, future, sync};
