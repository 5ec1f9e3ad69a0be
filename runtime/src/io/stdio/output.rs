//! The bytes of standard output or error between the futures that write them and the pool's thread
//! that passes them to the kernel.
//!
//! Called by [`Stdout`](super::Stdout) and [`Stderr`](super::Stderr). At most one thread writes to a
//! stream, so bytes keep their order. No user code runs while the [`Queue`] is locked (I3).
//!
//! Bytes are numbered from the first one that the process wrote to the stream:
//!
//! ```text
//!   0 .. finished        written, or lost by a failed write
//!   finished .. accepted in the queue or in the thread's hands; at most QUEUE_AT_MOST
//! ```
//!
//! So "everything that I wrote has been written" is a comparison of two numbers. A failure has the
//! numbers of the bytes that were lost, and each write of such bytes that waits for its end returns
//! the error. Bytes that no operation waits for are reported to the next operation.

use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
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

/// Upper limit of the bytes that were accepted and are not written yet.
const QUEUE_AT_MOST: usize = 64 * 1024;

pub(super) static STDOUT: Output = Output {
    name: "stdout",
    operation: "write to standard output",
    write: write_stdout,
    queue: LazyLock::new(Mutex::default),
};

pub(super) static STDERR: Output = Output {
    name: "stderr",
    operation: "write to standard error",
    write: write_stderr,
    queue: LazyLock::new(Mutex::default),
};

/// Name of an operation, and the source location of its call.
pub(super) type Wait = (&'static str, &'static Location<'static>);

/// Result of writing all of some bytes. An error has the number of bytes that were written before it.
type Written = Result<(), (usize, io::Error)>;

/// One of the two streams.
pub(super) struct Output {
    /// Name of the task that counts the thread's work.
    name: &'static str,
    /// Start of each error.
    operation: &'static str,
    /// Writes all bytes, blocking.
    write: fn(&[u8]) -> Written,
    queue: LazyLock<Mutex<Queue>>,
}

/// A future that writes or flushes, with its id once it waits. Dropping it removes its waker.
pub(super) struct Operation {
    output: &'static Output,
    id: Option<WaiterId>,
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(id) = self.id else {
            return;
        };
        let queue = self.output.lock();
        let removed = queue.waiters.remove(id);
        drop(queue);
        drop(removed);
    }
}

#[derive(Default)]
struct Queue {
    /// Accepted bytes that the thread has not taken yet.
    bytes: Vec<u8>,
    accepted: u64,
    finished: u64,
    /// The last write that failed.
    failure: Option<Failure>,
    /// Whether a [`WriteJob`] exists.
    writing: bool,
    waiters: Waiters,
}

struct Failure {
    lost: Range<u64>,
    error: io::Error,
    /// Whether an operation has returned it.
    reported: bool,
}

impl Queue {
    fn room(&self) -> usize {
        QUEUE_AT_MOST - usize::try_from(self.accepted - self.finished).unwrap_or(QUEUE_AT_MOST)
    }

    fn append(&mut self, bufs: &[IoSlice<'_>]) -> usize {
        let before = self.bytes.len();
        let mut room = self.room();
        for buf in bufs {
            let part = &buf[..buf.len().min(room)];
            self.bytes.extend_from_slice(part);
            room -= part.len();
        }
        let appended = self.bytes.len() - before;
        self.accepted += appended as u64;
        appended
    }

    /// Gives up all bytes but the first `written` ones that the thread holds.
    fn fail(&mut self, written: usize, error: &io::Error) {
        self.bytes.clear();
        self.failure = Some(Failure {
            lost: self.finished + written as u64..self.accepted,
            error: copy_of(error),
            reported: false,
        });
        self.finished = self.accepted;
    }

    /// Returns the failure if it was not reported yet, or if it lost some of the bytes `written`.
    fn check(&mut self, written: &Range<u64>) -> io::Result<()> {
        match &mut self.failure {
            Some(failure)
                if !failure.reported
                    || (failure.lost.start < written.end && written.start < failure.lost.end) =>
            {
                failure.reported = true;
                Err(copy_of(&failure.error))
            }
            _ => Ok(()),
        }
    }
}

/// Copies an error, because several operations can have lost bytes by one write.
fn copy_of(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn operation(&'static self) -> Operation {
        Operation {
            output: self,
            id: None,
        }
    }

    /// Returns whether a thread writes and an operation of this runtime waits for it.
    pub(super) fn awaits_thread(&self, runtime: RuntimeId) -> bool {
        let queue = self.lock();
        queue.writing && has_waiter_of(&queue.waiters, runtime)
    }

    /// Returns the number of bytes that were accepted and are not written.
    pub(super) fn unwritten(&self) -> u64 {
        let queue = self.lock();
        queue.accepted - queue.finished
    }

    /// Accepts as many bytes as there is room for, and waits if there is none. Returns the numbers of
    /// the accepted bytes. Without an `operation`, a waiter is identified by its waker.
    pub(super) fn poll_accept(
        &'static self,
        cx: &mut Context<'_>,
        operation: Option<&mut Operation>,
        wait: Wait,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<Range<u64>>> {
        context::require(wait.0);
        if bufs.iter().all(|buf| buf.is_empty()) {
            return poll_proceed(cx).map(|()| Ok(0..0));
        }
        // Cloned without the lock (I3).
        let waker = cx.waker().clone();
        let mut queue = self.lock();
        if let Err(error) = queue.check(&(0..0)) {
            drop(queue);
            return Poll::Ready(Err(with_operation(self.operation, &error)));
        }
        if queue.room() == 0 {
            return self.wait(queue, operation, waker, wait);
        }
        if !try_consume() {
            drop(queue);
            defer_current(cx);
            return Poll::Pending;
        }
        let appended = queue.append(bufs) as u64;
        let accepted = queue.accepted - appended..queue.accepted;
        Poll::Ready(self.ensure_writer(queue, wait).map(|()| accepted))
    }

    /// Waits until the bytes `written` were written. Without an `operation`, a waiter is identified by
    /// its waker.
    pub(super) fn poll_written(
        &'static self,
        cx: &mut Context<'_>,
        operation: Option<&mut Operation>,
        wait: Wait,
        written: &Range<u64>,
    ) -> Poll<io::Result<()>> {
        context::require(wait.0);
        let waker = cx.waker().clone();
        let mut queue = self.lock();
        if queue.finished < written.end {
            return self.wait(queue, operation, waker, wait);
        }
        if !try_consume() {
            drop(queue);
            defer_current(cx);
            return Poll::Pending;
        }
        let outcome = queue.check(written);
        drop(queue);
        Poll::Ready(outcome.map_err(|error| with_operation(self.operation, &error)))
    }

    /// Returns the numbers of the bytes that were accepted and are not written.
    pub(super) fn unwritten_range(&self) -> Range<u64> {
        let queue = self.lock();
        queue.finished..queue.accepted
    }

    /// Stores the waker until the thread has written something.
    fn wait<T>(
        &'static self,
        queue: MutexGuard<'_, Queue>,
        operation: Option<&mut Operation>,
        waker: std::task::Waker,
        wait: Wait,
    ) -> Poll<io::Result<T>> {
        let id = match operation {
            Some(operation) => *operation.id.get_or_insert_with(next_operation),
            None => context::waiter_id(&waker),
        };
        let replaced = queue.waiters.store(id, waker);
        set_wait(wait.0, wait.1);
        let started = self.ensure_writer(queue, wait);
        drop(replaced);
        match started {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Starts a job for the bytes in the queue if there is none: because the stream was idle, or
    /// because the runtime of the last job ended before it ran.
    fn ensure_writer(
        &'static self,
        mut queue: MutexGuard<'_, Queue>,
        wait: Wait,
    ) -> io::Result<()> {
        let must_start = !queue.bytes.is_empty() && !std::mem::replace(&mut queue.writing, true);
        drop(queue);
        if !must_start {
            return Ok(());
        }
        let core = context::require(wait.0);
        let job = WriteJob {
            output: self,
            is_done: false,
        };
        let Err(error) = submit_detached(&core, self.name, wait.1, move || job.run()) else {
            return Ok(());
        };
        let error = thread_not_started(&error);
        let has_failed = self.update(|queue| {
            // Otherwise another thread of the program has started a job since.
            if !queue.writing {
                queue.fail(0, &error);
                // Reported by this operation.
                queue.check(&(0..0)).ok();
            }
            !queue.writing
        });
        if has_failed {
            Err(with_operation(self.operation, &error))
        } else {
            Ok(())
        }
    }

    /// Applies a change and wakes all operations that wait.
    fn update<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut woken = Vec::new();
        let mut queue = self.lock();
        let changed = change(&mut queue);
        queue.waiters.take().for_each(|waker| woken.push(waker));
        drop(queue);
        wake_all(woken);
        changed
    }
}

/// The work of a thread: writes until the queue is empty.
struct WriteJob {
    output: &'static Output,
    is_done: bool,
}

impl WriteJob {
    /// Writes, on a thread of the pool.
    fn run(mut self) {
        while let Some(bytes) = self.next_bytes() {
            let result = (self.output.write)(&bytes);
            self.output.update(|queue| match result {
                Ok(()) => queue.finished += bytes.len() as u64,
                Err((written, error)) => queue.fail(written, &error),
            });
        }
    }

    /// Takes the bytes of the queue. If there are none, the job is done, and the next write starts
    /// another.
    fn next_bytes(&mut self) -> Option<Vec<u8>> {
        let mut queue = self.output.lock();
        if queue.bytes.is_empty() {
            queue.writing = false;
            self.is_done = true;
            return None;
        }
        Some(std::mem::take(&mut queue.bytes))
    }
}

/// A job that did not run, because its runtime has ended or no thread could start. Operations of
/// other runtimes are woken and start another.
impl Drop for WriteJob {
    fn drop(&mut self) {
        if !self.is_done {
            self.output.update(|queue| queue.writing = false);
        }
    }
}

/// Writes what `print!` has left in the buffer of `std`, then the bytes. The lock keeps the output of
/// `println!` on other threads apart.
fn write_stdout(bytes: &[u8]) -> Written {
    let mut stdout = io::stdout().lock();
    while let Err(error) = stdout.flush() {
        wait_if_transient(stdout.as_fd(), error).map_err(|error| (0, error))?;
    }
    write_all(stdout.as_fd(), bytes)
}

fn write_stderr(bytes: &[u8]) -> Written {
    write_all(io::stderr().lock().as_fd(), bytes)
}

/// Writes all bytes. Not through `std`, whose buffer hides how many were written before an error.
fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> Written {
    let mut written = 0;
    while written < bytes.len() {
        match sys::stdio::write(fd, &bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(n) => written += n,
            Err(error) => wait_if_transient(fd, error).map_err(|error| (written, error))?,
        }
    }
    Ok(())
}

/// Waits until the descriptor accepts bytes, if that is what the error is about.
fn wait_if_transient(fd: BorrowedFd<'_>, error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::Interrupted => Ok(()),
        io::ErrorKind::WouldBlock => sys::stdio::wait_writable(fd),
        _ => Err(error),
    }
}
