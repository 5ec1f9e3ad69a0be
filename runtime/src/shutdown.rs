//! Graceful shutdown: one signal to many tasks, and a wait until they are done.
//!
//! Used by servers, which all need a request to stop, a count of the tasks at work, and a limit for
//! the wait.
//!
//! ```text
//!   cancel()                               tokens held by tasks
//!     |                                      [token] [token] [token]
//!     v                                         |       |       |
//!   cancelled() is ready, for all waiters       v       v       v   dropped, one by one
//!     |                                      wait() is ready when there is none
//!     +------------ drain(grace): cancels, then waits, at most for the grace period ---------->
//! ```
//!
//! The state is behind a lock instead of in the runtime, so that one `Shutdown` can end the runtimes
//! of many threads. It does not know tasks: a task counts as done when its token is dropped, also by
//! a panic or an abort.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::defer::poll_proceed;
use crate::std_or_loom::{Mutex, MutexGuard};
use crate::time::{Timeout, timeout};
use crate::wait_list::{WaitList, set_wait, wake_all};

/// Asks tasks to stop and waits until they have.
///
/// Clones share one state, on any thread. A task holds a [`Token`] while the shutdown has to wait for
/// it, and awaits [`cancelled`](Self::cancelled) where it can stop. A `Shutdown` of its own can also end a
/// single task, such as a connection that is too slow. It has no children.
///
/// # Examples
///
/// A server that finishes the requests it has started:
///
/// ```
/// use std::time::Duration;
/// use wakeful::Shutdown;
/// use wakeful::time::sleep;
///
/// wakeful::block_on(async {
///     let shutdown = Shutdown::new();
///     for _ in 0..3 {
///         let token = shutdown.token();
///         wakeful::spawn(async move {
///             // Stops between two requests, not in the middle of one.
///             while token.run_until_cancelled(next_request()).await.is_some() {
///                 sleep(Duration::from_millis(1)).await;
///             }
///         });
///     }
///     sleep(Duration::from_millis(3)).await; // in a program: signal::ctrl_c().await
///     let left = shutdown.drain(Duration::from_secs(5)).await;
///     assert_eq!(left, 0, "all tasks stopped within the grace period");
/// });
///
/// async fn next_request() {
///     sleep(Duration::from_millis(1)).await;
/// }
/// ```
#[derive(Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
}

/// No user code runs while this is locked.
#[derive(Default)]
struct State {
    /// Whether [`Shutdown::cancel`] was called. Never reset.
    cancelled: bool,
    /// Number of live tokens.
    tokens: usize,
    /// Wakers of futures that wait for the cancellation.
    cancel_waiters: WaitList,
    /// Wakers of futures that wait until there is no token.
    empty_waiters: WaitList,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shutdown {
    /// Creates a `Shutdown` that is not canceled and has no tokens.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the shutdown: every [`cancelled`](Self::cancelled) is ready from now on.
    ///
    /// Works on any thread. Further calls have no effect.
    pub fn cancel(&self) {
        let mut state = self.shared.lock();
        state.cancelled = true;
        let waiters = state.cancel_waiters.take();
        drop(state);
        wake_all(waiters);
    }

    /// Returns whether the shutdown was requested.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.lock().cancelled
    }

    /// Waits until the shutdown is requested; ready at once if it was already.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future holds no state that could be lost.
    #[track_caller]
    pub fn cancelled(&self) -> Cancelled {
        Cancelled {
            inner: WaitFor::new(self, Condition::Cancelled, "Shutdown::cancelled"),
        }
    }

    /// Runs a future until it is ready or the shutdown is requested.
    ///
    /// The result is `None` if the shutdown came first; the future is dropped then. Each poll checks
    /// the shutdown first. So a loop around a future that is always ready ends as well, such as
    /// `accept` under load.
    ///
    /// # Cancel safety
    ///
    /// As cancel safe as the future: the shutdown loses what dropping the future loses.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::pending;
    /// use wakeful::Shutdown;
    ///
    /// wakeful::block_on(async {
    ///     let shutdown = Shutdown::new();
    ///     assert_eq!(shutdown.run_until_cancelled(async { 42 }).await, Some(42));
    ///     shutdown.cancel();
    ///     assert_eq!(shutdown.run_until_cancelled(pending::<i32>()).await, None);
    /// });
    /// ```
    #[track_caller]
    pub fn run_until_cancelled<F: IntoFuture>(
        &self,
        future: F,
    ) -> RunUntilCancelled<F::IntoFuture> {
        RunUntilCancelled {
            future: future.into_future(),
            cancelled: self.cancelled(),
        }
    }

    /// Creates a token. The shutdown is not complete until it is dropped.
    #[must_use = "the shutdown does not wait for a token that is dropped at once"]
    pub fn token(&self) -> Token {
        self.shared.lock().tokens += 1;
        Token {
            shutdown: self.clone(),
        }
    }

    /// Returns the number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().tokens
    }

    /// Returns whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until there is no token, whether the shutdown was requested or not.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future holds no state that could be lost.
    #[track_caller]
    pub fn wait(&self) -> Wait {
        Wait {
            inner: WaitFor::new(self, Condition::NoTokens, "Shutdown::wait"),
        }
    }

    /// Requests the shutdown and waits until there is no token, at most for the grace period.
    /// Returns the number of tokens that are left.
    ///
    /// The shutdown is requested by the call, not by the first poll. [`Duration::MAX`] waits without
    /// a limit. The caller decides about the tasks that are left: dropping their runtime drops them
    /// as well.
    ///
    /// # Panics
    ///
    /// Panics when there is no runtime on this thread, because its clock measures the grace period.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the request stays. A new call resumes the wait with a new grace period.
    #[track_caller]
    pub fn drain(&self, grace: Duration) -> Drain {
        self.cancel();
        let inner = WaitFor::new(self, Condition::NoTokens, "Shutdown::drain");
        Drain {
            inner: timeout(grace, Wait { inner }),
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Shutdown")
            .field("cancelled", &state.cancelled)
            .field("tokens", &state.tokens)
            .finish()
    }
}

/// Keeps the shutdown from being complete until it is dropped; created by [`Shutdown::token`].
///
/// A token dereferences to its [`Shutdown`], so a task needs no clone of that:
/// `token.cancelled().await`.
#[derive(Debug)]
pub struct Token {
    shutdown: Shutdown,
}

impl Deref for Token {
    type Target = Shutdown;

    fn deref(&self) -> &Shutdown {
        &self.shutdown
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        let mut state = self.shutdown.shared.lock();
        state.tokens -= 1;
        let waiters = match state.tokens {
            0 => state.empty_waiters.take(),
            _ => Vec::new(),
        };
        drop(state);
        wake_all(waiters);
    }
}

/// Condition that a future waits for.
#[derive(Clone, Copy)]
enum Condition {
    /// A requested shutdown.
    Cancelled,
    /// A shutdown without tokens.
    NoTokens,
}

impl State {
    fn holds(&self, condition: Condition) -> bool {
        match condition {
            Condition::Cancelled => self.cancelled,
            Condition::NoTokens => self.tokens == 0,
        }
    }

    fn waiters(&mut self, condition: Condition) -> &mut WaitList {
        match condition {
            Condition::Cancelled => &mut self.cancel_waiters,
            Condition::NoTokens => &mut self.empty_waiters,
        }
    }
}

/// Waits for a condition. The common part of the futures of this module.
struct WaitFor {
    shared: Arc<Shared>,
    condition: Condition,
    /// Number in the wait list, from the first poll that returned `Pending`.
    waiter: Option<u64>,
    operation: &'static str,
    location: &'static Location<'static>,
}

impl WaitFor {
    #[track_caller]
    fn new(shutdown: &Shutdown, condition: Condition, operation: &'static str) -> Self {
        WaitFor {
            shared: Arc::clone(&shutdown.shared),
            condition,
            waiter: None,
            operation,
            location: Location::caller(),
        }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.holds_or_waits(cx) {
            return poll_proceed(cx);
        }
        Poll::Pending
    }

    /// Returns whether the condition holds. If not, stores the waker.
    fn holds_or_waits(&mut self, cx: &Context<'_>) -> bool {
        if self.shared.lock().holds(self.condition) {
            return true;
        }
        // Cloned and dropped outside of the lock (I3). So the condition is checked again: another
        // thread can meet it in the meantime.
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if state.holds(self.condition) {
            drop(state);
            return true;
        }
        let waiters = state.waiters(self.condition);
        let replaced = waiters.store(&mut self.waiter, waker);
        drop(state);
        drop(replaced);
        set_wait(self.operation, self.location);
        false
    }
}

impl Drop for WaitFor {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter {
            let waker = self.shared.lock().waiters(self.condition).remove(waiter);
            drop(waker);
        }
    }
}

/// The future of [`Shutdown::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled {
    inner: WaitFor,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll(cx)
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").finish_non_exhaustive()
    }
}

/// The future of [`Shutdown::wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait {
    inner: WaitFor,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll(cx)
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`Shutdown::drain`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct Drain {
        #[pin]
        inner: Timeout<Wait>,
    }
}

impl Future for Drain {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let mut inner = self.project().inner;
        let waited = std::task::ready!(inner.as_mut().poll(cx));
        Poll::Ready(match waited {
            Ok(()) => 0,
            Err(_elapsed) => inner.get_ref().inner.shared.lock().tokens,
        })
    }
}

pin_project! {
    /// The future of [`Shutdown::run_until_cancelled`].
    #[must_use = "futures do nothing unless awaited"]
    #[derive(Debug)]
    pub struct RunUntilCancelled<F> {
        #[pin]
        future: F,
        #[pin]
        cancelled: Cancelled,
    }
}

impl<F: Future> Future for RunUntilCancelled<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        if this.cancelled.get_mut().inner.holds_or_waits(cx) {
            // Without budget the future is not polled either. Otherwise a loop around a future that is
            // always ready would not end.
            return poll_proceed(cx).map(|()| None);
        }
        // Polled last, so that the task info shows the wait of the future.
        this.future.poll(cx).map(Some)
    }
}
