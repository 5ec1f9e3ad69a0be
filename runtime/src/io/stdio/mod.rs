//! Standard input, output and error of the process.
//!
//! epoll cannot watch a standard stream that is redirected to a file or to `/dev/null`, and putting
//! one into non-blocking mode would change it for every process that shares it. So threads of the
//! blocking pool make the calls, whatever the stream is.
//!
//! ```text
//!   Stdin::read  <-- bytes, end or error <-- [ input  ] <-- one read at a time, on the pool
//!   Stdout::write --> bytes -------------->  [ output ] --> one write at a time, on the pool
//! ```
//!
//! A stream has one queue for the whole process. So bytes that were read for a future that was
//! dropped, or for a runtime that has ended, go to the next reader. Bytes of several writers keep the
//! order in which they were accepted.

mod input;
mod output;
mod stdin;
mod stdout;

pub use stdin::{Stdin, stdin};
pub use stdout::{Stderr, Stdout, stderr, stdout};

use std::io;

use crate::context;
use crate::id::RuntimeId;
use crate::reactor::waiters::Waiters;

/// Returns whether a thread makes a call for which an operation of this runtime waits. The thread can be that of
/// another runtime.
pub(crate) fn awaits_thread(runtime: RuntimeId) -> bool {
    let [stdout, stderr] = [&output::STDOUT, &output::STDERR];
    input::awaits_thread(runtime) || stdout.awaits_thread(runtime) || stderr.awaits_thread(runtime)
}

/// Returns whether an operation of this runtime waits. An external waker can belong to any runtime.
fn has_waiter_of(waiters: &Waiters, runtime: RuntimeId) -> bool {
    let mut found = false;
    waiters.for_each(&mut |waker| {
        let data = context::local_data(waker);
        found |= data.is_none_or(|data| data.runtime_index() == runtime.index());
    });
    found
}

/// Returns the error with the operation in front of the cause.
fn with_operation(operation: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{operation}: {error}"))
}

/// Returns the error of an operation for which no thread could start. That is EAGAIN, but its kind,
/// `WouldBlock`, must not leave a `poll_*` function: the operation would not succeed later on its own.
fn thread_not_started(error: &io::Error) -> io::Error {
    io::Error::other(format!("start a thread for it: {error}"))
}
