//! The reactor: turns kernel events into wakes.
//!
//! Called by the loop in `Runtime::block_on` (`turn`) and by [`crate::io`] (`register`,
//! `waiters`, `remove_waiter`, `deregister`). It knows descriptors and `std::task::Waker`, never tasks.
//!
//! Every descriptor is registered once, edge-triggered, for everything that it will be used for. From
//! then on the kernel reports only *changes*, and each [`Source`] stores the resulting readiness:
//!
//! ```text
//!            event: set_ready, which takes the waiters out to be woken
//!                 +-------------------------------+
//!                 |                               v
//!  kernel --> [not ready] <------------------ [ready] --> operation runs at once, without a turn
//!                 ^                               |
//!                 +-------------------------------+
//!            clear: the operation met EAGAIN or moved less than it asked for
//! ```
//!
//! **No edge is lost.** An edge could be lost only between the operation that met EAGAIN and the moment
//! at which its waker is stored. Both happen on this thread without a turn in between, unless a ready
//! guard is held across an `.await`. For that case every source counts its events, and a clear is
//! refused when the count has changed. No user code runs between the check of the readiness and
//! the store among [`waiters`](Reactor::waiters).
//!
//! Keeps I3 (wakers are passed to the executor, which wakes them), I4 (the token of an event is
//! index and generation; a stale one wakes nothing) and I6 (a waiter is stored in [`Waiters`] until
//! it is woken; `deregister` and `shut_down` return those that are left, to be woken).
//!
//! Sources: `epoll(7)`, section "Possible pitfalls and ways to avoid them".

use std::cell::{Cell, RefCell};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::id::WaiterId;
use crate::inbox::{REMOTE_TOKEN, Shared};
use crate::ready::{Interest, Ready};
use crate::sys::epoll::{Epoll, Events};
use crate::table::{CHUNK, Key, Table};
use crate::task_info::WakeCause;

pub(crate) mod source;
pub(crate) mod waiters;

use source::{ReadyEvent, ReadyWords, Source};
use waiters::Waiters;

/// The result of [`Reactor::poll_ready_external`].
#[must_use]
pub(crate) enum PollReady {
    /// The readiness that ends the wait; the waker is not stored.
    Ready(ReadyEvent),
    /// The waker is stored.
    Pending,
    /// The source was deregistered, or the runtime is ending.
    Gone,
}

/// The reactor's counters; see `RuntimeMetrics`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: u64,
    pub(crate) waits: u64,
    pub(crate) parks: u64,
    pub(crate) events: u64,
    pub(crate) events_stale: u64,
}

pub(crate) struct Reactor {
    /// Contains the epoll, which other threads use to deregister and to wake, never to wait.
    remote: Arc<Shared>,
    sources: Table<Source>,
    /// Filled by the kernel and read in `turn`; borrowed nowhere else.
    events: RefCell<Events>,
    /// The number of the next operation that waits. 64 bits do not wrap within centuries.
    waiter_number: Cell<NonZeroU64>,
    /// Number of times that an operation began to wait.
    waits_begun: Cell<u64>,
    /// Value of `waits_begun` at which no operation waited.
    waits_over: Cell<u64>,
    /// Value of `waits_begun` after the last turn or removal of a waiter. A wait that began since then is
    /// still stored.
    waits_ended: Cell<u64>,
    /// A source that had a waiter when one was looked for.
    waits_hint: Cell<u32>,
    /// Set when the runtime ends. From then on nothing is registered.
    closed: Cell<bool>,
    counters: Cell<Counters>,
}

impl Reactor {
    pub(crate) fn new(remote: Arc<Shared>, max_io_events_per_tick: usize) -> Self {
        Reactor {
            remote,
            sources: Table::new(),
            events: RefCell::new(Events::with_capacity(max_io_events_per_tick)),
            waiter_number: Cell::new(NonZeroU64::MIN),
            waits_begun: Cell::new(0),
            waits_over: Cell::new(0),
            waits_ended: Cell::new(0),
            waits_hint: Cell::new(0),
            closed: Cell::new(false),
            counters: Cell::new(Counters::default()),
        }
    }

    fn epoll(&self) -> &Epoll {
        self.remote.epoll()
    }

    /// Registers a descriptor for everything it will be used for. Returns the source's key and the
    /// readiness words of its chunk.
    ///
    /// # Errors
    ///
    /// The errors of `epoll_ctl(2)`. Then nothing stays registered.
    pub(crate) fn register(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
    ) -> io::Result<(Key, ReadyWords)> {
        if self.closed.get() {
            return Err(runtime_is_gone());
        }
        let (key, source) = self.sources.take();
        let words = source.occupy(fd.as_raw_fd(), key.index(), || {
            // The first row of a chunk is occupied first.
            let first = self.sources.row(key.index() - key.index() % CHUNK as u32);
            first.and_then(|first| first.words())
        });
        match self.epoll().add(fd, key.to_bits(), interest.to_epoll()) {
            Ok(()) => Ok((key, words)),
            Err(error) => {
                source.vacate();
                self.sources.release(key.index(), source);
                Err(error)
            }
        }
    }

    /// Removes a source. Returns the wakers that were still stored, to be woken.
    pub(crate) fn deregister(&self, key: Key) -> Vec<Waker> {
        let Some(source) = self.sources.find(key) else {
            return Vec::new();
        };
        let wakers = source.take_wakers();
        self.waits_can_have_ended();
        source.vacate();
        self.sources.release(key.index(), source);
        wakers
    }

    /// Returns the id for an operation that begins to wait.
    #[inline]
    pub(crate) fn next_waiter(&self) -> WaiterId {
        let number = self.waiter_number.get();
        self.waiter_number.set(number.saturating_add(1));
        WaiterId::operation(number)
    }

    /// Counts a wait and returns the waiters in the direction of `interest`, which is one. `None` if the
    /// source was deregistered or the runtime is ending.
    ///
    /// The caller has found the source not ready, and stores a waker. It runs no user code in between
    /// (I3), so no event can come between the check and the store (I6).
    #[inline]
    pub(crate) fn waiters(&self, key: Key, interest: Interest) -> Option<&Waiters> {
        let source = self.sources.find(key)?;
        self.count_wait();
        Some(if interest.is_writable() {
            &source.writers
        } else {
            &source.readers
        })
    }

    /// Returns whether `waker` is stored already in every direction of `interest`, so that polling
    /// again changes nothing.
    fn is_stored(&self, key: Key, interest: Interest, id: WaiterId, waker: &Waker) -> bool {
        self.sources.find(key).is_some_and(|source| {
            (!interest.reads() || source.readers.contains(id, waker))
                && (!interest.is_writable() || source.writers.contains(id, waker))
        })
    }

    /// Returns the readiness that ends a wait for `interest`. If there is none, stores `waker`. Cloning and
    /// dropping an external waker is user code: it runs before the check, or after the store.
    #[cold]
    pub(crate) fn poll_ready_external(
        &self,
        key: Key,
        interest: Interest,
        id: WaiterId,
        waker: &Waker,
    ) -> PollReady {
        // First, because a waker of a `poll_*` function can be stored for another interest.
        let known = self.sources.find(key).map(|source| source.load());
        let known = known.map(|event| event.filter(interest));
        if let Some(event) = known.filter(|event| !event.ready().is_empty()) {
            return PollReady::Ready(event);
        }
        if self.is_stored(key, interest, id, waker) {
            self.count_wait();
            return PollReady::Pending;
        }
        let reader = interest.reads().then(|| waker.clone());
        let writer = interest.is_writable().then(|| waker.clone());
        let Some(source) = self.sources.find(key) else {
            return PollReady::Gone;
        };
        let event = source.load().filter(interest);
        if !event.ready().is_empty() {
            return PollReady::Ready(event);
        }
        let replaced = [
            reader.and_then(|waker| source.readers.store(id, waker)),
            writer.and_then(|waker| source.writers.store(id, waker)),
        ];
        self.count_wait();
        drop(replaced);
        PollReady::Pending
    }

    /// Records that waiters can have been taken out.
    #[inline]
    fn waits_can_have_ended(&self) {
        self.waits_ended.set(self.waits_begun.get());
    }

    #[inline]
    fn count_wait(&self) {
        self.waits_begun.set(self.waits_begun.get() + 1);
    }

    /// Removes an operation that stopped waiting, and drops its waker.
    pub(crate) fn remove_waiter(&self, key: Key, id: WaiterId) {
        if let Some(source) = self.sources.find(key) {
            let removed = [source.readers.remove(id), source.writers.remove(id)];
            self.waits_can_have_ended();
            drop(removed);
        }
    }

    /// Presets readiness, so that the next operation is tried without waiting for an event. Passes the
    /// wakers that wait for it to `wake`, which must not run user code.
    pub(crate) fn preset(&self, key: Key, ready: Ready, mut wake: impl FnMut(Waker, WakeCause)) {
        if let Some(source) = self.sources.find(key) {
            self.waits_can_have_ended();
            source.set_ready(ready, &mut wake);
        }
    }

    /// Asks the kernel once, records what became ready, and passes the wakers that it concerns to
    /// `wake`. `None` blocks without limit, zero does not block.
    ///
    /// `wake` must not run user code (I3), because the buffer of events is borrowed.
    ///
    /// # Errors
    ///
    /// When `epoll_wait` fails, which means that other code has closed the descriptor.
    // Not inlined, because the loop around it would leave it no registers.
    #[inline(never)]
    pub(crate) fn turn(
        &self,
        timeout: Option<Duration>,
        mut wake: impl FnMut(Waker, WakeCause),
    ) -> io::Result<()> {
        let mut events = self.events.borrow_mut();
        let count = self.epoll().wait(&mut events, timeout)?;
        let (mut remote, mut stale) = (0, 0);
        for event in events.iter(count) {
            if event.token == REMOTE_TOKEN {
                remote += 1;
                continue;
            }
            match self.sources.find(Key::from_bits(event.token)) {
                Some(source) => source.set_ready(Ready::from_epoll(event.flags), &mut wake),
                // The descriptor is open in a duplicate, or the source was removed after the kernel
                // had queued the event (I4).
                None => stale += 1,
            }
        }
        self.waits_can_have_ended();
        let mut counters = self.counters.get();
        counters.turns += 1;
        counters.waits += 1;
        counters.parks += u64::from(timeout != Some(Duration::ZERO));
        counters.events += count as u64 - remote;
        counters.events_stale += stale;
        self.counters.set(counters);
        Ok(())
    }

    /// Counts a turn without a system call: nothing is registered, and the loop does not block.
    pub(crate) fn skip_turn(&self) {
        let mut counters = self.counters.get();
        counters.turns += 1;
        self.counters.set(counters);
    }

    /// Returns the descriptor of a source.
    pub(crate) fn fd(&self, key: Key) -> Option<RawFd> {
        self.sources.find(key).map(|source| source.fd())
    }

    /// Returns the number of registered descriptors.
    pub(crate) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Counts the waiters of all sources.
    pub(crate) fn waiting(&self) -> usize {
        self.occupied().map(|source| source.count_waiters().0).sum()
    }

    /// Returns how often an operation began to wait.
    pub(crate) fn waits_begun(&self) -> u64 {
        self.waits_begun.get()
    }

    /// Returns whether an operation waits.
    pub(crate) fn any_operation_waits(&self) -> bool {
        let begun = self.waits_begun.get();
        // Otherwise each jump of a paused clock would search all sources.
        if self.waits_over.get() == begun {
            return false;
        }
        let any = self.occupied().any(|source| source.count_waiters().1 > 0);
        if !any {
            self.waits_over.set(begun);
        }
        any
    }

    /// Returns whether a waker is stored with a source. The first comparison answers for a loop whose tasks
    /// have waited again since the last turn.
    #[inline]
    pub(crate) fn any_waits(&self) -> bool {
        self.waits_ended.get() != self.waits_begun.get() || self.find_wait()
    }

    /// Looks first at the source that had a waiter the last time.
    #[inline(never)]
    fn find_wait(&self) -> bool {
        let hint = self.sources.row(self.waits_hint.get());
        if hint.is_some_and(|source| source.has_waiter()) {
            return true;
        }
        let mut rows = self.sources.rows();
        let found = rows.find(|(_, source)| source.has_waiter());
        if let Some((index, _)) = found {
            self.waits_hint.set(index);
        }
        found.is_some()
    }

    /// Passes the descriptor and the waker of an operation that waits to `look`, which must not run user
    /// code.
    pub(crate) fn first_operation<R>(&self, look: impl Fn(RawFd, &Waker) -> R) -> Option<R> {
        self.occupied()
            .find_map(|source| source.first_operation(&look))
    }

    /// Passes every source to `look`, which must not run user code.
    pub(crate) fn for_each_source(&self, mut look: impl FnMut(Key, &Source)) {
        for (index, row) in self.sources.rows() {
            if row.is_occupied() {
                look(Key::new(index, row.generation()), row);
            }
        }
    }

    fn occupied(&self) -> impl Iterator<Item = &Source> {
        let rows = self.sources.rows().map(|(_, row)| &**row);
        rows.filter(|source| source.is_occupied())
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get()
    }

    /// Removes every source and refuses new ones. Returns the wakers that were stored, to be woken.
    pub(crate) fn shut_down(&self) -> Vec<Waker> {
        self.closed.set(true);
        let mut wakers = Vec::new();
        for (index, row) in self.sources.rows() {
            if row.is_occupied() {
                wakers.extend(row.take_wakers());
                row.vacate();
                self.sources.release(index, row);
            }
        }
        wakers
    }
}

/// Returns the error of an I/O object whose runtime has ended.
pub(crate) fn runtime_is_gone() -> io::Error {
    io::Error::other("the Wakeful runtime to which this descriptor belongs has ended")
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor")
            .field("sources", &self.sources())
            .finish_non_exhaustive()
    }
}
