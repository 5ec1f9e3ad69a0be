//! Connecting one socket to one address, for TCP and Unix alike.
//!
//! Driven by the futures in `tcp::connect` and `unix::connect`, which choose the addresses.
//!
//! ```text
//!  +--> Call --connect(2)--+--done at once--> connected
//!  |                       +--EINPROGRESS---> InProgress
//!  |                       +--EAGAIN: the backlog of a Unix listener is full--> Pausing --+
//!  +------------------------------------timer---------------------------------------------+
//!
//!  InProgress --writable--+--SO_ERROR set---> that error
//!        ^                +--has a peer-----> connected
//!        +----------------+--neither: wait again
//! ```
//!
//! The socket is registered *after* connect(2): one that has not call_site to connect reports a hang-up
//! at once, and that would be taken for the answer.
//!
//! Sources: connect(2), unix(7).

use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockAddr;
use wakeful::io::Ready;
use wakeful::time::{Sleep, sleep};

use crate::socket::{Family, Io, register};
use crate::sys;

/// The first pause before connecting again to a Unix listener whose backlog is full.
const FIRST_PAUSE: Duration = Duration::from_millis(1);

/// The longest such pause; they double until then. No event tells when there is room again.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);

/// The name of an operation and the place where it was called.
pub(crate) type CallSite = (&'static str, &'static Location<'static>);

/// One attempt to connect.
#[derive(Debug)]
pub(crate) struct Connecting {
    address: SockAddr,
    family: Family,
    /// Whether outside code has had its hands on the descriptor and may have duplicated it.
    exposed: bool,
    /// The operation as users know it and where they began it, for the record of the task that
    /// waits: the future that polls this is theirs.
    name: &'static str,
    caller: &'static Location<'static>,
    /// How long to wait if the backlog turns out to be full.
    pause: Duration,
    state: State,
}

/// See the picture above.
#[derive(Debug)]
enum State {
    Call(socket2::Socket),
    Pausing(socket2::Socket, Pin<Box<Sleep>>),
    InProgress(Io),
    /// Has answered, or is being moved from one state to the next.
    Done,
}

impl Connecting {
    /// Takes a socket that is not connected yet; nothing happens before the first poll.
    pub(crate) fn new(
        socket: socket2::Socket,
        address: SockAddr,
        family: Family,
        (name, caller): CallSite,
    ) -> Self {
        Self {
            address,
            family,
            exposed: false,
            name,
            caller,
            pause: FIRST_PAUSE,
            state: State::Call(socket),
        }
    }

    /// As [`new`](Self::new), for a socket that users could reach before.
    pub(crate) fn exposed(
        socket: socket2::Socket,
        address: SockAddr,
        family: Family,
        call_site: CallSite,
    ) -> Self {
        Self {
            exposed: true,
            ..Self::new(socket, address, family, call_site)
        }
    }

    /// Goes on as far as possible without waiting. Dropping it closes the socket.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Io>> {
        loop {
            match mem::replace(&mut self.state, State::Done) {
                State::Call(socket) => {
                    if let Some(outcome) = self.call(socket).transpose() {
                        return Poll::Ready(outcome);
                    }
                }
                State::Pausing(socket, mut timer) => {
                    if timer.as_mut().poll(cx).is_pending() {
                        self.state = State::Pausing(socket, timer);
                        return Poll::Pending;
                    }
                    self.state = State::Call(socket);
                }
                State::InProgress(io) => match self.poll_outcome(&io, cx) {
                    Poll::Pending => {
                        self.state = State::InProgress(io);
                        return Poll::Pending;
                    }
                    Poll::Ready(outcome) => return Poll::Ready(outcome.map(|()| io)),
                },
                State::Done => unreachable!("an attempt to connect is not polled after its end"),
            }
        }
    }

    /// One connect(2). Gives the stream back if that was all; else leaves the state to go on from.
    fn call(&mut self, socket: socket2::Socket) -> io::Result<Option<Io>> {
        let called = sys::connect(socket.as_fd(), &self.address);
        let errno = called
            .as_ref()
            .err()
            .map(|err| err.raw_os_error().unwrap_or(0));
        match errno {
            // EISCONN and EALREADY answer a call that is made again after a signal: the first one
            // went through, or is still under way.
            None | Some(libc::EISCONN) => {
                let io = self.register(socket)?;
                io.assume_ready(Ready::WRITABLE);
                return Ok(Some(io));
            }
            Some(libc::EINPROGRESS | libc::EALREADY) => {
                self.state = State::InProgress(self.register(socket)?);
            }
            Some(libc::EAGAIN) if self.family == Family::Unix => {
                let pause = sleep(self.pause).operation(self.name).location(self.caller);
                self.state = State::Pausing(socket, Box::pin(pause));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
            Some(_) => called?,
        }
        Ok(None)
    }

    fn register(&self, socket: socket2::Socket) -> io::Result<Io> {
        let io = register(socket, self.family)?;
        if self.exposed {
            io.mark_duplicated();
        }
        Ok(io)
    }

    /// Waits until a socket is writable and says whether that means connected or failed.
    fn poll_outcome(&self, io: &Io, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let writable = io.writable().operation(self.name).location(self.caller);
            let mut guard = ready!(Pin::new(&mut writable.by_waker()).poll(cx))?;
            let fd = io.get_ref().as_fd();
            if let Some(err) = sys::take_error(fd)? {
                return Poll::Ready(Err(err));
            }
            match sys::peer_addr(fd) {
                Ok(_peer) => {
                    guard.retain_ready();
                    return Poll::Ready(Ok(()));
                }
                // Room to write without an outcome: the answer is still to come, with an edge.
                Err(err) if err.raw_os_error() == Some(libc::ENOTCONN) && !ended(guard.ready()) => {
                    guard.clear_ready();
                }
                Err(err) => return Poll::Ready(Err(err)),
            }
        }
    }
}

/// Whether the kernel has given the attempt up; waiting on would be waiting for ever.
fn ended(ready: Ready) -> bool {
    ready.is_write_closed() || ready.is_error()
}
