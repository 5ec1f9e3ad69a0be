//! Helpers of the runtime's tests: event traces, external wakers that count or run hooks, and small
//! functions that every file needs.
//!
//! A test of an order pushes entries to a [`Trace`] from its futures, drops and wakers, and compares
//! the whole list at the end. No helper waits for time to pass.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wakeful::runtime::{Builder, Runtime};
use wakeful::time::Instant;

mod wakers;

pub use wakers::{Hooks, Wakes};

/// A list of entries in the order in which they were pushed. Clones share one list, on any thread.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry.
    pub fn push(&self, entry: impl Into<String>) {
        let entry = entry.into();
        // A panic that poisoned the lock has been reported already.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
    }

    /// Removes and returns all entries.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Removes all entries and compares them with `expected`.
    ///
    /// # Panics
    ///
    /// When they differ.
    #[track_caller]
    pub fn expect(&self, expected: &[&str]) {
        assert_eq!(self.take(), expected);
    }

    /// Returns a value that pushes the entry when it is dropped.
    #[must_use]
    pub fn on_drop(&self, entry: impl Into<String>) -> PushOnDrop {
        PushOnDrop {
            trace: self.clone(),
            entry: entry.into(),
        }
    }
}

/// Pushes an entry when it is dropped.
#[derive(Debug)]
pub struct PushOnDrop {
    trace: Trace,
    entry: String,
}

impl Drop for PushOnDrop {
    fn drop(&mut self) {
        self.trace.push(std::mem::take(&mut self.entry));
    }
}

/// Calls a closure when it is dropped.
#[derive(Debug)]
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then();
        }
    }
}

/// Returns a value that calls `then` when it is dropped.
#[must_use]
pub fn on_drop<F: FnOnce()>(then: F) -> OnDrop<F> {
    OnDrop(Some(then))
}

/// Builds a runtime with the defaults.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// Builds a runtime whose clock is paused.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn paused() -> Runtime {
    Builder::new()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// Runs a future on a runtime whose clock is paused, and passes it the start time.
///
/// # Panics
///
/// When the runtime cannot be built, and when the future panics.
pub fn with_paused_clock<F: Future>(f: impl FnOnce(Instant) -> F) -> F::Output {
    paused().block_on(async { f(Instant::now()).await })
}

/// Returns the message with which `f` panics.
///
/// # Panics
///
/// When `f` does not panic.
#[track_caller]
pub fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("the closure did not panic"),
        Err(payload) => text_of(payload.as_ref()),
    }
}

/// Returns the message in a panic's payload.
#[must_use]
pub fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a payload without a message".to_owned())
}

/// Creates two connected sockets: one in non-blocking mode, for an `AsyncFd`, and its blocking peer.
///
/// # Panics
///
/// When they cannot be created.
#[must_use]
pub fn pair() -> (UnixStream, UnixStream) {
    let (here, there) = UnixStream::pair().expect("a pair of sockets");
    here.set_nonblocking(true).expect("non-blocking mode");
    (here, there)
}

/// Yields until no other task can be polled without a new event: four turns, which is more than the
/// length of any chain of wakes in these tests.
pub async fn settle() {
    for _ in 0..4 {
        wakeful::task::yield_now().await;
    }
}

/// Polls a future once, with the waker of the task that awaits this.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls a future once, with the given waker.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Returns the waker of the task that awaits this.
pub async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// A duration in seconds, for tests with a paused clock.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A duration in milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs the body of a test in a process of its own. For tests of state that all threads share
/// (descriptors, stderr, signal handlers), and for those whose failure would end the process.
///
/// To be called by the test itself: the closure's type has the name of the test. The child
/// process runs the body and returns `None`; the parent process returns the child's output.
///
/// # Panics
///
/// When the body panics.
pub fn alone<F: FnOnce()>(body: F) -> Option<Output> {
    const ALONE: &str = "WAKEFUL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        body();
        return None;
    }
    // `program::modules::test::{{closure}}`
    let closure = std::any::type_name::<F>();
    let path = closure.split_once("::").map_or(closure, |(_, path)| path);
    let test = path
        .split_once("::{{closure}}")
        .map_or(path, |(path, _)| path);
    let output = Command::new(std::env::current_exe().expect("the path of the test program"))
        .args(["--exact", test, "--include-ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the test program starts again");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let passed = output.status.success() && out.contains("1 passed");
    assert!(passed, "{test} alone: {}\n{out}\n{err}", output.status);
    Some(output)
}

/// Returns the stderr of a process as text.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
