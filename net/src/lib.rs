//! TCP, UDP and Unix sockets for the Wakeful runtime.
//!
//! This package uses only the public interface of `wakeful` (such as `AsyncFd`,
//! `spawn_blocking` and `timeout`), so another crate can do the same for another kind of descriptor.
//!
//! ```
//! use wakeful_net::{TcpListener, TcpStream};
//!
//! wakeful::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!
//!     wakeful::spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         let mut buf = [0; 1024];
//!         loop {
//!             match stream.read(&mut buf).await? {
//!                 0 => return std::io::Result::Ok(()),
//!                 n => stream.write_all(&buf[..n]).await?,
//!             }
//!         }
//!     });
//!
//!     let client = TcpStream::connect(address).await?;
//!     client.write_all(b"hello").await?;
//!     let mut echoed = [0; 5];
//!     client.read_exact(&mut echoed).await?;
//!     assert_eq!(&echoed, b"hello");
//!     std::io::Result::Ok(())
//! })
//! # .unwrap();
//! ```
//!
//! # What is where
//!
//! ```text
//! serve            accepts from a listener and spawns a task for each connection
//! io               copies between two streams, inside the kernel where that is cheaper
//! traits           futures-io's, tokio's and hyper's traits, for streams and halves
//!   |
//! tcp, udp, unix   the public types: listeners, streams, datagram sockets, unconnected sockets
//!   |  |
//!   |  +-- stream    read, write, peek: named futures, once for both families; the halves
//!   |  +-- datagram  the same for datagrams
//!   |  +-- listen    accept, and the classification of its errors
//!   |  +-- connect   one attempt to connect
//!   |  +-- ready     waiting without transferring
//!   +----- lookup    names to addresses, without blocking the thread
//!            |
//!          socket    a socket as the runtime's source (AsyncFd)   error, call_site: messages
//!            |                                                    budget: operations without a wait
//!            |
//!          sys       system calls, the only unsafe code           address, fd: conversions
//!                                                                 record: operations in recordings
//! ```
//!
//! # What all operations have in common
//!
//! - Nearly all are methods; no trait has to be imported. Names and return types are tokio's. For
//!   `read_to_end`, lines and buffers, import futures-lite's traits, or tokio's with the feature `tokio-io`.
//! - They take `&self`: several tasks can use one stream or listener at once, in either direction,
//!   and all tasks that wait for the same direction are woken.
//! - Each that can wait starts a *named future*, which records in the task info what the task waits for and the
//!   source line of the call.
//! - Each documents whether it is *cancel safe*: whether bytes or connections are lost when its
//!   future is dropped before it completes.
//! - They belong to the runtime on whose thread they were created. On another thread they panic with
//!   the operation's name and the caller's line. Dropping is allowed on any thread.
//! - Every descriptor is non-blocking and close-on-exec from the start. No operation raises
//!   `SIGPIPE`.

#![deny(unsafe_code)]
// docs.rs marks the items of a feature with its name. Only nightly rustdoc can.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod budget;
mod call_site;
mod connect;
pub mod datagram;
mod error;
mod fd;
pub mod io;
mod listen;
mod lookup;
mod ready;
mod record;
mod serve;
mod socket;
pub mod stream;
#[expect(unsafe_code, reason = "system calls are made here and nowhere else")]
mod sys;
pub mod tcp;
mod traits;
pub mod udp;
pub mod unix;

pub use error::SocketError;
pub use listen::{AcceptErrorKind, classify_accept_error};
pub use lookup::{LookupHost, SocketAddrs, ToSocketAddrs, lookup_host};
pub use serve::{Connections, Listener, Serve, serve};
pub use tcp::{TcpListener, TcpSocket, TcpStream};
#[cfg(feature = "hyper-util")]
pub use traits::hyper_util;
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixSocket, UnixStream};

/// Compiles and runs the README's examples as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
