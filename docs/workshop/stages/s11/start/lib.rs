//! A pocket runtime: an executor, a reactor, timers, sockets, and wakes from other threads.

mod executor;
pub mod inbox;
mod join;
mod net;
mod reactor;
pub mod serve;
mod time;

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

pub use join::{JoinError, JoinHandle};
pub use net::{TcpListener, TcpStream};
pub use time::{Elapsed, Sleep, sleep, timeout};

use executor::{Executor, ROOT, TaskWaker};
use inbox::Inbox;
use reactor::Reactor;
use time::Timers;

/// Polls between two turns, at most.
const TICK: usize = 61;

/// The parts of a runtime.
pub(crate) struct Core {
    executor: Executor,
    reactor: Reactor,
    timers: RefCell<Timers>,
    inbox: Arc<Inbox>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// Returns the runtime of this thread.
pub(crate) fn core() -> Rc<Core> {
    let core = CURRENT.with_borrow(Clone::clone);
    core.expect("spawn tasks and open sockets inside of block_on")
}

/// Ends the runtime when `block_on` ends, also by a panic. Tasks are dropped first, because their
/// destructors use the rest.
struct Entered(Rc<Core>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.executor.clear();
        CURRENT.set(None);
    }
}

/// Runs a future and the tasks that it spawns. Returns its output and drops the tasks.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let inbox = Arc::new(Inbox::new().expect("eventfd"));
    let core = Rc::new(Core {
        executor: Executor::new(Arc::clone(&inbox)),
        reactor: Reactor::new(&inbox).expect("epoll_create1"),
        timers: RefCell::default(),
        inbox,
    });
    CURRENT.set(Some(Rc::clone(&core)));
    let _entered = Entered(Rc::clone(&core));

    let mut future = pin!(future);
    let root = TaskWaker::new(ROOT, &core.inbox);
    root.schedule();
    let waker = Waker::from(Arc::clone(&root));
    loop {
        for _ in 0..TICK {
            let Some(number) = core.inbox.pop() else { break };
            if number != ROOT {
                core.executor.poll(number);
                continue;
            }
            root.unschedule();
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        turn(&core);
    }
}

/// Waits for events until the first deadline, unless a task is scheduled. Wakes the tasks of events and
/// of expired timers.
fn turn(core: &Core) {
    let may_park = core.inbox.prepare_park();
    let timeout_ms = if may_park { core.timers.borrow().timeout_ms() } else { 0 };
    let wakers = core.reactor.turn(timeout_ms, &core.inbox).expect("epoll_wait");
    wakers.into_iter().for_each(Waker::wake);
    // The borrow ends before the wakers are called.
    let expired = core.timers.borrow_mut().expire();
    expired.into_iter().for_each(Waker::wake);
}

/// Starts a task. It continues when its handle is dropped.
pub fn spawn<F: Future + 'static>(future: F) -> JoinHandle<F::Output> {
    core().executor.spawn(future)
}
