//! The operations of a connected stream, one implementation for TCP and Unix.
//!
//! `TcpStream` and `UnixStream` start them. Each is a named future in `read`, `write` or
//! `crate::ready`; `poll` has the same operations without a future; the two halves are in `split`.
//! All transfers use `Readiness::poll_transfer`, which waits, or `AsyncFd::try_transfer`, which does
//! not. Both follow the rules of edge-triggered readiness:
//!
//! ```text
//! readiness cached? --no--> Pending, the waker stays with the source
//!    | yes
//!    v
//! system call --EAGAIN--> clear the readiness, wait again
//!    | moved less than requested ----> clear the readiness without a second call that returns
//!    |                                 EAGAIN. Exceptions: a FIN, hang-up or error was reported (no
//!    |                                 further event would come for it), or urgent data (a receive
//!    |                                 stops before it, with more bytes after it)
//!    | moved all, or 0 (end), or an error ----> keep the readiness: the next call runs at once
//!    v
//! Ready
//! ```
//!
//! The types here are public because the streams' methods return them; [`tcp`](crate::tcp) and
//! [`unix`](crate::unix) export them under their own names.

pub(crate) mod poll;
mod read;
mod split;
mod write;

pub use crate::ready::{DirectionReady, Readable, ReadyFuture, Writable};
pub use read::{Peek, Read, ReadExact, ReadVectored};
pub use split::{ReadHalf, ShutdownOnDrop, Split, WriteHalf};
pub use write::{Write, WriteAll, WriteVectored};

pub(crate) use poll::poll_peek;
pub(crate) use read::{try_read, try_read_vectored};
pub(crate) use split::{Sealed, into_split, reunite, shutdown, split};
pub(crate) use write::{try_write, try_write_vectored};
