//! The six models, one file each. Compare two of them with `diff`.
//!
//! | file | how it waits | threads | clients at a time |
//! |---|---|---|---|
//! | `blocking` | in `read`, `write`, `accept` | 1 | 1 |
//! | `threads` | the same, in a thread per client | 1 + clients | up to a limit |
//! | `busy_wait` | not at all: it retries | 1 | 1 |
//! | `event_loop` | in `epoll_wait`, for all clients at once | 1 | many |
//! | `tasks` | at `.await`; Wakeful waits in `epoll_wait` | 1 | many |
//! | `completion` | in `io_uring_enter`, for started operations | 1 | many |

pub(crate) mod blocking;
pub(crate) mod busy_wait;
pub(crate) mod completion;
pub(crate) mod event_loop;
pub(crate) mod tasks;
pub(crate) mod threads;

use std::io;

/// Repeats a call that was interrupted by a signal.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
