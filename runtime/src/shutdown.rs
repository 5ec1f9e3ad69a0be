//! The graceful end of a program: one signal to many tasks, and the wait until they are done.
//!
//! Every server needs the same three things: a way to say "come to an end", a count of what is still
//! at work, and a limit to its patience. Written by hand they are a flag, a list of wakers, a counter
//! and a timeout; here they are once.
//!
//! ```text
//!   begin                                  guards in the hands of tasks
//!     |                                      [guard] [guard] [guard]
//!     v                                         |       |       |
//!   begun() is ready, for everybody             v       v       v   dropped, one by one
//!     |                                      drained() is ready when there is none
//!     +------------ drain(grace): begins, and waits for that, at most for the grace ---------->
//! ```
//!
//! Behind a lock rather than in the runtime, so that one `Shutdown` can end the runtimes of many
//! threads. It knows nothing of tasks: who drops a guard is done, however that came about, also by a
//! panic or an abort.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::ops::Deref;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use crate::sync::{Mutex, MutexGuard};
use crate::time::{Timeout, timeout};
use crate::wait_list::{WaitList, note_wait, wake_all};

/// Asks tasks to come to an end and waits until they have.
///
/// Clones are one and the same, on any thread. A task holds a [`Token`] for as long as the end has to
/// wait for it, and looks at [`begun`](Self::cancelled) where it can stop.
///
/// # Examples
///
/// A server that finishes what it has begun:
///
/// ```
/// use std::time::Duration;
/// use wakeful::Shutdown;
/// use wakeful::time::sleep;
///
/// wakeful::block_on(async {
///     let shutdown = Shutdown::new();
///     for _ in 0..3 {
///         let guard = shutdown.token();
///         wakeful::spawn(async move {
///             // Stops between two requests, not in the middle of one.
///             while guard.run_until_cancelled(next_request()).await.is_some() {
///                 sleep(Duration::from_millis(1)).await;
///             }
///         });
///     }
///     sleep(Duration::from_millis(3)).await; // in a program: signal::ctrl_c().await
///     let left = shutdown.drain(Duration::from_secs(5)).await;
///     assert_eq!(left, 0, "all of them ended within the grace");
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

/// No foreign code runs while this is locked.
#[derive(Default)]
struct State {
    /// Set once, never taken back.
    begun: bool,
    /// Live guards.
    guards: usize,
    /// Who waits for the beginning.
    for_begin: WaitList,
    /// Who waits for the last guard.
    for_last: WaitList,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shutdown {
    /// Makes one that has not begun and has no guards.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the end: [`begun`](Self::cancelled) is ready from now on, for everybody.
    ///
    /// May be called from any thread, any number of times.
    pub fn cancel(&self) {
        let mut state = self.shared.lock();
        state.begun = true;
        let waiting = state.for_begin.take();
        drop(state);
        wake_all(waiting);
    }

    /// Says whether the end has begun.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.lock().begun
    }

    /// Waits until the end begins; ready at once when it has.
    ///
    /// # Cancel safety
    ///
    /// Safe: there is nothing to lose.
    #[track_caller]
    pub fn cancelled(&self) -> Cancelled {
        Cancelled {
            waiting: Waiting::new(self, For::Begin, "Shutdown::cancelled"),
        }
    }

    /// Runs a future until it is ready or the end begins: then it is dropped, and the result is
    /// `None`.
    ///
    /// Looks for the beginning first, so a future that is always ready at once, as accepting is
    /// in a crowd, ends as well.
    ///
    /// # Cancel safety
    ///
    /// As the future's: whatever dropping it loses, the beginning of the end loses.
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
            begun: self.cancelled(),
        }
    }

    /// Makes a guard: until it is dropped, the end is not complete.
    #[must_use = "the end does not wait for a guard that is dropped at once"]
    pub fn token(&self) -> Token {
        self.shared.lock().guards += 1;
        Token {
            shutdown: self.clone(),
        }
    }

    /// How many guards there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.lock().guards
    }

    /// Waits until there is no guard, whether the end has begun or not.
    ///
    /// # Cancel safety
    ///
    /// Safe: there is nothing to lose.
    #[track_caller]
    pub fn wait(&self) -> Wait {
        Wait {
            waiting: Waiting::new(self, For::Last, "Shutdown::wait"),
        }
    }

    /// Begins the end and waits until there is no guard, at most for the grace; returns how many
    /// are left.
    ///
    /// The end begins with the call, not with the first poll. [`Duration::MAX`] is a grace without
    /// end. What becomes of those that are left is the caller's choice: dropping their runtime drops
    /// them, too.
    ///
    /// # Panics
    ///
    /// When there is no runtime on this thread, for its clock measures the grace.
    ///
    /// # Cancel safety
    ///
    /// What has begun stays begun; waiting can be taken up again, with a new grace.
    #[track_caller]
    pub fn drain(&self, grace: Duration) -> Drain {
        self.cancel();
        let waiting = Waiting::new(self, For::Last, "Shutdown::drain");
        Drain {
            inner: timeout(grace, Wait { waiting }),
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Shutdown")
            .field("begun", &state.begun)
            .field("guards", &state.guards)
            .finish()
    }
}

/// Keeps the end from being complete; made by [`Shutdown::token`].
///
/// Its [`Shutdown`] is reached through it, so a task needs to hold nothing else:
/// `guard.cancelled().await`.
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
        state.guards -= 1;
        let waiting = match state.guards {
            0 => state.for_last.take(),
            _ => Vec::new(),
        };
        drop(state);
        wake_all(waiting);
    }
}

/// Whom somebody waits for.
#[derive(Clone, Copy)]
enum For {
    Begin,
    Last,
}

impl State {
    fn is_over(&self, wait: For) -> bool {
        match wait {
            For::Begin => self.begun,
            For::Last => self.guards == 0,
        }
    }

    fn list(&mut self, wait: For) -> &mut WaitList {
        match wait {
            For::Begin => &mut self.for_begin,
            For::Last => &mut self.for_last,
        }
    }
}

/// What the futures are made of: a place on one of the two lists.
struct Waiting {
    shared: Arc<Shared>,
    wait: For,
    /// From the first poll that had to wait.
    place: Option<u64>,
    operation: &'static str,
    location: &'static Location<'static>,
}

impl Waiting {
    #[track_caller]
    fn new(shutdown: &Shutdown, wait: For, operation: &'static str) -> Self {
        Waiting {
            shared: Arc::clone(&shutdown.shared),
            wait,
            place: None,
            operation,
            location: Location::caller(),
        }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.shared.lock().is_over(self.wait) {
            return Poll::Ready(());
        }
        // Cloned and dropped outside of the lock (I3), between which another thread may be quick.
        let waker = cx.waker().clone();
        let mut state = self.shared.lock();
        if state.is_over(self.wait) {
            drop(state);
            return Poll::Ready(());
        }
        let replaced = state.list(self.wait).store(&mut self.place, waker);
        drop(state);
        drop(replaced);
        note_wait(self.operation, self.location);
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.shared.lock().list(self.wait).remove(place);
            drop(waker);
        }
    }
}

/// The future of [`Shutdown::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled {
    waiting: Waiting,
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.poll(cx)
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
    waiting: Waiting,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.poll(cx)
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
        let in_time = std::task::ready!(inner.as_mut().poll(cx));
        Poll::Ready(match in_time {
            Ok(()) => 0,
            Err(_elapsed) => inner.get_ref().waiting.shared.lock().guards,
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
        begun: Cancelled,
    }
}

impl<F: Future> Future for RunUntilCancelled<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let this = self.project();
        match this.begun.poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            // What the future waits for says more about the task, and is noted last.
            Poll::Pending => this.future.poll(cx).map(Some),
        }
    }
}
