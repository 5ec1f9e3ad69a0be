//! The wakers of one direction of one descriptor.
//!
//! Used by the reactor. Usually one operation waits, so the first waiter is stored inline and costs
//! no allocation. Two tasks that accept on one listener, or a reader beside a peek, need the maps
//! behind it. Waiters never replace one another: each has a [`WaiterId`], and polling again with a
//! new waker replaces only its own.
//!
//! Runs no user code (I3): wakers are moved in and out, and the caller drops and wakes them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::task::Waker;

use crate::id::WaiterId;

/// External wakers kept per direction for the `poll_*` functions. The contract of `AsyncRead`
/// requires the last one only; a combinator that makes a new waker for each poll would otherwise
/// grow the list until the next event.
const EXTERNAL_AT_MOST: usize = 16;

#[derive(Debug)]
struct Waiter {
    id: WaiterId,
    waker: Waker,
}

/// All waiters but the first.
#[derive(Debug, Default)]
struct More {
    /// By id, which makes storing and removing one of 40,000 waiters cheap. Operations come first,
    /// in the order in which they began to wait.
    by_id: BTreeMap<WaiterId, Waker>,
    /// External wakers of `poll_*` functions, oldest first.
    external: Vec<Waker>,
}

/// The waiters of one direction. Fields are cells, so no borrow is held while one is used.
#[derive(Default)]
pub(crate) struct Waiters {
    first: Cell<Option<Waiter>>,
    /// Boxed, because the usual source never has any.
    more: Cell<Option<Box<More>>>,
}

impl Waiters {
    /// Stores a waiter in place of the one with the same id. Returns the waker that is no longer
    /// stored, for the caller to drop.
    #[inline]
    #[must_use = "dropping a waker can run user code, so the caller chooses when"]
    pub(crate) fn store(&self, id: WaiterId, waker: Waker) -> Option<Waker> {
        match (self.first.take(), self.more.take()) {
            (None, None) => {
                self.first.set(Some(Waiter { id, waker }));
                None
            }
            (Some(first), more) if first.is(id, &waker) => {
                self.first.set(Some(Waiter { id, waker }));
                self.more.set(more);
                Some(first.waker)
            }
            (first, more) => {
                self.first.set(first);
                self.store_among_others(more, id, waker)
            }
        }
    }

    #[cold]
    fn store_among_others(
        &self,
        more: Option<Box<More>>,
        id: WaiterId,
        waker: Waker,
    ) -> Option<Waker> {
        let mut more = more.unwrap_or_default();
        let replaced = more.store(id, waker);
        self.more.set(Some(more));
        replaced
    }

    /// Whether `waker` is stored under this id, so that polling again changes nothing.
    pub(crate) fn contains(&self, id: WaiterId, waker: &Waker) -> bool {
        let (first, more) = (self.first.take(), self.more.take());
        let is_first = first
            .as_ref()
            .is_some_and(|first| first.is(id, waker) && first.waker.will_wake(waker));
        let contains = is_first || more.as_ref().is_some_and(|more| more.contains(id, waker));
        self.first.set(first);
        self.more.set(more);
        contains
    }

    /// Removes an operation that stopped waiting. Returns its waker for the caller to drop.
    pub(crate) fn remove(&self, id: WaiterId) -> Option<Waker> {
        match self.first.take() {
            Some(first) if first.id == id => return Some(first.waker),
            first => self.first.set(first),
        }
        let mut more = self.more.take()?;
        let removed = more.by_id.remove(&id);
        if !more.is_empty() {
            self.more.set(Some(more));
        }
        removed
    }

    /// Takes all wakers out, oldest first.
    #[inline]
    pub(crate) fn take_all(&self, mut each: impl FnMut(Waker)) {
        if let Some(first) = self.first.take() {
            each(first.waker);
        }
        if let Some(more) = self.more.take() {
            more.by_id.into_values().chain(more.external).for_each(each);
        }
    }

    /// Counts the waiters: all of them, and the operations among them.
    pub(crate) fn count(&self) -> (usize, usize) {
        let (first, more) = (self.first.take(), self.more.take());
        let (mut all, mut operations) = (0, 0);
        if let Some(first) = &first {
            all += 1;
            operations += usize::from(first.id < WaiterId::OPERATIONS_END);
        }
        if let Some(more) = &more {
            all += more.by_id.len() + more.external.len();
            operations += more.by_id.range(..WaiterId::OPERATIONS_END).count();
        }
        self.first.set(first);
        self.more.set(more);
        (all, operations)
    }
}

impl Waiter {
    /// Whether a poll with this id and waker comes from this waiter.
    fn is(&self, id: WaiterId, waker: &Waker) -> bool {
        self.id == id && (id != WaiterId::EXTERNAL || self.waker.will_wake(waker))
    }
}

impl More {
    fn is_empty(&self) -> bool {
        self.by_id.is_empty() && self.external.is_empty()
    }

    fn contains(&self, id: WaiterId, waker: &Waker) -> bool {
        let mut external = self.external.iter();
        match self.by_id.get(&id) {
            Some(stored) => stored.will_wake(waker),
            None => id == WaiterId::EXTERNAL && external.any(|stored| stored.will_wake(waker)),
        }
    }

    fn store(&mut self, id: WaiterId, waker: Waker) -> Option<Waker> {
        if id != WaiterId::EXTERNAL {
            return self.by_id.insert(id, waker);
        }
        let known = self
            .external
            .iter()
            .position(|known| known.will_wake(&waker));
        let full = self.external.len() == EXTERNAL_AT_MOST;
        let replaced = known
            .or(full.then_some(0))
            .map(|place| self.external.remove(place));
        self.external.push(waker);
        replaced
    }
}

impl std::fmt::Debug for Waiters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waiters").field(&self.count().0).finish()
    }
}
