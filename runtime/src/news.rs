//! What the poll in progress was woken by: an operation that finds its own event here need not ask
//! the reactor what is ready.
//!
//! Set by the executor before each poll, from the task's record; asked by
//! [`Readiness`](crate::io::Readiness). Most polls of a server are the answer to one event of one
//! descriptor, and the record of the task's last wake says which: descriptor, flags, and the low
//! bits of the source's count of events. A handle whose own count is the one before takes the flags
//! from there and is as far as its source (see [`Seen`]). Every other handle, and every other poll,
//! looks at the source. This spares one of the two looks per echoed message.
//!
//! ```text
//!  turn   Source::receive   counts the 7th event; the wake's cause is "fd 9, READABLE, 7"
//!  tick   Executor::run     begins the task's poll, with that as its news
//!  poll   hear              a handle of fd 9 that has seen 6 events takes READABLE: it has seen 7;
//!                           one that has seen fewer, or is of another fd, has heard nothing
//! ```
//!
//! Four rules make sure that no handle ever believes to be ahead of its source, which would cost it
//! the next event:
//!
//! - Another runtime counts for itself: whoever enters a runtime or leaves one [forgets](forget).
//! - A descriptor's number may come to mean another descriptor: when one is registered, that goes
//!   for everybody who is in the run queue, too, since a wait can be handed from task to task.
//! - The low bits repeat after 256 events. A source has at most one per turn, so what a task was
//!   woken by is not asked once it may have waited for its poll for [`TURNS_AT_MOST`]; and foreign
//!   code that runs between the polls of tasks, a waker or what another thread has sent, finds none.
//! - Nothing but an event raises the count.
//!
//! One word per thread beside the runtime, as the [budget](crate::coop), and for the same reason.

use std::cell::Cell;
use std::os::fd::RawFd;

use crate::reactor::seen::Seen;
use crate::ready::Ready;
use crate::task_info::Cause;

/// How many turns ago a task may have been woken for its cause to count.
pub(crate) const TURNS_AT_MOST: u32 = 128;

thread_local! {
    static WOKEN_BY: Cell<Cause> = const { Cell::new(Cause::THREAD) };
}

/// Begins a poll that this has woken.
#[inline]
pub(crate) fn set(woken_by: Cause) {
    WOKEN_BY.set(woken_by);
}

/// Leaves the poll in progress without news.
#[inline]
pub(crate) fn forget() {
    set(Cause::THREAD);
}

/// Brings a handle up to date when the event that woke this poll was the one after what it has seen;
/// gives back what the event said then.
#[inline]
pub(crate) fn hear(fd: RawFd, seen: &Seen) -> Option<Ready> {
    let known = seen.get();
    let ready = WOKEN_BY.get().event_after(fd, known.events())?;
    seen.set(known.after(ready));
    Some(ready)
}
