//! The part of a runtime that other threads see: its inbox, its eventfd and its epoll descriptor.
//!
//! Called by wakers and handles on a thread that is not running their runtime; drained by the loop, in
//! portions, so that a flood of messages does not delay events and timers (I8). Other threads see only
//! the [`Shared`]. Each message is a number or a `Send` closure.
//!
//! Rule I5 makes a wake from another thread certain and nearly free:
//!
//! ```text
//!  owner                                    sender (any thread)
//!  1. swap true into parked                 a. queue the message; pending = true
//!  2. pending? then do not block            b. swap false into parked;
//!  3. epoll_wait                               was it true? then write the eventfd
//!  4. swap false into parked
//! ```
//!
//! Only swaps write `parked`, so all writes are in one order. Each swap is an acquire and a release, so
//! each sees what happened before the earlier ones. If b is before 1, the owner sees the message at 2.
//! If b is between 1 and 4, this sender, or another one before it, reads `true` and writes the eventfd.
//! After 4, the owner sees the message. The eventfd is written once per park and not at all while the
//! owner runs. The models in `loom_models` run every interleaving with at most three preemptions.
//!
//! Rejected: plain stores and loads with sequentially consistent fences (Dekker's algorithm). They
//! cost the same, because `pending` and `parked` share a cache line, and the proof is longer.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::sync::PoisonError;

use crate::id::{RuntimeId, WaiterId, WakerData};
use crate::std_or_loom::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::sys::epoll::Epoll;
use crate::sys::eventfd::EventFd;
use crate::table::Key;

/// Token of the runtime's eventfd. No key is equal to it, because a table has no row with index
/// `u32::MAX`.
pub(crate) const REMOTE_TOKEN: u64 = u64::MAX;

/// Request of another thread to a runtime.
pub(crate) enum Message {
    /// Wake of a task or of the root future.
    Wake(WakerData),
    /// Abort of a task.
    Abort(Key),
    /// Drop of a `JoinHandle` on another thread.
    Detach(Key),
    /// Drop of an `AsyncFd` on another thread.
    RemoveSource(Key),
    /// Drop of a waiting operation on another thread.
    RemoveWaiter(Key, WaiterId),
    /// Drop of a `Sleep` on another thread.
    RemoveTimer(Key),
    /// New deadline of a `Sleep`, set on another thread: the task that waits for it arms it again.
    WakeTimer(Key),
    /// Closure of `Handle::spawn`.
    Run(Box<dyn FnOnce() + Send>),
    /// Closure of `Handle::dump`. It runs when all messages that were taken with it were handled.
    RunAfterBatch(Box<dyn FnOnce() + Send>),
}

/// Queue of messages with a flag for whether its owner is parked.
#[derive(Debug)]
pub(crate) struct Inbox<M> {
    queue: Mutex<Queue<M>>,
    /// Whether the queue holds a message. Written under the lock; read without it.
    pending: AtomicBool,
    /// Whether the owner is blocked or about to block. Set by the owner; cleared by the sender that
    /// wakes it, or by the owner.
    parked: AtomicBool,
}

#[derive(Debug)]
struct Queue<M> {
    messages: VecDeque<M>,
    /// The length at which repeated messages are removed next.
    reduce_at: usize,
    /// Whether the runtime has ended.
    closed: bool,
}

/// The length of the queue below which repeated messages are left in it.
const REDUCE_FROM: usize = 1024;

/// Outcome of a [`push`](Inbox::push): what the sender has to do.
#[must_use = "a parked owner has to be unparked, and a refused message dropped"]
#[derive(Debug)]
pub(crate) enum PushOutcome<M> {
    /// Nothing to do: the owner is awake and will drain the queue.
    Queued,
    /// Parked owner: the sender has to write the eventfd.
    Unpark,
    /// Ended runtime: the message is returned.
    Closed(M),
}

/// Outcome of [`prepare_park`](Inbox::prepare_park): whether the owner may block.
#[must_use = "blocking with a message in the inbox loses a wake"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParkOutcome {
    /// Permission to block; the owner calls [`set_awake`](Inbox::set_awake) afterwards.
    Block,
    /// Message in the queue: the owner must not block.
    Abort,
}

impl<M> Inbox<M> {
    pub(crate) fn new() -> Self {
        Inbox {
            queue: Mutex::new(Queue {
                messages: VecDeque::new(),
                reduce_at: REDUCE_FROM,
                closed: false,
            }),
            pending: AtomicBool::new(false),
            parked: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        // No user code runs under this lock, so a poisoned one is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message from any thread, unless `same` finds it equivalent to the last one in the
    /// queue (two wakes of a task in a row are one). `reduce` removes repeated messages from a long
    /// queue. It is called each time the length has doubled, so its cost per message is constant.
    pub(crate) fn push(
        &self,
        message: M,
        same: impl FnOnce(&M, &M) -> bool,
        reduce: impl FnOnce(&mut VecDeque<M>),
    ) -> PushOutcome<M> {
        let mut queue = self.lock();
        if queue.closed {
            return PushOutcome::Closed(message);
        }
        let redundant = queue
            .messages
            .back()
            .is_some_and(|last| same(last, &message));
        if !redundant {
            queue.messages.push_back(message);
        }
        if queue.messages.len() >= queue.reduce_at {
            reduce(&mut queue.messages);
            queue.reduce_at = (2 * queue.messages.len()).max(REDUCE_FROM);
        }
        // Step a. Under the lock, as in `drain`, so that the flag always matches the queue.
        self.pending.store(true, Ordering::Relaxed);
        drop(queue);
        // Step b. Publishes a; pairs with the swaps of the owner.
        if self.parked.swap(false, Ordering::AcqRel) {
            PushOutcome::Unpark
        } else {
            PushOutcome::Queued
        }
    }

    /// Publishes that the owner is about to block, and looks for messages again (steps 1 and 2).
    #[inline]
    pub(crate) fn prepare_park(&self) -> ParkOutcome {
        // Pairs with the swap in `push`, as does the one in `set_awake`.
        self.parked.swap(true, Ordering::AcqRel);
        if self.pending.load(Ordering::Relaxed) {
            self.set_awake();
            return ParkOutcome::Abort;
        }
        ParkOutcome::Block
    }

    /// Publishes that the owner is awake (step 4).
    #[inline]
    pub(crate) fn set_awake(&self) {
        self.parked.swap(false, Ordering::AcqRel);
    }

    /// Returns whether there is a message. Relaxed, because the messages are behind the lock.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Returns whether the owner is blocked or about to block. For the watch thread, which looks again later.
    pub(crate) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed)
    }

    /// Returns the number of messages.
    pub(crate) fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Takes the oldest messages, at most `limit` of them. The inbox stays pending if some are left.
    #[inline]
    pub(crate) fn drain(&self, limit: usize) -> VecDeque<M> {
        if !self.is_pending() {
            return VecDeque::new();
        }
        let mut queue = self.lock();
        if queue.messages.len() > limit {
            return queue.messages.drain(..limit).collect();
        }
        self.pending.store(false, Ordering::Relaxed);
        queue.reduce_at = REDUCE_FROM;
        std::mem::take(&mut queue.messages)
    }

    /// Refuses messages from now on and returns those that are left.
    pub(crate) fn close(&self) -> VecDeque<M> {
        let mut queue = self.lock();
        queue.closed = true;
        std::mem::take(&mut queue.messages)
    }
}

/// The part of a runtime that other threads see.
#[derive(Debug)]
pub(crate) struct Shared {
    id: RuntimeId,
    inbox: Inbox<Message>,
    event_fd: EventFd,
    epoll: Epoll,
}

impl Shared {
    /// Opens the two descriptors of a runtime.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` or `ENOMEM` from `epoll_create1(2)` or `eventfd(2)`; `ENOMEM` or `ENOSPC`
    /// from `epoll_ctl(2)`.
    pub(crate) fn open(id: RuntimeId) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let event_fd = EventFd::new()?;
        epoll.add(event_fd.as_fd(), REMOTE_TOKEN, Epoll::READ)?;
        Ok(Shared {
            id,
            inbox: Inbox::new(),
            event_fd,
            epoll,
        })
    }

    #[inline]
    pub(crate) fn id(&self) -> RuntimeId {
        self.id
    }

    #[inline]
    pub(crate) fn inbox(&self) -> &Inbox<Message> {
        &self.inbox
    }

    #[inline]
    pub(crate) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    /// Sends a message and unparks the runtime if it is parked.
    ///
    /// # Errors
    ///
    /// Returns the message when the runtime has ended.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        let same = |last: &Message, new: &Message| matches!((last, new), (Message::Wake(last), Message::Wake(new)) if last == new);
        match self.inbox.push(message, same, remove_repeated_wakes) {
            PushOutcome::Queued => Ok(()),
            PushOutcome::Unpark => {
                // Cannot fail: an open eventfd accepts the write.
                self.event_fd.signal().ok();
                Ok(())
            }
            PushOutcome::Closed(message) => Err(message),
        }
    }
}

/// Removes every wake that follows an equal one, so that a long queue has as many wakes as there are
/// tasks. The wake that is left is handled after all of them were sent, so the poll that it causes sees
/// what happened before each. Only the order among tasks and other messages can change.
#[cold]
fn remove_repeated_wakes(messages: &mut VecDeque<Message>) {
    let mut woken = HashSet::new();
    messages.retain(|message| match message {
        Message::Wake(data) => woken.insert(*data),
        _ => true,
    });
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Wake(data) => f.debug_tuple("Wake").field(data).finish(),
            Message::Abort(key) => f.debug_tuple("Abort").field(key).finish(),
            Message::Detach(key) => f.debug_tuple("Detach").field(key).finish(),
            Message::RemoveSource(key) => f.debug_tuple("RemoveSource").field(key).finish(),
            Message::RemoveWaiter(key, id) => {
                f.debug_tuple("RemoveWaiter").field(key).field(id).finish()
            }
            Message::RemoveTimer(key) => f.debug_tuple("RemoveTimer").field(key).finish(),
            Message::WakeTimer(key) => f.debug_tuple("WakeTimer").field(key).finish(),
            Message::Run(_) => f.write_str("Run"),
            Message::RunAfterBatch(_) => f.write_str("RunAfterBatch"),
        }
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_long_queue_is_searched_each_time_its_length_has_doubled() {
        let (inbox, searches) = (Inbox::new(), Cell::new(0));
        for message in 0..16 * REDUCE_FROM {
            let reduce = |_: &mut VecDeque<usize>| searches.set(searches.get() + 1);
            let outcome = inbox.push(message, |_, _| false, reduce);
            assert!(matches!(outcome, PushOutcome::Queued));
        }
        assert_eq!(searches.get(), 5);
    }
}
