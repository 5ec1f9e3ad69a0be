//! Other crates' traits of byte streams, for `TcpStream`, `UnixStream` and their halves.
//!
//! Called by generic code: `wakeful::io::copy`, codecs, TLS, HTTP. Calls `stream::poll`. Handlers
//! need none of these traits, because the streams have the same operations as inherent methods.
//!
//! ```text
//!   hyper's Read, Write (feature `hyper`) --------------+      a TcpStream reads: stream::poll
//!                                                       +--> futures-io's --> stream::poll
//!   tokio's AsyncRead, AsyncWrite (feature `tokio-io`) -+
//! ```
//!
//! The feature `hyper-util` adds what the HTTP client of hyper-util needs on top of hyper's traits.
//!
//! A stream implements the traits by value and by reference. So one stream can be given to two
//! generic functions at once, one that reads and one that writes.

#[cfg(feature = "bytes")]
mod bytes;
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "hyper-util")]
pub mod hyper_util;
#[cfg(feature = "tokio-io")]
mod tokio_io;
