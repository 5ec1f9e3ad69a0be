//! The wakers of one direction of one descriptor.
//!
//! Used by the reactor. Usually one operation waits, so the first waiter is stored inline and needs no
//! allocation. Further ones, such as two tasks that accept on one listener, are stored in [`More`].
//! Waiters never replace one another: each has a [`WaiterId`], and polling again with a new waker
//! replaces only its own.
//!
//! Runs no user code (I3): wakers are moved in and out, and the caller drops and wakes them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::task::Waker;

use crate::id::WaiterId;

/// The limit of external wakers per direction, for the `poll_*` functions. The contract of `AsyncRead`
/// requires the last one only. Without a limit, a combinator that makes a new waker for each poll
/// would grow the list until the next event.
const EXTERNAL_AT_MOST: usize = 16;

/// The waiters of one direction.
#[derive(Default)]
pub(crate) struct Waiters {
    /// The id of the first waiter.
    first: Cell<Option<WaiterId>>,
    /// The waker of the first waiter.
    waker: Cell<Option<Waker>>,
    /// All others. Allocated for the second waiter, which the usual source never has.
    more: OnceCell<Box<RefCell<More>>>,
}

/// All waiters but the first. Borrowed only within one method, which runs no user code.
#[derive(Debug, Default)]
struct More {
    /// Wakers by id, so that storing and removing one of 40,000 is cheap. Operations come first, in the
    /// order in which they began to wait.
    by_id: BTreeMap<WaiterId, Waker>,
    /// External wakers of `poll_*` functions, oldest first.
    external: Vec<Waker>,
}

impl Waiters {
    /// Returns whether no waker is stored and no second one ever was.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none() && !self.has_more()
    }

    /// Returns whether there can be more than one waiter, because a second one was stored before.
    #[inline]
    pub(crate) fn has_more(&self) -> bool {
        self.more.get().is_some()
    }

    /// Stores a waiter in place of the one with the same id. Returns the waker that is no longer
    /// stored, for the caller to drop.
    #[inline]
    #[must_use = "dropping a waker can run user code, so the caller chooses when"]
    pub(crate) fn store(&self, id: WaiterId, waker: Waker) -> Option<Waker> {
        if self.is_empty() {
            self.first.set(Some(id));
            return self.waker.replace(Some(waker));
        }
        self.store_among_others(id, waker)
    }

    #[cold]
    fn store_among_others(&self, id: WaiterId, waker: Waker) -> Option<Waker> {
        // Before the allocation, because this is also a lone waiter that polls again.
        if self.is_first(id, &waker) {
            return self.waker.replace(Some(waker));
        }
        let mut more = self.more.get_or_init(Box::default).borrow_mut();
        if self.first.get().is_none() && more.is_empty() {
            self.first.set(Some(id));
            return self.waker.replace(Some(waker));
        }
        if self.first.get() == Some(WaiterId::EXTERNAL) {
            // So that all external wakers are in one list, which has a limit.
            self.first.set(None);
            more.external.extend(self.waker.take());
        }
        more.store(id, waker)
    }

    /// Returns whether a poll with this id and waker comes from the first waiter.
    fn is_first(&self, id: WaiterId, waker: &Waker) -> bool {
        self.first.get() == Some(id) && (id != WaiterId::EXTERNAL || self.first_wakes_like(waker))
    }

    fn first_wakes_like(&self, waker: &Waker) -> bool {
        let first = self.waker.take();
        let same = first.as_ref().is_some_and(|first| first.will_wake(waker));
        // The cell is empty, so nothing is dropped.
        self.waker.set(first);
        same
    }

    /// Returns whether `waker` is stored under this id, so that polling again changes nothing.
    pub(crate) fn contains(&self, id: WaiterId, waker: &Waker) -> bool {
        let is_first = self.first.get() == Some(id) && self.first_wakes_like(waker);
        let more = self.more.get();
        is_first || more.is_some_and(|more| more.borrow().contains(id, waker))
    }

    /// Removes an operation that stopped waiting. Returns its waker for the caller to drop.
    pub(crate) fn remove(&self, id: WaiterId) -> Option<Waker> {
        if self.first.get() == Some(id) {
            self.first.set(None);
            return self.waker.take();
        }
        self.more.get()?.borrow_mut().by_id.remove(&id)
    }

    /// Takes out the waker of the first waiter.
    #[inline]
    pub(crate) fn take_first(&self) -> Option<Waker> {
        self.first.take()?;
        self.waker.take()
    }

    /// Takes out all wakers, the first waiter's first.
    pub(crate) fn take_all(&self, mut each: impl FnMut(Waker)) {
        if let Some(waker) = self.take_first() {
            each(waker);
        }
        if let Some(more) = self.more.get() {
            let More { by_id, external } = more.take();
            by_id.into_values().chain(external).for_each(each);
        }
    }

    /// Counts the waiters: all of them, and the operations among them.
    pub(crate) fn count(&self) -> (usize, usize) {
        let is_operation = |id: &WaiterId| *id < WaiterId::OPERATIONS_END;
        let first = self.first.get();
        let (mut all, mut operations) = (
            first.iter().count(),
            first.iter().filter(|id| is_operation(id)).count(),
        );
        if let Some(more) = self.more.get() {
            let More { by_id, external } = &*more.borrow();
            all += by_id.len() + external.len();
            operations += by_id.range(..WaiterId::OPERATIONS_END).count();
        }
        (all, operations)
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Named;

    impl Wake for Named {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> Waker {
        Waker::from(Arc::new(Named))
    }

    fn operation(number: u64) -> WaiterId {
        WaiterId::operation(NonZeroU64::new(number).unwrap())
    }

    #[test]
    fn a_waiter_that_polls_again_stays_the_only_one_and_needs_no_allocation() {
        let waiters = Waiters::default();
        assert!(waiters.store(operation(1), waker()).is_none());
        for _ in 0..2 {
            assert!(waiters.store(operation(1), waker()).is_some());
        }
        assert_eq!(waiters.count(), (1, 1));
        assert!(!waiters.has_more());
        assert!(waiters.take_first().is_some());
        assert!(waiters.is_empty());
    }

    #[test]
    fn every_waiter_is_stored_once_and_replaces_only_its_own_waker() {
        let waiters = Waiters::default();
        let wakers: Vec<Waker> = (0..3).map(|_| waker()).collect();
        for id in [operation(1), operation(2), operation(2), operation(1)] {
            drop(waiters.store(id, wakers[0].clone()));
        }
        assert_eq!(waiters.count(), (2, 2));
        // The first one goes, and the second one polls again.
        assert!(waiters.remove(operation(1)).is_some());
        assert!(waiters.store(operation(2), wakers[1].clone()).is_some());
        for waker in [&wakers[2], &wakers[1], &wakers[2]] {
            drop(waiters.store(WaiterId::EXTERNAL, waker.clone()));
        }
        assert_eq!(waiters.count(), (3, 1));
        let mut taken = Vec::new();
        waiters.take_all(|waker| taken.push(waker));
        let expected = [&wakers[1], &wakers[1], &wakers[2]];
        assert!(taken.iter().zip(expected).all(|(a, b)| a.will_wake(b)));
        assert_eq!((taken.len(), waiters.count()), (3, (0, 0)));
    }
}
