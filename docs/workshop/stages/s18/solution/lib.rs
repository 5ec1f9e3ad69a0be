//! Receives that are started, and complete later (io_uring). The kernel owns the buffer in between.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use kernel::{Completion, Ring, Stream};

/// Bytes of a buffer.
const SIZE: usize = 64;

/// The ring, and the connections by the numbers of their receives.
pub struct Driver {
    ring: Ring,
    connections: RefCell<HashMap<u64, Weak<Shared>>>,
    next: Cell<u64>,
}

/// What a connection and the driver share.
struct Shared {
    id: u64,
    stream: Rc<Stream>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// A receive is in flight: the kernel owns its buffer.
    in_flight: bool,
    /// Bytes that have arrived and that no future has taken.
    arrived: Vec<u8>,
    /// A receive has returned 0 bytes.
    ended: bool,
    /// The error of the last receive.
    error: Option<io::Error>,
    /// The task that waits now.
    waker: Option<Waker>,
}

impl Driver {
    /// Creates a driver.
    pub fn new(ring: Ring) -> Rc<Driver> {
        Rc::new(Driver { ring, connections: RefCell::default(), next: Cell::new(0) })
    }

    /// Returns the number of receives in flight.
    pub fn in_flight(&self) -> usize {
        self.ring.in_flight().len()
    }

    fn connection(&self, id: u64) -> Option<Rc<Shared>> {
        self.connections.borrow().get(&id).and_then(Weak::upgrade)
    }

    /// Stores what a receive has brought, and wakes the task that waits, if there is one.
    fn complete(&self, completion: Completion) {
        let Some(shared) = self.connection(completion.id) else { return };
        let mut state = shared.state.borrow_mut();
        state.in_flight = false;
        match completion.result {
            Ok(0) => state.ended = true,
            Ok(n) => state.arrived.extend_from_slice(&completion.buffer[..n]),
            Err(error) => state.error = Some(error),
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until the kernel owns no buffer any more.
    fn finish(&self) -> io::Result<()> {
        self.ring.in_flight().into_iter().for_each(|id| self.ring.cancel(id));
        while self.in_flight() > 0 {
            self.ring.wait()?.into_iter().for_each(|completion| self.complete(completion));
        }
        Ok(())
    }
}

/// A connected socket.
pub struct Connection {
    driver: Rc<Driver>,
    shared: Rc<Shared>,
}

impl Connection {
    /// Returns a connection of which nothing has been received.
    pub fn new(driver: &Rc<Driver>, stream: Stream) -> Connection {
        let id = driver.next.replace(driver.next.get() + 1);
        let shared = Shared { id, stream: Rc::new(stream), state: RefCell::default() };
        let shared = Rc::new(shared);
        driver.connections.borrow_mut().insert(id, Rc::downgrade(&shared));
        Connection { driver: Rc::clone(driver), shared }
    }

    /// Receives bytes; none is the end of the stream. Cancel safe.
    pub fn receive(&self) -> Receive<'_> {
        Receive(self)
    }
}

/// The future of `receive`.
pub struct Receive<'c>(&'c Connection);

impl Future for Receive<'_> {
    type Output = io::Result<Vec<u8>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = &self.0.shared;
        let waker = cx.waker().clone();
        let mut state = shared.state.borrow_mut();
        if !state.arrived.is_empty() {
            return Poll::Ready(Ok(std::mem::take(&mut state.arrived)));
        }
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(error));
        }
        if state.ended {
            return Poll::Ready(Ok(Vec::new()));
        }
        if !state.in_flight {
            state.in_flight = true;
            self.0.driver.ring.receive(shared.id, &shared.stream, vec![0; SIZE]);
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Receive<'_> {
    /// The task waits no longer. The receive stays in flight.
    fn drop(&mut self) {
        let waker = self.0.shared.state.borrow_mut().waker.take();
        drop(waker);
    }
}

/// Wakes the only future of `block_on`.
struct Root(AtomicBool);

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs a future. When it is ready, the kernel owns no buffer.
pub fn block_on<F: Future>(driver: &Driver, future: F) -> io::Result<F::Output> {
    let mut future = pin!(future);
    let root = Arc::new(Root(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&root));
    loop {
        while root.0.swap(false, Ordering::AcqRel) {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                driver.finish()?;
                return Ok(output);
            }
        }
        driver.ring.wait()?.into_iter().for_each(|completion| driver.complete(completion));
    }
}
