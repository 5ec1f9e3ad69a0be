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
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use crate::blocking::Pool;
use crate::busy_poll::BusyPoll;
use crate::deadlock_watch::DeadlockWatch;
use crate::executor::Executor;
use crate::hooks;
use crate::id::{Id, RuntimeId, VTables, WaiterId, WakerData};
use crate::inbox::{Message, Shared};
use crate::reactor::Reactor;
use crate::reactor::source::ReadyWords;
use crate::ready::Ready;
use crate::recorder::event::Kind;
use crate::registry;
use crate::table::Key;
use crate::task_info::WakeCause;
use crate::timer::Timers;
use crate::waker_counts;
use crate::watch::Watch;

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
    /// The watch of the loop, if there is one.
    pub(crate) watch: Option<Watch>,
    /// Returns whether an operation of the runtime waits for a thread that another runtime can have started: that of
    /// a standard stream. A function, because standard streams use a `Core`.
    pub(crate) awaits_shared_thread: fn(RuntimeId) -> bool,
    /// The source of the process's signal eventfd; set by the first `signal`.
    pub(crate) signals: RefCell<Option<(Key, ReadyWords)>>,
    /// The number of messages taken from the inbox.
    pub(crate) messages: Cell<u64>,
    /// The number of messages taken from the inbox and not handled yet, without the one that is handled now.
    pub(crate) messages_left: Cell<usize>,
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
    /// The entries of runtimes on this thread, the last one at the end. As `CURRENT`, without a destructor.
    static LEVELS: ManuallyDrop<RefCell<Vec<Level>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    /// The number of entries so far.
    static ENTRIES: Cell<u64> = const { Cell::new(0) };
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

/// Undoes the entries of user code that are left, although their guards still exist. Dropping those has no
/// effect then. For the loop, between two calls of user code.
#[cold]
pub(crate) fn reinstate() {
    let last_base = |levels: &[Level]| levels.iter().rposition(|level| level.is_base);
    leave(|levels| last_base(levels).map_or(0, |base| base + 1));
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

/// Makes a runtime the current one of this thread until the guard is dropped. That ends the entries of user
/// code above it, too. So a guard of `Runtime::enter` that was forgotten or stored harms no other code.
pub(crate) fn enter(core: &Rc<Core>) -> ContextGuard {
    push_level(core, true)
}

/// As [`enter`], for user code.
pub(crate) fn enter_for_user(core: &Rc<Core>) -> ContextGuard {
    push_level(core, false)
}

/// Runs a hook of the user, and ends its entries of runtimes.
pub(crate) fn run_hook(hook: impl FnOnce()) {
    let _entered = current().map(|core| enter(&core));
    hook();
}

/// The runtime that was entered before.
type Previous = Option<Rc<Core>>;

/// An entry of a runtime.
struct Level {
    number: u64,
    previous: Previous,
    /// Whether this crate made the entry, and not user code.
    is_base: bool,
    /// Whether its guard was dropped before one above it.
    is_dropped: bool,
}

/// Undoes an entry of a runtime. Those of user code have to be dropped in the reverse order. Dropping one in
/// another order panics, and takes effect after those above it were dropped.
#[derive(Debug)]
pub(crate) struct ContextGuard {
    number: u64,
    is_base: bool,
    /// Not `Send`, because the entry belongs to this thread.
    _thread: PhantomData<Previous>,
}

fn push_level(core: &Rc<Core>, is_base: bool) -> ContextGuard {
    let number = ENTRIES.get();
    ENTRIES.set(number + 1);
    let level = Level {
        number,
        previous: replace(Some(Rc::clone(core))),
        is_base,
        is_dropped: false,
    };
    LEVELS.with(|levels| levels.borrow_mut().push(level));
    ContextGuard {
        number,
        is_base,
        _thread: PhantomData,
    }
}

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let is_this = |level: &Level| level.number == self.number;
        let above = LEVELS.with(|levels| {
            let mut levels = levels.borrow_mut();
            // Without a level, one below it was left before.
            let position = levels.iter().rposition(is_this)?;
            let above = levels.len() - 1 - position;
            levels[position].is_dropped = !self.is_base && above > 0;
            Some(above)
        });
        let Some(above) = above else { return };
        if above == 0 || self.is_base {
            leave(|levels| levels.len() - 1 - above);
        } else if !std::thread::panicking() {
            panic!(
                "guards of `Runtime::enter` were dropped out of order: {above} of them were made \
                 after this one and still exist; drop the last one first"
            );
        }
    }
}

/// Leaves all levels from the one that `first` returns, and the levels below it whose guards were dropped
/// before.
fn leave(first: impl FnOnce(&[Level]) -> usize) {
    let mut first = LEVELS.with(|levels| first(&levels.borrow()));
    loop {
        let left = LEVELS.with(|levels| {
            let mut levels = levels.borrow_mut();
            let is_left =
                levels.len() > first || levels.last().is_some_and(|level| level.is_dropped);
            let left = levels.pop_if(|_| is_left);
            first = first.min(levels.len());
            if levels.is_empty() {
                // Nothing frees it at the end of the thread.
                *levels = Vec::new();
            }
            left
        });
        // The last reference to a core drops hooks of the user, so no borrow is held.
        match left {
            Some(level) => drop(replace(level.previous)),
            None => break,
        }
    }
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

    fn handle_messages(&self, mut messages: VecDeque<Message>) {
        self.messages
            .set(self.messages.get() + messages.len() as u64);
        if hooks::any() {
            self.record_messages(&messages);
        }
        let mut last = Vec::new();
        while let Some(message) = messages.pop_front() {
            self.messages_left.set(messages.len());
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
                Message::Run(run) => self.run_remote(run),
                Message::RunAfterBatch(run) => last.push(run),
            }
            self.stay_current();
        }
        for run in last {
            self.run_remote(run);
            self.stay_current();
        }
    }

    fn run_remote(&self, run: Box<dyn FnOnce() + Send>) {
        // The closure handles its own panics. Any other panic has no caller.
        self.executor.catch_panic("a remote closure", run);
    }

    /// Makes this runtime the current one again, if user code has left another one entered. Otherwise the user code
    /// that is called next would find that one.
    pub(crate) fn stay_current(&self) {
        if !self.id.is_current() {
            reinstate();
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

    /// Returns whether a task waits for a closure on a thread, of this runtime or of a standard stream.
    pub(crate) fn waits_for_thread(&self) -> bool {
        self.blocking.pending() > 0 || (self.awaits_shared_thread)(self.id)
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
        // Before the tasks are dropped.
        self.executor.record_last_keyframe();
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
        if let Some(watch) = &self.watch {
            watch.stop();
        }
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
