//! The six models, one file each; read two of them with `diff`.
//!
//! | file | how it waits | threads | clients at a time |
//! |---|---|---|---|
//! | `blocking` | inside `read`, `write`, `accept` | 1 | 1 |
//! | `threads` | the same, once per client | 1 + clients | up to a limit |
//! | `busy_wait` | not at all: it asks again | 1 | 1 |
//! | `event_loop` | in `epoll_wait`, for all clients at once | 1 | many |
//! | `tasks` | at `.await`; Wakeful waits in `epoll_wait` | 1 | many |
//! | `completion` | in `io_uring_enter`, for what it has started | 1 | many |

pub(crate) mod blocking;
pub(crate) mod busy_wait;
pub(crate) mod completion;
pub(crate) mod event_loop;
pub(crate) mod tasks;
pub(crate) mod threads;

use std::io;

/// Calls again when a signal came in between.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
