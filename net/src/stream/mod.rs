//! The operations of a connected stream, one implementation for TCP and Unix.
//!
//! Called by `TcpStream` and `UnixStream`. Each operation is a named future in `read`, `write` or
//! `ready`; `poll` has the same operations without a future, for the traits of other crates; `split`
//! has the two halves. All transfers go through `poll_transfer` (waits), `poll::poll_io` (waits,
//! without a future) or `try_transfer` (never waits). They call `attempt`, which applies the rules of
//! edge-triggered readiness:
//!
//! ```text
//! readiness cached? --no--> Pending, the waker stays with the source
//!    | yes
//!    v
//! system call --EAGAIN--> clear the readiness, check it again
//!    | fewer bytes than requested ---> clear the readiness without a second call that returns
//!    |                                 EAGAIN, unless a FIN, hang-up or error was reported (no
//!    |                                 further edge follows it) or urgent data (a receive stops
//!    |                                 before it, with more behind); the guard checks this
//!    | all bytes, or 0 (end), or an error ---> keep it: the next call must run at once
//!    v
//! Ready
//! ```
//!
//! The types here are public because the streams' methods return them. [`tcp`](crate::tcp) and
//! [`unix`](crate::unix) re-export them.

pub(crate) mod poll;
mod read;
mod ready;
mod split;
mod write;

pub use read::{Peek, Read, ReadExact, ReadVectored};
pub use ready::{Wait, WaitReady};
pub use split::{ReadHalf, ShutdownOnDrop, Split, WriteHalf};
pub use write::{Write, WriteAll, WriteVectored};

pub(crate) use poll::poll_peek;
pub(crate) use read::{try_read, try_read_vectored};
pub(crate) use ready::poll_ready;
pub(crate) use split::{Sealed, into_split, reunite, shutdown, split};
pub(crate) use write::{try_write, try_write_vectored};
