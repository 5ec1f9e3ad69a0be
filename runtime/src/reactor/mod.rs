//! The reactor: turns kernel events into wakes.
//!
//! Called by the loop in `Runtime::block_on` (`turn`), by [`crate::io::AsyncFd`] (`add`, `look`,
//! `remove`) and by its future [`crate::io::Readiness`] (`poll_ready`, `store`, `forget`). It knows
//! descriptors and `std::task::Waker`, never tasks.
//!
//! Every descriptor is registered once, edge-triggered, for all it will ever be asked. From then on
//! the kernel says only what *changed*, and the reactor remembers it per source:
//!
//! ```text
//!            event: remember, take the waiters; queue tasks of ours, and wake other people's
//!                 wakers once every borrow has ended
//!                 +-------------------------------+
//!                 |                               v
//!  kernel --> [not ready] <------------------ [ready] --> operation runs at once, no turn needed
//!                 ^                               |
//!                 +-------------------------------+
//!            clear: the operation met EAGAIN or moved less than it asked for
//! ```
//!
//! **No edge is lost.** An edge matters only between the operation that met EAGAIN and the moment
//! its waker is stored. Both happen on this thread with no turn in between, unless the user holds a
//! ready guard across an `.await`; for that case every source counts its events and a clear is
//! refused when the count has moved on (the count is 32 bits wide: tokio #8331 shows what 8 do).
//!
//! Keeps I3 (other people's wakers leave in a vector and are woken outside the borrow; to wake a task
//! of ours is to queue a number), I4 (the token of an event is index and generation; what finds no
//! source wakes nobody) and I6 (whoever waits is either in `Waiters` or has been woken; `remove` gives
//! back those that are left, to be woken).
//!
//! Sources: `epoll(7)`, section "Possible pitfalls and ways to avoid them".

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::task::Waker;

use crate::inbox::{REMOTE_TOKEN, Shared};
use crate::slab::{Key, Slab};
use crate::sys::epoll::{Epoll, Events, Wait};
use crate::task_info::Cause;

pub(crate) mod seen;
pub(crate) mod waiters;

use crate::ready::{Interest, Ready};
use seen::{Known, Seen};
use waiters::{WaiterId, Waiters};

/// What the reactor knows of one descriptor.
#[derive(Debug)]
struct Source {
    fd: RawFd,
    /// What the kernel has said and nothing has disproved, as far as the handle has told: see
    /// [`Seen`].
    known: Known,
    readers: Waiters,
    writers: Waiters,
}

/// Whether a turn has made its system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    Asked,
    /// There was nothing to ask.
    Idle,
}

/// What [`Reactor::poll_ready`] found.
#[must_use]
pub(crate) enum Polled {
    /// The handle has seen what is ready.
    Ready,
    /// The waker is in place.
    Waiting,
    /// Somebody is there already, perhaps the same waker: ask [`Reactor::poll_crowded`].
    Crowded,
    /// The source was removed, or the runtime is ending.
    Gone,
}

/// Wakes the runtime's own tasks, which runs no foreign code, and gives other people's wakers back.
pub(crate) trait WakeOwn {
    fn wake(&mut self, waker: Waker, cause: Cause) -> Option<Waker>;
}

/// Where the wakers go that a turn has taken out.
struct Woken<W> {
    own: W,
    /// Other people's.
    strangers: Vec<(Waker, Cause)>,
    count: usize,
}

struct State {
    sources: Slab<Source>,
    /// Filled by the kernel, emptied by `turn`.
    events: Events,
    closed: bool,
}

/// What the reactor counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: u64,
    pub(crate) waits: u64,
    pub(crate) parks: u64,
    pub(crate) events: u64,
    pub(crate) events_stale: u64,
}

pub(crate) struct Reactor {
    /// Where epoll lives: shared with other threads, which may deregister and wake but never wait.
    remote: Arc<Shared>,
    state: RefCell<State>,
    /// Other people's wakers on their way from `State` to being woken; kept for its capacity.
    strangers: Cell<Vec<(Waker, Cause)>>,
    next_waiter: Cell<u32>,
    /// How many operations wait for a descriptor now. The paused clock asks.
    waiting: Cell<usize>,
    counters: Cell<Counters>,
}

impl Reactor {
    pub(crate) fn new(remote: Arc<Shared>, max_io_events_per_tick: usize) -> Self {
        Reactor {
            remote,
            state: RefCell::new(State {
                sources: Slab::new(),
                events: Events::with_capacity(max_io_events_per_tick),
                closed: false,
            }),
            strangers: Cell::new(Vec::new()),
            next_waiter: Cell::new(0),
            waiting: Cell::new(0),
            counters: Cell::new(Counters::default()),
        }
    }

    fn epoll(&self) -> &Epoll {
        self.remote.epoll()
    }

    /// Registers a descriptor for all it will be asked.
    ///
    /// # Errors
    ///
    /// What `epoll_ctl(2)` refuses; then nothing is left behind.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Key> {
        let mut state = self.state.borrow_mut();
        if state.closed {
            return Err(runtime_is_gone());
        }
        let key = state.sources.insert(Source {
            fd: fd.as_raw_fd(),
            known: Known::NOTHING,
            readers: Waiters::default(),
            writers: Waiters::default(),
        });
        let added = self.epoll().add(fd, key.to_bits(), interest.to_epoll());
        if added.is_err() {
            state.sources.remove(key);
        }
        added.map(|()| key)
    }

    /// Forgets a descriptor. Whoever still waits for it is woken, to find it gone.
    pub(crate) fn remove(&self, key: Key) -> Vec<Waker> {
        let removed = self.state.borrow_mut().sources.remove(key);
        let mut orphans = Vec::new();
        if let Some(mut source) = removed {
            source.readers.take_all(|waker| orphans.push(waker));
            source.writers.take_all(|waker| orphans.push(waker));
            self.forget_waiting(orphans.len());
        }
        orphans
    }

    fn forget_waiting(&self, count: usize) {
        self.waiting.set(self.waiting.get().saturating_sub(count));
    }

    /// A number for an operation that is about to wait.
    #[inline]
    pub(crate) fn next_waiter(&self) -> WaiterId {
        let next = match self.next_waiter.get().wrapping_add(1) {
            // Neither of the two that mean something else.
            u32::MAX => 1,
            next => next,
        };
        self.next_waiter.set(next);
        WaiterId(next)
    }

    /// Gives an operation a number at its first wait.
    #[inline]
    fn number(&self, waiter: &mut WaiterId) -> WaiterId {
        if *waiter == WaiterId::UNNUMBERED {
            *waiter = self.next_waiter();
        }
        *waiter
    }

    /// Brings a handle up to date; it keeps what it has when the source is gone.
    #[inline]
    pub(crate) fn look(&self, key: Key, seen: &Seen) {
        if let Some(source) = self.state.borrow_mut().sources.get_mut(key) {
            source.reconcile(seen);
        }
    }

    /// What is known to be ready now, of what `interest` asks for, or that one has to wait: then
    /// `waker` is to be stored for the next event. Runs no foreign code: `clone` makes a copy of a
    /// waker of ours, or declines.
    #[inline]
    pub(crate) fn poll_ready(
        &self,
        key: Key,
        seen: &Seen,
        interest: Interest,
        waiter: &mut WaiterId,
        waker: &Waker,
        clone: impl FnOnce(&Waker) -> Option<Waker>,
    ) -> Polled {
        let mut state = self.state.borrow_mut();
        let Some(source) = state.sources.get_mut(key) else {
            return Polled::Gone;
        };
        if source.reconcile(seen).ready().intersects(interest.mask()) {
            return Polled::Ready;
        }
        // Nearly always: one direction, nobody else there, and a waker of ours.
        if !interest.is_both()
            && let Some(clone) = clone(waker)
        {
            let waiter = self.number(waiter);
            if source
                .side(!interest.is_writable())
                .store_first(waiter, clone)
            {
                self.waiting.set(self.waiting.get() + 1);
                return Polled::Waiting;
            }
        }
        Polled::Crowded
    }

    /// The rest of [`poll_ready`](Self::poll_ready), when it is not as simple as that: gives the
    /// number with which to call [`store`](Self::store), or nothing when the waker is in place.
    /// Apart, because it takes many registers, which the usual case would have to save.
    #[cold]
    pub(crate) fn poll_crowded(
        &self,
        key: Key,
        interest: Interest,
        waiter: &mut WaiterId,
        waker: &Waker,
    ) -> Option<WaiterId> {
        let state = self.state.borrow();
        let source = state.sources.get(key)?;
        let waiter = self.number(waiter);
        let read = !interest.reads() || source.readers.knows(waiter, waker);
        let written = !interest.is_writable() || source.writers.knows(waiter, waker);
        (!read || !written).then_some(waiter)
    }

    /// Stores one clone of the waker per direction asked for, in place of what the same operation
    /// stored before. Cloning, waking and dropping wakers is foreign code, so each happens between
    /// two borrows.
    #[cold]
    pub(crate) fn store(&self, key: Key, interest: Interest, waiter: WaiterId, waker: &Waker) {
        for (asked, reads) in [(interest.reads(), true), (interest.is_writable(), false)] {
            if !asked {
                continue;
            }
            let clone = waker.clone();
            let displaced = match self.state.borrow_mut().sources.get_mut(key) {
                Some(source) => source.side(reads).store(waiter, clone),
                None => return,
            };
            if displaced.is_empty() {
                self.waiting.set(self.waiting.get() + 1);
            }
            displaced.let_go();
        }
    }

    /// Forgets an operation that was dropped while it waited; its wakers come back to be dropped.
    pub(crate) fn forget(&self, key: Key, waiter: WaiterId) -> [Option<Waker>; 2] {
        let mut state = self.state.borrow_mut();
        let Some(source) = state.sources.get_mut(key) else {
            return [None, None];
        };
        let removed = [source.readers.remove(waiter), source.writers.remove(waiter)];
        self.forget_waiting(removed.iter().flatten().count());
        removed
    }

    /// Presets cached readiness: the next operation is tried without waiting for an event. Those
    /// who wait already come back to be woken.
    pub(crate) fn assume(&self, key: Key, seen: &Seen, what: Ready) -> Vec<(Waker, Cause)> {
        let mut woken = Vec::new();
        if let Some(source) = self.state.borrow_mut().sources.get_mut(key) {
            // No event, so it does not count as one.
            let known = source.reconcile(seen).with(what);
            source.known = known;
            seen.set(known);
            let cause = Cause::io(source.fd, what, known.events());
            source.take_waiters(what.sides(), &mut |waker| woken.push((waker, cause)));
        }
        self.forget_waiting(woken.len());
        woken
    }

    /// One look at the kernel: waits as long as `wait` allows, remembers what became ready, and
    /// wakes whom it concerns.
    ///
    /// `own` wakes the runtime's own tasks on the spot. Other people's wakers are handed to
    /// `wake_strangers` outside of every borrow; `own`, and whatever it has borrowed, is gone by then.
    ///
    /// # Errors
    ///
    /// When epoll itself fails, which means that its descriptor was closed behind our back.
    #[inline]
    pub(crate) fn turn(
        &self,
        wait: Wait,
        own: impl WakeOwn,
        wake_strangers: impl FnOnce(std::vec::Drain<'_, (Waker, Cause)>),
    ) -> io::Result<Turned> {
        let mut counters = self.counters.get();
        counters.turns += 1;
        // With nothing registered there is nothing the kernel could tell in no time.
        if wait == Wait::Poll && self.state.borrow().sources.len() == 0 {
            self.counters.set(counters);
            return Ok(Turned::Idle);
        }
        counters.waits += 1;
        counters.parks += u64::from(wait != Wait::Poll);
        let mut woken = Woken {
            own,
            strangers: self.strangers.take(),
            count: 0,
        };
        {
            let mut state = self.state.borrow_mut();
            let count = self.epoll().wait(&mut state.events, wait)?;
            let (others, stale) = state.take_in(count, &mut woken);
            counters.events += count as u64 - others;
            counters.events_stale += stale;
        }
        let Woken {
            own,
            mut strangers,
            count,
        } = woken;
        drop(own);
        self.counters.set(counters);
        self.forget_waiting(count);
        if !strangers.is_empty() {
            wake_strangers(strangers.drain(..));
        }
        // A nested turn is impossible, so nothing was put back in the meantime.
        self.strangers.set(strangers);
        Ok(Turned::Asked)
    }

    /// How many operations wait for descriptors.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.get()
    }

    /// How many descriptors are registered.
    pub(crate) fn sources(&self) -> usize {
        self.state.borrow().sources.len()
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.get()
    }

    /// Forgets every source and refuses new ones; the wakers come back to be woken.
    pub(crate) fn shut_down(&self) -> Vec<Waker> {
        let mut state = self.state.borrow_mut();
        state.closed = true;
        let mut wakers = Vec::new();
        while let Some(mut source) = state.sources.drain_one() {
            source.readers.take_all(|waker| wakers.push(waker));
            source.writers.take_all(|waker| wakers.push(waker));
        }
        self.waiting.set(0);
        wakers
    }
}

impl<W: WakeOwn> Woken<W> {
    /// Once per message, from one place that matters; a call would save and restore five registers.
    #[inline(always)]
    fn wake(&mut self, waker: Waker, cause: Cause) {
        self.count += 1;
        if let Some(stranger) = self.own.wake(waker, cause) {
            self.strangers.push((stranger, cause));
        }
    }
}

impl State {
    /// Takes in the first `count` events. Says how many were none of a source, and of how many the
    /// source is gone.
    // Not inlined: the loop of `block_on` around it would leave it no registers.
    #[inline(never)]
    fn take_in(&mut self, count: usize, woken: &mut Woken<impl WakeOwn>) -> (u64, u64) {
        let (mut others, mut stale) = (0, 0);
        for event in self.events.iter(count) {
            if event.token == REMOTE_TOKEN {
                others += 1;
                continue;
            }
            match self.sources.get_mut(Key::from_bits(event.token)) {
                Some(source) => source.receive(Ready::from_epoll(event.flags), woken),
                // It is gone: its descriptor lives on in a duplicate, or it was removed after the
                // kernel had queued the event (I4).
                None => stale += 1,
            }
        }
        (others, stale)
    }
}

impl Source {
    /// Exchanges news with the handle; see [`Seen`].
    #[inline]
    fn reconcile(&mut self, seen: &Seen) -> Known {
        let known = seen.get();
        if known.is_as_recent_as(self.known) {
            self.known = known;
        } else {
            seen.set(self.known);
        }
        self.known
    }

    /// Those who wait to read, or those who wait to write.
    #[inline]
    fn side(&mut self, reads: bool) -> &mut Waiters {
        if reads {
            &mut self.readers
        } else {
            &mut self.writers
        }
    }

    /// Takes in one event and wakes those who wait for any of it.
    #[inline]
    fn receive(&mut self, ready: Ready, woken: &mut Woken<impl WakeOwn>) {
        self.known = self.known.after(ready);
        let cause = Cause::io(self.fd, ready, self.known.events());
        let (reads, writes) = ready.sides();
        // Nearly always one reader and nobody else.
        if reads && let Some(reader) = self.readers.take_first() {
            woken.wake(reader, cause);
        }
        if reads && self.readers.are_many() || writes && !self.writers.is_empty() {
            self.take_waiters((reads, writes), &mut |waker| woken.wake(waker, cause));
        }
    }

    #[inline(never)]
    fn take_waiters(&mut self, (reads, writes): (bool, bool), wake: &mut dyn FnMut(Waker)) {
        if reads {
            self.readers.take_all(&mut *wake);
        }
        if writes {
            self.writers.take_all(wake);
        }
    }
}

/// What an I/O object that outlived its runtime answers.
pub(crate) fn runtime_is_gone() -> io::Error {
    io::Error::other("the Wakeful runtime to which this descriptor belongs has ended")
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor")
            .field("sources", &self.sources())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// There is no runtime around the source.
    struct Nobody;

    impl WakeOwn for Nobody {
        fn wake(&mut self, waker: Waker, _cause: Cause) -> Option<Waker> {
            Some(waker)
        }
    }

    /// What may happen to a source and its handle, in any order.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The kernel tells of these, so many times.
        Events(u8, usize),
        /// The task is polled, and the operation finds its event in what has woken it.
        Hear,
        /// The task is polled, and nobody asks what has woken it.
        Ignore,
        /// An operation begins: it looks first, as every poll does.
        Look,
        /// It ends, having disproved these.
        Clear(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ready = 0..=Ready::ALL.to_bits();
        // 256 is where the count in a wake's cause begins anew.
        let count = prop_oneof![8 => Just(1), 1 => 254..258usize];
        prop_oneof![
            (ready.clone(), count).prop_map(|(ready, count)| Step::Events(ready, count)),
            Just(Step::Hear),
            Just(Step::Ignore),
            Just(Step::Look),
            ready.prop_map(Step::Clear),
        ]
    }

    proptest! {
        /// Against a source that is cleared at once: what the two know together is never less, so no
        /// edge is lost (I6); and it is the same whenever no event came between a clear and the next
        /// look, so in the usual course no operation is tried in vain.
        #[test]
        fn a_handle_that_clears_for_itself_loses_no_news(steps in prop::collection::vec(step(), 0..60)) {
            let mut source = Source {
                fd: 0,
                known: Known::NOTHING,
                readers: Waiters::default(),
                writers: Waiters::default(),
            };
            let seen = Seen::default();
            let mut nobody = Woken {
                own: Nobody,
                strangers: Vec::new(),
                count: 0,
            };
            let (mut eager, mut eager_events) = (Ready::EMPTY, 0);
            // What has come since the operation in progress began: it cannot have disproved that.
            let mut since = Ready::EMPTY;
            // What the operation in progress began with.
            let mut began = seen.get();
            // Cleared since the last look; and then met by an event, so that the clear is forgotten.
            let (mut cleared, mut forgotten) = (false, false);
            // The first event since the last poll: the others find the task scheduled.
            let mut woken_by: Option<(Cause, u32)> = None;
            for step in steps {
                match step {
                    Step::Events(bits, count) => {
                        let ready = Ready::from_bits(bits);
                        for _ in 0..count {
                            source.receive(ready, &mut nobody);
                            eager_events += 1;
                            let cause = Cause::io(source.fd, ready, eager_events);
                            woken_by.get_or_insert((cause, eager_events));
                        }
                        eager |= ready;
                        since |= ready;
                        forgotten |= cleared;
                    }
                    Step::Hear => {
                        // As the executor: what is too long ago is no news.
                        let recent = woken_by.take().filter(|(_, count)| {
                            eager_events - count <= crate::news::TURNS_AT_MOST
                        });
                        crate::news::set(recent.map_or(Cause::THREAD, |(cause, _)| cause));
                        crate::news::hear(source.fd, &seen);
                        (began, since) = (seen.get(), Ready::EMPTY);
                        if began.events() == eager_events {
                            prop_assert!(began.ready().contains(eager), "{began:?} lacks some of {eager:?}");
                            forgotten = began.ready() != eager;
                        }
                    }
                    Step::Ignore => woken_by = None,
                    Step::Look => {
                        (began, since) = (source.reconcile(&seen), Ready::EMPTY);
                        prop_assert!(began.ready().contains(eager), "{began:?} lacks some of {eager:?}");
                        prop_assert_eq!(began.events(), eager_events);
                        if !forgotten {
                            prop_assert_eq!(began.ready(), eager);
                        }
                        // What was believed too long is disproved by the next operation.
                        forgotten = began.ready() != eager;
                        cleared = false;
                    }
                    Step::Clear(bits) => {
                        let what = Ready::from_bits(bits);
                        seen.clear(began, what);
                        eager = (eager - what) | since;
                        cleared = true;
                        // The source, which knows more, is not told.
                        forgotten |= eager_events != began.events();
                    }
                }
            }
        }
    }

    #[test]
    fn news_is_not_cleared_with_what_was_seen_before() {
        let seen = Seen::default();
        let old = Known::NOTHING.after(Ready::READABLE);
        let new = old.after(Ready::READABLE);
        seen.set(new);
        seen.clear(old, Ready::READABLE);
        assert_eq!(seen.get().ready(), Ready::READABLE);
        seen.clear(new, Ready::READABLE);
        assert_eq!(seen.get().ready(), Ready::EMPTY);
    }
}
