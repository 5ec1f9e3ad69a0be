//! The operations of a connected stream, one implementation for TCP and Unix.
//!
//! `TcpStream` and `UnixStream` start them; each is a named future in `read`, `write` or `ready`;
//! `split` has the two halves. All transfers go through `poll_transfer` (waits) or
//! `try_transfer` (never waits), and both end in `attempt`, where the rules of edge-triggered
//! readiness are kept:
//!
//! ```text
//! readiness cached? --no--> Pending, the waker stays with the source
//!    | yes
//!    v
//! system call --EAGAIN--> drop the readiness, ask again
//!    | moved less than asked for ----> drop the readiness without a second call to see EAGAIN,
//!    |                                 unless a FIN, hang-up or error has been seen (no further
//!    |                                 edge would come for it) or urgent data (a receive stops
//!    |                                 before it, with more behind); the guard knows
//!    | moved all, or 0 (end), or an error ----> keep it: the next call must run at once
//!    v
//! Ready
//! ```
//!
//! The types here are public because the streams' methods return them; [`tcp`](crate::tcp) and
//! [`unix`](crate::unix) have them under the names that belong to each.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
mod read;
mod split;
#[cfg(feature = "tokio-io")]
mod tokio_io;
mod traits;
mod write;

pub use crate::ready::{DirectionReady, Readable, ReadyFuture, Writable};
pub use read::{Peek, Read, ReadExact, ReadVectored};
pub use split::{Closing, ReadSide, WriteSide};
pub use write::{Write, WriteAll, WriteVectored};

pub(crate) use read::{try_read, try_read_vectored};
pub(crate) use split::{Splittable, into_split, reunite, split};
pub(crate) use traits::poll_peek;
pub(crate) use write::{try_write, try_write_vectored};
