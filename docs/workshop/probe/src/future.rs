//! Futures that record their polls.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use crate::{Slot, Trace};

type Act = Box<dyn FnMut(&Trace, &mut Context<'_>) -> Poll<()> + Send>;

/// A future with one act per poll. After the last act it stays pending.
pub struct Scripted {
    name: &'static str,
    trace: Trace,
    acts: VecDeque<Act>,
    ready: bool,
}

impl Scripted {
    /// Returns a future without acts.
    #[must_use]
    pub fn new(name: &'static str, trace: &Trace) -> Scripted {
        Scripted { name, trace: trace.clone(), acts: VecDeque::new(), ready: false }
    }

    /// Adds an act.
    #[must_use]
    pub fn act(
        mut self,
        act: impl FnMut(&Trace, &mut Context<'_>) -> Poll<()> + Send + 'static,
    ) -> Scripted {
        self.acts.push_back(Box::new(act));
        self
    }

    /// Adds a poll in which the future wakes itself.
    #[must_use]
    pub fn wakes_itself(self) -> Scripted {
        let name = self.name;
        self.act(move |trace, cx| {
            trace.note(format!("  {name} wakes itself"));
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Adds a poll in which the future stores its waker.
    #[must_use]
    pub fn stores_waker(self, slot: &Slot) -> Scripted {
        let slot = slot.clone();
        self.act(move |_, cx| {
            slot.set(cx.waker());
            Poll::Pending
        })
    }

    /// Adds the last poll.
    #[must_use]
    pub fn ready(self) -> Scripted {
        self.act(|_, _| Poll::Ready(()))
    }
}

impl Future for Scripted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        kernel::progress();
        let this = &mut *self;
        let after = if this.ready { " after Ready" } else { "" };
        this.trace.note(format!("poll {}{after}", this.name));
        let polled = match this.acts.pop_front() {
            Some(mut act) => act(&this.trace, cx),
            None => Poll::Pending,
        };
        match polled {
            Poll::Pending => this.trace.note("  Pending"),
            Poll::Ready(()) => {
                this.ready = true;
                this.trace.note("  Ready");
            }
        }
        polled
    }
}

/// Writes a step when it is dropped.
pub struct DropNote(Trace, &'static str);

impl DropNote {
    /// Returns a value whose drop writes `step`.
    #[must_use]
    pub fn new(trace: &Trace, step: &'static str) -> DropNote {
        DropNote(trace.clone(), step)
    }
}

impl Drop for DropNote {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// Polls a future once and drops it.
pub fn poll_once<F: Future>(future: F, waker: &Waker) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(waker))
}

/// Wakes its task and is pending once.
pub async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        kernel::progress();
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
