//! The runtime that runs on this thread: everything it owns, and how everybody finds it.
//!
//! A [`Core`] is "the runtime owns everything" in one place: executor, reactor, timers, pool.
//! The functions of this file answer the question that every operation begins with, "is my runtime
//! the one on this thread?", and say what happens when it is not:
//!
//! ```text
//!  operation                on its runtime's thread   elsewhere                    runtime ended
//!  wake, abort, drop        directly                  a number into the inbox      nothing
//!  read, await, spawn, ...  directly                  panic that says what to do   error, or panic
//! ```
//!
//! Two ways in: [`with`] borrows, for code that runs nothing foreign; [`get`] clones the `Rc`, for
//! code between whose lines a user's waker or drop may run and enter another runtime (I3).

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::executor::Executor;
use crate::executor::cell::drop_quietly;
use crate::id::{Id, RuntimeId, WakeWord};
use crate::inbox::{Message, Shared};
use crate::news;
use crate::reactor::Reactor;
use crate::reactor::seen::Seen;
use crate::ready::{Interest, Ready};
use crate::registry;
use crate::slab::Key;
use crate::sys;
use crate::task_info::Cause;
use crate::timer::Timers;
use crate::waker::Ours;

/// All that one runtime owns.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) id: RuntimeId,
    pub(crate) remote: Arc<Shared>,
    pub(crate) executor: Executor,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    pub(crate) blocking: Pool,
    pub(crate) busy_poll: BusyPoll,
    /// The source of the process's signal eventfd, once somebody waits for a signal.
    pub(crate) signals: Cell<Option<Key>>,
    /// What its listeners know of that source.
    pub(crate) signals_seen: Seen,
    /// Messages taken from the inbox.
    pub(crate) messages: Cell<u64>,
}

thread_local! {
    /// Without a destructor, so that reaching it needs no look at whether it is still there, and
    /// destructors of other thread-locals find their runtime. Nothing is left in it to drop: every
    /// [`Entered`] puts back what it found.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Core>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
    /// The id of the runtime in `CURRENT`: whose thread this is, in one load.
    static CURRENT_ID: Cell<Option<RuntimeId>> = const { Cell::new(None) };
    /// How many runtimes are entered on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Levels whose guards went before one above them: what each gives back when its turn comes.
    static LEFT: RefCell<Vec<(usize, Previous)>> = const { RefCell::new(Vec::new()) };
    /// The `block_on` that runs on this thread.
    static BLOCKING_ON: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Calls `f` with this thread's runtime; `None` when there is none. `f` runs no foreign code.
#[inline]
pub(crate) fn with<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    // `try_with` because it is marked for inlining and `with` is not; it cannot fail here.
    CURRENT
        .try_with(|current| current.borrow().as_deref().map(f))
        .ok()
        .flatten()
}

/// This thread's runtime, for code that may run anything.
#[inline]
pub(crate) fn get() -> Option<Rc<Core>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Whether the runtime with this id is the one on this thread.
#[inline]
pub(crate) fn is(id: RuntimeId) -> bool {
    CURRENT_ID.get() == Some(id)
}

/// Exchanges the thread's runtime; the old one is dropped by the caller, outside of every borrow.
fn replace(core: Previous) -> Previous {
    CURRENT_ID.set(core.as_ref().map(|core| core.id));
    news::forget();
    CURRENT.with(|current| current.replace(core))
}

/// As [`get`], for operations that cannot do without.
///
/// # Panics
///
/// When no runtime is entered on this thread.
#[track_caller]
pub(crate) fn expect(operation: &str) -> Rc<Core> {
    match get() {
        Some(core) => core,
        None => panic!(
            "{operation}: no Wakeful runtime on this thread; call it inside a future given to \
             `block_on` or `spawn`, or while a guard of `Runtime::enter` lives"
        ),
    }
}

/// The runtime with this id, when it is the one on this thread.
#[inline]
pub(crate) fn get_if(id: RuntimeId) -> Option<Rc<Core>> {
    get().filter(|core| core.id == id)
}

/// Why a handle could not be used here; to be called when [`get_if`] or [`with`] came up empty.
///
/// Returns when the handle's runtime has ended.
///
/// # Panics
///
/// When the runtime is alive but not on this thread: that is a mistake in the program.
#[cold]
pub(crate) fn explain_absence(id: RuntimeId, operation: &str, location: &Location<'_>) {
    if registry::find(id).is_some() {
        panic!(
            "{operation} at {location}: this handle belongs to a Wakeful runtime that is not \
             running on this thread; use it inside that runtime's `block_on`, or send the work \
             there with `Handle::spawn`"
        );
    }
}

/// Makes a runtime the thread's own until the guard is dropped.
pub(crate) fn enter(core: &Rc<Core>) -> Entered {
    let previous = replace(Some(Rc::clone(core)));
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    Entered { previous, depth }
}

/// The runtime that was entered before.
type Previous = Option<Rc<Core>>;

/// Undoes [`enter`]. Nested guards have to be dropped in the reverse order; one that is not panics,
/// and takes effect when those above it are gone.
#[derive(Debug)]
pub(crate) struct Entered {
    previous: Previous,
    depth: usize,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let depth = DEPTH.get();
        let previous = self.previous.take();
        if depth == self.depth {
            leave(depth, previous);
            return;
        }
        let level = (self.depth, previous);
        LEFT.try_with(|left| left.borrow_mut().push(level)).ok();
        if !std::thread::panicking() {
            panic!(
                "guards of `Runtime::enter` were dropped out of order: the one of level {} while \
                 level {depth} was entered; drop the last one first",
                self.depth
            );
        }
    }
}

/// Leaves the topmost level, and those below it whose guards are gone already.
fn leave(mut depth: usize, mut previous: Previous) {
    let left_below = |depth: usize| {
        LEFT.try_with(|left| {
            let mut left = left.borrow_mut();
            let position = left.iter().position(|(level, _)| *level == depth)?;
            Some(left.swap_remove(position).1)
        })
        .ok()
        .flatten()
    };
    loop {
        depth -= 1;
        match left_below(depth) {
            // What this one replaces is dropped here, outside of every borrow.
            Some(below) => previous = below,
            None => break,
        }
    }
    DEPTH.set(depth);
    drop(replace(previous));
}

/// Marks this thread as blocked in `block_on` until the guard is dropped.
///
/// # Panics
///
/// When it is already, naming both places.
#[track_caller]
pub(crate) fn begin_block_on() -> BlockOnGuard {
    if let Some(outer) = BLOCKING_ON.get() {
        panic!(
            "`block_on` inside `block_on`: this thread is already running the future given to \
             the one at {outer}; await the inner future instead, or use another thread"
        );
    }
    BLOCKING_ON.set(Some(Location::caller()));
    BlockOnGuard(())
}

/// Whether a `block_on` is running on this thread, and where.
pub(crate) fn blocking_on() -> Option<&'static Location<'static>> {
    BLOCKING_ON.get()
}

pub(crate) struct BlockOnGuard(());

impl Drop for BlockOnGuard {
    fn drop(&mut self) {
        BLOCKING_ON.set(None);
    }
}

/// Wakes the task a waker stands for, from whatever thread.
#[inline]
pub(crate) fn wake(word: WakeWord) {
    if with(|core| core.executor.wake_task(word)) != Some(true) {
        wake_no_task(word);
    }
}

/// The root, or whoever lives elsewhere. Looks anew and from the beginning, because what is kept for
/// after a call needs a register that is saved and restored, by those that never come here as well.
#[cold]
fn wake_no_task(word: WakeWord) {
    if with(|core| core.executor.wake(word)) != Some(true)
        && let Some(remote) = registry::get(word.place())
    {
        // Refused by a runtime that is ending: then there is nobody left to wake.
        remote.send(Message::Wake(word)).ok();
    }
}

/// Sends a number to a runtime that is not on this thread; when it has ended, nothing is left to do.
pub(crate) fn send(id: RuntimeId, message: Message) {
    if let Some(remote) = registry::find(id)
        && let Err(refused) = remote.send(message)
    {
        drop(refused);
    }
}

/// Marks a task for cancellation, from whatever thread.
pub(crate) fn abort(id: Id) {
    match get_if(id.runtime) {
        Some(core) => core.executor.abort(id.key),
        None => send(id.runtime, Message::Abort(id.key)),
    }
}

impl Core {
    pub(crate) fn owns(&self, id: RuntimeId) -> bool {
        self.id == id
    }

    /// Does what other threads have asked for since the last time.
    #[inline]
    pub(crate) fn drain_inbox(&self) {
        if self.remote.inbox().is_pending() {
            self.answer(self.remote.inbox().drain());
        }
    }

    fn answer(&self, messages: Vec<Message>) {
        self.messages
            .set(self.messages.get() + messages.len() as u64);
        self.executor.set_cause(Cause::THREAD);
        // What runs here may poll, and no event has woken it.
        news::forget();
        for message in messages {
            match message {
                Message::Wake(word) => {
                    self.executor.wake(word);
                }
                Message::Abort(key) => self.executor.abort(key),
                Message::Detach(key) => self.executor.detach(key),
                Message::RemoveSource(key) => self.remove_source(key),
                Message::RemoveTimer(key) => {
                    let waker = self.timers.disarm(key);
                    self.executor.drop_foreign(waker, "the drop of a waker");
                }
                Message::Run(run) => {
                    // It reports its own panics; what still unwinds has nobody to go to.
                    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
                        self.executor
                            .panics
                            .report_payload("a remote closure", payload.as_ref());
                        drop_quietly(payload);
                    }
                }
            }
        }
    }

    /// Presets what a source is taken to be ready for and wakes whoever waited for that.
    pub(crate) fn assume_ready(&self, key: Key, seen: &Seen, ready: Ready) {
        let woken = self.reactor.assume(key, seen, ready);
        if !woken.is_empty() {
            self.executor.wake_all(woken, Ours);
        }
    }

    /// Forgets a source and wakes whoever still waited for it.
    pub(crate) fn remove_source(&self, key: Key) {
        let orphans = self.reactor.remove(key);
        if !orphans.is_empty() {
            let cause = Cause::THREAD;
            self.executor
                .wake_all(orphans.into_iter().map(|waker| (waker, cause)), Ours);
        }
    }

    /// The source on which this runtime learns of signals.
    pub(crate) fn signal_source(
        &self,
        event: std::os::fd::BorrowedFd<'static>,
    ) -> std::io::Result<Key> {
        if let Some(key) = self.signals.get() {
            return Ok(key);
        }
        let key = self.reactor.add(event, Interest::READABLE)?;
        self.signals.set(Some(key));
        Ok(key)
    }

    /// Ends everything, in the order that docs/ARCHITECTURE.md gives: tasks, timers, sources, pool,
    /// and last the inbox, so that whatever the drops before have sent is dropped too.
    pub(crate) fn shut_down(&self) {
        self.executor.shut_down(Ours);
        self.wake_orphans(self.timers.shut_down());
        if let Some(key) = self.signals.take() {
            self.remove_source(key);
        }
        self.wake_orphans(self.reactor.shut_down());
        for work in self.blocking.shut_down() {
            self.executor
                .drop_foreign(work, "the drop of a blocking closure");
        }
        registry::unregister(self.id);
        for message in self.remote.inbox().close() {
            self.executor
                .drop_foreign(message, "the drop of a remote closure");
        }
    }

    /// Our own tasks are gone; whoever else waits under another executor learns from a poll that the
    /// runtime has ended, instead of waiting for ever (I6).
    fn wake_orphans(&self, wakers: Vec<Waker>) {
        let wakers = wakers.into_iter().map(|waker| (waker, Cause::ABORT));
        self.executor.wake_all(wakers, Ours);
    }
}

/// A duplicate-proof way to stop watching: the kernel first, then the slot (I4).
pub(crate) fn deregister(id: RuntimeId, key: Key, explicit: Option<std::os::fd::RawFd>) {
    let core = get_if(id);
    if let Some(fd) = explicit {
        let remote = core.as_ref().map(|core| Arc::clone(&core.remote));
        if let Some(remote) = remote.or_else(|| registry::find(id)) {
            // ENOENT or EBADF: the user closed the descriptor behind our back, so it is done.
            remote.epoll().delete(fd).ok();
        }
    }
    match core {
        Some(core) => core.remove_source(key),
        None => send(id, Message::RemoveSource(key)),
    }
}

/// Readable names for the epoll layer's errors.
pub(crate) fn wait_failed(error: &std::io::Error) -> String {
    format!("the Wakeful runtime cannot wait for events any more: epoll_wait: {error}")
}

/// How long the loop may block, before the timers are asked.
pub(crate) type Wait = sys::epoll::Wait;
