//! The bytes of standard input between the pool's thread that reads them and the future that returns
//! them.
//!
//! Called by [`Stdin`](super::Stdin). A thread reads only after a future has asked for bytes, and at
//! most one thread reads. No user code runs while the [`Input`] is locked (I3).
//!
//! ```text
//!            poll finds nothing            the thread has read
//!   idle ------------------------> reading --------------------> bytes, end or error
//!     ^                              |                                 |
//!     |  the job was dropped unread  |                                 |
//!     +------------------------------+        the next poll takes it   |
//!     +----------------------------------------------------------------+
//! ```

use std::io::{self, IoSliceMut, Read};
use std::os::fd::AsFd;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use super::{has_waiter_of, thread_not_started, with_operation};
use crate::context;
use crate::defer::{defer_current, poll_proceed, try_consume};
use crate::id::{RuntimeId, WaiterId};
use crate::reactor::waiters::Waiters;
use crate::sys;
use crate::task::submit_detached;
use crate::wait_list::{next_operation, set_wait, wake_all};

/// Upper limit of one read.
const READ_AT_MOST: usize = 16 * 1024;

static INPUT: LazyLock<Mutex<Input>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Input {
    /// Bytes of the last read. Those before `taken` were returned.
    bytes: Vec<u8>,
    taken: usize,
    /// The end or the error that the last read returned, until a future returns it.
    outcome: Option<io::Result<()>>,
    /// Whether a [`ReadJob`] exists.
    reading: bool,
    waiters: Waiters,
}

/// The id of an operation that waits. Dropping it removes the operation's waker.
#[derive(Default)]
pub(super) struct Operation(Option<WaiterId>);

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(id) = self.0 else {
            return;
        };
        let input = lock();
        let removed = input.waiters.remove(id);
        drop(input);
        drop(removed);
    }
}

fn lock() -> MutexGuard<'static, Input> {
    INPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of bytes that were read and not returned, and the number of waiters.
pub(super) fn counts() -> (usize, usize) {
    let input = lock();
    (input.bytes.len() - input.taken, input.waiters.count().0)
}

/// Returns whether a thread reads and an operation of this runtime waits for it.
pub(super) fn awaits_thread(runtime: RuntimeId) -> bool {
    let input = lock();
    input.reading && has_waiter_of(&input.waiters, runtime)
}

/// Takes bytes that were read, or asks a thread of the pool to read some. Without an `operation`, the
/// waiter is identified by its waker.
pub(super) fn poll_read(
    cx: &mut Context<'_>,
    wait: (&'static str, &'static Location<'static>),
    operation: Option<&mut Operation>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>> {
    let core = context::require(wait.0);
    if bufs.iter().all(|buf| buf.is_empty()) {
        return poll_proceed(cx).map(|()| Ok(0));
    }
    // Cloned without the lock (I3).
    let waker = cx.waker().clone();
    let mut input = lock();
    if input.is_ready() {
        if !try_consume() {
            drop(input);
            defer_current(cx);
            return Poll::Pending;
        }
        let taken = input.take(bufs);
        drop(input);
        return Poll::Ready(taken.map_err(|error| with_operation("read standard input", &error)));
    }
    let id = match operation {
        Some(Operation(id)) => *id.get_or_insert_with(next_operation),
        None => context::waiter_id(&waker),
    };
    let replaced = input.waiters.store(id, waker);
    let must_start = !std::mem::replace(&mut input.reading, true);
    drop(input);
    drop(replaced);
    set_wait(wait.0, wait.1);
    if must_start {
        let job = ReadJob { has_run: false };
        if let Err(error) = submit_detached(&core, "stdin", wait.1, move || job.run()) {
            let error = thread_not_started(&error);
            return Poll::Ready(Err(with_operation("read standard input", &error)));
        }
    }
    Poll::Pending
}

impl Input {
    /// Takes out the buffer for the next read. All of its bytes were returned.
    fn take_buffer(&mut self) -> Vec<u8> {
        self.taken = 0;
        std::mem::take(&mut self.bytes)
    }

    fn is_ready(&self) -> bool {
        self.taken < self.bytes.len() || self.outcome.is_some()
    }

    /// Moves bytes into `bufs`; or, if there are none, returns the end or the error.
    fn take(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        if self.taken == self.bytes.len() {
            return self.outcome.take().unwrap_or(Ok(())).map(|()| 0);
        }
        let mut rest = &self.bytes[self.taken..];
        let total = rest.read_vectored(bufs)?;
        self.taken += total;
        Ok(total)
    }
}

/// One read, from the poll that asked for it until the thread has stored its result.
struct ReadJob {
    has_run: bool,
}

impl ReadJob {
    /// Reads, on a thread of the pool.
    fn run(mut self) {
        let mut bytes = lock().take_buffer();
        bytes.resize(READ_AT_MOST, 0);
        let result = read_some(&mut bytes);
        bytes.truncate(*result.as_ref().unwrap_or(&0));
        self.has_run = true;
        Self::finish(|input| {
            input.bytes = bytes;
            input.taken = 0;
            input.outcome = match result {
                Ok(0) => Some(Ok(())),
                Ok(_) => None,
                Err(error) => Some(Err(error)),
            };
        });
    }

    /// Stores the result and wakes the readers.
    fn finish(store: impl FnOnce(&mut Input)) {
        let mut woken = Vec::new();
        let mut input = lock();
        store(&mut input);
        input.reading = false;
        input.waiters.take().for_each(|waker| woken.push(waker));
        drop(input);
        wake_all(woken);
    }
}

/// A job that did not run, because its runtime has ended or no thread could start. Readers of other
/// runtimes are woken and start another.
impl Drop for ReadJob {
    fn drop(&mut self) {
        if !self.has_run {
            Self::finish(|_| {});
        }
    }
}

/// Reads through `std::io::stdin`, which returns first what synchronous code has left in its buffer.
fn read_some(bytes: &mut [u8]) -> io::Result<usize> {
    let mut stdin = io::stdin().lock();
    loop {
        match stdin.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::stdio::wait_readable(stdin.as_fd())?;
            }
            result => return result,
        }
    }
}
