//! Waiting for a registered descriptor: the part of [`AsyncFd`](super::AsyncFd) and its futures that
//! does not depend on their type parameter.
//!
//! Called by [`super::async_fd`]; calls the reactor. An operation waits in two steps. The first is
//! enough if the descriptor is ready:
//!
//! ```text
//!  poll_ready   loads the readiness word        ready: the operation is tried at once, or the
//!    |                                                 task yields, if its budget is used up
//!    v not ready
//!  poll_wait    stores the waker with the source, Pending
//! ```

use std::io;
use std::os::fd::RawFd;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use super::{Interest, Ready};
use crate::context::{self, Core};
use crate::coop;
use crate::defer::{defer_current, try_consume};
use crate::hooks;
use crate::id::{RuntimeId, WaiterId, WakerData};
use crate::inbox::Message;
use crate::reactor::source::{ReadyEvent, ReadyWords};
use crate::reactor::{PollReady, runtime_is_gone};
use crate::recorder::event::Kind;
use crate::table::Key;
use crate::task_info::{WaitInfo, WaitOn};

/// Stands before the EPERM of epoll_ctl(2), which alone sounds like missing privileges.
const REASON: &str = "epoll cannot watch a regular file, a directory or /dev/null; use \
     task::spawn_blocking, or io::stdin and io::stdout for the standard streams";

/// Stands before the EEXIST.
const TWICE: &str = "it is registered with this runtime already; share its AsyncFd in an `Rc`, or register a \
     duplicate of the descriptor";

/// Puts the operation, the descriptor and the reason in front of the kernel's error.
fn explain_refusal(fd: RawFd, error: io::Error) -> io::Error {
    let reason = match error.raw_os_error() {
        Some(libc::EPERM) => REASON,
        Some(libc::EEXIST) => TWICE,
        // Others keep their errno: a server handles a shortage by it.
        _ => return error,
    };
    let message = format!("register descriptor {fd}: {reason}: {error}");
    io::Error::new(error.kind(), message)
}

/// Returns the error of a wait that no event of the registration ends.
#[cold]
fn not_registered_for(wait: &IoWait, fd: RawFd, registered: Interest) -> io::Error {
    let message = format!(
        "{} at {}: descriptor {fd} is registered for {registered:?} only, so a wait for {:?} would not end; \
         register it with `AsyncFd::with_interest` for both",
        wait.operation, wait.location, wait.interest,
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Identifies a source of any runtime; no other source has had the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SourceId(RuntimeId, Key);

/// Identifies a source of a runtime and deregisters it when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    runtime: RuntimeId,
    key: Key,
    fd: RawFd,
    words: ReadyWords,
    /// What the kernel was asked to report. Errors and the end of both directions are always reported.
    interest: Interest,
    /// Whether dropping this deregisters in the kernel, because `close(2)` does not. Written by
    /// `deregister_explicitly` and read by `drop`; no other memory depends on it.
    explicit: AtomicBool,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let explicit = self.explicit.get_mut().then_some(self.fd);
        context::deregister(self.runtime, self.key, explicit);
    }
}

/// An operation that can wait for a source.
#[derive(Debug)]
pub(super) struct IoWait {
    pub(super) interest: Interest,
    /// Whether the waker identifies the waiter. Otherwise a number does.
    pub(super) by_waker: bool,
    /// The operation's id, given by the reactor when it waits for the first time.
    id: Option<WaiterId>,
    /// Whether the operation's waker can be stored with the source.
    maybe_stored: bool,
    pub(super) operation: &'static str,
    pub(super) location: &'static Location<'static>,
}

impl IoWait {
    #[inline]
    pub(super) fn new(
        interest: Interest,
        operation: &'static str,
        location: &'static Location<'static>,
    ) -> Self {
        IoWait {
            interest,
            by_waker: false,
            id: None,
            maybe_stored: false,
            operation,
            location,
        }
    }

    /// Returns whether the waker of a numbered operation can be stored.
    #[inline]
    pub(super) fn maybe_stored(&self) -> bool {
        self.maybe_stored
    }

    /// Returns the id under which a waker is stored. `by_waker` returns the one that the waker has.
    #[inline]
    fn id(&mut self, core: &Core, by_waker: impl FnOnce() -> WaiterId) -> WaiterId {
        if self.by_waker {
            return by_waker();
        }
        self.maybe_stored = true;
        *self.id.get_or_insert_with(|| core.reactor.next_waiter())
    }

    fn info(&self, core: &Core, fd: RawFd) -> WaitInfo {
        WaitInfo {
            operation: self.operation,
            location: self.location,
            since_ns: core.timers.loop_now_ns(),
            on: WaitOn::descriptor(fd),
        }
    }
}

impl Registration {
    pub(super) fn new(
        core: &Core,
        fd: std::os::fd::BorrowedFd<'_>,
        interest: Interest,
        explicit: bool,
    ) -> io::Result<Self> {
        let raw_fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
        let registered = core.reactor.register(fd, interest);
        let (key, words) = registered.map_err(|error| explain_refusal(raw_fd, error))?;
        if hooks::any() {
            core.record_source(Kind::SourceAdded, key);
        }
        Ok(Registration {
            runtime: core.id,
            key,
            fd: raw_fd,
            words,
            interest,
            explicit: AtomicBool::new(explicit),
        })
    }

    /// Makes the drop deregister in the kernel.
    pub(super) fn deregister_explicitly(&self) {
        self.explicit.store(true, Ordering::Relaxed);
    }

    /// Presets readiness, if the runtime is the one on this thread.
    pub(super) fn preset(&self, ready: Ready) {
        if let Some(core) = context::current_if(self.runtime) {
            core.preset_ready(self.key, ready);
        }
    }

    /// Waits until the source is ready. Each `Ready` takes one operation off the task's budget.
    #[inline]
    pub(super) fn poll_ready(
        &self,
        wait: &mut IoWait,
        cx: &Context<'_>,
    ) -> Poll<io::Result<ReadyEvent>> {
        let event = self.words.of(self.key).load().filter(wait.interest);
        if !event.ready().is_empty() && self.runtime.is_current() && coop::try_consume() {
            self.wait_ended(wait);
            return Poll::Ready(Ok(event));
        }
        self.poll_wait(event, wait, cx)
    }

    /// Completes [`poll_ready`](Self::poll_ready), which has found `event`. No user code has run since
    /// then, and none runs until the waker is stored (I3).
    // Not inlined, so that the path without it stays short. The rare cases are calls at the end, which need
    // no register saved.
    #[inline(never)]
    fn poll_wait(
        &self,
        event: ReadyEvent,
        wait: &mut IoWait,
        cx: &Context<'_>,
    ) -> Poll<io::Result<ReadyEvent>> {
        if !event.ready().is_empty() {
            return self.poll_ready_slowly(event, wait, cx);
        }
        // Nearly all are registered for both directions, which is quick to see.
        if !self.interest.is_both() && !self.interest.shares_event_with(wait.interest) {
            return self.poll_unreported(wait);
        }
        let data = match context::local_data(cx.waker()) {
            Some(data) if !wait.interest.is_both() => data,
            _ => return self.poll_external(wait, cx),
        };
        let mut replaced = None;
        let is_stored = context::with_current(|core| {
            core.owns(self.runtime) && self.store_local(core, wait, data, &mut replaced)
        });
        drop(replaced);
        match is_stored {
            Some(true) => Poll::Pending,
            _ => self.gone(wait),
        }
    }

    /// As [`poll_wait`](Self::poll_wait), for an interest without which the descriptor was registered.
    #[cold]
    #[inline(never)]
    fn poll_unreported(&self, wait: &IoWait) -> Poll<io::Result<ReadyEvent>> {
        if self.runtime.is_current() {
            Poll::Ready(Err(not_registered_for(wait, self.fd, self.interest)))
        } else {
            self.gone(wait)
        }
    }

    /// Returns the error of an attempt on a descriptor that is not ready: `WouldBlock`, or the error of a
    /// wait, if a wait would not end.
    #[cold]
    pub(super) fn not_ready(&self, wait: &IoWait) -> io::Error {
        if self.interest.shares_event_with(wait.interest) {
            io::ErrorKind::WouldBlock.into()
        } else {
            not_registered_for(wait, self.fd, self.interest)
        }
    }

    /// Stores a waker of this crate for one direction. Returns `false` if the runtime is ending. Runs no
    /// user code.
    #[inline]
    fn store_local(
        &self,
        core: &Core,
        wait: &mut IoWait,
        data: WakerData,
        replaced: &mut Option<Waker>,
    ) -> bool {
        let Some(waiters) = core.reactor.waiters(self.key, wait.interest) else {
            return false;
        };
        let id = wait.id(core, || WaiterId::task(data));
        core.executor.set_wait(|| wait.info(core, self.fd));
        *replaced = waiters.store(id, data.to_waker(&context::VTABLES.plain));
        true
    }

    /// Completes [`poll_ready`](Self::poll_ready) on the wrong thread, between two polls or without
    /// budget.
    #[cold]
    #[inline(never)]
    fn poll_ready_slowly(
        &self,
        event: ReadyEvent,
        wait: &mut IoWait,
        cx: &Context<'_>,
    ) -> Poll<io::Result<ReadyEvent>> {
        if !self.runtime.is_current() {
            return self.gone(wait);
        }
        if !try_consume() {
            defer_current(cx);
            return Poll::Pending;
        }
        self.wait_ended(wait);
        Poll::Ready(Ok(event))
    }

    /// As [`poll_wait`](Self::poll_wait), with an external waker or for both directions. Runs user code.
    #[cold]
    #[inline(never)]
    fn poll_external(&self, wait: &mut IoWait, cx: &Context<'_>) -> Poll<io::Result<ReadyEvent>> {
        let Some(core) = context::current_if(self.runtime) else {
            return self.gone(wait);
        };
        // A waker of this crate is stored without counting it.
        let local = context::clone_local(cx.waker());
        let (reactor, waker) = (&core.reactor, local.as_ref().unwrap_or(cx.waker()));
        let id = wait.id(&core, || context::waiter_id(waker));
        match reactor.poll_ready_external(self.key, wait.interest, id, waker) {
            PollReady::Ready(event) => self.poll_ready_slowly(event, wait, cx),
            PollReady::Gone => self.gone(wait),
            PollReady::Pending => {
                core.executor.set_wait(|| wait.info(&core, self.fd));
                Poll::Pending
            }
        }
    }

    /// Returns the error of an operation whose runtime has ended.
    ///
    /// # Panics
    ///
    /// When the runtime exists, but is not the one on this thread.
    #[cold]
    #[inline(never)]
    fn gone(&self, wait: &IoWait) -> Poll<io::Result<ReadyEvent>> {
        if !self.runtime.is_current() {
            context::panic_if_wrong_thread(self.runtime, wait.operation, wait.location);
        }
        Poll::Ready(Err(runtime_is_gone()))
    }

    /// Ends a wait whose event has come.
    #[inline]
    fn wait_ended(&self, wait: &mut IoWait) {
        // A wait in both directions ends with one of them. The other one still has the waker.
        if wait.maybe_stored() && wait.interest.is_both() {
            self.cancel_wait(wait);
        }
        wait.maybe_stored = false;
    }

    /// Removes the waker of an operation that stops waiting.
    #[cold]
    pub(super) fn cancel_wait(&self, wait: &IoWait) {
        let Some(id) = wait.id else {
            return;
        };
        match context::current_if(self.runtime) {
            Some(core) => core.reactor.remove_waiter(self.key, id),
            None => context::send(self.runtime, Message::RemoveWaiter(self.key, id)),
        }
    }

    /// Returns the readiness that ends a wait for `interest`; `None` if there is none.
    #[inline]
    pub(super) fn try_ready(
        &self,
        interest: Interest,
        location: &Location<'_>,
    ) -> Option<ReadyEvent> {
        let event = self.words.of(self.key).load().filter(interest);
        if !self.runtime.is_current() {
            // When the runtime has ended, the word is empty.
            context::panic_if_wrong_thread(self.runtime, "AsyncFd::try_ready", location);
        }
        (!event.ready().is_empty()).then_some(event)
    }

    /// Clears what an operation that began with `event` has disproved, on the runtime's thread.
    #[inline]
    pub(super) fn clear(&self, event: ReadyEvent, ready: Ready) {
        self.words.of(self.key).clear(event, ready);
    }

    pub(super) fn source(&self) -> SourceId {
        SourceId(self.runtime, self.key)
    }

    /// As [`clear`](Self::clear), on any thread.
    pub(super) fn clear_shared(&self, event: ReadyEvent, ready: Ready) {
        self.words.of(self.key).clear_shared(event, ready);
    }
}
