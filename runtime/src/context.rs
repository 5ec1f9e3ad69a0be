//! The current runtime: what one runtime owns, and how operations on this thread find it.
//!
//! A [`Core`] contains everything that a runtime owns: executor, reactor, timers, pool. Every operation
//! first checks whether its runtime is the one on this thread. The functions of this file make that
//! check and define what happens otherwise:
//!
//! ```text
//!  operation                on its runtime's thread   on another thread            runtime ended
//!  wake, abort, drop        directly                  a message to the inbox       nothing
//!  read, await, spawn, ...  directly                  panic that says what to do   error, or panic
//! ```
//!
//! There are two ways to the core. [`with_current`] borrows it, for code that runs no user code.
//! [`current`] clones the `Rc`, for code that can run a user's waker or destructor, which can enter
//! another runtime (I3).
//!
//! The function table of this crate's wakers is here, too, because its functions need the current
//! runtime.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::deadlock_watch::DeadlockWatch;
use crate::executor::Executor;
use crate::executor::cell::drop_ignoring_panic;
use crate::hooks;
use crate::id::{Id, RuntimeId, VTables, WaiterId, WakerData};
use crate::inbox::{Message, Shared};
use crate::reactor::Reactor;
use crate::reactor::source::ReadyWords;
use crate::ready::{Interest, Ready};
use crate::recorder::event::Kind;
use crate::registry;
use crate::table::Key;
use crate::task_info::WakeCause;
use crate::timer::Timers;
use crate::waker_counts;

/// Everything that one runtime owns.
pub(crate) struct Core {
    pub(crate) id: RuntimeId,
    pub(crate) remote: Arc<Shared>,
    pub(crate) executor: Executor,
    pub(crate) reactor: Reactor,
    pub(crate) timers: Timers,
    pub(crate) blocking: Pool,
    pub(crate) busy_poll: BusyPoll,
    pub(crate) deadlocks: DeadlockWatch,
    /// The source of the process's signal eventfd; set by the first `signal`.
    pub(crate) signals: RefCell<Option<(Key, ReadyWords)>>,
    /// The number of messages taken from the inbox.
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
    /// Without a destructor, so that access needs no check whether it was dropped, and destructors of
    /// other thread-locals find their runtime. It is empty when the thread ends, because every
    /// [`ContextGuard`] restores the previous value.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Core>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
    /// The number of runtimes that are entered on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// Levels whose guards were dropped before one above them, with the runtime that each restores.
    static OUT_OF_ORDER: RefCell<Vec<(usize, Previous)>> = const { RefCell::new(Vec::new()) };
    /// The call site of the `block_on` that runs on this thread.
    static BLOCKING_ON: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Calls `f` with this thread's runtime. Returns `None` without one. `f` must not run user code (I3).
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Core) -> R) -> Option<R> {
    // `try_with`, because it is marked for inlining and `with` is not. It cannot fail here.
    let call = |current: &ManuallyDrop<RefCell<Option<Rc<Core>>>>| {
        let current = current.borrow();
        // Not `map`: without a runtime it would drop `f`, and what `f` owns, during the borrow.
        let core = current.as_deref()?;
        Some(f(core))
    };
    CURRENT.try_with(call).ok().flatten()
}

/// Returns this thread's runtime, for code that can run user code.
#[inline]
pub(crate) fn current() -> Option<Rc<Core>> {
    CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten()
}

/// Replaces the thread's runtime. The caller drops the previous one, after the borrow has ended.
fn replace(core: Previous) -> Previous {
    RuntimeId::set_current(core.as_ref().map(|core| core.id));
    CURRENT.with(|current| current.replace(core))
}

/// Makes a runtime the thread's again, although a guard of another one still exists.
#[cold]
pub(crate) fn reinstate(core: &Rc<Core>) {
    drop(replace(Some(Rc::clone(core))));
}

/// As [`current`], for operations that need a runtime.
///
/// # Panics
///
/// When no runtime is entered on this thread.
#[track_caller]
pub(crate) fn require(operation: &str) -> Rc<Core> {
    match current() {
        Some(core) => core,
        None => panic!(
            "{operation}: no Wakeful runtime on this thread; call it inside a future given to \
             `block_on` or `spawn`, or while a guard of `Runtime::enter` lives"
        ),
    }
}

/// Returns the runtime with this id if it is the one on this thread.
#[inline]
pub(crate) fn current_if(id: RuntimeId) -> Option<Rc<Core>> {
    current().filter(|core| core.id == id)
}

/// Panics if a handle was used on the wrong thread. Returns if the handle's runtime has ended. Called
/// after [`current_if`] or [`with_current`] found another runtime or none.
///
/// # Panics
///
/// When the runtime exists but is not the one on this thread.
#[cold]
pub(crate) fn panic_if_wrong_thread(id: RuntimeId, operation: &str, location: &Location<'_>) {
    if registry::find(id).is_some() {
        panic!(
            "{operation} at {location}: this handle belongs to a Wakeful runtime that is not \
             running on this thread; use it inside that runtime's `block_on`, or send the work \
             there with `Handle::spawn`"
        );
    }
}

/// Makes a runtime the current one of this thread until the guard is dropped.
pub(crate) fn enter(core: &Rc<Core>) -> ContextGuard {
    let previous = replace(Some(Rc::clone(core)));
    let depth = DEPTH.get() + 1;
    DEPTH.set(depth);
    ContextGuard { previous, depth }
}

/// The runtime that was entered before.
type Previous = Option<Rc<Core>>;

/// Undoes [`enter`]. Nested guards have to be dropped in the reverse order. Dropping one in another
/// order panics, and takes effect after those above it were dropped.
#[derive(Debug)]
pub(crate) struct ContextGuard {
    previous: Previous,
    depth: usize,
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let depth = DEPTH.get();
        let previous = self.previous.take();
        if depth == self.depth {
            restore(depth, previous);
            return;
        }
        let level = (self.depth, previous);
        OUT_OF_ORDER
            .try_with(|left| left.borrow_mut().push(level))
            .ok();
        if !std::thread::panicking() {
            panic!(
                "guards of `Runtime::enter` were dropped out of order: the one of level {} while \
                 level {depth} was entered; drop the last one first",
                self.depth
            );
        }
    }
}

/// Leaves the top level, and the levels below it whose guards were dropped before.
fn restore(mut depth: usize, mut previous: Previous) {
    let dropped_below = |depth: usize| {
        OUT_OF_ORDER
            .try_with(|left| {
                let mut left = left.borrow_mut();
                let position = left.iter().position(|(level, _)| *level == depth)?;
                Some(left.swap_remove(position).1)
            })
            .ok()
            .flatten()
    };
    loop {
        depth -= 1;
        match dropped_below(depth) {
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
/// When it is blocked already. The message names both call sites.
#[track_caller]
pub(crate) fn begin_block_on(id: RuntimeId) -> BlockOnGuard {
    if let Some(outer) = BLOCKING_ON.get() {
        panic!(
            "`block_on` inside `block_on`: this thread is already running the future given to \
             the one at {outer}; await the inner future instead, or use another thread"
        );
    }
    BLOCKING_ON.set(Some(Location::caller()));
    RuntimeId::set_looping(Some(id));
    BlockOnGuard(())
}

/// Returns the call site of the `block_on` that runs on this thread.
pub(crate) fn blocking_on() -> Option<&'static Location<'static>> {
    BLOCKING_ON.get()
}

pub(crate) struct BlockOnGuard(());

impl Drop for BlockOnGuard {
    fn drop(&mut self) {
        BLOCKING_ON.set(None);
        RuntimeId::set_looping(None);
    }
}

/// The function tables of this crate's wakers, whose data pointer contains a [`WakerData`].
pub(crate) static VTABLES: VTables = VTables {
    plain: RawWakerVTable::new(
        |data| RawWaker::new(data, &VTABLES.plain),
        |data| wake(WakerData::from_pointer(data)),
        |data| wake(WakerData::from_pointer(data)),
        |_data| {},
    ),
    counted: RawWakerVTable::new(
        |data| {
            waker_counts::add(WakerData::from_pointer(data));
            RawWaker::new(data, &VTABLES.counted)
        },
        |data| {
            let data = WakerData::from_pointer(data);
            // First, so that a task without a waker has been woken or never will be.
            wake(data);
            waker_counts::remove(data);
        },
        |data| wake(WakerData::from_pointer(data)),
        |data| waker_counts::remove(WakerData::from_pointer(data)),
    ),
};

/// Returns the data of a waker of this crate; `None` for an external one.
#[inline]
pub(crate) fn local_data(waker: &Waker) -> Option<WakerData> {
    WakerData::of(waker, &VTABLES)
}

/// Clones a waker of this crate for the runtime's tables, without user code, without a call and without
/// counting. Returns `None` for any other.
#[inline]
pub(crate) fn clone_local(waker: &Waker) -> Option<Waker> {
    local_data(waker).map(|data| data.to_waker(&VTABLES.plain))
}

/// Returns the id under which a `poll_*` function stores a waker.
#[inline]
pub(crate) fn waiter_id(waker: &Waker) -> WaiterId {
    local_data(waker).map_or(WaiterId::EXTERNAL, WaiterId::task)
}

/// Drops a waker. For this crate's wakers that are not counted that does nothing and makes no call.
#[inline]
pub(crate) fn drop_waker(waker: Waker) {
    if WakerData::from_waker(&waker, &VTABLES.plain).is_some() {
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

/// Takes one operation off the budget of the current poll. Returns `false` if none is left; the caller
/// then has to yield.
#[inline]
pub(crate) fn try_consume() -> bool {
    with_current(|core| core.executor.try_consume()).unwrap_or(true)
}

/// Wakes the task that `data` identifies, on any thread.
#[inline]
pub(crate) fn wake(data: WakerData) {
    if with_current(|core| core.executor.wake(data)) != Some(true) {
        wake_remote(data);
    }
}

/// Wakes a task of a runtime that is not on this thread.
#[cold]
fn wake_remote(data: WakerData) {
    if let Some(remote) = registry::get(data.runtime_index()) {
        // An ending runtime refuses: then there is no task left to wake.
        remote.send(Message::Wake(data)).ok();
    }
}

/// Sends a message to a runtime that is not on this thread. If it has ended, nothing is left to do.
pub(crate) fn send(id: RuntimeId, message: Message) {
    if let Some(remote) = registry::find(id)
        && let Err(refused) = remote.send(message)
    {
        drop(refused);
    }
}

/// Marks a task for cancellation, on any thread.
pub(crate) fn abort(id: Id) {
    match current_if(id.runtime) {
        Some(core) => core.executor.abort(id.key),
        None => send(id.runtime, Message::Abort(id.key)),
    }
}

impl Core {
    pub(crate) fn owns(&self, id: RuntimeId) -> bool {
        self.id == id
    }

    /// Handles the oldest messages of other threads, at most `limit` of them (I8).
    #[inline]
    pub(crate) fn drain_inbox(&self, limit: u32) {
        if self.remote.inbox().is_pending() {
            self.handle_messages(self.remote.inbox().drain(limit as usize));
        }
    }

    fn handle_messages(&self, messages: VecDeque<Message>) {
        self.messages
            .set(self.messages.get() + messages.len() as u64);
        if hooks::any() {
            self.record_messages(&messages);
        }
        for message in messages {
            match message {
                Message::Wake(data) => {
                    self.executor.wake(data);
                }
                Message::Abort(key) => self.executor.abort(key),
                Message::Detach(key) => self.executor.detach(key),
                Message::RemoveSource(key) => self.remove_source(key),
                Message::RemoveWaiter(key, id) => {
                    let remove = || self.reactor.remove_waiter(key, id);
                    self.executor.catch_panic("the drop of a waker", remove);
                }
                Message::RemoveTimer(key) => {
                    let waker = self.timers.remove(key);
                    self.executor.drop_user_value(waker, "the drop of a waker");
                }
                Message::WakeTimer(key) => {
                    let waker = self.timers.remove(key);
                    let cause = self.executor.wake_cause();
                    self.executor.wake_all(waker.map(|waker| (waker, cause)));
                }
                Message::Run(run) => {
                    // The closure handles its own panics. Any other panic has no caller.
                    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
                        self.executor
                            .panics
                            .report_payload("a remote closure", payload.as_ref());
                        drop_ignoring_panic(payload);
                    }
                }
            }
        }
    }

    /// Presets the readiness of a source and wakes the operations that wait for it.
    pub(crate) fn preset_ready(&self, key: Key, ready: Ready) {
        let mut woken = Vec::new();
        let take = |waker, cause| woken.push((waker, cause));
        self.reactor.preset(key, ready, take);
        self.executor.wake_all(woken);
    }

    /// Removes a source and wakes the operations that still wait for it.
    pub(crate) fn remove_source(&self, key: Key) {
        if hooks::any() {
            self.record_source(Kind::SourceRemoved, key);
        }
        let wakers = self.reactor.deregister(key);
        let cause = self.executor.wake_cause();
        self.executor
            .wake_all(wakers.into_iter().map(|waker| (waker, cause)));
    }

    /// Returns the source of the process's signal eventfd; registers it in the first call.
    pub(crate) fn signal_source(
        &self,
        event: std::os::fd::BorrowedFd<'static>,
    ) -> std::io::Result<(Key, ReadyWords)> {
        let mut signals = self.signals.borrow_mut();
        if let Some(source) = &*signals {
            return Ok(source.clone());
        }
        let source = self.reactor.register(event, Interest::READABLE)?;
        if hooks::any() {
            self.record_source(Kind::SourceAdded, source.0);
        }
        Ok(signals.insert(source).clone())
    }

    /// Returns whether a future waits for an event of the kernel: an operation whose waker is stored,
    /// or a task whose last recorded wait, in a `poll_*` function, was for a descriptor.
    pub(crate) fn waits_for_io(&self) -> bool {
        let waits_begun = self.reactor.waits_begun();
        self.reactor.any_operation_waits() || self.executor.any_waits_for_io(waits_begun)
    }

    /// Ends the runtime in the order of docs/ARCHITECTURE.md: tasks, timers, sources, pool, and last the
    /// inbox, because the drops before can send messages.
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
        self.executor.recorder().stop();
    }

    /// Wakes the futures that still wait, under another executor. Their next poll reports the end of the
    /// runtime (I6).
    fn wake_remaining(&self, wakers: Vec<Waker>) {
        let wakers = wakers.into_iter().map(|waker| (waker, WakeCause::Abort));
        self.executor.wake_all(wakers);
    }
}

/// Deregisters a descriptor: first in the kernel, if `explicit` is given, then in the reactor (I4).
pub(crate) fn deregister(id: RuntimeId, key: Key, explicit: Option<std::os::fd::RawFd>) {
    let core = current_if(id);
    if let Some(fd) = explicit {
        let remote = core.as_ref().map(|core| Arc::clone(&core.remote));
        if let Some(remote) = remote.or_else(|| registry::find(id)) {
            // ENOENT or EBADF means that the descriptor was closed, which deregisters it. The `AsyncFd`
            // has its descriptor until here, so the number is not that of another one.
            remote.epoll().delete(fd).ok();
        }
    }
    match core {
        Some(core) => core.remove_source(key),
        None => send(id, Message::RemoveSource(key)),
    }
}
