//! The wakers of one direction of one descriptor.
//!
//! Used by the reactor. Usually one operation waits, so one waiter is stored inline and needs no
//! allocation. Several, such as two tasks that accept on one listener, are stored in [`More`].
//! Waiters never replace one another: each has a [`WaiterId`], and polling again with a new waker
//! replaces only its own.
//!
//! Runs no user code (I3): wakers are moved in and out, and the caller drops and wakes them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::mem::ManuallyDrop;
use std::task::Waker;

use crate::id::WaiterId;
use crate::task_info::WakeCause;

/// The limit of external wakers per direction, for the `poll_*` functions. The contract of `AsyncRead`
/// requires the last one only. Without a limit, a combinator that makes a new waker for each poll
/// would grow the list until the next event.
const EXTERNAL_AT_MOST: usize = 16;

/// The waiters of one direction.
#[derive(Default)]
pub(crate) struct Waiters(Cell<Stored>);

/// The waiters that are stored, or were taken out to be woken.
pub(crate) enum Stored {
    One(WaiterId, Waker),
    /// None, or several.
    Others(Option<Box<More>>),
}

/// Several waiters.
#[derive(Default)]
pub(crate) struct More {
    /// Wakers by id, so that storing and removing one of 40,000 is cheap. Operations come first, in the
    /// order in which they began to wait.
    by_id: BTreeMap<WaiterId, Waker>,
    /// External wakers of `poll_*` functions, oldest first.
    external: Vec<Waker>,
}

impl Waiters {
    /// Takes out all waiters.
    #[inline]
    pub(crate) fn take(&self) -> Stored {
        self.0.take()
    }

    /// Stores what a method of this type has taken out.
    #[inline]
    fn put(&self, stored: Stored) {
        // `set` would check whether there is a value to drop.
        let _nothing_to_drop = ManuallyDrop::new(self.0.replace(stored));
    }

    /// Stores a waiter in place of the one with the same id. Returns the waker that is no longer
    /// stored, for the caller to drop.
    #[inline]
    #[must_use = "dropping a waker can run user code, so the caller chooses when"]
    pub(crate) fn store(&self, id: WaiterId, waker: Waker) -> Option<Waker> {
        match self.0.replace(Stored::One(id, waker)) {
            Stored::Others(None) => None,
            before => self.store_beside(before),
        }
    }

    /// Puts back what [`store`](Self::store) has replaced, beside the waiter that it has stored.
    #[cold]
    fn store_beside(&self, before: Stored) -> Option<Waker> {
        let Stored::One(id, waker) = self.take() else {
            unreachable!("`store` has stored one waiter");
        };
        let mut more = match before {
            // A lone waiter that polls again.
            Stored::One(first, replaced)
                if first == id && (id != WaiterId::EXTERNAL || replaced.will_wake(&waker)) =>
            {
                self.put(Stored::One(id, waker));
                return Some(replaced);
            }
            Stored::One(first, other) => {
                let mut more = Box::<More>::default();
                more.store(first, other);
                more
            }
            Stored::Others(more) => more.unwrap_or_default(),
        };
        let replaced = more.store(id, waker);
        self.put(Stored::Others(Some(more)));
        replaced
    }

    /// Returns whether `waker` is stored under this id, so that polling again changes nothing.
    pub(crate) fn contains(&self, id: WaiterId, waker: &Waker) -> bool {
        self.look(|stored| match stored {
            Stored::One(first, stored) => *first == id && stored.will_wake(waker),
            Stored::Others(more) => more.as_ref().is_some_and(|more| more.contains(id, waker)),
        })
    }

    /// Removes an operation that stopped waiting. Returns its waker for the caller to drop.
    pub(crate) fn remove(&self, id: WaiterId) -> Option<Waker> {
        match self.take() {
            Stored::One(first, waker) if first == id => Some(waker),
            Stored::Others(Some(mut more)) => {
                let removed = more.by_id.remove(&id);
                self.put(Stored::Others((!more.is_empty()).then_some(more)));
                removed
            }
            stored => {
                self.put(stored);
                None
            }
        }
    }

    /// Counts the waiters: all of them, and the operations among them.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.look(|stored| match stored {
            Stored::One(id, _) => (1, usize::from(*id < WaiterId::OPERATIONS_END)),
            Stored::Others(None) => (0, 0),
            Stored::Others(Some(more)) => more.count(),
        })
    }

    /// Passes the waker of the first operation to `look`, which must not run user code.
    pub(crate) fn first_operation<R>(&self, look: impl FnOnce(&Waker) -> R) -> Option<R> {
        self.look(|stored| match stored {
            Stored::One(id, waker) if *id < WaiterId::OPERATIONS_END => Some(look(waker)),
            Stored::One(..) | Stored::Others(None) => None,
            Stored::Others(Some(more)) => {
                let mut operations = more.by_id.range(..WaiterId::OPERATIONS_END);
                operations.next().map(|(_, waker)| look(waker))
            }
        })
    }

    fn look<R>(&self, look: impl FnOnce(&Stored) -> R) -> R {
        let stored = self.take();
        let seen = look(&stored);
        self.put(stored);
        seen
    }
}

impl Stored {
    /// Passes each waker to `each`.
    #[inline]
    pub(crate) fn for_each(self, mut each: impl FnMut(Waker)) {
        match self {
            Stored::One(_, waker) => each(waker),
            Stored::Others(None) => {}
            Stored::Others(Some(more)) => more.for_each(&mut each),
        }
    }

    /// Passes each waker and the cause of the wake to `wake`.
    #[inline]
    pub(super) fn wake(self, cause: WakeCause, wake: &mut impl FnMut(Waker, WakeCause)) {
        match self {
            Stored::One(_, waker) => wake(waker, cause),
            Stored::Others(None) => {}
            Stored::Others(Some(more)) => more.for_each(&mut move |waker| wake(waker, cause)),
        }
    }
}

impl Default for Stored {
    fn default() -> Self {
        Stored::Others(None)
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

    #[cold]
    fn for_each(self, each: &mut dyn FnMut(Waker)) {
        self.by_id.into_values().chain(self.external).for_each(each);
    }

    fn count(&self) -> (usize, usize) {
        let operations = self.by_id.range(..WaiterId::OPERATIONS_END).count();
        (self.by_id.len() + self.external.len(), operations)
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
        assert!(matches!(waiters.take(), Stored::One(..)));
        assert_eq!(waiters.count(), (0, 0));
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
        waiters.take().for_each(|waker| taken.push(waker));
        let expected = [&wakers[1], &wakers[1], &wakers[2]];
        assert!(taken.iter().zip(expected).all(|(a, b)| a.will_wake(b)));
        assert_eq!((taken.len(), waiters.count()), (3, (0, 0)));
    }
}
