//! Feature `futures-io`: the traits that smol's crates, async-tungstenite and futures-rustls ask for.
//!
//! They have the shape of ours, so each call is one call; `close` is what we call `shutdown`. The
//! implementations are for each type by itself, because Rust lets only `futures-io` implement its
//! traits for every `T: AsyncRead`. The sockets' are in `wakeful-net`.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{AsyncFd, AsyncRead, AsyncWrite};
