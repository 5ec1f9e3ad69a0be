//! The future that every socket operation waits with.
//!
//! Called by [`AsyncFd`] and by the named futures of `wakeful-net`. It carries the name of the
//! operation and the place where the user called it, so that a waiting task can say on what it waits,
//! and a number of its own, so that it never displaces another waiter and leaves none behind.
//!
//! It asks the reactor only when nobody nearer knows:
//!
//! ```text
//!  poll_try         seen ready, and not disproved since?  yes: try at once (who wants to try an
//!    |                                                    operation; nearly every write)
//!    v no
//!  hear             has waited, and its next event woke   yes: that event says what is ready
//!    |              this poll?                            (nearly every read that had to wait)
//!    v no
//!  poll_readiness   the reactor: is the source ready?     yes: the handle has seen it now
//!                                                         no: the waker is stored, Pending
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::async_fd::Registration;
use super::guard::AsyncFdReadyGuard;
use super::{AsyncFd, Interest, Ready};
use crate::context::{self, Core};
use crate::coop;
use crate::news;
use crate::reactor::seen::Known;
use crate::reactor::waiters::WaiterId;
use crate::reactor::{Polled, runtime_is_gone};
use crate::task::yield_after_turn;
use crate::task_info::Wait;
use crate::waker::clone_own;

/// Waits until a descriptor is ready; made by [`AsyncFd::ready`] and its siblings.
///
/// Unlike most futures it may be polled again after it was ready, and then waits for the
/// descriptor's next readiness: an operation that loops over "wait, try" needs only one.
///
/// Being ready takes one operation off the task's I/O budget; when that is used up, the task yields
/// to the others first. See [`Builder::io_budget`](crate::runtime::Builder::io_budget).
///
/// # Panics
///
/// Polling panics on a thread that is not running the descriptor's runtime.
///
/// # Cancel safety
///
/// Safe: dropping it while it waits removes its waker and nothing else.
#[must_use = "futures do nothing unless awaited"]
pub struct Readiness<'a, T: AsFd> {
    fd: &'a AsyncFd<T>,
    interest: Interest,
    /// Given by the reactor when it has to wait for the first time.
    waiter: WaiterId,
    /// Its waker is stored with the source.
    waiting: bool,
    operation: &'static str,
    location: &'static Location<'static>,
}

/// What the quick look, in which nothing foreign runs, has found.
enum Looked {
    /// The handle has seen what.
    Ready,
    /// The waker is in place.
    Waiting,
    /// The waker is in place, but on what this waits is not noted: there was no room.
    Unnoted,
    /// The waker may have yet to be stored, and on what this waits is not noted.
    Crowded,
    /// The budget is used up.
    Yield,
    Gone,
}

impl<'a, T: AsFd> Readiness<'a, T> {
    #[inline]
    pub(super) fn new(
        fd: &'a AsyncFd<T>,
        interest: Interest,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        Readiness {
            fd,
            interest,
            waiter: WaiterId::UNNUMBERED,
            waiting: false,
            operation,
            location,
        }
    }

    /// Names the operation in the record of the task that waits: `"TcpStream::read"`.
    #[inline]
    pub fn operation(mut self, operation: &'static str) -> Self {
        self.operation = operation;
        self
    }

    /// Gives another place in the source for the record of the task that waits, for futures that
    /// begin to wait somewhere else than where the user called.
    #[inline]
    pub fn location(mut self, location: &'static Location<'static>) -> Self {
        self.location = location;
        self
    }

    #[inline]
    fn look(&mut self, core: &Core, cx: &Context<'_>) -> Looked {
        let Registration { key, seen, .. } = self.fd.registration();
        let (interest, waiter, waker) = (self.interest, &mut self.waiter, cx.waker());
        let reactor = &core.reactor;
        match reactor.poll_ready(*key, seen, interest, waiter, waker, clone_own) {
            Polled::Ready if !core.executor.charge() => Looked::Yield,
            Polled::Ready => Looked::Ready,
            Polled::Gone => Looked::Gone,
            Polled::Waiting if core.executor.try_note_wait(|| self.wait(core)) => Looked::Waiting,
            Polled::Waiting => Looked::Unnoted,
            Polled::Crowded => Looked::Crowded,
        }
    }

    /// For the record of the task.
    #[inline]
    fn wait(&self, core: &Core) -> Wait {
        Wait {
            operation: self.operation,
            location: self.location,
            since_ns: core.timers.loop_now_ns(),
            fd: self.fd.registration().fd,
        }
    }

    /// Polls once for a `poll_*` function, which holds nothing between its calls: whoever polled is
    /// woken, and its waker stays until then.
    ///
    /// As [`AsyncFd::poll_read_ready`], for any interest and with a name of one's own:
    /// `fd.readable().operation("Pigeon::poll_arrive").poll_anonymously(cx)`.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    #[inline]
    pub fn poll_anonymously(
        mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.waiter = WaiterId::ANONYMOUS;
        self.poll_guard(cx)
    }

    #[inline(always)]
    fn poll_guard(&mut self, cx: &Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        self.poll_once(cx)
            .map_ok(|()| AsyncFdReadyGuard::new(self.fd, self.interest, self.seen()))
    }

    #[inline(always)]
    fn poll_once(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        match self.hear() {
            true => Poll::Ready(Ok(())),
            false => self.poll_readiness(cx),
        }
    }

    /// Whether the event that woke this poll is the one for which this waits: then the reactor need
    /// not be asked.
    #[inline]
    fn hear(&mut self) -> bool {
        // In both directions it may have been woken by one of them only.
        if !self.waiting || self.interest.is_both() {
            return false;
        }
        let registration = self.fd.registration();
        let heard = context::is(registration.runtime)
            && news::hear(registration.fd, &registration.seen)
                .is_some_and(|ready| ready.intersects(self.interest.mask()))
            && coop::spend();
        // The event has taken its waker.
        self.waiting = !heard;
        heard
    }

    /// What the handle knows of the directions that this waits for.
    #[inline]
    fn seen(&self) -> Known {
        self.fd.registration().seen.get().of(self.interest)
    }

    /// As awaiting, for those who are about to try an operation and ask for nothing else.
    ///
    /// When the descriptor was seen ready and no operation has disproved it, there is no need to look
    /// again before trying once more: a write to a socket with room takes this way every time. The
    /// guard then knows no more than was seen, so its [`ready`](AsyncFdReadyGuard::ready) may lack
    /// what has come since.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    ///
    /// # Panics
    ///
    /// On a thread that is not running the descriptor's runtime.
    #[inline(always)] // docs/TRIED.md has what this way saves per message
    pub fn poll_try(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'a, T>>> {
        let seen = self.seen();
        if !seen.ready().is_empty()
            && !self.waiting
            && context::is(self.fd.registration().runtime)
            && coop::spend()
        {
            return Poll::Ready(Ok(AsyncFdReadyGuard::new(self.fd, self.interest, seen)));
        }
        self.poll_guard(cx)
    }

    /// As awaiting, without a guard: for operations that wait first and ask
    /// [`AsyncFd::try_ready`] later.
    ///
    /// # Errors
    ///
    /// When the runtime has ended.
    #[inline]
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.poll_once(cx).map_ok(|()| self.seen().ready().shown())
    }

    /// Ready means that the handle has seen what is ready: so small an answer comes back in
    /// registers. Never inlined, so that the way past it, [`poll_try`](Self::poll_try), stays short.
    #[inline(never)]
    fn poll_readiness(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let runtime = self.fd.registration().runtime;
        let looked = context::with(|core| core.owns(runtime).then(|| self.look(core, cx)));
        match looked.flatten() {
            Some(Looked::Ready) => {
                if self.waiting {
                    self.woken();
                }
                Poll::Ready(Ok(()))
            }
            Some(Looked::Waiting) => {
                self.waiting = self.waiter != WaiterId::ANONYMOUS;
                Poll::Pending
            }
            looked => self.poll_rarely(looked, cx),
        }
    }

    /// The wait is over.
    #[inline]
    fn woken(&mut self) {
        // Waiting in both directions, it may have been woken by one of them only.
        if self.interest.is_both() {
            self.forget();
        }
        self.waiting = false;
    }

    /// The rest of a poll, apart so that the usual one has few registers to save.
    #[cold]
    fn poll_rarely(&mut self, looked: Option<Looked>, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let Registration { runtime, key, .. } = *self.fd.registration();
        match looked {
            Some(Looked::Unnoted) => {
                context::with(|core| core.executor.note_wait(|| self.wait(core)));
                self.waiting = self.waiter != WaiterId::ANONYMOUS;
                Poll::Pending
            }
            Some(Looked::Crowded) => {
                if let Some(core) = context::get() {
                    core.executor.note_wait(|| self.wait(&core));
                    let (reactor, waker) = (&core.reactor, cx.waker());
                    let store = reactor.poll_crowded(key, self.interest, &mut self.waiter, waker);
                    if let Some(waiter) = store {
                        reactor.store(key, self.interest, waiter, waker);
                    }
                }
                self.waiting = self.waiter != WaiterId::ANONYMOUS;
                Poll::Pending
            }
            Some(Looked::Yield) => {
                yield_after_turn(cx);
                Poll::Pending
            }
            None => {
                context::explain_absence(runtime, self.operation, self.location);
                Poll::Ready(Err(runtime_is_gone()))
            }
            Some(_) => Poll::Ready(Err(runtime_is_gone())),
        }
    }

    /// Takes this operation off the source's list. On another thread it stays there until the next
    /// event wakes it for nothing.
    #[cold]
    fn forget(&self) {
        let registration = self.fd.registration();
        if let Some(core) = context::get_if(registration.runtime) {
            drop(core.reactor.forget(registration.key, self.waiter));
        }
    }
}

impl<'a, T: AsFd> Future for Readiness<'a, T> {
    type Output = io::Result<AsyncFdReadyGuard<'a, T>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_guard(cx)
    }
}

impl<T: AsFd> Drop for Readiness<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.waiting {
            self.forget();
        }
    }
}

impl<T: AsFd> fmt::Debug for Readiness<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("interest", &self.interest)
            .field("operation", &self.operation)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
