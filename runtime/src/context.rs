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
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::executor::Executor;
use crate::executor::cell::drop_quietly;
use crate::id::{Id, RuntimeId, WaiterId, WakerData};
use crate::inbox::{Message, Remote};
use crate::reactor::Reactor;
use crate::reactor::source::ReadyRef;
use crate::ready::{Interest, Ready};
use crate::registry;
use crate::table::Key;
use crate::task_info::WakeCause;
use crate::timer::Timers;

/// All that one runtime owns.
pub(crate) struct Core {
    pub(crate) id: RuntimeId,
    pub(crate) remote: Arc<Remote>,
    pub(crate) executor: Executor,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    pub(crate) blocking: Pool,
    pub(crate) busy_poll: BusyPoll,
    /// The source of the process's signal eventfd; set by the first `signal`.
    pub(crate) signals: RefCell<Option<(Key, ReadyRef)>>,
    /// Messages taken from the inbox.
    pub(crate) messages: Cell<u64>,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("id", &self.id)
            .field("executor", &self.executor)
            .field("reactor", &self.reactor)
            .field("timers", &self.timers)
            .finish_non_exhaustive()
    }
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

/// The function table of this crate's wakers, whose data pointer contains a [`WakerData`].
pub(crate) static VTABLE: RawWakerVTable = RawWakerVTable::new(
    |data| RawWaker::new(data, &VTABLE),
    |data| wake(WakerData::from_pointer(data)),
    |data| wake(WakerData::from_pointer(data)),
    |_data| {},
);

/// Clones one of this crate's wakers, without user code and without a call. Returns `None` for an
/// external waker.
#[inline]
pub(crate) fn clone_local(waker: &Waker) -> Option<Waker> {
    WakerData::from_waker(waker, &VTABLE).map(|data| data.to_waker(&VTABLE))
}

/// The id under which a `poll_*` function stores a waker.
#[inline]
pub(crate) fn waiter_id(waker: &Waker) -> WaiterId {
    WakerData::from_waker(waker, &VTABLE).map_or(WaiterId::EXTERNAL, WaiterId::task)
}

/// Drops a waker. For this crate's wakers that does nothing and makes no call.
#[inline]
pub(crate) fn drop_waker(waker: Waker) {
    if WakerData::from_waker(&waker, &VTABLE).is_some() {
        let _nothing_to_drop = ManuallyDrop::new(waker);
    } else {
        drop_external_waker(waker);
    }
}

#[cold]
#[inline(never)]
fn drop_external_waker(waker: Waker) {
    drop(waker);
}

/// Takes one operation off the budget of the current poll. Returns `false` if none is left: then the
/// caller has to yield.
#[inline]
pub(crate) fn charge() -> bool {
    with(|core| core.executor.charge()).unwrap_or(true)
}

/// Wakes the task that `data` identifies, on any thread.
#[inline]
pub(crate) fn wake(data: WakerData) {
    if with(|core| core.executor.wake(data)) != Some(true) {
        wake_elsewhere(data);
    }
}

/// Wakes a task of a runtime that is not on this thread.
#[cold]
fn wake_elsewhere(data: WakerData) {
    if let Some(remote) = registry::at(data.runtime_index()) {
        // An ending runtime refuses: then there is no task left to wake.
        remote.send(Message::Wake(data)).ok();
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
        self.executor.set_wake_cause(WakeCause::Thread);
        for message in messages {
            match message {
                Message::Wake(data) => {
                    self.executor.wake(data);
                }
                Message::Abort(key) => self.executor.abort(key),
                Message::Detach(key) => self.executor.detach(key),
                Message::RemoveSource(key) => self.remove_source(key),
                Message::RemoveWaiter(key, id) => self.reactor.remove_waiter(key, id),
                Message::RemoveTimer(key) => {
                    let waker = self.timers.remove(key);
                    self.executor.drop_user_value(waker, "the drop of a waker");
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

    /// Presets the readiness of a source and wakes the operations that wait for it.
    pub(crate) fn preset_ready(&self, key: Key, ready: Ready) {
        let wake = |waker, cause| self.executor.wake_by(waker, cause);
        self.reactor.preset(key, ready, wake);
    }

    /// Removes a source and wakes the operations that still wait for it.
    pub(crate) fn remove_source(&self, key: Key) {
        let wakers = self.reactor.deregister(key);
        let cause = WakeCause::Thread;
        self.executor
            .wake_all(wakers.into_iter().map(|waker| (waker, cause)));
    }

    /// The source through which this runtime learns of signals.
    pub(crate) fn signal_source(
        &self,
        event: std::os::fd::BorrowedFd<'static>,
    ) -> std::io::Result<(Key, ReadyRef)> {
        let mut signals = self.signals.borrow_mut();
        if let Some(source) = &*signals {
            return Ok(source.clone());
        }
        let source = self.reactor.register(event, Interest::READABLE)?;
        Ok(signals.insert(source).clone())
    }

    /// Whether a future waits for an event of the kernel, as far as the runtime knows: an operation
    /// whose waker is stored, or a task whose last wait, in a `poll_*` function, was for a descriptor.
    pub(crate) fn waits_for_io(&self) -> bool {
        let (_, operations) = self.reactor.waiting();
        operations > 0 || self.executor.any_waits_for_io()
    }

    /// Ends everything, in the order that docs/ARCHITECTURE.md gives: tasks, timers, sources, pool,
    /// and last the inbox, so that whatever the drops before have sent is dropped too.
    pub(crate) fn shut_down(&self) {
        self.executor.shut_down();
        self.wake_remaining(self.timers.shut_down());
        if let Some((key, _ready)) = self.signals.take() {
            self.remove_source(key);
        }
        self.wake_remaining(self.reactor.shut_down());
        for work in self.blocking.shut_down() {
            self.executor
                .drop_user_value(work, "the drop of a blocking closure");
        }
        registry::unregister(self.id);
        for message in self.remote.inbox().close() {
            self.executor
                .drop_user_value(message, "the drop of a remote closure");
        }
    }

    /// Wakes what still waits under another executor, so that it learns from a poll that the runtime
    /// has ended (I6).
    fn wake_remaining(&self, wakers: Vec<Waker>) {
        let wakers = wakers.into_iter().map(|waker| (waker, WakeCause::Abort));
        self.executor.wake_all(wakers);
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
