//! A bell: one part of the program waits for something that happens in another.
//!
//! Used for "a connection closed" ([`crate::connections`]) and "the drain is over"
//! ([`crate::server`]). It is the smallest example of how a future waits for anything that is not
//! the kernel: keep the waker, return `Pending`, and let whoever makes it happen call `wake`.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll, Waker};

/// Rings for everybody who listens at that moment; remembers how often it rang, nothing else.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Cell<u64>,
    listening: RefCell<Vec<Waker>>,
}

impl Bell {
    /// Wakes everybody who listens.
    pub(crate) fn ring(&self) {
        self.rung.set(self.rung.get().wrapping_add(1));
        // The list is taken out first: a waker is foreign code and may come back here.
        let listening = mem::take(&mut *self.listening.borrow_mut());
        for waker in listening {
            waker.wake();
        }
    }

    /// Keeps the caller's waker for the next ring.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let known = self
            .listening
            .borrow()
            .iter()
            .any(|waker| waker.will_wake(cx.waker()));
        if !known {
            let waker = cx.waker().clone(); // foreign code too: not under the borrow
            self.listening.borrow_mut().push(waker);
        }
    }

    /// Waits for the next ring, counted from this call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the wait.
    pub(crate) fn next(&self) -> impl Future<Output = ()> {
        let before = self.rung.get();
        poll_fn(move |cx| {
            if self.rung.get() != before {
                return Poll::Ready(());
            }
            self.listen(cx);
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn a_ring_is_heard_by_those_who_listened_before_it() {
        let bell = Bell::default();
        let mut cx = Context::from_waker(Waker::noop());
        bell.ring();
        let mut heard = pin!(bell.next());
        assert!(
            heard.as_mut().poll(&mut cx).is_pending(),
            "the earlier ring does not count"
        );
        bell.ring();
        assert!(heard.as_mut().poll(&mut cx).is_ready());
    }
}
