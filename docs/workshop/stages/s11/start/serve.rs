//! An echo server for clients that it does not know: they send and do not read, reset, pause, and use up the
//! descriptors. It stops in good order.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::{JoinHandle, TcpListener, TcpStream, sleep, spawn, timeout};

/// The pause after an error that only time can end.
pub const PAUSE: Duration = Duration::from_millis(10);

/// How long all connections together may take to end after a stop.
pub const GRACE: Duration = Duration::from_secs(5);

/// The connections that were accepted and have not been seen to end.
type Open = Vec<JoinHandle<io::Result<()>>>;

/// Ends a server. A clone ends the same one.
#[derive(Clone, Default)]
pub struct Stop(Rc<RefCell<Stopped>>);

#[derive(Default)]
struct Stopped {
    stopped: bool,
    /// The tasks that wait in `or`.
    wakers: Vec<Waker>,
}

impl Stop {
    /// Stops the server.
    pub fn stop(&self) {
        let mut state = self.0.borrow_mut();
        state.stopped = true;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Returns the output of a future, or `None` when it is pending and the server was stopped. The future is
    /// polled first: what has come before the stop is still returned.
    pub async fn or<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polled = future.as_mut().poll(cx);
            let mut state = self.0.borrow_mut();
            state.wakers.retain(|waker| !waker.will_wake(cx.waker()));
            match polled {
                Poll::Ready(output) => return Poll::Ready(Some(output)),
                Poll::Pending if state.stopped => return Poll::Ready(None),
                Poll::Pending => state.wakers.push(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

/// What follows an error of `accept`.
#[derive(Debug, PartialEq, Eq)]
pub enum After {
    /// The error concerns one client: accept the next one.
    Continue,
    /// Something has run out: accept again after a pause.
    Pause,
    /// The listener cannot be used any more.
    End,
}

const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;

/// Serves until it is stopped. Returns the number of connections that did not end by themselves.
pub async fn serve(listener: TcpListener, stop: Stop) -> io::Result<usize> {
    let mut open = Open::new();
    let accepted = accept_all(&listener, &stop, &mut open).await;
    // From now on the kernel refuses new clients.
    drop(listener);
    let aborted = drain(open).await;
    accepted.map(|()| aborted)
}

/// Accepts clients until the server is stopped. Each has a task of its own.
async fn accept_all(listener: &TcpListener, stop: &Stop, open: &mut Open) -> io::Result<()> {
    todo!("11.1: accept until the stop, a task per client; after an error do what `after` says")
}

/// Says what follows an error of `accept`.
fn after(error: &io::Error) -> After {
    todo!("11.2: which errors of accept concern one client, which pass with time, which stay?")
}

/// Echoes one client's bytes, until it has closed its side or the server is stopped.
async fn echo(stream: TcpStream, stop: Stop) -> io::Result<()> {
    todo!("11.3: read and write all of it, until the client or the server ends")
}

/// Waits until all connections have ended, at most for `GRACE`. Aborts the others and returns their number.
async fn drain(open: Open) -> usize {
    todo!("11.4: one deadline for all; abort what is left, and wait until that has ended")
}

/// Forgets the connections that have ended, so that the list does not grow.
fn remove_ended(open: &mut Open) {
    let mut cx = Context::from_waker(Waker::noop());
    open.retain_mut(|connection| Pin::new(connection).poll(&mut cx).is_pending());
}
