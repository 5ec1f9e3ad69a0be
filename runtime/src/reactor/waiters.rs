//! Who waits for one direction of one descriptor.
//!
//! Used by the reactor. Usually that is one task, so the first waiter is kept inline and costs no
//! allocation; two tasks that accept on one listener, or a reader that is also peeked at, are the
//! reason for the vector behind it. Nobody ever displaces anybody else: each operation has a number
//! of its own, and polling it again with another waker replaces *its* waker only.

use std::task::Waker;

/// Numbers one waiting operation of one runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaiterId(pub(crate) u32);

impl WaiterId {
    /// The `poll_*` functions, which are no futures and so have no identity: here the waker itself
    /// tells one waiter from another.
    pub(crate) const ANONYMOUS: WaiterId = WaiterId(0);
    /// An operation that has not had to wait yet, and so needs no number.
    pub(crate) const UNNUMBERED: WaiterId = WaiterId(u32::MAX);
}

/// Anonymous waiters kept per direction. A combinator that makes a new waker for each poll would
/// otherwise grow the list for as long as nothing happens on the descriptor; past this many, the
/// oldest is woken (a spurious poll) to make room for the new one.
const ANONYMOUS_AT_MOST: usize = 1024;

#[derive(Debug)]
struct Waiter {
    id: WaiterId,
    waker: Waker,
}

impl Waiter {
    /// Whether a poll of `id` with `waker` comes from the same place as this waiter.
    fn is(&self, id: WaiterId, waker: &Waker) -> bool {
        self.id == id && (id != WaiterId::ANONYMOUS || self.waker.will_wake(waker))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Waiters {
    first: Option<Waiter>,
    /// The others, in the order in which they came. Boxed, so that the usual source, which never
    /// has any, carries 8 bytes for them and not 24.
    #[expect(clippy::box_collection, reason = "two of these stand in every source")]
    more: Option<Box<Vec<Waiter>>>,
}

/// What [`Waiters::store`] gives back to be dropped or woken outside every borrow.
#[derive(Debug, Default)]
#[must_use = "the wakers in it are foreign code, to be run once the borrow has ended"]
pub(crate) struct Displaced {
    /// The operation's own earlier waker.
    pub(crate) replaced: Option<Waker>,
    /// A stranger that had to make room, to be woken.
    pub(crate) evicted: Option<Waker>,
}

impl Displaced {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.replaced.is_none() && self.evicted.is_none()
    }

    /// Drops the one waker and wakes the other. Foreign code.
    #[inline]
    pub(crate) fn let_go(self) {
        drop(self.replaced);
        if let Some(evicted) = self.evicted {
            evicted.wake();
        }
    }
}

impl Waiters {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.more.as_ref().is_none_or(|more| more.is_empty())
    }

    /// Whether waking this waker is arranged for already, so that nothing has to be stored.
    #[inline]
    pub(crate) fn knows(&self, id: WaiterId, waker: &Waker) -> bool {
        let knows = |waiter: &Waiter| waiter.is(id, waker) && waiter.waker.will_wake(waker);
        self.first.as_ref().is_some_and(knows)
            || self.more.iter().flat_map(|more| more.iter()).any(knows)
    }

    /// Stores the only waiter; declines when somebody is there.
    #[inline]
    pub(crate) fn store_first(&mut self, id: WaiterId, waker: Waker) -> bool {
        let first = self.is_empty();
        if first {
            self.first = Some(Waiter { id, waker });
        }
        first
    }

    /// Stores a waiter, in place of the same operation's earlier waker if there is one.
    pub(crate) fn store(&mut self, id: WaiterId, waker: Waker) -> Displaced {
        if self.is_empty() {
            self.first = Some(Waiter { id, waker });
            return Displaced::default();
        }
        let more = self.more.get_or_insert_default();
        let mut all = self.first.iter_mut().chain(more.iter_mut());
        if let Some(waiter) = all.find(|waiter| waiter.is(id, &waker)) {
            let replaced = std::mem::replace(&mut waiter.waker, waker);
            return Displaced {
                replaced: Some(replaced),
                evicted: None,
            };
        }
        let mut displaced = Displaced::default();
        if id == WaiterId::ANONYMOUS {
            let anonymous = |waiter: &&Waiter| waiter.id == WaiterId::ANONYMOUS;
            if more.iter().filter(anonymous).count() >= ANONYMOUS_AT_MOST {
                let oldest = more.iter().position(|waiter| anonymous(&waiter));
                displaced.evicted = oldest.map(|oldest| more.remove(oldest).waker);
            }
        }
        more.push(Waiter { id, waker });
        displaced
    }

    /// Forgets an operation that was dropped while it waited.
    pub(crate) fn remove(&mut self, id: WaiterId) -> Option<Waker> {
        if let Some(waiter) = self.first.take_if(|waiter| waiter.id == id) {
            return Some(waiter.waker);
        }
        let more = self.more.as_mut()?;
        let position = more.iter().position(|waiter| waiter.id == id)?;
        Some(more.remove(position).waker)
    }

    /// Takes out who came first.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Option<Waker> {
        self.first.take().map(|first| first.waker)
    }

    /// Whether there may be others than the first.
    #[inline]
    pub(crate) fn are_many(&self) -> bool {
        self.more.is_some()
    }

    /// Takes out everybody, oldest first.
    pub(crate) fn take_all(&mut self, mut each: impl FnMut(Waker)) {
        if let Some(first) = self.first.take() {
            each(first.waker);
        }
        if let Some(more) = &mut self.more {
            for waiter in more.drain(..) {
                each(waiter.waker);
            }
        }
    }
}
