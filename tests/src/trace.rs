//! What the tests of the runtime share: event traces, wakers that tell what is done to them, and
//! small things that every file needs.
//!
//! A test that asks "in which order?" lets its futures, drops and wakers say words to a [`Trace`] and
//! compares the whole list at the end. Nothing in it waits for time to pass.

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

mod wakers;

pub use wakers::{Hooks, Wakes};

/// Words in the order in which they were said. Clones share one list, on any thread.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    /// Starts an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a word.
    pub fn say(&self, word: impl Into<String>) {
        let word = word.into();
        // A test that panics while it holds the lock has been heard already.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(word);
    }

    /// Takes all words out.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes all words out and compares them.
    ///
    /// # Panics
    ///
    /// When they are not exactly these.
    #[track_caller]
    pub fn expect(&self, words: &[&str]) {
        assert_eq!(self.take(), words);
    }

    /// A value that says the word when it is dropped.
    #[must_use]
    pub fn on_drop(&self, word: impl Into<String>) -> SaysOnDrop {
        SaysOnDrop {
            trace: self.clone(),
            word: word.into(),
        }
    }
}

/// Says a word when it is dropped.
#[derive(Debug)]
pub struct SaysOnDrop {
    trace: Trace,
    word: String,
}

impl Drop for SaysOnDrop {
    fn drop(&mut self) {
        self.trace.say(std::mem::take(&mut self.word));
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

/// A value that calls `then` when it is dropped.
#[must_use]
pub fn on_drop<F: FnOnce()>(then: F) -> OnDrop<F> {
    OnDrop(Some(then))
}

/// A runtime with the defaults.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn runtime() -> Runtime {
    Runtime::new().expect("a runtime")
}

/// A runtime whose clock stands still.
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

/// The text of what `f` panics with.
///
/// # Panics
///
/// When it does not.
#[track_caller]
pub fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => text_of(payload.as_ref()),
    }
}

/// The text in a panic's payload.
#[must_use]
pub fn text_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a payload without a text".to_owned())
}

/// Two connected sockets: one in non-blocking mode, for an `AsyncFd`, and its blocking peer.
///
/// # Panics
///
/// When they cannot be made.
#[must_use]
pub fn pair() -> (UnixStream, UnixStream) {
    let (here, there) = UnixStream::pair().expect("a pair of sockets");
    here.set_nonblocking(true).expect("non-blocking mode");
    (here, there)
}

/// Lets everybody else run until nothing is left that could be polled at once: four turns, which is
/// more than any chain of wakes in these tests is long.
pub async fn settle() {
    for _ in 0..4 {
        wakeful::task::yield_now().await;
    }
}

/// Polls a future once, with the waker of whoever awaits this.
pub async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// Polls a future once, with the given waker.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// The waker of the task that awaits this.
pub async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// An hour, a minute, a second: what a test with a paused clock can afford.
#[must_use]
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
#[must_use]
pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs the body of a test in a process of its own, because it looks at what all threads share
/// (descriptors, stderr, signal handlers) or because a failure would end the process.
///
/// `test` is the name of the test that calls this. In the process that was started it runs the body
/// and returns `None`; in the one that started it, what that process has printed.
///
/// # Panics
///
/// When the body does.
pub fn alone(test: &str, body: impl FnOnce()) -> Option<Output> {
    const ALONE: &str = "WAKEFUL_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        body();
        return None;
    }
    let output = Command::new(std::env::current_exe().expect("a program knows its own path"))
        .args(["--exact", test, "--include-ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("the test program can be started again");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let passed = output.status.success() && out.contains("1 passed");
    assert!(passed, "{test} alone: {}\n{out}\n{err}", output.status);
    Some(output)
}

/// What a process has printed on stderr.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
