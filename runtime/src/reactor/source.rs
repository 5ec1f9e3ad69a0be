//! What the reactor records about one descriptor: its readiness and its waiters.
//!
//! The readiness is one word, shared by the source and the `AsyncFd` that registered it. An event
//! increments the count of events and sets bits. An operation that met EAGAIN, or moved less than it asked for,
//! clears bits:
//!
//! ```text
//!  ReadyWord   events : 32 | (0) : 24 | ready : 8
//!
//!    turn       Source::set_ready     event 7, READABLE
//!    poll       ReadyWord::load       the operation runs with event 7
//!    poll       ReadyWord::clear      still event 7: READABLE is cleared
//!                                     already event 8: nothing is cleared, because it came
//!                                     after the operation began
//! ```
//!
//! So an operation that finds its descriptor ready does not look up the source, or the runtime.
//!
//! The word is atomic only because an `AsyncFd` is `Sync`. The source's thread uses plain loads and stores.
//! A guard that was moved to another thread clears by compare-and-exchange, which fails when an event
//! came in between. A store of the source's thread can undo such a clear. Then the next operation is
//! tried once without need. Every access is relaxed, because no other memory depends on it.

use std::cell::{Cell, OnceCell};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use super::waiters::Waiters;
use crate::ready::{Interest, Ready};
use crate::table::{CHUNK, Key};
use crate::task_info::WakeCause;

/// The readiness of a source at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadyEvent(u64);

impl ReadyEvent {
    #[inline]
    pub(crate) fn ready(self) -> Ready {
        Ready::from_bits(self.0 as u8)
    }

    /// Returns the number of events so far. 32 bits, because a guard can be held across many turns
    /// (tokio issue 8331 shows what happens with 8 bits).
    #[inline]
    fn count(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Returns the part that ends a wait for `interest`.
    #[inline]
    pub(crate) fn filter(self, interest: Interest) -> Self {
        let others = !interest.mask().to_bits();
        ReadyEvent(self.0 & !u64::from(others))
    }

    #[inline]
    fn next(self) -> Self {
        ReadyEvent(self.0.wrapping_add(1 << 32))
    }

    #[inline]
    fn union(self, ready: Ready) -> Self {
        ReadyEvent(self.0 | u64::from(ready.to_bits()))
    }

    #[inline]
    pub(crate) fn difference(self, ready: Ready) -> Self {
        ReadyEvent(self.0 & !u64::from(ready.to_bits()))
    }
}

/// The readiness word of one source.
#[derive(Debug, Default)]
pub(crate) struct ReadyWord(AtomicU64);

impl ReadyWord {
    #[inline]
    pub(crate) fn load(&self) -> ReadyEvent {
        ReadyEvent(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    fn store(&self, event: ReadyEvent) {
        self.0.store(event.0, Ordering::Relaxed);
    }

    /// Clears what an operation that began with `event` has disproved, unless another event came
    /// since. Has to be called on the source's thread.
    #[inline]
    pub(crate) fn clear(&self, event: ReadyEvent, ready: Ready) {
        let now = self.load();
        if now.count() == event.count() {
            self.store(now.difference(ready));
        }
    }

    /// As [`clear`](Self::clear), on any thread.
    pub(crate) fn clear_shared(&self, event: ReadyEvent, ready: Ready) {
        let clear = |now| {
            let now = ReadyEvent(now);
            (now.count() == event.count()).then_some(now.difference(ready).0)
        };
        // An `Err` means that an event came, so nothing is cleared.
        let _cleared = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, clear);
    }
}

/// The readiness words of a chunk of sources, which are in one allocation, because one per source
/// would cost 32 bytes per connection. A word belongs to the `AsyncFd` of its source until that is
/// dropped. Only then can the source's row get its next occupant, and after the end of the runtime it
/// gets none.
#[derive(Clone, Debug)]
pub(crate) struct ReadyWords(Arc<[ReadyWord; CHUNK]>);

impl ReadyWords {
    fn new() -> Self {
        ReadyWords(Arc::new(std::array::from_fn(|_| ReadyWord::default())))
    }

    /// Returns the word of the source with this key.
    #[inline]
    pub(crate) fn of(&self, key: Key) -> &ReadyWord {
        self.at(key.index())
    }

    /// Returns the word of the source in the row with this index.
    #[inline]
    fn at(&self, index: u32) -> &ReadyWord {
        &self.0[index as usize % CHUNK]
    }
}

/// A registered descriptor: a row of the reactor's table.
#[derive(Default)]
pub(crate) struct Source {
    fd: Cell<RawFd>,
    /// The words of the row's chunk. Set when the row is occupied for the first time.
    words: OnceCell<ReadyWords>,
    pub(super) readers: Waiters,
    pub(super) writers: Waiters,
    /// The index of the row in its chunk.
    position: Cell<u8>,
    /// Whether a descriptor is registered.
    occupied: Cell<bool>,
}

impl Source {
    /// Makes this the source of `fd` and returns the readiness words of the row's chunk. `index` is that
    /// of the row. `words` returns these words if a row of the chunk was occupied before.
    pub(super) fn occupy(
        &self,
        fd: RawFd,
        index: u32,
        words: impl FnOnce() -> Option<ReadyWords>,
    ) -> ReadyWords {
        self.fd.set(fd);
        self.position.set((index as usize % CHUNK) as u8);
        self.occupied.set(true);
        let words = self
            .words
            .get_or_init(|| words().unwrap_or_else(ReadyWords::new));
        words.at(index).store(ReadyEvent(0));
        words.clone()
    }

    /// Makes this the source of no descriptor. The readiness becomes empty. So an operation of an `AsyncFd`
    /// that outlives its runtime takes the slow path and returns an error.
    pub(super) fn vacate(&self) {
        self.occupied.set(false);
        self.store(ReadyEvent(0));
    }

    pub(super) fn is_occupied(&self) -> bool {
        self.occupied.get()
    }

    /// Returns the readiness words of the row's chunk, if the row was occupied before.
    pub(super) fn words(&self) -> Option<ReadyWords> {
        self.words.get().cloned()
    }

    #[inline]
    fn word(&self) -> Option<&ReadyWord> {
        let words = self.words.get()?;
        Some(words.at(u32::from(self.position.get())))
    }

    /// Counts the waiters of both directions: all of them, and the operations among them.
    pub(super) fn count_waiters(&self) -> (usize, usize) {
        let (readers, writers) = (self.readers.count(), self.writers.count());
        (readers.0 + writers.0, readers.1 + writers.1)
    }

    /// Passes the descriptor and the waker of an operation that waits to `look`, which must not run user
    /// code.
    pub(super) fn first_operation<R>(&self, look: impl Fn(RawFd, &Waker) -> R) -> Option<R> {
        let look = |waker: &Waker| look(self.fd.get(), waker);
        let reader = self.readers.first_operation(look);
        reader.or_else(|| self.writers.first_operation(look))
    }

    #[inline]
    pub(super) fn load(&self) -> ReadyEvent {
        self.word().map_or(ReadyEvent(0), ReadyWord::load)
    }

    #[inline]
    fn store(&self, event: ReadyEvent) {
        if let Some(word) = self.word() {
            word.store(event);
        }
    }

    /// Records an event, or readiness that the caller assumes, and passes the wakers that it concerns to
    /// `wake`, which must not run user code.
    #[inline]
    pub(super) fn set_ready(&self, ready: Ready, wake: &mut impl FnMut(Waker, WakeCause)) {
        let Some(word) = self.word() else {
            return;
        };
        let before = word.load();
        word.store(before.next().union(ready));
        let fd = self.fd.get();
        let cause = WakeCause::Io { fd, ready };
        let (reads, writes) = ready.directions();
        if reads {
            self.readers.take().wake(cause, wake);
        }
        // None waits while the source is writable. Most events repeat that it is.
        if writes && !before.ready().directions().1 {
            self.writers.take().wake(cause, wake);
        }
    }

    /// Takes out the wakers of both directions.
    pub(super) fn take_wakers(&self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for waiters in [&self.readers, &self.writers] {
            waiters.take().for_each(|waker| wakers.push(waker));
        }
        wakers
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("fd", &self.fd)
            .field("ready", &self.load())
            .field("readers", &self.readers)
            .field("writers", &self.writers)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source() -> Source {
        let source = Source::default();
        let _words = source.occupy(0, 0, || None);
        source
    }

    #[test]
    fn an_event_is_not_cleared_with_the_one_before_it() {
        let source = source();
        let word = source.word().unwrap();
        for clear in [ReadyWord::clear, ReadyWord::clear_shared] {
            source.set_ready(Ready::READABLE, &mut |_, _| ());
            let old = word.load();
            source.set_ready(Ready::READABLE, &mut |_, _| ());
            clear(word, old, Ready::READABLE);
            assert_eq!(word.load().ready(), Ready::READABLE);
            clear(word, word.load(), Ready::READABLE);
            assert_eq!(word.load().ready(), Ready::EMPTY);
        }
    }

    /// A step of a source or of its `AsyncFd`.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Event(u8),
        /// An operation begins and loads the word.
        Begin,
        /// The operation ends and has disproved these bits.
        Clear(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ready = 0..=Ready::ALL.to_bits();
        prop_oneof![
            ready.clone().prop_map(Step::Event),
            Just(Step::Begin),
            ready.prop_map(Step::Clear),
        ]
    }

    proptest! {
        /// No edge is lost (I6): a bit that an event has set stays until an operation that began
        /// after the event clears it.
        #[test]
        fn clearing_loses_no_event(steps in prop::collection::vec(step(), 0..60)) {
            let source = source();
            let word = source.word().unwrap();
            let (mut begun, mut since, mut model) = (word.load(), false, Ready::EMPTY);
            for step in steps {
                match step {
                    Step::Event(bits) => {
                        source.set_ready(Ready::from_bits(bits), &mut |_, _| ());
                        model |= Ready::from_bits(bits);
                        since = true;
                    }
                    Step::Begin => (begun, since) = (word.load(), false),
                    Step::Clear(bits) => {
                        word.clear(begun, Ready::from_bits(bits));
                        if !since {
                            model = model - Ready::from_bits(bits);
                        }
                    }
                }
                prop_assert_eq!(word.load().ready(), model);
            }
        }
    }
}
