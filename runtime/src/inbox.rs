//! How other threads reach a runtime: its inbox, its eventfd, and its epoll descriptor.
//!
//! Called by wakers and handles that find themselves on a thread that is not running their runtime,
//! and drained by the loop. A [`Remote`] is the only part of a runtime that other threads see.
//! Everything they have to say is a number or a `Send` closure.
//!
//! The rule that makes a wake from elsewhere certain and nearly free is I5:
//!
//! ```text
//!  owner                                    sender (any thread)
//!  1. exchange parked for true              a. queue the message; pending = true
//!  2. pending? then do not block            b. exchange parked for false;
//!  3. epoll_wait                               was it true? then write the eventfd
//!  4. exchange parked for false
//! ```
//!
//! Nobody ever writes `parked` but by an exchange, so all of them stand in one line, and each sees
//! whatever was done before those ahead of it (each is an acquire and a release). Where b is ahead
//! of 1, the owner sees the message at 2. Where it is between 1 and 4, this sender, or another one
//! ahead of it, finds `true` and writes the eventfd; and after 4 the owner sees the message. The
//! eventfd is written once per park and not at all while the owner runs. The models in
//! `loom_models` try every interleaving.
//!
//! Rejected: plain stores and loads with sequentially consistent fences (Dekker's argument). They
//! cost the same, for the lines of `pending` and `parked` are one, and the proof is longer.

use std::io;
use std::os::fd::AsFd;
use std::sync::PoisonError;

use crate::id::{RuntimeId, WaiterId, WakerData};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use crate::sys::epoll::Epoll;
use crate::sys::eventfd::EventFd;
use crate::table::Key;

/// The token under which the runtime's own eventfd reports; no key can be equal to it, because a
/// slab never hands out index `u32::MAX`.
pub(crate) const REMOTE_TOKEN: u64 = u64::MAX;

/// What other threads may ask of a runtime.
pub(crate) enum Message {
    Wake(WakerData),
    Abort(Key),
    /// A `JoinHandle` was dropped elsewhere.
    Detach(Key),
    /// An `AsyncFd` was dropped elsewhere.
    RemoveSource(Key),
    /// A waiting operation was dropped on another thread.
    RemoveWaiter(Key, WaiterId),
    /// A `Sleep` was dropped elsewhere.
    RemoveTimer(Key),
    /// `Handle::spawn`.
    Run(Box<dyn FnOnce() + Send>),
}

/// A queue of messages with a flag that says whether its owner sleeps.
#[derive(Debug)]
pub(crate) struct Inbox<M> {
    queue: Mutex<Queue<M>>,
    /// The queue is not empty. Written under the lock; read without it.
    pending: AtomicBool,
    /// The owner is blocked, or about to. Set by the owner, cleared by whoever wakes it.
    parked: AtomicBool,
}

#[derive(Debug)]
struct Queue<M> {
    messages: Vec<M>,
    closed: bool,
}

/// What the sender has to do after a [`push`](Inbox::push).
#[must_use = "a parked owner has to be unparked, and a refused message dropped"]
#[derive(Debug)]
pub(crate) enum Pushed<M> {
    /// Nothing: the owner is awake and will look.
    Queued,
    /// Write the eventfd.
    Unpark,
    /// The runtime has ended; here is the message back.
    Closed(M),
}

/// What the owner may do after [`prepare_park`](Inbox::prepare_park).
#[must_use = "blocking with a message in the inbox loses a wake"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Park {
    /// Block; then call [`unpark`](Inbox::unpark).
    Block,
    /// There is a message: do not block.
    Stay,
}

impl<M> Inbox<M> {
    pub(crate) fn new() -> Self {
        Inbox {
            queue: Mutex::new(Queue {
                messages: Vec::new(),
                closed: false,
            }),
            pending: AtomicBool::new(false),
            parked: AtomicBool::new(false),
        }
    }

    /// Only our own code runs under the lock, so a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a message, from any thread. `same` says whether a message makes the one before it
    /// superfluous (a task woken twice in a row is woken once).
    pub(crate) fn push(&self, message: M, same: impl FnOnce(&M, &M) -> bool) -> Pushed<M> {
        let mut queue = self.lock();
        if queue.closed {
            return Pushed::Closed(message);
        }
        let superfluous = queue
            .messages
            .last()
            .is_some_and(|last| same(last, &message));
        if !superfluous {
            queue.messages.push(message);
        }
        // Step a. Under the lock, as in `drain`, so that the flag always tells what the queue holds.
        self.pending.store(true, Ordering::Relaxed);
        drop(queue);
        // Step b. Publishes a; the owner's exchanges pick it up.
        if self.parked.swap(false, Ordering::AcqRel) {
            Pushed::Unpark
        } else {
            Pushed::Queued
        }
    }

    /// Steps 1 and 2: to be called by the owner before it blocks.
    #[inline]
    pub(crate) fn prepare_park(&self) -> Park {
        // Pairs with the exchange in `push`, as does the one in `unpark`.
        self.parked.swap(true, Ordering::AcqRel);
        if self.pending.load(Ordering::Relaxed) {
            self.unpark();
            return Park::Stay;
        }
        Park::Block
    }

    /// Step 4: the owner is awake again.
    #[inline]
    pub(crate) fn unpark(&self) {
        self.parked.swap(false, Ordering::AcqRel);
    }

    /// Whether there is a message. Relaxed: the messages themselves are behind the lock.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Relaxed)
    }

    /// Takes all messages, oldest first.
    #[inline]
    pub(crate) fn drain(&self) -> Vec<M> {
        if !self.is_pending() {
            return Vec::new();
        }
        let mut queue = self.lock();
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut queue.messages)
    }

    /// Refuses messages from now on and hands out those that are left.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut queue = self.lock();
        queue.closed = true;
        std::mem::take(&mut queue.messages)
    }
}

/// The part of a runtime that other threads see.
#[derive(Debug)]
pub(crate) struct Remote {
    id: RuntimeId,
    inbox: Inbox<Message>,
    event_fd: EventFd,
    epoll: Epoll,
}

impl Remote {
    /// Opens the two descriptors of a runtime.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM from `epoll_create1(2)` or `eventfd(2)`.
    pub(crate) fn open(id: RuntimeId) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        let event_fd = EventFd::new()?;
        epoll.add(event_fd.as_fd(), REMOTE_TOKEN, Epoll::READ)?;
        Ok(Remote {
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

    /// Sends a message and wakes the runtime if it sleeps. After its end, the message comes back.
    pub(crate) fn send(&self, message: Message) -> Result<(), Message> {
        let same = |last: &Message, new: &Message| matches!((last, new), (Message::Wake(last), Message::Wake(new)) if last == new);
        match self.inbox.push(message, same) {
            Pushed::Queued => Ok(()),
            Pushed::Unpark => {
                // An eventfd that exists takes the write; there is no other way to fail.
                self.event_fd.signal().ok();
                Ok(())
            }
            Pushed::Closed(message) => Err(message),
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Message::Wake(word) => f.debug_tuple("Wake").field(word).finish(),
            Message::Abort(key) => f.debug_tuple("Abort").field(key).finish(),
            Message::Detach(key) => f.debug_tuple("Detach").field(key).finish(),
            Message::RemoveSource(key) => f.debug_tuple("RemoveSource").field(key).finish(),
            Message::RemoveWaiter(key, id) => {
                f.debug_tuple("RemoveWaiter").field(key).field(id).finish()
            }
            Message::RemoveTimer(key) => f.debug_tuple("RemoveTimer").field(key).finish(),
            Message::Run(_) => f.write_str("Run"),
        }
    }
}

#[cfg(test)]
#[cfg(loom)]
mod loom_models;
