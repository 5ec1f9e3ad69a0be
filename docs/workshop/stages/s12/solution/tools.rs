//! What the programs use. All of it is right, and writes into the trace what it does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use kernel::note;

use crate::TcpStream;

thread_local! {
    /// The name of the task that is being polled.
    static NAME: Cell<&'static str> = const { Cell::new("") };
}

/// Returns the name of the task that is being polled.
pub fn me() -> &'static str {
    NAME.get()
}

/// Names a task. Its polls are in the trace.
pub async fn named<F: Future>(name: &'static str, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        note(format!("poll {name}"));
        let outer = NAME.replace(name);
        let polled = future.as_mut().poll(cx);
        NAME.set(outer);
        note(format!("  {name} {}", if polled.is_ready() { "has ended" } else { "is pending" }));
        polled
    })
    .await
}

/// A waker, and the name of its task.
pub struct NamedWaker(pub &'static str, pub Waker);

impl NamedWaker {
    /// Returns the waker of the task that is being polled.
    pub fn of(cx: &Context<'_>) -> NamedWaker {
        NamedWaker(me(), cx.waker().clone())
    }

    /// Wakes the task.
    pub fn wake(self) {
        note(format!("  wakes {}", self.0));
        self.1.wake();
    }
}

/// An event that happens once, and is remembered.
#[derive(Clone)]
pub struct Event(Rc<EventState>);

struct EventState {
    name: &'static str,
    happened: Cell<bool>,
    waker: RefCell<Option<NamedWaker>>,
}

impl Event {
    /// Returns an event that has not happened.
    pub fn new(name: &'static str) -> Event {
        Event(Rc::new(EventState { name, happened: Cell::new(false), waker: RefCell::default() }))
    }

    /// Lets it happen, and wakes the task that waits.
    pub fn set(&self) {
        note(format!("  event: {}", self.0.name));
        self.0.happened.set(true);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }

    /// Waits until it has happened.
    pub async fn wait(&self) {
        poll_fn(|cx| {
            if self.0.happened.get() {
                return Poll::Ready(());
            }
            note(format!("  {} waits for: {}", me(), self.0.name));
            let old = self.0.waker.replace(Some(NamedWaker::of(cx)));
            drop(old);
            Poll::Pending
        })
        .await;
    }
}

/// Wakes the tasks that wait at this moment. It remembers nothing.
#[derive(Clone, Default)]
pub struct Signal(Rc<RefCell<Vec<NamedWaker>>>, Rc<Cell<u32>>);

impl Signal {
    /// Wakes all that wait.
    pub fn wake_all(&self) {
        let waiting = self.0.take();
        note(format!("  signal: {} tasks wait for it", waiting.len()));
        self.1.set(self.1.get() + 1);
        waiting.into_iter().for_each(NamedWaker::wake);
    }

    /// Waits for the next `wake_all`.
    pub async fn wait(&self) {
        let before = self.1.get();
        poll_fn(|cx| {
            if self.1.get() != before {
                return Poll::Ready(());
            }
            note(format!("  {} waits for the signal", me()));
            self.0.borrow_mut().push(NamedWaker::of(cx));
            Poll::Pending
        })
        .await;
    }
}

/// A lock that is awaited.
pub struct Lock {
    name: &'static str,
    holder: Cell<&'static str>,
    waiting: RefCell<VecDeque<NamedWaker>>,
}

/// Unlocks when it is dropped.
pub struct Guard<'l>(&'l Lock);

impl Lock {
    /// Returns a lock that is not held.
    pub fn new(name: &'static str) -> Lock {
        Lock { name, holder: Cell::new(""), waiting: RefCell::default() }
    }

    /// Waits until it is not held, and takes it.
    pub async fn lock(&self) -> Guard<'_> {
        poll_fn(|cx| {
            let holder = self.holder.get();
            if holder.is_empty() {
                note(format!("  {} locks {}", me(), self.name));
                self.holder.set(me());
                return Poll::Ready(Guard(self));
            }
            note(format!("  {} waits for {}, which {holder} holds", me(), self.name));
            self.waiting.borrow_mut().push_back(NamedWaker::of(cx));
            Poll::Pending
        })
        .await
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        note(format!("  {} unlocks {}", self.0.holder.take(), self.0.name));
        let next = self.0.waiting.borrow_mut().pop_front();
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Collects what is written, and sends it with `flush`.
pub struct Buffered {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Buffered {
    /// Returns a connection that has nothing to send.
    pub fn new(stream: TcpStream) -> Buffered {
        Buffered { stream, bytes: Vec::new() }
    }

    /// Adds bytes to those that `flush` sends.
    pub fn write(&mut self, bytes: &[u8]) {
        note(format!("  {} writes {} bytes into the buffer", me(), bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends the bytes of the buffer.
    pub async fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        self.stream.write_all(&bytes).await
    }

    /// Reads what is there.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer).await
    }
}
